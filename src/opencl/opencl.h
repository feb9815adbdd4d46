// Private to the OpenCL backend: what hides behind the impl pointers of src/backend.h.
#ifndef NORMA_SRC_OPENCL_OPENCL_H
#define NORMA_SRC_OPENCL_OPENCL_H

#include "backend.h"
#include "loader.h"
#include <norma/opencl.h>

enum { NCL_BINDINGS = 12 }; // of a dispatch at most

// In-order queues, one a stream.
enum ncl_stream { NCL_UPLOAD, NCL_COMPUTE, NCL_DOWNLOAD, NCL_STREAMS };

#define NCL_PROGRAM_BUCKETS 64

// One built kernel; lives until the device is closed.
struct ncl_program {
    struct ncl_program *next;
    const char *name; // static: one of the family's kernels
    norma_constant constants[NORMA_MAX_CONSTANTS];
    uint32_t constant_count;
    cl_program program;
    cl_kernel kernel; // its arguments are guarded by ncl_device.submit
};

// Of cl_khr_external_memory.
typedef cl_int(CL_API_CALL *ncl_enqueue_external)(cl_command_queue queue, cl_uint count, const cl_mem *memories,
                                                  cl_uint wait_count, const cl_event *waits, cl_event *event);

struct ncl_device {
    const norma_allocator *allocator; // the context's
    const struct ncl_api *api;        // the context's
    cl_platform_id platform;
    cl_device_id id;
    pid_t pid; // of the process that opened it
    bool opened;
    cl_context given; // the caller's, or NULL
    cl_context context;
    cl_command_queue queue[NCL_STREAMS];
    char options[128]; // of every build
    // For memory that others may have; set where the platform has them.
    ncl_enqueue_external acquire, release;
    pthread_mutex_t submit; // kernel arguments and what is enqueued with them
    pthread_mutex_t lock;   // programs
    struct ncl_program *programs[NCL_PROGRAM_BUCKETS];
};

struct ncl_buffer {
    cl_mem memory;
    uint64_t before; // bytes of the imported range that lie before the caller's pointer
    bool imported;
    bool borrowed; // memory is the caller's
    bool written;  // imported, and a kernel writes it: to be handed back to the host. Guarded by ncl_device.submit
};

struct ncl_event {
    cl_event first, last; // of the commands proper: for timestamps; first may be last
    cl_event done;        // when the host may look: last, or what hands imported memory back
};

static inline struct ncl_device *ncl_device(const struct norma_device *device)
{
    return device->impl;
}

static inline struct ncl_buffer *ncl_buffer(const struct norma_buffer *buffer)
{
    return buffer->impl;
}

// NORMA_ERROR_FORKED in a child of the process that opened the device: its driver's threads are not there.
norma_status ncl_check_fork(const struct norma_device *device);
bool ncl_forked(const struct norma_device *device);

// *instance is the context's struct ncl_api, which all its devices share; NULL where there is no library.
norma_status ncl_enumerate(norma_context *context, void (*add)(void *user, struct norma_device *device), void *user,
                           void **instance);
norma_status ncl_add_device(norma_context *context, const struct ncl_api *api, cl_platform_id platform, cl_device_id id,
                            uint32_t index, void (*add)(void *user, struct norma_device *device), void *user);
norma_status ncl_enumerate_given(norma_context *context, const struct ncl_api *api, const norma_opencl_objects *objects,
                                 void (*add)(void *user, struct norma_device *device), void *user);
void ncl_finish(void *instance);
norma_status ncl_open(struct norma_device *device);
void ncl_close(struct norma_device *device);

norma_status ncl_buffer_create(struct norma_device *device, uint64_t size, struct norma_buffer *buffer);
norma_status ncl_buffer_import(struct norma_device *device, void *host, uint64_t size, struct norma_buffer *buffer);
void ncl_buffer_finish(struct norma_buffer *buffer);

bool ncl_has_extension(const struct ncl_device *cl, const char *name);
const char *ncl_handle_extension(norma_handle_type type);
void ncl_external_caps(struct ncl_device *cl, struct norma_caps *caps);
norma_status ncl_buffer_take(struct norma_device *device, const norma_memory_handle *handle,
                             struct norma_buffer *buffer);
// NORMA_COMMAND_ACQUIRE or _RELEASE.
norma_status ncl_enqueue_turn(const struct ncl_device *cl, cl_command_queue queue, const struct norma_command *command,
                              cl_uint wait_count, const cl_event *waits, cl_event *event);

norma_status ncl_describe(struct norma_device *device, norma_dispatch *dispatch);
// Finds or builds the dispatch's kernel; *program is the device's. program may be NULL.
norma_status ncl_program_get(struct norma_device *device, const norma_dispatch *dispatch, struct ncl_program **program);
// NORMA_ERROR_UNSUPPORTED where it is not built yet.
norma_status ncl_program_find(struct norma_device *device, const norma_dispatch *dispatch);
norma_status ncl_prepare(struct norma_device *device, const norma_dispatch *dispatch);
void ncl_programs_finish(struct ncl_device *device);

// One dispatch on a queue of the device's context; event may be NULL. ncl_device.submit is held.
norma_status ncl_enqueue(struct norma_device *device, cl_command_queue queue, const struct norma_command *command,
                         cl_uint wait_count, const cl_event *waits, cl_event *event);
// One copy between two buffers, likewise.
norma_status ncl_enqueue_copy(const struct ncl_api *api, cl_command_queue queue, const struct norma_command *command,
                              cl_uint wait_count, const cl_event *waits, cl_event *event);

norma_status ncl_recorder_create(struct norma_device *device, uint32_t dispatches, void **recorder);
void ncl_recorder_reset(void *recorder);
void ncl_recorder_finish(struct norma_device *device, void *recorder);
norma_status ncl_record(struct norma_device *device, void *recorder, const struct norma_command *commands, size_t count,
                        const void *target);

norma_status ncl_submit(struct norma_device *device, const struct norma_command *commands, size_t count,
                        struct norma_event *const *waits, size_t wait_count, bool timestamps,
                        struct norma_event *event);
norma_status ncl_event_wait(struct norma_event *event);
norma_status ncl_event_seconds(struct norma_event *event, double *seconds);
void ncl_event_finish(struct norma_event *event);

#endif
