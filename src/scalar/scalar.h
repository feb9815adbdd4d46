// Private to the scalar backend.
#ifndef NORMA_SRC_SCALAR_SCALAR_H
#define NORMA_SRC_SCALAR_SCALAR_H

#include "../backend.h"
#include "loops.h"

// Threads that wait for work. One job at a time; whoever finds the pool busy works alone, so that the number of
// threads stays what the context allows.
struct nsc_pool;

// A job cuts [0, units) into pieces and calls run on each, on any thread.
struct nsc_job {
    void (*run)(void *user, uint64_t first, uint64_t count);
    void *user;
    uint64_t units, piece;
};

// threads counts the caller too. NULL where no thread could be started.
struct nsc_pool *nsc_pool_create(int threads, const norma_allocator *allocator);
// Returns when all is done.
void nsc_pool_run(struct nsc_pool *pool, const struct nsc_job *job);
// False in a forked child, which has none of the threads.
bool nsc_pool_is_ours(const struct nsc_pool *pool);
void nsc_pool_destroy(struct nsc_pool *pool);

struct nsc_device {
    const struct nsc_loops *loops;
    int threads;
    pthread_mutex_t lock; // held by the one that uses the pool
    struct nsc_pool *pool;
};

norma_status nsc_enumerate(norma_context *context, void (*add)(void *user, struct norma_device *device), void *user,
                           void **instance);
void nsc_finish(void *instance);
norma_status nsc_open(struct norma_device *device);
void nsc_close(struct norma_device *device);

norma_status nsc_buffer_create(struct norma_device *device, uint64_t size, struct norma_buffer *buffer);
norma_status nsc_buffer_import(struct norma_device *device, void *host, uint64_t size, struct norma_buffer *buffer);
void nsc_buffer_finish(struct norma_buffer *buffer);

norma_status nsc_prepare(struct norma_device *device, const norma_dispatch *dispatch);
norma_status nsc_submit(struct norma_device *device, const struct norma_command *commands, size_t count,
                        struct norma_event *const *waits, size_t wait_count, bool timestamps,
                        struct norma_event *event);
norma_status nsc_event_wait(struct norma_event *event);
norma_status nsc_event_seconds(struct norma_event *event, double *seconds);
void nsc_event_finish(struct norma_event *event);

// Runs the job on all threads if it moves this many bytes or more, else on the caller's alone.
#define NSC_PARALLEL_BYTES ((uint64_t)256 << 10)
void nsc_run(struct norma_device *device, const struct nsc_job *job, uint64_t bytes);

// A dispatch of row_whole, and one of strided_whole, whose table is a struct norma_form.
norma_status nsc_rows_dispatch(struct norma_device *device, const struct norma_command *command);
norma_status nsc_strided_dispatch(struct norma_device *device, const struct norma_command *command);
#ifdef NORMA_WITHOUT_STRIDED // and nobody calls it
#define nsc_strided_dispatch(device, command) \
    norma_fail(NORMA_ERROR_UNSUPPORTED, "x: this build has no strided kernels")
#endif

#endif
