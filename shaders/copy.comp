// The plain copy that `norma bench` holds the operators against: binding 0 to binding 1, as vectors of 16 bytes.
// Neighbouring invocations copy neighbouring vectors, args.per_group times a workgroup's width. args.n counts vectors.
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x_id = 0) in; // LOCAL_SIZE

layout(push_constant) uniform Args
{
#define U32(name) uint name;
#define F32(name) float name;
#include "kernel_args.h"
#undef U32
#undef F32
} args;

#ifdef LEAN_MODULE
layout(set = 1, binding = 0) uniform usamplerBuffer from;
#define LOAD(at) texelFetch(from, int(at))
#else
layout(std430, set = 0, binding = 0) readonly buffer From { uvec4 from[]; };
#define LOAD(at) from[at]
#endif
layout(std430, set = 0, binding = 1) writeonly buffer To { uvec4 to[]; };

void main()
{
    uint group = gl_WorkGroupID.x + gl_NumWorkGroups.x * gl_WorkGroupID.y;
    uint begin = group * gl_WorkGroupSize.x * args.per_group + gl_LocalInvocationID.x;
    for (uint i = 0u; i < args.per_group; ++i) {
        uint at = begin + i * gl_WorkGroupSize.x;
        if (at < args.n)
            to[at] = LOAD(at);
    }
}
