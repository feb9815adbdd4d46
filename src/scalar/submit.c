#include "scalar.h"
#include <string.h>
#include <time.h>

void nsc_run(struct norma_device *device, const struct nsc_job *job, uint64_t bytes)
{
    struct nsc_device *impl = device->impl;
    // A pool in use means that other callers keep the cores busy; and in a forked child the lock may be held for ever.
    if (bytes < NSC_PARALLEL_BYTES || impl->threads < 2 || pthread_mutex_trylock(&impl->lock) != 0) {
        job->run(job->user, 0, job->units);
        return;
    }
    if (impl->pool && !nsc_pool_is_ours(impl->pool))
        impl->pool = NULL; // the parent's: its locks are in an unknown state, so it is left alone
    if (!impl->pool)
        impl->pool = nsc_pool_create(impl->threads, device->allocator);
    if (impl->pool)
        nsc_pool_run(impl->pool, job);
    else
        job->run(job->user, 0, job->units);
    pthread_mutex_unlock(&impl->lock);
}

struct copy {
    char *to;
    const char *from;
};

static void copy_piece(void *user, uint64_t first, uint64_t count)
{
    const struct copy *copy = user;
    memcpy(copy->to + first, copy->from + first, count);
}

// One long piece a thread: memcpy turns to streaming stores only where it sees a large size.
static void copy_bytes(struct norma_device *device, char *to, const char *from, uint64_t bytes)
{
    const struct nsc_device *impl = device->impl;
    struct copy copy = {to, from};
    uint64_t piece = bytes / (uint64_t)impl->threads + 1;
    piece = (piece + 4095) / 4096 * 4096;
    nsc_run(device, &(struct nsc_job){copy_piece, &copy, bytes, piece}, bytes);
}

static void transfer(struct norma_device *device, const struct norma_command *command)
{
    bool write = command->kind == NORMA_COMMAND_WRITE;
    uint64_t pitch = command->host_pitch, row = command->row_bytes, rows = command->rows;
    char *dense = (char *)command->buffer->host + command->offset;
    char *host = command->host;
    if (host == dense) // the caller's memory is the buffer's
        return;
    if (pitch == row) {
        row *= rows;
        rows = rows > 0;
    }
    for (uint64_t i = 0; i < rows; i++)
        copy_bytes(device, write ? dense + i * row : host + i * pitch, write ? host + i * pitch : dense + i * row, row);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

norma_status nsc_prepare(struct norma_device *device, const norma_dispatch *dispatch)
{
    (void)device;
    if (strcmp(dispatch->kernel, "row_whole") != 0 && strcmp(dispatch->kernel, "strided_whole") != 0)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "scalar: there is no kernel %s", dispatch->kernel);
    return NORMA_OK;
}

norma_status nsc_submit(struct norma_device *device, const struct norma_command *commands, size_t count,
                        struct norma_event *const *waits, size_t wait_count, bool timestamps, struct norma_event *event)
{
    (void)waits; // done before submit returned
    (void)wait_count;
    event->device = device;
    event->impl = NULL;
    double *seconds = NULL, begin = 0;
    if (timestamps) {
        seconds = norma_alloc(device->allocator, sizeof *seconds);
        if (!seconds)
            return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
        begin = seconds_now();
    }
    norma_status status = NORMA_OK;
    for (size_t i = 0; i < count && status == NORMA_OK; i++) {
        const struct norma_command *command = &commands[i];
        if (command->kind == NORMA_COMMAND_DISPATCH)
            status =
                command->dispatch->table ? nsc_strided_dispatch(device, command) : nsc_rows_dispatch(device, command);
        else if (command->kind == NORMA_COMMAND_COPY)
            copy_bytes(device, (char *)command->other->host + command->other_offset,
                       (char *)command->buffer->host + command->offset, command->row_bytes);
        else
            transfer(device, command);
    }
    if (timestamps && status == NORMA_OK) {
        *seconds = seconds_now() - begin;
        event->impl = seconds;
        seconds = NULL;
    }
    norma_free(seconds);
    return status;
}

norma_status nsc_event_wait(struct norma_event *event)
{
    (void)event;
    return NORMA_OK;
}

norma_status nsc_event_seconds(struct norma_event *event, double *seconds)
{
    if (!event->impl)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "scalar: the work was submitted without timestamps");
    *seconds = *(const double *)event->impl;
    return NORMA_OK;
}

void nsc_event_finish(struct norma_event *event)
{
    norma_free(event->impl);
    event->impl = NULL;
}
