// Adds up to 64 pairs of sums, of chunks or of earlier additions; an invocation an addition.
#version 450
#include "strided.glsl"

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], outputs = table[ST_OUTPUTS], inputs = table[ST_INPUTS];
    if (unit >= groups * outputs)
        return;
    uint group = table[ST_GROUP0] + unit % groups, number = unit / groups;
    uint begin = table[ST_IN] + group * inputs + number * FAN, count = min(inputs - number * FAN, FAN);
    for (uint i = 0u; i < count; ++i)
        pairs[i & 63u] = workspace[begin + i].xy;
    workspace[table[ST_OUT] + group * outputs + number] = vec4(fold_pairs(count), 0.0, 0.0);
}
