// Norma inside an engine that has its own OpenCL context. Needs the OpenCL headers; not part of norma/norma.h.
#ifndef NORMA_OPENCL_H
#define NORMA_OPENCL_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <norma/record.h>

#ifdef __cplusplus
extern "C" {
#endif

// The caller's objects, for norma_context_params.opencl. Both must outlive the Norma context; the struct is read by
// norma_context_create alone. What Norma runs by itself (self-test, norma_plan_run, norma_run) goes through queues that
// it makes on the context.
typedef struct norma_opencl_objects {
    size_t size; // sizeof(norma_opencl_objects)
    cl_context context;
    cl_device_id device; // of the context's
} norma_opencl_objects;

#define NORMA_OPENCL_OBJECTS_DEFAULTS      \
    {                                      \
        sizeof(norma_opencl_objects), 0, 0 \
    }

// A memory object of the caller's, a buffer of the device's context, as a buffer of Norma's. *out is the caller's to
// destroy, which leaves `memory` alone; until then it must live. To be wrapped once: tensors in two wraps of one memory
// object are taken to lie apart. Thread-safe.
NORMA_API norma_status norma_opencl_buffer_wrap(norma_device *device, cl_mem memory, norma_buffer **out);

typedef struct norma_opencl_enqueue_params {
    size_t size;               // sizeof(norma_opencl_enqueue_params)
    cl_command_queue queue;    // of the device, in its context; in order or out of order
    norma_recorder *recorder;  // of the plan's device
    norma_buffer *workspace;   // where norma_plan_get_needs asks for one: as many bytes behind the offset, that
                               // no tensor and no row count share (NORMA_ERROR_INVALID_ARGUMENT). Runs that share
                               // a workspace must not execute at once.
    uint64_t workspace_offset; // bytes, a multiple of needs.alignment
    const cl_event *wait_list; // what the first kernel waits for
    uint32_t wait_count;
    cl_event *event; // of the last kernel, the caller's to release; NULL: not wanted
    // Where the number of rows is known on the device alone: a uint32_t in this buffer, read when what was enqueued
    // executes (an input, like x). As norma_vulkan_record_params.row_count, with as many bytes of workspace, but each
    // kernel has the work-items of all the problem's rows; those behind the count do nothing. NULL: the problem's rows.
    norma_buffer *row_count;
    uint64_t row_count_offset; // bytes, a multiple of 4
} norma_opencl_enqueue_params;

#define NORMA_OPENCL_ENQUEUE_DEFAULTS                                  \
    {                                                                  \
        sizeof(norma_opencl_enqueue_params), 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

// Enqueues one run of the plan; problem as in norma_plan_run, its buffers are wrapped ones. Nothing is flushed or
// waited for. In a queue that is out of order Norma's kernels wait for each other by events; what comes before them is
// ordered by the wait list, what comes behind by the event. Kernels of one device are enqueued under a lock of Norma's:
// any number of threads may enqueue one plan at once, each with its own recorder. The recorder need not be reset.
// After an error kernels may have been enqueued, in a driver's failure alone.
NORMA_API norma_status norma_opencl_enqueue(norma_plan *plan, const norma_problem *problem,
                                            const norma_opencl_enqueue_params *params);

#ifdef __cplusplus
}
#endif
#endif
