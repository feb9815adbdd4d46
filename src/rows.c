// Rows: the form that the row kernels take, for layer norm and RMS norm over contiguous dimensions.
#include "problem.h"
#include <string.h>

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

int32_t norma_last_dims(const norma_problem *p)
{
    const int32_t rank = p->x->rank;
    int32_t dims = 0;
    if (p->axes == 0)
        return p->normalized_dims;
    while (dims < rank && p->axes >> (rank - 1 - dims) & 1)
        dims++;
    return p->axes >> (rank - dims) << (rank - dims) == p->axes ? dims : 0;
}

void norma_rows_fill(const norma_problem *p, struct row_problem *r)
{
    const norma_tensor *x = p->x;
    const int32_t outer = x->rank - norma_last_dims(p);
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

// The last k dimensions lie row-major without gaps.
static bool is_contiguous(const norma_tensor *t, int32_t k)
{
    int64_t stride = 1;
    for (int32_t i = 1; i <= k; i++) {
        const int64_t size = t->shape[t->rank - i];
        if (size > 1 && t->strides[t->rank - i] != stride)
            return false;
        stride *= size > 0 ? size : 1;
    }
    return true;
}

// Whether a tensor has the shape that the row kernels know: the normalised dimensions whole, those outside of it none,
// or all of them (of a gate also ones).
static bool suits_rows(norma_arg arg, const norma_tensor *t, const norma_tensor *x, int32_t k)
{
    if (arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD)
        return true;
    const bool beside = row_arg_is_shared(arg), repeats = arg == NORMA_ARG_GATE && t->rank == k;
    if (beside ? t->rank != k : t->rank != x->rank && !repeats)
        return false;
    for (int32_t i = 1; i <= k; i++)
        if (t->shape[t->rank - i] != x->shape[x->rank - i])
            return false;
    return is_contiguous(t, k);
}

bool norma_rows_suit(const norma_problem *p)
{
    if ((p->op != NORMA_LAYER_NORM && p->op != NORMA_RMS_NORM) || p->direction != NORMA_FORWARD ||
        p->activation != NORMA_ACTIVATION_NONE)
        return false;
    const int32_t dims = norma_last_dims(p);
    if (dims == 0)
        return false;
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(p, a);
        if (t &&
            (a >= NORMA_ROW_ARGS || t->channel_block > 1 || t->dtype == NORMA_FLOAT64 || !suits_rows(a, t, p->x, dims)))
            return false;
    }
    return true;
}
