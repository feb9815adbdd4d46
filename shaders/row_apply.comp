// The outputs of single chunks of the bound part, from the finished statistics. A team takes per_group chunks.
#version 450
#include "row.glsl"

void main()
{
    take_arguments();
    uint chunks_part = (args.part + CHUNK - 1u) / CHUNK;
    uint units = args.rows * chunks_part;
    uint unit = team_index() * args.per_group;
    for (uint i = 0u; i < args.per_group && unit < units; ++i, ++unit) {
        uint row = unit / chunks_part;
        uint chunk = unit % chunks_part;
        take_row(row);
        apply(workspace[args.row_stat + row], chunk * CHUNK, min((chunk + 1u) * CHUNK, args.part));
    }
}
