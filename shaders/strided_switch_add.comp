// Adds up to 64 (P, Q, S) of a sample's or a channel's groups: P a sum of S * (sum of g), Q one of S^2 * (sum of g*xhat), in
// units of S and S^2, S = rstd: the largest among the terms, so that no square overflows, and none that counts is lost.
#version 450
#include "strided.glsl"
#include "wide.glsl"

uint list_begin, list_step;
uint moved; // of groups' own sums, which lie as their cells do, to the cells, which have the rstd; else 0

// The list's input i: its rstd, and its sums in units of the largest.
float rstd_of(const uint i)
{
    vec4 cell = workspace[list_begin + moved + i * list_step];
    precise float own = cell.z * cell.w;
    return moved == 0u ? cell.z : own;
}

vec2 scaled_sums(const uint i, const float most)
{
    vec4 cell = workspace[list_begin + i * list_step];
    precise float f = rstd_of(i) / most;
    vec2 own = both_sums(cell);
    vec2 sums = moved == 0u ? cell.xy : own;
    precise vec2 scaled = vec2(sums.x * f, (sums.y * f) * f);
    return scaled;
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], outputs = table[ST_OUTPUTS], inputs = table[ST_INPUTS];
    if (unit >= groups * outputs)
        return;
    uint group = table[ST_GROUP0] + unit % groups, number = unit / groups;
    list_step = table[ST_STEP];
    list_begin = table[ST_IN] + group * table[ST_GROUP_STEP] + number * FAN * list_step;
    moved = table[ST_LEVEL] == 1u ? table[ST_CELLS] - table[ST_SUMS] : 0u;
    uint count = min(inputs - number * FAN, FAN);
    float most = 0.0;
    for (uint i = 0u; i < count; ++i) {
        float rstd = rstd_of(i);
        most = i == 0u || rstd > most ? rstd : most;
    }
    vec2 sums;
    FOLD(sums, count, scaled_sums(i, most))
    workspace[table[ST_OUT] + group * outputs + number] = vec4(sums, most, 0.0);
}
