// Norma inside an engine that has its own Vulkan device. Needs the Vulkan headers; not part of norma/norma.h.
#ifndef NORMA_VULKAN_H
#define NORMA_VULKAN_H

#include <norma/record.h>
#include <vulkan/vulkan.h>

#ifdef __cplusplus
extern "C" {
#endif

// The caller's objects, for norma_context_params.vulkan. All must outlive the context; the struct and the arrays that
// it points to are read by norma_context_create alone. Norma creates no instance and no device then, and does not look
// for a Vulkan library: every function comes from get_instance_proc_addr.
typedef struct norma_vulkan_objects {
    size_t size; // sizeof(norma_vulkan_objects)
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    VkInstance instance; // made with apiVersion 1.1 or later
    VkPhysicalDevice physical_device;
    VkDevice device;
    uint32_t queue_family; // computes; command buffers are recorded for it
    // Of that family: for Norma's self-test and for norma_plan_run, norma_run and norma_buffer_read/write. Null: the
    // device is for recording alone; those, norma_device_measure and plans that hold parameters return
    // NORMA_ERROR_UNSUPPORTED, and the variants that only a self-test can vouch for are not used.
    VkQueue queue;
    // Held around every submission to queue, where others use it too; both may be NULL. Called from any thread.
    void (*lock_queue)(void *user);
    void (*unlock_queue)(void *user);
    void *user;
    // Device extensions that were enabled; what is not listed is not used, and Norma needs none. For host memory in
    // place: VK_EXT_external_memory_host. For handles (norma/external.h): VK_KHR_external_memory_fd, with
    // VK_EXT_external_memory_dma_buf for those, and with VK_EXT_queue_family_foreign for those of another driver.
    // VK_KHR_shader_float_controls: without it some drivers take denormals for 0.
    const char *const *extensions;
    uint32_t extension_count;
    // Reserved: features that were enabled, NULL for none. Norma needs none and reads none yet.
    const VkPhysicalDeviceFeatures2 *features;
    VkPipelineCache pipeline_cache; // used by every compilation, from any thread (not externally synchronised); or null
    const VkAllocationCallbacks *allocation; // of every object that Norma makes, copied; may be NULL
} norma_vulkan_objects;

#define NORMA_VULKAN_OBJECTS_DEFAULTS                                          \
    {                                                                          \
        sizeof(norma_vulkan_objects), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

// A buffer of the caller's as one of Norma's: `buffer`, made with VK_BUFFER_USAGE_STORAGE_BUFFER_BIT (and both TRANSFER
// bits for norma_buffer_read and _write, the DST one for outputs of problems whose x is empty) and bound to memory, of
// `size` bytes (its VkBufferCreateInfo's). address: what vkGetBufferDeviceAddress says, for norma_vulkan_tensor_at;
// else 0. *out is the caller's to destroy, which leaves the VkBuffer alone. To be wrapped once: tensors in two wraps of
// one VkBuffer are taken to lie apart. Bytes behind the last whole word of 4 are not used. Thread-safe.
// NORMA_ERROR_INVALID_ARGUMENT where device has no objects of the caller's.
NORMA_API norma_status norma_vulkan_buffer_wrap(norma_device *device, VkBuffer buffer, VkDeviceSize size,
                                                VkDeviceAddress address, norma_buffer **out);

// For engines that keep addresses: sets tensor->buffer and tensor->offset to the one of the wrapped buffers where
// address lies. Allocates nothing. Thread-safe. NORMA_ERROR_INVALID_ARGUMENT where it lies in none.
NORMA_API norma_status norma_vulkan_tensor_at(norma_buffer *const *buffers, size_t count, VkDeviceAddress address,
                                              norma_tensor *tensor);

typedef struct norma_vulkan_record_params {
    size_t size;                    // sizeof(norma_vulkan_record_params)
    VkCommandBuffer command_buffer; // recording, outside a render pass, of the objects' queue family
    norma_recorder *recorder;       // of the plan's device
    norma_buffer *workspace; // where norma_plan_get_needs asks for one: as many bytes behind the offset, that no tensor
                             // and no row count share (NORMA_ERROR_INVALID_ARGUMENT)
    uint64_t workspace_offset; // bytes, a multiple of needs.alignment
    // Where the number of rows is known on the device alone: a uint32_t in this buffer, read whenever the command
    // buffer executes, which then dispatches indirectly. The problem's rows are the most that there can be; what lies
    // behind the count's rows is not written. For layer_norm and rms_norm forward, where each tensor has one step from
    // row to row (norma_needs.counted_dispatches is not 0); NORMA_ERROR_UNSUPPORTED for other problems. The workspace
    // has needs.counted_workspace bytes then, in a buffer with VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT. NULL: the problem's
    // rows.
    norma_buffer *row_count;
    uint64_t row_count_offset; // bytes, a multiple of 4
} norma_vulkan_record_params;

#define NORMA_VULKAN_RECORD_DEFAULTS                         \
    {                                                        \
        sizeof(norma_vulkan_record_params), 0, 0, 0, 0, 0, 0 \
    }

// Records one run of the plan; problem as in norma_plan_run, its buffers are wrapped ones. The commands between the
// caller's own: pipeline and descriptor set 0 of the compute bind point are changed, and push constants.
// Barriers between Norma's dispatches are recorded too. The caller's, around them: what wrote an input must be visible
// to VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT with VK_ACCESS_SHADER_READ_BIT; what used an output or the workspace before
// must be over (READ | WRITE); the outputs are written by VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT with
// VK_ACCESS_SHADER_WRITE_BIT. row_count is an input.
// Any number of threads may record one plan at once, each with its own recorder and command buffer; command buffers
// that share a workspace must not execute at once. The command buffer may be submitted any number of times until the
// recorder is reset. After an error nothing was recorded: NORMA_ERROR_OUT_OF_MEMORY where the recorder is full.
NORMA_API norma_status norma_vulkan_record(norma_plan *plan, const norma_problem *problem,
                                           const norma_vulkan_record_params *params);

#ifdef __cplusplus
}
#endif
#endif
