#include "guest.h"
#include <norma/opencl.h>
#include <stdlib.h>

enum { MOST_MEMORIES = 4096 };

struct opencl_guest {
    struct check_guest base;
    norma_opencl_objects objects;
    cl_command_queue queue[2]; // in order, out of order
    size_t enqueued;
    cl_mem memory[MOST_MEMORIES];
    size_t memories;
};

static norma_status create(struct opencl_guest *g)
{
    cl_platform_id platform;
    cl_int code = CL_SUCCESS;
    if (clGetPlatformIDs(1, &platform, NULL) != CL_SUCCESS ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &g->objects.device, NULL) != CL_SUCCESS)
        return NORMA_ERROR_NO_DEVICE;
    g->objects.context = clCreateContext(NULL, 1, &g->objects.device, NULL, NULL, &code);
    for (int i = 0; i < 2 && code == CL_SUCCESS; i++)
        g->queue[i] = clCreateCommandQueue(g->objects.context, g->objects.device,
                                           i ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0, &code);
    return code == CL_SUCCESS ? NORMA_OK : NORMA_ERROR_DEVICE;
}

static norma_status buffer(struct check_guest *guest, norma_device *device, uint64_t size, norma_buffer **out)
{
    struct opencl_guest *g = (struct opencl_guest *)guest;
    cl_int code = CL_SUCCESS;
    if (g->memories == MOST_MEMORIES)
        return NORMA_ERROR_OUT_OF_MEMORY;
    const cl_mem memory = clCreateBuffer(g->objects.context, CL_MEM_READ_WRITE, size, NULL, &code);
    if (code != CL_SUCCESS)
        return NORMA_ERROR_OUT_OF_MEMORY;
    g->memory[g->memories++] = memory;
    return norma_opencl_buffer_wrap(device, memory, out);
}

// Now in order, now out of order. The first kernel waits for an event of the caller's, which is set after all is
// enqueued.
static norma_status run(struct check_guest *guest, norma_plan *plan, const norma_problem *problem,
                        norma_recorder *recorder, norma_buffer *workspace, uint64_t offset)
{
    struct opencl_guest *g = (struct opencl_guest *)guest;
    cl_int code = CL_SUCCESS;
    cl_event done = NULL;
    const cl_event start = clCreateUserEvent(g->objects.context, &code);
    if (code != CL_SUCCESS)
        return NORMA_ERROR_OUT_OF_MEMORY;
    const norma_opencl_enqueue_params params = {.size = sizeof params,
                                                .queue = g->queue[g->enqueued++ % 2],
                                                .recorder = recorder,
                                                .workspace = workspace,
                                                .workspace_offset = offset,
                                                .wait_list = &start,
                                                .wait_count = 1,
                                                .event = &done,
                                                .row_count = guest->row_count,
                                                .row_count_offset = guest->row_count_offset};
    norma_status status = norma_opencl_enqueue(plan, problem, &params);
    clSetUserEventStatus(start, CL_COMPLETE);
    if (status == NORMA_OK && clWaitForEvents(1, &done) != CL_SUCCESS)
        status = NORMA_ERROR_DEVICE;
    if (done)
        clReleaseEvent(done);
    clReleaseEvent(start);
    return status;
}

static void objects(struct check_guest *guest, norma_context_params *params)
{
    params->opencl = &((struct opencl_guest *)guest)->objects;
}

static void close_guest(struct check_guest *guest)
{
    struct opencl_guest *g = (struct opencl_guest *)guest;
    for (size_t i = 0; i < g->memories; i++)
        clReleaseMemObject(g->memory[i]);
    for (int i = 0; i < 2; i++)
        if (g->queue[i])
            clReleaseCommandQueue(g->queue[i]);
    if (g->objects.context)
        clReleaseContext(g->objects.context);
    free(g);
}

norma_status check_guest_opencl(struct check_guest **out)
{
    struct opencl_guest *g = calloc(1, sizeof *g);
    if (!g)
        return NORMA_ERROR_OUT_OF_MEMORY;
    g->base = (struct check_guest){.objects = objects, .buffer = buffer, .run = run, .close = close_guest};
    g->objects.size = sizeof g->objects;
    const norma_status status = create(g);
    if (status != NORMA_OK) {
        close_guest(&g->base);
        return status;
    }
    *out = &g->base;
    return NORMA_OK;
}
