#ifndef NORMA_PLAN_H
#define NORMA_PLAN_H

#include <norma/buffer.h>
#include <norma/problem.h>

#ifdef __cplusplus
extern "C" {
#endif

// Level 2: a problem made ready for one device. Holds its compiled kernels and, where given as host memory, the
// parameters (weight, bias, input_bias, gate, mean_weights, var_weights), which are uploaded once. Immutable: any
// number of threads may run it at once.
typedef struct norma_plan norma_plan;
// Work that was submitted. One event a run.
typedef struct norma_event norma_event;

typedef struct norma_plan_params {
    size_t size; // sizeof(norma_plan_params)
    // Which kernels: NULL lets the planner choose; otherwise one of norma_device_variant's names, an error where that
    // variant cannot do the problem, or (other problems than rows) "strided": the kernels that take any strides,
    // without the faster ones for some. The bits are the same for all. Of its own choice, the planner goes on to the
    // next where the driver does not compile one (once, with a line in the log); a variant named here is an error then.
    const char *variant;
    uint64_t memory_budget; // bytes; 0: the context's
    int32_t timestamps;     // 1: events know their time on the device
} norma_plan_params;

#define NORMA_PLAN_DEFAULTS                \
    {                                      \
        sizeof(norma_plan_params), 0, 0, 0 \
    }

// The names of the device's variants, from 0; NULL behind the last. Static storage. Thread-safe.
NORMA_API const char *norma_device_variant(norma_device *device, size_t index);

// Checks the problem, compiles what it needs. Tensors that change from run to run may have neither data nor buffer.
// Parameters with data are uploaded; the caller's memory is not used after the call.
NORMA_API norma_status norma_plan_create(norma_device *device, const norma_problem *problem,
                                         const norma_plan_params *params, norma_plan **plan);

// Sets *plan to NULL and takes NULL. Its runs must have finished.
NORMA_API void norma_plan_destroy(norma_plan **plan);

// Submits one run on buffers of the plan's device and returns at once; *event (may be NULL) is the caller's to destroy.
// problem has the plan's op, types, normalised shape and set of tensors, with any outer shape: the row count is a
// run-time value, a new one compiles nothing. Parameters that the plan holds are NULL here. Runs on one device execute
// as if in order of submission. Thread-safe.
NORMA_API norma_status norma_plan_run(norma_plan *plan, const norma_problem *problem, norma_event **event);

// Waits until the work is done. Thread-safe. NORMA_ERROR_DEVICE or NORMA_ERROR_DEVICE_LOST where it failed.
NORMA_API norma_status norma_event_wait(norma_event *event);

// Seconds that the work took on the device; it must have been waited for. NORMA_ERROR_UNSUPPORTED without timestamps.
NORMA_API norma_status norma_event_seconds(norma_event *event, double *seconds);

// Sets *event to NULL and takes NULL. Does not wait.
NORMA_API void norma_event_destroy(norma_event **event);

#ifdef __cplusplus
}
#endif
#endif
