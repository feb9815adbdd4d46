// Merges the results of up to 64 chunks, or of earlier merges, docs/reduction.md step by step; an invocation a merge.
#version 450
#include "strided.glsl"

// The list in hand, and what its inputs stand for.
uint list_begin, list_step, list_count, list_first, list_level, list_chunks, list_n, list_run, list_alike, list_counts;

vec4 input_cell(const uint i)
{
    return workspace[list_begin + i * list_step];
}

uint elements_before(const uint i)
{
    uint first = min((list_first + i) * list_level, list_chunks);
    return list_alike != 0u ? first : chunk_begin(first, list_n, list_run);
}

float elements_between(const uint i, const uint end)
{
    precise float counted = float(elements_before(end) - elements_before(i)) * float(max(list_alike, 1u));
    return counted;
}

float elements_of(const uint i)
{
    if (list_counts != 0u)
        return workspace[list_begin + list_counts + i].x;
    return elements_between(i, i + 1u);
}

float all_elements()
{
    if (list_counts == 0u)
        return elements_between(0u, list_count);
    vec2 counts;
    FOLD(counts, list_count, vec2(elements_of(i), 0.0))
    return counts.x;
}

// The first that has elements: of parts some may have none.
uint first_input()
{
    uint i = 0u;
    while (i + 1u < list_count && list_counts != 0u && elements_of(i) == 0.0)
        ++i;
    return i;
}

// a / of, exactly, for the powers that chunks are scaled by; 0 for 2^-196.
float ratio(const float a, const float of)
{
    return a == of ? 1.0 : a == 1.0 ? 7.888609052210118e-31 : of == 1.0 ? TINY : 0.0;
}

// What input i adds to the distance of the mean from k.
vec2 distance_of(const uint i, const float a, const float k)
{
    vec4 cell = input_cell(i);
    precise vec2 mr = cell.xy * ratio(a, cell.w);
    precise float d = elements_of(i) * ((mr.x - k) + mr.y);
    return vec2(d, 0.0);
}

// (m, r) about which the squares are merged.
vec2 merged_mean(const float a, const float all)
{
    vec4 first = input_cell(first_input());
    precise float k = first.x * ratio(a, first.w);
    k = finite_or_0(k);
    vec2 folded;
    FOLD(folded, list_count, distance_of(i, a, k))
    precise float c = folded.x / all;
    return mean_pair(k, c);
}

// What input i adds to the squares about the mean, and to the mean's distance from where it should be.
vec2 spread_of(const uint i, const float a, const vec2 mean)
{
    bool moments = statistic == MOMENTS, absolutes = statistic == ABSOLUTES;
    vec4 cell = input_cell(i);
    float f = ratio(a, cell.w);
    precise vec2 mr = cell.xy * f;
    precise float spread = (cell.z * f) * (absolutes ? 1.0 : f);
    precise float e = ((mr.x - mean.x) - mean.y) + mr.y;
    precise float w = elements_of(i) * e;
    precise float shifted = spread + w * e;
    return moments ? vec2(shifted, w) : vec2(spread, 0.0);
}

vec4 merge_scaled(const float a, const float all)
{
    bool moments = statistic == MOMENTS;
    vec2 mean = moments ? merged_mean(a, all) : vec2(0.0);
    vec2 folded;
    FOLD(folded, list_count, spread_of(i, a, mean))
    precise float rest = mean.y + (infinite(mean.x) ? 0.0 : folded.y / all);
    return moments ? vec4(mean_pair(mean.x, rest), folded.x, a) : vec4(0.0, 0.0, folded.x, a);
}

vec4 merge(const float all)
{
    float a = HUGE;
    for (uint i = 0u; i < list_count; ++i)
        a = min(a, input_cell(i).w);
    vec4 result = vec4(0.0);
    for (bool again = true; again;) {
        result = merge_scaled(a, all);
        again = !finite(result.z) && a != TINY;
        a = a == 1.0 ? TINY : 1.0;
    }
    return result;
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], outputs = table[ST_OUTPUTS], inputs = table[ST_INPUTS];
    if (unit >= groups * outputs)
        return;
    uint group = table[ST_GROUP0] + unit % groups, number = unit / groups;
    list_first = number * FAN;
    list_count = min(inputs - list_first, FAN);
    statistic = table[ST_STATISTIC];
    list_step = table[ST_STEP];
    list_begin = table[ST_IN] + group * table[ST_GROUP_STEP] + list_first * list_step;
    list_alike = table[ST_ALIKE];
    list_level = table[ST_LEVEL];
    list_chunks = table[ST_ALL_CHUNKS];
    list_n = table[ST_N];
    list_run = table[ST_RUN];
    list_counts = table[ST_COUNTS];
    float all = all_elements();
    vec4 merged = merge(all);
    uint to = table[ST_OUT] + group * outputs + number;
    workspace[to] = list_count == 1u || all == 0.0 ? input_cell(0u) : merged;
    if (list_counts != 0u)
        workspace[to + list_counts] = vec4(all, 0.0, 0.0, 0.0);
}
