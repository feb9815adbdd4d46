// Merges the results of up to 64 chunks, or of earlier merges; the last level finishes the rows.
// Every cluster of 8 does the team's whole merge, so that it needs nothing of the others.
#version 450
#include "row.glsl"

void main()
{
    begin_teams();
    uint outputs = (args.chunks + FAN - 1u) / FAN;
    uint units = args.rows * outputs;
    uint unit = team_index() * args.per_group;
    for (uint i = 0u; i < args.per_group; ++i, ++unit) {
        bool live = unit < units;
        if (!live && !BARRIERS)
            break;
        uint row = min(unit, units - 1u) / outputs;
        uint first = min(unit, units - 1u) % outputs * FAN;
        uint count = min(FAN, args.chunks - first);
        take_row(row);
        vec4 inputs[8];
        [[unroll]] for (uint j = 0u; j < 8u; ++j)
            inputs[j] = workspace[args.stat_in + row * args.chunks + first +
                                  min(cluster_lane() + 8u * j, count - 1u)];
        vec4 c = merge(inputs, first, count, args.unit);
        if (count == 1u) // nothing to merge: the bits of the one input
            c = workspace[args.stat_in + row * args.chunks + first];
        bool finish = (args.flags & FLAG_FINISH) != 0u;
        if (finish)
            c = finish_row(c, live);
        if (live && team_lane() == 0u)
            workspace[finish ? args.row_stat + row : args.stat_out + row * outputs + first / FAN] = c;
    }
}
