// num_batches_tracked grows, by one invocation.
#version 450
#include "strided.glsl"
#include "batches.glsl"

void main()
{
    if (unit_index() > 0u)
        return;
    take_table();
    take_group(0u);
    uint at = bases[ST_NUM_BATCHES_TRACKED];
    uvec2 batches = batches_and(table[ST_MEMBERS]);
    batches_words[at] = batches.x;
    batches_words[at + 1u] = batches.y;
}
