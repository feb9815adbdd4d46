// The statistics of chunks along the last dimension of their elements, see quads.glsl; an invocation a chunk.
#version 450
#include "quads.glsl"

vec4 plane_quad(uint element)
{
    take_elements(element);
    return load4_x(PLACE(ST_X));
}

float plane_pivot(uint begin, uint end)
{
    if (statistic != MOMENTS)
        return 0.0;
    if (end - begin < 16u)
        return plane_quad(begin).x;
    vec4 f = vec4(0.0);
    for (uint t = 0u; t < 4u; ++t) {
        precise vec4 p = plane_quad(begin + 4u * t) * 0.0625;
        f[t & 3u] = sum_lanes(p);
    }
    precise float k = (f.x + f.z) + (f.y + f.w);
    return k;
}

// Four lanes of the tree: elements i, i + 32, ... of the block that ends at `end`. `within` of them: the block lies in one
// run of the last dimension, `at` is the place of element i.
vec2 plane_lanes(bool within, uint at, uint i, uint end, float k)
{
    precise vec4 first = vec4(0.0), second = vec4(0.0);
    uint left = end - i - 4u; // to the last quad
    for (uint step = 0u; i + step < end; step += 128u) {
        uvec4 ahead = min(step + uvec4(0u, 32u, 64u, 96u), uvec4(left));
        vec4 quads[4];
        // Loops, since lavapipe jumps over one that has no iteration but goes through both sides of a branch.
        for (bool once = within; once; once = false) {
            [[unroll]] for (uint s = 0u; s < 4u; ++s)
                quads[s] = load4_x(at + ahead[s]);
        }
        for (bool once = !within; once; once = false) {
            [[unroll]] for (uint s = 0u; s < 4u; ++s)
                quads[s] = plane_quad(i + ahead[s]);
        }
        precise vec4 d[4], square[4];
        [[unroll]] for (uint s = 0u; s < 4u; ++s) {
            precise vec4 value = quads[s] - k;
            d[s] = step + 32u * s <= left ? value : vec4(0.0);
            square[s] = d[s] * d[s];
        }
        first = first + four(d[0], d[1], d[2], d[3]);
        second = second + four(square[0], square[1], square[2], square[3]);
    }
    return vec2(sum_lanes(first), sum_lanes(second));
}

vec2 plane_sums(uint begin, uint end, float k)
{
    precise vec2 threads[8];
    uint inner = extent_of(rank - 1u);
    [[unroll]] for (uint t = 0u; t < 8u; ++t)
        threads[t] = vec2(0.0);
    for (uint block = begin; block < end; block += BLOCK) {
        uint stop = min(block + BLOCK, end);
        bool within = block % inner + (stop - block) <= inner;
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
    float k = plane_pivot(begin, end);
    vec2 s = plane_sums(begin, end, k);
    workspace[table[ST_OUT] + group * table[ST_OUTPUTS] + chunk] = chunk_cell(s.x, s.y, k, end - begin);
}
