#include "recorder.h"
#include "context.h"
#include "overlap.h"
#include "planned.h"
#include "problem.h"
#include "sized.h"
#include "walk.h"
#include <string.h>

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
    r->commands = norma_alloc(r->device->allocator, ((size_t)dispatches + 1) * sizeof(*r->commands)); // and the count
    if (!r->room.dispatches || !r->room.steps || !r->room.tables || !r->commands)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "dispatches: out of memory for %u", dispatches);
    return NORMA_OK;
}

norma_status norma_recorder_create(norma_device *device, const norma_recorder_params *given, norma_recorder **out)
{
    norma_recorder_params params = NORMA_RECORDER_DEFAULTS;
    if (!device || !out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", device ? "recorder" : "device");
    *out = NULL;
    norma_status status = given ? NORMA_READ(&params, given, norma_recorder_params) : NORMA_OK;
    if (status != NORMA_OK)
        return status;
    if (params.dispatches > MOST_DISPATCHES)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "dispatches: %u; at most %d", params.dispatches,
                          MOST_DISPATCHES);
    if (!device->backend->recorder_create)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "device: %s has no queue to record for", device->id);
    const uint32_t dispatches = params.dispatches ? params.dispatches : DEFAULT_DISPATCHES;
    status = norma_device_ready(device);
    if (status != NORMA_OK)
        return status;
    norma_recorder *r = norma_zalloc(device->allocator, 1, sizeof(*r));
    if (!r)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "recorder: out of memory");
    r->device = device;
    status = allocate(r, dispatches);
    if (status == NORMA_OK)
        status = device->backend->recorder_create(device, dispatches, &r->impl);
    norma_device_failed(device, status);
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

// Outputs of an empty problem are written nevertheless: a fill for each run of memory without a gap. Counts them; those
// that there is room for go to commands.
static size_t fill_output(const norma_problem *problem, norma_arg arg, struct norma_command *commands, size_t most)
{
    const norma_tensor *t = norma_problem_tensor(problem, arg);
    const void *value = norma_empty_value(problem, arg);
    const uint64_t size = value ? norma_dtype_size(t->dtype) : 0;
    uint64_t end = UINT64_MAX;
    size_t count = 0;
    if (!value)
        return 0;
    for (struct norma_walk w = norma_walk_begin(t); !w.done; norma_walk_next(t, &w)) {
        const uint64_t at = t->offset + (uint64_t)w.offset * size;
        if (at != end && count++ < most) {
            struct norma_command *c = &commands[count - 1];
            *c = (struct norma_command){.kind = NORMA_COMMAND_FILL, .buffer = t->buffer, .offset = at};
            memcpy(c->value.bytes, value, size);
            c->value.size = (uint32_t)size;
        }
        if (count <= most)
            commands[count - 1].row_bytes += size;
        end = at + size;
    }
    return count;
}

static size_t fill_outputs(const norma_problem *problem, struct norma_command *commands, size_t most)
{
    size_t count = 0;
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        count +=
            count < most ? fill_output(problem, a, commands + count, most - count) : fill_output(problem, a, NULL, 0);
    return count;
}

// As those that are not empty are refused, by the schedule.
static norma_status check_empty(const struct norma_work *work)
{
    return work->form.float64 ? norma_fail(NORMA_ERROR_UNSUPPORTED, "x: float64 is for the scalar path") : NORMA_OK;
}

norma_status norma_plan_get_needs(norma_plan *plan, const norma_problem *problem, norma_needs *needs)
{
    struct norma_planned run;
    struct norma_schedule schedule = {0};
    if (!plan || !problem || !needs)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", !plan ? "plan" : !problem ? "problem" : "needs");
    norma_status status = NORMA_WRITE(needs, NULL, norma_needs);
    if (status != NORMA_OK)
        return status;
    const struct norma_caps *caps = &norma_plan_device(plan)->caps;
    const struct norma_plan_options options = norma_plan_schedule_options(plan);
    status = norma_plan_resolve(plan, problem, NORMA_PLACE_NONE, &run);
    const bool empty = status == NORMA_OK && (run.work.n == 0 || run.work.groups == 0);
    if (status == NORMA_OK)
        status = empty ? check_empty(&run.work) : norma_schedule_work(&run.work, caps, &options, &schedule);
    if (status == NORMA_OK) {
        const bool counted = norma_schedule_may_count(&run.work, caps, &schedule);
        const norma_needs all = {
            .workspace = schedule.workspace,
            .alignment = norma_place_alignment(caps),
            .dispatches = (uint32_t)(empty ? fill_outputs(&run.problem, NULL, 0) : schedule.dispatch_count),
            .counted_dispatches = counted ? (uint32_t)schedule.dispatch_count + 1 : 0,
            .counted_workspace = counted ? schedule.workspace + NORMA_COUNTED * NORMA_CELL_BYTES : 0};
        status = NORMA_WRITE(needs, &all, norma_needs);
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
    const uint64_t align = norma_place_alignment(&device->caps);
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

// Nothing that is read or written during a run may lie in the workspace.
static norma_status check_apart(const norma_problem *problem, const struct norma_record_target *target, uint64_t size)
{
    const struct norma_place_in_buffer *count = &target->row_count, *at = &target->workspace;
    if (size == 0)
        return NORMA_OK;
    const int64_t bytes = (int64_t)size;
    const norma_tensor scratch = norma_tensor_buffer(NORMA_INT8, 1, &bytes, at->buffer, at->offset);
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        if (t && norma_shares_elements(t, &scratch))
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "workspace: shares memory with %s", norma_arg_name(a));
    }
    if (count->buffer == at->buffer && count->offset < at->offset + size &&
        at->offset < count->offset + sizeof(uint32_t))
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "workspace: shares memory with row_count");
    return NORMA_OK;
}

static norma_status record_empty(norma_recorder *r, const norma_plan *plan, const struct norma_planned *run,
                                 const struct norma_record_target *target)
{
    struct norma_place_in_buffer places[NORMA_ARG_COUNT] = {{0}};
    norma_status status = check_empty(&run->work);
    if (status == NORMA_OK && target->row_count.buffer)
        status = norma_not_counted("row_count");
    if (status == NORMA_OK)
        status = norma_plan_places(plan, &run->problem, places);
    const size_t count = status == NORMA_OK ? fill_outputs(&run->problem, r->commands, r->room.capacity) : 0;
    if (count > r->room.capacity)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "recorder: room for %zu dispatches, %zu are needed",
                          r->room.capacity, count);
    return status == NORMA_OK ? r->device->backend->record(r->device, r->impl, r->commands, count, target->params)
                              : status;
}

// The dispatch that turns the count into workgroups, and where the others find them.
static void place_count(const struct norma_caps *caps, const struct norma_record_target *target, norma_dispatch *count,
                        struct norma_command *command)
{
    const uint64_t align = caps->offset_align ? caps->offset_align : 1, rest = target->row_count.offset % align;
    *command = (struct norma_command){.kind = NORMA_COMMAND_DISPATCH, .dispatch = count};
    norma_count_at(count, (uint32_t)(rest / 4));
    for (uint32_t i = 0; i < count->binding_count; i++) {
        const bool is_workspace = count->bindings[i].arg == NORMA_ARG_WORKSPACE;
        command->bound[i] = is_workspace ? target->workspace.buffer : target->row_count.buffer;
        command->bound_offset[i] = is_workspace ? target->workspace.offset : target->row_count.offset - rest;
        count->bindings[i].size += is_workspace ? 0 : rest;
    }
}

// OpenCL has no indirect dispatches: the grid is that of all rows, and each kernel looks at the count, where the first
// cell of Vulkan's has it.
static void copy_count(const struct norma_record_target *target, struct norma_command *command)
{
    *command = (struct norma_command){.kind = NORMA_COMMAND_COPY,
                                      .buffer = target->row_count.buffer,
                                      .offset = target->row_count.offset,
                                      .other = target->workspace.buffer,
                                      .other_offset = target->workspace.offset + NORMA_COUNT_OFFSET,
                                      .row_bytes = sizeof(uint32_t)};
}

static norma_status check_count(const struct norma_device *device, const struct norma_planned *run,
                                const struct norma_schedule *schedule, const struct norma_place_in_buffer *count)
{
    if (!norma_schedule_may_count(&run->work, &device->caps, schedule))
        return norma_not_counted("row_count");
    if (count->buffer->device != device)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "row_count: lies on %s, the plan is for %s",
                          count->buffer->device->id, device->id);
    if (count->offset % 4 || count->offset > count->buffer->size || count->buffer->size - count->offset < 4)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                          "row_count_offset: %llu, no multiple of 4 bytes or outside its %llu",
                          (unsigned long long)count->offset, (unsigned long long)count->buffer->size);
    return NORMA_OK;
}

static norma_status place(norma_recorder *r, const norma_problem *problem,
                          const struct norma_place_in_buffer places[NORMA_ARG_COUNT], struct norma_schedule *schedule,
                          const struct norma_record_target *target)
{
    const struct norma_caps *caps = &r->device->caps;
    const bool counted = target->row_count.buffer != NULL;
    norma_dispatch count;
    struct norma_command *next = r->commands;
    if (counted) {
        norma_schedule_count(schedule, caps, &count);
        if (caps->api == NORMA_DRIVER_OPENCL)
            copy_count(target, next++);
        else
            place_count(caps, target, &count, next++);
    }
    norma_status status = check_workspace(r->device, &target->workspace, schedule->workspace);
    if (status == NORMA_OK)
        status = check_apart(problem, target, schedule->workspace);
    if (status != NORMA_OK)
        return status;
    for (size_t i = 0; i < schedule->dispatch_count; i++, next++) {
        norma_place_dispatch(caps, &schedule->dispatches[i], places, &target->workspace, next);
        next->groups = counted && caps->api == NORMA_DRIVER_VULKAN ? target->workspace.buffer : NULL;
        next->groups_offset = target->workspace.offset + i * NORMA_CELL_BYTES;
    }
    return r->device->backend->record(r->device, r->impl, r->commands, (size_t)(next - r->commands), target->params);
}

static norma_status record(norma_recorder *r, const norma_plan *plan, const struct norma_planned *run,
                           const struct norma_record_target *target)
{
    struct norma_place_in_buffer places[NORMA_ARG_COUNT] = {{0}};
    struct norma_schedule schedule = {0};
    struct norma_plan_options options = norma_plan_schedule_options(plan);
    options.room = &r->room;
    norma_status status = norma_plan_places(plan, &run->problem, places);
    if (status == NORMA_OK)
        status = norma_schedule_work(&run->work, &r->device->caps, &options, &schedule);
    if (status == NORMA_OK && target->row_count.buffer)
        status = check_count(r->device, run, &schedule, &target->row_count);
    return status == NORMA_OK ? place(r, &run->problem, places, &schedule, target) : status;
}

norma_status norma_recorder_record(norma_recorder *recorder, norma_plan *plan, const norma_problem *problem,
                                   const struct norma_record_target *target)
{
    struct norma_planned run;
    if (!plan || !problem || !recorder)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", !plan ? "plan" : !problem ? "problem" : "recorder");
    struct norma_device *device = norma_plan_device(plan);
    if (device->backend != target->backend)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "plan: is for %s, no device of %s", device->id,
                          target->backend->name);
    if (recorder->device != device)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "recorder: is of %s, the plan is for another device",
                          recorder->device->id);
    norma_status status = norma_plan_resolve(plan, problem, NORMA_PLACE_BUFFER, &run);
    if (status != NORMA_OK)
        return status;
    const bool empty = run.work.n == 0 || run.work.groups == 0;
    status = empty ? record_empty(recorder, plan, &run, target) : record(recorder, plan, &run, target);
    norma_device_failed(device, status);
    return status;
}
