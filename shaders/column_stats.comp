// The statistics of chunks of four groups side by side, see quads.glsl; an invocation a chunk.
#version 450
#include "quads.glsl"

// Elements of four groups, a row each.
uint column_at, column_step;

vec4 column_row(const uint element)
{
    return load4_x(column_at + element * column_step);
}

vec4 column_pivot(const uint begin, const uint end)
{
    if (statistic != MOMENTS)
        return vec4(0.0);
    if (end - begin < 16u)
        return column_row(begin);
    precise vec4 f[4];
    for (uint t = 0u; t < 4u; ++t) {
        precise vec4 p[4];
        for (uint v = 0u; v < 4u; ++v)
            p[v & 3u] = column_row(begin + 4u * t + v) * 0.0625;
        f[t & 3u] = four(p[0], p[1], p[2], p[3]);
    }
    precise vec4 k = (f[0] + f[2]) + (f[1] + f[3]);
    return k;
}

struct sums4 {
    vec4 first, second;
};

// A lane of the tree in a block, from the group's element i on.
sums4 column_lane(uint i, uint end, vec4 k)
{
    precise vec4 first = vec4(0.0), second = vec4(0.0);
    for (; i < end; i += 128u) {
        precise vec4 d[4], square[4];
        [[unroll]] for (uint s = 0u; s < 4u; ++s) {
            uint at = i + 32u * s;
            precise vec4 value = column_row(min(at, end - 1u)) - k;
            d[s] = at < end ? value : vec4(0.0);
            square[s] = d[s] * d[s];
        }
        first = first + four(d[0], d[1], d[2], d[3]);
        second = second + four(square[0], square[1], square[2], square[3]);
    }
    return sums4(first, second);
}

sums4 column_sums(uint begin, uint end, vec4 k)
{
    precise vec4 threads[8], squares[8];
    for (uint t = 0u; t < 8u; ++t) {
        precise vec4 first = vec4(0.0), second = vec4(0.0);
        for (uint block = begin; block < end; block += BLOCK) {
            uint stop = min(block + BLOCK, end);
            sums4 v[4];
            for (uint j = 0u; j < 4u; ++j)
                v[j & 3u] = column_lane(block + 4u * t + j, stop, k);
            first = first + four(v[0].first, v[1].first, v[2].first, v[3].first);
            second = second + four(v[0].second, v[1].second, v[2].second, v[3].second);
        }
        threads[t & 7u] = first;
        squares[t & 7u] = second;
    }
    vec4 even = four(threads[0], threads[4], threads[2], threads[6]);
    vec4 odd = four(threads[1], threads[5], threads[3], threads[7]);
    vec4 even_squares = four(squares[0], squares[4], squares[2], squares[6]);
    vec4 odd_squares = four(squares[1], squares[5], squares[3], squares[7]);
    precise vec4 first = even + odd;
    precise vec4 second = even_squares + odd_squares;
    return sums4(first, second);
}

void main()
{
    uint unit = unit_index(), quads = table[ST_GROUPS] / 4u;
    if (unit >= table[ST_CHUNKS] * quads)
        return;
    uint group = table[ST_GROUP0] + unit % quads * 4u, chunk = table[ST_CHUNK0] + unit / quads;
    uint n = table[ST_N], run = table[ST_RUN];
    uint begin = chunk_begin(chunk, n, run), end = chunk_begin(chunk + 1u, n, run);
    take_table();
    take_group(group);
    column_at = bases[ST_X];
    column_step = stride_of(ST_X, group_rank);
    vec4 k = column_pivot(begin, end);
    sums4 s = column_sums(begin, end, k);
    uint out_at = table[ST_OUT] + chunk, outputs = table[ST_OUTPUTS];
    for (uint j = 0u; j < 4u; ++j)
        workspace[out_at + (group + j) * outputs] = chunk_cell(s.first[j & 3u], s.second[j & 3u], k[j & 3u], end - begin);
}
