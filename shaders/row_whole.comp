// Whole rows: each team takes per_group rows: statistics, then the outputs.
// Assumes part == n, at most 64 chunks a row, and with REGISTERS that the team's registers hold the row.
#version 450
#include "row.glsl"

// The chunks' results of the rows in hand, for the lanes of large teams; a lane of a small one keeps its own.
const bool SHARED_RESULTS = TEAM >= 64u;
shared vec4 results[SHARED_RESULTS ? 64u * (gl_WorkGroupSize.x / TEAM) : 1u];

uint results_begin()
{
    return gl_LocalInvocationID.x / TEAM * 64u;
}

void keep(const uint chunk, const vec4 c, inout vec4 kept[8])
{
    if (SHARED_RESULTS) {
        if (team_lane() % 64u == 0u)
            results[results_begin() + chunk] = c;
        return;
    }
    [[unroll]] for (uint j = 0u; j < 8u; ++j)
        kept[j] = chunk == cluster_lane() + 8u * j ? c : kept[j];
}

vec4 merge_kept(vec4 kept[8], const uint chunks)
{
    if (SHARED_RESULTS) {
        barrier();
        [[unroll]] for (uint j = 0u; j < 8u; ++j)
            kept[j] = results[results_begin() + cluster_lane() + 8u * j];
    }
    return merge(kept, 0u, chunks, CHUNK);
}

vec4 row_result()
{
    uint chunks = (args.n + CHUNK - 1u) / CHUNK;
    vec4 kept[8];
    [[unroll]] for (uint j = 0u; j < 8u; ++j)
        kept[j] = vec4(0.0, 0.0, 0.0, 1.0);
    vec4 c = vec4(0.0);
    if (REGISTERS == 1u) {
        uint mine = team_lane() / 64u;
        uint begin = mine * CHUNK;
        if (in_registers())
            hold_row(begin);
        c = chunk_result(begin, args.n > begin ? min(CHUNK, args.n - begin) : 0u);
        if (TEAM <= 64u)
            return c;
        keep(mine, c, kept);
    } else {
        for (uint i = 0u; i < (LEAN == 1u ? 1u : chunks); ++i) {
            c = chunk_result(i * CHUNK, min(CHUNK, args.n - i * CHUNK));
            if (LEAN == 0u && chunks > 1u)
                keep(i, c, kept);
        }
    }
    if (LEAN == 1u && TEAM <= 64u)
        return c;
    if (chunks > 1u)
        c = merge_kept(kept, chunks);
    else if (REGISTERS == 1u) { // a short row in a large team: the first 64 lanes have it
        barrier();
        c = results[results_begin()];
    }
    return c;
}

void main()
{
    begin_teams();
    uint row = team_index() * args.per_group;
    for (uint i = 0u; i < args.per_group; ++i, ++row) {
        bool live = row < args.rows;
        if (!live && !BARRIERS)
            break;
        take_row(min(row, args.rows - 1u));
        vec4 stat = finish_row(row_result(), live);
        if (live && in_registers())
            apply_held(stat, team_lane() / 64u * CHUNK, args.n);
        if (live && !in_registers())
            apply(stat, 0u, args.n);
    }
}
