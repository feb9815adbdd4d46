// How many workgroups each of the row kernels' dispatches needs, from a number of rows that is known on the device alone:
// cell i of the workspace becomes (groups in x, y, z, rows) of dispatch i. One invocation.
#version 450
layout(local_size_x_id = 0) in;
const uint MOST = 9u;

layout(push_constant) uniform Args
{
    uint at;          // of the count in its range, in words
    uint most;        // rows, at most
    uint dispatches;  // 1 to MOST
    uint width;       // workgroups in x, at most
    uint units[MOST]; // of work a row, by dispatch
    uint group[MOST]; // units that a workgroup takes
} args;

layout(std430, set = 0, binding = 0) readonly buffer Count { uint count[]; };
layout(std430, set = 0, binding = 10) writeonly buffer Workspace { uvec4 cells[]; };

void main()
{
    const uint rows = min(count[args.at], args.most);
    for (uint i = 0u; i < args.dispatches; ++i) {
        const uint units = rows * args.units[i];
        const uint needed = units / args.group[i] + (units % args.group[i] > 0u ? 1u : 0u);
        const uint height = needed / args.width + (needed % args.width > 0u ? 1u : 0u);
        cells[i] = uvec4(height > 0u ? (needed + height - 1u) / height : 0u, height, 1u, rows);
    }
}
