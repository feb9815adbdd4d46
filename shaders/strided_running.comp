// The update of running statistics by the groups' (m, r, M2, a), once nobody else reads them. Several groups may share a
// running statistic: a channel's of every sample (instance norm), which go in as their mean, or of every virtual batch
// (ghost batch norm), which go in one after the other. An invocation takes the groups [ST_MEMBER, ST_MEMBER + ST_MEMBERS)
// of those that share; between two dispatches the sums of the mean lie in the first group's cell and their scales in the
// second's.
#version 450
#include "strided.glsl"

layout(std430, set = 0, binding = ST_RUNNING_MEAN) buffer RunningMean { float running_mean_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_VAR) buffer RunningVar { float running_var_words[]; };
#include "batches.glsl"
layout(std430, set = 0, binding = ST_STATS) readonly buffer Stats { float stats_words[]; };

const uint UPDATE_BIASED = 1u, UPDATE_IN_ORDER = 2u, UPDATE_CUMULATIVE = 4u; // ST_UPDATE

// Of a group: whether it is the first of those that share with it, how many they are, and how far apart. Of the
// dimensions one at most is shared.
struct sharing {
    bool first;
    uint count, step;
};

sharing sharing_of(uint group)
{
    sharing s = sharing(true, 1u, 0u);
    uint step = 1u;
    for (uint d = group_rank; d > 0u; --d) {
        uint extent = extent_of(d - 1u), rest = group / extent;
        if (extent > 1u && table_stride(ST_RUNNING_MEAN, d - 1u) == 0u)
            s = sharing(group == rest * extent, extent, step);
        group = rest;
        step *= extent;
    }
    return s;
}

// Of the group with that number among those that share.
float momentum_of(const uint member)
{
    if ((table[ST_UPDATE] & UPDATE_CUMULATIVE) == 0u)
        return table_float(ST_MOMENTUM);
    uvec2 batches = batches_and(member + 1u);
    precise float all = float(batches.y) * 4294967296.0 + float(batches.x);
    precise float momentum = 1.0 / all;
    return momentum;
}

// What a group's mean and variance put into the running statistics. The share is taken before the scale, so that one of a
// variance that is no float32 may be.
vec2 share_of(const vec4 cell, const float divisor, const float momentum)
{
    precise float mean = momentum * (cell.x / cell.w);
    precise float spread = cell.z / divisor;
    precise float variance = ((momentum * spread) / cell.w) / cell.w;
    return vec2(mean, variance);
}

// A sum of shares times a scale, and what rounding took from it.
struct total {
    float sum, lost, scale;
};

const float LESS = 2.3283064365386963e-10; // 2^-32: times as many shares as there may be, the sum of the largest is finite

total added(const total t, const float share)
{
    precise float next = share * t.scale;
    precise float plain = t.sum + next;
    float factor = finite(t.sum) && finite(next) && !finite(plain) ? LESS : 1.0;
    vec2 sum = two_sum(t.sum * factor, next * factor);
    precise float lost = t.lost * factor + sum.y;
    return total(sum.x, lost, t.scale * factor);
}

float mean_of(const total t, const uint count)
{
    float lost = finite(t.lost) ? t.lost : 0.0;
    precise float mean = (t.sum + lost) / float(count);
    precise float back = mean * (t.scale == LESS ? 4294967296.0 : 1.0);
    return back;
}

float load_stats(const uint row)
{
    return stats_words[bases[ST_STATS] + row * table[ST_ROW]];
}

// From stats, where they are: then no groups share. A batch of one element has no variance to learn from.
void learn_stats()
{
    vec4 cell = vec4(load_stats(ROW_MEAN), 0.0, load_stats(ROW_M2), load_stats(ROW_SCALE));
    float count = load_stats(ROW_COUNT), momentum = momentum_of(0u);
    bool biased = (table[ST_UPDATE] & UPDATE_BIASED) != 0u;
    precise float less = count - 1.0, kept = 1.0 - momentum;
    float divisor = biased ? count : less;
    if (divisor < 1.0)
        return;
    uint mean_at = bases[ST_RUNNING_MEAN], var_at = bases[ST_RUNNING_VAR];
    vec2 share = share_of(cell, divisor, momentum);
    precise vec2 running = kept * vec2(running_mean_words[mean_at], running_var_words[var_at]) + share;
    running_mean_words[mean_at] = running.x;
    running_var_words[var_at] = running.y;
}

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    take_table();
    take_group(group);
    sharing shared_by = sharing_of(group);
    if (!shared_by.first)
        return;
    if (present(ST_STATS)) {
        learn_stats();
        return;
    }
    uint n = table[ST_N], in_at = table[ST_IN] + group;
    uint begin = table[ST_MEMBER], end = begin + table[ST_MEMBERS];
    bool in_order = (table[ST_UPDATE] & UPDATE_IN_ORDER) != 0u, last = end == shared_by.count;
    uint mean_at = bases[ST_RUNNING_MEAN], var_at = bases[ST_RUNNING_VAR];
    float divisor = float(n - ((table[ST_UPDATE] & UPDATE_BIASED) != 0u ? 0u : 1u));
    precise vec2 running = vec2(running_mean_words[mean_at], running_var_words[var_at]);
    vec4 sums = begin > 0u ? workspace[in_at] : vec4(0.0);
    vec4 scales = begin > 0u ? workspace[in_at + shared_by.step] : vec4(1.0);
    total sum_of_means = total(sums.x, sums.z, scales.x), sum_of_variances = total(sums.y, sums.w, scales.y);
    for (uint member = begin; member < end; ++member) {
        float momentum = momentum_of(in_order ? member : 0u);
        vec2 share = share_of(workspace[in_at + member * shared_by.step], divisor, momentum);
        precise vec2 updated = (1.0 - momentum) * running + share;
        running = in_order ? updated : running;
        sum_of_means = added(sum_of_means, share.x);
        sum_of_variances = added(sum_of_variances, share.y);
    }
    vec2 mean = vec2(mean_of(sum_of_means, shared_by.count), mean_of(sum_of_variances, shared_by.count));
    precise vec2 blended = (1.0 - momentum_of(0u)) * running + mean;
    running = in_order ? running : blended;
    if (!last && !in_order) {
        workspace[in_at] = vec4(sum_of_means.sum, sum_of_variances.sum, sum_of_means.lost, sum_of_variances.lost);
        workspace[in_at + shared_by.step] = vec4(sum_of_means.scale, sum_of_variances.scale, 0.0, 0.0);
    }
    if (last || in_order) {
        running_mean_words[mean_at] = running.x;
        running_var_words[var_at] = running.y;
    }
}
