// The groups' mixed statistics (m, r, s, a), mean and rstd; an invocation a group.
#version 450
#include "strided.glsl"
#include "strided_switch.glsl"

layout(std430, set = 0, binding = ST_MEAN) buffer Mean { float mean_words[]; };
layout(std430, set = 0, binding = ST_RSTD) buffer Rstd { float rstd_words[]; };

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    take_table();
    take_group(group);
    kinds of = kinds_of(group);
    mix_result mixed = mix_of(of, table_float(ST_EPS));
    workspace[cells_begin + group] = mix_cell(of, mixed);
    if (present(ST_MEAN))
        mean_words[bases[ST_MEAN]] = wide_float(mixed.m);
    if (present(ST_RSTD))
        rstd_words[bases[ST_RSTD]] = wide_float(mixed.s);
}
