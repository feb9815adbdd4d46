// Sums of backward that overflowed or have a term that lost something (a NaN): once more, the terms in wide floats, at
// the power of two that the largest of the chunk asks for; an invocation a chunk. Where nothing was lost, whatever was
// found in float stays.
#version 450
#define QUADS
#include "strided.glsl"

INPUT(dsum, ST_SUM)
INPUT(mean, ST_TO)
#include "wide_element.glsl"

// Exponents of the largest terms, which are found first, and what is taken off then.
ivec2 largest, taken;

struct wide_pair {
    wide first, second;
};

wide_pair gradient_terms(element e)
{
    uint at = PLACE(ST_WORKSPACE);
    vec4 cell = workspace[cells_begin + at], coefficients = vec4(0.0);
    bool to_h = output_kind == ST_SUM_DINPUT_BIAS || output_kind == ST_SUM_DGATE;
    if (to_h)
        coefficients = workspace[coefficients_begin + at];
    normalise(e, cell);
    wide_gradient d = load_wide_gradient(e);
    wide_pair pair = wide_pair(d.xhat, wide_mul(d.xhat, wide_of(e.xhat)));
    if (output_kind != ST_SUM_STATISTICS)
        pair.second = wide_of(0.0);
    if (output_kind == ST_SUM_DWEIGHT)
        pair.first = wide_mul(d.v1, wide_of(e.normalised));
    if (output_kind == ST_SUM_DBIAS)
        pair.first = d.v1;
    if (to_h) {
        wide dh = wide_dh(wide_dt(d.xhat, e.xhat, e.t, cell, coefficients), e);
        pair.first = wide_mul(dh, wide_of(output_kind == ST_SUM_DGATE ? e.u : e.gate));
    }
    return pair;
}

vec2 terms()
{
    element e = load_element();
    wide_pair pair = wide_pair(wide_of(0.0), wide_of(0.0));
    if (output_kind == ST_SUM_ABOUT_MEAN)
        pair.first = wide_sub(wide_of(e.t), wide_of(load_mean()));
    else
        pair = gradient_terms(e);
    largest = max(largest, ivec2(pair.first.e, pair.second.e));
    return vec2(wide_float(wide(pair.first.m, pair.first.e - taken.x)),
                wide_float(wide(pair.second.m, pair.second.e - taken.y)));
}

bool sums_are_lost(const vec4 sums)
{
    return !finite(sums.x) || !finite(sums.y);
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
    // A loop, since lavapipe jumps over one that has no iteration.
    for (bool lost = sums_are_lost(workspace[at]); lost; lost = false) {
        take_table();
        take_group(group);
        vec2 sums = vec2(0.0);
        largest = ivec2(WIDE_ZERO);
        taken = ivec2(0);
        for (uint pass = 0u; pass < 2u; ++pass) {
            sums = sum_chunk(begin, chunk_begin(chunk + 1u, n, run) - begin);
            taken = largest;
        }
        workspace[at] = wide_cell(wide_scaled(sums.x, taken.x), wide_scaled(sums.y, taken.y));
    }
}
