// From a problem, a device's capabilities and options to a schedule.
#include "backend.h"
#include "planner.h"
#include <assert.h>

// More would be gigabytes of descriptions.
static const uint64_t max_dispatches = 1 << 21;
static const double default_seconds = 0.1;
// Outputs beyond this leave a CPU's caches before anyone reads them.
static const uint64_t stream_bytes = 8 << 20;

static uint32_t type_code(norma_dtype dtype)
{
    return dtype == NORMA_FLOAT16 ? 1 : dtype == NORMA_BFLOAT16 ? 2 : 0;
}

static uint64_t or_unlimited(uint64_t limit)
{
    return limit ? limit : UINT64_MAX;
}

// A dispatch has one row stride a tensor, so the longest dimension is best for it. A gate that several rows share
// is laid out along the last one.
static void longest_last(struct row_problem *problem)
{
    int last = problem->outer_rank - 1, best = last;
    if (problem->arg[NORMA_ARG_GATE].present && problem->gate_rows > 1)
        return;
    for (int d = 0; d < last; d++)
        if (problem->outer[d] > problem->outer[best])
            best = d;
    // Neighbouring rows are worth a factor of two.
    if (best == last || problem->outer[best] / 2 < problem->outer[last])
        return;
    int64_t extent = problem->outer[best];
    problem->outer[best] = problem->outer[last];
    problem->outer[last] = extent;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        int64_t *stride = problem->arg[i].stride, kept = stride[best];
        stride[best] = stride[last];
        stride[last] = kept;
    }
}

static void set_tensor(struct npl *plan, int i)
{
    const struct row_arg *arg = &plan->problem.arg[i];
    struct npl_tensor *tensor = &plan->tensor[i];
    bool shared = row_arg_is_shared((norma_arg)i), stats = i == NORMA_ARG_MEAN || i == NORMA_ARG_RSTD;
    *tensor = (struct npl_tensor){
        .present = arg->present,
        .shared = shared,
        .type = type_code(arg->dtype),
        .size = (uint32_t)norma_dtype_size(arg->dtype),
        .stride = shared ? 0 : (uint64_t)arg->stride[plan->problem.outer_rank - 1],
        .length = stats,
    };
    // All beginnings are multiples of the strides and of the parts' lengths.
    uint64_t steps = NORMA_CHUNK;
    for (int d = 0; d < plan->problem.outer_rank && !shared; d++)
        steps |= (uint64_t)arg->stride[d];
    if (steps * tensor->size & (plan->align - 1))
        tensor->slack = npl_max(plan->align, tensor->size) - tensor->size;
    plan->flags |= (uint32_t)arg->present << i;
    plan->types |= tensor->type << (2 * i);
}

static void set_limits(struct npl *plan)
{
    const struct norma_caps *caps = plan->caps;
    const struct norma_plan_options *options = plan->options;
    plan->max_range = plan->max_alloc = plan->budget = plan->time_bytes = UINT64_MAX;
    plan->align = 1;
    if (caps->api == NORMA_DRIVER_SCALAR)
        return;
    double seconds = options->max_seconds > 0 ? options->max_seconds : default_seconds;
    double bytes = options->rate > 0 ? options->rate * seconds : 0;
    plan->align = npl_max(caps->offset_align, 1);
    plan->max_range = or_unlimited(caps->max_range);
    plan->max_alloc = or_unlimited(caps->max_alloc);
    plan->budget = or_unlimited(options->memory_budget ? options->memory_budget : caps->memory / 2);
    plan->time_bytes = bytes > 0 && bytes < 1e18 ? (uint64_t)bytes : UINT64_MAX;
    plan->stage = options->memory == NORMA_MEMORY_STAGE;
}

static void set_levels(struct npl *plan)
{
    plan->chunks = npl_ceil((uint64_t)plan->problem.n, NORMA_CHUNK);
    plan->level_inputs[0] = plan->chunks;
    do {
        plan->level_inputs[plan->levels + 1] = npl_ceil(plan->level_inputs[plan->levels], NORMA_FAN);
        plan->levels++;
    } while (plan->level_inputs[plan->levels] > 1);
    assert(plan->levels <= NPL_MAX_LEVELS);
}

static void prepare(struct npl *plan)
{
    struct row_problem *problem = &plan->problem;
    longest_last(problem);
    set_limits(plan);
    set_levels(plan);
    plan->run_rows = (uint64_t)problem->outer[problem->outer_rank - 1];
    plan->runs = (uint64_t)problem->rows / plan->run_rows;
    for (int i = 0; i < NORMA_ROW_ARGS; i++)
        if (problem->arg[i].present)
            set_tensor(plan, i);
    plan->gate_runs = npl_ceil(plan->run_rows, (uint64_t)problem->gate_rows);
    if (plan->tensor[NORMA_ARG_GATE].stride == 0)
        plan->gate_runs = 1;
    plan->prologue = problem->arg[NORMA_ARG_RESIDUAL].present || problem->arg[NORMA_ARG_GATE].present ||
                     problem->arg[NORMA_ARG_INPUT_BIAS].present || problem->arg[NORMA_ARG_SUM].present;
    uint64_t written = 0, elements = npl_mul((uint64_t)problem->rows, (uint64_t)problem->n);
    written = npl_mul(elements, plan->tensor[NORMA_ARG_Y].size + plan->tensor[NORMA_ARG_SUM].size);
    if (plan->caps->kind == NORMA_DEVICE_CPU && written > stream_bytes)
        plan->flags |= NORMA_FLAG_STREAM;
}

static norma_status check(const struct row_problem *problem)
{
    if (problem->n > UINT32_MAX)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: rows of %lld elements; at most %lu", (long long)problem->n,
                          (unsigned long)UINT32_MAX);
    for (int i = 0; i < NORMA_ROW_ARGS; i++)
        if (problem->arg[i].present && problem->arg[i].dtype == NORMA_FLOAT64)
            return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: float64 is not supported", norma_arg_name((norma_arg)i));
    return NORMA_OK;
}

// Chooses variant and cut. False where there is nothing to plan, or after an error. *plan refers to caps and options.
static bool begin(const struct row_problem *problem, const struct norma_caps *caps,
                  const struct norma_plan_options *options, struct npl *plan, struct norma_schedule *schedule,
                  norma_status *status)
{
    *schedule = (struct norma_schedule){.variant = norma_variant_name(caps, 0)};
    assert(problem->outer_rank > 0 && problem->gate_rows > 0 && (caps->offset_align & (caps->offset_align - 1)) == 0);
    *status = check(problem);
    if (*status != NORMA_OK || problem->n == 0 || problem->rows == 0)
        return false;
    *plan = (struct npl){.problem = *problem, .caps = caps, .options = options};
    prepare(plan);
    *status = npl_choose(plan);
    if (*status == NORMA_OK)
        schedule->variant = plan->variant->name;
    return *status == NORMA_OK;
}

norma_status norma_room_is_full(const struct norma_room *room)
{
    return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "recorder: room for %zu dispatches is not enough", room->capacity);
}

static norma_status take_memory(const struct norma_plan_options *options, uint64_t dispatches, uint64_t steps,
                                struct norma_schedule *schedule)
{
    const struct norma_room *room = options->room;
    if (room) {
        schedule->borrowed = true;
        schedule->dispatches = room->dispatches;
        schedule->steps = room->steps;
        return dispatches <= room->capacity && steps <= room->capacity ? NORMA_OK : norma_room_is_full(room);
    }
    schedule->dispatches = norma_alloc(options->allocator, dispatches * sizeof *schedule->dispatches);
    schedule->steps = norma_alloc(options->allocator, steps * sizeof *schedule->steps);
    if (!schedule->dispatches || !schedule->steps)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "the plan's %llu dispatches", (unsigned long long)dispatches);
    return NORMA_OK;
}

norma_status norma_schedule_rows(const struct row_problem *problem, const struct norma_caps *caps,
                                 const struct norma_plan_options *options, struct norma_schedule *schedule)
{
    struct npl plan;
    norma_status status;
    if (!begin(problem, caps, options, &plan, schedule, &status))
        return status;
    uint64_t tiles = npl_tile_count(&plan), dispatches = npl_dispatch_count(&plan);
    if (dispatches > max_dispatches)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: %llu dispatches; memory_budget or the strides leave no fewer",
                          (unsigned long long)dispatches);
    schedule->workspace = plan.workspace;
    schedule->slots = plan.slots;
    schedule->tiles = (uint32_t)tiles;
    schedule->tile_rows = (int64_t)plan.tile_rows;
    status = take_memory(options, dispatches, npl_step_count(&plan, tiles, dispatches), schedule);
    if (status != NORMA_OK)
        return status;
    npl_emit(&plan, schedule);
    assert(schedule->dispatch_count == dispatches);
    return NORMA_OK;
}

norma_status norma_schedule_programs(const struct row_problem *problem, const struct norma_caps *caps,
                                     const struct norma_plan_options *options, struct norma_schedule *schedule)
{
    struct npl plan;
    struct npl_tile tile = {.index = UINT64_MAX};
    norma_status status;
    if (!begin(problem, caps, options, &plan, schedule, &status))
        return status;
    schedule->dispatches = norma_alloc(options->allocator, (2 + plan.levels) * sizeof *schedule->dispatches);
    if (!schedule->dispatches)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "the plan's programs");
    npl_tile_next(&plan, &tile);
    tile.merge = tile.apply = true; // constants are those of every tile: one that has each kernel stands for all
    npl_dispatch_tile(&plan, &tile, schedule);
    return NORMA_OK;
}

void norma_schedule_finish(struct norma_schedule *schedule)
{
    for (size_t i = 0; schedule->strided && !schedule->borrowed && i < schedule->dispatch_count; i++)
        norma_free((void *)(uintptr_t)schedule->dispatches[i].table);
    if (!schedule->borrowed) {
        norma_free(schedule->dispatches);
        norma_free(schedule->steps);
    }
    *schedule = (struct norma_schedule){0};
}

norma_status norma_schedule_work(const struct norma_work *work, const struct norma_caps *caps,
                                 const struct norma_plan_options *options, struct norma_schedule *schedule)
{
    return work->strided ? norma_schedule_form(&work->form, caps, options, schedule)
                         : norma_schedule_rows(&work->rows, caps, options, schedule);
}
