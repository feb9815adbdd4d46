// Finished sums to their tensor, the gradient of a parameter or both sums to sums; an invocation a group, of a gradient
// an element of the parameter.
#version 450
#include "strided.glsl"

OUTPUT(to, ST_TO)

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    take_table();
    take_group(group);
    vec2 sums = both_sums(workspace[table[ST_IN] + group]);
    uint row = table[ST_SUMS_ROW];
    store_to(bases[ST_TO] + ROW_G * row, sums.x);
    if (row != 0u)
        store_to(bases[ST_TO] + ROW_GX * row, sums.y);
}
