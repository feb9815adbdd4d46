// The Vulkan backend's own objects. Everything a driver is asked goes through struct nvk_api.
#ifndef NORMA_SRC_VULKAN_NVK_H
#define NORMA_SRC_VULKAN_NVK_H

#include "backend.h"
#include "schedule.h"
#define VK_NO_PROTOTYPES
#include <norma/vulkan.h>
#include <vulkan/vulkan.h>

// Functions that need no instance, and those that do; NVK_OPTIONAL may be missing.
#define NVK_GLOBAL_FUNCTIONS(X) \
    X(CreateInstance)           \
    X(EnumerateInstanceExtensionProperties)
#define NVK_INSTANCE_FUNCTIONS(X)                \
    X(DestroyInstance)                           \
    X(EnumeratePhysicalDevices)                  \
    X(GetPhysicalDeviceProperties)               \
    X(GetPhysicalDeviceFeatures)                 \
    X(GetPhysicalDeviceProperties2)              \
    X(GetPhysicalDeviceMemoryProperties)         \
    X(GetPhysicalDeviceExternalBufferProperties) \
    X(GetPhysicalDeviceQueueFamilyProperties)    \
    X(EnumerateDeviceExtensionProperties)        \
    X(CreateDevice)                              \
    X(DestroyDevice)                             \
    X(DeviceWaitIdle)                            \
    X(GetDeviceQueue)                            \
    X(QueueSubmit)                               \
    X(CreateBuffer)                              \
    X(DestroyBuffer)                             \
    X(CreateBufferView)                          \
    X(DestroyBufferView)                         \
    X(GetBufferMemoryRequirements)               \
    X(GetBufferMemoryRequirements2)              \
    X(AllocateMemory)                            \
    X(FreeMemory)                                \
    X(BindBufferMemory)                          \
    X(MapMemory)                                 \
    X(CreateShaderModule)                        \
    X(DestroyShaderModule)                       \
    X(CreateDescriptorSetLayout)                 \
    X(DestroyDescriptorSetLayout)                \
    X(CreatePipelineLayout)                      \
    X(DestroyPipelineLayout)                     \
    X(CreateComputePipelines)                    \
    X(DestroyPipeline)                           \
    X(CreateDescriptorPool)                      \
    X(DestroyDescriptorPool)                     \
    X(ResetDescriptorPool)                       \
    X(AllocateDescriptorSets)                    \
    X(UpdateDescriptorSets)                      \
    X(CreateCommandPool)                         \
    X(DestroyCommandPool)                        \
    X(ResetCommandPool)                          \
    X(AllocateCommandBuffers)                    \
    X(BeginCommandBuffer)                        \
    X(EndCommandBuffer)                          \
    X(CmdBindPipeline)                           \
    X(CmdBindDescriptorSets)                     \
    X(CmdPushConstants)                          \
    X(CmdDispatch)                               \
    X(CmdDispatchIndirect)                       \
    X(CmdPipelineBarrier)                        \
    X(CmdFillBuffer)                             \
    X(CmdCopyBuffer)                             \
    X(CmdResetQueryPool)                         \
    X(CmdWriteTimestamp)                         \
    X(CreateQueryPool)                           \
    X(DestroyQueryPool)                          \
    X(GetQueryPoolResults)                       \
    X(CreateFence)                               \
    X(DestroyFence)                              \
    X(ResetFences)                               \
    X(GetFenceStatus)                            \
    X(WaitForFences)
#define NVK_OPTIONAL_FUNCTIONS(X)        \
    X(GetMemoryHostPointerPropertiesEXT) \
    X(GetMemoryFdKHR)                    \
    X(GetMemoryFdPropertiesKHR)

struct nvk_api {
#define X(name) PFN_vk##name name;
    NVK_GLOBAL_FUNCTIONS(X)
    NVK_INSTANCE_FUNCTIONS(X)
    NVK_OPTIONAL_FUNCTIONS(X)
#undef X
};

// Called whenever a table was filled. filled.c, which does nothing, is the library's; the tests' own (tests/filled)
// calls the hook, by which a test puts its own functions there: the library has no such variable.
void nvk_api_filled(struct nvk_api *api);
extern void (*nvk_api_hook)(struct nvk_api *api); // the tests' alone. NULL: none

// vulkan_core.h does not have it. Whoever makes a device that lists it must enable it: so says the specification.
#define NVK_PORTABILITY_SUBSET "VK_KHR_portability_subset"

struct nvk_instance {
    struct nvk_api api;
    VkInstance handle;
    bool borrowed;                // the caller's
    norma_vulkan_objects objects; // then; what it points to is there while the context is made
};

// The caller's device, where there is one; null otherwise.
struct nvk_given {
    VkDevice device;
    VkQueue queue; // may be null
    void (*lock_queue)(void *user);
    void (*unlock_queue)(void *user);
    void *user;
    VkAllocationCallbacks allocation; // where nvk_device.allocation points to, if anywhere
};
enum { NVK_FAMILIES = 16 }; // of queues that are looked at

// Constants of the backend's own, behind those of the plan; the shaders' defaults suit what is not lean.
enum { NVK_CONST_ROLLED = NORMA_CONST_COUNT, NVK_CONST_CUT, NVK_CONST_PARAM_TYPE, NVK_CONST_COUNT };

// Storage buffers of set 0; the inputs among them, which lean modules read as texel buffers of set 1, by the same
// slots.
enum { NVK_BINDINGS = 11, NVK_TEXELS = 6, NVK_CALL_SETS = 16 };
// Those of the strided kernels, and behind them the table, of at most so many bytes.
enum { NVK_STRIDED = 12, NVK_TABLE_BYTES = 1024 };
enum nvk_layout { NVK_LAYOUT_ROWS, NVK_LAYOUT_LEAN, NVK_LAYOUT_STRIDED, NVK_LAYOUTS };
extern const uint32_t nvk_texel_slots[NVK_TEXELS];

// Bytes of a buffer that dispatches behind the last barrier bind.
struct nvk_range {
    VkBuffer buffer;
    uint64_t begin, end;
    bool written;
};
enum { NVK_MOST_RANGES = 64 * NVK_STRIDED };

// What a command buffer is recorded with; it belongs to one thread at a time.
struct nvk_tape {
    VkCommandBuffer command;
    VkDescriptorPool pool;
    VkDescriptorSet *ready[NVK_LAYOUTS]; // sets allocated before, `most` of each layout; NULL: `pool` gives them
    uint32_t most;                       // dispatches that may be recorded
    uint32_t used;                       // of the ready sets
    VkBufferView *views;                 // NVK_TEXELS a dispatch
    uint32_t view_count;
    struct norma_buffer tables; // NVK_TABLE_BYTES a dispatch; no impl until a strided kernel needs it
    uint32_t table_count;
    struct nvk_range ranges[NVK_MOST_RANGES]; // of the dispatches behind the last barrier
    uint32_t range_count;
};

// One submission: everything that has to live until the device is through with it. Recycled.
struct nvk_call {
    struct nvk_call *next;
    VkCommandPool commands;
    struct nvk_tape tape;
    uint32_t set_capacity; // dispatches
    VkQueryPool queries;   // null until timestamps are asked for
    VkFence fence;
    bool timed;
};

struct nvk_pipeline {
    struct nvk_pipeline *next;
    const struct module *module;
    enum nvk_layout layout;
    uint32_t constants[NVK_CONST_COUNT];
    VkPipeline handle;
};

struct nvk_buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t size;    // of handle
    uint64_t shift;   // of the first byte in handle
    uint64_t address; // of a wrapped buffer, where the caller said so
    bool borrowed;    // handle is the caller's
    // Of memory that others may have: its bytes and type, whether it is for this handle alone, and whether the others
    // may be another driver's.
    uint64_t allocation;
    uint32_t type;
    bool dedicated, foreign;
};

#define NVK_BUFFER_USAGE                                                             \
    (VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | \
     VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT)

struct nvk_device {
    const norma_allocator *allocator; // the context's
    struct nvk_instance *instance;
    const struct nvk_api *api;
    VkPhysicalDevice physical;
    struct nvk_given given;
    const VkAllocationCallbacks *allocation; // the caller's, or NULL
    VkPipelineCache pipeline_cache;          // likewise
    uint32_t version;                        // of the API: the lesser of the device's and ours
    bool driver_properties, host_import, has_float_controls;
    uint32_t float_controls;                // NVK_KEEPS_DENORMALS and the like that the driver promises on demand
    bool memory_fd, dma_buf, queue_foreign; // extensions for memory that others may have
    uint32_t dedicated_only;                // norma_handle_type bits
    bool portability;                       // the driver lacks corners of Vulkan, none of which Norma needs
    bool lean;         // whether lean modules pay, and run: 64-bit integers, any range bound as texels
    bool lean_dropped; // the driver does not compile them. Guarded by pipeline_lock
    bool strided;      // a shader may have as many storage buffers as the strided kernels
    uint32_t memory_type, staging_type;
    double timestamp_period; // nanoseconds
    uint64_t timestamp_mask;
    VkDevice handle;
    VkQueue queue;
    uint32_t family;
    VkDescriptorSetLayout set_layouts[NVK_LAYOUTS]; // storage buffers, texel buffers, the strided kernels' buffers
    VkPipelineLayout layouts[NVK_LAYOUTS];          // the first set; the first two; the third
    pthread_mutex_t pipeline_lock;
    struct nvk_pipeline *pipelines; // guarded by pipeline_lock
    pthread_mutex_t queue_lock;
    struct nvk_call *idle, *orphans; // guarded by queue_lock; orphans run on without an event
    pthread_mutex_t staging_lock;
    struct norma_buffer staging; // guarded by staging_lock; made when first needed
};

static inline struct nvk_device *nvk_device_of(struct norma_device *device)
{
    return device->impl;
}

static inline struct nvk_buffer *nvk_buffer_of(struct norma_buffer *buffer)
{
    return buffer->impl;
}

// The status of a failed Vulkan call, with its name in the message.
norma_status nvk_fail(const char *call, VkResult result);

// One call of the table: `NVK(device->api->BindBufferMemory(...))` leaves to `error` with `status` set.
#define NVK(call)                                 \
    do {                                          \
        const VkResult nvk_result = (call);       \
        if (nvk_result != VK_SUCCESS) {           \
            status = nvk_fail(#call, nvk_result); \
            goto error;                           \
        }                                         \
    } while (0)

// loader.c
norma_status nvk_enumerate(norma_context *context, void (*add)(void *user, struct norma_device *device), void *user,
                           void **instance);
void nvk_finish(void *instance);
bool nvk_load_library(struct nvk_api *api);
bool nvk_load_instance(struct nvk_api *api, VkInstance instance, PFN_vkGetInstanceProcAddr get);
norma_status nvk_add_device(norma_context *context, struct nvk_instance *instance, VkPhysicalDevice physical,
                            uint32_t index, void (*add)(void *user, struct norma_device *device), void *user);

// given.c
norma_status nvk_enumerate_given(norma_context *context, const norma_vulkan_objects *objects,
                                 void (*add)(void *user, struct norma_device *device), void *user, void **instance);
void nvk_take_given(struct nvk_device *d, const norma_vulkan_objects *objects);
bool nvk_given_extension(const norma_vulkan_objects *objects, const char *name);
void nvk_given_idle(struct nvk_device *d);

// identity.c: what the table of known faults goes by; id: VkDriverId, 0 where the driver does not tell.
void nvk_driver_key(const VkPhysicalDeviceProperties *properties, uint32_t id, struct norma_driver_key *key);

// device.c
norma_status nvk_describe_device(struct nvk_device *d, struct norma_device *device);
norma_status nvk_open(struct norma_device *device);
void nvk_close(struct norma_device *device);

// buffer.c
norma_status nvk_buffer_create(struct norma_device *device, uint64_t size, struct norma_buffer *buffer);
norma_status nvk_buffer_import(struct norma_device *device, void *host, uint64_t size, struct norma_buffer *buffer);
void nvk_buffer_finish(struct norma_buffer *buffer);
// The VkBuffer of b->size bytes; next: of its VkBufferCreateInfo.
norma_status nvk_buffer_handle(struct nvk_device *d, struct nvk_buffer *b, const void *next);
// All of it, and b.
void nvk_buffer_release(struct nvk_device *d, struct nvk_buffer *b);
// Whether the host sees memory of that type without flushes.
bool nvk_mappable(struct nvk_device *d, uint32_t type);
// Mapped memory that both see without flushes, of that size at least.
norma_status nvk_mapped_create(struct norma_device *device, uint64_t size, struct norma_buffer *buffer);
// Mapped memory for transfers to buffers that the host cannot map; the caller holds staging_lock.
norma_status nvk_staging(struct norma_device *device, uint64_t size);

// external.c
const char *nvk_handle_extension(norma_handle_type type);
void nvk_external_caps(struct nvk_device *d, struct norma_caps *caps);
norma_status nvk_buffer_create_shared(struct norma_device *device, uint64_t size, norma_handle_type type,
                                      struct norma_buffer *buffer);
norma_status nvk_buffer_share(struct norma_buffer *buffer, norma_memory_handle *handle);
norma_status nvk_buffer_take(struct norma_device *device, const norma_memory_handle *handle,
                             struct norma_buffer *buffer);
// NORMA_COMMAND_ACQUIRE or _RELEASE, whose buffer the device uses in `stages` by the accesses `used`.
void nvk_record_turn(struct nvk_device *d, struct nvk_tape *tape, const struct norma_command *command,
                     VkPipelineStageFlags stages, VkAccessFlags used);

// float_controls.c: a copy of the module that demands d->float_controls, the caller's to free; bytes.
enum { NVK_KEEPS_DENORMALS = 1, NVK_KEEPS_NONFINITE = 2, NVK_ROUNDS_TO_EVEN = 4 };
norma_status nvk_control_floats(const struct nvk_device *d, const uint32_t *code, size_t size, uint32_t **out,
                                size_t *out_size);

// pipeline.c
norma_status nvk_describe(struct norma_device *device, norma_dispatch *dispatch);
norma_status nvk_prepare(struct norma_device *device, const norma_dispatch *dispatch);
norma_status nvk_pipeline(struct norma_device *device, const norma_dispatch *dispatch,
                          const struct nvk_pipeline **pipeline);
// The same, but NORMA_ERROR_UNSUPPORTED where it is not compiled yet.
norma_status nvk_pipeline_find(struct norma_device *device, const norma_dispatch *dispatch,
                               const struct nvk_pipeline **pipeline);
// The bytes of a texel, a quad, of what is bound to the slot.
uint32_t nvk_texel_bytes(const norma_dispatch *dispatch, uint32_t slot);
void nvk_pipelines_finish(struct nvk_device *d);

// call.c
norma_status nvk_call_take(struct norma_device *device, uint32_t sets, bool timed, struct nvk_call **call);
void nvk_call_drop(struct nvk_device *d, struct nvk_call *call); // one that was not submitted
void nvk_calls_finish(struct nvk_device *d);
norma_status nvk_event_wait(struct norma_event *event);
norma_status nvk_event_seconds(struct norma_event *event, double *seconds);
void nvk_event_finish(struct norma_event *event);

// record.c
#define NVK_COUNTED_STAGES (VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT)
// Memory is ordered between the stages, from the accesses before to those behind.
void nvk_record_barrier(struct nvk_device *d, struct nvk_tape *tape, VkPipelineStageFlags stages, VkAccessFlags written,
                        VkAccessFlags used);
// With a barrier before it where it needs one; the pipeline is the dispatch's. Allocates nothing where the tape has
// ready sets and tables.
norma_status nvk_record_dispatch(struct norma_device *device, struct nvk_tape *tape,
                                 const struct norma_command *command, const struct nvk_pipeline *pipeline);

// recorder.c
// Compiles what counts rows; a recording that wants it is refused where the driver does not.
void nvk_recorder_prepare(struct norma_device *device);
norma_status nvk_recorder_create(struct norma_device *device, uint32_t dispatches, void **recorder);
void nvk_recorder_reset(void *recorder);
void nvk_recorder_finish(struct norma_device *device, void *recorder);
norma_status nvk_record(struct norma_device *device, void *recorder, const struct norma_command *commands, size_t count,
                        const void *target);

// submit.c
norma_status nvk_submit(struct norma_device *device, const struct norma_command *commands, size_t count,
                        struct norma_event *const *waits, size_t wait_count, bool timestamps,
                        struct norma_event *event);

#endif
