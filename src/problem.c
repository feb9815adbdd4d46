#include "problem.h"
#include "backend.h"
#include "overlap.h"
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset;
} arg_table[NORMA_ARG_COUNT] = {
    [NORMA_ARG_X] = {"x", offsetof(norma_problem, x)},
    [NORMA_ARG_Y] = {"y", offsetof(norma_problem, y)},
    [NORMA_ARG_WEIGHT] = {"weight", offsetof(norma_problem, weight)},
    [NORMA_ARG_BIAS] = {"bias", offsetof(norma_problem, bias)},
    [NORMA_ARG_RESIDUAL] = {"residual", offsetof(norma_problem, residual)},
    [NORMA_ARG_GATE] = {"gate", offsetof(norma_problem, gate)},
    [NORMA_ARG_INPUT_BIAS] = {"input_bias", offsetof(norma_problem, input_bias)},
    [NORMA_ARG_SUM] = {"sum", offsetof(norma_problem, sum)},
    [NORMA_ARG_MEAN] = {"mean", offsetof(norma_problem, mean)},
    [NORMA_ARG_RSTD] = {"rstd", offsetof(norma_problem, rstd)},
};

const char *norma_arg_name(norma_arg arg)
{
    if (arg == NORMA_ARG_WORKSPACE)
        return "workspace";
    return (unsigned)arg < NORMA_ARG_COUNT ? arg_table[arg].name : NULL;
}

const char *norma_op_name(norma_op op)
{
    switch (op) {
    case NORMA_LAYER_NORM:
        return "layer_norm";
    case NORMA_RMS_NORM:
        return "rms_norm";
    case NORMA_OP_INVALID:
    case NORMA_OP_COUNT:
        break;
    }
    return NULL;
}

const norma_tensor *norma_problem_tensor(const norma_problem *problem, norma_arg arg)
{
    const norma_tensor *tensor;
    memcpy(&tensor, (const char *)problem + arg_table[arg].offset, sizeof(tensor));
    return tensor;
}

#define BAD(...) norma_fail(NORMA_ERROR_INVALID_ARGUMENT, __VA_ARGS__)
#define TRY(call)                      \
    do {                               \
        norma_status status_ = (call); \
        if (status_ != NORMA_OK)       \
            return status_;            \
    } while (0)

static bool has_elements(const norma_tensor *t)
{
    for (int32_t d = 0; d < t->rank; d++)
        if (t->shape[d] == 0)
            return false;
    return true;
}

uint64_t norma_tensor_span(const norma_tensor *t)
{
    uint64_t last = 0;
    if (!has_elements(t))
        return 0;
    for (int32_t d = 0; d < t->rank; d++)
        last += (uint64_t)(t->shape[d] - 1) * (uint64_t)t->strides[d];
    return (last + 1) * norma_dtype_size(t->dtype);
}

// Type, rank, shape and strides of one tensor on its own; sizes that could overflow later are refused here.
static norma_status check_form(const char *name, const norma_tensor *t, bool output)
{
    if (norma_dtype_size(t->dtype) == 0)
        return BAD("%s: unknown type %d; one of NORMA_FLOAT32, NORMA_FLOAT16, NORMA_BFLOAT16 is right", name,
                   (int)t->dtype);
    if (t->dtype == NORMA_FLOAT64)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: float64 is not supported; float32, float16 and bfloat16 are",
                          name);
    if (t->rank < 0 || t->rank > NORMA_MAX_RANK)
        return BAD("%s: rank %d is not in 0..%d", name, (int)t->rank, NORMA_MAX_RANK);
    // 2^62 bytes keep every later sum of offsets in 64 bits.
    const uint64_t limit = (UINT64_C(1) << 62) / norma_dtype_size(t->dtype);
    uint64_t count = 1, last = 0;
    for (int32_t d = 0; d < t->rank; d++) {
        if (t->shape[d] < 0)
            return BAD("%s: shape[%d] is negative (%lld)", name, (int)d, (long long)t->shape[d]);
        if (t->strides[d] < 0)
            return BAD("%s: strides[%d] is negative (%lld)", name, (int)d, (long long)t->strides[d]);
    }
    if (!has_elements(t))
        return NORMA_OK;
    for (int32_t d = 0; d < t->rank; d++) {
        uint64_t extent;
        if (__builtin_mul_overflow(count, (uint64_t)t->shape[d], &count) || count > limit)
            return BAD("%s: the shape has too many elements", name);
        if (__builtin_mul_overflow((uint64_t)(t->shape[d] - 1), (uint64_t)t->strides[d], &extent) ||
            __builtin_add_overflow(last, extent, &last) || last >= limit)
            return BAD("%s: shape and strides reach past what memory can hold", name);
    }
    if (output && norma_overlaps_itself(t))
        return BAD("%s: an output's elements may not share memory with one another (strides)", name);
    return NORMA_OK;
}

static norma_status check_memory(const char *name, const norma_tensor *t, enum norma_place place)
{
    const size_t size = norma_dtype_size(t->dtype);
    if (!has_elements(t) || place == NORMA_PLACE_NONE)
        return NORMA_OK;
    if (place == NORMA_PLACE_HOST) {
        if (t->buffer)
            return BAD("%s: lies in a device buffer; host memory (data) is expected here", name);
        if (!t->data)
            return BAD("%s: data is NULL", name);
        if ((uintptr_t)t->data % size)
            return BAD("%s: data is not a multiple of its element's size (%zu bytes)", name, size);
        if ((uintptr_t)t->data > UINTPTR_MAX - norma_tensor_span(t))
            return BAD("%s: reaches past the end of the address space", name);
        return NORMA_OK;
    }
    if (t->data)
        return BAD("%s: lies in host memory; a buffer of the plan's device is expected here", name);
    if (!t->buffer)
        return BAD("%s: buffer is NULL", name);
    if (t->offset % size)
        return BAD("%s: offset %llu is not a multiple of its element's size (%zu bytes)", name,
                   (unsigned long long)t->offset, size);
    const uint64_t span = norma_tensor_span(t);
    if (t->offset > t->buffer->size || span > t->buffer->size - t->offset)
        return BAD("%s: needs %llu bytes from offset %llu, the buffer has %llu", name, (unsigned long long)span,
                   (unsigned long long)t->offset, (unsigned long long)t->buffer->size);
    return NORMA_OK;
}

// The last k dimensions equal those of x, and lie row-major without gaps.
static norma_status check_normalized(const char *name, const norma_tensor *t, const norma_tensor *x, int32_t k)
{
    if (t->rank < k)
        return BAD("%s: rank %d has not the %d normalised dimensions", name, (int)t->rank, (int)k);
    int64_t stride = 1;
    for (int32_t i = 1; i <= k; i++) {
        const int64_t size = t->shape[t->rank - i];
        if (size != x->shape[x->rank - i])
            return BAD("%s: dimension %d has %lld elements, that of x has %lld", name, (int)(t->rank - i),
                       (long long)size, (long long)x->shape[x->rank - i]);
        if (size > 1 && t->strides[t->rank - i] != stride)
            return BAD("%s: the normalised dimensions are not contiguous (strides[%d] is %lld, not %lld)", name,
                       (int)(t->rank - i), (long long)t->strides[t->rank - i], (long long)stride);
        stride *= size > 0 ? size : 1;
    }
    return NORMA_OK;
}

static norma_status check_outer(const char *name, const norma_tensor *t, const norma_tensor *x, int32_t outer,
                                bool broadcast)
{
    for (int32_t d = 0; d < outer; d++)
        if (t->shape[d] != x->shape[d] && !(broadcast && t->shape[d] == 1))
            return BAD("%s: shape[%d] is %lld, that of x is %lld", name, (int)d, (long long)t->shape[d],
                       (long long)x->shape[d]);
    return NORMA_OK;
}

static norma_status check_shape(norma_arg arg, const norma_tensor *t, const norma_tensor *x, int32_t k)
{
    const char *name = norma_arg_name(arg);
    const int32_t outer = x->rank - k;
    if (arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD) {
        if (t->dtype != NORMA_FLOAT32)
            return BAD("%s: the type must be float32", name);
        if (t->rank != outer && t->rank != x->rank)
            return BAD("%s: rank %d; %d, or %d with ones behind, is right", name, (int)t->rank, (int)outer,
                       (int)x->rank);
        for (int32_t d = outer; d < t->rank; d++)
            if (t->shape[d] != 1)
                return BAD("%s: shape[%d] is %lld, not 1", name, (int)d, (long long)t->shape[d]);
        return check_outer(name, t, x, outer, false);
    }
    TRY(check_normalized(name, t, x, k));
    if (row_arg_is_shared(arg) || (arg == NORMA_ARG_GATE && t->rank == k)) {
        if (t->rank != k)
            return BAD("%s: rank %d, not that of the normalised shape (%d)", name, (int)t->rank, (int)k);
        return NORMA_OK;
    }
    if (t->rank != x->rank)
        return BAD("%s: rank %d, that of x is %d", name, (int)t->rank, (int)x->rank);
    return check_outer(name, t, x, outer, arg == NORMA_ARG_GATE);
}

static norma_status check_scalars(const norma_problem *p)
{
    if (!p)
        return BAD("problem: NULL");
    if (p->size != sizeof(norma_problem))
        return BAD("size: %zu, not sizeof(norma_problem) (%zu)", p->size, sizeof(norma_problem));
    if (!norma_op_name(p->op))
        return BAD("op: unknown operator %d", (int)p->op);
    if (!p->x)
        return BAD("x: NULL");
    if (!p->y)
        return BAD("y: NULL");
    if (!(p->eps >= 0) || !isfinite((float)p->eps))
        return BAD("eps: %g; a finite float32 of 0 or more is right", p->eps);
    if (!isfinite((float)p->weight_offset))
        return BAD("weight_offset: %g; a finite float32 is right", p->weight_offset);
    if (p->weight_offset != 0 && p->op != NORMA_RMS_NORM)
        return BAD("weight_offset: %g; only rms_norm has one", p->weight_offset);
    return NORMA_OK;
}

static norma_status check_overlaps(const norma_problem *p)
{
    for (int out = 0; out < NORMA_ARG_COUNT; out++) {
        const norma_tensor *t = norma_problem_tensor(p, out);
        if (!t || !row_arg_is_output(out))
            continue;
        for (int other = 0; other < NORMA_ARG_COUNT; other++) {
            const norma_tensor *o = norma_problem_tensor(p, other);
            if (!o || other == out || (row_arg_is_output(other) && other > out))
                continue; // two outputs are compared once
            if (!norma_shares_elements(t, o) || (!row_arg_is_output(other) && norma_same_view(t, o)))
                continue;
            return BAD("%s: shares elements with %s; an output may do so only with an input that is the same view",
                       norma_arg_name(out), norma_arg_name(other));
        }
    }
    return NORMA_OK;
}

// Row strides of one tensor for each outer dimension of x.
static void outer_strides(norma_arg arg, const norma_tensor *t, const norma_tensor *x, int32_t outer, int64_t *stride)
{
    const bool repeated = row_arg_is_shared(arg) || (arg == NORMA_ARG_GATE && t->rank < x->rank);
    for (int32_t d = 0; d < outer; d++)
        stride[d] = repeated || t->shape[d] == 1 ? 0 : t->strides[d];
}

// A gate's rows over a dimension: index i reads row i/period at stride.
struct gate_pattern {
    int64_t period, stride;
};

// Tries to fold outer dimension `o` (size so) into the run below it (size si), for gate. Returns false where one
// pattern cannot say both.
static bool fold_gate(struct gate_pattern *run, int64_t si, int64_t outer_stride)
{
    if (run->stride == 0) {
        run->period = outer_stride ? si : 1;
        run->stride = outer_stride;
        return true;
    }
    return si % run->period == 0 && outer_stride == run->stride * (si / run->period);
}

// Folds neighbouring outer dimensions wherever every tensor steps evenly over both.
static void fold_outer(struct row_problem *r)
{
    int32_t top = r->outer_rank - 1; // the dimension being grown, from the innermost outwards
    struct gate_pattern gate = {1, r->arg[NORMA_ARG_GATE].stride[top]};
    int32_t write = top;
    bool is_run = true;
    for (int32_t d = top - 1; d >= 0; d--) {
        bool even = true;
        for (int a = 0; a < NORMA_ARG_COUNT && even; a++)
            if (r->arg[a].present && !(is_run && a == NORMA_ARG_GATE))
                even = r->arg[a].stride[d] == r->arg[a].stride[write] * r->outer[write];
        const struct gate_pattern before = gate;
        if (even && is_run && r->arg[NORMA_ARG_GATE].present)
            even = fold_gate(&gate, r->outer[write], r->arg[NORMA_ARG_GATE].stride[d]);
        if (even) {
            r->outer[write] *= r->outer[d];
            continue;
        }
        gate = before;
        is_run = false;
        write--;
        r->outer[write] = r->outer[d];
        for (int a = 0; a < NORMA_ARG_COUNT; a++)
            r->arg[a].stride[write] = r->arg[a].stride[d];
    }
    r->outer_rank = top - write + 1;
    r->gate_rows = gate.period;
    r->arg[NORMA_ARG_GATE].stride[top] = gate.stride;
    memmove(r->outer, r->outer + write, (size_t)r->outer_rank * sizeof(r->outer[0]));
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        memmove(r->arg[a].stride, r->arg[a].stride + write, (size_t)r->outer_rank * sizeof(r->outer[0]));
}

static void fill_rows(const norma_problem *p, struct row_problem *r)
{
    const norma_tensor *x = p->x;
    const int32_t outer = x->rank - p->normalized_dims;
    *r = (struct row_problem){
        .op = p->op, .eps = (float)p->eps, .weight_offset = (float)p->weight_offset, .n = 1, .rows = 1};
    for (int32_t d = outer; d < x->rank; d++)
        r->n *= x->shape[d];
    int32_t kept = 0;
    for (int32_t d = 0; d < outer; d++) {
        r->rows *= x->shape[d];
        if (x->shape[d] == 1)
            continue; // a dimension of one row has no stride worth keeping
        r->outer[kept] = x->shape[d];
        for (int a = 0; a < NORMA_ARG_COUNT; a++) {
            const norma_tensor *t = norma_problem_tensor(p, a);
            int64_t stride[NORMA_MAX_RANK] = {0};
            if (t)
                outer_strides(a, t, x, outer, stride);
            r->arg[a].stride[kept] = stride[d];
        }
        kept++;
    }
    r->outer_rank = kept;
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(p, a);
        r->arg[a].present = t != NULL;
        r->arg[a].dtype = t ? t->dtype : NORMA_DTYPE_INVALID;
        r->arg[a].length = a == NORMA_ARG_MEAN || a == NORMA_ARG_RSTD ? 1 : r->n;
    }
    if (kept == 0) {
        r->outer_rank = 1;
        r->outer[0] = 1;
        for (int a = 0; a < NORMA_ARG_COUNT; a++) // one row: a dense stride suits every device
            r->arg[a].stride[0] = r->arg[a].present && !row_arg_is_shared(a) ? r->arg[a].length : 0;
    }
    r->gate_rows = 1;
    if (r->rows > 0)
        fold_outer(r);
}

norma_status norma_rows_from_problem(const norma_problem *problem, enum norma_place place, uint32_t optional,
                                     struct row_problem *rows)
{
    TRY(check_scalars(problem));
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        if (!t)
            continue;
        TRY(check_form(norma_arg_name(a), t, row_arg_is_output(a)));
        if (a == NORMA_ARG_X && (problem->normalized_dims < 1 || problem->normalized_dims > t->rank))
            return BAD("normalized_dims: %d is not in 1..%d (the rank of x)", (int)problem->normalized_dims,
                       (int)t->rank);
        TRY(check_shape(a, t, problem->x, problem->normalized_dims));
    }
    fill_rows(problem, rows);
    if (rows->n > INT32_MAX)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: rows of %lld elements; at most %d are supported",
                          (long long)rows->n, INT32_MAX);
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        if (t && !(optional >> a & 1 && !t->data && !t->buffer))
            TRY(check_memory(norma_arg_name(a), t, place));
    }
    return place == NORMA_PLACE_NONE ? NORMA_OK : check_overlaps(problem);
}
