#include "blocks.h"
#include "message.h"
#include "problem.h"
#include "tensors.h"
#include "values.h"
#include <norma/run.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 << 20 };

// Dimensions along which a group's statistics are mixed with those of others.
static uint32_t mixed_axes(const norma_problem *problem)
{
    return problem->op != NORMA_SWITCHABLE_NORM ? 0 : problem->training ? ~0u : ~1u;
}

bool blocks_start(struct blocks *b, norma_context *context, const norma_problem *problem, norma_dtype dtype)
{
    memset(b, 0, sizeof *b);
    b->context = context;
    b->problem = *problem;
    b->dtype = dtype;
    b->axis = -1;
    const norma_tensor *x = problem->x;
    const uint32_t spanned = group_axes(problem) | mixed_axes(problem);
    for (int32_t d = x->rank - 1; d >= 0; --d)
        if (!(spanned >> d & 1) && statistic_extent(problem, d) == x->shape[d] && (b->axis < 0 || x->shape[d] > 1))
            b->axis = d;
    int64_t shape[NORMA_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    if (b->axis >= 0 && shape[b->axis] > 0) {
        const uint64_t slice = tensor_bytes(x) / (uint64_t)shape[b->axis];
        b->length = slice > 0 && BLOCK_BYTES / slice < (uint64_t)shape[b->axis] ? (int64_t)(BLOCK_BYTES / slice)
                                                                                : shape[b->axis];
        b->length = b->length > 0 ? b->length : 1;
        shape[b->axis] = b->length;
    }
    b->y = norma_tensor_host(dtype, x->rank, shape, NULL);
    const uint64_t bytes = tensor_bytes(&b->y);
    b->y.data = malloc(bytes ? bytes : 1);
    return b->y.data || complain("y: no memory for %llu bytes", (unsigned long long)bytes);
}

bool blocks_single(const struct blocks *b)
{
    return b->axis < 0 || b->length == b->problem.x->shape[b->axis];
}

// The tensor's part for indices begin to begin + count - 1 of the axis of x.
static norma_tensor cut(const struct blocks *b, norma_arg arg, const norma_tensor *t, int64_t begin, int64_t count)
{
    norma_tensor part = *t;
    const uint32_t axes = t->rank == b->problem.x->rank ? ~0u : tensor_axes(&b->problem, arg);
    int32_t d = 0;
    for (int32_t i = 0; i < b->axis; ++i)
        d += axes >> i & 1;
    if (!(axes >> b->axis & 1) || part.shape[d] == 1)
        return part;
    part.shape[d] = count;
    part.data = (char *)t->data + begin * t->strides[d] * (int64_t)norma_dtype_size(t->dtype);
    return part;
}

bool blocks_next(struct blocks *b, bool *failed)
{
    norma_tensor part[NORMA_ARG_COUNT];
    norma_problem p = b->problem;
    const int64_t whole = b->axis < 0 ? 1 : b->problem.x->shape[b->axis];
    const int64_t begin = b->done, left = whole - begin;
    if (left <= 0)
        return false;
    b->done = b->axis < 0 ? 1 : begin + (left < b->length ? left : b->length);
    for (norma_arg arg = NORMA_ARG_X; b->axis >= 0 && arg < NORMA_ARG_COUNT; ++arg) {
        const norma_tensor *t = norma_problem_tensor(&b->problem, arg);
        if (!t)
            continue;
        part[arg] = cut(b, arg, t, begin, b->done - begin);
        *problem_slot(&p, arg) = &part[arg];
    }
    b->y = norma_tensor_host(b->dtype, p.x->rank, p.x->shape, b->y.data);
    p.y = &b->y;
    *failed = !succeeded(norma_run(b->context, &p));
    return !*failed;
}

void blocks_rewind(struct blocks *b)
{
    b->done = 0;
}

void blocks_finish(struct blocks *b)
{
    free(b->y.data);
    memset(b, 0, sizeof *b);
}
