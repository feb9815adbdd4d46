#ifndef NORMA_DESCRIBE_H
#define NORMA_DESCRIBE_H

#include <norma/context.h>
#include <norma/problem.h>

#ifdef __cplusplus
extern "C" {
#endif

// Level 4: a plan as plain data, to run with pipelines and command buffers of one's own.

#define NORMA_MAX_BINDINGS 28
#define NORMA_MAX_CONSTANTS 8
#define NORMA_ARGS_BYTES 128

typedef struct norma_constant {
    const char *name; // OpenCL: -D name=value
    uint32_t id;      // Vulkan: specialisation constant id, 32 bits
    uint32_t value;
} norma_constant;

// A storage buffer: binding number (Vulkan, set 0) or kernel argument index (OpenCL).
typedef struct norma_bound {
    uint32_t slot;
    norma_arg arg;    // which tensor, or NORMA_ARG_WORKSPACE
    uint64_t offset;  // bytes from the tensor's first element, or into the workspace
    uint64_t size;    // bytes
    uint32_t written; // 1: the dispatch writes to it
} norma_bound;

typedef struct norma_dispatch {
    const char *kernel; // file basename and OpenCL function; a SPIR-V module's entry point is "main"
    norma_constant constants[NORMA_MAX_CONSTANTS];
    uint32_t constant_count;
    norma_bound bindings[NORMA_MAX_BINDINGS]; // one a slot from 0 on; for an absent tensor x or the workspace is bound
                                              // and not touched
    uint32_t binding_count;
    uint32_t
        args[NORMA_ARGS_BYTES / 4]; // push constants; OpenCL: a struct by value, the argument after the last binding
    uint32_t args_size;             // bytes
    // The strided kernels have no args but a table of words: the storage buffer behind the last binding; OpenCL: the
    // struct by value in the place of args. NULL: none. Lives as long as the description.
    const uint32_t *table;
    uint32_t table_size; // bytes
    uint32_t groups[3];  // workgroups
    uint32_t local[3];   // work-items a workgroup; also constants 0 in Vulkan
    uint32_t barrier;    // 1: the writes of the dispatches before must be visible to this one
    uint32_t tile;       // which tile it belongs to
    const void *code;    // SPIR-V words, or OpenCL C text; static storage
    size_t code_size;    // bytes
} norma_dispatch;

typedef struct norma_description {
    const norma_dispatch *dispatches;
    size_t dispatch_count;
    uint64_t workspace; // bytes of scratch; 0 where none is needed
    const char *variant;
} norma_description;

// The plan of a problem whose tensors lie whole in device memory. The tensors need neither data nor buffer; each is
// taken to begin at a multiple of the device's storage buffer alignment (256 bytes is always enough). *description is
// the caller's to destroy. variant as in norma_plan_params.
NORMA_API norma_status norma_describe(norma_device *device, const norma_problem *problem, const char *variant,
                                      norma_description **description);

// Sets *description to NULL and takes NULL.
NORMA_API void norma_description_destroy(norma_description **description);

#ifdef __cplusplus
}
#endif
#endif
