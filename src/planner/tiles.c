// Cuts a problem into tiles: ranges of rows where rows are short, parts of one row where a single one is too much.
#include "planner.h"

// A staged problem is cut further than it must be, so that the transfers of neighbouring tiles overlap.
static const uint64_t stage_tiles = 16, stage_tile_bytes = 16 << 20;

// Even tiles keep 16-bit rows of odd length on whole words at a tile's edges; multiples of 4 keep rows aligned.
static uint64_t round_rows(uint64_t rows)
{
    return rows >= 4 ? rows & ~(uint64_t)3 : rows;
}

// The largest count in 1..limit of `unit`s (rows, or chunks of one row) that fits; 0 where none does.
static uint64_t largest(const struct npl *plan, uint64_t limit, bool rows)
{
    uint64_t low = 0, high = limit;
    while (low < high) {
        uint64_t middle = high - (high - low) / 2;
        bool fits =
            rows ? npl_fits(plan, middle, (uint64_t)plan->problem.n, 2) : npl_fits(plan, 1, middle * NORMA_CHUNK, 2);
        if (fits)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static void even_rows(struct npl *plan, uint64_t limit)
{
    limit = round_rows(limit);
    uint64_t count = npl_ceil(plan->run_rows, limit);
    plan->tile_rows = npl_min(limit, npl_ceil(npl_ceil(plan->run_rows, count), 4) * 4);
}

// Rows that staging would like a tile to have.
static uint64_t stage_rows(const struct npl *plan)
{
    uint64_t n = (uint64_t)plan->problem.n;
    uint64_t bytes = npl_tile_bytes(plan, plan->run_rows, n);
    uint64_t aim = npl_max(npl_mul(bytes, plan->runs) / stage_tiles, stage_tile_bytes);
    return bytes <= aim ? plan->run_rows : npl_max(plan->run_rows / npl_ceil(bytes, aim), 1);
}

static bool cut(struct npl *plan)
{
    uint64_t n = (uint64_t)plan->problem.n;
    uint64_t limit = plan->stage ? stage_rows(plan) : plan->run_rows;
    plan->part = n;
    plan->slots = plan->stage ? plan->runs > 1 ? 2 : 1 : 0;
    if (limit == plan->run_rows && npl_fits(plan, limit, n, plan->slots)) {
        plan->tile_rows = limit;
        return true;
    }
    plan->slots = plan->stage ? 2 : 0;
    uint64_t rows = largest(plan, limit, true);
    if (rows > 0) {
        even_rows(plan, rows);
        return true;
    }
    if (!plan->variant->split || plan->chunks < 2)
        return false;
    uint64_t chunks = largest(plan, plan->chunks - 1, false);
    if (chunks == 0)
        return false;
    plan->tile_rows = 1;
    plan->part = npl_ceil(plan->chunks, npl_ceil(plan->chunks, chunks)) * NORMA_CHUNK;
    return true;
}

bool npl_cut(struct npl *plan, bool patient)
{
    uint64_t limit = plan->time_bytes;
    uint64_t least = (uint64_t)plan->problem.n;
    if (plan->variant->split)
        least = npl_min(least, NORMA_CHUNK);
    if (patient || plan->variant->split)
        plan->time_bytes = npl_max(limit, npl_tile_bytes(plan, 1, least));
    bool done = cut(plan);
    plan->time_bytes = limit;
    plan->workspace = plan->tile_rows * plan->cells * 4 * sizeof(float);
    return done;
}

uint64_t npl_tile_count(const struct npl *plan)
{
    uint64_t n = (uint64_t)plan->problem.n;
    if (plan->part < n)
        return npl_mul(npl_mul(plan->runs, plan->run_rows), 2 * npl_ceil(n, plan->part));
    return npl_mul(plan->runs, npl_ceil(plan->run_rows, plan->tile_rows));
}

static void begin_run(const struct npl *plan, struct npl_tile *tile)
{
    const struct row_problem *problem = &plan->problem;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        uint64_t rest = tile->run;
        tile->start[i] = 0;
        for (int d = problem->outer_rank - 2; d >= 0; d--) {
            uint64_t index = rest % (uint64_t)problem->outer[d];
            rest /= (uint64_t)problem->outer[d];
            if (!plan->tensor[i].shared)
                tile->start[i] += index * (uint64_t)problem->arg[i].stride[d];
        }
    }
}

// Parts of a row come twice: all of them for the statistics, then all of them for the outputs.
static bool next_part(const struct npl *plan, struct npl_tile *tile)
{
    uint64_t n = (uint64_t)plan->problem.n;
    uint64_t begin = tile->begin + tile->part;
    bool again = begin >= n && tile->statistics;
    if (begin >= n && !again)
        return false;
    tile->begin = again ? 0 : begin;
    tile->part = npl_min(plan->part, n - tile->begin);
    tile->statistics = tile->statistics && !again;
    tile->merge = tile->statistics && tile->begin + tile->part == n;
    tile->apply = !tile->statistics;
    return true;
}

bool npl_tile_next(const struct npl *plan, struct npl_tile *tile)
{
    bool first = tile->index == UINT64_MAX;
    tile->index++;
    if (first) {
        *tile = (struct npl_tile){0};
    } else {
        if (plan->part < (uint64_t)plan->problem.n && next_part(plan, tile))
            return true;
        tile->row += tile->rows;
        if (tile->row == plan->run_rows) {
            tile->row = 0;
            tile->run++;
        }
        if (tile->run == plan->runs)
            return false;
    }
    if (tile->row == 0)
        begin_run(plan, tile);
    tile->rows = npl_min(plan->tile_rows, plan->run_rows - tile->row);
    tile->begin = 0;
    tile->part = plan->part;
    tile->statistics = true;
    tile->merge = tile->apply = plan->part == (uint64_t)plan->problem.n;
    return true;
}
