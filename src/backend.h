// The only seam between Norma and a driver: a table of functions with three implementations (scalar, opencl, vulkan).
// Everything above it is common; a backend decides nothing.
#ifndef NORMA_SRC_BACKEND_H
#define NORMA_SRC_BACKEND_H

#include "caps.h"
#include "faults.h"
#include "memory.h"
#include "platform.h"
#include <norma/describe.h>
#include <norma/external.h>
#include <norma/plan.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

struct norma_device;

struct norma_buffer {
    struct norma_device *device;
    uint64_t size;
    void *host;      // imported memory, or where the driver maps it; may be NULL
    void *impl;      // private: the backend's
    void *mirror;    // norma_buffer_from_host's memory, else NULL; it is `host` where nothing is copied
    uint32_t shared; // norma_handle_type of memory that others may have, else 0
    bool imported;   // by a handle
};

struct norma_event {
    struct norma_device *device;
    void *impl; // private: the backend's
};

enum norma_command_kind {
    NORMA_COMMAND_WRITE,
    NORMA_COMMAND_READ,
    NORMA_COMMAND_DISPATCH,
    NORMA_COMMAND_COPY,
    NORMA_COMMAND_ACQUIRE, // buffer, of shared memory, is the device's from here on
    NORMA_COMMAND_RELEASE, // the others' again
    NORMA_COMMAND_FILL     // recorded alone: row_bytes from offset become the value, again and again
};

struct norma_command {
    enum norma_command_kind kind;
    // WRITE and READ: rows of row_bytes between host (pitch bytes apart) and buffer (dense, from offset).
    // COPY: row_bytes from buffer at offset to other at other_offset, by the driver's own copy command.
    struct norma_buffer *buffer, *other;
    uint64_t offset, other_offset;
    void *host;
    uint64_t host_pitch, row_bytes, rows;
    // FILL: value is one element; those below a word of 4 bytes are 0.
    struct {
        unsigned char bytes[8];
        uint32_t size;
    } value;
    // DISPATCH: bound[i] replaces the tensor of dispatch->bindings[i]; its offset is already the final one.
    const norma_dispatch *dispatch;
    struct norma_buffer *bound[NORMA_MAX_BINDINGS];
    uint64_t bound_offset[NORMA_MAX_BINDINGS];
    struct norma_buffer *groups; // three uint32_t at the offset are the workgroups; NULL: those of the dispatch
    uint64_t groups_offset;
};

struct norma_backend {
    const char *name; // "scalar", "opencl", "vulkan"
    // Calls add(user, device) for each device that the driver lists: device has its name, driver, key, uuid, id, kind
    // and caps.api filled and impl set; the other caps may wait until open. Returns NORMA_OK with no device where the
    // driver's library is missing.
    norma_status (*enumerate)(norma_context *context, void (*add)(void *user, struct norma_device *device), void *user,
                              void **instance);
    // Frees what enumerate kept, after all its devices are destroyed.
    void (*finish)(void *instance);
    // Makes queues, fills caps (subgroup_shuffle as the driver claims it: the self-test above decides).
    norma_status (*open)(struct norma_device *device);
    // Waits for the device, frees everything of it but struct norma_device itself. Works on unopened and lost devices.
    void (*close)(struct norma_device *device);
    norma_status (*buffer_create)(struct norma_device *device, uint64_t size, struct norma_buffer *buffer);
    // Binds host memory [host, host+size) without a copy; host is any pointer that the type's alignment allows, the
    // backend rounds to host_align and keeps the rest in buffer->impl (bindings at offset 0 mean `host`). NULL: not
    // possible. NORMA_ERROR_UNSUPPORTED where the driver refuses: the caller copies instead.
    norma_status (*buffer_import)(struct norma_device *device, void *host, uint64_t size, struct norma_buffer *buffer);
    void (*buffer_finish)(struct norma_buffer *buffer);
    // Memory that handles name, of a type that caps.exports or caps.imports has. share fills in what is the driver's;
    // take uses a copy of handle->fd and leaves that one alone. NULL: the backend never sets such a type.
    norma_status (*buffer_create_shared)(struct norma_device *device, uint64_t size, norma_handle_type type,
                                         struct norma_buffer *buffer);
    norma_status (*buffer_share)(struct norma_buffer *buffer, norma_memory_handle *handle);
    norma_status (*buffer_take)(struct norma_device *device, const norma_memory_handle *handle,
                                struct norma_buffer *buffer);
    // The extension without which there is no such type.
    const char *(*handle_extension)(norma_handle_type type);
    // Compiles what a dispatch needs, if it is not there yet. Counted in device->programs.
    norma_status (*prepare)(struct norma_device *device, const norma_dispatch *dispatch);
    // Submits the commands, in order, after the events in waits and after everything submitted before on their stream.
    // One call holds one kind of stream: WRITE is upload, READ download, all else compute; no commands at all give an
    // event of the compute stream. Fills event (an impl of NULL: done already). Data that commands point to is used
    // during the call only, host memory of WRITE and READ until the event. Thread-safe: the backend locks what the API
    // wants locked.
    norma_status (*submit)(struct norma_device *device, const struct norma_command *commands, size_t count,
                           struct norma_event *const *waits, size_t wait_count, bool timestamps,
                           struct norma_event *event);
    norma_status (*event_wait)(struct norma_event *event);
    norma_status (*event_seconds)(struct norma_event *event, double *seconds);
    void (*event_finish)(struct norma_event *event);
    // What recording needs: descriptor sets and the like for so many dispatches. NULL, and the three below: the backend
    // does not record.
    norma_status (*recorder_create)(struct norma_device *device, uint32_t dispatches, void **recorder);
    void (*recorder_reset)(void *recorder);
    void (*recorder_finish)(struct norma_device *device, void *recorder);
    // Records the commands, fills alone or dispatches, in OpenCL behind a copy, into target: the backend's own record
    // or enqueue parameters. Allocates, compiles, submits nothing. recorder is what recorder_create made.
    norma_status (*record)(struct norma_device *device, void *recorder, const struct norma_command *commands,
                           size_t count, const void *target);
    // For norma_describe: sets code and code_size, adds the constants that are the backend's own, and sets options to
    // build options, of device->allocator and the caller's to free. NULL: there is nothing to hand out (scalar).
    norma_status (*describe)(struct norma_device *device, norma_dispatch *dispatch);
};

extern const struct norma_backend norma_backend_scalar;
extern const struct norma_backend norma_backend_opencl;
extern const struct norma_backend norma_backend_vulkan;

enum norma_device_state { NORMA_STATE_FOUND, NORMA_STATE_OPEN, NORMA_STATE_SET_ASIDE, NORMA_STATE_LOST };

struct norma_device {
    const struct norma_backend *backend;
    norma_context *context;
    const norma_allocator *allocator; // the context's; NULL: the C library's
    char id[16], name[128], driver[128];
    uint8_t uuid[16];
    struct norma_driver_key key;
    struct norma_avoid avoid; // found before it is opened
    struct norma_caps caps;
    struct norma_figures figures;
    _Atomic uint32_t rate; // the float32 bits of bytes a second for the time budget, 0: not known. For any thread
    enum norma_device_state state; // guarded by lock
    atomic_bool ready;             // state is OPEN and the self-test is over: nobody needs the lock to see that
    char reason[256];
    uint32_t programs; // guarded by the backend's own lock
    // Variants that the driver did not compile (norma_variant_bit).
    _Atomic uint32_t dropped;
    pid_t pid; // of the process that opened it
    pthread_mutex_t lock;
    void *impl; // private: the backend's
};

// Allocated by norma_device_new, freed by the context.
struct norma_device *norma_device_new(norma_context *context, const struct norma_backend *backend);
// The caller's own objects, while the context is made; NULL outside it and where there are none.
const struct norma_vulkan_objects *norma_context_vulkan(const norma_context *context);
const struct norma_opencl_objects *norma_context_opencl(const norma_context *context);
const norma_allocator *norma_context_allocator(const norma_context *context);
// Threads of the scalar path.
int norma_context_threads(const norma_context *context);

// Keeps a message for norma_last_error and returns status: `return norma_fail(NORMA_ERROR_DEVICE, "clFinish: %s",
// ...)`.
norma_status norma_fail(norma_status status, const char *format, ...) NORMA_PRINTF(2, 3);
// To the context's log. level as norma_context_params.log.
void norma_log(const norma_context *context, int level, const char *format, ...) NORMA_PRINTF(3, 4);

#endif
