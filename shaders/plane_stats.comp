// The statistics of chunks along the last dimension of their elements, see quads.glsl; an invocation a chunk.
#version 450
#include "quads.glsl"

LOAD_LANES(x, ST_X)

uint inner; // the extent of the last dimension

// Elements from here to the end of the last dimension lie side by side, the next ones elsewhere. Of those from `end` on
// any value will do.
vec4 plane_quad(const uint element, const uint end)
{
    bool together = element % inner + 4u <= inner;
    vec4 v = vec4(0.0);
    take_elements(element);
    // Loops, since lavapipe jumps over one that has no iteration but goes through both sides of a branch.
    for (bool once = together; once; once = false)
        v = load4_x(PLACE(ST_X));
    for (uint j = together ? 4u : 0u; j < 4u; ++j) {
        take_elements(min(element + j, end - 1u));
        v[j & 3u] = load_lanes_x(PLACE(ST_X), 0u).x;
    }
    return v;
}

float plane_pivot(const uint begin, const uint end)
{
    if (statistic != MOMENTS)
        return 0.0;
    if (end - begin < 16u)
        return plane_quad(begin, end).x;
    vec4 f = vec4(0.0);
    for (uint t = 0u; t < 4u; ++t) {
        precise vec4 p = plane_quad(begin + 4u * t, end) * 0.0625;
        f[t & 3u] = sum_lanes(p);
    }
    precise float k = (f.x + f.z) + (f.y + f.w);
    return k;
}

// Four lanes of the tree: elements i, i + 32, ... of the block that ends at `end` and may cut the last quad. within: the block
// lies in one run of the last dimension, in whole quads, `at` is the place of element i.
vec2 plane_lanes(const bool within, const uint at, const uint i, const uint end, const float k)
{
    precise vec4 first = vec4(0.0), second = vec4(0.0);
    for (uint step = 0u; i + step < end; step += 128u) {
        uvec4 ahead = step + uvec4(0u, 32u, 64u, 96u);
        vec4 quads[4];
        [[unroll]] for (uint s = 0u; s < 4u; ++s) {
            bool wanted = i + ahead[s] < end;
            quads[s] = vec4(0.0);
            for (bool once = within && wanted; once; once = false)
                quads[s] = load4_x(at + ahead[s]);
            for (bool once = !within && wanted; once; once = false)
                quads[s] = plane_quad(i + ahead[s], end);
        }
        precise vec4 d[4], square[4];
        [[unroll]] for (uint s = 0u; s < 4u; ++s) {
            precise vec4 value = quads[s] - k;
            d[s] = mix(vec4(0.0), value, lessThan(i + ahead[s] + uvec4(0u, 1u, 2u, 3u), uvec4(end)));
            square[s] = d[s] * d[s];
        }
        first = first + four(d[0], d[1], d[2], d[3]);
        second = second + four(square[0], square[1], square[2], square[3]);
    }
    return vec2(sum_lanes(first), sum_lanes(second));
}

vec2 plane_sums(const uint begin, const uint end, const float k)
{
    precise vec2 threads[8];
    [[unroll]] for (uint t = 0u; t < 8u; ++t)
        threads[t] = vec2(0.0);
    for (uint block = begin; block < end; block += BLOCK) {
        uint stop = min(block + BLOCK, end);
        bool within = block % inner + (stop - block) <= inner && (stop - block) % 4u == 0u;
        take_elements(block);
        uint at = PLACE(ST_X);
        for (uint t = 0u; t < 8u && block + 4u * t < stop; ++t) {
            precise vec2 total = threads[t & 7u] + plane_lanes(within, at + 4u * t, block + 4u * t, stop, k);
            threads[t & 7u] = total;
        }
    }
    precise vec2 even = (threads[0] + threads[4]) + (threads[2] + threads[6]);
    precise vec2 odd = (threads[1] + threads[5]) + (threads[3] + threads[7]);
    precise vec2 sums = even + odd;
    return sums;
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS];
    if (unit >= table[ST_CHUNKS] * groups)
        return;
    uint group = table[ST_GROUP0] + unit % groups, chunk = table[ST_CHUNK0] + unit / groups;
    uint n = table[ST_N], run = table[ST_RUN];
    uint begin = chunk_begin(chunk, n, run), end = chunk_begin(chunk + 1u, n, run);
    take_table();
    take_group(group);
    inner = extent_of(rank - 1u);
    float k = plane_pivot(begin, end);
    vec2 s = plane_sums(begin, end, k);
    workspace[table[ST_OUT] + group * table[ST_OUTPUTS] + chunk] = chunk_cell(s.x, s.y, k, end - begin);
}
