// Neighbours along the last dimension of a group's elements in backward.
#include "quad_backward.glsl"

uint inner; // the extent of the last dimension

// lanes: a constant, here and below.
vec4 lanes_of_x(const uint lanes)
{
    return lanes != 0u ? load4_x(PLACE(ST_X)) : load_lanes_x(PLACE(ST_X), 0u);
}

// place: whether there are neighbours, as `lanes` below.
vec4 shifted4(const vec4 v, const uint place)
{
    precise vec4 shifted = v;
    if (present(ST_BIAS))
        shifted = shifted + load_lanes_bias(PLACE(ST_BIAS), place & stride_of(ST_BIAS, rank - 1u));
    if (present(ST_ADDEND))
        shifted = shifted + load_lanes_addend(PLACE(ST_ADDEND), place & stride_of(ST_ADDEND, rank - 1u));
    return shifted;
}

// Of the element that is taken and, with `lanes`, of the three behind it.
gradient4 plane_gradient(uint lanes, cells4 cell)
{
    uint last = rank - 1u;
    vec4 factor = vec4(1.0);
    if (present(ST_WEIGHT)) {
        precise vec4 offset = weight_offset + load_lanes_weight(PLACE(ST_WEIGHT), lanes & stride_of(ST_WEIGHT, last));
        factor = offset;
    }
    vec4 dy = load_lanes_dy(PLACE(ST_DY), lanes & stride_of(ST_DY, last));
    return gradient4_of(lanes_of_x(lanes), dy, factor, lanes, cell);
}

cells4 plane_cells(uint list)
{
    vec4 c = workspace[list + PLACE(ST_WORKSPACE)];
    return cells4(vec4(c.x), vec4(c.y), vec4(c.z), vec4(c.w));
}
