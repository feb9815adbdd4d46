// A gradient of x's shape along the last dimension of a group's elements, see quads.glsl; an invocation a stretch of a group.
#version 450
#include "quad_planes.glsl"
#include "quad_store.glsl"

vec4 plane_result(const uint lanes, const cells4 cell, const cells4 coefficients)
{
    gradient4 d = plane_gradient(lanes, cell);
    vec4 dx = dx4(d, cell, coefficients);
    return output_kind == ST_OUT_DX ? dx : d.dv2;
}

void main()
{
    uint unit = unit_index(), stretch = table[ST_STRETCH], elements = table[ST_ELEMENTS];
    uint pieces = (elements + stretch - 1u) / stretch, first = unit % pieces * stretch, group = unit / pieces;
    if (group >= table[ST_GROUPS])
        return;
    take_table();
    take_group(table[ST_GROUP0] + group);
    inner = extent_of(rank - 1u);
    uint begin = table[ST_ELEMENT0] + first, end = begin + min(stretch, elements - first);
    take_elements(begin);
    cells4 cell = plane_cells(cells_begin), coefficients = cells4(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    if (output_kind == ST_OUT_DX)
        coefficients = plane_cells(coefficients_begin);
    bool quad = false;
    for (uint e = begin; e < end; e += quad ? 4u : 1u) {
        quad = e + 4u <= end && e % inner + 4u <= inner;
        take_elements(e);
        for (bool once = quad; once; once = false)
            store4_to(PLACE(ST_TO), plane_result(1u, cell, coefficients));
        for (bool once = !quad; once; once = false)
            store_to(PLACE(ST_TO), plane_result(0u, cell, coefficients).x);
    }
}
