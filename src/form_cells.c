// The shapes of stats, parts and sums: batch norm over several devices.
#include "backend.h"
#include "problem.h"

#define BAD(...) norma_fail(NORMA_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

norma_status norma_form_space(const norma_problem *p, norma_tensor *space)
{
    if (p->op != NORMA_BATCH_NORM_MERGE) {
        *space = *p->x;
        return NORMA_OK;
    }
    if (p->parts->rank != 3)
        return BAD("parts: rank %d, not 3", (int)p->parts->rank);
    *space = (norma_tensor){.dtype = p->parts->dtype, .rank = 2};
    space->shape[0] = p->parts->shape[0];
    space->shape[1] = p->parts->shape[2];
    return NORMA_OK;
}

norma_status norma_form_map_cells(norma_arg arg, const norma_tensor *t, int64_t channels, int64_t rows,
                                  int64_t stride[NORMA_MAX_RANK])
{
    const int32_t rank = arg == NORMA_ARG_PARTS ? 3 : 2;
    if (t->rank != rank)
        return BAD("%s: rank %d, not %d", norma_arg_name(arg), (int)t->rank, (int)rank);
    if (t->shape[rank - 2] != rows)
        return BAD("%s: shape[%d] is %lld, not %lld", norma_arg_name(arg), (int)rank - 2, (long long)t->shape[rank - 2],
                   (long long)rows);
    if (t->shape[rank - 1] != channels)
        return BAD("%s: shape[%d] is %lld, there are %lld channels", norma_arg_name(arg), (int)rank - 1,
                   (long long)t->shape[rank - 1], (long long)channels);
    stride[0] = arg == NORMA_ARG_PARTS ? t->strides[0] : 0;
    stride[1] = t->strides[rank - 1];
    return NORMA_OK;
}
