#ifndef NORMA_RUN_H
#define NORMA_RUN_H

#include <norma/context.h>
#include <norma/problem.h>

#ifdef __cplusplus
extern "C" {
#endif

// Level 1: one call. Tensors in host memory; returns when the outputs are written. The scheduler picks the device, the
// variant and the tiles among the context's devices. Thread-safe. On any error from checking, nothing is written.
// If a device fails, the next one does the work (device "auto"), and the log says so once.
NORMA_API norma_status norma_run(norma_context *context, const norma_problem *problem);

// One device as the scheduler sees it for a problem. Arrays of these have no size field: members are added with a new
// soname alone.
typedef struct norma_prediction {
    norma_device *device;
    double seconds;      // predicted; infinite where the device cannot do it
    int32_t chosen;      // 1 for the one that norma_run would take; none where that would fail
    char variant[32];    // kernels, such as "serial" or "team subgroup"
    char memory[16];     // how host memory is reached: "import", "copy", "direct"
    uint32_t tiles;      // pieces the tensor is cut into
    int64_t tile_rows;   // rows of the largest tile
    uint32_t dispatches; // kernel launches in all
    uint64_t workspace;  // bytes of scratch
    char why[160];       // the sum behind seconds, or why the device cannot
} norma_prediction;

// Fills up to capacity predictions, one a device in the context's order, and *count with how many there are. Measures
// devices that have no figures yet. The tensors' memory is not touched and may be NULL.
NORMA_API norma_status norma_explain(norma_context *context, const norma_problem *problem,
                                     norma_prediction *predictions, size_t capacity, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
