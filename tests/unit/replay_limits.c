// The replay's checks of a device's limits and of the steps' order.
#include "replay_state.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t constant(const struct replay *state, enum norma_constant_id id)
{
    return state->dispatch->constants[id].value;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

// Elements that the whole tensor spans.
static uint64_t span(const struct replay *state, norma_arg arg)
{
    const struct row_problem *problem = state->problem;
    uint64_t elements = (uint64_t)problem->arg[arg].length;
    for (int d = 0; d < problem->outer_rank && !row_arg_is_shared(arg); d++) {
        uint64_t extent = (uint64_t)problem->outer[d];
        if (arg == NORMA_ARG_GATE && d == problem->outer_rank - 1)
            extent = divide_up(extent, (uint64_t)problem->gate_rows);
        elements += (extent - 1) * (uint64_t)problem->arg[arg].stride[d];
    }
    return elements;
}

// The loops of one work-item, by the planner's estimate: three passes and an apply at most, and a copy of a single
// chunk.
static bool check_iterations(const struct replay *state)
{
    uint64_t team = constant(state, NORMA_CONST_TEAM), n = state->args.n, chunks = divide_up(n, NORMA_CHUNK);
    uint64_t blocks = n < NORMA_CHUNK ? divide_up(n, NORMA_BLOCK) : 8;
    uint64_t factor = team < 8 ? 8 / team : 1, share = team <= 8 ? 1 : team >= 64 ? 8 : team / 8;
    uint64_t steps = divide_up(blocks, share) * 16 * factor;
    uint64_t unit = 0;
    if (strcmp(state->dispatch->kernel, "row_whole") == 0 && chunks <= (team > 64 ? team / 64 : 1))
        unit = 5 * steps + 100;
    else if (strcmp(state->dispatch->kernel, "row_whole") == 0)
        unit = (4 * steps + 100) * (team > 64 ? divide_up(chunks, team / 64) : chunks);
    else if (strcmp(state->dispatch->kernel, "row_stats") == 0)
        unit = 3 * steps + 100;
    else if (strcmp(state->dispatch->kernel, "row_apply") == 0)
        unit = steps + 100;
    uint64_t all = unit * state->args.per_group;
    want(state->caps->max_iterations == 0 || 2 * all <= state->caps->max_iterations, "%s: %llu iterations",
         state->dispatch->kernel, (unsigned long long)all);
    return true;
}

static bool check_grid(const struct replay *state)
{
    const norma_dispatch *dispatch = state->dispatch;
    const struct norma_caps *caps = state->caps;
    uint64_t team = constant(state, NORMA_CONST_TEAM), local = constant(state, NORMA_CONST_LOCAL_SIZE);
    want(dispatch->constant_count == NORMA_CONST_COUNT, "constants");
    for (uint32_t i = 0; i < NORMA_CONST_COUNT; i++)
        want(dispatch->constants[i].id == i, "constant %u has id %u", i, dispatch->constants[i].id);
    want(dispatch->local[0] == local && dispatch->local[1] == 1 && dispatch->local[2] == 1, "local size");
    want(team > 0 && local % team == 0 && local <= caps->max_workgroup, "team %llu of %llu", (unsigned long long)team,
         (unsigned long long)local);
    want(!constant(state, NORMA_CONST_SUBGROUP) || caps->subgroup_shuffle, "shuffles that the device lacks");
    want(!constant(state, NORMA_CONST_REGISTERS) || state->args.n <= team * 64, "a row beyond the registers");
    for (int i = 0; i < 3; i++)
        want(dispatch->groups[i] >= 1 && dispatch->groups[i] <= caps->max_groups[i], "groups %d: %u", i,
             dispatch->groups[i]);
    uint64_t teams = (uint64_t)dispatch->groups[0] * dispatch->groups[1] * dispatch->groups[2] * (local / team);
    want(teams * state->args.per_group >= replay_units(state), "a grid too small");
    want(teams * state->args.per_group <= UINT32_MAX && state->args.per_group > 0, "a grid beyond 32 bits");
    bool whole = strcmp(dispatch->kernel, "row_whole") == 0;
    want(!whole || state->args.chunks <= NORMA_FAN || caps->api == NORMA_DRIVER_SCALAR, "row_whole: too many chunks");
    return check_iterations(state);
}

static bool check_binding(const struct replay *state, int slot)
{
    const norma_bound *bound = &state->dispatch->bindings[slot];
    const struct norma_caps *caps = state->caps;
    bool tensor = slot < NORMA_ROW_ARGS;
    want(bound->slot == (uint32_t)slot, "slot %d", slot);
    if (tensor && !state->problem->arg[slot].present) {
        want(bound->arg == NORMA_ARG_X && !(state->args.flags & 1u << slot), "absent slot %d", slot);
        return true;
    }
    if (!tensor && bound->arg != NORMA_ARG_WORKSPACE) {
        want(state->schedule->workspace == 0, "no workspace bound");
        return true;
    }
    uint64_t size = tensor ? element_size(state, (norma_arg)slot) : 4;
    want(!tensor || (bound->arg == (norma_arg)slot && state->args.flags & 1u << slot), "slot %d is not bound", slot);
    want(bound->size > 0 && bound->size / size <= INT32_MAX, "slot %d: elements", slot);
    if (caps->api == NORMA_DRIVER_SCALAR)
        return true;
    want(bound->offset % caps->offset_align == 0, "slot %d: offset %llu", slot, (unsigned long long)bound->offset);
    bool moves = tensor && state->options->unaligned && !state->stage && caps->offset_align > size;
    want(bound->size + (moves ? caps->offset_align - size : 0) <= caps->max_range, "slot %d: range of %llu", slot,
         (unsigned long long)bound->size);
    uint64_t whole = state->schedule->workspace;
    if (tensor) {
        whole = span(state, (norma_arg)slot) * size;
        if (state->stage && !row_arg_is_shared((norma_arg)slot))
            whole = state->schedule->slot_bytes[slot];
        want(whole <= caps->max_alloc || !state->stage, "slot %d: allocation", slot);
    }
    want(bound->offset + bound->size <= whole, "slot %d: beyond its buffer", slot);
    return true;
}

bool replay_limits(const struct replay *state)
{
    const struct row_problem *problem = state->problem;
    const struct norma_row_args *args = &state->args;
    uint32_t types = 0;
    bool aligned = true, prologue = false;
    want(state->dispatch->binding_count == NORMA_ROW_ARGS + 1, "bindings");
    for (int slot = 0; slot <= NORMA_ROW_ARGS; slot++)
        if (!check_binding(state, slot))
            return false;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        norma_dtype dtype = problem->arg[i].dtype;
        if (!problem->arg[i].present)
            continue;
        types |= (dtype == NORMA_FLOAT16 ? 1u : dtype == NORMA_BFLOAT16 ? 2u : 0u) << (2 * i);
        for (int d = 0; d < problem->outer_rank && !is_statistic((norma_arg)i); d++)
            aligned &= row_arg_is_shared((norma_arg)i) || problem->arg[i].stride[d] % 4 == 0;
        prologue |= i == NORMA_ARG_RESIDUAL || i == NORMA_ARG_GATE || i == NORMA_ARG_INPUT_BIAS || i == NORMA_ARG_SUM;
    }
    aligned = state->stage ? args->part % 4 == 0 : aligned;
    want(!aligned || args->flags & NORMA_FLAG_ALIGNED, "aligned rows are not said to be");
    want(args->types == types && args->n == problem->n, "types or n");
    want(memcmp(&args->eps, &problem->eps, 4) == 0 && memcmp(&args->weight_offset, &problem->weight_offset, 4) == 0,
         "eps or weight_offset");
    bool merge = strcmp(state->dispatch->kernel, "row_merge") == 0;
    want(merge || !prologue || constant(state, NORMA_CONST_PROLOGUE), "no prologue");
    want(merge || constant(state, NORMA_CONST_X_TYPE) == (types & 3), "X_TYPE");
    uint32_t y_type = constant(state, NORMA_CONST_Y_TYPE);
    bool needs_y = !merge && strcmp(state->dispatch->kernel, "row_stats") != 0;
    want(!needs_y || y_type == (constant(state, NORMA_CONST_TEAM) > 1 ? 3 : types >> 2 & 3), "Y_TYPE");
    want(constant(state, NORMA_CONST_RMS) == (problem->op == NORMA_RMS_NORM), "RMS");
    return check_grid(state);
}

bool replay_budget(const struct replay *state)
{
    const struct norma_schedule *schedule = state->schedule;
    const struct row_problem *problem = state->problem;
    const struct norma_plan_options *options = state->options;
    uint64_t budget = options->memory_budget ? options->memory_budget : state->caps->memory / 2;
    uint64_t bound = schedule->workspace;
    double moved = 0;
    if (state->caps->api == NORMA_DRIVER_SCALAR)
        return true;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        bool shared = row_arg_is_shared((norma_arg)i);
        uint64_t size = element_size(state, (norma_arg)i);
        if (!problem->arg[i].present)
            continue;
        if (!state->stage)
            bound += state->dispatch->bindings[i].size;
        else
            bound += shared ? (uint64_t)problem->n * size : schedule->slots * schedule->slot_bytes[i];
        if (i == NORMA_ARG_SUM || i == NORMA_ARG_Y)
            moved += (double)state->args.rows * state->args.part * (double)size;
    }
    want(bound <= budget, "%llu bytes bound of %llu", (unsigned long long)bound, (unsigned long long)budget);
    double seconds = options->max_seconds > 0 ? options->max_seconds : 0.1;
    bool least = state->args.rows == 1 && (state->args.part <= NORMA_CHUNK || options->variant);
    want(options->rate == 0 || least || moved <= options->rate * seconds, "a dispatch of %g seconds",
         moved / options->rate);
    return true;
}

// For each step, how many steps of each stream have finished before it begins.
struct clock {
    uint32_t done[3], own; // own: the step's place on its stream, from 1
};

static bool before(const struct norma_step *steps, const struct clock *clocks, uint32_t a, uint32_t b)
{
    return clocks[b].done[steps[a].kind] >= clocks[a].own;
}

static bool set_clock(const struct norma_step *steps, struct clock *clocks, uint32_t i, uint32_t last[3])
{
    struct clock clock = {.own = 1};
    uint32_t from[4] = {last[steps[i].kind], steps[i].wait[0], steps[i].wait[1], steps[i].wait[2]};
    for (int w = 0; w < 4; w++) {
        if (from[w] == NORMA_STEP_NONE)
            continue;
        want(from[w] < i, "step %u waits for a later one", i);
        for (int k = 0; k < 3; k++)
            if (clock.done[k] < clocks[from[w]].done[k])
                clock.done[k] = clocks[from[w]].done[k];
        if (clock.done[steps[from[w]].kind] < clocks[from[w]].own)
            clock.done[steps[from[w]].kind] = clocks[from[w]].own;
        if (w == 0)
            clock.own = clocks[from[w]].own + 1;
    }
    clocks[i] = clock;
    last[steps[i].kind] = i;
    return true;
}

// Transfers of one tile and their order against its dispatches; *first and *last are those.
static bool check_tile(const struct replay *state, const struct clock *clocks, uint32_t tile, uint32_t first,
                       uint32_t last)
{
    const struct norma_step *steps = state->schedule->steps;
    const uint32_t *transfer = &state->transfer[tile * NORMA_ROW_ARGS];
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        if (transfer[i] == NORMA_STEP_NONE)
            continue;
        const struct norma_step *step = &steps[transfer[i]];
        bool output = row_arg_is_output((norma_arg)i);
        want((step->kind == NORMA_STEP_DOWNLOAD) == output, "arg %d goes the wrong way", i);
        want(step->rows * step->row_bytes <= state->schedule->slot_bytes[i], "arg %d: beyond its slot", i);
        want(output ? before(steps, clocks, last, transfer[i]) : before(steps, clocks, transfer[i], first),
             "tile %u: arg %d is not ordered", tile, i);
    }
    return true;
}

// A slot is used again only when its tile's results have left; the next tile's data come during a dispatch.
static bool check_slots(const struct replay *state, const struct clock *clocks, const uint32_t *first,
                        const uint32_t *last)
{
    const struct norma_schedule *schedule = state->schedule;
    const struct norma_step *steps = schedule->steps;
    for (uint32_t t = 0; t + 1 < schedule->tiles; t++) {
        const uint32_t *own = &state->transfer[t * NORMA_ROW_ARGS];
        uint32_t upload = own[NORMA_ROW_ARGS + NORMA_ARG_X];
        want(!before(steps, clocks, last[t], upload) && !before(steps, clocks, upload, first[t]),
             "tile %u does not overlap the upload of the next", t);
        for (int i = 0; i < NORMA_ROW_ARGS; i++) {
            if (own[i] == NORMA_STEP_NONE)
                continue;
            want(!row_arg_is_output((norma_arg)i) || upload < own[i], "tile %u: download before the next upload", t);
            if (t + schedule->slots >= schedule->tiles)
                continue;
            uint32_t other = own[schedule->slots * NORMA_ROW_ARGS + (uint32_t)i];
            if (row_arg_is_output((norma_arg)i))
                want(before(steps, clocks, own[i], first[t + schedule->slots]), "tile %u: output overwritten", t);
            else
                want(before(steps, clocks, last[t], other), "tile %u: input overwritten", t);
        }
    }
    return true;
}

// Each output leaves the device once: no tile downloads what it did not write.
static bool check_downloads(const struct replay *state)
{
    const struct row_problem *problem = state->problem;
    uint64_t bytes[NORMA_ROW_ARGS] = {0};
    for (size_t i = 0; i < state->schedule->step_count; i++)
        if (state->schedule->steps[i].kind == NORMA_STEP_DOWNLOAD)
            bytes[state->schedule->steps[i].arg] +=
                state->schedule->steps[i].rows * state->schedule->steps[i].row_bytes;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        uint64_t all = (uint64_t)(problem->rows * problem->arg[i].length) * element_size(state, (norma_arg)i);
        bool output = problem->arg[i].present && row_arg_is_output((norma_arg)i);
        want(bytes[i] == (output ? all : 0), "arg %d: %llu bytes downloaded", i, (unsigned long long)bytes[i]);
    }
    return true;
}

static bool check_streams(const struct replay *state, struct clock *clocks, uint32_t *first, uint32_t *last)
{
    const struct norma_schedule *schedule = state->schedule;
    uint32_t stream[3] = {NORMA_STEP_NONE, NORMA_STEP_NONE, NORMA_STEP_NONE};
    memset(first, 0xff, schedule->tiles * sizeof *first);
    for (uint32_t i = 0; i < schedule->step_count; i++) {
        const struct norma_step *step = &schedule->steps[i];
        want(step->tile < schedule->tiles, "step %u: tile %u", i, step->tile);
        want(state->stage || step->kind == NORMA_STEP_DISPATCH, "a transfer without staging");
        want(step->slot == (schedule->slots ? step->tile % schedule->slots : 0), "step %u: slot", i);
        if (!set_clock(schedule->steps, clocks, i, stream))
            return false;
        if (step->kind == NORMA_STEP_DISPATCH) {
            last[step->tile] = i;
            if (first[step->tile] == NORMA_STEP_NONE)
                first[step->tile] = i;
        } else {
            uint32_t *transfer = &state->transfer[step->tile * NORMA_ROW_ARGS + step->arg];
            want(*transfer == NORMA_STEP_NONE, "tile %u: arg %d twice", step->tile, step->arg);
            *transfer = i;
        }
    }
    for (uint32_t t = 0; t < schedule->tiles; t++)
        want(first[t] != NORMA_STEP_NONE, "tile %u without a dispatch", t);
    if (!state->stage)
        return true;
    want(schedule->slots == (schedule->tiles > 1 ? 2 : 1), "slots: %u", schedule->slots);
    for (uint32_t t = 0; t < schedule->tiles; t++)
        if (!check_tile(state, clocks, t, first[t], last[t]))
            return false;
    return check_slots(state, clocks, first, last) && check_downloads(state);
}

bool replay_order(const struct replay *state)
{
    const struct norma_schedule *schedule = state->schedule;
    struct clock *clocks = calloc(schedule->step_count + 1, sizeof *clocks);
    uint32_t *first = calloc(schedule->tiles + 1, sizeof *first), *last = calloc(schedule->tiles + 1, sizeof *last);
    bool right = check_streams(state, clocks, first, last);
    free(clocks);
    free(first);
    free(last);
    return right;
}
