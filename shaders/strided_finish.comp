// Finishes groups: their (m, r, s, a), mean and rstd; an invocation a group.
#version 450
#include "strided.glsl"

layout(std430, set = 0, binding = ST_MEAN) buffer Mean { float mean_words[]; };
layout(std430, set = 0, binding = ST_RSTD) buffer Rstd { float rstd_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_MEAN) readonly buffer RunningMean { float running_mean_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_VAR) readonly buffer RunningVar { float running_var_words[]; };

layout(std430, set = 0, binding = ST_STATS) buffer Stats { float stats_words[]; };
layout(std430, set = 0, binding = ST_MERGED_SUMS) readonly buffer Sums { float sums_words[]; };

// s from M2, the sum of squares about the mean, or from the sum of absolutes.
float factor_of(const vec4 cell, const float eps, const float count)
{
    uint scale = table[ST_SCALE];
    precise float limit = eps * cell.w;
    precise float squares = scale == SCALE_VARIANCE || scale == SCALE_DEVIATION ? cell.z / count : cell.z;
    precise float shifted = squares + limit * cell.w;
    float norm = statistic == ABSOLUTES ? cell.z : root_of(squares);
    precise float added = norm + limit;
    float larger = norm > limit || is_nan(norm) ? norm : limit;
    float root = root_of(shifted);
    bool adds = scale == SCALE_ADD || scale == SCALE_DEVIATION;
    return reciprocal_of(scale == SCALE_MAX ? larger : adds ? added : root);
}

// A cell of given statistics at a scale at which t - m and t - m - r are finite, and s has its digits.
vec4 within_range(const vec4 cell)
{
    float a = abs(cell.x) > 1.329227995784916e36 ? 0.25 : 1.0;        // 2^120
    a = cell.z < 7.888609052210118e-31 ? 2.3283064365386963e-10 : a; // 2^-100, 2^-32
    precise vec4 scaled = vec4(cell.xy * a, cell.z * (1.0 / a), a);
    return a == 1.0 ? cell : scaled;
}

// (m, r, s, a) from the statistics that are given: running ones, or those that forward saved. A saved float32 mean is
// corrected by the sum of x - mean, but where one of them is infinite.
vec4 given_cell(const uint group, const float eps)
{
    if (statistic == GIVEN) {
        precise float shifted = running_var_words[bases[ST_RUNNING_VAR]] + eps;
        return vec4(running_mean_words[bases[ST_RUNNING_MEAN]], 0.0, reciprocal_of(root_of(shifted)), 1.0);
    }
    vec2 mean = vec2(0.0);
    if (statistic == MOMENTS) {
        wide sum = wide_first(workspace[table[ST_IN] + group]);
        precise float share = finite_or_0(sum.m) / float(table[ST_N]);
        mean = two_sum(mean_words[bases[ST_MEAN]], wide_float(wide_scaled(share, sum.e)));
    }
    return vec4(mean, rstd_words[bases[ST_RSTD]], 1.0);
}

float load_stats(const uint row)
{
    return stats_words[bases[ST_STATS] + row * table[ST_ROW]];
}

void store_stats(const vec4 cell, const float count)
{
    uint at = bases[ST_STATS], row = table[ST_ROW];
    stats_words[at + ROW_COUNT * row] = count;
    stats_words[at + ROW_MEAN * row] = cell.x;
    stats_words[at + ROW_MEAN_LOW * row] = cell.y;
    stats_words[at + ROW_M2 * row] = cell.z;
    stats_words[at + ROW_SCALE * row] = count == 0.0 ? 0.0 : cell.w;
}

// From the stats. They may have been made with a smaller eps than this, which would overflow at their scale.
vec4 given_stats(const float eps, out float count)
{
    vec4 cell = vec4(load_stats(ROW_MEAN), load_stats(ROW_MEAN_LOW), load_stats(ROW_M2), load_stats(ROW_SCALE));
    count = load_stats(ROW_COUNT);
    precise vec4 small = vec4(cell.xy / HUGE, (cell.z / HUGE) / HUGE, 1.0);
    if (cell.w == HUGE && eps >= 1.0587911840678754e-22) // 2^-73
        cell = small;
    return count == 0.0 ? vec4(vec3(uintBitsToFloat(0x7fc00000u)), 1.0) : cell;
}

// The cell from the lists or from the stats, which goes into the stats.
vec4 found_cell(const uint group, const float eps)
{
    uint counts = table[ST_COUNTS], at = table[ST_IN] + group;
    bool given = output_kind == ST_FINISH_STATS;
    float count = float(table[ST_N]);
    vec4 cell;
    if (given) {
        cell = given_stats(eps, count);
    } else {
        cell = workspace[at];
        if (counts != 0u)
            count = workspace[at + counts].x;
    }
    if (present(ST_STATS) && !given)
        store_stats(cell, count);
    if (given && present(ST_MERGED_SUMS)) {
        uint sums = bases[ST_MERGED_SUMS], row = table[ST_SUMS_ROW];
        precise vec2 means = vec2(sums_words[sums + ROW_G * row], sums_words[sums + ROW_GX * row]) / count;
        workspace[coefficients_begin + group] = vec4(means, 0.0, 0.0);
    }
    return vec4(cell.xy, factor_of(cell, eps, count), cell.w);
}

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    take_table();
    take_group(group);
    float eps = table_float(ST_EPS);
    bool saved = output_kind == ST_FINISH_SAVED, of_rstd = output_kind == ST_FINISH_RSTD;
    vec4 finished;
    if (statistic == GIVEN || saved)
        finished = given_cell(group, eps);
    else
        finished = found_cell(group, eps);
    precise float saved_factor = (of_rstd ? rstd_words[bases[ST_RSTD]] : 0.0) / finished.w;
    finished.z = of_rstd ? saved_factor : finished.z;
    workspace[cells_begin + group] = statistic == GIVEN || saved ? within_range(finished) : finished;
    precise float mean = finished.x / finished.w, rstd = finished.z * finished.w;
    if (present(ST_MEAN) && !saved && !of_rstd)
        mean_words[bases[ST_MEAN]] = mean;
    if (present(ST_RSTD) && !saved && !of_rstd)
        rstd_words[bases[ST_RSTD]] = rstd;
}
