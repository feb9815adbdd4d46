// The tensors of a problem by their argument, and the shapes that they have when nobody says otherwise.
#ifndef NORMA_TOOLS_TENSORS_H
#define NORMA_TOOLS_TENSORS_H

#include <norma/problem.h>
#include <stdbool.h>

enum tensor_role {
    TENSOR_WHOLE,     // of x's shape
    TENSOR_PARAMETER, // weight, scale, gate, ... and their gradients
    TENSOR_STATISTIC, // mean, rstd, y_scale, nonfinite
    TENSOR_CHANNEL,   // running statistics
    TENSOR_COUNT,     // num_batches_tracked
    TENSOR_KINDS,     // weights of instance, layer and batch statistics
    TENSOR_CELLS,     // stats, parts, sums
};

enum tensor_role tensor_role(norma_arg arg);
// An output that is updated in place: running statistics and their count.
bool tensor_is_updated(norma_arg arg);
// The tensor whose gradient this is; NORMA_ARG_COUNT for what is no gradient.
norma_arg tensor_of_gradient(norma_arg gradient);

// The tensor's slot in a problem (const norma_tensor **).
const norma_tensor **problem_slot(norma_problem *problem, norma_arg arg);

// What the operator reads first: x, or the parts of batch_norm_merge.
norma_arg first_tensor(norma_op op);
// That tensor; NULL where the problem has none yet.
const norma_tensor *problem_first(const norma_problem *problem);

// The rank, and the shape in shape: x's, the operator's own for parameters and statistics, and for a gradient that of
// its tensor where there is one. problem has x (or parts), and has passed the library's checks of it.
int32_t natural_shape(const norma_problem *problem, norma_arg arg, int64_t shape[NORMA_MAX_RANK]);
// Bit d: the tensor, where it has its natural shape, has dimension d of x.
uint32_t tensor_axes(const norma_problem *problem, norma_arg arg);
// Bit d: dimension d of x belongs to a statistics group, but for one of which a part does (group norm: dimension 1,
// ghost batch norm in training: dimension 0).
uint32_t group_axes(const norma_problem *problem);
// Of mean and rstd along a dimension d of x that is none of these: less than x's where groups of channels or virtual
// batches cut it into parts.
int64_t statistic_extent(const norma_problem *problem, int32_t d);

#endif
