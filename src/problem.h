// From the caller's problem to the canonical ones: every check that can fail for a reason of the caller's is here.
#ifndef NORMA_SRC_PROBLEM_H
#define NORMA_SRC_PROBLEM_H

#include "form.h"

enum norma_place {
    NORMA_PLACE_NONE,   // shapes alone: memory is not looked at
    NORMA_PLACE_VIEWS,  // the same, but which tensors share elements: those whose place is known
    NORMA_PLACE_HOST,   // every tensor with elements has data
    NORMA_PLACE_BUFFER, // every tensor with elements lies in a buffer, in bounds
};

// A problem in canonical form. Every problem has `form`; those that the row kernels take have `rows` as well.
struct norma_work {
    bool strided;      // rows is not filled
    int64_t groups, n; // 0: there is nothing to compute
    uint64_t outputs;  // bit a: tensor a is there and is written
    struct norma_form form;
    struct row_problem rows;
};

// Checks problem and fills *work. NORMA_ERROR_INVALID_ARGUMENT or NORMA_ERROR_UNSUPPORTED with a message that begins
// with the name of the argument at fault.
norma_status norma_work_from_problem(const norma_problem *problem, enum norma_place place, struct norma_work *work);

// built.c: NORMA_ERROR_UNSUPPORTED where the build has left out the operator or something else of the problem, whose
// shapes have been checked.
norma_status norma_check_built(const norma_problem *problem);
// form.c: checks shapes. rows.c: whether the row kernels take the problem, whose shapes have been checked, and its
// rows.
norma_status norma_form_fill(const norma_problem *problem, struct norma_form *form);
// form_cells.c. What the form's axes are those of: x, or where there is none the counts in parts, [K, C]. A tensor
// [rows, C], or parts [K, rows, C], on those axes.
norma_status norma_form_space(const norma_problem *problem, norma_tensor *space);
norma_status norma_form_map_cells(norma_arg arg, const norma_tensor *t, int64_t channels, int64_t rows,
                                  int64_t stride[NORMA_MAX_RANK]);
bool norma_rows_suit(const norma_problem *problem);
// Layer norm, RMS norm and their adaptive kin: how many of x's last dimensions are normalised together; 0: axes are
// others.
int32_t norma_last_dims(const norma_problem *problem);
void norma_rows_fill(const norma_problem *problem, struct row_problem *rows);

// The tensor of an argument, NULL where it is absent.
const norma_tensor *norma_problem_tensor(const norma_problem *problem, norma_arg arg);
bool norma_arg_is_output(const norma_problem *problem, norma_arg arg);
bool norma_arg_is_gradient(norma_arg arg);
// Batch norm and its relatives, whose `training` says where the statistics come from.
bool norma_op_is_batch(norma_op op);
// The operator has running statistics; they are the statistics that it normalises with.
bool norma_op_has_running(norma_op op);
bool norma_running_are_given(const norma_problem *problem);
// The tensor that a gradient is of; x (which is 0) for that of x and for what is none.
norma_arg norma_forward_of(norma_arg gradient);
// What each element of an output is where there is nothing to compute: NaN of a statistic, 0 of a parameter's gradient.
// NULL: the argument is no such output.
// A caller's, of any version of the header, as this version's; NULL is refused.
norma_status norma_problem_read(norma_problem *to, const norma_problem *from);
const void *norma_empty_value(const norma_problem *problem, norma_arg arg);
// Bytes from a tensor's first element to the end of its last; 0 where it has no elements.
uint64_t norma_tensor_span(const norma_tensor *tensor);

#endif
