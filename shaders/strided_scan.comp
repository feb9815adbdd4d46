// The count or the largest magnitude of chunks; an invocation a chunk.
#version 450
#define QUADS
#include "strided.glsl"
#include "strided_scan.glsl"

uint scanned()
{
    uint result = finite(load_x()) ? 0u : 1u;
    if (output_kind != ST_SCAN_NONFINITE) {
        element e = load_element();
        normalise(e, workspace[cells_begin + PLACE(ST_WORKSPACE)]);
        result = floatBitsToUint(activate(activation, e.v2, slope).x) & 0x7fffffffu;
    }
    return result;
}

uint scan_chunk(const uint begin, const uint length)
{
    uint result = 0u;
    for (uint at = 0u; at < length; at += 4u) {
        take_elements(begin + min(at + uvec4(0u, 1u, 2u, 3u), uvec4(length - 1u)));
        for (turn = 0u; turn < 4u; ++turn) {
            uint one = scanned();
            result = at + turn < length ? joined(result, one) : result;
        }
    }
    return result;
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS];
    if (unit >= groups * table[ST_CHUNKS])
        return;
    uint group = table[ST_GROUP0] + unit % groups, chunk = table[ST_CHUNK0] + unit / groups;
    uint n = table[ST_N], run = table[ST_RUN];
    uint begin = chunk_begin(chunk, n, run);
    take_table();
    take_group(group);
    uint result = scan_chunk(begin, chunk_begin(chunk + 1u, n, run) - begin);
    words[table[ST_OUT] + group * table[ST_OUTPUTS] + chunk] = uvec4(result, 0u, 0u, 0u);
}
