#include "execute.h"
#include "problem.h"
#include "walk.h"
#include <assert.h>
#include <string.h>

enum { GROUP = 64 }; // dispatches a submission at most

#define TRY(call)               \
    do {                        \
        status = (call);        \
        if (status != NORMA_OK) \
            goto error;         \
    } while (0)

// Everything one run holds, released together at its end.
struct run {
    struct norma_device *device;
    const struct norma_backend *backend;
    const norma_tensor *const *tensors;
    struct norma_schedule schedule;
    struct norma_buffer *buffers; // staging slots, imports, parameters, workspace
    size_t buffer_count, buffer_capacity;
    struct norma_event *events;
    size_t event_count;
};

struct norma_plan_options norma_execute_options(const struct norma_device *device, const char *variant,
                                                enum norma_memory memory, uint64_t budget)
{
    const uint32_t bits = atomic_load(&device->rate);
    float rate;
    memcpy(&rate, &bits, sizeof(rate));
    return (struct norma_plan_options){.allocator = device->allocator,
                                       .variant = variant,
                                       .memory = memory,
                                       .memory_budget = budget,
                                       .left_out = atomic_load(&device->dropped),
                                       .rate = (double)rate};
}

static norma_status out_of_memory(void)
{
    return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
}

// The run's buffers do not move: events and commands point to them. The caller reserves before it adds.
static norma_status reserve_buffers(struct run *run, size_t count)
{
    run->buffers = norma_zalloc(run->device->allocator, count ? count : 1, sizeof(*run->buffers));
    run->buffer_capacity = count;
    return run->buffers ? NORMA_OK : out_of_memory();
}

static norma_status add_buffer(struct run *run, void *host, uint64_t size, struct norma_buffer **out)
{
    assert(run->buffer_count < run->buffer_capacity);
    struct norma_buffer *buffer = &run->buffers[run->buffer_count];
    *buffer = (struct norma_buffer){.device = run->device, .size = size, .host = host};
    const norma_status status = host ? run->backend->buffer_import(run->device, host, size, buffer)
                                     : run->backend->buffer_create(run->device, size, buffer);
    if (status == NORMA_OK) {
        run->buffer_count++;
        *out = buffer;
    }
    return status;
}

static norma_status submit(struct run *run, const struct norma_command *commands, size_t count,
                           struct norma_event *const *waits, size_t wait_count)
{
    struct norma_event *event = &run->events[run->event_count];
    *event = (struct norma_event){.device = run->device};
    const norma_status status = run->backend->submit(run->device, commands, count, waits, wait_count, false, event);
    if (status == NORMA_OK)
        run->event_count++;
    return status;
}

// Waits for all that was submitted, whatever failed before: the memory is freed next. Returns the first error.
static norma_status finish(struct run *run, norma_status status)
{
    for (size_t i = 0; i < run->event_count; i++) {
        const norma_status waited = run->backend->event_wait(&run->events[i]);
        if (status == NORMA_OK)
            status = waited;
        run->backend->event_finish(&run->events[i]);
    }
    for (size_t i = 0; i < run->buffer_count; i++)
        run->backend->buffer_finish(&run->buffers[i]);
    norma_free(run->events);
    norma_free(run->buffers);
    norma_schedule_finish(&run->schedule);
    return status;
}

static norma_status prepare_all(struct norma_device *device, const struct norma_schedule *schedule)
{
    const norma_dispatch *last = NULL;
    for (size_t i = 0; i < schedule->dispatch_count; i++) {
        const norma_dispatch *d = &schedule->dispatches[i];
        if (last && last->kernel == d->kernel && !memcmp(last->constants, d->constants, sizeof(d->constants)))
            continue;
        const norma_status status = device->backend->prepare(device, d);
        if (status != NORMA_OK)
            return status;
        last = d;
    }
    return NORMA_OK;
}

bool norma_execute_drop(struct norma_device *device, const struct norma_plan_options *options, const char *variant,
                        norma_status status)
{
    const uint32_t bit = variant ? norma_variant_bit(variant) : 0;
    if (status != NORMA_ERROR_UNSUPPORTED || options->variant || !bit || (options->left_out & bit))
        return false;
    if (!(atomic_fetch_or(&device->dropped, bit) & bit)) // another thread may have been as far
        norma_log(device->context, 1, "%s: \"%s\" is no longer used: %s", device->id, variant, norma_last_error());
    return true;
}

norma_status norma_execute_schedule(struct norma_device *device, const struct norma_work *work,
                                    struct norma_plan_options *options, struct norma_schedule *schedule)
{
    for (;;) {
        norma_status status = norma_schedule_work(work, &device->caps, options, schedule);
        if (status != NORMA_OK)
            return status;
        status = prepare_all(device, schedule);
        if (!norma_execute_drop(device, options, schedule->variant, status))
            return status;
        norma_schedule_finish(schedule);
        options->left_out = atomic_load(&device->dropped);
    }
}

norma_status norma_execute_resident(struct norma_device *device, struct norma_schedule *schedule,
                                    const struct norma_place_in_buffer places[NORMA_ARG_COUNT],
                                    struct norma_buffer *workspace, bool timestamps, struct norma_event *event)
{
    struct norma_command commands[GROUP];
    const struct norma_place_in_buffer whole = {workspace, 0};
    norma_status status = NORMA_OK;
    event->device = device;
    event->impl = NULL;
    for (size_t i = 0; i < schedule->dispatch_count && status == NORMA_OK;) {
        size_t count = 0;
        for (; count < GROUP && i + count < schedule->dispatch_count; count++)
            norma_place_dispatch(&device->caps, &schedule->dispatches[i + count], places, &whole, &commands[count]);
        i += count;
        if (event->impl) // compute is one stream: the last submission's event stands for all
            device->backend->event_finish(event);
        event->impl = NULL;
        status = device->backend->submit(device, commands, count, NULL, 0, timestamps, event);
    }
    return status;
}

// Imports the tensors, whole where the driver's largest allocation allows, and runs the dispatches.
struct import {
    void *host;
    uint64_t size;
    struct norma_buffer *buffer;
};

// Two imports of memory that overlaps are undefined in OpenCL; the same range is bound once. The scalar path has plain
// pointers, and nothing to stage in.
static norma_status import_range(struct run *run, struct import *imports, size_t *count, void *host, uint64_t size,
                                 struct norma_buffer **buffer)
{
    for (size_t i = 0; i < *count; i++) {
        if (imports[i].host == host && imports[i].size >= size) {
            *buffer = imports[i].buffer;
            return NORMA_OK;
        }
        const bool overlap =
            (char *)host < (char *)imports[i].host + imports[i].size && (char *)imports[i].host < (char *)host + size;
        if (overlap && run->device->caps.api != NORMA_DRIVER_SCALAR)
            return norma_fail(NORMA_ERROR_UNSUPPORTED, "tensors overlap in host memory");
    }
    const norma_status status = add_buffer(run, host, size, buffer);
    if (status == NORMA_OK)
        imports[(*count)++] = (struct import){host, size, *buffer};
    return status;
}

static norma_status import_dispatch(struct run *run, norma_dispatch *dispatch, struct import *imports, size_t *count,
                                    struct norma_buffer *workspace, struct norma_command *command)
{
    struct norma_place_in_buffer places[NORMA_ARG_COUNT] = {{0}};
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        norma_bound *b = &dispatch->bindings[i];
        if (b->arg == NORMA_ARG_WORKSPACE || places[b->arg].buffer)
            continue;
        char *host = run->tensors[b->arg]->data;
        uint64_t span = norma_tensor_span(run->tensors[b->arg]), skip = 0;
        if (span > run->device->caps.max_alloc) { // the tile alone
            skip = b->offset;
            span = b->size;
        }
        struct norma_buffer *buffer = NULL;
        const norma_status status = import_range(run, imports, count, host + skip, span, &buffer);
        if (status != NORMA_OK)
            return status;
        places[b->arg].buffer = buffer;
        for (uint32_t j = i; j < dispatch->binding_count; j++)
            if (dispatch->bindings[j].arg == b->arg && skip)
                dispatch->bindings[j].offset -= skip;
    }
    norma_place_dispatch(&run->device->caps, dispatch, places, &(struct norma_place_in_buffer){workspace, 0}, command);
    return NORMA_OK;
}

static norma_status run_imported(struct run *run)
{
    struct norma_schedule *s = &run->schedule;
    struct norma_command *commands = norma_alloc(run->device->allocator, s->dispatch_count * sizeof(*commands));
    struct import *imports =
        norma_alloc(run->device->allocator, s->dispatch_count * NORMA_ARG_COUNT * sizeof(*imports));
    struct norma_buffer *workspace = NULL;
    size_t imported = 0;
    norma_status status = NORMA_OK;
    if (!commands || !imports) {
        status = out_of_memory();
        goto error;
    }
    run->events = norma_zalloc(run->device->allocator, s->dispatch_count, sizeof(*run->events));
    if (!run->events) {
        status = out_of_memory();
        goto error;
    }
    TRY(reserve_buffers(run, s->dispatch_count * NORMA_ARG_COUNT + 1));
    if (s->workspace)
        TRY(add_buffer(run, NULL, s->workspace, &workspace));
    for (size_t i = 0; i < s->dispatch_count; i++) // all of it before the first write: a refused import changes nothing
        TRY(import_dispatch(run, &s->dispatches[i], imports, &imported, workspace, &commands[i]));
    TRY(prepare_all(run->device, s)); // where they now lie they may need others; copies lie as they were planned
    for (size_t i = 0; i < s->dispatch_count;) {
        size_t count = 1;
        while (i + count < s->dispatch_count && count < GROUP && s->dispatches[i + count].tile == s->dispatches[i].tile)
            count++;
        TRY(submit(run, commands + i, count, NULL, 0));
        i += count;
    }
error:
    norma_free(imports);
    norma_free(commands);
    return status;
}

// One staging slot or shared parameter for each present tensor.
static norma_status make_staging(struct run *run, const struct row_problem *rows,
                                 struct norma_buffer *staging[2][NORMA_ARG_COUNT])
{
    const struct norma_schedule *s = &run->schedule;
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        if (!rows->arg[a].present)
            continue;
        const bool shared = row_arg_is_shared(a);
        const uint64_t size = shared ? norma_tensor_span(run->tensors[a]) : s->slot_bytes[a];
        norma_status status = add_buffer(run, NULL, size, &staging[0][a]);
        if (status == NORMA_OK && s->slots > 1 && !shared)
            status = add_buffer(run, NULL, size, &staging[1][a]);
        else
            staging[1][a] = staging[0][a];
        if (status == NORMA_OK && shared) {
            const struct norma_command write = {.kind = NORMA_COMMAND_WRITE,
                                                .buffer = staging[0][a],
                                                .host = run->tensors[a]->data,
                                                .host_pitch = size,
                                                .row_bytes = size,
                                                .rows = 1};
            status = submit(run, &write, 1, NULL, 0);
        }
        if (status != NORMA_OK)
            return status;
    }
    return NORMA_OK;
}

static void step_command(struct run *run, const struct norma_step *step,
                         struct norma_buffer *const staging[2][NORMA_ARG_COUNT], struct norma_buffer *workspace,
                         struct norma_command *command)
{
    struct norma_buffer *const *slot = staging[step->slot];
    if (step->kind == NORMA_STEP_DISPATCH) {
        struct norma_place_in_buffer places[NORMA_ARG_COUNT] = {{0}};
        for (int a = 0; a < NORMA_ARG_COUNT; a++)
            places[a].buffer = slot[a];
        norma_place_dispatch(&run->device->caps, &run->schedule.dispatches[step->dispatch], places,
                             &(struct norma_place_in_buffer){workspace, 0}, command);
        return;
    }
    *command = (struct norma_command){
        .kind = step->kind == NORMA_STEP_UPLOAD ? NORMA_COMMAND_WRITE : NORMA_COMMAND_READ,
        .buffer = slot[step->arg],
        .host = (char *)run->tensors[step->arg]->data + step->host_offset,
        .host_pitch = step->host_pitch,
        .row_bytes = step->row_bytes,
        .rows = step->rows,
    };
}

struct scratch {
    struct norma_command commands[GROUP];
    struct norma_event *waits[GROUP * 3 + NORMA_ARG_COUNT];
};

// Submits steps [from, from + count), which share kind and tile, after everything that any of them waits for.
static norma_status submit_steps(struct run *run, size_t from, size_t count, size_t shared_events, size_t *event_of,
                                 struct norma_buffer *const staging[2][NORMA_ARG_COUNT], struct norma_buffer *workspace,
                                 struct scratch *scratch)
{
    struct norma_command *commands = scratch->commands;
    struct norma_event **waits = scratch->waits;
    size_t wait_count = 0;
    const struct norma_step *steps = run->schedule.steps;
    for (size_t i = from; i < from + count; i++) {
        step_command(run, &steps[i], staging, workspace, &commands[i - from]);
        for (int w = 0; w < 3; w++)
            if (steps[i].wait[w] != NORMA_STEP_NONE && steps[i].wait[w] < from)
                waits[wait_count++] = &run->events[event_of[steps[i].wait[w]]];
    }
    if (steps[from].kind == NORMA_STEP_DISPATCH && steps[from].tile == 0)
        for (size_t e = 0; e < shared_events; e++)
            waits[wait_count++] = &run->events[e];
    const norma_status status = submit(run, commands, count, waits, wait_count);
    for (size_t i = from; i < from + count; i++)
        event_of[i] = run->event_count - 1;
    return status;
}

static norma_status run_staged(struct run *run, const struct row_problem *rows)
{
    struct norma_schedule *s = &run->schedule;
    struct norma_buffer *staging[2][NORMA_ARG_COUNT] = {{0}};
    struct norma_buffer *workspace = NULL;
    norma_status status = NORMA_OK;
    size_t *event_of = norma_alloc(run->device->allocator, s->step_count * sizeof(*event_of));
    struct scratch *scratch = norma_alloc(run->device->allocator, sizeof(*scratch));
    run->events = norma_zalloc(run->device->allocator, s->step_count + NORMA_ARG_COUNT, sizeof(*run->events));
    if (!event_of || !scratch || !run->events) {
        status = out_of_memory();
        goto error;
    }
    TRY(reserve_buffers(run, 2 * NORMA_ARG_COUNT + 1));
    if (s->workspace)
        TRY(add_buffer(run, NULL, s->workspace, &workspace));
    TRY(make_staging(run, rows, staging));
    const size_t shared_events = run->event_count;
    for (size_t i = 0; i < s->step_count;) {
        size_t count = 1;
        while (i + count < s->step_count && count < GROUP && s->steps[i + count].kind == s->steps[i].kind &&
               s->steps[i + count].tile == s->steps[i].tile)
            count++;
        TRY(submit_steps(run, i, count, shared_events, event_of,
                         (struct norma_buffer *const(*)[NORMA_ARG_COUNT])staging, workspace, scratch));
        i += count;
    }
error:
    norma_free(scratch);
    norma_free(event_of);
    return status;
}

// Between a tensor in host memory and its span as it lies on the device, element by element where it has gaps.
static void gather(const norma_tensor *t, char *host, const char *span)
{
    const size_t size = norma_dtype_size(t->dtype);
    for (struct norma_walk w = norma_walk_begin(t); !w.done; norma_walk_next(t, &w))
        memcpy(host + (size_t)w.offset * size, span + (size_t)w.offset * size, size);
}

static norma_status transfer_span(struct run *run, enum norma_command_kind kind, struct norma_buffer *buffer,
                                  void *host, uint64_t size)
{
    const struct norma_command c = {
        .kind = kind, .buffer = buffer, .host = host, .host_pitch = size, .row_bytes = size, .rows = 1};
    struct norma_event event = {.device = run->device};
    norma_status status = run->backend->submit(run->device, &c, 1, NULL, 0, false, &event);
    if (status != NORMA_OK)
        return status;
    status = run->backend->event_wait(&event);
    run->backend->event_finish(&event);
    return status;
}

static norma_status read_back(struct run *run, struct norma_buffer *buffer, const norma_tensor *t)
{
    const uint64_t span = norma_tensor_span(t);
    char *room = norma_alloc(run->device->allocator, span);
    if (!room)
        return out_of_memory();
    const norma_status status = transfer_span(run, NORMA_COMMAND_READ, buffer, room, span);
    if (status == NORMA_OK)
        gather(t, t->data, room);
    norma_free(room);
    return status;
}

static norma_status check_whole(const struct norma_device *device, const norma_tensor *const tensors[NORMA_ARG_COUNT],
                                uint64_t workspace, uint64_t budget)
{
    uint64_t total = workspace;
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if (tensors[a])
            total += norma_tensor_span(tensors[a]);
    return budget && total > budget
               ? norma_fail(NORMA_ERROR_UNSUPPORTED, "x: the tensors exceed memory_budget on %s", device->id)
               : NORMA_OK;
}

// Whole tensors on the device; each transfer is waited for.
static norma_status run_whole(struct run *run, uint64_t outputs, uint64_t budget)
{
    struct norma_place_in_buffer places[NORMA_ARG_COUNT] = {{0}};
    struct norma_buffer *workspace = NULL;
    struct norma_event event = {.device = run->device};
    norma_status status = NORMA_OK;
    TRY(check_whole(run->device, run->tensors, run->schedule.workspace, budget));
    TRY(reserve_buffers(run, NORMA_ARG_COUNT + 1));
    if (run->schedule.workspace)
        TRY(add_buffer(run, NULL, run->schedule.workspace, &workspace));
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = run->tensors[a];
        const uint64_t span = t ? norma_tensor_span(t) : 0;
        if (span == 0)
            continue;
        TRY(add_buffer(run, NULL, span, &places[a].buffer));
        TRY(transfer_span(run, NORMA_COMMAND_WRITE, places[a].buffer, t->data, span));
    }
    status = norma_execute_resident(run->device, &run->schedule, places, workspace, false, &event);
    if (status == NORMA_OK && event.impl)
        status = run->backend->event_wait(&event);
    if (event.impl)
        run->backend->event_finish(&event);
    for (int a = 0; a < NORMA_ARG_COUNT && status == NORMA_OK; a++)
        if (places[a].buffer && (outputs >> a & 1))
            status = read_back(run, places[a].buffer, run->tensors[a]);
error:
    return status;
}

static enum norma_memory copying(const struct norma_work *work)
{
    return work->strided ? NORMA_MEMORY_RESIDENT : NORMA_MEMORY_STAGE;
}

static norma_status execute(struct norma_device *device, const struct norma_work *work,
                            const norma_tensor *const tensors[NORMA_ARG_COUNT], struct norma_plan_options *options)
{
    struct run run = {.device = device, .backend = device->backend, .tensors = tensors};
    norma_status status = norma_execute_schedule(device, work, options, &run.schedule);
    if (status == NORMA_OK && run.schedule.dispatch_count > 0)
        status = options->memory == NORMA_MEMORY_IMPORT  ? run_imported(&run)
                 : options->memory == NORMA_MEMORY_STAGE ? run_staged(&run, &work->rows)
                                                         : run_whole(&run, work->outputs, options->memory_budget);
    return finish(&run, status);
}

norma_status norma_execute_host(struct norma_device *device, const struct norma_work *work,
                                const norma_tensor *const tensors[NORMA_ARG_COUNT], const char *variant,
                                uint64_t budget)
{
    struct norma_plan_options options = norma_execute_options(device, variant, NORMA_MEMORY_IMPORT, budget);
    if (device->caps.host_memory && device->backend->buffer_import) {
        const norma_status status = execute(device, work, tensors, &options);
        if (status != NORMA_ERROR_UNSUPPORTED || device->caps.api == NORMA_DRIVER_SCALAR)
            return status;
    }
    options.memory = copying(work);
    return execute(device, work, tensors, &options);
}

norma_status norma_execute_foresee(const struct norma_device *device, const struct norma_work *work,
                                   const norma_tensor *const tensors[NORMA_ARG_COUNT], uint64_t budget,
                                   enum norma_memory *memory, struct norma_schedule *schedule)
{
    struct norma_plan_options options = norma_execute_options(device, NULL, NORMA_MEMORY_IMPORT, budget);
    *memory = options.memory;
    if (device->caps.host_memory && device->backend->buffer_import) {
        const norma_status status = norma_schedule_work(work, &device->caps, &options, schedule);
        if (status != NORMA_ERROR_UNSUPPORTED || device->caps.api == NORMA_DRIVER_SCALAR)
            return status;
        norma_schedule_finish(schedule);
    }
    *memory = options.memory = copying(work);
    const norma_status status = norma_schedule_work(work, &device->caps, &options, schedule);
    if (status != NORMA_OK || options.memory == NORMA_MEMORY_STAGE)
        return status;
    return check_whole(device, tensors, schedule->workspace, budget);
}
