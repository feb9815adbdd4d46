#ifndef NORMA_SRC_CONTEXT_H
#define NORMA_SRC_CONTEXT_H

#include "backend.h"

#define NORMA_MAX_DEVICES 32
#define NORMA_BACKENDS 3

struct norma_context {
    struct norma_device *devices[NORMA_MAX_DEVICES];
    bool allowed[NORMA_MAX_DEVICES]; // matches `wanted`
    size_t device_count;
    void *instance[NORMA_BACKENDS];     // private: what each backend's enumerate keeps
    const norma_context_params *params; // while the context is made
    char wanted[128];                   // which devices may be used; "auto" for all
    char cache_dir[512];                // "" for none
    uint64_t memory_budget;
    int threads;
    bool invariant;
    bool warned; // a failing device was reported; guarded by lock
    pid_t pid;
    pthread_mutex_t lock;
    void (*log)(void *user, int level, const char *message);
    void *log_user;
    const norma_allocator *allocator;
};

// NORMA_ERROR_FORKED in a child of the process that made the context.
norma_status norma_context_check_fork(const norma_context *context);
// Whether a device goes by that name (norma_context_params.device).
bool norma_device_matches(const struct norma_device *device, const char *name);

// Opens and self-tests a device once. NORMA_OK means usable; the message says why it is not.
norma_status norma_device_ready(struct norma_device *device);
// After a driver call failed: remembers a lost device.
void norma_device_failed(struct norma_device *device, norma_status status);

// Runs small problems on the device against plain double arithmetic. A failing shuffle only loses the shuffle variants.
norma_status norma_device_self_test(struct norma_device *device);

// The figures: from the cache directory, else measured and kept there.
norma_status norma_figures_get(struct norma_device *device, bool measure_again);

#endif
