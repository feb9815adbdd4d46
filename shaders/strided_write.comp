// Finished sums to their tensor, the gradient of a parameter; an invocation a group, here an element of the parameter.
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
    store_to(bases[ST_TO], workspace[table[ST_IN] + group].x);
}
