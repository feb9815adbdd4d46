// The sums of backward over chunks, in the tree of the statistics; an invocation a chunk.
#version 450
#define QUADS
#include "strided.glsl"

INPUT(dsum, ST_SUM)
INPUT(mean, ST_TO)

// Sums of backward proper. NaN for what lost something on the way: strided_rescue.
vec2 gradient_terms(element e)
{
    bool to_h = output_kind == ST_SUM_DINPUT_BIAS || output_kind == ST_SUM_DGATE;
    uint at = PLACE(ST_WORKSPACE);
    vec4 cell = workspace[cells_begin + at];
    normalise(e, cell);
    gradient d = load_gradient(e);
    float value = d.v0, factor = 1.0;
    if (to_h) {
        through_statistics(d, e, cell, workspace[coefficients_begin + at]);
        precise float dh = d.h;
        if (present(ST_SUM))
            dh = dh + load_dsum();
        value = dh;
        factor = output_kind == ST_SUM_DGATE ? e.u : e.gate;
    }
    value = output_kind == ST_SUM_STATISTICS ? d.xhat : value;
    factor = output_kind == ST_SUM_STATISTICS ? e.xhat : output_kind == ST_SUM_DWEIGHT ? e.normalised : factor;
    precise float product = value * factor;
    vec2 result = output_kind == ST_SUM_STATISTICS ? vec2(value, product) : vec2(product, 0.0);
    return d.lost || is_lost(product, value, factor) ? vec2(uintBitsToFloat(0x7fc00000u)) : result;
}

vec2 terms()
{
    element e = load_element();
    vec2 result = vec2(0.0);
    if (output_kind == ST_SUM_ABOUT_MEAN) {
        precise float offset = e.t - load_mean();
        result.x = offset;
    } else {
        result = gradient_terms(e);
    }
    return result;
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS];
    if (unit >= groups * table[ST_CHUNKS])
        return;
    uint group = table[ST_GROUP0] + unit % groups, chunk = table[ST_CHUNK0] + unit / groups;
    uint n = table[ST_N], run = table[ST_RUN];
    uint begin = chunk_begin(chunk, n, run);
    take_table();
    take_group(group);
    vec2 sums = sum_chunk(begin, chunk_begin(chunk + 1u, n, run) - begin);
    workspace[table[ST_OUT] + group * table[ST_OUTPUTS] + chunk] = vec4(sums, 0.0, 0.0);
}
