// Adds up to 64 (P, Q, S) of a sample's or a channel's groups: P a sum of S * (sum of g), Q one of S^2 * (sum of g*xhat), in
// units of S and S^2, S = rstd: the largest among the terms, so that no square overflows, and none that counts is lost.
#version 450
#include "strided.glsl"
#include "wide.glsl"

float factors[FAN];

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], outputs = table[ST_OUTPUTS], inputs = table[ST_INPUTS];
    if (unit >= groups * outputs)
        return;
    uint group = table[ST_GROUP0] + unit % groups, number = unit / groups, step = table[ST_STEP];
    uint begin = table[ST_IN] + group * table[ST_GROUP_STEP] + number * FAN * step, count = min(inputs - number * FAN, FAN);
    bool first = table[ST_LEVEL] == 1u; // a group's own sums, which lie as its cell does
    uint moved = table[ST_CELLS] - table[ST_SUMS];
    float most = 0.0;
    for (uint i = 0u; i < count; ++i) {
        uint at = begin + i * step;
        vec4 cell = workspace[first ? at + moved : at];
        precise float rstd = first ? cell.z * cell.w : cell.z;
        factors[i & 63u] = rstd;
        most = i == 0u || rstd > most ? rstd : most;
    }
    for (uint i = 0u; i < count; ++i) {
        vec4 cell = workspace[begin + i * step];
        precise float f = factors[i & 63u] / most;
        vec2 own = both_sums(cell);
        vec2 sums = first ? own : cell.xy;
        precise vec2 scaled = vec2(sums.x * f, (sums.y * f) * f);
        pairs[i & 63u] = scaled;
    }
    workspace[table[ST_OUT] + group * outputs + number] = vec4(fold_pairs(count), most, 0.0);
}
