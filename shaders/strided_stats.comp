// The statistics (m, r, M2, a) of chunks, docs/reduction.md step by step; an invocation a chunk.
#version 450
#define QUADS
#include "strided.glsl"

// What the elements are multiplied by and, after that, what is taken off.
float power, pivot;

vec2 terms()
{
    precise float z = load_element().t * power;
    precise float d = z - pivot;
    precise float square = d * d;
    return statistic == ABSOLUTES ? vec2(abs(z)) : vec2(d, square);
}

// The mean of the first 16 elements times the power (divided first: their sum may overflow), or the first of fewer.
// Nothing is read where it is not wanted.
float pivot_of(const uint begin, const uint length, const bool wanted)
{
    vec4 quads = vec4(0.0);
    uint count = length < 16u ? 1u : 4u;
    for (uint t = wanted ? 0u : count; t < count; ++t) {
        take_elements(begin + min(4u * t + uvec4(0u, 1u, 2u, 3u), uvec4(length - 1u)));
        vec4 quad = vec4(0.0);
        for (turn = 0u; turn < 4u; ++turn) {
            precise float z = load_element().t * power;
            precise float p = z * (length < 16u ? 1.0 : 0.0625);
            quad[turn & 3u] = p;
        }
        quads[t & 3u] = length < 16u ? quad.x : sum_quad(quad);
    }
    precise float k = (quads.x + quads.z) + (quads.y + quads.w);
    k = length < 16u ? quads.x : k;
    return finite_or_0(k);
}

// The power of a rescue, or 1. A small sum matters only beside a small eps: one that is added to a mean of squares or
// set against a norm or a deviation; both limits leave eps times the power finite.
float rescue(const float sum, const float eps)
{
    bool of_norm = eps_is_of_norm(table[ST_SCALE]);
    float limit = of_norm ? 1048576.0 : 1.0587911840678754e-22; // 2^20, 2^-73
    if (!finite(sum))
        return TINY;
    return sum < 8.271806125530277e-25 && eps < limit && abs(pivot) < 1048576.0 ? HUGE : 1.0; // 2^-80, 2^20
}

vec4 chunk_result(const uint begin, const uint length)
{
    bool moments = statistic == MOMENTS;
    float eps = table_float(ST_EPS);
    bool second = false, again = true, fresh = true; // fresh: the pivot is still to be found
    precise float c = 0.0, m2 = 0.0;
    power = 1.0;
    pivot = 0.0;
    while (again) {
        float first_mean = pivot_of(begin, length, moments && fresh);
        pivot = moments && fresh ? first_mean : pivot;
        vec2 sums = sum_chunk(begin, length);
        c = sums.x / float(length);
        precise float q = sums.x * c;
        precise float moved = pivot + c;
        m2 = sums.y - (moments ? q : 0.0);
        // Never a rescue after a second pass: it would put the bad pivot back.
        float wanted = power == 1.0 && !second ? rescue(sums.y, eps) : 1.0;
        fresh = wanted != 1.0;
        bool repeat = moments && !fresh && !second && q > m2 * 0.25;
        power = fresh ? wanted : power;
        pivot = repeat ? moved : pivot;
        second = second || repeat;
        again = fresh || repeat;
    }
    return moments ? vec4(mean_pair(pivot, c), m2 < 0.0 ? 0.0 : m2, power) : vec4(0.0, 0.0, m2, power);
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS];
    if (unit >= groups * table[ST_CHUNKS])
        return;
    uint group = table[ST_GROUP0] + unit % groups, chunk = table[ST_CHUNK0] + unit / groups;
    uint n = table[ST_N], run = table[ST_RUN];
    uint begin = chunk_begin(chunk, n, run);
    uint at = table[ST_OUT] + group * table[ST_OUTPUTS] + chunk;
    if (table[ST_OUTPUT] == ST_STATS_AGAIN && workspace[at].w != 0.0)
        return;
    take_table();
    take_group(group);
    workspace[at] =
        chunk_result(begin, chunk_begin(chunk + 1u, n, run) - begin);
}
