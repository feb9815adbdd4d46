// The statistics of single chunks of the bound part, into the workspace. A team takes per_group chunks.
#version 450
#include "row.glsl"

void main()
{
    begin_teams();
    uint chunks_part = (args.part + CHUNK - 1u) / CHUNK;
    uint units = args.rows * chunks_part;
    uint unit = team_index() * args.per_group;
    for (uint i = 0u; i < args.per_group; ++i, ++unit) {
        bool live = unit < units;
        if (!live && !BARRIERS)
            break;
        uint row = min(unit, units - 1u) / chunks_part;
        uint chunk = min(unit, units - 1u) % chunks_part;
        take_row(row);
        vec4 c = chunk_result(chunk * CHUNK, min(CHUNK, args.part - chunk * CHUNK));
        if (live && team_lane() == 0u)
            workspace[args.stat_out + row * args.chunks + args.chunk0 + chunk] = c;
    }
}
