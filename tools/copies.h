// The copies that a bench holds an operator against: how fast the device moves as many bytes without computing.
#ifndef NORMA_TOOLS_COPIES_H
#define NORMA_TOOLS_COPIES_H

#include "backend.h"
#include <stdatomic.h>
#include <stdbool.h>

enum { COPY_MAX_KINDS = 8, COPY_MAX_THREADS = 64, COPY_ALIGN = 64 };

struct copy_kind {
    const char *name;
    enum { COPY_MEMCPY, COPY_COMMAND, COPY_KERNEL } what;
    uint32_t local, per_group; // kernel
    bool stream;
    bool empty; // copies nothing: what a launch takes
    struct norma_command *commands;
    norma_dispatch *dispatches;
    size_t count;
};

struct copies {
    struct norma_device *device;
    struct norma_buffer *from, *to;
    bool device_clock; // a single copy's time is the device's own; set by who wants it
    uint64_t bytes;    // that one copy reads, and as many it writes; a multiple of COPY_ALIGN
    struct copy_kind kind[COPY_MAX_KINDS];
    size_t kinds;
    // memcpy on all cores
    char *source, *target;
    void *owned_source, *owned_target; // where the buffers are not in host memory
    int threads;
    pthread_t thread[COPY_MAX_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    unsigned job; // counts up, guarded by lock
    int repeats;
    bool stop;
    atomic_int next_index;
    atomic_uint arrived, finished;
};

// Every copy that works on the device, between two buffers of it of at least bytes. False after a message.
bool copies_start(struct copies *copies, struct norma_device *device, struct norma_buffer *from,
                  struct norma_buffer *to, uint64_t bytes);
void copies_finish(struct copies *copies);
// Seconds of one of `repeats` copies, all submitted before the last is waited for; negative where one failed.
double copies_time(struct copies *copies, size_t kind, int repeats);

#endif
