#include "recorder.h"
#include "context.h"
#include "planned.h"

enum { DEFAULT_DISPATCHES = 256, MOST_DISPATCHES = 65536 };

struct norma_recorder {
    struct norma_device *device;
    struct norma_room room;
    struct norma_command *commands; // room.capacity
    void *impl;                     // private: the backend's
};

static norma_status allocate(norma_recorder *r, uint32_t dispatches)
{
    r->room =
        (struct norma_room){.capacity = dispatches,
                            .dispatches = norma_alloc(r->device->allocator, dispatches * sizeof(*r->room.dispatches)),
                            .steps = norma_alloc(r->device->allocator, dispatches * sizeof(*r->room.steps)),
                            .tables = norma_alloc(r->device->allocator, dispatches * sizeof(*r->room.tables))};
    r->commands = norma_alloc(r->device->allocator, dispatches * sizeof(*r->commands));
    if (!r->room.dispatches || !r->room.steps || !r->room.tables || !r->commands)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "dispatches: out of memory for %u", dispatches);
    return NORMA_OK;
}

norma_status norma_recorder_create(norma_device *device, const norma_recorder_params *params, norma_recorder **out)
{
    const norma_recorder_params defaults = NORMA_RECORDER_DEFAULTS;
    if (!device || !out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", device ? "recorder" : "device");
    *out = NULL;
    if (!params)
        params = &defaults;
    if (params->size != sizeof(*params))
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "size: %zu, not sizeof(norma_recorder_params) (%zu)",
                          params->size, sizeof(*params));
    if (params->dispatches > MOST_DISPATCHES)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "dispatches: %u; at most %d", params->dispatches,
                          MOST_DISPATCHES);
    if (!device->backend->recorder_create)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "device: %s has no queue to record for", device->id);
    const uint32_t dispatches = params->dispatches ? params->dispatches : DEFAULT_DISPATCHES;
    norma_status status = norma_device_ready(device);
    if (status != NORMA_OK)
        return status;
    norma_recorder *r = norma_zalloc(device->allocator, 1, sizeof(*r));
    if (!r)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "recorder: out of memory");
    r->device = device;
    status = allocate(r, dispatches);
    if (status == NORMA_OK)
        status = device->backend->recorder_create(device, dispatches, &r->impl);
    if (status != NORMA_OK)
        norma_recorder_destroy(&r);
    *out = r;
    return status;
}

norma_status norma_recorder_reset(norma_recorder *recorder)
{
    if (!recorder)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "recorder: NULL");
    recorder->device->backend->recorder_reset(recorder->impl);
    return NORMA_OK;
}

void norma_recorder_destroy(norma_recorder **recorder)
{
    if (!recorder || !*recorder)
        return;
    norma_recorder *r = *recorder;
    if (r->impl)
        r->device->backend->recorder_finish(r->device, r->impl);
    norma_free(r->room.dispatches);
    norma_free(r->room.steps);
    norma_free(r->room.tables);
    norma_free(r->commands);
    norma_free(r);
    *recorder = NULL;
}

norma_status norma_plan_get_needs(norma_plan *plan, const norma_problem *problem, norma_needs *needs)
{
    struct norma_planned run;
    struct norma_schedule schedule = {0};
    if (!plan || !problem || !needs)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", !plan ? "plan" : !problem ? "problem" : "needs");
    if (needs->size != sizeof(*needs))
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "size: %zu, not sizeof(norma_needs) (%zu)", needs->size,
                          sizeof(*needs));
    const struct norma_caps *caps = &norma_plan_device(plan)->caps;
    const struct norma_plan_options options = norma_plan_schedule_options(plan);
    norma_status status = norma_plan_resolve(plan, problem, NORMA_PLACE_NONE, &run);
    if (status == NORMA_OK && run.work.n > 0 && run.work.groups > 0)
        status = norma_schedule_work(&run.work, caps, &options, &schedule);
    if (status == NORMA_OK) {
        needs->workspace = schedule.workspace;
        needs->alignment = caps->offset_align > 16 ? caps->offset_align : 16;
        needs->dispatches = (uint32_t)schedule.dispatch_count;
    }
    norma_schedule_finish(&schedule);
    return status;
}

static norma_status check_workspace(const struct norma_device *device, const struct norma_place_in_buffer *workspace,
                                    uint64_t size)
{
    if (size == 0)
        return NORMA_OK;
    const struct norma_buffer *b = workspace->buffer;
    const uint64_t align = device->caps.offset_align > 16 ? device->caps.offset_align : 16;
    if (!b)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "workspace: NULL; %llu bytes are needed",
                          (unsigned long long)size);
    if (b->device != device)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "workspace: lies on %s, the plan is for %s", b->device->id,
                          device->id);
    if (workspace->offset % align)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "workspace_offset: %llu, no multiple of %llu",
                          (unsigned long long)workspace->offset, (unsigned long long)align);
    if (workspace->offset > b->size || size > b->size - workspace->offset)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "workspace: %llu bytes from %llu on reach past its %llu",
                          (unsigned long long)size, (unsigned long long)workspace->offset, (unsigned long long)b->size);
    return NORMA_OK;
}

// Nothing to compute; what has to be written nevertheless would take a copy from the host.
static norma_status check_nothing(const norma_problem *problem)
{
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if (norma_empty_value(problem, a) && norma_tensor_span(norma_problem_tensor(problem, a)) > 0)
            return norma_fail(NORMA_ERROR_UNSUPPORTED,
                              "%s: of an empty problem, which norma_plan_run writes and a recording does not",
                              norma_arg_name(a));
    return NORMA_OK;
}

static norma_status record(norma_recorder *r, const norma_plan *plan, const struct norma_planned *run,
                           const struct norma_place_in_buffer *workspace, const void *target)
{
    struct norma_place_in_buffer places[NORMA_ARG_COUNT] = {{0}};
    struct norma_schedule schedule = {0};
    struct norma_plan_options options = norma_plan_schedule_options(plan);
    options.room = &r->room;
    norma_status status = norma_plan_places(plan, &run->problem, places);
    if (status == NORMA_OK)
        status = norma_schedule_work(&run->work, &r->device->caps, &options, &schedule);
    if (status == NORMA_OK)
        status = check_workspace(r->device, workspace, schedule.workspace);
    if (status != NORMA_OK)
        return status;
    for (size_t i = 0; i < schedule.dispatch_count; i++)
        norma_place_dispatch(&r->device->caps, &schedule.dispatches[i], places, workspace, &r->commands[i]);
    return r->device->backend->record(r->device, r->impl, r->commands, schedule.dispatch_count, target);
}

norma_status norma_recorder_record(norma_recorder *recorder, const struct norma_backend *backend, norma_plan *plan,
                                   const norma_problem *problem, const struct norma_place_in_buffer *workspace,
                                   const void *target)
{
    struct norma_planned run;
    if (!plan || !problem || !recorder)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", !plan ? "plan" : !problem ? "problem" : "recorder");
    struct norma_device *device = norma_plan_device(plan);
    if (device->backend != backend)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "plan: is for %s, no device of %s", device->id, backend->name);
    if (recorder->device != device)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "recorder: is of %s, the plan is for another device",
                          recorder->device->id);
    norma_status status = norma_plan_resolve(plan, problem, NORMA_PLACE_BUFFER, &run);
    if (status != NORMA_OK)
        return status;
    if (run.work.n == 0 || run.work.groups == 0) {
        status = check_nothing(&run.problem);
        return status == NORMA_OK ? backend->record(device, recorder->impl, NULL, 0, target) : status;
    }
    return record(recorder, plan, &run, workspace, target);
}
