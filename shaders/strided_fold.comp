// Joins the results of up to 64 chunks, or of earlier folds; an invocation a fold.
#version 450
#include "strided.glsl"
#include "strided_scan.glsl"

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], outputs = table[ST_OUTPUTS], inputs = table[ST_INPUTS];
    if (unit >= groups * outputs)
        return;
    uint group = table[ST_GROUP0] + unit % groups, number = unit / groups;
    uint begin = table[ST_IN] + group * inputs + number * FAN, count = min(inputs - number * FAN, FAN);
    uint result = 0u;
    for (uint i = 0u; i < count; ++i)
        result = joined(result, words[begin + i].x);
    words[table[ST_OUT] + group * outputs + number] = uvec4(result, 0u, 0u, 0u);
}
