#include "opencl.h"
#include <string.h>

// What one ncl_submit has under way.
struct submission {
    struct norma_device *device;
    const struct ncl_api *api; // the device's
    cl_command_queue queue;
    cl_event *waits; // of the first command; the queue orders the rest
    cl_uint wait_count;
    struct ncl_event *event;
    bool keep_first;
    size_t enqueued;
};

// The event slot of the next command. Each command's replaces the one before; the first is kept for timestamps.
static cl_event *next_event(struct submission *s)
{
    struct ncl_event *event = s->event;
    if (event->last && event->last != event->first)
        s->api->ReleaseEvent(event->last);
    event->last = NULL;
    return &event->last;
}

static void enqueued(struct submission *s)
{
    if (s->enqueued++ == 0 && s->keep_first)
        s->event->first = s->event->last;
    s->wait_count = 0;
}

// An in-order queue needs wait lists for events of other queues alone.
#define WAITS(s) (s)->wait_count, (s)->wait_count ? (s)->waits : NULL

static norma_status transfer_rows(struct submission *s, const struct norma_command *c, uint64_t first, uint64_t rows)
{
    const uint64_t pitch = c->host_pitch;
    const size_t at = ncl_buffer(c->buffer)->before + c->offset + first * c->row_bytes;
    char *host = (char *)c->host + first * pitch;
    cl_mem memory = ncl_buffer(c->buffer)->memory;
    norma_status status = NORMA_OK;
    cl_event *event = next_event(s);
    if (rows == 1 || pitch == c->row_bytes) {
        const size_t bytes = c->row_bytes * rows;
        if (c->kind == NORMA_COMMAND_WRITE)
            CL(s->api, EnqueueWriteBuffer(s->queue, memory, CL_FALSE, at, bytes, host, WAITS(s), event));
        else
            CL(s->api, EnqueueReadBuffer(s->queue, memory, CL_FALSE, at, bytes, host, WAITS(s), event));
    } else {
        const size_t from[3] = {at, 0, 0}, zero[3] = {0, 0, 0}, region[3] = {c->row_bytes, rows, 1};
        if (c->kind == NORMA_COMMAND_WRITE)
            CL(s->api, EnqueueWriteBufferRect(s->queue, memory, CL_FALSE, from, zero, region, c->row_bytes, 0, pitch, 0,
                                              host, WAITS(s), event));
        else
            CL(s->api, EnqueueReadBufferRect(s->queue, memory, CL_FALSE, from, zero, region, c->row_bytes, 0, pitch, 0,
                                             host, WAITS(s), event));
    }
    enqueued(s);
error:
    return status;
}

static norma_status transfer(struct submission *s, const struct norma_command *c)
{
    if (c->row_bytes == 0 || c->rows == 0)
        return NORMA_OK;
    // A rectangle's rows may not overlap on the host: repeated rows go one by one.
    if (c->rows == 1 || c->host_pitch >= c->row_bytes)
        return transfer_rows(s, c, 0, c->rows);
    norma_status status = NORMA_OK;
    for (uint64_t row = 0; row < c->rows && status == NORMA_OK; row++)
        status = transfer_rows(s, c, row, 1);
    return status;
}

norma_status ncl_enqueue_copy(const struct ncl_api *api, cl_command_queue queue, const struct norma_command *c,
                              cl_uint wait_count, const cl_event *waits, cl_event *event)
{
    const struct ncl_buffer *from = ncl_buffer(c->buffer), *to = ncl_buffer(c->other);
    norma_status status = NORMA_OK;
    CL(api, EnqueueCopyBuffer(queue, from->memory, to->memory, from->before + c->offset, to->before + c->other_offset,
                              c->row_bytes, wait_count, waits, event));
error:
    return status;
}

static norma_status copy(struct submission *s, const struct norma_command *c)
{
    const norma_status status = ncl_enqueue_copy(s->api, s->queue, c, WAITS(s), next_event(s));
    if (status == NORMA_OK)
        enqueued(s);
    return status;
}

// The kernels' arguments: a buffer a binding, the argument words, and where in its buffer each binding begins.
norma_status ncl_enqueue(struct norma_device *device, cl_command_queue queue, const struct norma_command *c,
                         cl_uint wait_count, const cl_event *waits, cl_event *event)
{
    const norma_dispatch *d = c->dispatch;
    struct ncl_program *program = NULL;
    uint64_t offsets[NCL_BINDINGS] = {0};
    size_t global[3], local[3];
    cl_uint index = 0;
    const struct ncl_api *api = ncl_device(device)->api;
    norma_status status = ncl_program_get(device, d, &program);
    if (status != NORMA_OK)
        return status;
    for (; index < d->binding_count && index < NCL_BINDINGS; index++) {
        const struct norma_buffer *bound = c->bound[index] ? c->bound[index] : c->bound[0];
        const struct ncl_buffer *buffer = ncl_buffer(bound);
        offsets[index] = buffer->before + (c->bound[index] ? c->bound_offset[index] : 0);
        CL(api, SetKernelArg(program->kernel, index, sizeof(cl_mem), &buffer->memory));
    }
    CL(api, SetKernelArg(program->kernel, index, d->table ? d->table_size : d->args_size,
                         d->table ? (const void *)d->table : (const void *)d->args));
    CL(api, SetKernelArg(program->kernel, index + 1, d->binding_count * sizeof(*offsets), offsets));
    for (int i = 0; i < 3; i++) {
        local[i] = d->local[i];
        global[i] = (size_t)d->groups[i] * d->local[i];
    }
    CL(api, EnqueueNDRangeKernel(queue, program->kernel, global[1] * global[2] == 1 ? 1 : 3, NULL, global, local,
                                 wait_count, waits, event));
error:
    return status;
}

// Imported memory that the kernel writes is handed back at the end.
static void note_written(const struct norma_command *c)
{
    const norma_dispatch *d = c->dispatch;
    for (uint32_t i = 0; i < d->binding_count && i < NCL_BINDINGS; i++) {
        struct ncl_buffer *buffer = ncl_buffer(c->bound[i] ? c->bound[i] : c->bound[0]);
        if (d->bindings[i].written && d->bindings[i].arg != NORMA_ARG_X) // x stands for what is absent
            buffer->written = buffer->imported;
    }
}

static norma_status dispatch(struct submission *s, const struct norma_command *c)
{
    note_written(c);
    const norma_status status = ncl_enqueue(s->device, s->queue, c, WAITS(s), next_event(s));
    if (status == NORMA_OK)
        enqueued(s);
    return status;
}

static norma_status turn(struct submission *s, const struct norma_command *c)
{
    const norma_status status = ncl_enqueue_turn(ncl_device(s->device), s->queue, c, WAITS(s), next_event(s));
    if (status == NORMA_OK)
        enqueued(s);
    return status;
}

static norma_status command(struct submission *s, const struct norma_command *c)
{
    switch (c->kind) {
    case NORMA_COMMAND_WRITE:
    case NORMA_COMMAND_READ:
        return transfer(s, c);
    case NORMA_COMMAND_COPY:
        return copy(s, c);
    case NORMA_COMMAND_DISPATCH:
        return dispatch(s, c);
    case NORMA_COMMAND_ACQUIRE:
    case NORMA_COMMAND_RELEASE:
        return turn(s, c);
    case NORMA_COMMAND_FILL:
        break;
    }
    return norma_fail(NORMA_ERROR_UNSUPPORTED, "command kind %d", (int)c->kind);
}

// The host sees what a kernel wrote to its memory once the buffer was mapped. PoCL needs it as little as any driver
// that shares memory, but the standard leaves it to them.
static norma_status hand_back(struct submission *s, const struct norma_buffer *bound)
{
    const struct ncl_buffer *buffer = ncl_buffer(bound);
    norma_status status = NORMA_OK;
    cl_int code = CL_SUCCESS;
    void *mapped = s->api->EnqueueMapBuffer(s->queue, buffer->memory, CL_FALSE, CL_MAP_READ, 0,
                                            buffer->before + bound->size, 0, NULL, NULL, &code);
    if (!mapped)
        return ncl_check(code ? code : CL_OUT_OF_RESOURCES, "EnqueueMapBuffer");
    if (s->event->done)
        s->api->ReleaseEvent(s->event->done);
    s->event->done = NULL;
    CL(s->api, EnqueueUnmapMemObject(s->queue, buffer->memory, mapped, 0, NULL, &s->event->done));
error:
    return status;
}

static norma_status hand_back_all(struct submission *s, const struct norma_command *commands, size_t count)
{
    norma_status status = NORMA_OK;
    for (size_t i = 0; i < count; i++)
        for (uint32_t j = 0; commands[i].kind == NORMA_COMMAND_DISPATCH && j < NCL_BINDINGS; j++) {
            const struct norma_buffer *bound = commands[i].bound[j];
            if (!bound || !ncl_buffer(bound)->written || status != NORMA_OK)
                continue;
            ncl_buffer(bound)->written = false;
            status = hand_back(s, bound);
        }
    return status;
}

static void event_release(const struct ncl_api *api, struct ncl_event *event)
{
    if (event->done && event->done != event->last)
        api->ReleaseEvent(event->done);
    if (event->last && event->last != event->first)
        api->ReleaseEvent(event->last);
    if (event->first)
        api->ReleaseEvent(event->first);
    *event = (struct ncl_event){0};
}

static norma_status submit_locked(struct submission *s, const struct norma_command *commands, size_t count)
{
    norma_status status = NORMA_OK;
    for (size_t i = 0; i < count && status == NORMA_OK; i++)
        status = command(s, &commands[i]);
    if (status == NORMA_OK)
        status = hand_back_all(s, commands, count);
    if (status == NORMA_OK && s->enqueued == 0) {
        cl_event *event = next_event(s);
        CL(s->api, EnqueueMarkerWithWaitList(s->queue, WAITS(s), event));
        enqueued(s);
    }
    if (status == NORMA_OK && !s->event->done)
        s->event->done = s->event->last;
    // Other queues may wait for this one's events: they must be under way.
    if (status == NORMA_OK)
        CL(s->api, Flush(s->queue));
error:
    // The caller may free the host memory after a failure, so what was enqueued must be over.
    if (status != NORMA_OK && s->enqueued)
        s->api->Finish(s->queue);
    return status;
}

static enum ncl_stream stream_of(const struct norma_command *commands, size_t count)
{
    if (count && commands[0].kind == NORMA_COMMAND_WRITE)
        return NCL_UPLOAD;
    return count && commands[0].kind == NORMA_COMMAND_READ ? NCL_DOWNLOAD : NCL_COMPUTE;
}

norma_status ncl_submit(struct norma_device *device, const struct norma_command *commands, size_t count,
                        struct norma_event *const *waits, size_t wait_count, bool timestamps, struct norma_event *event)
{
    struct ncl_device *cl = ncl_device(device);
    cl_event few[8], *list = few;
    struct submission s = {
        .device = device, .api = cl->api, .queue = cl->queue[stream_of(commands, count)], .keep_first = timestamps};
    norma_status status = ncl_check_fork(device);
    // Builds come first: they take long, and the lock is everybody's.
    for (size_t i = 0; i < count && status == NORMA_OK; i++)
        if (commands[i].kind == NORMA_COMMAND_DISPATCH)
            status = ncl_program_get(device, commands[i].dispatch, NULL);
    if (status != NORMA_OK)
        return status;
    if (wait_count > sizeof(few) / sizeof(few[0]))
        list = norma_zalloc(device->allocator, wait_count, sizeof(*list));
    s.event = norma_zalloc(device->allocator, 1, sizeof(*s.event));
    if (!list || !s.event) {
        status = norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "submit: host memory");
        goto error;
    }
    for (size_t i = 0; i < wait_count; i++)
        if (waits[i] && waits[i]->impl)
            list[s.wait_count++] = ((struct ncl_event *)waits[i]->impl)->done;
    s.waits = list;
    pthread_mutex_lock(&cl->submit);
    status = submit_locked(&s, commands, count);
    pthread_mutex_unlock(&cl->submit);
    if (status == NORMA_OK) {
        *event = (struct norma_event){.device = device, .impl = s.event};
        s.event = NULL;
    }
error:
    if (s.event)
        event_release(cl->api, s.event);
    norma_free(s.event);
    if (list != few)
        norma_free(list);
    return status;
}

norma_status ncl_event_wait(struct norma_event *event)
{
    const struct ncl_event *impl = event->impl;
    if (!impl)
        return NORMA_OK;
    norma_status status = ncl_check_fork(event->device);
    if (status != NORMA_OK)
        return status;
    const struct ncl_api *api = ncl_device(event->device)->api;
    const cl_int code = api->WaitForEvents(1, &impl->done);
    cl_int execution = CL_COMPLETE;
    // The code says that the command failed, the event says why.
    if (code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST &&
        api->GetEventInfo(impl->done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(execution), &execution, NULL) ==
            CL_SUCCESS &&
        execution < 0)
        return ncl_check(execution, "WaitForEvents");
    return ncl_check(code, "WaitForEvents");
}

norma_status ncl_event_seconds(struct norma_event *event, double *seconds)
{
    const struct ncl_event *impl = event->impl;
    cl_ulong start = 0, end = 0;
    norma_status status = ncl_check_fork(event->device);
    if (status != NORMA_OK)
        return status;
    if (!impl || !impl->first)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "event: submitted without timestamps");
    CL(ncl_device(event->device)->api,
       GetEventProfilingInfo(impl->first, CL_PROFILING_COMMAND_START, sizeof(start), &start, NULL));
    CL(ncl_device(event->device)->api,
       GetEventProfilingInfo(impl->last, CL_PROFILING_COMMAND_END, sizeof(end), &end, NULL));
    *seconds = end > start ? (double)(end - start) * 1e-9 : 0;
error:
    return status;
}

void ncl_event_finish(struct norma_event *event)
{
    struct ncl_event *impl = event->impl;
    if (!impl)
        return;
    if (!ncl_forked(event->device))
        event_release(ncl_device(event->device)->api, impl);
    norma_free(impl);
    event->impl = NULL;
}
