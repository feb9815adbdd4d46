// The strided family: every operator over any strides, one invocation a chunk, a group or an element; correct rather
// than fast. What its kernels share: the argument table, where elements lie, the three types, the formulas of an element
// and the tree of docs/reduction.md. Vulkan 1.1 without optional features: 16-bit elements travel in 32-bit words.
// Everything on the way to a result is `precise`: no compiler may contract or reorder it.
// Assumes less than 65535 loop iterations an invocation: lavapipe ends all its loops there, without a word.
// And workgroups of a multiple of 8 invocations: of others lavapipe computed the last, partly filled vector wrongly.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "strided_table.h"
#include "activations.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 8) const uint ROLLED = 1; // as in prelude.glsl

layout(std430, set = 0, binding = ST_WORKSPACE) buffer Workspace { vec4 workspace[]; };
layout(std430, set = 0, binding = 12) readonly buffer Table { uint table[]; };

const uint BLOCK = 512u;
const uint CHUNK = 4096u;
const uint FAN = 64u;
const uint RANK = 8u;
const uint NO_RENORM = 0xffffffffu; // ST_RENORM
const float TINY = 1.262177448353619e-29;  // 2^-96: a chunk that overflowed
const float HUGE = 1.2676506002282294e+30; // 2^100: a chunk that underflowed
const uint MOMENTS = 0u, SQUARES = 1u, ABSOLUTES = 2u, GIVEN = 3u;          // enum form_statistic
const uint SCALE_VARIANCE = 0u, SCALE_MAX = 1u, SCALE_ADD = 2u, SCALE_INSIDE = 3u, // enum form_scale
           SCALE_DEVIATION = 4u;

// Rows of stats and of parts, of sums; in src/form.h as well.
const uint ROW_COUNT = 0u, ROW_MEAN = 1u, ROW_MEAN_LOW = 2u, ROW_M2 = 3u, ROW_SCALE = 4u;
const uint ROW_G = 0u, ROW_GX = 1u;

// Whether eps is set against a norm or a deviation, not added to squares.
bool eps_is_of_norm(const uint scale)
{
    return scale == SCALE_MAX || scale == SCALE_ADD || scale == SCALE_DEVIATION;
}

uint unit_index()
{
    uint group = gl_WorkGroupID.x + gl_NumWorkGroups.x * gl_WorkGroupID.y;
    return group * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}

float table_float(const uint word)
{
    return uintBitsToFloat(table[word]);
}

bool finite(const float v)
{
    return (floatBitsToUint(v) & 0x7f800000u) != 0x7f800000u;
}

#include "root.glsl"

bool infinite(const float v)
{
    return (floatBitsToUint(v) & 0x7fffffffu) == 0x7f800000u;
}

vec2 two_sum(const float a, const float b)
{
    precise float s = a + b;
    precise float t = s - a;
    precise float e = (a - (s - t)) + (b - t);
    return vec2(s, e);
}

#include "wide.glsl"

// (m, r) of a pivot and what is to be added. An infinite mean has no rest; inf - inf would make a NaN of it.
vec2 mean_pair(const float k, const float c)
{
    vec2 mean = two_sum(k, c);
    return vec2(mean.x, infinite(mean.x) ? 0.0 : mean.y);
}

float finite_or_0(const float k)
{
    return finite(k) ? k : 0.0;
}

// Where a chunk's elements begin, as form_chunk_begin() has it.
uint chunk_begin(const uint chunk, const uint n, const uint run)
{
    uint per_run = max((run + CHUNK - 1u) / CHUNK, 1u);
    uint long_run = chunk / per_run * run + min(chunk % per_run * CHUNK, run);
    uint short_run = min(chunk * (CHUNK / clamp(run, 1u, CHUNK)) * run, n);
    return run > CHUNK ? long_run : short_run;
}

// Words of the table that are used often, in locals: lavapipe gathers a word of a buffer lane by lane wherever it is used.
uint rank, group_rank, all_strides, statistic, activation, z_activation, cells_begin, coefficients_begin, renorm_begin, output_kind;
bool z_first;
float slope, weight_offset;
uint types[ST_SLOTS];

// The elements in hand. QUADS: the kernel takes four of a group at a time and looks at one of them in turn.
// MANY: it takes many one after the other; QUADS does so too. The loops of table_stride() would be too many.
#ifdef QUADS
#define MANY
#define INDEX uvec4
#define PLACE(slot) places[slot][turn & 3u]
uint turn;
#else
#define INDEX uint
#define PLACE(slot) places[slot]
#endif
#ifdef MANY
uint strides[ST_SLOTS * RANK], extents[RANK], channel_strides[RANK];
#endif
uint group_channel; // packed channels alone: of the group and of the elements
INDEX channels;
uint bases[ST_SLOTS];   // of each tensor: the offset of the group's element 0; of ST_WORKSPACE: of the group's cell
INDEX places[ST_SLOTS]; // of each tensor: the offsets of the elements

bool present(const uint slot)
{
    return types[slot] != 3u;
}

// A loop, since lavapipe jumps over one that has no iteration but goes through both sides of a branch.
uint table_word_of(const uint slot, const uint word)
{
    uint result = 0u;
    for (bool wanted = present(slot); wanted; wanted = false)
        result = table[ST_TENSOR + slot * ST_TENSOR_WORDS + word];
    return result;
}

uint table_stride(const uint slot, const uint d)
{
    return slot == ST_WORKSPACE ? table[ST_CELL_STRIDE + d] : table_word_of(slot, 2u + d);
}

void take_table()
{
    rank = table[ST_RANK];
    group_rank = table[ST_GROUP_RANK];
    all_strides = table[ST_STRIDES];
    statistic = table[ST_STATISTIC];
    activation = table[ST_ACTIVATION];
    z_activation = table[ST_Z_ACTIVATION];
    cells_begin = table[ST_CELLS];
    coefficients_begin = table[ST_COEFFICIENTS];
    renorm_begin = table[ST_RENORM];
    output_kind = table[ST_OUTPUT];
    z_first = table[ST_Z_FIRST] != 0u;
    slope = table_float(ST_SLOPE);
    weight_offset = table_float(ST_WEIGHT_OFFSET);
    [[unroll]] for (uint slot = 0u; slot < ST_SLOTS; ++slot)
        types[slot] = table[ST_TENSOR + slot * ST_TENSOR_WORDS];
#ifdef MANY
    for (uint d = 0u; ROLLED == 1u && d < all_strides; ++d) {
        extents[d & 7u] = table[ST_EXTENT + d];
        channel_strides[d & 7u] = table[ST_CHANNEL_STRIDE + d];
        [[unroll]] for (uint slot = 0u; slot < ST_SLOTS; ++slot)
            strides[slot * RANK + (d & 7u)] = table_stride(slot, d);
    }
#endif
}

// A masked index keeps Mesa from unrolling the loops around these. A GPU has the table's words in scalar registers or a
// cache; an array that a loop goes through would be in memory of each invocation's own.
uint stride_of(const uint slot, const uint d)
{
#ifdef MANY
    if (ROLLED == 1u)
        return strides[slot * RANK + (d & 7u)];
#endif
    return table_stride(slot, d);
}

uint extent_of(const uint d)
{
#ifdef MANY
    if (ROLLED == 1u)
        return extents[d & 7u];
#endif
    return table[ST_EXTENT + d];
}

// Not of packed channels: 0, see the loop of table_word_of().
uint channel_stride_of(const uint d)
{
#ifdef MANY
    if (ROLLED == 1u)
        return channel_strides[d & 7u];
#endif
    uint result = 0u;
    for (bool wanted = all_strides != rank; wanted; wanted = false)
        result = table[ST_CHANNEL_STRIDE + d];
    return result;
}

void add_group_index(const uint d, const uint index)
{
    group_channel += index * channel_stride_of(d);
    [[unroll]] for (uint slot = 0u; slot < ST_SLOTS; ++slot)
        bases[slot] += index * stride_of(slot, d);
}

// The first dimension of a part needs no division.
void take_group(uint group)
{
    [[unroll]] for (uint slot = 0u; slot < ST_SLOTS; ++slot)
        bases[slot] = slot == ST_WORKSPACE ? 0u : table_word_of(slot, 1u);
    group_channel = 0u;
    for (uint d = group_rank - 1u; d > 0u; --d) {
        uint extent = extent_of(d), rest = group / extent;
        add_group_index(d, group - rest * extent);
        group = rest;
    }
    add_group_index(0u, group);
}

void add_element_index(const uint d, const INDEX index)
{
    [[unroll]] for (uint slot = 0u; slot < ST_SLOTS; ++slot)
        places[slot] += index * stride_of(slot, d);
    channels += index * channel_stride_of(d);
}

void take_elements(INDEX element)
{
    [[unroll]] for (uint slot = 0u; slot < ST_SLOTS; ++slot)
        places[slot] = INDEX(bases[slot]);
    channels = INDEX(group_channel);
    for (uint d = rank - 1u; d > group_rank; --d) {
        uint extent = extent_of(d);
        INDEX rest = element / extent;
        add_element_index(d, element - rest * extent);
        element = rest;
    }
    add_element_index(group_rank, element);
    for (uint d = rank; d < all_strides; ++d) // the blocks of packed channels
        add_element_index(d, channels >> extent_of(d));
}

// The element in the low 16 bits (all 32 for float32). Integer arithmetic: a driver may flush 16-bit denormals.
float decode(const uint w, const uint type)
{
    uint size = w & 0x7fffu;
    uint bits = (size << 13u) + (size >= 0x7c00u ? 224u << 23u : 112u << 23u);
    precise float small = float(size) * 5.9604644775390625e-08; // 2^-24
    bits = size < 0x400u ? floatBitsToUint(small) : bits;
    bits |= (w & 0x8000u) << 16u;
    return uintBitsToFloat(type == 0u ? w : type == 1u ? bits : w << 16u);
}

// To the low 16 bits, to nearest even. A denormal float16 is the 24-bit significand shifted right by 14 or more.
uint encode_float16(const uint bits)
{
    uint size = bits & 0x7fffffffu;
    uint normal = (size + 0xfffu + (size >> 13u & 1u) - (112u << 23u)) >> 13u;
    uint significand = (size & 0x7fffffu) | 0x800000u;
    uint shift = min(126u - min(size >> 23u, 112u), 25u);
    uint kept = significand >> shift;
    uint rest = (significand & ((1u << shift) - 1u)) + (kept & 1u);
    uint small = kept + (rest > 1u << (shift - 1u) ? 1u : 0u);
    uint half_bits = size < 113u << 23u ? small : normal;
    half_bits = size >= 0x477ff000u ? 0x7c00u : half_bits;
    half_bits = size > 0x7f800000u ? 0x7e00u | (size >> 13u & 0x3ffu) : half_bits;
    return half_bits | (bits >> 16u & 0x8000u);
}

uint encode(const float v, const uint type)
{
    uint bits = floatBitsToUint(v);
    uint rounded = (bits + 0x7fffu + (bits >> 16u & 1u)) >> 16u;
    uint brain = (bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16u | 0x40u : rounded;
    return type == 0u ? bits : type == 1u ? encode_float16(bits) : brain;
}

// A tensor that is read, one that is written. Half of a word may be somebody else's, who writes it at the same time.
#define INPUT(name, slot) \
    layout(std430, set = 0, binding = slot) readonly buffer Words_##name { uint name##_words[]; }; \
    float load_##name() \
    { \
        uint at = PLACE(slot), type = types[slot]; \
        uint w = name##_words[type == 0u ? at : at >> 1u]; \
        return decode(type == 0u ? w : w >> ((at & 1u) << 4u) & 0xffffu, type); \
    }
#define OUTPUT(name, slot) \
    layout(std430, set = 0, binding = slot) buffer Words_##name { uint name##_words[]; }; \
    void store_##name(const uint at, const float v) \
    { \
        uint w = encode(v, types[slot]), shift = (at & 1u) << 4u; \
        if (types[slot] == 0u) { \
            name##_words[at] = w; \
        } else { \
            atomicAnd(name##_words[at >> 1u], ~(0xffffu << shift)); \
            atomicOr(name##_words[at >> 1u], w << shift); \
        } \
    }

INPUT(x, ST_X)
INPUT(weight, ST_WEIGHT)
INPUT(bias, ST_BIAS)
INPUT(residual, ST_RESIDUAL)
INPUT(gate, ST_GATE)
INPUT(input_bias, ST_INPUT_BIAS)
INPUT(z, ST_Z)
INPUT(addend, ST_ADDEND)
INPUT(dy, ST_DY)

// An element on its way from x to the value that the activation is given, named as in norma/problem.h: u is
// x + input_bias, v0 what weight and bias leave, v2 the end.
struct element {
    float u, gate, h, t, xhat, v0, v2, factor; // factor: weight_offset + weight
    vec2 z;                                    // activation of z and its derivative
    float normalised, ratio;                   // xhat, and 1; of batch renorm xhat*r + d, and r
};

bool z_is(const bool first)
{
    return present(ST_Z) && z_first == first;
}

// The activation of z and its derivative.
vec2 activated_z()
{
    vec2 result = vec2(1.0, 0.0);
    if (present(ST_Z))
        result = activate(z_activation, load_z(), slope);
    return result;
}

// What comes behind the norm: from v0 to the value that the activation is given.
float behind_norm(const float v0, const float act_z)
{
    precise float v = v0;
    if (z_is(false))
        v = v * act_z;
    if (present(ST_ADDEND))
        v = v + load_addend();
    return v;
}

// The same in wide floats, from the two factors of v0 on.
wide wide_v0(const element e)
{
    wide v0 = wide_mul(wide_of(e.normalised), wide_of(e.factor));
    if (present(ST_BIAS))
        v0 = wide_add(v0, wide_of(load_bias()));
    return v0;
}

wide wide_behind_norm(const wide v0, const element e)
{
    wide v2 = wide_mul(v0, wide_of(z_is(false) ? e.z.x : 1.0));
    if (present(ST_ADDEND))
        v2 = wide_add(v2, wide_of(load_addend()));
    return v2;
}

// h and t.
element load_element()
{
    element e;
    precise float u = load_x();
    if (present(ST_INPUT_BIAS))
        u = u + load_input_bias();
    precise float h = u;
    e.u = u;
    e.gate = 1.0;
    if (present(ST_GATE)) {
        e.gate = load_gate();
        h = e.gate * h;
    }
    if (present(ST_RESIDUAL))
        h = load_residual() + h;
    e.z = activated_z();
    precise float t = h;
    if (z_is(true))
        t = t * e.z.x;
    e.h = h;
    e.t = t;
    return e;
}

// Whether a product a*b lost what it should have had: it is not finite, or so small that it, or what it is multiplied by
// next, may have lost digits.
bool is_lost(const float product, const float a, const float b)
{
    return !finite(product) || (abs(product) < 7.888609052210118e-31 && a != 0.0 && b != 0.0); // 2^-100
}

// The rest, from the group's (m, r, s, a).
void normalise(inout element e, const vec4 cell)
{
    bool centred = statistic == MOMENTS || statistic == GIVEN;
    precise float scaled = e.t * cell.w;
    precise float offset = (scaled - cell.x) - cell.y;
    precise float v = (centred ? offset : scaled) * cell.z;
    e.xhat = v;
    e.ratio = 1.0;
    for (bool wanted = renorm_begin != NO_RENORM; wanted; wanted = false) {
        vec4 renorm = workspace[renorm_begin + PLACE(ST_WORKSPACE)];
        e.ratio = renorm.x;
        v = v * renorm.x + renorm.y;
    }
    e.normalised = v;
    e.factor = 1.0;
    if (present(ST_WEIGHT)) {
        precise float factor = weight_offset + load_weight();
        e.factor = factor;
        v = v * factor;
    }
    bool lost = z_is(false) && is_lost(v, e.normalised, e.factor);
    if (present(ST_BIAS))
        v = v + load_bias();
    e.v0 = v;
    e.v2 = behind_norm(v, e.z.x);
    // A loop, since lavapipe jumps over one that has no iteration.
    for (; lost; lost = false)
        e.v2 = wide_float(wide_behind_norm(wide_v0(e), e));
}

// Gradients of v2, of v0 (of what z multiplies), of xhat, and the derivatives of t and of h. lost: something overflowed
// or vanished on the way.
struct gradient {
    float v2, v0, xhat, t, h;
    bool lost;
};

gradient load_gradient(const element e)
{
    gradient d;
    float dy = load_dy(), derivative = activate(activation, e.v2, slope).y, after = z_is(false) ? e.z.x : 1.0;
    precise float v2 = dy * derivative;
    precise float v0 = v2 * after;
    precise float weighted = v0 * e.factor;
    precise float xhat = weighted * e.ratio;
    d.v2 = v2;
    d.v0 = v0;
    d.xhat = xhat;
    // What the derivative and dz follow from may be a product that vanished.
    precise float product = e.normalised * e.factor;
    d.lost = is_lost(product, e.normalised, e.factor) || is_lost(v2, dy, derivative) || is_lost(v0, v2, after) ||
             is_lost(weighted, v0, e.factor) || is_lost(xhat, weighted, e.ratio);
    return d;
}

// Of a gradient g of xhat and coefficients c, as is_lost().
bool dt_is_lost(const float dt, const float g, const float xhat, const vec4 c)
{
    precise float any = abs(g) + abs(c.x) + abs(c.y), loss = xhat * c.y;
    return is_lost(dt, 1.0, any) || is_lost(loss, xhat, c.y) || c.w != 0.0;
}

// Goes on to t and h, with the group's coefficients.
void through_statistics(inout gradient d, const element e, const vec4 cell, const vec4 coefficients)
{
    float sign_t = e.t > 0.0 ? 1.0 : e.t < 0.0 ? -1.0 : 0.0;
    precise float rest = (d.xhat - coefficients.x) - e.xhat * coefficients.y;
    precise float dt = (rest * cell.z) * cell.w - sign_t * coefficients.z;
    float before = z_is(true) ? e.z.x : 1.0;
    precise float dh = dt * before;
    d.t = dt;
    d.h = dh;
    d.lost = d.lost || dt_is_lost(dt, d.xhat, e.xhat, coefficients) || is_lost(dh, dt, before);
}

// Sets one of a few in registers: a GPU has arrays that a loop indexes in memory.
#define SET(count, array, at, value) \
    { \
        [[unroll]] for (uint e_ = 0u; e_ < count; ++e_) \
            array[e_] = (at) == e_ ? (value) : array[e_]; \
    }

// ((v0+v4)+(v2+v6)) + ((v1+v5)+(v3+v7))
vec2 sum8(vec2 v[8])
{
    precise vec2 even = (v[0] + v[4]) + (v[2] + v[6]);
    precise vec2 odd = (v[1] + v[5]) + (v[3] + v[7]);
    precise vec2 sum = even + odd;
    return sum;
}

#ifdef QUADS
// What the element in hand adds to the two sums of its chunk: the kernel's.
vec2 terms();

float sum_quad(const vec4 v)
{
    precise float total = (v.x + v.y) + (v.z + v.w);
    return total;
}

// A lane's sums over a block: elements at, at + 32, ... before `end`, four steps at a time.
vec2 sum_lane(const uint begin, uint at, const uint end)
{
    precise vec2 total = vec2(0.0);
    for (; at < end; at += 128u) {
        uvec4 steps = at + uvec4(0u, 32u, 64u, 96u);
        take_elements(begin + min(steps, uvec4(end - 1u)));
        vec4 first = vec4(0.0), second = vec4(0.0);
        for (turn = 0u; turn < 4u; ++turn) {
            vec2 term = terms();
            bool inside = steps[turn & 3u] < end;
            first[turn & 3u] = inside ? term.x : 0.0;
            second[turn & 3u] = inside ? term.y : 0.0;
        }
        total = total + vec2(sum_quad(first), sum_quad(second));
    }
    return total;
}

// (S1, S2) of the chunk whose elements are begin .. begin + length - 1 of the group.
vec2 sum_chunk(const uint begin, const uint length)
{
    vec2 threads[8];
    for (uint t = 0u; t < 8u; ++t) {
        precise vec2 total = vec2(0.0);
        for (uint block = 0u; block < length; block += BLOCK) {
            uint end = min(block + BLOCK, length);
            vec2 lanes[4];
            for (uint v = 0u; v < 4u; ++v) {
                vec2 lane = sum_lane(begin, block + 4u * t + v, end);
                SET(4u, lanes, v, lane)
            }
            total = total + ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]));
        }
        SET(8u, threads, t, total)
    }
    return sum8(threads);
}
#endif

// The page's fold of `count` pairs, at least one and at most 64, of which `value` is number i: level by level, as eight
// folds of each eighth and one of those. -0 stands for what is not there, since v + -0 is v.
#define FOLD(result, count, value) \
    { \
        vec2 eighths_[8] = NOTHING8; \
        for (uint t_ = 0u; t_ < min(count, 8u); ++t_) { \
            vec2 w_[8] = NOTHING8; \
            for (uint i = t_; i < count; i += 8u) { \
                precise vec2 v_ = value; \
                SET(8u, w_, i >> 3u, v_) \
            } \
            vec2 s_ = sum8(w_); \
            SET(8u, eighths_, t_, s_) \
        } \
        result = sum8(eighths_); \
    }
#define NOTHING8 vec2[8](vec2(-0.0), vec2(-0.0), vec2(-0.0), vec2(-0.0), vec2(-0.0), vec2(-0.0), vec2(-0.0), vec2(-0.0))
