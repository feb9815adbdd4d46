// A case of the check suite: a problem with its tensors placed in one arena, between canaries. Everything follows from
// the seed and the index, so a failure is repeated by naming both.
#ifndef NORMA_CHECK_CASE_H
#define NORMA_CHECK_CASE_H

#include "rows.h"
#include <norma/norma.h>
#include <stdbool.h>

enum { CHECK_CANARY = 4096 };

enum check_values {
    CHECK_EXACT, // mean and variance come out exact in any order of summation: the statistics have tolerance 0
    CHECK_NORMAL,
    CHECK_OFFSET_1E4, // mean of 1e4 standard deviations
    CHECK_OFFSET_1E6,
    CHECK_LARGE, // the type's largest values: 65504, 3e38
    CHECK_1E30,
    CHECK_DENORMAL,
    CHECK_SPARSE,
    CHECK_CONSTANT,
    CHECK_NONFINITE, // NaN or infinity in one row
    CHECK_VALUES_COUNT
};

enum check_layout {
    CHECK_CONTIGUOUS,
    CHECK_PADDED,  // outer rows apart by a gap
    CHECK_NESTED,  // a gap after each outer dimension: they do not collapse
    CHECK_SWAPPED, // outer dimensions in another order in memory
    CHECK_REPEATED // x repeats along an outer dimension (stride 0)
};

struct check_tensor {
    bool present;
    norma_dtype dtype;
    int32_t rank;
    int64_t shape[NORMA_MAX_RANK], strides[NORMA_MAX_RANK];
    norma_arg view;     // the tensor whose memory this is: itself, or the one it is written in place of
    uint64_t begin;     // bytes into the arena, of the first element
    uint64_t span;      // bytes from the first element to behind the last
    int64_t row_length; // elements of a row: n, or 1
};

struct check_case {
    uint64_t seed, index;
    norma_op op;
    int32_t outer_rank, normalized_dims;
    int64_t shape[NORMA_MAX_RANK]; // of x
    int64_t rows, n;
    double eps, weight_offset;
    enum check_values values;
    enum check_layout layout;
    bool separate; // level 2: one buffer a tensor, else one for all
    bool uploaded; // level 2: the plan holds the parameters
    struct check_tensor tensor[NORMA_ARG_COUNT];
    uint64_t arena_size;
    unsigned char *arena; // as it is before the operator runs: canaries, inputs, outputs of NaN bytes
};

// The number of cases with shapes at the edges, which have the lowest indices.
uint64_t check_edge_count(void);

// Shape, tensors and layout, without memory. check_case_fill makes the arena, check_case_finish frees it.
void check_case_make(struct check_case *c, uint64_t seed, uint64_t index);
// As check_case_make, with rows x n of one outer dimension instead of the shape that the index gives.
void check_case_make_shape(struct check_case *c, uint64_t seed, uint64_t index, int64_t rows, int64_t n);
bool check_case_fill(struct check_case *c);
void check_case_finish(struct check_case *c);

// Places the tensors anew and counts arena_size; after a change of presence, types or shape.
void check_case_place(struct check_case *c);

// Elements from the tensor's first to that of a row.
int64_t check_row_offset(const struct check_case *c, norma_arg arg, int64_t row);

// The tensors over memory (host) or a buffer that holds a copy of the arena from arena offset `base` on.
norma_tensor check_host_view(const struct check_case *c, norma_arg arg, unsigned char *arena);
norma_tensor check_buffer_view(const struct check_case *c, norma_arg arg, norma_buffer *buffer, uint64_t base);

// The problem with views[arg] for every tensor that is present.
norma_problem check_problem(const struct check_case *c, const norma_tensor views[NORMA_ARG_COUNT]);

// One line: "layer_norm 3x2x768/1 x:float16 ...".
void check_case_describe(const struct check_case *c, char *text, size_t size);

static inline bool check_is_output(norma_arg arg)
{
    return arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM || arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
}

#endif
