#ifndef NORMA_DESCRIBE_H
#define NORMA_DESCRIBE_H

#include <norma/context.h>
#include <norma/problem.h>

#ifdef __cplusplus
extern "C" {
#endif

// Level 4: a plan as plain data, to run with pipelines and command buffers of one's own. To run a description:
//   1. Provide workspace bytes of scratch memory, begun at a multiple of alignment, as each tensor's first element is.
//   2. Write the fills.
//   3. Run the dispatches in order, one after the other where barrier says so, with groups[] workgroups of local[]
//      work-items each.
// docs/describe.md says the same of the files that `norma describe` writes. examples/runner.c does it on Vulkan.
//
// Vulkan 1.1, no extension, no feature to enable (the constant SUBGROUP is 1 only where the device shuffles within
// subgroups in compute shaders). A dispatch is a pipeline of code, entry point "main", with the constants; bindings are
// storage buffers of descriptor set 0, 12 at most and the table. Its arguments are args as push constants from byte 0,
// or table as one more storage buffer at binding number binding_count.
//
// OpenCL 1.2. A dispatch is a program of code built with options, which hold the constants too; the kernel's name is
// kernel. Its arguments are binding_count buffers; then args, or table, as a struct by value (clSetKernelArg of
// args_size or table_size bytes); then binding_count uint64 by value, as one argument: the byte of each buffer at which
// its binding begins. The global size is groups[i] * local[i].

#define NORMA_MAX_BINDINGS 28
#define NORMA_MAX_CONSTANTS 9
#define NORMA_ARGS_BYTES 128

typedef struct norma_constant {
    const char *name; // OpenCL: -D name=value
    uint32_t id;      // Vulkan: specialisation constant id, 32 bits; a module that lacks it is not changed by it
    uint32_t value;
} norma_constant;

// A storage buffer: binding number (Vulkan, set 0) or kernel argument index (OpenCL).
typedef struct norma_bound {
    uint32_t slot;
    norma_arg arg;   // which tensor, NORMA_ARG_WORKSPACE or NORMA_ARG_ROW_COUNT
    uint64_t offset; // bytes from the tensor's first element, or into the workspace
    uint64_t size;   // bytes; Vulkan: whole words, so where a tensor has an odd number of 16-bit elements the word that
                     // holds the last one must be there; what is behind the tensor is not changed
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
    uint32_t args_size;             // bytes; 0 where there is a table
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
    const char *options; // OpenCL: all build options, constants too. NULL: Vulkan. Lives as long as the description.
    // norma_describe_counted on Vulkan, else 0. 1: not groups, which are those of all rows, but what a dispatch before
    // has written: a VkDispatchIndirectCommand at byte groups_offset of the workspace.
    uint32_t indirect;
    uint64_t groups_offset;
} norma_dispatch;

// Where x is empty no kernel may run, but outputs that are not empty are written: each element of the tensor, at its
// shape and strides, becomes value.
typedef struct norma_fill {
    norma_arg arg;
    uint32_t size;          // bytes of an element
    unsigned char value[8]; // the first size of them
} norma_fill;

typedef struct norma_description {
    const norma_dispatch *dispatches;
    size_t dispatch_count;
    const norma_fill *fills;
    size_t fill_count;
    uint64_t workspace; // bytes of scratch; 0 where none is needed. Its contents do not matter
    uint64_t alignment; // bytes
    const char *variant;
    // norma_describe_counted, else 0. OpenCL: the byte of the workspace to which the count is copied, after what used
    // the workspace before and ahead of the dispatches. Vulkan: 0, a dispatch reads it.
    uint32_t counted;
    uint64_t count_offset;
} norma_description;

// The plan of a problem whose tensors lie whole in device memory. The tensors need neither data nor buffer; each is
// taken to begin at a multiple of the description's alignment (256 bytes is always enough). An output in the place of
// an input says so by the same data, any address that is not NULL (nothing is read there), or by the same buffer and
// offset: the order of dispatches of backward depends on it. *description is the caller's to destroy. variant as in
// norma_plan_params. NORMA_ERROR_UNSUPPORTED on the scalar path, which has no kernels. Thread-safe.
NORMA_API norma_status norma_describe(norma_device *device, const norma_problem *problem, const char *variant,
                                      norma_description **description);

// The same for rows whose number is known on the device alone, as with norma_vulkan_record_params.row_count: it is a
// uint32_t in a buffer of the caller's, NORMA_ARG_ROW_COUNT, that begins at a multiple of alignment. The problem's rows
// are the most that there can be; what lies behind the count's rows is not written.
// Vulkan: the first dispatch reads the count and the others are indirect, so the workspace is in a buffer with
// VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT. A barrier before an indirect dispatch is also one to
// VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT, VK_ACCESS_INDIRECT_COMMAND_READ_BIT; runs on one workspace are ordered likewise.
// OpenCL has no indirect dispatches: the count is copied to the workspace (count_offset), and work-items behind it do
// nothing. NORMA_ERROR_UNSUPPORTED for problems other than norma_vulkan_record_params.row_count's.
NORMA_API norma_status norma_describe_counted(norma_device *device, const norma_problem *problem, const char *variant,
                                              norma_description **description);

// Sets *description to NULL and takes NULL.
NORMA_API void norma_description_destroy(norma_description **description);

#ifdef __cplusplus
}
#endif
#endif
