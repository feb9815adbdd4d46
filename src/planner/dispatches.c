// Writes a tile's dispatches: constants, bindings, arguments, grid.
#include "planner.h"
#include <assert.h>
#include <string.h>

enum {
    SERIAL_GROUPS_PER_CORE = 8, // enough to balance the cores, few enough that a group's start costs nothing
    VECTOR_GROUPS_PER_CORE = 16,
    SHORT_ROWS = 16, // serial kernels take short rows by that many
    LOOK_UP_TYPE = 3,
};

// Workgroups for `units`, and how many a team takes: one on a GPU, more where cores are few or the grid is limited.
static void set_grid(const struct npl *plan, const char *kernel, uint64_t units, norma_dispatch *dispatch,
                     struct norma_row_args *args)
{
    uint64_t teams = plan->local / plan->team, each = 1, workgroups = npl_max_workgroups(plan);
    uint64_t limit = npl_units_limit(plan, kernel);
    if (plan->variant->scalar) {
        each = units;
    } else if (plan->caps->kind == NORMA_DEVICE_CPU) {
        uint64_t aim = plan->variant->serial ? SERIAL_GROUPS_PER_CORE : VECTOR_GROUPS_PER_CORE;
        each = npl_ceil(units, npl_max(plan->caps->compute_units, 1) * aim * teams);
        if (each > SHORT_ROWS)
            each = npl_ceil(each, SHORT_ROWS) * SHORT_ROWS;
    }
    each = npl_min(npl_max(each, npl_ceil(units, workgroups * teams)), limit);
    uint64_t needed = npl_ceil(units, each * teams);
    assert(each > 0 && needed <= workgroups);
    uint64_t width = npl_max(plan->caps->max_groups[0], 1);
    uint64_t height = npl_ceil(needed, npl_min(width, needed));
    args->per_group = (uint32_t)each;
    dispatch->groups[0] = (uint32_t)npl_ceil(needed, height);
    dispatch->groups[1] = (uint32_t)height;
    dispatch->groups[2] = 1;
    dispatch->local[0] = plan->local;
    dispatch->local[1] = dispatch->local[2] = 1;
}

// Constants multiply into programs: one that a kernel does not need keeps a fixed value.
static void set_constants(const struct npl *plan, norma_dispatch *dispatch)
{
    static const char *const names[NORMA_CONST_COUNT] = {"LOCAL_SIZE", "RMS",  "X_TYPE",   "Y_TYPE",
                                                         "PROLOGUE",   "TEAM", "SUBGROUP", "REGISTERS"};
    const struct npl_variant *variant = plan->variant;
    const char *kernel = dispatch->kernel;
    bool merge = kernel == npl_row_merge, typed = plan->team == 1;
    // A GPU hides the prologue's branches behind its memory; registers are what it may run out of.
    bool one_prologue = !typed && plan->caps->kind != NORMA_DEVICE_CPU && !variant->registers;
    uint32_t value[NORMA_CONST_COUNT] = {0};
    value[NORMA_CONST_LOCAL_SIZE] = plan->local;
    value[NORMA_CONST_RMS] = plan->problem.op == NORMA_RMS_NORM;
    value[NORMA_CONST_X_TYPE] = merge ? 0 : plan->tensor[NORMA_ARG_X].type;
    if (!merge)
        value[NORMA_CONST_Y_TYPE] = !typed                    ? LOOK_UP_TYPE
                                    : kernel == npl_row_stats ? 0
                                                              : plan->tensor[NORMA_ARG_Y].type;
    value[NORMA_CONST_PROLOGUE] = !merge && (plan->prologue || one_prologue);
    value[NORMA_CONST_TEAM] = plan->team;
    value[NORMA_CONST_SUBGROUP] = variant->subgroup;
    value[NORMA_CONST_REGISTERS] = variant->registers;
    for (uint32_t i = 0; i < NORMA_CONST_COUNT; i++)
        dispatch->constants[i] = (norma_constant){names[i], i, value[i]};
    dispatch->constant_count = NORMA_CONST_COUNT;
}

// Binds one tensor of the tile; *offset is what the driver's alignment leaves over, *aligned is cleared where a row may
// begin elsewhere than at a multiple of 4 elements.
static norma_bound bind_tensor(const struct npl *plan, const struct npl_tile *tile, int arg, uint32_t *offset,
                               uint32_t *stride, bool *aligned)
{
    const struct npl_tensor *tensor = &plan->tensor[arg];
    uint64_t length = tensor->length ? tensor->length : tile->part;
    uint64_t start = tensor->length ? 0 : tile->begin, rows = 1, step = 0;
    bool staged = plan->stage && !tensor->shared;
    if (!tensor->shared) {
        bool gate = arg == NORMA_ARG_GATE;
        rows = gate ? npl_gate_rows(plan, tile->row, tile->rows) : tile->rows;
        step = staged && tensor->stride > 0 ? length : tensor->stride;
        uint64_t first = gate ? tile->row / (uint64_t)plan->problem.gate_rows : tile->row;
        start = staged ? 0 : start + tile->start[arg] + first * tensor->stride;
        if (rows == 1)
            step = 0; // it may be too large for 32 bits
    }
    if (start % 4 || step % 4)
        *aligned = false;
    uint64_t bytes = start * tensor->size, rest = bytes & (plan->align - 1);
    uint64_t elements = rest / tensor->size + (rows - 1) * step + length;
    assert(step <= UINT32_MAX && elements <= INT32_MAX);
    *offset = (uint32_t)(rest / tensor->size);
    *stride = (uint32_t)step;
    return (norma_bound){(uint32_t)arg, (norma_arg)arg, bytes - rest, elements * tensor->size, 0};
}

static void set_bindings(const struct npl *plan, const struct npl_tile *tile, norma_dispatch *dispatch,
                         struct norma_row_args *args)
{
    uint32_t offset[NORMA_ROW_ARGS] = {0}, stride[NORMA_ROW_ARGS] = {0};
    bool aligned = true, ignored;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        bool stats = i == NORMA_ARG_MEAN || i == NORMA_ARG_RSTD;
        norma_bound *bound = &dispatch->bindings[i];
        if (plan->tensor[i].present)
            *bound = bind_tensor(plan, tile, i, &offset[i], &stride[i], stats ? &ignored : &aligned);
        else
            *bound = dispatch->bindings[NORMA_ARG_X];
        bound->slot = (uint32_t)i;
        bound->written = row_arg_is_output((norma_arg)i); // as far as the module says: it may not be there
    }
    norma_bound *workspace = &dispatch->bindings[NORMA_ROW_ARGS];
    *workspace = dispatch->bindings[NORMA_ARG_X];
    if (plan->workspace)
        *workspace = (norma_bound){0, NORMA_ARG_WORKSPACE, 0, plan->workspace, 1};
    workspace->slot = NORMA_ROW_ARGS;
    workspace->written = 1;
    dispatch->binding_count = NPL_SLOTS;
    args->flags = plan->flags | (aligned ? NORMA_FLAG_ALIGNED : 0);
    args->stride_x = stride[NORMA_ARG_X];
    args->stride_y = stride[NORMA_ARG_Y];
    args->stride_residual = stride[NORMA_ARG_RESIDUAL];
    args->stride_gate = stride[NORMA_ARG_GATE];
    args->stride_sum = stride[NORMA_ARG_SUM];
    args->stride_mean = stride[NORMA_ARG_MEAN];
    args->stride_rstd = stride[NORMA_ARG_RSTD];
    args->off_x = offset[NORMA_ARG_X];
    args->off_y = offset[NORMA_ARG_Y];
    args->off_weight = offset[NORMA_ARG_WEIGHT];
    args->off_bias = offset[NORMA_ARG_BIAS];
    args->off_residual = offset[NORMA_ARG_RESIDUAL];
    args->off_gate = offset[NORMA_ARG_GATE];
    args->off_input_bias = offset[NORMA_ARG_INPUT_BIAS];
    args->off_sum = offset[NORMA_ARG_SUM];
    args->off_stats = offset[NORMA_ARG_MEAN] | offset[NORMA_ARG_RSTD] << 16;
}

// Everything that the tile's dispatches have in common.
static void set_common(const struct npl *plan, const struct npl_tile *tile, norma_dispatch *dispatch,
                       struct norma_row_args *args)
{
    uint64_t gate_rows = (uint64_t)plan->problem.gate_rows;
    bool one_gate_row = npl_gate_rows(plan, tile->row, tile->rows) == 1;
    *dispatch = (norma_dispatch){.args_size = sizeof *args, .tile = (uint32_t)tile->index};
    *args = (struct norma_row_args){
        .n = (uint32_t)plan->problem.n,
        .part = (uint32_t)tile->part,
        .rows = (uint32_t)tile->rows,
        .chunk0 = (uint32_t)(tile->begin / NORMA_CHUNK),
        .chunks = (uint32_t)plan->chunks,
        .unit = NORMA_CHUNK,
        .row_stat = (uint32_t)(tile->rows * (plan->cells - 1)),
        .types = plan->types,
        .gate_rows = (uint32_t)npl_min(gate_rows, UINT32_MAX),
        .gate_phase = one_gate_row ? 0 : (uint32_t)(tile->row % gate_rows),
        .eps = plan->problem.eps,
        .weight_offset = plan->problem.weight_offset,
    };
    if (plan->cells == 0)
        args->row_stat = 0;
    set_bindings(plan, tile, dispatch, args);
}

static void append(const struct npl *plan, struct norma_schedule *schedule, const char *kernel, uint64_t units,
                   bool barrier, const norma_dispatch *common, struct norma_row_args args)
{
    norma_dispatch *dispatch = &schedule->dispatches[schedule->dispatch_count++];
    *dispatch = *common;
    dispatch->kernel = kernel;
    dispatch->barrier = barrier;
    set_constants(plan, dispatch);
    set_grid(plan, kernel, units, dispatch, &args);
    memcpy(dispatch->args, &args, sizeof args);
}

static void append_merges(const struct npl *plan, const struct npl_tile *tile, struct norma_schedule *schedule,
                          const norma_dispatch *common, struct norma_row_args args)
{
    args.stat_in = 0;
    for (uint32_t level = 0; level < plan->levels; level++) {
        uint64_t outputs = plan->level_inputs[level + 1];
        args.chunks = (uint32_t)plan->level_inputs[level];
        args.stat_out = args.stat_in + (uint32_t)tile->rows * args.chunks;
        if (level + 1 == plan->levels)
            args.flags |= NORMA_FLAG_FINISH;
        append(plan, schedule, npl_row_merge, tile->rows * outputs, true, common, args);
        args.stat_in = args.stat_out;
        args.unit *= NORMA_FAN;
    }
}

// Whole words, as Vulkan binds them.
static uint64_t end_of(const norma_bound *bound)
{
    return bound->offset + (bound->size + 3) / 4 * 4;
}

// Whether a dispatch needs a barrier before it for its ranges' sake. The elements of two tiles lie apart, but the
// ranges around them may meet: rows of one between rows of the other, or a beginning that was rounded down. Absent
// outputs lie where x does, so any two ranges of a tensor count: validation, and drivers that track, see no more than
// those.
static bool ranges_meet(const struct npl *plan, struct npl_tile *tile, const norma_dispatch *dispatch, bool barrier)
{
    bool meet = barrier;
    for (int i = 0; i < NORMA_ROW_ARGS && !plan->stage; i++) {
        const norma_bound *b = &dispatch->bindings[i];
        if (plan->tensor[i].present && !plan->tensor[i].shared)
            meet = meet || (b->offset < tile->bound[i].high && end_of(b) > tile->bound[i].low);
    }
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        const norma_bound *b = &dispatch->bindings[i];
        const bool first = meet || tile->bound[i].low == tile->bound[i].high;
        tile->bound[i].low = first ? b->offset : npl_min(tile->bound[i].low, b->offset);
        tile->bound[i].high = npl_max(first ? 0 : tile->bound[i].high, end_of(b));
    }
    return meet;
}

void npl_dispatch_tile(const struct npl *plan, struct npl_tile *tile, struct norma_schedule *schedule)
{
    norma_dispatch common;
    struct norma_row_args args;
    set_common(plan, tile, &common, &args);
    if (!plan->variant->split) {
        append(plan, schedule, npl_row_whole, tile->rows, ranges_meet(plan, tile, &common, false), &common, args);
        return;
    }
    uint64_t units = tile->rows * npl_ceil(tile->part, NORMA_CHUNK);
    // The workspace is one for all tiles: what the tile before still reads must not be overwritten.
    if (tile->statistics)
        append(plan, schedule, npl_row_stats, units, tile->index > 0 && tile->begin == 0, &common, args);
    if (tile->merge)
        append_merges(plan, tile, schedule, &common, args);
    if (tile->apply) {
        const bool barrier = ranges_meet(plan, tile, &common, tile->begin == 0);
        append(plan, schedule, npl_row_apply, units, barrier, &common, args);
    }
}

uint64_t npl_dispatch_count(const struct npl *plan)
{
    uint64_t tiles = npl_tile_count(plan);
    if (!plan->variant->split)
        return tiles;
    if (plan->part == (uint64_t)plan->problem.n)
        return npl_mul(tiles, 2 + plan->levels);
    return npl_add(tiles, npl_mul(npl_mul(plan->runs, plan->run_rows), plan->levels));
}
