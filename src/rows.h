// The canonical form of the row family: rows of n contiguous elements, all outer dimensions folded.
#ifndef NORMA_SRC_ROWS_H
#define NORMA_SRC_ROWS_H

#include <norma/problem.h>
#include <stdbool.h>

// The reduction tree's units (docs/reduction.md).
enum {
    NORMA_LANES = 32,
    NORMA_BLOCK = 512,
    NORMA_CHUNK = 4096,
    NORMA_FAN = 64,
};

// The tensors that row kernels know come first in norma_arg: their slots. The workspace has the slot behind them.
enum { NORMA_ROW_ARGS = NORMA_ARG_RSTD + 1 };

// Bits of the kernel argument `flags`: bit s says that binding slot s (a norma_arg) is present; and:
enum {
    NORMA_FLAG_ALIGNED = 1 << 16, // every bound tensor's rows begin at a multiple of 4 elements
    NORMA_FLAG_FINISH = 1 << 17,  // merge: this level finishes the rows (writes mean, rstd, (m, r, s, a))
    NORMA_FLAG_STREAM = 1 << 18,  // outputs larger than the caches: streaming stores pay
    NORMA_FLAG_COUNTED = 1 << 19, // the number of rows is in the workspace (planner/counted.c)
};

// The arguments of every row kernel; see kernel_args.h.
struct norma_row_args {
#define U32(name) uint32_t name;
#define F32(name) float name;
#include "kernel_args.h"
#undef U32
#undef F32
};

struct row_arg {
    bool present;
    norma_dtype dtype;
    int64_t stride[NORMA_MAX_RANK]; // elements between rows, one an outer dimension; 0 where the tensor repeats
    int64_t length;                 // elements of a row: n, or 1 for mean and rstd
};

// Rows run over outer[0] x ... x outer[outer_rank-1], the last fastest. The last dimension is the "run": within it
// every tensor has one row stride, but for gate, whose row is (index in the run / gate_rows).
struct row_problem {
    norma_op op;
    float eps, weight_offset;
    int64_t n;          // elements a row
    int64_t rows;       // in all: the product of outer
    int32_t outer_rank; // at least 1
    int64_t outer[NORMA_MAX_RANK];
    int64_t gate_rows; // at least 1; gate's stride in the run is per gate row
    struct row_arg arg[NORMA_ARG_COUNT];
};

// True for weight, bias and input_bias: one row that every row shares.
static inline bool row_arg_is_shared(norma_arg arg)
{
    return arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_INPUT_BIAS;
}

static inline bool row_arg_is_output(norma_arg arg)
{
    return arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM || arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
}

#endif
