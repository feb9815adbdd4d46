// The outputs along the last dimension of a group's elements, see quads.glsl; an invocation a stretch of a group.
#version 450
#include "quad_apply.glsl"

// Quads of one run of the last dimension, from where places are.
void apply_run(uint count, cells4 cell)
{
    uint last = rank - 1u;
    uint weight_step = stride_of(ST_WEIGHT, last), bias_step = stride_of(ST_BIAS, last);
    uint addend_step = stride_of(ST_ADDEND, last);
    bool has_weight = present(ST_WEIGHT), has_bias = present(ST_BIAS), has_addend = EXTRAS != 0u && present(ST_ADDEND);
    precise vec4 factor = vec4(1.0), bias = vec4(0.0);
    // Loops, since lavapipe jumps over one that has no iteration. What repeats is read once.
    for (bool once = has_weight && weight_step == 0u; once; once = false)
        factor = weight_offset + load_lanes_weight(PLACE(ST_WEIGHT), 0u);
    for (bool once = has_bias && bias_step == 0u; once; once = false)
        bias = load_lanes_bias(PLACE(ST_BIAS), 0u);
    bool weight_varies = has_weight && weight_step != 0u, bias_varies = has_bias && bias_step != 0u;
    for (uint i = 0u; i < count; i += 4u) {
        for (bool once = weight_varies; once; once = false)
            factor = weight_offset + load_lanes_weight(PLACE(ST_WEIGHT) + i, 1u);
        for (bool once = bias_varies; once; once = false)
            bias = load_lanes_bias(PLACE(ST_BIAS) + i, 1u);
        precise vec4 v = normalised4(load4_x(PLACE(ST_X) + i), cell) * factor;
        precise vec4 shifted = v + bias;
        v = has_bias ? shifted : v;
        if (has_addend)
            v = v + load_lanes_addend(PLACE(ST_ADDEND) + i * addend_step, addend_step);
        store4_to(PLACE(ST_TO) + i, activation4(v));
    }
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
    uint count = 0u;
    for (uint e = begin; e < end; e += count) {
        take_elements(e);
        count = min(end - e, inner - e % inner);
        apply_run(count, cell);
    }
}
