#ifndef NORMA_CONTEXT_H
#define NORMA_CONTEXT_H

#include <norma/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Structs that begin with a `size` may be of an earlier or a later version of these headers than the library: members
// that they lack count as 0, bytes that the library does not know must be 0 and are set to 0 in results.

// Finds devices, keeps them open, schedules on them. No global state: any number may exist. Thread-safe throughout.
typedef struct norma_context norma_context;
// One driver's device, or the scalar path. Owned by its context, valid until that is destroyed.
typedef struct norma_device norma_device;

// norma/vulkan.h and norma/opencl.h: the objects of a caller that has its own device.
struct norma_vulkan_objects;
struct norma_opencl_objects;

// Where the host's memory comes from. The functions may be called from any thread at once; memory is aligned as
// malloc's is; NULL of allocate and reallocate is NORMA_ERROR_OUT_OF_MEMORY of the call. Sizes are not 0, memory is not
// NULL; reallocate keeps the old block where it fails.
typedef struct norma_allocator {
    void *user;
    void *(*allocate)(void *user, size_t size);
    void *(*reallocate)(void *user, void *memory, size_t size);
    void (*release)(void *user, void *memory);
} norma_allocator;

typedef struct norma_context_params {
    size_t size; // sizeof(norma_context_params)
    // Which device the context may use: "auto", "scalar", "opencl", "opencl:1", "vulkan", "vulkan:1", a UUID, or part
    // of a device's name. NULL: the environment's NORMA_DEVICE, else "auto". Devices that do not match are not opened.
    const char *device;
    // Directory of the measured figures. NULL: NORMA_CACHE_DIR, else XDG_CACHE_HOME/norma, else ~/.cache/norma
    // (on Windows LOCALAPPDATA\norma\cache instead of these two).
    // "" keeps nothing on disk.
    const char *cache_dir;
    uint64_t memory_budget; // bytes that one operation may hold on a device at a time; 0: half of what the device has
    int32_t threads;        // of the scalar path; 0: NORMA_THREADS, else all cores
    int32_t invariant;      // 1: device and tree follow from operator, direction, row length and type alone, so the
                            // bits never change: GPUs before CPU drivers, whatever the size. A device that fails or
                            // refuses (a memory_budget too small for it) is an error; no other takes its place.
    // One line a call, without a newline: level 0 error, 1 warning, 2 info. NULL: warnings to stderr where NORMA_LOG is
    // set. May be called from any thread.
    void (*log)(void *user, int level, const char *message);
    void *log_user;
    // Where one is given, the context has that device and the scalar path alone: no driver is looked for, and the
    // environment's NORMA_DEVICE does not count. NULL: none.
    const struct norma_vulkan_objects *vulkan;
    const struct norma_opencl_objects *opencl;
    // Of all memory that the library asks for, for the context and what is made in it. Valid until that is destroyed;
    // NULL: malloc and its kin. Drivers, threads' stacks and the libraries that are opened have their own memory.
    const norma_allocator *allocator;
} norma_context_params;

#define NORMA_CONTEXT_DEFAULTS                                     \
    {                                                              \
        sizeof(norma_context_params), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

// Makes a context; params NULL means NORMA_CONTEXT_DEFAULTS. Loads libOpenCL and libvulkan where they are; a machine
// that has neither gets the scalar path. Strings are copied. NORMA_ERROR_NO_DEVICE if params->device matches nothing.
NORMA_API norma_status norma_context_create(const norma_context_params *params, norma_context **context);

// Waits for what runs on it, frees it with its devices, sets *context to NULL; NULL and *context NULL are fine.
// Buffers, plans and events must be gone. When a process ends, drivers are unusable once their own exit handlers have
// run: a context with a driver's device is destroyed, and used, at the latest by a handler that was given to atexit
// after norma_context_create. One of the device "scalar" alone may be made and destroyed at any time.
NORMA_API void norma_context_destroy(norma_context **context);

// The devices found, the scalar path always among them and last. norma_context_device is NULL from index count on.
NORMA_API size_t norma_context_device_count(const norma_context *context);
NORMA_API norma_device *norma_context_device(const norma_context *context, size_t index);

// The first device that name matches (as norma_context_params.device; "auto" is the context's first usable device).
NORMA_API norma_status norma_context_find_device(norma_context *context, const char *name, norma_device **device);

typedef enum norma_device_kind { NORMA_DEVICE_CPU, NORMA_DEVICE_INTEGRATED, NORMA_DEVICE_DISCRETE } norma_device_kind;

typedef struct norma_device_info {
    size_t size;         // sizeof(norma_device_info)
    const char *id;      // "scalar", "opencl:0", "vulkan:0"; strings live as long as the device
    const char *name;    // the driver's name for it
    const char *driver;  // the driver's name and version
    const char *backend; // "scalar", "opencl", "vulkan"
    uint8_t uuid[16];    // stable from run to run: the driver's own, or a hash of name and driver
    norma_device_kind kind;
    int32_t usable; // 1 when the self-test passed
    // Why it is not usable, else "". A device with a known fault of its driver (docs/faults.md) is not even opened, and
    // the reason names who reported it. The environment's NORMA_IGNORE_FAULTS=1 makes Norma ignore what is known.
    const char *reason;
    const char *reductions; // what the self-test chose: "subgroup", "local memory", "serial"
    uint64_t memory;        // bytes
    uint64_t max_range;     // bytes that one kernel argument may span
    uint32_t subgroup_size; // 0 where there is none
    uint32_t max_workgroup;
    int32_t host_memory; // 1: reads and writes the caller's memory without a copy
    int32_t timestamps;  // 1: norma_event_seconds works
    uint32_t programs;   // kernels compiled so far in this context
    double copy_rate;    // bytes read plus bytes written a second, measured; 0 where not measured yet
    double launch;       // seconds of one tiny call from host memory, measured; 0 where not measured yet
    // norma/external.h: bytes, of address and (above 8) size, for host memory to be used in place (0: never), and the
    // norma_handle_type bits of memory that can be handed out and taken in.
    uint64_t host_alignment;
    uint32_t exports, imports;
    // VkPhysicalDeviceIDProperties or cl_khr_device_uuid; 0 where the driver has none. luid: where has_luid is 1.
    uint8_t driver_uuid[16], luid[8];
    int32_t has_luid;
} norma_device_info;

// Opens the device and runs its self-test if that has not happened yet, then fills *info, whose size field the caller
// sets. A device that fails its self-test is no error here: usable is 0 and reason says why.
NORMA_API norma_status norma_device_get_info(norma_device *device, norma_device_info *info);

// Measures copy rate, launch and the kernels' rates (about a second a device), keeps them in the cache directory.
// norma_run and norma_explain do so by themselves when they first need the figures.
NORMA_API norma_status norma_device_measure(norma_device *device);

#ifdef __cplusplus
}
#endif
#endif
