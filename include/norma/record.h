#ifndef NORMA_RECORD_H
#define NORMA_RECORD_H

#include <norma/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

// Level 3: a plan recorded into the caller's own command buffer or queue (norma/vulkan.h, norma/opencl.h), on the
// caller's own buffers. Recording allocates nothing, compiles nothing, submits nothing and waits for nothing. Where x
// is empty, the outputs that a run writes all the same are recorded as fills, which count as dispatches: one for each
// piece of an output that has no gap in memory.

// What recording needs besides the plan: memory for the dispatches and, in Vulkan, descriptor sets and the kernels'
// tables. One a thread; and one for each set of command buffers that are reset together. Not thread-safe.
typedef struct norma_recorder norma_recorder;

typedef struct norma_recorder_params {
    size_t size;         // sizeof(norma_recorder_params)
    uint32_t dispatches; // that may be recorded before norma_recorder_reset, 1 to 65536 (norma_plan_get_needs counts
                         // them); 0: 256. About 4 KiB each.
} norma_recorder_params;

#define NORMA_RECORDER_DEFAULTS          \
    {                                    \
        sizeof(norma_recorder_params), 0 \
    }

// params NULL means NORMA_RECORDER_DEFAULTS. NORMA_ERROR_UNSUPPORTED on the scalar path, which has no queue,
// and on a Vulkan device that Norma made itself (norma_context_params.vulkan is NULL): its command buffers are Norma's.
NORMA_API norma_status norma_recorder_create(norma_device *device, const norma_recorder_params *params,
                                             norma_recorder **recorder);

// Makes room for as many dispatches again. What was recorded in command buffers must have finished on the device, and
// is not to be submitted again.
NORMA_API norma_status norma_recorder_reset(norma_recorder *recorder);

// Sets *recorder to NULL and takes NULL. As norma_recorder_reset, and before the device's context is destroyed.
NORMA_API void norma_recorder_destroy(norma_recorder **recorder);

typedef struct norma_needs {
    size_t size;         // sizeof(norma_needs), set by the caller
    uint64_t workspace;  // bytes of scratch; 0: none
    uint64_t alignment;  // bytes; the workspace begins at a multiple of it. Tensors may begin anywhere.
    uint32_t dispatches; // that one recording takes of the recorder
    // The same where the number of rows comes from the device (row_count of the parameters); 0 dispatches
    // where it may not.
    uint32_t counted_dispatches;
    uint64_t counted_workspace;
} norma_needs;

// What one recording of problem takes; problem as in norma_plan_run, its tensors may have no buffer yet. Thread-safe.
NORMA_API norma_status norma_plan_get_needs(norma_plan *plan, const norma_problem *problem, norma_needs *needs);

#ifdef __cplusplus
}
#endif
#endif
