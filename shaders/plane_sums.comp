// Two sums of chunks along the last dimension of their elements, see quads.glsl; an invocation a chunk.
#version 450
#include "quad_planes.glsl"

layout(std430, set = 0, binding = ST_TO) readonly buffer Words_mean { float mean_words[]; };

// about_mean, lanes: constants.
sums4 plane_terms(bool about_mean, uint lanes)
{
    if (about_mean) {
        uvec4 at = PLACE(ST_TO) + (lanes & stride_of(ST_TO, rank - 1u)) * uvec4(0u, 1u, 2u, 3u);
        precise vec4 d = lanes_of_x(lanes) - vec4(mean_words[at.x], mean_words[at.y], mean_words[at.z], mean_words[at.w]);
        return sums4(d, vec4(0.0));
    }
    return terms4(plane_gradient(lanes, plane_cells(cells_begin)));
}

// Those of elements e .. e + 3 that lie before end.
sums4 plane_quad_terms(bool about_mean, uint e, uint end)
{
    sums4 sums = sums4(vec4(0.0), vec4(0.0));
    bool together = e + 4u <= end && e % inner + 4u <= inner;
    // Loops, since lavapipe jumps over one that has no iteration but goes through both sides of a branch.
    for (bool once = together; once; once = false) {
        take_elements(e);
        sums = plane_terms(about_mean, 1u);
    }
    for (uint j = together ? 4u : 0u; j < 4u && e + j < end; ++j) {
        take_elements(e + j);
        sums4 one = plane_terms(about_mean, 0u);
        sums.first[j & 3u] = one.first.x;
        sums.second[j & 3u] = one.second.x;
    }
    return sums;
}

vec2 plane_lane_terms(const bool about_mean, uint i, const uint end)
{
    precise vec4 first = vec4(0.0), second = vec4(0.0);
    for (; i < end; i += 128u) {
        sums4 d[4];
        for (uint s = 0u; s < 4u; ++s)
            d[s & 3u] = plane_quad_terms(about_mean, i + 32u * s, end);
        first = first + four(d[0].first, d[1].first, d[2].first, d[3].first);
        second = second + four(d[0].second, d[1].second, d[2].second, d[3].second);
    }
    return vec2(sum_lanes(first), sum_lanes(second));
}

vec2 plane_chunk(const bool about_mean, const uint begin, const uint end)
{
    precise vec2 threads[8];
    for (uint t = 0u; t < 8u; ++t) {
        precise vec2 total = vec2(0.0);
        for (uint block = begin; block < end; block += BLOCK)
            total = total + plane_lane_terms(about_mean, block + 4u * t, min(block + BLOCK, end));
        threads[t & 7u] = total;
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
    vec2 sums = vec2(0.0);
    for (bool once = output_kind == ST_SUM_ABOUT_MEAN; once; once = false)
        sums = plane_chunk(true, begin, end);
    for (bool once = output_kind != ST_SUM_ABOUT_MEAN; once; once = false)
        sums = plane_chunk(false, begin, end);
    workspace[table[ST_OUT] + group * table[ST_OUTPUTS] + chunk] = vec4(sums, 0.0, 0.0);
}
