// c[ROWS, N] = a[ROWS, N] * b[N, N]: the engine's own kernel in engine_vulkan.c, as plain as can be.
#version 450
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint N = 64;
layout(set = 0, binding = 0) readonly buffer A { float a[]; };
layout(set = 0, binding = 1) readonly buffer B { float b[]; };
layout(set = 0, binding = 2) writeonly buffer C { float c[]; };

void main()
{
    const uint i = gl_GlobalInvocationID.x, row = i / N, column = i % N;
    float sum = 0.0;
    for (uint k = 0; k < N; ++k)
        sum += a[row * N + k] * b[k * N + column];
    c[i] = sum;
}
