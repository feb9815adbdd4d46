// The canonical form of every operator, over any strides: one iteration space, the dimensions of x, of which some tell
// statistics groups apart and the others run over a group's elements. Every tensor has a stride for each dimension, 0
// where it repeats (parameters) or is summed over (their gradients, mean and rstd).
#ifndef NORMA_SRC_FORM_H
#define NORMA_SRC_FORM_H

#include "rows.h"

enum { FORM_RANK = NORMA_MAX_RANK };

enum form_statistic {
    FORM_MOMENTS,   // mean and variance
    FORM_SQUARES,   // the mean of squares, mean 0
    FORM_ABSOLUTES, // the sum of absolutes, mean 0
    FORM_GIVEN,     // running_mean and running_var
    FORM_WINDOW,    // local response norm: none
    FORM_MERGED,    // those in stats
    FORM_PARTS,     // batch_norm_merge: its elements are the parts
};

// Rows of stats and of the parts of forward: the cell (m, r, M2, a) of docs/reduction.md with its count. Rows of sums.
enum { FORM_COUNT, FORM_MEAN, FORM_MEAN_LOW, FORM_M2, FORM_SCALE_ROW, FORM_STATS_ROWS };
enum { FORM_SUM_G, FORM_SUM_GX, FORM_SUMS_ROWS };

// How a group's factor s (rstd) follows from M2, the sum of squares about the mean, or from the sum of absolutes A.
enum form_scale {
    FORM_VARIANCE,  // 1/sqrt(M2/n + eps)
    FORM_MAX,       // 1/max(norm, eps), norm = sqrt(M2) or A
    FORM_ADD,       // 1/(norm + eps)
    FORM_INSIDE,    // 1/sqrt(M2 + eps)
    FORM_DEVIATION, // 1/(sqrt(M2/n) + eps)
};

// switchable_norm: group (n, c) has the mix of its own statistics, of sample n's and of channel c's.
enum form_mix {
    FORM_UNMIXED,
    FORM_MIX_TRAINING, // channel c's statistics are those of x
    FORM_MIX_RUNNING,  // running_mean and running_var
};
enum { FORM_KINDS = 3 }; // instance, layer, batch

// Whether eps is compared with, or added to, a norm or a deviation; else it is added to squares.
static inline bool form_eps_is_of_norm(enum form_scale scale)
{
    return scale == FORM_MAX || scale == FORM_ADD || scale == FORM_DEVIATION;
}

struct form_arg {
    bool present;
    norma_arg source; // the problem's tensor: scale for the weight of an adaptive norm, dscale for its dweight
    norma_dtype dtype;
    int64_t stride[FORM_RANK]; // elements
    int64_t step;              // mean_weights and the like: between its FORM_KINDS elements; the strides are 0
    int64_t rows, row;         // of stats, parts and sums: how many, and the stride between them; of others 1 and 0
    // Packed channels that the strides do not tell: an element of channel c lies (c >> shift) * jump further on.
    int32_t shift;
    int64_t jump;
};

// Dimensions [0, group_rank) tell groups apart, [group_rank, rank) run over a group's elements; both parts in the order
// of x's strides, the largest first, so that a walk along the last dimension of a part walks through memory as far as
// possible. Group i and element j of it are linear indices over the parts, the last dimension the fastest. No extent is
// 1 unless a part would be empty: each part has a dimension at least. Packed channels are two dimensions where x's
// blocks cut the channels, and those of each group, evenly; else one, the blocks being told by jumps. arg is indexed as
// the formulas of norma_problem name the tensors; weight_offset and the adaptive norms are resolved. mean and rstd are
// outputs in forward, inputs in backward.
struct norma_form {
    norma_op op; // what the caller asked for
    bool backward;
    enum form_statistic statistic;
    enum form_scale scale;
    enum form_mix mix;
    int64_t samples, channels;         // of a mix: N and C; group n*sample_step + c*channel_step is (n, c)
    int64_t sample_step, channel_step; // one is 1, the other the count of what the first counts
    int32_t rank, group_rank;
    int64_t extent[FORM_RANK];
    int64_t order[FORM_RANK];   // what dimensions are sorted by: x's strides; of packed channels that of the blocks
    bool jumps;                 // some tensor has one
    int64_t channel[FORM_RANK]; // with jumps: channel c of an element is the sum of its indices times these
    int64_t groups, n;          // n: elements of a group
    int64_t run; // elements of a run: what the last element dimensions that x has in one row span; divides n
    float eps, weight_offset, momentum, slope;
    double eps64, weight_offset64, momentum64, slope64; // of float64 problems
    bool float64;                                       // every tensor is
    bool update_running, running_var_biased;
    bool cumulative, count_batches; // num_batches_tracked says the momentum; grows by `batches`
    int64_t batches;
    bool renorm; // xhat*r + d in the place of xhat
    float r_max, d_max;
    double r_max64, d_max64;
    bool in_order;      // groups that share a running statistic go into it one after the other, not as their mean
    bool dynamic_scale; // y_scale is an output
    bool no_elements;   // x is empty, but statistics go out: as one element that no tensor has
    norma_activation activation, z_activation;
    bool z_first;
    uint32_t window_before, window_after; // elements beside an element's own
    double alpha, beta, k; // y = x / (k + alpha * sum of squares)^beta: alpha is per element of the window
    norma_arg in_place;    // backward: the gradient that lies in the place of an input; NORMA_ARG_COUNT: none
    struct form_arg arg[NORMA_ARG_COUNT];
};

static inline bool form_arg_has_kinds(norma_arg arg)
{
    return arg == NORMA_ARG_MEAN_WEIGHTS || arg == NORMA_ARG_VAR_WEIGHTS || arg == NORMA_ARG_DMEAN_WEIGHTS ||
           arg == NORMA_ARG_DVAR_WEIGHTS;
}

// Chunks of a group, docs/reduction.md: chunk c has the elements from form_chunk_begin(c) to form_chunk_begin(c + 1).
static inline int64_t form_chunk_runs(int64_t run)
{
    return run >= NORMA_CHUNK ? 1 : NORMA_CHUNK / run;
}

static inline int64_t form_chunk_begin(int64_t n, int64_t run, int64_t chunk)
{
    if (run > NORMA_CHUNK) {
        const int64_t per_run = (run + NORMA_CHUNK - 1) / NORMA_CHUNK;
        const int64_t in_run = chunk % per_run * NORMA_CHUNK;
        return chunk / per_run * run + (in_run < run ? in_run : run);
    }
    const int64_t begin = chunk * form_chunk_runs(run) * run;
    return begin < n ? begin : n;
}

static inline int64_t form_chunks(int64_t n, int64_t run)
{
    if (run > NORMA_CHUNK)
        return n / run * ((run + NORMA_CHUNK - 1) / NORMA_CHUNK);
    const int64_t per_chunk = form_chunk_runs(run) * run;
    return (n + per_chunk - 1) / per_chunk;
}

// From the index of an element to what jumps add to its offset in a tensor.
static inline int64_t form_jump(const struct norma_form *f, const struct form_arg *arg, const int64_t index[FORM_RANK])
{
    int64_t channel = 0;
    if (arg->jump == 0)
        return 0;
    for (int32_t d = 0; d < f->rank; d++)
        channel += index[d] * f->channel[d];
    return (channel >> arg->shift) * arg->jump;
}

// Element offset of element j of group i in a tensor.
static inline int64_t form_offset(const struct norma_form *f, norma_arg arg, int64_t group, int64_t element)
{
    const struct form_arg *a = &f->arg[arg];
    int64_t offset = 0, index[FORM_RANK];
    for (int32_t d = f->rank - 1; d >= 0; d--) {
        int64_t *rest = d >= f->group_rank ? &element : &group;
        index[d] = *rest % f->extent[d];
        offset += index[d] * a->stride[d];
        *rest /= f->extent[d];
    }
    return offset + form_jump(f, a, index);
}

#endif
