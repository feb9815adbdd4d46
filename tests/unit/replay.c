#include "replay.h"
#include "replay_state.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char replay_message[256];

static uint32_t offset_arg(const struct norma_row_args *args, norma_arg arg)
{
    switch (arg) {
    case NORMA_ARG_X:
        return args->off_x;
    case NORMA_ARG_Y:
        return args->off_y;
    case NORMA_ARG_WEIGHT:
        return args->off_weight;
    case NORMA_ARG_BIAS:
        return args->off_bias;
    case NORMA_ARG_RESIDUAL:
        return args->off_residual;
    case NORMA_ARG_GATE:
        return args->off_gate;
    case NORMA_ARG_INPUT_BIAS:
        return args->off_input_bias;
    case NORMA_ARG_SUM:
        return args->off_sum;
    case NORMA_ARG_MEAN:
        return args->off_stats & 0xffff;
    default:
        return args->off_stats >> 16;
    }
}

static uint32_t stride_arg(const struct norma_row_args *args, norma_arg arg)
{
    switch (arg) {
    case NORMA_ARG_X:
        return args->stride_x;
    case NORMA_ARG_Y:
        return args->stride_y;
    case NORMA_ARG_RESIDUAL:
        return args->stride_residual;
    case NORMA_ARG_GATE:
        return args->stride_gate;
    case NORMA_ARG_SUM:
        return args->stride_sum;
    case NORMA_ARG_MEAN:
        return args->stride_mean;
    case NORMA_ARG_RSTD:
        return args->stride_rstd;
    default:
        return 0;
    }
}

// *address: the element of the caller's tensor that the kernel reaches as element i of row r.
static bool locate(const struct replay *state, norma_arg arg, uint64_t r, uint64_t i, int64_t *address)
{
    const struct norma_row_args *args = &state->args;
    const norma_bound *bound = &state->dispatch->bindings[arg];
    uint64_t size = element_size(state, arg);
    uint64_t row = arg == NORMA_ARG_GATE ? (r + args->gate_phase) / args->gate_rows : r;
    uint64_t element = offset_arg(args, arg) + row * stride_arg(args, arg);
    if (!is_statistic(arg) && (args->flags & NORMA_FLAG_ALIGNED))
        want((bound->offset / size + element) % 4 == 0, "arg %d: row %llu is not aligned", arg, (unsigned long long)r);
    element += i;
    want((element + 1) * size <= bound->size, "arg %d: row %llu element %llu beyond its range", arg,
         (unsigned long long)r, (unsigned long long)i);
    uint64_t byte = bound->offset + element * size;
    if (state->stage && !row_arg_is_shared(arg)) {
        uint32_t index = state->transfer[state->dispatch->tile * NORMA_ROW_ARGS + arg];
        want(index != NORMA_STEP_NONE, "arg %d of tile %u is not transferred", arg, state->dispatch->tile);
        const struct norma_step *step = &state->schedule->steps[index];
        want(byte < step->rows * step->row_bytes, "arg %d of tile %u: beyond its transfer", arg, state->dispatch->tile);
        byte = step->host_offset + byte / step->row_bytes * step->host_pitch + byte % step->row_bytes;
    }
    want(byte % size == 0, "arg %d: address between elements", arg);
    *address = (int64_t)(byte / size);
    return true;
}

// The row's indices, from an address of y, whose dimensions are nested.
static bool decode(const struct replay *state, int64_t address, int64_t *index, uint64_t *row)
{
    const struct row_problem *problem = state->problem;
    const int64_t *stride = problem->arg[NORMA_ARG_Y].stride;
    bool done[NORMA_MAX_RANK] = {false};
    for (int k = 0; k < problem->outer_rank; k++) {
        int widest = 0;
        for (int d = 0; d < problem->outer_rank; d++)
            if (!done[d] && (done[widest] || stride[d] > stride[widest]))
                widest = d;
        done[widest] = true;
        index[widest] = problem->outer[widest] == 1 ? 0 : address / stride[widest];
        want(index[widest] < problem->outer[widest], "y: beyond dimension %d", widest);
        address -= index[widest] * stride[widest];
    }
    want(address < problem->n, "y: between rows");
    *row = 0;
    for (int d = 0; d < problem->outer_rank; d++)
        *row = *row * (uint64_t)problem->outer[d] + (uint64_t)index[d];
    return true;
}

static int64_t expected(const struct replay *state, norma_arg arg, const int64_t *index)
{
    const struct row_problem *problem = state->problem;
    int64_t address = 0;
    for (int d = 0; d < problem->outer_rank && !row_arg_is_shared(arg); d++) {
        bool grouped = arg == NORMA_ARG_GATE && d == problem->outer_rank - 1;
        address += index[d] / (grouped ? problem->gate_rows : 1) * problem->arg[arg].stride[d];
    }
    return address;
}

// *base: where the row of that tensor begins, from the chunk's first element; its last one must agree.
static bool locate_chunk(const struct replay *state, norma_arg arg, uint64_t r, uint64_t i, int64_t *base)
{
    const struct norma_row_args *args = &state->args;
    uint64_t last = i + NORMA_CHUNK < args->part ? i + NORMA_CHUNK - 1 : args->part - 1;
    int64_t address, end;
    *base = 0;
    if (!state->problem->arg[arg].present)
        return true;
    if (is_statistic(arg))
        return locate(state, arg, r, 0, base);
    if (!locate(state, arg, r, i, &address) || !locate(state, arg, r, last, &end))
        return false;
    want(end - address == (int64_t)(last - i), "arg %d: a chunk in pieces", arg);
    *base = address - (int64_t)((uint64_t)args->chunk0 * NORMA_CHUNK + i);
    return true;
}

// Checks all addresses of the chunk against y's, and marks it written.
static bool write_chunk(struct replay *state, uint64_t r, uint64_t j, bool statistics)
{
    int64_t base, index[NORMA_MAX_RANK];
    uint64_t row, i = j * NORMA_CHUNK, chunk = state->args.chunk0 + j;
    if (!locate_chunk(state, NORMA_ARG_Y, r, i, &base) || !decode(state, base, index, &row))
        return false;
    want(base == expected(state, NORMA_ARG_Y, index), "y: row %llu begins elsewhere", (unsigned long long)row);
    for (int a = 0; a < NORMA_ROW_ARGS; a++) {
        norma_arg arg = (norma_arg)a;
        if (!state->problem->arg[arg].present || (is_statistic(arg) && !statistics))
            continue;
        if (!locate_chunk(state, arg, r, i, &base))
            return false;
        want(base == expected(state, arg, index), "arg %d: row %llu is read or written elsewhere", arg,
             (unsigned long long)row);
    }
    want(++state->written[row * (uint64_t)state->chunks + chunk] == 1, "row %llu chunk %llu is written twice",
         (unsigned long long)row, (unsigned long long)chunk);
    if (statistics && chunk == 0)
        state->stats[row]++;
    return true;
}

static bool read_cell(struct replay *state, uint64_t index, struct cell **cell)
{
    want(index < state->cell_count, "workspace: read beyond its end");
    *cell = &state->cells[index];
    want((*cell)->written > 0, "workspace: read before it is written");
    want((*cell)->written < state->epoch, "workspace: read without a barrier");
    (*cell)->read = state->epoch;
    return true;
}

static bool write_cell(struct replay *state, uint64_t index, struct cell value)
{
    want(index < state->cell_count, "workspace: written beyond its end");
    struct cell *cell = &state->cells[index];
    want(cell->written < state->epoch && cell->read < state->epoch, "workspace: overwritten without a barrier");
    value.written = state->epoch;
    value.read = 0;
    *cell = value;
    return true;
}

static bool do_whole(struct replay *state, uint64_t r)
{
    want(state->args.part == state->args.n && state->args.chunk0 == 0, "row_whole: a part of a row");
    for (uint64_t j = 0; j < (uint64_t)state->chunks; j++)
        if (!write_chunk(state, r, j, true))
            return false;
    state->sums += (uint64_t)state->chunks;
    return true;
}

static bool do_stats(struct replay *state, uint64_t r, uint64_t j)
{
    const struct norma_row_args *args = &state->args;
    struct cell cell = {.first = args->chunk0 + (uint32_t)j, .behind = args->chunk0 + (uint32_t)j + 1};
    want(args->chunks == state->chunks, "row_stats: %u chunks", args->chunks);
    if (!locate_chunk(state, NORMA_ARG_X, r, j * NORMA_CHUNK, &cell.x) ||
        !locate_chunk(state, NORMA_ARG_RESIDUAL, r, j * NORMA_CHUNK, &cell.residual) ||
        !locate_chunk(state, NORMA_ARG_GATE, r, j * NORMA_CHUNK, &cell.gate))
        return false;
    int64_t base;
    if (!locate_chunk(state, NORMA_ARG_INPUT_BIAS, r, j * NORMA_CHUNK, &base))
        return false;
    want(base == 0, "input_bias: read elsewhere");
    state->sums++;
    return write_cell(state, args->stat_out + r * args->chunks + args->chunk0 + j, cell);
}

static bool do_merge(struct replay *state, uint64_t r, uint64_t o)
{
    const struct norma_row_args *args = &state->args;
    uint64_t outputs = (args->chunks + NORMA_FAN - 1) / NORMA_FAN;
    bool finish = args->flags & NORMA_FLAG_FINISH;
    struct cell sum = {0}, *cell;
    for (uint64_t i = o * NORMA_FAN; i < args->chunks && i < (o + 1) * NORMA_FAN; i++) {
        if (!read_cell(state, args->stat_in + r * args->chunks + i, &cell))
            return false;
        if (i == o * NORMA_FAN)
            sum = *cell;
        want(cell->x == sum.x && cell->residual == sum.residual && cell->gate == sum.gate, "merge: rows mixed");
        want(!cell->finished && cell->first == (i == o * NORMA_FAN ? sum.first : sum.behind), "merge: order");
        want(cell->first == i * (args->unit / NORMA_CHUNK) && args->unit % NORMA_CHUNK == 0, "merge: unit");
        want(cell->behind - cell->first == args->unit / NORMA_CHUNK || cell->behind == state->chunks, "merge: length");
        sum.behind = cell->behind;
    }
    sum.finished = finish;
    if (!finish)
        return write_cell(state, args->stat_out + r * outputs + o, sum);
    want(outputs == 1, "merge: finishes %llu outputs", (unsigned long long)outputs);
    if (!locate_chunk(state, NORMA_ARG_MEAN, r, 0, &sum.mean) || !locate_chunk(state, NORMA_ARG_RSTD, r, 0, &sum.rstd))
        return false;
    return write_cell(state, args->row_stat + r, sum);
}

static bool do_apply(struct replay *state, uint64_t r, uint64_t j)
{
    int64_t base, index[NORMA_MAX_RANK];
    uint64_t row;
    struct cell *cell;
    if (!read_cell(state, state->args.row_stat + r, &cell) || !write_chunk(state, r, j, false) ||
        !locate_chunk(state, NORMA_ARG_Y, r, j * NORMA_CHUNK, &base) || !decode(state, base, index, &row))
        return false;
    want(cell->finished && cell->first == 0 && cell->behind == state->chunks, "apply: statistics are not complete");
    want(cell->x == expected(state, NORMA_ARG_X, index), "apply: statistics of another row");
    const norma_arg others[] = {NORMA_ARG_RESIDUAL, NORMA_ARG_GATE, NORMA_ARG_MEAN, NORMA_ARG_RSTD};
    const int64_t had[] = {cell->residual, cell->gate, cell->mean, cell->rstd};
    for (int i = 0; i < 4; i++)
        want(!state->problem->arg[others[i]].present || had[i] == expected(state, others[i], index),
             "apply: arg %d of another row", others[i]);
    if (state->args.chunk0 + j == 0)
        state->stats[row]++;
    return true;
}

uint64_t replay_units(const struct replay *state)
{
    const struct norma_row_args *args = &state->args;
    if (strcmp(state->dispatch->kernel, "row_whole") == 0)
        return args->rows;
    uint64_t per_row = strcmp(state->dispatch->kernel, "row_merge") == 0
                           ? (args->chunks + NORMA_FAN - 1) / NORMA_FAN
                           : ((uint64_t)args->part + NORMA_CHUNK - 1) / NORMA_CHUNK;
    return args->rows * per_row;
}

// Of two dispatches without a barrier between them one may not bind what the other writes, by their ranges in whole
// words. Kernels that write no more than the workspace say of absent outputs, which lie where x does, that they are
// written.
static bool check_ranges(const struct replay *state)
{
    const norma_dispatch *d = state->dispatch, *other = d;
    const bool writes = !strcmp(d->kernel, "row_whole") || !strcmp(d->kernel, "row_apply");
    for (int back = 0; writes && !other->barrier && other > state->schedule->dispatches && back < 16; back++) {
        other--;
        for (uint32_t i = 0; i < d->binding_count && !strcmp(other->kernel, d->kernel); i++)
            for (uint32_t k = 0; k < other->binding_count; k++) {
                const norma_bound *a = &d->bindings[i], *b = &other->bindings[k];
                want(!(a->written || b->written) || a->arg != b->arg || a->arg == NORMA_ARG_WORKSPACE ||
                         a->offset >= b->offset + (b->size + 3) / 4 * 4 ||
                         b->offset >= a->offset + (a->size + 3) / 4 * 4,
                     "%s: ranges of tiles meet without a barrier", norma_arg_name(a->arg));
            }
    }
    return true;
}

bool replay_dispatch(struct replay *state)
{
    static const char *const names[] = {"row_stats", "row_merge", "row_apply"};
    static bool (*const does[])(struct replay *, uint64_t, uint64_t) = {do_stats, do_merge, do_apply};
    uint64_t units = replay_units(state), rows = state->args.rows;
    uint64_t end = (uint64_t)state->args.chunk0 * NORMA_CHUNK + state->args.part;
    want(end == (uint64_t)state->problem->n ||
             (end < (uint64_t)state->problem->n && state->args.part % NORMA_CHUNK == 0),
         "a part ends within a chunk");
    want(rows > 0 && units > 0, "an empty dispatch");
    if (state->dispatch->barrier)
        state->epoch++;
    if (!state->stage && !check_ranges(state))
        return false;
    if (strcmp(state->dispatch->kernel, "row_whole") == 0) {
        for (uint64_t r = 0; r < rows; r++)
            if (!do_whole(state, r))
                return false;
        return true;
    }
    for (int k = 0; k < 3; k++)
        if (strcmp(state->dispatch->kernel, names[k]) == 0) {
            for (uint64_t u = 0; u < units; u++)
                if (!does[k](state, u / (units / rows), u % (units / rows)))
                    return false;
            return true;
        }
    want(false, "kernel %s", state->dispatch->kernel);
}

static bool check_marks(const struct replay *state)
{
    uint64_t rows = (uint64_t)state->problem->rows, chunks = rows * (uint64_t)state->chunks;
    want(state->sums == chunks, "%llu chunks of %llu are summed", (unsigned long long)state->sums,
         (unsigned long long)chunks);
    for (uint64_t i = 0; i < chunks; i++)
        want(state->written[i] == 1, "chunk %llu is written %d times", (unsigned long long)i, state->written[i]);
    for (uint64_t i = 0; i < rows; i++)
        want(state->stats[i] == 1, "row %llu has its statistics %d times", (unsigned long long)i, state->stats[i]);
    return true;
}

static bool walk(struct replay *state)
{
    const struct norma_schedule *schedule = state->schedule;
    uint32_t next = 0;
    if (!replay_order(state))
        return false;
    for (size_t i = 0; i < schedule->step_count; i++) {
        if (schedule->steps[i].kind != NORMA_STEP_DISPATCH)
            continue;
        want(schedule->steps[i].dispatch == next && next < schedule->dispatch_count, "dispatches out of order");
        state->dispatch = &schedule->dispatches[next++];
        want(state->dispatch->tile == schedule->steps[i].tile, "a dispatch in another tile than its step");
        want(state->dispatch->args_size == sizeof state->args, "args_size");
        memcpy(&state->args, state->dispatch->args, sizeof state->args);
        if (!replay_limits(state) || !replay_budget(state) || !replay_dispatch(state))
            return false;
    }
    want(next == schedule->dispatch_count, "dispatches without a step");
    return check_marks(state);
}

const char *replay(const struct row_problem *problem, const struct norma_caps *caps,
                   const struct norma_plan_options *options, const struct norma_schedule *schedule)
{
    struct replay state = {.problem = problem, .caps = caps, .options = options, .schedule = schedule, .epoch = 1};
    if (problem->n == 0 || problem->rows == 0)
        return schedule->dispatch_count || schedule->step_count || schedule->workspace ? "an empty problem has work"
                                                                                       : NULL;
    state.chunks = (problem->n + NORMA_CHUNK - 1) / NORMA_CHUNK;
    state.stage = options->memory == NORMA_MEMORY_STAGE && caps->api != NORMA_DRIVER_SCALAR;
    state.cell_count = schedule->workspace / 16;
    state.cells = calloc(state.cell_count + 1, sizeof *state.cells);
    state.written = calloc((size_t)(problem->rows * state.chunks), 1);
    state.stats = calloc((size_t)problem->rows, 1);
    state.transfer = malloc((size_t)schedule->tiles * NORMA_ROW_ARGS * sizeof *state.transfer);
    memset(state.transfer, 0xff, (size_t)schedule->tiles * NORMA_ROW_ARGS * sizeof *state.transfer);
    bool right = walk(&state);
    free(state.cells);
    free(state.written);
    free(state.stats);
    free(state.transfer);
    return right ? NULL : replay_message;
}
