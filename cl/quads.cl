// The quad kernels: what the strided ones do, four neighbours at a time, for tensors without prologue and z whose
// neighbours in memory are
//   columns: those of the last group dimension (channels-last): a work-item has four groups, one in each lane;
//   planes: those of the last dimension of a group's elements; quads that reach over its end are put together.
// The additions are the strided kernels' in their order (docs/reduction.md), so the bits are theirs. The arguments are the
// table of src/strided_table.h; the planner (src/planner/strided_quads.c) has seen that strides of lanes are 1, or 0.
#include "strided_prelude.cl"

static inline float4 load4(const struct view *view, uint slot, uint at)
{
    __global const uchar *p = view->at[slot];
    uint type = word(view, tensor(slot));
    if (type == FLOAT32)
        return vload4(0, (__global const float *)p + at);
    if (type == FLOAT16)
        return vload_half4(0, (__global const half *)p + at);
    return as_float4(convert_uint4(vload4(0, (__global const ushort *)p + at)) << 16);
}

static inline void store4(const struct view *view, uint slot, uint at, float4 v)
{
    __global uchar *p = view->at[slot];
    uint type = word(view, tensor(slot));
    if (type == FLOAT32)
        vstore4(v, 0, (__global float *)p + at);
    else if (type == FLOAT16)
        vstore_half4_rte(v, 0, (__global half *)p + at);
    else
        vstore4((ushort4)(to_bfloat16(v.x), to_bfloat16(v.y), to_bfloat16(v.z), to_bfloat16(v.w)), 0,
                (__global ushort *)p + at);
}

static inline float4 load_lanes(const struct view *view, uint slot, uint at, uint stride)
{
    return stride ? load4(view, slot, at) : (float4)(load1(view->at[slot], word(view, tensor(slot)), at));
}

static inline uint stride_of(const struct view *view, uint slot, uint d)
{
    return word(view, tensor(slot) + 2 + d);
}

// Offset of group (and element) `index` over the first `rank` dimensions.
static inline uint place(const struct view *view, uint slot, uint rank, const struct index *index)
{
    return word(view, tensor(slot) + 1) + sum_of_strides(view, tensor(slot) + 2, rank, index);
}

// Statistics of four lanes: groups, or lanes of the tree.
struct sums4 {
    float4 first, second;
};

static inline float4 four(float4 a, float4 b, float4 c, float4 d)
{
    return (a + b) + (c + d);
}

#define FOLD8(T) (((T[0] + T[4]) + (T[2] + T[6])) + ((T[1] + T[5]) + (T[3] + T[7])))

// What a chunk's cell says where the strided kernel is to do it again: the scale 0.
static inline stat chunk_cell(const struct view *view, float S1, float S2, float k, uint length)
{
    float c = S1 / (float)length, q = S1 * c, M2 = S2 - q, m, r;
    bool moments = word(view, ST_STATISTIC) == FORM_MOMENTS;
    if (rescue(view, S2, k) != 1.0f || (moments && q > M2 * 0.25f))
        return (stat)(0);
    if (!moments)
        return (stat)(0, 0, S2, 1.0f);
    two_sum(k, c, &m, &r);
    return (stat)(m, r, M2 < 0 ? 0.0f : M2, 1.0f);
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_column_stats)
// Elements of four groups, a row each.
struct column {
    const struct view *view;
    uint at, step;
};

static inline float4 column_row(const struct column *column, uint element)
{
    return load4(column->view, ST_X, column->at + element * column->step);
}

static inline float4 column_pivot(const struct column *column, uint begin, uint end)
{
    float4 f[4];
    if (word(column->view, ST_STATISTIC) != FORM_MOMENTS)
        return 0;
    if (end - begin < 16)
        return column_row(column, begin);
    for (uint t = 0; t < 4; t++) {
        float4 p[4];
        for (uint v = 0; v < 4; v++)
            p[v] = column_row(column, begin + 4 * t + v) * 0.0625f;
        f[t] = four(p[0], p[1], p[2], p[3]);
    }
    return (f[0] + f[2]) + (f[1] + f[3]);
}

// A lane of the tree in a block, from the group's element i on.
static inline struct sums4 column_lane(const struct column *column, uint i, uint end, float4 k)
{
    struct sums4 sum = {0, 0};
    for (; i + 96 < end; i += 128) {
        float4 a = column_row(column, i) - k, b = column_row(column, i + 32) - k;
        float4 c = column_row(column, i + 64) - k, d = column_row(column, i + 96) - k;
        sum.first = sum.first + four(a, b, c, d);
        sum.second = sum.second + four(a * a, b * b, c * c, d * d);
    }
    if (i < end) {
        float4 d[4] = {0, 0, 0, 0};
        for (uint s = 0; s < 3 && i + 32 * s < end; s++)
            d[s] = column_row(column, i + 32 * s) - k;
        sum.first = sum.first + four(d[0], d[1], d[2], d[3]);
        sum.second = sum.second + four(d[0] * d[0], d[1] * d[1], d[2] * d[2], d[3] * d[3]);
    }
    return sum;
}

static inline struct sums4 column_sums(const struct column *column, uint begin, uint end, float4 k)
{
    float4 T[8] = {0, 0, 0, 0, 0, 0, 0, 0}, U[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint block = begin; block < end; block += BLOCK) {
        uint stop = min(block + BLOCK, end);
        for (uint t = 0; t < 8; t++) {
            struct sums4 v[4];
            for (uint j = 0; j < 4; j++)
                v[j] = column_lane(column, block + 4 * t + j, stop, k);
            T[t] = T[t] + four(v[0].first, v[1].first, v[2].first, v[3].first);
            U[t] = U[t] + four(v[0].second, v[1].second, v[2].second, v[3].second);
        }
    }
    return (struct sums4){FOLD8(T), FOLD8(U)};
}

STRIDED(column_stats)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), quads = word(&view, ST_GROUPS) / 4;
    if (unit >= word(&view, ST_CHUNKS) * quads)
        return;
    uint group = word(&view, ST_GROUP0) + unit % quads * 4, chunk = word(&view, ST_CHUNK0) + unit / quads;
    uint begin = chunk_begin(&view, chunk), end = chunk_begin(&view, chunk + 1), rank = word(&view, ST_GROUP_RANK);
    set_group(&view, group, &index);
    struct column column = {&view, place(&view, ST_X, rank, &index), stride_of(&view, ST_X, rank)};
    float4 k = column_pivot(&column, begin, end);
    struct sums4 S = column_sums(&column, begin, end, k);
    float lane_k[4], first[4], second[4];
    vstore4(k, 0, lane_k);
    vstore4(S.first, 0, first);
    vstore4(S.second, 0, second);
    uint out = word(&view, ST_OUT) + chunk; // modulo 2^32, so added up before the pointer
    for (uint j = 0; j < 4; j++)
        cells(&view)[out + (group + j) * word(&view, ST_OUTPUTS)] = chunk_cell(&view, first[j], second[j], lane_k[j], end - begin);
}
#endif

// x along a group's elements: the place of the quad that begins at an element, found again at the ends of the last
// dimension.
struct plane {
    const struct view *view;
    struct index index;
    uint rank, inner;
};

static inline struct plane plane_of(const struct view *view, uint group)
{
    struct plane plane = {.view = view, .rank = word(view, ST_RANK)};
    plane.inner = word(view, ST_EXTENT + plane.rank - 1);
    set_group(view, group, &plane.index);
    return plane;
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_plane_stats)
// Elements from here to the end of the last dimension lie side by side, the next ones elsewhere. Of those from `end` on
// any value will do.
static inline float4 plane_quad(struct plane *plane, uint element, uint end)
{
    set_element(plane->view, element, &plane->index);
    uint at = place(plane->view, ST_X, plane->rank, &plane->index), type = word(plane->view, tensor(ST_X));
    if (plane->index.at[plane->rank - 1] + 4 <= plane->inner)
        return load4(plane->view, ST_X, at);
    float v[4] = {0, 0, 0, 0};
    for (uint j = 0; j < 4 && element + j < end; j++) {
        set_element(plane->view, element + j, &plane->index);
        v[j] = load1(plane->view->at[ST_X], type, place(plane->view, ST_X, plane->rank, &plane->index));
    }
    return vload4(0, v);
}

static inline float plane_pivot(struct plane *plane, uint begin, uint end)
{
    float f[4];
    if (word(plane->view, ST_STATISTIC) != FORM_MOMENTS)
        return 0;
    if (end - begin < 16)
        return plane_quad(plane, begin, end).x;
    for (uint t = 0; t < 4; t++) {
        float4 p = plane_quad(plane, begin + 4 * t, end) * 0.0625f;
        f[t] = (p.x + p.y) + (p.z + p.w);
    }
    return (f[0] + f[2]) + (f[1] + f[3]);
}

// Four lanes of the tree, elements i, i + 32, ... of a block that lies in one run of the last dimension: at, at + 32, ...
static inline struct sums4 plane_lanes(const struct plane *plane, uint at, uint count, float k)
{
    struct sums4 sum = {0, 0};
    uint i = 0;
    for (; i + 96 < count; i += 128) {
        float4 a = load4(plane->view, ST_X, at + i) - k, b = load4(plane->view, ST_X, at + i + 32) - k;
        float4 c = load4(plane->view, ST_X, at + i + 64) - k, d = load4(plane->view, ST_X, at + i + 96) - k;
        sum.first = sum.first + four(a, b, c, d);
        sum.second = sum.second + four(a * a, b * b, c * c, d * d);
    }
    if (i < count) {
        float4 d[4] = {0, 0, 0, 0};
        for (uint s = 0; s < 3 && i + 32 * s < count; s++)
            d[s] = load4(plane->view, ST_X, at + i + 32 * s) - k;
        sum.first = sum.first + four(d[0], d[1], d[2], d[3]);
        sum.second = sum.second + four(d[0] * d[0], d[1] * d[1], d[2] * d[2], d[3] * d[3]);
    }
    return sum;
}

// The same across the ends of the last dimension. A block's end may cut its last quad.
static inline struct sums4 plane_pieces(struct plane *plane, uint i, uint end, float k)
{
    struct sums4 sum = {0, 0};
    for (; i < end; i += 128) {
        float4 d[4] = {0, 0, 0, 0};
        for (uint s = 0; s < 4 && i + 32 * s < end; s++) {
            uint at = i + 32 * s;
            d[s] = plane_quad(plane, at, end) - k;
            d[s] = select((float4)(0), d[s], (int4)(0, 1, 2, 3) < (int)min(end - at, 4u));
        }
        sum.first = sum.first + four(d[0], d[1], d[2], d[3]);
        sum.second = sum.second + four(d[0] * d[0], d[1] * d[1], d[2] * d[2], d[3] * d[3]);
    }
    return sum;
}

static inline float2 plane_sums(struct plane *plane, uint begin, uint end, float k)
{
    float2 T[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint block = begin; block < end; block += BLOCK) {
        uint stop = min(block + BLOCK, end);
        bool one = block % plane->inner + (stop - block) <= plane->inner && (stop - block) % 4 == 0;
        set_element(plane->view, block, &plane->index);
        uint at = place(plane->view, ST_X, plane->rank, &plane->index);
        for (uint t = 0; t < 8; t++) {
            uint i = block + 4 * t;
            if (i >= stop)
                break;
            struct sums4 s = one ? plane_lanes(plane, at + 4 * t, stop - i, k) : plane_pieces(plane, i, stop, k);
            T[t] = T[t] + (float2)((s.first.x + s.first.y) + (s.first.z + s.first.w),
                                   (s.second.x + s.second.y) + (s.second.z + s.second.w));
        }
    }
    return FOLD8(T);
}

STRIDED(plane_stats)
{
    struct view view = VIEW;
    uint unit = unit_index(), groups = word(&view, ST_GROUPS);
    if (unit >= word(&view, ST_CHUNKS) * groups)
        return;
    uint group = word(&view, ST_GROUP0) + unit % groups, chunk = word(&view, ST_CHUNK0) + unit / groups;
    uint begin = chunk_begin(&view, chunk), end = chunk_begin(&view, chunk + 1);
    struct plane plane = plane_of(&view, group);
    float k = plane_pivot(&plane, begin, end);
    float2 S = plane_sums(&plane, begin, end, k);
    cells(&view)[word(&view, ST_OUT) + group * word(&view, ST_OUTPUTS) + chunk] =
        chunk_cell(&view, S.x, S.y, k, end - begin);
}
#endif

// (m, r, s, a) of four lanes.
struct cells4 {
    float4 m, r, s, a;
};

// Those of four lanes from a place in the workspace, `step` apart.
static inline struct cells4 cells_at(const struct view *view, uint at, uint step)
{
    __global const stat *cell = cells(view) + at;
    stat a = cell[0], b = cell[step], c = cell[2 * step], d = cell[3 * step];
    return (struct cells4){(float4)(a.x, b.x, c.x, d.x), (float4)(a.y, b.y, c.y, d.y), (float4)(a.z, b.z, c.z, d.z),
                           (float4)(a.w, b.w, c.w, d.w)};
}

static inline float4 normalised4(const struct view *view, float4 x, const struct cells4 *cell)
{
    uint statistic = word(view, ST_STATISTIC);
    float4 z = x * cell->a;
    if (statistic == FORM_MOMENTS || statistic == FORM_GIVEN)
        z = (z - cell->m) - cell->r;
    return z * cell->s;
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_column_apply)
STRIDED(column_apply)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), quads = word(&view, ST_GROUPS) / 4, stretch = word(&view, ST_STRETCH);
    uint first = unit / quads * stretch, elements = word(&view, ST_ELEMENTS), rank = word(&view, ST_GROUP_RANK);
    if (first >= elements)
        return;
    set_group(&view, word(&view, ST_GROUP0) + unit % quads * 4, &index);
    struct cells4 cell = cells_at(&view, word(&view, ST_CELLS) + sum_of_strides(&view, ST_CELL_STRIDE, rank, &index),
                                  word(&view, ST_CELL_STRIDE + rank - 1));
    float4 factor = 1.0f, bias = 0;
    if (present(&view, ST_WEIGHT))
        factor = real(&view, ST_WEIGHT_OFFSET) + load_lanes(&view, ST_WEIGHT, place(&view, ST_WEIGHT, rank, &index),
                                                            stride_of(&view, ST_WEIGHT, rank - 1));
    if (present(&view, ST_BIAS))
        bias = load_lanes(&view, ST_BIAS, place(&view, ST_BIAS, rank, &index), stride_of(&view, ST_BIAS, rank - 1));
    uint x = place(&view, ST_X, rank, &index), to = place(&view, ST_TO, rank, &index);
    uint addend = present(&view, ST_ADDEND) ? place(&view, ST_ADDEND, rank, &index) : 0;
    uint begin = word(&view, ST_ELEMENT0) + first, end = begin + min(stretch, elements - first);
    for (uint e = begin; e < end; e++) {
        float4 v = normalised4(&view, load4(&view, ST_X, x + e * stride_of(&view, ST_X, rank)), &cell) * factor;
        if (present(&view, ST_BIAS))
            v = v + bias;
        if (present(&view, ST_ADDEND))
            v = v + load_lanes(&view, ST_ADDEND, addend + e * stride_of(&view, ST_ADDEND, rank),
                               stride_of(&view, ST_ADDEND, rank - 1));
        store4(&view, ST_TO, to + e * stride_of(&view, ST_TO, rank), activation4(word(&view, ST_ACTIVATION), real(&view, ST_SLOPE), v));
    }
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_plane_apply)
// Where a run of the last dimension begins in each tensor, and the steps along it: 1, or 0.
struct run {
    uint x, to, weight, bias, addend, weight_step, bias_step, addend_step;
};

static inline struct run run_at(const struct plane *plane)
{
    const struct view *view = plane->view;
    uint last = plane->rank - 1;
    struct run run = {.x = place(view, ST_X, plane->rank, &plane->index),
                      .to = place(view, ST_TO, plane->rank, &plane->index),
                      .weight_step = stride_of(view, ST_WEIGHT, last),
                      .bias_step = stride_of(view, ST_BIAS, last),
                      .addend_step = stride_of(view, ST_ADDEND, last)};
    run.weight = present(view, ST_WEIGHT) ? place(view, ST_WEIGHT, plane->rank, &plane->index) : 0;
    run.bias = present(view, ST_BIAS) ? place(view, ST_BIAS, plane->rank, &plane->index) : 0;
    run.addend = present(view, ST_ADDEND) ? place(view, ST_ADDEND, plane->rank, &plane->index) : 0;
    return run;
}

// y of element i of the run and, with `lanes`, of the three behind it.
static inline float4 apply_lanes(const struct view *view, const struct run *run, const struct cells4 *cell, uint i,
                                 uint lanes)
{
    float4 v = normalised4(view, load_lanes(view, ST_X, run->x + i, lanes), cell);
    if (present(view, ST_WEIGHT))
        v = v * (real(view, ST_WEIGHT_OFFSET) +
                 load_lanes(view, ST_WEIGHT, run->weight + i * run->weight_step, lanes & run->weight_step));
    if (present(view, ST_BIAS))
        v = v + load_lanes(view, ST_BIAS, run->bias + i * run->bias_step, lanes & run->bias_step);
    if (present(view, ST_ADDEND))
        v = v + load_lanes(view, ST_ADDEND, run->addend + i * run->addend_step, lanes & run->addend_step);
    return activation4(word(view, ST_ACTIVATION), real(view, ST_SLOPE), v);
}

STRIDED(plane_apply)
{
    struct view view = VIEW;
    uint unit = unit_index(), stretch = word(&view, ST_STRETCH), elements = word(&view, ST_ELEMENTS);
    uint pieces = (elements + stretch - 1) / stretch, first = unit % pieces * stretch, group = unit / pieces;
    if (group >= word(&view, ST_GROUPS))
        return;
    struct plane plane = plane_of(&view, word(&view, ST_GROUP0) + group);
    uint begin = word(&view, ST_ELEMENT0) + first, end = begin + min(stretch, elements - first);
    set_element(&view, begin, &plane.index);
    stat c = cell_at(&view, &plane.index);
    struct cells4 cell = {c.x, c.y, c.z, c.w};
    for (uint e = begin; e < end;) {
        set_element(&view, e, &plane.index);
        struct run run = run_at(&plane);
        uint count = min(end - e, plane.inner - plane.index.at[plane.rank - 1]), i = 0;
        for (; i + 4 <= count; i += 4)
            store4(&view, ST_TO, run.to + i, apply_lanes(&view, &run, &cell, i, 1));
        for (; i < count; i++)
            store1(view.at[ST_TO], word(&view, tensor(ST_TO)), run.to + i, apply_lanes(&view, &run, &cell, i, 0).x);
        e += count;
    }
}
#endif

#include "quads_backward.cl"
