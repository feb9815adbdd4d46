// The outputs along the last dimension of a group's elements, see quads.glsl; an invocation a stretch of a group.
#version 450
#include "quad_apply.glsl"

LOAD_LANES(x, ST_X)

// Steps along the last dimension.
uint weight_step, bias_step, addend_step;
bool has_weight, has_bias, has_addend;
vec4 factor = vec4(1.0), bias = vec4(0.0); // `precise` here and glslc writes invalid SPIR-V

vec4 offset_weight(const vec4 weight)
{
    precise vec4 sum = weight_offset + weight;
    return sum;
}

// Of what repeats along the run, weight and bias are read once. Loops, since lavapipe jumps over one that has no iteration.
void begin_run()
{
    for (bool once = has_weight && weight_step == 0u; once; once = false)
        factor = offset_weight(load_lanes_weight(PLACE(ST_WEIGHT), 0u));
    for (bool once = has_bias && bias_step == 0u; once; once = false)
        bias = load_lanes_bias(PLACE(ST_BIAS), 0u);
}

// y of x, which is element i of the run and, with `lanes`, the three behind it.
vec4 apply_lanes(const vec4 x, const cells4 cell, const uint i, const uint lanes)
{
    for (bool once = has_weight && weight_step != 0u; once; once = false)
        factor = offset_weight(load_lanes_weight(PLACE(ST_WEIGHT) + i, lanes));
    for (bool once = has_bias && bias_step != 0u; once; once = false)
        bias = load_lanes_bias(PLACE(ST_BIAS) + i, lanes);
    precise vec4 v = normalised4(x, cell) * factor;
    precise vec4 shifted = v + bias;
    v = has_bias ? shifted : v;
    for (bool once = has_addend; once; once = false)
        v = v + load_lanes_addend(PLACE(ST_ADDEND) + i * addend_step, lanes & addend_step);
    return activation4(v);
}

void apply_run(const uint count, const cells4 cell)
{
    uint whole = count & ~3u;
    begin_run();
    for (uint i = 0u; i < whole; i += 4u)
        store4_to(PLACE(ST_TO) + i, apply_lanes(load4_x(PLACE(ST_X) + i), cell, i, 1u));
    for (uint i = whole; i < count; ++i)
        store_to(PLACE(ST_TO) + i, apply_lanes(load_lanes_x(PLACE(ST_X) + i, 0u), cell, i, 0u).x);
}

void main()
{
    uint unit = unit_index(), stretch = table[ST_STRETCH], elements = table[ST_ELEMENTS];
    uint pieces = (elements + stretch - 1u) / stretch, first = unit % pieces * stretch, group = unit / pieces;
    if (group >= table[ST_GROUPS])
        return;
    take_table();
    take_group(table[ST_GROUP0] + group);
    vec4 c = workspace[cells_begin + bases[ST_WORKSPACE]];
    cells4 cell = cells4(vec4(c.x), vec4(c.y), vec4(c.z), vec4(c.w));
    uint begin = table[ST_ELEMENT0] + first, end = begin + min(stretch, elements - first), inner = extent_of(rank - 1u);
    uint count = 0u, last = rank - 1u;
    weight_step = stride_of(ST_WEIGHT, last);
    bias_step = stride_of(ST_BIAS, last);
    addend_step = stride_of(ST_ADDEND, last);
    has_weight = present(ST_WEIGHT);
    has_bias = present(ST_BIAS);
    has_addend = present(ST_ADDEND);
    for (uint e = begin; e < end; e += count) {
        take_elements(e);
        count = min(end - e, inner - e % inner);
        apply_run(count, cell);
    }
}
