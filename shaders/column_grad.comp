// A gradient of x's shape of four groups side by side, see quads.glsl; an invocation some rows of them.
#version 450
#include "quad_columns.glsl"
#include "quad_store.glsl"

void main()
{
    uint unit = unit_index(), quads = table[ST_GROUPS] / 4u, stretch = table[ST_STRETCH], elements = table[ST_ELEMENTS];
    uint first = unit / quads * stretch;
    if (first >= elements)
        return;
    take_table();
    take_columns(table[ST_GROUP0] + unit % quads * 4u);
    cells4 coefficients = cells4(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    if (output_kind == ST_OUT_DX)
        coefficients = cells_at(coefficients_begin + bases[ST_WORKSPACE], cell_lane);
    uint begin = table[ST_ELEMENT0] + first, end = begin + min(stretch, elements - first), to_step = stride_of(ST_TO, group_rank);
    for (uint e = begin; e < end; ++e) {
        gradient4 d = column_gradient(e, fixed_cells);
        vec4 dx = dx4(d, fixed_cells, coefficients);
        store4_to(bases[ST_TO] + e * to_step, output_kind == ST_OUT_DX ? dx : d.dv2);
    }
}
