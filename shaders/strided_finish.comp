// Finishes groups: their (m, r, s, a), mean, rstd and the running statistics; an invocation a group.
#version 450
#include "strided.glsl"

layout(std430, set = 0, binding = ST_MEAN) buffer Mean { float mean_words[]; };
layout(std430, set = 0, binding = ST_RSTD) buffer Rstd { float rstd_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_MEAN) buffer RunningMean { float running_mean_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_VAR) buffer RunningVar { float running_var_words[]; };

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

// Several groups may share running statistics (instance norm: a channel's of every sample), which then take the mean over
// those groups, once. The first of them does it. False for the others; count: how many there are.
bool leads(uint group, uint shared_slot, out uint count)
{
    bool first = true;
    count = 1u;
    for (uint d = group_rank; d > 0u; --d) {
        uint extent = extent_of(d - 1u), rest = group / extent;
        if (table_stride(shared_slot, d - 1u) == 0u) {
            first = first && group == rest * extent;
            count *= extent;
        }
        group = rest;
    }
    return first;
}

// Number `member` of the groups that share with `group`, which leads them.
uint sharer(uint group, uint member, uint shared_slot)
{
    uint step = 1u;
    for (uint d = group_rank; d > 0u; --d) {
        uint extent = extent_of(d - 1u);
        if (table_stride(shared_slot, d - 1u) == 0u) {
            group += member % extent * step;
            member /= extent;
        }
        step *= extent;
    }
    return group;
}

// Mean and variance that go into the running statistics.
vec2 batch_statistics(uint group)
{
    vec4 cell = workspace[table[ST_IN] + group];
    bool biased = (table[ST_UPDATE] & 2u) != 0u;
    precise float mean = cell.x / cell.w;
    precise float variance = ((cell.z / cell.w) / cell.w) / float(table[ST_N] - (biased ? 0u : 1u));
    return vec2(mean, variance);
}

void update_running(uint group)
{
    uint shared_slot = present(ST_RUNNING_MEAN) ? ST_RUNNING_MEAN : ST_RUNNING_VAR, count;
    if (!leads(group, shared_slot, count))
        return;
    precise vec2 total = batch_statistics(group), lost = vec2(0.0);
    for (uint member = 1u; member < count; ++member) {
        vec2 next = batch_statistics(sharer(group, member, shared_slot));
        vec2 mean = two_sum(total.x, next.x), variance = two_sum(total.y, next.y);
        total = vec2(mean.x, variance.x);
        lost = lost + vec2(mean.y, variance.y);
    }
    lost = vec2(finite(lost.x) ? lost.x : 0.0, finite(lost.y) ? lost.y : 0.0);
    precise vec2 batch = (total + lost) / float(count);
    float momentum = table_float(ST_MOMENTUM);
    precise float kept = 1.0 - momentum;
    if (present(ST_RUNNING_MEAN)) {
        uint at = bases[ST_RUNNING_MEAN];
        precise float updated = kept * running_mean_words[at] + momentum * batch.x;
        running_mean_words[at] = updated;
    }
    if (present(ST_RUNNING_VAR)) {
        uint at = bases[ST_RUNNING_VAR];
        precise float updated = kept * running_var_words[at] + momentum * batch.y;
        running_var_words[at] = updated;
    }
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
        if ((table[ST_UPDATE] & 1u) != 0u)
            update_running(group);
    }
    workspace[cells_begin + group] = finished;
    precise float mean = finished.x / finished.w, rstd = finished.z * finished.w;
    if (present(ST_MEAN) && !saved)
        mean_words[bases[ST_MEAN]] = mean;
    if (present(ST_RSTD) && !saved)
        rstd_words[bases[ST_RSTD]] = rstd;
}
