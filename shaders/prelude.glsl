// What every kernel shares: constants, arguments, bindings, loads and stores of the three types, reductions over teams.
// Assumes Vulkan 1.1 and no optional feature: 16-bit elements travel in 32-bit words. The order of additions is that of
// docs/reduction.md; everything on its path is `precise`, so that no compiler contracts or reorders it.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef LEAN_MODULE
#extension GL_ARB_gpu_shader_int64 : require
#endif
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

layout(local_size_x_id = 0) in; // LOCAL_SIZE
layout(constant_id = 1) const uint RMS = 0;
layout(constant_id = 2) const uint X_TYPE = 0;
layout(constant_id = 3) const uint Y_TYPE = 3;
layout(constant_id = 4) const uint PROLOGUE = 1;
layout(constant_id = 5) const uint TEAM = 8;
layout(constant_id = 7) const uint REGISTERS = 0;
// The backend's own; the default suits every dispatch.
layout(constant_id = 8) const uint ROLLED = 0; // 1: registers are memory anyway (a CPU), so loops over them stay loops
layout(constant_id = 9) const uint CUT = 0;    // lean: 1: rows end within a group of four steps
layout(constant_id = 10) const uint PARAM_TYPE = 0; // lean: of weight, bias and input_bias
// A lean module: rows of one chunk and of whole quads, of the usual types. Inputs are read as texels.
#ifdef LEAN_MODULE
const uint LEAN = 1u;
#else
const uint LEAN = 0u;
#endif

const uint BLOCK = 512u;
const uint CHUNK = 4096u;
const uint FAN = 64u;
const uint FLAG_ALIGNED = 1u << 16;
const uint FLAG_FINISH = 1u << 17;
const uint FLAG_COUNTED = 1u << 19;
const float TINY = 1.262177448353619e-29;  // 2^-96: a chunk that overflowed
const float HUGE = 1.2676506002282294e+30; // 2^100: a chunk that underflowed

layout(push_constant) uniform Args
{
#define U32(name) uint name;
#define F32(name) float name;
#include "kernel_args.h"
#undef U32
#undef F32
} pushed;

// The same, read once: lavapipe gathers a push constant lane by lane wherever it is used.
struct Arguments {
#define U32(name) uint name;
#define F32(name) float name;
#include "kernel_args.h"
#undef U32
#undef F32
} args;

const uint X = 0u, Y = 1u, WEIGHT = 2u, BIAS = 3u, RESIDUAL = 4u, GATE = 5u, INPUT_BIAS = 6u, SUM = 7u, MEAN = 8u,
           RSTD = 9u;

// The same memory as words, and as 64 and 128 bits for rows that begin at multiples of 4 elements.
#ifdef LEAN_MODULE
#define LONGS(access, slot, name) layout(std430, set = 0, binding = slot) access buffer Longs_##name { u64vec2 name##_longs[]; };
#else
#define LONGS(access, slot, name)
#endif
#define TENSOR(access, slot, name) \
    LONGS(access, slot, name) \
    layout(std430, set = 0, binding = slot) access buffer Words_##name { uint name##_words[]; }; \
    layout(std430, set = 0, binding = slot) access buffer Pairs_##name { uvec2 name##_pairs[]; }; \
    layout(std430, set = 0, binding = slot) access buffer Quads_##name { uvec4 name##_quads[]; };

TENSOR(readonly, 0, x)
TENSOR(, 1, y)
TENSOR(readonly, 2, weight)
TENSOR(readonly, 3, bias)
TENSOR(readonly, 4, residual)
TENSOR(readonly, 5, gate)
TENSOR(readonly, 6, input_bias)
TENSOR(, 7, sum)
layout(std430, set = 0, binding = 8) writeonly buffer Mean { float mean_words[]; };
layout(std430, set = 0, binding = 9) writeonly buffer Rstd { float rstd_words[]; };
layout(std430, set = 0, binding = 10) buffer Workspace { vec4 workspace[]; };
layout(std430, set = 0, binding = 10) readonly buffer Counts { uvec4 counts[]; }; // at its beginning, FLAG_COUNTED

void take_arguments()
{
#define U32(name) args.name = pushed.name;
#define F32(name) args.name = pushed.name;
#include "kernel_args.h"
#undef U32
#undef F32
#ifndef LEAN_MODULE
    if ((args.flags & FLAG_COUNTED) != 0u)
        args.rows = counts[0].w;
#endif
}

// A team of 8 that loops is made for CPU drivers, which load word by word anyway and pay for a branch not taken.
const bool WIDE = TEAM > 8u || REGISTERS == 1u || LEAN == 1u;

bool present(const uint slot)
{
    return (args.flags >> slot & 1u) != 0u;
}

// LEAN and REGISTERS, whose loops are unrolled: what has rows has the type of x. Parameters have it too, or float32.
uint type_of(const uint slot)
{
    bool shared_by_rows = slot == WEIGHT || slot == BIAS || slot == INPUT_BIAS;
    if (LEAN == 1u)
        return shared_by_rows ? PARAM_TYPE : X_TYPE;
    if (REGISTERS == 1u)
        return !shared_by_rows || (args.types >> (2u * slot) & 3u) != 0u ? X_TYPE : 0u;
    return slot == X ? X_TYPE : slot == Y && Y_TYPE != 3u ? Y_TYPE : args.types >> (2u * slot) & 3u;
}

bool finite(const float v)
{
    return (floatBitsToUint(v) & 0x7f800000u) != 0x7f800000u;
}

#include "root.glsl"

// The element in the low 16 bits (all 32 for float32). Integer arithmetic: a driver may flush 16-bit denormals.
vec4 decode(const uvec4 w, const uint type)
{
    if (type == 0u)
        return uintBitsToFloat(w);
    if (type == 2u)
        return uintBitsToFloat(w << 16u);
    uvec4 size = w & 0x7fffu;
    uvec4 bits = (size << 13u) + (112u << 23u);
    bits += mix(uvec4(0u), uvec4(112u << 23u), greaterThanEqual(size, uvec4(0x7c00u)));
    precise vec4 small = vec4(size) * 5.9604644775390625e-08; // 2^-24
    bits = mix(bits, floatBitsToUint(small), lessThan(size, uvec4(0x400u)));
    return uintBitsToFloat(bits | (w & 0x8000u) << 16u);
}

// To the low 16 bits, to nearest even. A denormal float16 is the 24-bit significand shifted right by 14 or more.
uvec4 encode_float16(const uvec4 bits)
{
    uvec4 size = bits & 0x7fffffffu;
    uvec4 normal = (size + 0xfffu + (size >> 13u & 1u) - (112u << 23u)) >> 13u;
    uvec4 significand = (size & 0x7fffffu) | 0x800000u;
    uvec4 shift = min(126u - min(size >> 23u, uvec4(112u)), uvec4(25u));
    uvec4 kept = significand >> shift;
    uvec4 rest = (significand & ((uvec4(1u) << shift) - 1u)) + (kept & 1u);
    uvec4 small = kept + mix(uvec4(0u), uvec4(1u), greaterThan(rest, uvec4(1u) << (shift - 1u)));
    uvec4 half_bits = mix(normal, small, lessThan(size, uvec4(113u << 23u)));
    half_bits = mix(half_bits, uvec4(0x7c00u), greaterThanEqual(size, uvec4(0x477ff000u)));
    half_bits = mix(half_bits, 0x7e00u | (size >> 13u & 0x3ffu), greaterThan(size, uvec4(0x7f800000u)));
    return half_bits | (bits >> 16u & 0x8000u);
}

uvec4 encode(const vec4 v, const uint type)
{
    uvec4 bits = floatBitsToUint(v);
    if (type == 0u)
        return bits;
    if (type == 1u)
        return encode_float16(bits);
    uvec4 rounded = (bits + 0x7fffu + (bits >> 16u & 1u)) >> 16u;
    return mix(rounded, bits >> 16u | 0x40u, greaterThan(bits & 0x7fffffffu, uvec4(0x7f800000u)));
}

bool aligned()
{
    return LEAN == 1u || (args.flags & FLAG_ALIGNED) != 0u;
}

// Whether elements i .. i+3 are read as a quad: four words, or two of a 16-bit type. whole: as load() takes it.
bool is_quad(const int i, const uint count, const bool whole)
{
    return whole || (WIDE && aligned() && uint(i) + 4u <= count);
}

// Elements i .. i+3; places outside 0 .. count-1 repeat the nearest one.
uvec4 nearest(const uint base, const int i, const uint count)
{
    return base + uvec4(clamp(i + ivec4(0, 1, 2, 3), ivec4(0), ivec4(int(count) - 1)));
}

// The words that hold elements e.
uvec4 words_of(const uvec4 e, const uint type)
{
    return type == 0u ? e : e >> 1u;
}

vec4 decode_pair(const uvec2 pair, const uint type)
{
    return decode(uvec4(pair.x & 0xffffu, pair.x >> 16u, pair.y & 0xffffu, pair.y >> 16u), type);
}

vec4 decode_words(const uvec4 w, const uvec4 e, const uint type)
{
    return decode(type == 0u ? w : w >> ((e & 1u) << 4u) & 0xffffu, type);
}

// A tensor's functions hold nothing but its accesses: the library has what they call once. They are not one function
// with a switch over the tensors either, of which drivers see every case at every call until they have inlined it:
// lavapipe then took 2.7 times as long before its code generator. Parameters are const: others are copied to variables,
// which made the library 12 % larger.
#ifdef LEAN_MODULE
// Texels are quads: 128 bits of float32, 64 of a 16-bit type. A driver on a CPU reads a storage buffer lane by lane, but a
// texel buffer with a few wide loads.
#define LOAD(name, slot) \
    layout(set = 1, binding = slot) uniform usamplerBuffer name##_texels; \
    vec4 load_##name(const uint base, const int i, const uint count, const uint type, const bool whole) \
    { \
        uvec4 w = texelFetch(name##_texels, int((base + uint(i)) >> 2u)); \
        return type == 0u ? uintBitsToFloat(w) : decode_pair(w.xy, type); \
    }
#else
// Elements i .. i+3 of the row that begins at `base`; places outside 0 .. count-1 repeat the nearest one. whole: the row
// begins at a multiple of 4 elements, i is one, and all four are there: the code for the rest, which unrolled loops would
// have many times over, is left out.
#define LOAD(name, slot) \
    vec4 load_##name(const uint base, const int i, const uint count, const uint type, const bool whole) \
    { \
        if (is_quad(i, count, whole)) { \
            uint at = (base + uint(i)) >> 2u; \
            if (type == 0u) \
                return uintBitsToFloat(name##_quads[at]); \
            return decode_pair(name##_pairs[at], type); \
        } \
        uvec4 e = nearest(base, i, count); \
        uvec4 at = words_of(e, type); \
        return decode_words(uvec4(name##_words[at.x], name##_words[at.y], name##_words[at.z], name##_words[at.w]), e, \
                            type); \
    }
#endif

LOAD(x, 0)
LOAD(weight, 2)
LOAD(bias, 3)
LOAD(residual, 4)
LOAD(gate, 5)
LOAD(input_bias, 6)

#ifdef LEAN_MODULE
#define STORE_QUAD(name, at, w) name##_longs[at] = u64vec2(packUint2x32(w.xy), packUint2x32(w.zw));
#else
#define STORE_QUAD(name, at, w) name##_quads[at] = w;
#endif

// Which of places i .. i+3 lie in begin .. end-1.
bvec4 lie_in(const int i, const uint begin, const uint end)
{
    ivec4 place = i + ivec4(0, 1, 2, 3);
    return lessThan(uvec4(place - int(begin)), uvec4(end - begin));
}

// A half of a word whose other half may be somebody else's.
#define STORE(name) \
    void store_half_##name(const uint e, const uint bits) \
    { \
        uint shift = (e & 1u) << 4u; \
        atomicAnd(name##_words[e >> 1u], ~(0xffffu << shift)); \
        atomicOr(name##_words[e >> 1u], bits << shift); \
    } \
    void store_pair_##name(const uint e, const uint type, const uvec2 w, const bvec2 inside) \
    { \
        bool together = type != 0u && all(inside) && (e & 1u) == 0u; \
        if (together || (type == 0u && inside.x)) \
            name##_words[together ? e >> 1u : e] = together ? w.x | w.y << 16u : w.x; \
        if (type == 0u && inside.y) \
            name##_words[e + 1u] = w.y; \
        if (type != 0u && !together && inside.x) \
            store_half_##name(e, w.x); \
        if (type != 0u && !together && inside.y) \
            store_half_##name(e + 1u, w.y); \
    } \
    /* Elements i .. i+3 of a row that begins at a multiple of 4 elements. */ \
    void store_quad_##name(const uint base, const uint i, const uint type, const vec4 v) \
    { \
        uvec4 w = encode(v, type); \
        uint e = base + i; \
        if (WIDE && type == 0u) { \
            STORE_QUAD(name, e >> 2u, w) \
        } else if (WIDE) { \
            name##_pairs[e >> 2u] = uvec2(w.x | w.y << 16u, w.z | w.w << 16u); \
        } else { \
            uint at = type == 0u ? e : e >> 1u; \
            name##_words[at] = type == 0u ? w.x : w.x | w.y << 16u; \
            name##_words[at + 1u] = type == 0u ? w.y : w.z | w.w << 16u; \
            if (type == 0u) { \
                name##_words[at + 2u] = w.z; \
                name##_words[at + 3u] = w.w; \
            } \
        } \
    } \
    /* Those of i .. i+3 that lie in begin .. end-1, at any offset. */ \
    void store_##name(const uint base, const int i, const uint begin, const uint end, const uint type, const vec4 v) \
    { \
        uvec4 w = encode(v, type); \
        bvec4 inside = lie_in(i, begin, end); \
        uint e = base + uint(i); \
        store_pair_##name(e, type, w.xy, inside.xy); \
        store_pair_##name(e + 2u, type, w.zw, inside.zw); \
    }

STORE(y)
STORE(sum)

// Teams: TEAM consecutive invocations that share a row, a chunk or a merge; clusters: 8 within a team.
uint team_lane()
{
    return gl_LocalInvocationID.x % TEAM;
}

uint cluster_lane()
{
    return gl_LocalInvocationID.x & 7u;
}

#ifdef SUBGROUP
const bool BARRIERS = TEAM > 8u;
#else
const bool BARRIERS = true;
#endif

shared vec2 exchanged[BARRIERS ? 2u * gl_WorkGroupSize.x : 1u];
shared uint votes[3];
uint exchange_phase = 0u, vote_phase = 0u;

void begin_teams()
{
    take_arguments();
    if (BARRIERS) {
        if (gl_LocalInvocationID.x < 3u)
            votes[gl_LocalInvocationID.x] = 0u;
        barrier();
    }
}

// Shows v to the workgroup; returns where this phase's values begin. Two buffers in turn: whoever writes one again has
// passed the barrier of the other, behind which nobody reads the first.
uint exchange(const vec2 v)
{
    uint begin = (exchange_phase & 1u) * gl_WorkGroupSize.x;
    ++exchange_phase;
    exchanged[begin + gl_LocalInvocationID.x] = v;
    barrier();
    return begin;
}

// Whether any team that shares barriers with this one says so. Three words in turn, the next one cleared beforehand.
bool any_team(const bool vote)
{
    if (!BARRIERS || (TEAM <= 64u && gl_WorkGroupSize.x == TEAM))
        return vote;
    if (gl_LocalInvocationID.x == 0u)
        votes[(vote_phase + 1u) % 3u] = 0u;
    if (vote)
        atomicOr(votes[vote_phase % 3u], 1u);
    barrier();
    bool result = votes[vote_phase % 3u] != 0u;
    ++vote_phase;
    return result;
}

// ((v0+v4)+(v2+v6)) + ((v1+v5)+(v3+v7)) over the cluster, on every lane: addition commutes, so a butterfly does it.
vec2 sum_cluster(const vec2 v)
{
#ifdef SUBGROUP
    precise vec2 f = v + subgroupShuffleXor(v, 4u);
    precise vec2 g = f + subgroupShuffleXor(f, 2u);
    precise vec2 total = g + subgroupShuffleXor(g, 1u);
#else
    uint at = exchange(v) + (gl_LocalInvocationID.x & ~7u);
    precise vec2 even = (exchanged[at] + exchanged[at + 4u]) + (exchanged[at + 2u] + exchanged[at + 6u]);
    precise vec2 odd = (exchanged[at + 1u] + exchanged[at + 5u]) + (exchanged[at + 3u] + exchanged[at + 7u]);
    precise vec2 total = even + odd;
#endif
    return total;
}

// (x of the cluster's lane 0, the least y)
vec2 first_and_least(const vec2 v)
{
#ifdef SUBGROUP
    float least = min(v.y, subgroupShuffleXor(v.y, 4u));
    least = min(least, subgroupShuffleXor(least, 2u));
    least = min(least, subgroupShuffleXor(least, 1u));
    return vec2(subgroupShuffle(v.x, gl_SubgroupInvocationID & ~7u), least);
#else
    uint at = exchange(v) + (gl_LocalInvocationID.x & ~7u);
    float least = exchanged[at].y;
    for (uint i = 1u; i < 8u; ++i)
        least = min(least, exchanged[at + i].y);
    return vec2(exchanged[at].x, least);
#endif
}
