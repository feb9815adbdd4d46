// What the planner's files share: one problem on one device, and the cut that was chosen for it.
#ifndef NORMA_SRC_PLANNER_PLANNER_H
#define NORMA_SRC_PLANNER_PLANNER_H

#include "schedule.h"

enum {
    NPL_SLOTS = NORMA_ROW_ARGS + 1, // the workspace is slot 10
    NPL_MAX_LEVELS = 6,             // 64^6 chunks are more than 2^32 elements
};

struct npl_variant {
    const char *name;
    bool scalar, serial, split, registers, subgroup;
};

// A tensor as the planner needs it; strides and lengths in elements.
struct npl_tensor {
    bool present, shared;
    uint32_t type, size; // code of `types`, bytes of an element
    uint64_t stride;     // between rows of the run (gate: between gate rows)
    uint64_t slack;      // bytes that rounding a range's beginning down may add
    uint64_t length;     // 1 for mean and rstd, else 0: the part's length
};

struct npl {
    struct row_problem problem; // its longest outer dimension last, where that is allowed
    const struct norma_caps *caps;
    const struct norma_plan_options *options;
    const struct npl_variant *variant;
    struct npl_tensor tensor[NORMA_ROW_ARGS];
    uint64_t align, max_range, max_alloc, budget, time_bytes; // UINT64_MAX: no limit
    uint32_t team, local;
    uint32_t flags, types;
    uint64_t run_rows, runs, gate_runs; // rows of a run, runs, gate rows of a run
    uint64_t chunks;
    uint32_t levels;
    uint64_t level_inputs[NPL_MAX_LEVELS + 1]; // inputs of each merge level; the last entry is 1
    uint64_t cells;                            // float4 of workspace a row
    bool prologue, stage;
    // The cut, by npl_cut:
    uint64_t tile_rows, part; // part < n: the row is cut, tile_rows is 1
    uint32_t slots;
    uint64_t workspace;
};

// A piece of the work: rows of one run, and of these a part; which of the kernels run on it.
struct npl_tile {
    uint64_t index, run, row, rows, begin, part;
    uint64_t start[NORMA_ROW_ARGS]; // element of the tensor at which the tile's run begins
    bool statistics, merge, apply;
    // What the tiles since the last barrier bind of each tensor, in bytes; low = high: nothing.
    struct {
        uint64_t low, high;
    } bound[NORMA_ROW_ARGS];
};

static inline uint64_t npl_ceil(uint64_t value, uint64_t unit)
{
    return value / unit + (value % unit != 0);
}

static inline uint64_t npl_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t npl_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// Saturating: a problem that nobody could hold must not wrap around into one that fits.
static inline uint64_t npl_mul(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static inline uint64_t npl_add(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

// variants.c: sets variant, team, local and the cut.
norma_status npl_choose(struct npl *plan);

// limits.c
uint64_t npl_gate_rows(const struct npl *plan, uint64_t row, uint64_t rows); // gate rows that these rows touch
// Units that a team may take in one dispatch of the kernel without exceeding the driver's loop budget.
uint64_t npl_units_limit(const struct npl *plan, const char *kernel);
uint64_t npl_max_workgroups(const struct npl *plan);
uint64_t npl_tile_bytes(const struct npl *plan, uint64_t rows, uint64_t part); // each tensor of a tile once
bool npl_fits(const struct npl *plan, uint64_t rows, uint64_t part, uint32_t slots);

// tiles.c: the largest cut that fits; false where there is none. patient: a dispatch of one row may take longer than
// the time budget.
bool npl_cut(struct npl *plan, bool patient);
// The number of tiles, and the first (tile->index UINT64_MAX before it) or next of them; false behind the last.
uint64_t npl_tile_count(const struct npl *plan);
bool npl_tile_next(const struct npl *plan, struct npl_tile *tile);

// dispatches.c: appends the tile's dispatches.
void npl_dispatch_tile(const struct npl *plan, struct npl_tile *tile, struct norma_schedule *schedule);
uint64_t npl_dispatch_count(const struct npl *plan);

// steps.c: fills the whole schedule, whose arrays are allocated.
void npl_emit(const struct npl *plan, struct norma_schedule *schedule);
uint64_t npl_step_count(const struct npl *plan, uint64_t tiles, uint64_t dispatches);

extern const char npl_row_whole[], npl_row_stats[], npl_row_merge[], npl_row_apply[];

#endif
