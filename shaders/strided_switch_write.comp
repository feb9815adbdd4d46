// The gradients of the weights of a mix; an invocation a kind.
#version 450
#include "strided.glsl"

OUTPUT(mean_weights, ST_MEAN_WEIGHTS)
OUTPUT(var_weights, ST_VAR_WEIGHTS)

void main()
{
    uint kind = unit_index();
    if (kind >= ST_KINDS)
        return;
    take_table();
    vec2 sums = both_sums(workspace[table[ST_IN] + kind]);
    if (present(ST_MEAN_WEIGHTS))
        store_mean_weights(table_word_of(ST_MEAN_WEIGHTS, 1u) + kind * table_word_of(ST_MEAN_WEIGHTS, 2u), sums.x);
    if (present(ST_VAR_WEIGHTS))
        store_var_weights(table_word_of(ST_VAR_WEIGHTS, 1u) + kind * table_word_of(ST_VAR_WEIGHTS, 2u), sums.y);
}
