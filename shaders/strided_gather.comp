// The parts of batch_norm_merge into the lists that are merged, an invocation a part of a group: cells and their counts,
// or with no counts the two sums of backward.
#version 450
#include "strided.glsl"

layout(std430, set = 0, binding = ST_PARTS) readonly buffer Parts { float parts_words[]; };

float load_row(const uint row)
{
    return parts_words[PLACE(ST_PARTS) + row * table[ST_ROW]];
}

void main()
{
    uint unit = unit_index(), elements = table[ST_ELEMENTS], counts = table[ST_COUNTS];
    if (unit >= table[ST_GROUPS] * elements)
        return;
    uint group = table[ST_GROUP0] + unit / elements, part = table[ST_ELEMENT0] + unit % elements;
    uint at = table[ST_OUT] + group * table[ST_OUTPUTS] + part;
    take_table();
    take_group(group);
    take_elements(part);
    if (counts == 0u) {
        workspace[at] = vec4(load_row(ROW_G), load_row(ROW_GX), 0.0, 0.0);
    } else {
        float count = load_row(ROW_COUNT);
        vec4 cell = vec4(load_row(ROW_MEAN), load_row(ROW_MEAN_LOW), load_row(ROW_M2), load_row(ROW_SCALE));
        // One without elements changes nothing, whatever it holds.
        workspace[at] = count == 0.0 ? vec4(0.0, 0.0, 0.0, HUGE) : cell;
        workspace[at + counts] = vec4(count, 0.0, 0.0, 0.0);
    }
}
