// A case of the strided family: any operator, forward or backward, its tensors of any layout in one arena between
// canaries. Everything follows from the seed and the index.
#ifndef NORMA_CHECK_STRIDED_CASE_H
#define NORMA_CHECK_STRIDED_CASE_H

#include "problem.h"
#include <norma/norma.h>
#include <stdbool.h>

enum {
    STRIDED_CANARY = 512,
    STRIDED_FEW = 5 // dimensions; with more, all that are packed are so in blocks of x's size
};

enum strided_values {
    STRIDED_NORMAL,
    STRIDED_OFFSET_1E4, // mean of 1e4 standard deviations
    STRIDED_OFFSET_1E6,
    STRIDED_LARGE,    // 1e30, float16: 65504
    STRIDED_LARGEST,  // up to the largest number of the type
    STRIDED_DENORMAL, // with an eps that does not drown them
    STRIDED_MIXED,    // any exponent, in one group and from group to group
    STRIDED_CONSTANT,
    STRIDED_NONFINITE, // NaN or infinity in one group
    STRIDED_VALUES_COUNT
};

enum strided_layout {
    STRIDED_CONTIGUOUS,
    STRIDED_CHANNELS_LAST,
    STRIDED_PERMUTED,
    STRIDED_PADDED, // permuted, with gaps between elements or after dimensions
    STRIDED_PACKED, // channels in blocks; of tensors without x's dimensions contiguous
    STRIDED_LAYOUT_COUNT
};

enum { STRIDED_ROUND = (NORMA_OP_COUNT - NORMA_LAYER_NORM) * 2 * 7 * STRIDED_LAYOUT_COUNT };

struct strided_tensor {
    bool present;
    norma_dtype dtype;
    int32_t rank;
    int64_t shape[NORMA_MAX_RANK], strides[NORMA_MAX_RANK];
    int32_t axis[NORMA_MAX_RANK]; // the dimension of x that each of its own runs along; -1: none
    uint32_t along;               // parameters: bit d: differs along dimension d of x
    enum strided_layout layout;
    int64_t block, block_stride; // of packed channels; block 0: they are not
    norma_arg view;              // the tensor whose memory this is: itself, or the one it is written in place of
    uint64_t begin, span;        // bytes into the arena, of the first element; from there to behind the last
};

struct strided_case {
    uint64_t seed, index;
    norma_problem problem; // the operator and its numbers, without tensors
    enum strided_values values;
    bool apart; // dy and the factors of its way back have exponents of their own, these
    int exponent_of_dy, exponent_of_weight, exponent_of_z;
    int32_t rank;
    int64_t shape[NORMA_MAX_RANK]; // of x
    bool element[NORMA_MAX_RANK];  // the dimensions of a group, but for the one that is cut into parts
    int64_t total, n;              // elements of x, of a group
    bool float64;
    enum strided_layout x_layout;
    bool uploaded;  // level 2: the plan holds the parameters
    bool for_slice; // level 2: the plan is made for another shape than it runs
    struct strided_tensor tensor[NORMA_ARG_COUNT];
    int32_t sliced;       // the axis along which it is a slice of another case; -1: it is whole
    int64_t spoilt;       // the group with NaN or infinity of x's, or of its parts'; -1: none
    norma_arg spoilt_arg; // another input that has NaN or infinity in one place, by the form's name; X: none
    int64_t spoilt_at;    // elements from its first
    uint64_t arena_size;
    unsigned char *arena; // as it is before the operator runs: canaries, inputs, outputs of NaN bytes
};

// "largest" and the like.
const char *strided_values_name(enum strided_values values);
// All cases from now on have values of this class. False: there is none of this name.
bool strided_force_values(const char *name);
bool strided_values_are_forced(void);
// The operator of a case, by its index alone.
norma_op strided_case_op(uint64_t index);
// The operator, shapes and layouts, without memory. strided_case_fill makes the arena, strided_case_finish frees it.
void strided_case_make(struct strided_case *c, uint64_t seed, uint64_t index);
bool strided_case_fill(struct strided_case *c);
void strided_case_finish(struct strided_case *c);

bool strided_is_output(const struct strided_case *c, norma_arg arg);
bool strided_is_batch_op(norma_op op);
// Running statistics are what the case normalises with.
bool strided_is_given(const struct strided_case *c);
// The dimension of x of which a part belongs to a group, and into how many parts it is cut; -1: there is none.
int32_t strided_cut_axis(const struct strided_case *c);
int64_t strided_cut_parts(const struct strided_case *c);
// strided_layout.c: from presence and types to views and places in the arena.
void strided_lay_out(struct strided_case *c, uint64_t *s);

// The same case in the same arena with index `at` alone of x's dimension `axis`.
struct strided_case strided_slice(const struct strided_case *c, int32_t axis, int64_t at);
// A dimension of x along which a slice leaves every group that it has whole; -1: there is none.
int32_t strided_slice_axis(const struct strided_case *c);

// The tensor's view of host memory, or of a buffer that holds a copy of the arena; with neither, of no memory.
norma_tensor strided_view(const struct strided_case *c, norma_arg arg, unsigned char *arena, norma_buffer *buffer);
// The problem with views[arg] for every tensor that is present.
norma_problem strided_problem(const struct strided_case *c, const norma_tensor views[NORMA_ARG_COUNT]);
// Its canonical form, for host memory at c->arena.
norma_status strided_form(const struct strided_case *c, struct norma_form *form);

// One line: "batch_norm forward 3x4x5 ...".
void strided_describe(const struct strided_case *c, char *text, size_t size);

#endif
