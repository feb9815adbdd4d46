// What a tile costs and whether a device can take it.
#include "planner.h"

const char npl_row_whole[] = "row_whole", npl_row_stats[] = "row_stats", npl_row_merge[] = "row_merge",
           npl_row_apply[] = "row_apply";

enum {
    PASSES = 3,           // over a chunk, at most: first, rescue, second pass (docs/reduction.md)
    CHUNK_OVERHEAD = 100, // loop iterations of a chunk's folds, tails and merge
    ITERATION_MARGIN = 2,
    BLOCK_STEPS = NORMA_BLOCK / NORMA_LANES,
    CHUNK_BLOCKS = NORMA_CHUNK / NORMA_BLOCK,
    BLOCK_THREADS = 8,
    CHUNK_THREADS = BLOCK_THREADS * CHUNK_BLOCKS,
    MERGE_TRIES = 4, // a merge is tried again with each smaller scale
};

// Kernels index elements and units with 32 bits, signed where the language prefers it.
static const uint64_t max_elements = INT32_MAX;
static const uint64_t max_units = (uint64_t)1 << 30;

uint64_t npl_gate_rows(const struct npl *plan, uint64_t row, uint64_t rows)
{
    if (plan->tensor[NORMA_ARG_GATE].stride == 0)
        return 1;
    uint64_t group = (uint64_t)plan->problem.gate_rows;
    if (group == 1)
        return rows;
    return (row % group + rows - 1) / group + 1;
}

// Rows of a tensor that a tile of that many rows touches at most, wherever it begins.
static uint64_t touched_rows(const struct npl *plan, int arg, uint64_t rows)
{
    if (arg != NORMA_ARG_GATE)
        return plan->stage && plan->tensor[arg].stride == 0 && plan->tensor[arg].length == 0 ? 1 : rows;
    uint64_t group = (uint64_t)plan->problem.gate_rows;
    return npl_min(plan->gate_runs, npl_gate_rows(plan, group - 1, rows));
}

// Loop iterations that one work-item spends on a chunk of `length` elements.
static uint64_t chunk_iterations(const struct npl *plan, uint64_t length, uint64_t passes)
{
    uint64_t blocks = npl_ceil(length, NORMA_BLOCK);
    if (plan->team < BLOCK_THREADS)
        blocks *= BLOCK_THREADS / plan->team;
    else
        blocks = npl_ceil(blocks, npl_min(plan->team / BLOCK_THREADS, CHUNK_BLOCKS));
    return passes * blocks * BLOCK_STEPS + CHUNK_OVERHEAD;
}

static uint64_t unit_iterations(const struct npl *plan, const char *kernel)
{
    uint64_t n = (uint64_t)plan->problem.n;
    if (kernel == npl_row_merge)
        return MERGE_TRIES * PASSES * NORMA_FAN / npl_min(plan->team, NORMA_FAN) + CHUNK_OVERHEAD;
    if (kernel == npl_row_stats)
        return chunk_iterations(plan, npl_min(n, NORMA_CHUNK), PASSES);
    if (kernel == npl_row_apply)
        return chunk_iterations(plan, npl_min(n, NORMA_CHUNK), 1);
    uint64_t together = npl_max(plan->team / CHUNK_THREADS, 1); // chunks that a team has in hand at a time
    if (plan->chunks <= together) // a CPU driver's pipeline has loops of its own for the usual pass and the usual scale
        return chunk_iterations(plan, npl_min(n, NORMA_CHUNK), PASSES + 2);
    return npl_mul(npl_ceil(plan->chunks, together), chunk_iterations(plan, NORMA_CHUNK, PASSES + 1));
}

uint64_t npl_units_limit(const struct npl *plan, const char *kernel)
{
    if (plan->caps->max_iterations == 0 || plan->variant->scalar)
        return max_units;
    return plan->caps->max_iterations / ITERATION_MARGIN / unit_iterations(plan, kernel);
}

// Workgroups lie on x and y, so that a grid limit of 65535 on x alone does not cut a dispatch.
uint64_t npl_max_workgroups(const struct npl *plan)
{
    const uint32_t *groups = plan->caps->max_groups;
    return npl_min((uint64_t)npl_max(groups[0], 1) * npl_max(groups[1], 1), max_units);
}

uint64_t npl_tile_bytes(const struct npl *plan, uint64_t rows, uint64_t part)
{
    uint64_t bytes = 0;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        const struct npl_tensor *tensor = &plan->tensor[i];
        uint64_t length = tensor->length ? tensor->length : part;
        if (tensor->present)
            bytes = npl_add(bytes, npl_mul(tensor->shared ? 1 : touched_rows(plan, i, rows), length * tensor->size));
    }
    return bytes;
}

static bool units_fit(const struct npl *plan, const char *kernel, uint64_t units)
{
    uint64_t teams = plan->local / plan->team, each = npl_units_limit(plan, kernel);
    return each > 0 && units <= max_units && units <= npl_mul(npl_max_workgroups(plan) * teams, each);
}

static bool grid_fits(const struct npl *plan, uint64_t rows, uint64_t part)
{
    if (!plan->variant->split)
        return units_fit(plan, npl_row_whole, rows);
    uint64_t chunks = npl_mul(rows, npl_ceil(part, NORMA_CHUNK));
    return units_fit(plan, npl_row_stats, chunks) && units_fit(plan, npl_row_apply, chunks) &&
           units_fit(plan, npl_row_merge, npl_mul(rows, plan->level_inputs[1]));
}

// Bytes of the range that a tile binds; UINT64_MAX where the kernels could not index it.
static uint64_t range_bytes(const struct npl *plan, int arg, uint64_t rows, uint64_t part)
{
    const struct npl_tensor *tensor = &plan->tensor[arg];
    uint64_t length = tensor->length ? tensor->length : part;
    uint64_t count = tensor->shared ? 1 : touched_rows(plan, arg, rows);
    uint64_t stride = plan->stage && !tensor->shared ? length : tensor->stride;
    uint64_t elements = npl_add(npl_mul(count - 1, stride), length);
    bool whole = plan->runs == 1 && rows == plan->run_rows && part == (uint64_t)plan->problem.n;
    uint64_t slack = whole || (plan->stage && !tensor->shared) ? 0 : tensor->slack;
    if (plan->options->unaligned && !plan->stage && plan->align > tensor->size)
        slack += plan->align - tensor->size; // the executor rounds down once more
    if (elements > max_elements - slack / tensor->size)
        return UINT64_MAX;
    return elements * tensor->size + slack;
}

bool npl_fits(const struct npl *plan, uint64_t rows, uint64_t part, uint32_t slots)
{
    uint64_t total = npl_mul(npl_mul(rows, plan->cells), 4 * sizeof(float));
    uint64_t max_slot = plan->stage ? npl_min(plan->max_range, plan->max_alloc) : plan->max_range;
    if (total > npl_min(plan->max_range, plan->max_alloc) || total / sizeof(float) > max_elements)
        return false;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        const struct npl_tensor *tensor = &plan->tensor[i];
        if (!tensor->present)
            continue;
        uint64_t bytes = range_bytes(plan, i, rows, part);
        if (bytes == UINT64_MAX || bytes > max_slot)
            return false;
        if (plan->stage && tensor->shared) { // lies whole on the device
            bytes = npl_mul((uint64_t)plan->problem.n, tensor->size);
            if (bytes > plan->max_alloc)
                return false;
        } else if (plan->stage) {
            bytes = npl_mul(bytes, slots);
        }
        total = npl_add(total, bytes);
    }
    return total <= plan->budget && npl_tile_bytes(plan, rows, part) <= plan->time_bytes && grid_fits(plan, rows, part);
}
