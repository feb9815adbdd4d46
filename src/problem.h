// From the caller's problem to the canonical one: every check that can fail for a reason of the caller's is here.
#ifndef NORMA_SRC_PROBLEM_H
#define NORMA_SRC_PROBLEM_H

#include "rows.h"

enum norma_place {
    NORMA_PLACE_NONE,   // shapes alone: memory is not looked at
    NORMA_PLACE_HOST,   // every tensor with elements has data
    NORMA_PLACE_BUFFER, // every tensor with elements lies in a buffer, in bounds
};

// Checks problem and fills *rows. NORMA_ERROR_INVALID_ARGUMENT or NORMA_ERROR_UNSUPPORTED with a message that begins
// with the name of the argument at fault. optional: bit a set where tensor a need not have memory though place asks for
// it.
norma_status norma_rows_from_problem(const norma_problem *problem, enum norma_place place, uint32_t optional,
                                     struct row_problem *rows);

// The tensor of an argument, NULL where it is absent.
const norma_tensor *norma_problem_tensor(const norma_problem *problem, norma_arg arg);
// Bytes from a tensor's first element to the end of its last; 0 where it has no elements.
uint64_t norma_tensor_span(const norma_tensor *tensor);

#endif
