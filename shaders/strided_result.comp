// A group's count, or the scale of its quantised outputs, to its tensor; an invocation a group.
#version 450
#include "strided.glsl"
#include "strided_scan.glsl"

layout(std430, set = 0, binding = ST_TO) buffer To { uint to_words[]; };

// The scale that takes the largest |y| to the largest number of the type.
float scale_of(const uint largest, const float limit)
{
    precise float scale = uintBitsToFloat(largest) / limit;
    uint bits = floatBitsToUint(scale);
    return largest == 0u ? 1.0 : uintBitsToFloat(max(bits, 1u));
}

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    take_table();
    take_group(group);
    uint result = words[table[ST_IN] + group].x;
    if (output_kind != ST_SCAN_NONFINITE) {
        float scale = scale_of(result, output_kind == ST_SCAN_INT8 ? 127.0 : 448.0);
        workspace[coefficients_begin + group] = vec4(scale, 0.0, 0.0, 0.0);
        result = floatBitsToUint(scale);
    }
    to_words[bases[ST_TO]] = result;
}
