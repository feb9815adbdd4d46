// Two sums of chunks of four groups side by side, see quads.glsl; an invocation a chunk.
#version 450
#include "quad_columns.glsl"

layout(std430, set = 0, binding = ST_TO) readonly buffer Words_mean { float mean_words[]; };

uint mean_step, mean_lane;

// about_mean: a constant, so that one of the two is left.
sums4 column_terms(bool about_mean, uint e)
{
    if (about_mean) {
        uvec4 at = bases[ST_TO] + e * mean_step + mean_lane * uvec4(0u, 1u, 2u, 3u);
        precise vec4 d = load4_x(bases[ST_X] + e * x_step) -
                         vec4(mean_words[at.x], mean_words[at.y], mean_words[at.z], mean_words[at.w]);
        return sums4(d, vec4(0.0));
    }
    cells4 cell = fixed_cells;
    for (bool varies = cell_step != 0u; varies; varies = false)
        cell = cells_at(cells_begin + bases[ST_WORKSPACE] + e * cell_step, cell_lane);
    return terms4(column_gradient(e, cell));
}

sums4 column_lane_terms(bool about_mean, uint i, uint end)
{
    precise vec4 first = vec4(0.0), second = vec4(0.0);
    for (; i < end; i += 128u) {
        sums4 d[4];
        [[unroll]] for (uint s = 0u; s < 4u; ++s) {
            bvec4 inside = bvec4(i + 32u * s < end);
            sums4 terms = column_terms(about_mean, min(i + 32u * s, end - 1u));
            d[s].first = mix(vec4(0.0), terms.first, inside);
            d[s].second = mix(vec4(0.0), terms.second, inside);
        }
        first = first + four(d[0].first, d[1].first, d[2].first, d[3].first);
        second = second + four(d[0].second, d[1].second, d[2].second, d[3].second);
    }
    return sums4(first, second);
}

sums4 column_chunk(bool about_mean, uint begin, uint end)
{
    precise vec4 threads[8], others[8];
    for (uint t = 0u; t < 8u; ++t) {
        precise vec4 first = vec4(0.0), second = vec4(0.0);
        for (uint block = begin; block < end; block += BLOCK) {
            sums4 v[4];
            for (uint j = 0u; j < 4u; ++j)
                v[j & 3u] = column_lane_terms(about_mean, block + 4u * t + j, min(block + BLOCK, end));
            first = first + four(v[0].first, v[1].first, v[2].first, v[3].first);
            second = second + four(v[0].second, v[1].second, v[2].second, v[3].second);
        }
        threads[t & 7u] = first;
        others[t & 7u] = second;
    }
    precise vec4 first = four(threads[0], threads[4], threads[2], threads[6]) +
                         four(threads[1], threads[5], threads[3], threads[7]);
    precise vec4 second = four(others[0], others[4], others[2], others[6]) + four(others[1], others[5], others[3], others[7]);
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
    take_columns(group);
    mean_step = stride_of(ST_TO, group_rank);
    mean_lane = stride_of(ST_TO, lane);
    sums4 sums = sums4(vec4(0.0), vec4(0.0));
    // Loops, since lavapipe jumps over one that has no iteration but goes through both sides of a branch.
    for (bool once = output_kind == ST_SUM_ABOUT_MEAN; once; once = false)
        sums = column_chunk(true, begin, end);
    for (bool once = output_kind != ST_SUM_ABOUT_MEAN; once; once = false)
        sums = column_chunk(false, begin, end);
    uint out_at = table[ST_OUT] + chunk, outputs = table[ST_OUTPUTS];
    for (uint j = 0u; j < 4u; ++j)
        workspace[out_at + (group + j) * outputs] = vec4(sums.first[j & 3u], sums.second[j & 3u], 0.0, 0.0);
}
