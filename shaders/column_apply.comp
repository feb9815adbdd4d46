// The outputs of four groups side by side from the finished statistics, see quads.glsl; an invocation some rows of them.
#version 450
#include "quad_apply.glsl"

cells4 column_cells()
{
    uint at = cells_begin + bases[ST_WORKSPACE], step = table[ST_CELL_STRIDE + group_rank - 1u];
    vec4 a = workspace[at], b = workspace[at + step], c = workspace[at + 2u * step], d = workspace[at + 3u * step];
    return cells4(vec4(a.x, b.x, c.x, d.x), vec4(a.y, b.y, c.y, d.y), vec4(a.z, b.z, c.z, d.z), vec4(a.w, b.w, c.w, d.w));
}

void main()
{
    uint unit = unit_index(), quads = table[ST_GROUPS] / 4u, stretch = table[ST_STRETCH], elements = table[ST_ELEMENTS];
    uint first = unit / quads * stretch;
    if (first >= elements)
        return;
    take_table();
    take_group(table[ST_GROUP0] + unit % quads * 4u);
    cells4 cell = column_cells();
    uint last = group_rank - 1u, begin = table[ST_ELEMENT0] + first, end = begin + min(stretch, elements - first);
    precise vec4 factor = vec4(1.0), bias = vec4(0.0);
    bool has_bias = present(ST_BIAS), has_addend = present(ST_ADDEND);
    if (present(ST_WEIGHT))
        factor = weight_offset + load_lanes_weight(bases[ST_WEIGHT], stride_of(ST_WEIGHT, last));
    if (has_bias)
        bias = load_lanes_bias(bases[ST_BIAS], stride_of(ST_BIAS, last));
    uint x_step = stride_of(ST_X, group_rank), to_step = stride_of(ST_TO, group_rank);
    uint addend_step = stride_of(ST_ADDEND, group_rank), addend_lane = stride_of(ST_ADDEND, last);
    for (uint e = begin; e < end; ++e) {
        precise vec4 v = normalised4(load4_x(bases[ST_X] + e * x_step), cell) * factor;
        if (has_bias)
            v = v + bias;
        for (bool once = has_addend; once; once = false)
            v = v + load_lanes_addend(bases[ST_ADDEND] + e * addend_step, addend_lane);
        store4_to(bases[ST_TO] + e * to_step, activation4(v));
    }
}
