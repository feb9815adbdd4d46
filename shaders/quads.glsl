// The quad kernels: what the strided ones do, four neighbours at a time, for tensors without prologue and z whose
// neighbours in memory are
//   columns: those of the last group dimension (channels-last): an invocation has four groups, one in each lane;
//   planes: those of the last dimension of a group's elements; quads that reach over its end are put together.
// The additions are the strided kernels' in their order (docs/reduction.md), so the bits are theirs. The arguments are the
// table of src/strided_table.h; the planner (src/planner/strided_quads.c) has seen that strides of lanes are 1, or 0.
// Assumes less than 65535 loop iterations an invocation: a chunk has 4096 rows of columns, or 1024 quads of planes. With E
// dimensions of elements a quad that is put together takes 4 * (3 + E) + 2 + E of them in plane_sums, 51 at most.
#define MANY
#include "strided.glsl"

// 0: all tensors are float32 and those of x's shape have their quads at multiples of four elements, 1: they are float32,
// 3: nothing is known.
// lavapipe goes through both sides of a branch, and reads a buffer lane by lane: the usual case has programs of its own.
layout(constant_id = 2) const uint TYPES = 3u;

uint type_of(const uint slot)
{
    return TYPES < 3u ? 0u : types[slot];
}

vec4 decode4(const uvec4 w, const uint type)
{
    if (TYPES < 3u)
        return uintBitsToFloat(w);
    return vec4(decode(w.x, type), decode(w.y, type), decode(w.z, type), decode(w.w, type));
}

#define DECODE_AT(name, e, type) \
    decode4(type == 0u ? uvec4(name##_words[e.x], name##_words[e.y], name##_words[e.z], name##_words[e.w]) \
                       : uvec4(name##_words[e.x >> 1u], name##_words[e.y >> 1u], name##_words[e.z >> 1u], \
                               name##_words[e.w >> 1u]) >> ((e & 1u) << 4u) & 0xffffu, type)

// Elements at .. at + 3 of a tensor of x's shape.
#define LOAD4(name, slot) \
    layout(std430, set = 0, binding = slot) readonly buffer Quads_##name { vec4 name##_quads[]; }; \
    vec4 load4_##name(const uint at) \
    { \
        if (TYPES == 0u) \
            return name##_quads[at >> 2u]; \
        uvec4 e = at + uvec4(0u, 1u, 2u, 3u); \
        uint type = type_of(slot); \
        return DECODE_AT(name, e, type); \
    }

// Those at, at + stride, ...: four neighbours, or one of them four times.
#define LOAD_LANES(name, slot) \
    vec4 load_lanes_##name(const uint at, const uint stride) \
    { \
        uvec4 e = at + stride * uvec4(0u, 1u, 2u, 3u); \
        uint type = type_of(slot); \
        return DECODE_AT(name, e, type); \
    }

LOAD4(x, ST_X)

float sum_lanes(const vec4 v)
{
    precise float total = (v.x + v.y) + (v.z + v.w);
    return total;
}

vec4 four(const vec4 a, const vec4 b, const vec4 c, const vec4 d)
{
    precise vec4 total = (a + b) + (c + d);
    return total;
}

// Whether the sums of a chunk call for a power of two, as the strided kernel's rescue().
bool needs_rescue(const float sum, const float k)
{
    bool of_norm = eps_is_of_norm(table[ST_SCALE]);
    float limit = of_norm ? 1048576.0 : 1.0587911840678754e-22; // 2^20, 2^-73
    return !finite(sum) || (sum < 8.271806125530277e-25 && table_float(ST_EPS) < limit && abs(k) < 1048576.0); // 2^-80, 2^20
}

// What a chunk's cell says where the strided kernel is to do it again: the scale 0.
vec4 chunk_cell(const float s1, const float s2, const float k, const uint length)
{
    precise float c = s1 / float(length);
    precise float q = s1 * c;
    precise float m2 = s2 - q;
    bool moments = statistic == MOMENTS;
    bool again = needs_rescue(s2, k) || (moments && q > m2 * 0.25);
    vec4 cell = moments ? vec4(two_sum(k, c), m2 < 0.0 ? 0.0 : m2, 1.0) : vec4(0.0, 0.0, s2, 1.0);
    return again ? vec4(0.0) : cell;
}

// (m, r, s, a) of four lanes.
struct cells4 {
    vec4 m, r, s, a;
};

vec4 activation4(vec4 v)
{
    // A loop, since lavapipe jumps over one that has no iteration but goes through both sides of a branch.
    for (bool once = activation != 0u; once; once = false)
        v = vec4(activate(activation, v.x, slope).x, activate(activation, v.y, slope).x, activate(activation, v.z, slope).x,
                activate(activation, v.w, slope).x);
    return v;
}

vec4 normalised4(const vec4 x, const cells4 cell)
{
    precise vec4 z = x * cell.a;
    precise vec4 centred = (z - cell.m) - cell.r;
    precise vec4 v = (statistic == MOMENTS || statistic == GIVEN ? centred : z) * cell.s;
    return v;
}
