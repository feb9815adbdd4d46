// Adds up to 64 pairs of sums, of chunks or of earlier additions; an invocation an addition.
#version 450
#include "strided.glsl"

// Both in units of powers of two.
vec2 wide_pair(const vec4 cell, const ivec2 e)
{
    wide first = wide_first(cell), second = wide_second(cell);
    return vec2(wide_float(wide(first.m, first.e - e.x)), wide_float(wide(second.m, second.e - e.y)));
}

// The fold of sums that have powers of two of their own: about the largest of them.
vec4 wide_fold(const uint begin, const uint count)
{
    ivec2 e = ivec2(WIDE_ZERO);
    for (uint i = 0u; i < count; ++i)
        e = max(e, ivec2(wide_first(workspace[begin + i]).e, wide_second(workspace[begin + i]).e));
    vec2 sums;
    FOLD(sums, count, wide_pair(workspace[begin + i], e))
    return wide_cell(wide_scaled(sums.x, e.x), wide_scaled(sums.y, e.y));
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], outputs = table[ST_OUTPUTS], inputs = table[ST_INPUTS];
    if (unit >= groups * outputs)
        return;
    uint group = table[ST_GROUP0] + unit % groups, number = unit / groups;
    uint begin = table[ST_IN] + group * inputs + number * FAN, count = min(inputs - number * FAN, FAN);
    bool apart = false;
    for (uint i = 0u; i < count; ++i) {
        vec4 cell = workspace[begin + i];
        apart = apart || cell.z != 0.0 || cell.w != 0.0;
    }
    vec2 sums;
    FOLD(sums, count, workspace[begin + i].xy)
    vec4 result = vec4(sums, 0.0, 0.0);
    // A loop, since lavapipe jumps over one that has no iteration.
    for (bool again = apart || !finite(result.x) || !finite(result.y); again; again = false)
        result = wide_fold(begin, count);
    workspace[table[ST_OUT] + group * outputs + number] = result;
}
