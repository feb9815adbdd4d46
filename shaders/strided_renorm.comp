// r and d of batch renorm, before the running statistics are updated; an invocation a group.
#version 450
#include "strided.glsl"

layout(std430, set = 0, binding = ST_RUNNING_MEAN) readonly buffer RunningMean { float running_mean_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_VAR) readonly buffer RunningVar { float running_var_words[]; };
layout(std430, set = 0, binding = ST_R) buffer R { float r_words[]; };
layout(std430, set = 0, binding = ST_D) buffer D { float d_words[]; };

const uint RENORM_GIVEN = 1u; // ST_OUTPUT: r and d are inputs

// A NaN stays.
float clipped(const float v, const float low, const float high)
{
    return v < low ? low : v > high ? high : v;
}

// (r, d, 0, 0) of a finished (m, r, s, a). Half the difference of the means: the whole may overflow.
vec4 renorm_of(const vec4 cell)
{
    float r_max = table_float(ST_R_MAX), d_max = table_float(ST_D_MAX);
    precise float shifted = running_var_words[bases[ST_RUNNING_VAR]] + table_float(ST_EPS);
    float sd = root_of(shifted);
    precise float product = (cell.z * sd) * cell.w;
    float ratio = reciprocal_of(product);
    precise float low = 1.0 / r_max;
    precise float half_apart =
        (0.5 * (cell.x / cell.w) - 0.5 * running_mean_words[bases[ST_RUNNING_MEAN]]) + 0.5 * (cell.y / cell.w);
    precise float shift = half_apart / (0.5 * sd);
    return vec4(clipped(ratio, low, r_max), clipped(shift, -d_max, d_max), 0.0, 0.0);
}

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    take_table();
    take_group(group);
    bool given = output_kind == RENORM_GIVEN;
    vec4 renorm;
    if (given)
        renorm = vec4(r_words[bases[ST_R]], d_words[bases[ST_D]], 0.0, 0.0);
    else
        renorm = renorm_of(workspace[cells_begin + group]);
    workspace[table[ST_RENORM] + group] = renorm;
    if (!given && present(ST_R))
        r_words[bases[ST_R]] = renorm.x;
    if (!given && present(ST_D))
        d_words[bases[ST_D]] = renorm.y;
}
