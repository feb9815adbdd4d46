// Four groups side by side in backward: each tensor's step from element to element, and what repeats over the elements.
#include "quad_backward.glsl"

uint lane, x_step, dy_step, addend_step, dy_lane, addend_lane, cell_step, cell_lane;
vec4 factor = vec4(1.0), bias = vec4(0.0);
cells4 fixed_cells;

void take_columns(const uint group)
{
    take_group(group);
    lane = group_rank - 1u;
    x_step = stride_of(ST_X, group_rank);
    dy_step = stride_of(ST_DY, group_rank);
    addend_step = stride_of(ST_ADDEND, group_rank);
    dy_lane = stride_of(ST_DY, lane);
    addend_lane = stride_of(ST_ADDEND, lane);
    cell_step = table[ST_CELL_STRIDE + group_rank];
    cell_lane = table[ST_CELL_STRIDE + lane];
    if (present(ST_WEIGHT)) {
        precise vec4 offset = weight_offset + load_lanes_weight(bases[ST_WEIGHT], stride_of(ST_WEIGHT, lane));
        factor = offset;
    }
    if (present(ST_BIAS))
        bias = load_lanes_bias(bases[ST_BIAS], stride_of(ST_BIAS, lane));
    fixed_cells = cells_at(cells_begin + bases[ST_WORKSPACE], cell_lane);
}

// place: the element.
vec4 shifted4(const vec4 v, const uint place)
{
    precise vec4 shifted = v + bias;
    shifted = present(ST_BIAS) ? shifted : v;
    if (present(ST_ADDEND))
        shifted = shifted + load_lanes_addend(bases[ST_ADDEND] + place * addend_step, addend_lane);
    return shifted;
}

gradient4 column_gradient(uint e, cells4 cell)
{
    return gradient4_of(load4_x(bases[ST_X] + e * x_step), load_lanes_dy(bases[ST_DY] + e * dy_step, dy_lane), factor, e,
                        cell);
}
