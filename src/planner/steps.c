// The order of submission, and what waits for what.
#include "planner.h"

// The steps of a tile that later ones wait for.
struct tile_steps {
    uint32_t uploads[3], last_dispatch, last_download;
};

static const struct tile_steps no_steps = {
    {NORMA_STEP_NONE, NORMA_STEP_NONE, NORMA_STEP_NONE}, NORMA_STEP_NONE, NORMA_STEP_NONE};

static struct norma_step *append(const struct npl *plan, const struct npl_tile *tile, enum norma_step_kind kind,
                                 struct norma_schedule *schedule)
{
    struct norma_step *step = &schedule->steps[schedule->step_count++];
    *step = (struct norma_step){
        .kind = kind,
        .tile = (uint32_t)tile->index,
        .slot = plan->slots ? (uint32_t)(tile->index % plan->slots) : 0,
        .wait = {NORMA_STEP_NONE, NORMA_STEP_NONE, NORMA_STEP_NONE},
    };
    return step;
}

static uint32_t last_step(const struct norma_schedule *schedule)
{
    return (uint32_t)(schedule->step_count - 1);
}

static struct norma_step *append_transfer(const struct npl *plan, const struct npl_tile *tile,
                                          enum norma_step_kind kind, norma_arg arg, struct norma_schedule *schedule)
{
    const struct npl_tensor *tensor = &plan->tensor[arg];
    struct norma_step *step = append(plan, tile, kind, schedule);
    bool gate = arg == NORMA_ARG_GATE;
    uint64_t first = gate ? tile->row / (uint64_t)plan->problem.gate_rows : tile->row;
    uint64_t rows = gate ? npl_gate_rows(plan, tile->row, tile->rows) : tile->rows;
    if (tensor->stride == 0)
        rows = 1;
    step->arg = arg;
    step->row_bytes = (tensor->length ? tensor->length : tile->part) * tensor->size;
    step->host_offset = (tile->start[arg] + first * tensor->stride + (tensor->length ? 0 : tile->begin)) * tensor->size;
    step->host_pitch = tensor->stride * tensor->size;
    step->rows = rows;
    schedule->slot_bytes[arg] = npl_max(schedule->slot_bytes[arg], step->row_bytes * rows);
    if (rows == 1 || step->host_pitch == step->row_bytes) { // one piece of memory: one plain copy
        step->row_bytes *= rows;
        step->host_pitch = step->row_bytes;
        step->rows = 1;
    }
    return step;
}

// *steps are those of the tile that had the slot before; they become this tile's.
static void emit_uploads(const struct npl *plan, const struct npl_tile *tile, struct norma_schedule *schedule,
                         struct tile_steps *steps)
{
    static const norma_arg inputs[] = {NORMA_ARG_X, NORMA_ARG_RESIDUAL, NORMA_ARG_GATE};
    struct tile_steps before = *steps;
    uint32_t count = 0;
    *steps = no_steps;
    for (int i = 0; i < 3; i++) {
        if (!plan->tensor[inputs[i]].present)
            continue;
        struct norma_step *step = append_transfer(plan, tile, NORMA_STEP_UPLOAD, inputs[i], schedule);
        step->wait[0] = before.last_dispatch;
        step->wait[1] = before.last_download;
        steps->uploads[count++] = last_step(schedule);
    }
}

static void emit_dispatches(const struct npl *plan, struct npl_tile *tile, struct norma_schedule *schedule,
                            struct tile_steps *steps)
{
    uint32_t first = (uint32_t)schedule->dispatch_count;
    npl_dispatch_tile(plan, tile, schedule);
    for (uint32_t i = first; i < schedule->dispatch_count; i++) {
        struct norma_step *step = append(plan, tile, NORMA_STEP_DISPATCH, schedule);
        step->dispatch = i;
        for (int w = 0; i == first && w < 3; w++)
            step->wait[w] = steps->uploads[w];
    }
    steps->last_dispatch = last_step(schedule);
}

static void emit_downloads(const struct npl *plan, const struct npl_tile *tile, struct norma_schedule *schedule,
                           struct tile_steps *steps)
{
    static const norma_arg outputs[] = {NORMA_ARG_Y, NORMA_ARG_SUM, NORMA_ARG_MEAN, NORMA_ARG_RSTD};
    for (int i = 0; i < 4; i++) {
        bool written = plan->tensor[outputs[i]].length ? tile->merge : tile->apply;
        if (!plan->tensor[outputs[i]].present || !written)
            continue;
        struct norma_step *step = append_transfer(plan, tile, NORMA_STEP_DOWNLOAD, outputs[i], schedule);
        step->wait[0] = steps->last_dispatch;
        steps->last_download = last_step(schedule);
    }
}

void npl_emit(const struct npl *plan, struct norma_schedule *schedule)
{
    struct npl_tile tile = {.index = UINT64_MAX}, next;
    struct tile_steps slots[2] = {no_steps, no_steps};
    bool more = npl_tile_next(plan, &tile);
    if (more && plan->stage)
        emit_uploads(plan, &tile, schedule, &slots[0]);
    for (; more; tile = next) {
        struct tile_steps *steps = &slots[tile.index % 2];
        emit_dispatches(plan, &tile, schedule, steps);
        next = tile;
        more = npl_tile_next(plan, &next);
        if (!plan->stage)
            continue;
        // The next tile's data travel while this one is computed, and before its results take their turn.
        if (more)
            emit_uploads(plan, &next, schedule, &slots[next.index % 2]);
        emit_downloads(plan, &tile, schedule, steps);
    }
}

uint64_t npl_step_count(const struct npl *plan, uint64_t tiles, uint64_t dispatches)
{
    uint64_t transfers = 0;
    for (int i = 0; plan->stage && i < NORMA_ROW_ARGS; i++)
        transfers += plan->tensor[i].present && !plan->tensor[i].shared;
    return npl_add(dispatches, npl_mul(tiles, transfers));
}
