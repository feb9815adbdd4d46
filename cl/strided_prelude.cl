// What the strided kernels share: the table of arguments, indices and strides, and an element's formulas
// (norma_problem). Assumes -D LOCAL_SIZE alone.
#ifndef X_TYPE // the prelude's row functions want both; nothing here uses them
#define X_TYPE 0
#define Y_TYPE 0
#endif
#include "prelude.cl"
#include "wide.cl"
#include "activations.cl"
#include "quantise.cl"
#include "../src/strided_table.h"

// Argument 12.
struct strided_args {
    uint w[ST_WORDS];
};

// Argument 13: as row_offsets.
struct strided_offsets {
    ulong at[ST_SLOTS];
};

// enum form_statistic and enum form_scale.
#define FORM_MOMENTS 0
#define FORM_SQUARES 1
#define FORM_ABSOLUTES 2
#define FORM_GIVEN 3
#define FORM_VARIANCE 0
#define FORM_MAX 1
#define FORM_ADD 2
#define FORM_INSIDE 3
#define FORM_DEVIATION 4

#define STRIDED(name)                                                                                                  \
    __kernel __attribute__((reqd_work_group_size(LOCAL_SIZE, 1, 1))) void name(                                        \
        __global uchar *b0, __global uchar *b1, __global uchar *b2, __global uchar *b3, __global uchar *b4,            \
        __global uchar *b5, __global uchar *b6, __global uchar *b7, __global uchar *b8, __global uchar *b9,            \
        __global uchar *b10, __global uchar *b11, const struct strided_args args,                                      \
        const struct strided_offsets offsets)

// enum form_mix.
#define MIX_TRAINING 1
#define MIX_RUNNING 2

// What a kernel works on: the table and where each slot's binding begins.
struct view {
    const struct strided_args *args;
    __global uchar *at[ST_SLOTS];
};

#define VIEW                                                                                                           \
    {                                                                                                                  \
        &args,                                                                                                         \
        {                                                                                                              \
            b0 + offsets.at[0], b1 + offsets.at[1], b2 + offsets.at[2], b3 + offsets.at[3], b4 + offsets.at[4],        \
                b5 + offsets.at[5], b6 + offsets.at[6], b7 + offsets.at[7], b8 + offsets.at[8], b9 + offsets.at[9],    \
                b10 + offsets.at[10], b11 + offsets.at[11]                                                             \
        }                                                                                                              \
    }

// Indices over the dimensions: [0, ST_GROUP_RANK) of a group, [ST_GROUP_RANK, ST_RANK) of an element of it, [ST_RANK,
// ST_STRIDES) of its channel's blocks.
struct index {
    uint at[8];
};

static inline uint word(const struct view *view, uint i)
{
    return view->args->w[i];
}

static inline float real(const struct view *view, uint i)
{
    return as_float(view->args->w[i]);
}

static inline uint unit_index(void)
{
    return (get_group_id(0) + get_num_groups(0) * get_group_id(1)) * LOCAL_SIZE + (uint)get_local_id(0);
}

// Dimensions [first, end) of *index from a linear index, the last dimension fastest.
static inline void decode(const struct view *view, uint first, uint end, uint linear, struct index *index)
{
    uint d = end - 1;
    for (; d > first; d--) {
        uint extent = word(view, ST_EXTENT + d), rest = linear / extent;
        index->at[d] = linear - rest * extent;
        linear = rest;
    }
    index->at[d] = linear;
}

static inline void set_group(const struct view *view, uint group, struct index *index)
{
    decode(view, 0, word(view, ST_GROUP_RANK), group, index);
}

static inline uint sum_of_strides(const struct view *view, uint strides, uint rank, const struct index *index)
{
    uint sum = 0;
    for (uint d = 0; d < rank; d++)
        sum += index->at[d] * word(view, strides + d);
    return sum;
}

static inline void set_element(const struct view *view, uint element, struct index *index)
{
    uint rank = word(view, ST_RANK), end = word(view, ST_STRIDES);
    decode(view, word(view, ST_GROUP_RANK), rank, element, index);
    if (rank == end)
        return;
    uint channel = sum_of_strides(view, ST_CHANNEL_STRIDE, rank, index);
    for (uint d = rank; d < end; d++)
        index->at[d] = channel >> word(view, ST_EXTENT + d);
}

static inline uint tensor(uint slot)
{
    return ST_TENSOR + slot * ST_TENSOR_WORDS;
}

static inline bool present(const struct view *view, uint slot)
{
    return word(view, tensor(slot)) != ABSENT;
}

static inline float load_at(const struct view *view, uint slot, uint rank, const struct index *index)
{
    uint at = word(view, tensor(slot) + 1) + sum_of_strides(view, tensor(slot) + 2, rank, index);
    return load1(view->at[slot], word(view, tensor(slot)), at);
}

static inline void store_at(const struct view *view, uint slot, uint rank, const struct index *index, float value)
{
    uint at = word(view, tensor(slot) + 1) + sum_of_strides(view, tensor(slot) + 2, rank, index);
    store1(view->at[slot], word(view, tensor(slot)), at, value);
}

static inline float load(const struct view *view, uint slot, const struct index *index)
{
    return load_at(view, slot, word(view, ST_STRIDES), index);
}

static inline void store(const struct view *view, uint slot, const struct index *index, float value)
{
    store_at(view, slot, word(view, ST_STRIDES), index, value);
}

static inline float load_group(const struct view *view, uint slot, const struct index *index)
{
    return load_at(view, slot, word(view, ST_GROUP_RANK), index);
}

static inline void store_group(const struct view *view, uint slot, const struct index *index, float value)
{
    store_at(view, slot, word(view, ST_GROUP_RANK), index, value);
}

// Rows of stats and of parts, of sums; in src/form.h as well.
#define ROW_COUNT 0
#define ROW_MEAN 1
#define ROW_MEAN_LOW 2
#define ROW_M2 3
#define ROW_SCALE 4
#define ROW_G 0
#define ROW_GX 1

static inline float load_row(const struct view *view, uint slot, uint rank, const struct index *index, uint row)
{
    uint at = word(view, tensor(slot) + 1) + sum_of_strides(view, tensor(slot) + 2, rank, index);
    return load1(view->at[slot], 0, at + row);
}

static inline void store_row(const struct view *view, uint slot, uint rank, const struct index *index, uint row,
                             float value)
{
    uint at = word(view, tensor(slot) + 1) + sum_of_strides(view, tensor(slot) + 2, rank, index);
    store1(view->at[slot], word(view, tensor(slot)), at + row, value);
}

// (m, r, M2, a) in stats or parts, and their count.
static inline stat load_stats(const struct view *view, uint slot, uint rank, const struct index *index, float *count)
{
    uint row = word(view, ST_ROW);
    *count = load_row(view, slot, rank, index, ROW_COUNT * row);
    return (stat)(load_row(view, slot, rank, index, ROW_MEAN * row),
                  load_row(view, slot, rank, index, ROW_MEAN_LOW * row),
                  load_row(view, slot, rank, index, ROW_M2 * row), load_row(view, slot, rank, index, ROW_SCALE * row));
}

static inline __global stat *cells(const struct view *view)
{
    return (__global stat *)view->at[ST_WORKSPACE];
}

// Of the statistics that the element is normalised with, from ST_CELLS or ST_COEFFICIENTS on.
static inline uint cell_index(const struct view *view, const struct index *index)
{
    return sum_of_strides(view, ST_CELL_STRIDE, word(view, ST_RANK), index);
}

static inline float activated_z(const struct view *view, float z)
{
    return activation(word(view, ST_Z_ACTIVATION), real(view, ST_SLOPE), z);
}

// An element before its statistics. Absent factors are 1, which changes no bits.
struct element {
    float biased;        // x + input_bias
    float gate, h, z, t; // t: what the statistics are of
    float before, after; // the factor act_z(z) of h, or of v0
};

static inline struct element element_at(const struct view *view, const struct index *index)
{
    struct element e = {load(view, ST_X, index), 1.0f, 0, 0, 0, 1.0f, 1.0f};
    if (present(view, ST_INPUT_BIAS))
        e.biased = e.biased + load(view, ST_INPUT_BIAS, index);
    if (present(view, ST_GATE))
        e.gate = load(view, ST_GATE, index);
    e.h = e.gate * e.biased;
    if (present(view, ST_RESIDUAL))
        e.h = load(view, ST_RESIDUAL, index) + e.h;
    if (present(view, ST_Z)) {
        e.z = load(view, ST_Z, index);
        float factor = activated_z(view, e.z);
        if (word(view, ST_Z_FIRST))
            e.before = factor;
        else
            e.after = factor;
    }
    e.t = e.h * e.before;
    return e;
}

// What comes behind the norm: from v0 to the value that the activation is given, and on to y; after: act_z(z).
static inline float behind_norm(const struct view *view, const struct index *index, float v0, float after)
{
    float v2 = v0 * after;
    return present(view, ST_ADDEND) ? v2 + load(view, ST_ADDEND, index) : v2;
}

// The same in wide floats, from the two factors of v0 on.
static inline struct wide wide_v0(const struct view *view, const struct index *index, float normalised, float factor)
{
    struct wide v0 = wide_mul(wide_of(normalised), wide_of(factor));
    return present(view, ST_BIAS) ? wide_add(v0, wide_of(load(view, ST_BIAS, index))) : v0;
}

static inline struct wide wide_behind_norm(const struct view *view, const struct index *index, struct wide v0, float after)
{
    struct wide v2 = wide_mul(v0, wide_of(after));
    return present(view, ST_ADDEND) ? wide_add(v2, wide_of(load(view, ST_ADDEND, index))) : v2;
}

static inline float activated(const struct view *view, float v2)
{
    return activation(word(view, ST_ACTIVATION), real(view, ST_SLOPE), v2);
}

#define NO_RENORM 0xffffffffu // ST_RENORM

// What normalising and the affine part make of an element.
struct value {
    float xhat, factor, v0, v2; // factor: weight_offset + weight
    float normalised, ratio;    // xhat, and 1; of batch renorm xhat*r + d, and r
};

static inline struct value value_at(const struct view *view, const struct index *index, const struct element *e,
                                    stat cell)
{
    uint statistic = word(view, ST_STATISTIC);
    struct value v = {e->t * cell.w, 1.0f, 0, 0, 0, 1.0f};
    if (statistic == FORM_MOMENTS || statistic == FORM_GIVEN)
        v.xhat = (v.xhat - cell.x) - cell.y;
    v.xhat = v.xhat * cell.z;
    v.normalised = v.xhat;
    if (word(view, ST_RENORM) != NO_RENORM) {
        stat renorm = cells(view)[word(view, ST_RENORM) + cell_index(view, index)];
        v.ratio = renorm.x;
        v.normalised = v.xhat * renorm.x + renorm.y;
    }
    if (present(view, ST_WEIGHT))
        v.factor = real(view, ST_WEIGHT_OFFSET) + load(view, ST_WEIGHT, index);
    float product = v.normalised * v.factor;
    v.v0 = product;
    if (present(view, ST_BIAS))
        v.v0 = v.v0 + load(view, ST_BIAS, index);
    v.v2 = behind_norm(view, index, v.v0, e->after);
    if (e->after != 1.0f && is_lost(product, v.normalised, v.factor))
        v.v2 = wide_float(wide_behind_norm(view, index, wide_v0(view, index, v.normalised, v.factor), e->after));
    return v;
}

// Gradients of an element, named as the values that they are of; g: of xhat. lost: something overflowed or vanished on
// the way.
struct gradient {
    float dv2, dv1, g;
    bool lost;
};

static inline struct gradient gradient_at(const struct view *view, const struct index *index, const struct element *e,
                                          const struct value *v)
{
    struct gradient d;
    float dy = load(view, ST_DY, index);
    float slope = activation_derivative(word(view, ST_ACTIVATION), real(view, ST_SLOPE), v->v2);
    d.dv2 = dy * slope;
    d.dv1 = d.dv2 * e->after;
    float weighted = d.dv1 * v->factor;
    d.g = weighted * v->ratio;
    // What slope and dz follow from may be a product that vanished.
    d.lost = is_lost(v->normalised * v->factor, v->normalised, v->factor) || is_lost(d.dv2, dy, slope) ||
             is_lost(d.dv1, d.dv2, e->after) || is_lost(weighted, d.dv1, v->factor) || is_lost(d.g, weighted, v->ratio);
    return d;
}

static inline stat coefficients_at(const struct view *view, const struct index *index)
{
    return cells(view)[word(view, ST_COEFFICIENTS) + cell_index(view, index)];
}

static inline float dt_at(const struct element *e, const struct value *v, float g, stat cell, stat c)
{
    return ((((g - c.x) - v->xhat * c.y) * cell.z) * cell.w) - sign(e->t) * c.z;
}

// Of a gradient g and coefficients c, as is_lost().
static inline bool dt_is_lost(float dt, float g, float xhat, stat c)
{
    return is_lost(dt, 1.0f, fabs(g) + fabs(c.x) + fabs(c.y)) || is_lost(xhat * c.y, xhat, c.y) || c.w != 0;
}

static inline float dh_of(const struct view *view, const struct index *index, const struct element *e, float dt)
{
    float dh = dt * e->before;
    return present(view, ST_SUM) ? dh + load(view, ST_SUM, index) : dh;
}

// The same in wide floats: where float lost something.
struct wide_gradient {
    struct wide v0, dv2, dv1, g;
};

static inline struct wide_gradient wide_gradient_at(const struct view *view, const struct index *index,
                                                    const struct element *e, const struct value *v)
{
    struct wide_gradient d;
    struct wide after = wide_of(e->after), factor = wide_of(v->factor);
    d.v0 = wide_v0(view, index, v->normalised, v->factor);
    struct wide v2 = wide_behind_norm(view, index, d.v0, e->after);
    float slope = activation_derivative(word(view, ST_ACTIVATION), real(view, ST_SLOPE), wide_sign(v2));
    d.dv2 = wide_mul(wide_of(load(view, ST_DY, index)), wide_of(slope));
    d.dv1 = wide_mul(d.dv2, after);
    d.g = wide_mul(wide_mul(d.dv1, factor), wide_of(v->ratio));
    return d;
}

static inline struct wide wide_dh(const struct view *view, const struct index *index, const struct element *e,
                                  struct wide dt)
{
    struct wide dh = wide_mul(dt, wide_of(e->before));
    return present(view, ST_SUM) ? wide_add(dh, wide_of(load(view, ST_SUM, index))) : dh;
}

// y from v: quantised where y is.
static inline void store_y(const struct view *view, const struct index *index, float v)
{
    uint type = word(view, tensor(ST_TO));
    if (type < INT8) {
        store(view, ST_TO, index, v);
        return;
    }
    float scale = present(view, ST_Y_SCALE)
                      ? load(view, ST_Y_SCALE, index)
                      : cells(view)[word(view, ST_COEFFICIENTS) + cell_index(view, index)].x;
    float q = v / scale;
    uint at = word(view, tensor(ST_TO) + 1) + sum_of_strides(view, tensor(ST_TO) + 2, word(view, ST_STRIDES), index);
    view->at[ST_TO][at] = type == INT8 ? to_int8(q) : to_float8(q);
}

static inline stat cell_at(const struct view *view, const struct index *index)
{
    return cells(view)[word(view, ST_CELLS) + cell_index(view, index)];
}

static inline uint chunk_begin(const struct view *view, uint chunk)
{
    uint n = word(view, ST_N), run = word(view, ST_RUN);
    if (run > CHUNK) {
        uint per_run = (run + CHUNK - 1) / CHUNK;
        return chunk / per_run * run + min(chunk % per_run * CHUNK, run);
    }
    return min(chunk * (CHUNK / run * run), n);
}

// Whether eps is set against a norm or a deviation, not added to squares.
static inline bool eps_is_of_norm(uint scale)
{
    return scale == FORM_MAX || scale == FORM_ADD || scale == FORM_DEVIATION;
}

// The scale that a chunk's sum S of squares (or of absolutes) asks for, 1 where it is good. eps is compared as what is
// added to a square.
static inline float rescue(const struct view *view, float S, float k)
{
    float eps = real(view, ST_EPS), floor = eps_is_of_norm(word(view, ST_SCALE)) ? eps * eps : eps;
    if (!isfinite(S))
        return SHRINK;
    return S < 0x1p-80f && floor < 0x1p-73f && fabs(k) < 0x1p+20f ? GROW : 1.0f;
}

// (m, r) of a pivot and what is to be added. An infinite mean has no rest; inf - inf would make a NaN of it.
static inline float2 mean_pair(float k, float c)
{
    float m, r;
    two_sum(k, c, &m, &r);
    return (float2)(m, isinf(m) ? 0.0f : r);
}

static inline float finite_or_0(float k)
{
    return isfinite(k) ? k : 0.0f;
}
