// Finishes groups: their (m, r, s, a), mean and rstd; an invocation a group.
#version 450
#include "strided.glsl"

layout(std430, set = 0, binding = ST_MEAN) buffer Mean { float mean_words[]; };
layout(std430, set = 0, binding = ST_RSTD) buffer Rstd { float rstd_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_MEAN) readonly buffer RunningMean { float running_mean_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_VAR) readonly buffer RunningVar { float running_var_words[]; };

const uint STATISTICS_SAVED = 1u; // ST_OUTPUT

// s from M2, the sum of squares about the mean, or from the sum of absolutes.
float factor_of(vec4 cell, float eps)
{
    uint scale = table[ST_SCALE];
    precise float limit = eps * cell.w;
    precise float shifted = (scale == SCALE_VARIANCE ? cell.z / float(table[ST_N]) : cell.z) + limit * cell.w;
    float norm = statistic == ABSOLUTES ? cell.z : sqrt(cell.z);
    precise float added = norm + limit;
    float larger = norm > limit || is_nan(norm) ? norm : limit;
    float root = sqrt(shifted);
    precise float s = 1.0 / (scale == SCALE_MAX ? larger : scale == SCALE_ADD ? added : root);
    return s;
}

// (m, r, s, a) from the statistics that are given: running ones, or those that forward saved. A saved float32 mean is
// corrected by the sum of x - mean.
vec4 given_cell(uint group, float eps)
{
    if (statistic == GIVEN) {
        precise float shifted = running_var_words[bases[ST_RUNNING_VAR]] + eps;
        precise float s = 1.0 / sqrt(shifted);
        return vec4(running_mean_words[bases[ST_RUNNING_MEAN]], 0.0, s, 1.0);
    }
    vec2 mean = vec2(0.0);
    if (statistic == MOMENTS) {
        precise float rest = workspace[table[ST_IN] + group].x / float(table[ST_N]);
        mean = two_sum(mean_words[bases[ST_MEAN]], rest);
    }
    return vec4(mean, rstd_words[bases[ST_RSTD]], 1.0);
}

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    take_table();
    take_group(group);
    float eps = table_float(ST_EPS);
    bool given = statistic == GIVEN, saved = output_kind == STATISTICS_SAVED;
    vec4 finished;
    if (given || saved) {
        finished = given_cell(group, eps);
    } else {
        vec4 cell = workspace[table[ST_IN] + group];
        finished = vec4(cell.xy, factor_of(cell, eps), cell.w);
    }
    workspace[cells_begin + group] = finished;
    precise float mean = finished.x / finished.w, rstd = finished.z * finished.w;
    if (present(ST_MEAN) && !saved)
        mean_words[bases[ST_MEAN]] = mean;
    if (present(ST_RSTD) && !saved)
        rstd_words[bases[ST_RSTD]] = rstd;
}
