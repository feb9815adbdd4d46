// Enqueueing on the caller's queue. A recorder has nothing of OpenCL's own: kernels are the device's, under its lock.
#include "recorder.h"
#include "opencl.h"
#include "sized.h"

norma_status ncl_recorder_create(struct norma_device *device, uint32_t dispatches, void **recorder)
{
    (void)dispatches;
    *recorder = device;
    return NORMA_OK;
}

void ncl_recorder_reset(void *recorder)
{
    (void)recorder;
}

void ncl_recorder_finish(struct norma_device *device, void *recorder)
{
    (void)device;
    (void)recorder;
}

static norma_status enqueue(struct norma_device *device, cl_command_queue queue, const struct norma_command *c,
                            cl_uint wait_count, const cl_event *waits, cl_event *event)
{
    const struct ncl_api *api = ncl_device(device)->api;
    const struct ncl_buffer *b = c->buffer ? ncl_buffer(c->buffer) : NULL;
    norma_status status = NORMA_OK;
    if (c->kind == NORMA_COMMAND_FILL)
        CL(api, EnqueueFillBuffer(queue, b->memory, c->value.bytes, c->value.size, b->before + c->offset, c->row_bytes,
                                  wait_count, waits, event));
    else if (c->kind == NORMA_COMMAND_COPY)
        status = ncl_enqueue_copy(api, queue, c, wait_count, waits, event);
    else
        status = ncl_enqueue(device, queue, c, wait_count, waits, event);
error:
    return status;
}

// In an out-of-order queue each kernel waits for the one before; what an in-order queue needs are the first wait and
// the last event.
static norma_status enqueue_all(struct norma_device *device, const norma_opencl_enqueue_params *params, bool in_order,
                                const struct norma_command *commands, size_t count)
{
    const struct ncl_api *api = ncl_device(device)->api;
    cl_event before = NULL;
    norma_status status = NORMA_OK;
    for (size_t i = 0; i < count && status == NORMA_OK; i++) {
        const bool last = i + 1 == count;
        cl_event done = NULL, *out = last ? params->event : in_order ? NULL : &done;
        const cl_event *waits = i == 0 ? params->wait_list : before ? &before : NULL;
        const cl_uint wait_count = i == 0 ? params->wait_count : before ? 1 : 0;
        status = enqueue(device, params->queue, &commands[i], wait_count, wait_count ? waits : NULL, out);
        if (before)
            api->ReleaseEvent(before);
        before = done;
    }
    if (before)
        api->ReleaseEvent(before);
    return status;
}

// Nothing to compute: the event is that of the wait list.
static norma_status mark(const struct ncl_api *api, const norma_opencl_enqueue_params *params)
{
    norma_status status = NORMA_OK;
    if (params->event)
        CL(api, EnqueueMarkerWithWaitList(params->queue, params->wait_count,
                                          params->wait_count ? params->wait_list : NULL, params->event));
error:
    return status;
}

norma_status ncl_record(struct norma_device *device, void *recorder, const struct norma_command *commands, size_t count,
                        const void *target)
{
    struct ncl_device *cl = ncl_device(device);
    const norma_opencl_enqueue_params *params = target;
    cl_context context = NULL;
    cl_device_id id = NULL;
    cl_command_queue_properties properties = 0;
    norma_status status = ncl_check_fork(device);
    (void)recorder;
    if (status != NORMA_OK)
        return status;
    const cl_command_queue queue = params->queue;
    if (cl->api->GetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(context), &context, NULL) != CL_SUCCESS ||
        cl->api->GetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof(id), &id, NULL) != CL_SUCCESS ||
        cl->api->GetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof(properties), &properties, NULL) != CL_SUCCESS ||
        context != cl->context || id != cl->id)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "queue: not one of %s and its context", device->id);
    for (size_t i = 0; i < count && status == NORMA_OK; i++) // before anything is enqueued
        status = commands[i].dispatch ? ncl_program_find(device, commands[i].dispatch) : NORMA_OK;
    if (status != NORMA_OK || count == 0)
        return status == NORMA_OK ? mark(cl->api, params) : status;
    pthread_mutex_lock(&cl->submit);
    status = enqueue_all(device, params, !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE), commands, count);
    pthread_mutex_unlock(&cl->submit);
    return status;
}

norma_status norma_opencl_enqueue(norma_plan *plan, const norma_problem *problem,
                                  const norma_opencl_enqueue_params *given)
{
    norma_opencl_enqueue_params params;
    if (!given)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "params: NULL");
    const norma_status status = NORMA_READ(&params, given, norma_opencl_enqueue_params);
    if (status != NORMA_OK)
        return status;
    if (!params.queue)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "queue: NULL");
    if (params.wait_count && !params.wait_list)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "wait_list: NULL, wait_count is %u", params.wait_count);
    const struct norma_record_target target = {.backend = &norma_backend_opencl,
                                               .workspace = {params.workspace, params.workspace_offset},
                                               .row_count = {params.row_count, params.row_count_offset},
                                               .params = &params};
    return norma_recorder_record(params.recorder, plan, problem, &target);
}
