#include "tensors.h"
#include "problem.h"
#include <stddef.h>
#include <string.h>

// The problem's tensors stand in the order of norma_arg.
_Static_assert(offsetof(norma_problem, dvar_weights) ==
                   offsetof(norma_problem, x) + NORMA_ARG_DVAR_WEIGHTS * sizeof(const norma_tensor *),
               "norma_problem and norma_arg differ in order");

norma_arg tensor_of_gradient(norma_arg gradient)
{
    return norma_arg_is_gradient(gradient) ? norma_forward_of(gradient) : NORMA_ARG_COUNT;
}

enum tensor_role tensor_role(norma_arg arg)
{
    const norma_arg of = tensor_of_gradient(arg);
    switch (of == NORMA_ARG_COUNT ? arg : of) {
    case NORMA_ARG_WEIGHT:
    case NORMA_ARG_BIAS:
    case NORMA_ARG_SCALE:
    case NORMA_ARG_SHIFT:
    case NORMA_ARG_GATE:
    case NORMA_ARG_INPUT_BIAS:
        return TENSOR_PARAMETER;
    case NORMA_ARG_MEAN:
    case NORMA_ARG_RSTD:
    case NORMA_ARG_R:
    case NORMA_ARG_D:
    case NORMA_ARG_Y_SCALE:
    case NORMA_ARG_NONFINITE:
        return TENSOR_STATISTIC;
    case NORMA_ARG_RUNNING_MEAN:
    case NORMA_ARG_RUNNING_VAR:
        return TENSOR_CHANNEL;
    case NORMA_ARG_NUM_BATCHES_TRACKED:
        return TENSOR_COUNT;
    case NORMA_ARG_MEAN_WEIGHTS:
    case NORMA_ARG_VAR_WEIGHTS:
        return TENSOR_KINDS;
    case NORMA_ARG_STATS:
    case NORMA_ARG_PARTS:
    case NORMA_ARG_SUMS:
        return TENSOR_CELLS;
    default:
        return TENSOR_WHOLE;
    }
}

bool tensor_is_updated(norma_arg arg)
{
    return tensor_role(arg) == TENSOR_CHANNEL || tensor_role(arg) == TENSOR_COUNT;
}

const norma_tensor **problem_slot(norma_problem *problem, norma_arg arg)
{
    char *slots = (char *)problem + offsetof(norma_problem, x);
    return (const norma_tensor **)(void *)(slots + (size_t)arg * sizeof(const norma_tensor *));
}

norma_arg first_tensor(norma_op op)
{
    return op == NORMA_BATCH_NORM_MERGE ? NORMA_ARG_PARTS : NORMA_ARG_X;
}

const norma_tensor *problem_first(const norma_problem *problem)
{
    return norma_problem_tensor(problem, first_tensor(problem->op));
}

uint32_t group_axes(const norma_problem *p)
{
    const uint32_t all = (1u << p->x->rank) - 1;
    switch (p->op) {
    case NORMA_BATCH_NORM:
    case NORMA_BATCH_RENORM:
    case NORMA_BATCH_NORM_STATS:
    case NORMA_BATCH_NORM_APPLY:
        return all & ~2u;
    case NORMA_GHOST_BATCH_NORM:
        return all & ~(p->training ? 3u : 2u);
    case NORMA_GROUP_NORM:
    case NORMA_ADA_GROUP_NORM:
    case NORMA_INSTANCE_NORM:
    case NORMA_ADA_INSTANCE_NORM:
    case NORMA_SWITCHABLE_NORM:
        return all & ~3u;
    case NORMA_WEIGHT_STANDARDIZATION:
        return p->axes ? p->axes & all : all & ~1u;
    case NORMA_LOCAL_RESPONSE_NORM:
        return 2;
    case NORMA_NORMALIZE:
    case NORMA_MEAN_VARIANCE_NORMALIZATION:
        return p->axes & all;
    default:
        return p->axes ? p->axes & all : all & ~((1u << (p->x->rank - p->normalized_dims)) - 1);
    }
}

static uint32_t parameter_axes(const norma_problem *p)
{
    switch (p->op) {
    case NORMA_BATCH_NORM:
    case NORMA_BATCH_RENORM:
    case NORMA_GHOST_BATCH_NORM:
    case NORMA_BATCH_NORM_STATS:
    case NORMA_BATCH_NORM_APPLY:
    case NORMA_GROUP_NORM:
    case NORMA_INSTANCE_NORM:
    case NORMA_SWITCHABLE_NORM:
        return 2;
    case NORMA_WEIGHT_STANDARDIZATION:
        return ~group_axes(p) & ((1u << p->x->rank) - 1);
    case NORMA_ADA_LAYER_NORM:
    case NORMA_ADA_RMS_NORM:
        return 1u | (uint32_t)(1 << (31 - __builtin_clz(group_axes(p) | 1)));
    case NORMA_ADA_GROUP_NORM:
    case NORMA_ADA_INSTANCE_NORM:
        return 3;
    default:
        return group_axes(p);
    }
}

int64_t statistic_extent(const norma_problem *p, int32_t d)
{
    const bool grouped = p->op == NORMA_GROUP_NORM || p->op == NORMA_ADA_GROUP_NORM;
    if (grouped && d == 1)
        return p->num_groups;
    return p->op == NORMA_GHOST_BATCH_NORM && p->training && d == 0 ? p->x->shape[0] / p->virtual_batch
                                                                    : p->x->shape[d];
}

uint32_t tensor_axes(const norma_problem *p, norma_arg arg)
{
    switch (tensor_role(arg)) {
    case TENSOR_PARAMETER:
        return parameter_axes(p);
    case TENSOR_STATISTIC:
        return ~group_axes(p);
    case TENSOR_CHANNEL:
        return 2;
    case TENSOR_COUNT:
    case TENSOR_KINDS:
        return 0;
    default:
        return ~0u;
    }
}

// [rows, C]; parts are as they are.
static int32_t cells_shape(const norma_problem *p, norma_arg arg, int64_t shape[NORMA_MAX_RANK])
{
    const norma_tensor *first = problem_first(p);
    if (arg == NORMA_ARG_PARTS) {
        memcpy(shape, first->shape, sizeof first->shape);
        return first->rank;
    }
    const int32_t channels = p->op == NORMA_BATCH_NORM_MERGE ? 2 : 1;
    shape[0] = arg == NORMA_ARG_SUMS ? 2 : 5;
    shape[1] = first->rank > channels ? first->shape[channels] : 1; // the library will complain of that rank
    return 2;
}

int32_t natural_shape(const norma_problem *p, norma_arg arg, int64_t shape[NORMA_MAX_RANK])
{
    const norma_arg of = tensor_of_gradient(arg);
    const norma_tensor *tensor = of == NORMA_ARG_COUNT ? NULL : norma_problem_tensor(p, of);
    int32_t rank = 0;
    if (tensor) {
        memcpy(shape, tensor->shape, sizeof tensor->shape);
        return tensor->rank;
    }
    if (arg == NORMA_ARG_Y_SCALE && !p->dynamic_scale)
        return 0; // one element
    if (tensor_role(arg) == TENSOR_KINDS) {
        shape[0] = 3;
        return 1;
    }
    if (tensor_role(arg) == TENSOR_CELLS)
        return cells_shape(p, arg, shape);
    const bool statistic = tensor_role(arg) == TENSOR_STATISTIC;
    const uint32_t axes = tensor_axes(p, arg);
    for (int32_t d = 0; d < p->x->rank; d++)
        if (axes >> d & 1)
            shape[rank++] = statistic ? statistic_extent(p, d) : p->x->shape[d];
    return rank;
}
