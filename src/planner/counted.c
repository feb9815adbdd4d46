// Rows whose number is known on the device alone: a kernel turns it into workgroups, and the others read it.
#include "backend.h"
#include "planner.h"
#include <assert.h>
#include <string.h>

static const char row_count[] = "row_count";

bool norma_schedule_may_count(const struct norma_work *work, const struct norma_caps *caps,
                              const struct norma_schedule *schedule)
{
    const uint64_t workspace = schedule->workspace + NORMA_COUNTED * NORMA_CELL_BYTES; // bound as one
    return caps->counts_rows && (caps->max_range == 0 || workspace <= caps->max_range) && !work->strided &&
           !schedule->strided && schedule->tiles == 1 && schedule->dispatch_count > 0 &&
           schedule->dispatch_count <= NORMA_COUNTED && work->rows.outer_rank == 1;
}

norma_status norma_not_counted(const char *argument)
{
    return norma_fail(NORMA_ERROR_UNSUPPORTED,
                      "%s: rows are counted on the device for layer_norm and rms_norm forward alone, where each tensor "
                      "has one step from row to row and one tile holds them",
                      argument);
}

static uint32_t units_of(const norma_dispatch *d, const struct norma_row_args *args)
{
    if (d->kernel == npl_row_whole)
        return 1;
    return (uint32_t)(d->kernel == npl_row_merge ? npl_ceil(args->chunks, NORMA_FAN)
                                                 : npl_ceil(args->part, NORMA_CHUNK));
}

// Its range of the workspace begins with the cells of the counts now.
static void count_dispatch(norma_dispatch *d, struct norma_row_args *args, uint64_t workspace)
{
    norma_bound *bound = &d->bindings[NORMA_ROW_ARGS];
    args->flags |= NORMA_FLAG_COUNTED;
    args->stat_in += NORMA_COUNTED;
    args->stat_out += NORMA_COUNTED;
    args->row_stat += NORMA_COUNTED;
    *bound = (norma_bound){.slot = NORMA_ROW_ARGS, .arg = NORMA_ARG_WORKSPACE, .size = workspace, .written = 1};
    memcpy(d->args, args, sizeof(*args));
}

void norma_count_dispatch(norma_dispatch *count)
{
    *count = (norma_dispatch){.kernel = row_count,
                              .constants = {{"LOCAL_SIZE", NORMA_CONST_LOCAL_SIZE, 1}},
                              .constant_count = 1,
                              .binding_count = NPL_SLOTS,
                              .groups = {1, 1, 1},
                              .local = {1, 1, 1}};
}

void norma_schedule_count(struct norma_schedule *schedule, const struct norma_caps *caps, norma_dispatch *count)
{
    struct {
        uint32_t at, most, dispatches, width, units[NORMA_COUNTED], group[NORMA_COUNTED];
    } words = {.dispatches = (uint32_t)schedule->dispatch_count, .width = (uint32_t)npl_max(caps->max_groups[0], 1)};
    schedule->workspace += NORMA_COUNTED * NORMA_CELL_BYTES;
    for (size_t i = 0; i < schedule->dispatch_count; i++) {
        norma_dispatch *d = &schedule->dispatches[i];
        struct norma_row_args args;
        memcpy(&args, d->args, sizeof(args));
        words.most = args.rows;
        words.units[i] = units_of(d, &args);
        words.group[i] = args.per_group * (d->local[0] / d->constants[NORMA_CONST_TEAM].value);
        count_dispatch(d, &args, schedule->workspace);
    }
    static_assert(sizeof(words) <= NORMA_ARGS_BYTES, "push constants");
    norma_count_dispatch(count);
    count->args_size = sizeof(words);
    memcpy(count->args, &words, sizeof(words));
    for (uint32_t i = 0; i < NPL_SLOTS; i++) // what it does not use is bound as the count is
        count->bindings[i] = (norma_bound){.slot = i, .arg = NORMA_ARG_ROW_COUNT, .size = 4};
    count->bindings[NORMA_ROW_ARGS] = schedule->dispatches[0].bindings[NORMA_ROW_ARGS];
}

void norma_count_at(norma_dispatch *count, uint32_t word)
{
    count->args[0] = word;
}
