#include "copies.h"
#include "message.h"
#include "progress.h"
#include "rows.h"
#include "schedule.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// One copy by all threads. It counts as done when the last is: they meet, as a kernel's workgroups do at its end.
static void copy_slices(struct copies *c, int index, int repeats)
{
    uint64_t begin = c->bytes / COPY_ALIGN * (uint64_t)index / (uint64_t)c->threads * COPY_ALIGN;
    uint64_t end = c->bytes / COPY_ALIGN * (uint64_t)(index + 1) / (uint64_t)c->threads * COPY_ALIGN;
    unsigned threads = (unsigned)c->threads;
    for (int i = 0; i < repeats; ++i) {
        memcpy(c->target + begin, c->source + begin, end - begin);
        unsigned goal = (unsigned)(i + 1) * threads;
        atomic_fetch_add(&c->arrived, 1);
        for (int spins = 0; atomic_load(&c->arrived) < goal; ++spins) {
            if (spins > 1000)
                sched_yield();
        }
    }
}

static void *copy_thread(void *user)
{
    struct copies *c = user;
    int index = atomic_fetch_add(&c->next_index, 1);
    unsigned seen = 0;
    for (;;) {
        pthread_mutex_lock(&c->lock);
        while (c->job == seen && !c->stop)
            pthread_cond_wait(&c->wake, &c->lock);
        seen = c->job;
        bool stop = c->stop;
        int repeats = c->repeats;
        pthread_mutex_unlock(&c->lock);
        if (stop)
            return NULL;
        copy_slices(c, index, repeats);
        atomic_fetch_add(&c->finished, 1);
    }
}

static void start_job(struct copies *c, int repeats)
{
    atomic_store(&c->arrived, 0);
    atomic_store(&c->finished, 0);
    pthread_mutex_lock(&c->lock);
    c->repeats = repeats;
    ++c->job;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static double time_memcpy(struct copies *c, int repeats)
{
    double start = now();
    start_job(c, repeats);
    copy_slices(c, 0, repeats);
    double seconds = now() - start;
    while (atomic_load(&c->finished) < (unsigned)(c->threads - 1))
        sched_yield();
    return seconds / repeats;
}

static bool start_memcpy(struct copies *c)
{
    c->source = c->from->host;
    c->target = c->to->host;
    if (!c->source || !c->target) {
        if (posix_memalign(&c->owned_source, 4096, c->bytes) || posix_memalign(&c->owned_target, 4096, c->bytes))
            return complain("x: no memory for the host's copy");
        c->source = memset(c->owned_source, 1, c->bytes);
        c->target = memset(c->owned_target, 1, c->bytes);
    }
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    atomic_store(&c->next_index, 1);
    c->threads = 1;
    int wanted = cores > COPY_MAX_THREADS ? COPY_MAX_THREADS : cores;
    while (c->threads < wanted && !pthread_create(&c->thread[c->threads], NULL, copy_thread, c))
        ++c->threads;
    c->kind[c->kinds++] = (struct copy_kind){.name = "memcpy on all cores", .what = COPY_MEMCPY};
    return true;
}

// The dispatch of one range; offsets are in bound_offset, as execute.c does it.
static void fill_dispatch(const struct copies *c, const struct copy_kind *kind, uint64_t offset, uint64_t bytes,
                          norma_dispatch *d, struct norma_command *command)
{
    static const char *const names[NORMA_CONST_COUNT] = {"LOCAL_SIZE", "RMS",  "X_TYPE",   "Y_TYPE",
                                                         "PROLOGUE",   "TEAM", "SUBGROUP", "REGISTERS"};
    bool serial = kind->local == 1;
    struct norma_row_args args = {0};
    args.n = kind->empty ? 0 : (uint32_t)(bytes / (serial ? 32 : 16));
    args.per_group = kind->per_group;
    uint32_t width = kind->local * kind->per_group, groups = kind->empty ? 1 : (args.n + width - 1) / width;
    uint32_t limit = c->device->caps.max_groups[0];
    *d = (norma_dispatch){.kernel = "copy", .constant_count = NORMA_CONST_COUNT, .binding_count = 11};
    for (uint32_t i = 0; i < NORMA_CONST_COUNT; ++i)
        d->constants[i] = (norma_constant){names[i], i, 0};
    d->constants[NORMA_CONST_LOCAL_SIZE].value = kind->local;
    d->constants[NORMA_CONST_TEAM].value = kind->local;
    d->constants[NORMA_CONST_REGISTERS].value = kind->stream; // the copy kernel has no rows to keep
    d->groups[0] = groups < limit ? groups : limit;
    d->groups[1] = (groups + d->groups[0] - 1) / d->groups[0];
    d->groups[2] = 1;
    d->local[0] = kind->local;
    d->local[1] = d->local[2] = 1;
    memcpy(d->args, &args, sizeof args);
    d->args_size = sizeof args;
    *command = (struct norma_command){.kind = NORMA_COMMAND_DISPATCH, .dispatch = d};
    for (uint32_t i = 0; i < d->binding_count; ++i) {
        d->bindings[i] =
            (norma_bound){i, i == NORMA_ARG_Y ? NORMA_ARG_Y : NORMA_ARG_X, offset, bytes, i == NORMA_ARG_Y};
        command->bound[i] = i == NORMA_ARG_Y ? c->to : c->from;
        command->bound_offset[i] = offset;
    }
}

static bool make_kind(struct copies *c, struct copy_kind *kind)
{
    const struct norma_caps *caps = &c->device->caps;
    uint64_t range = c->bytes;
    if (kind->what == COPY_KERNEL) {
        uint64_t limit = caps->max_range < (uint64_t)1 << 30 ? caps->max_range : (uint64_t)1 << 30;
        range = limit / 4096 * 4096;
    }
    kind->count = kind->empty ? 1 : (c->bytes + range - 1) / range;
    kind->commands = calloc(kind->count, sizeof *kind->commands);
    kind->dispatches = calloc(kind->count, sizeof *kind->dispatches);
    if (!kind->commands || !kind->dispatches)
        return complain("x: no memory for the copies");
    for (size_t i = 0; i < kind->count; ++i) {
        uint64_t offset = i * range, bytes = c->bytes - offset < range ? c->bytes - offset : range;
        if (kind->what == COPY_KERNEL)
            fill_dispatch(c, kind, offset, bytes, &kind->dispatches[i], &kind->commands[i]);
        else
            kind->commands[i] = (struct norma_command){.kind = NORMA_COMMAND_COPY,
                                                       .buffer = c->from,
                                                       .other = c->to,
                                                       .offset = offset,
                                                       .other_offset = offset,
                                                       .row_bytes = bytes,
                                                       .rows = 1};
    }
    return true;
}

// A kind that the driver cannot do is left out.
static bool add_kind(struct copies *c, struct copy_kind kind)
{
    struct copy_kind *slot = &c->kind[c->kinds];
    *slot = kind;
    if (!make_kind(c, slot))
        return false;
    bool works = kind.what != COPY_KERNEL || c->device->backend->prepare(c->device, slot->dispatches) == NORMA_OK;
    if (works && copies_time(c, c->kinds, 1) >= 0) {
        ++c->kinds;
    } else {
        free(slot->commands);
        free(slot->dispatches);
        memset(slot, 0, sizeof *slot);
    }
    return true;
}

static bool add_empty(struct copies *c, uint32_t local)
{
    return add_kind(c, (struct copy_kind){
                           .name = "empty kernel", .what = COPY_KERNEL, .local = local, .per_group = 1, .empty = true});
}

bool copies_start(struct copies *c, struct norma_device *device, struct norma_buffer *from, struct norma_buffer *to,
                  uint64_t bytes)
{
    memset(c, 0, sizeof *c);
    c->device = device;
    c->from = from;
    c->to = to;
    c->bytes = bytes;
    if (device->caps.kind == NORMA_DEVICE_CPU && !start_memcpy(c))
        return false;
    if (device->caps.api == NORMA_DRIVER_SCALAR)
        return true;
    bool good = add_kind(c, (struct copy_kind){.name = "copy command", .what = COPY_COMMAND});
    uint32_t cpu = device->caps.kind == NORMA_DEVICE_CPU;
    if (device->caps.api == NORMA_DRIVER_OPENCL && cpu) {
        struct copy_kind kernel = {.name = "copy kernel", .what = COPY_KERNEL, .local = 1, .per_group = 2048};
        good = good && add_kind(c, kernel);
        kernel.name = "copy kernel, streaming stores";
        kernel.stream = true;
        return good && add_kind(c, kernel) && add_empty(c, 1);
    }
    const uint32_t local = cpu ? 64 : 256;
    struct copy_kind kernel = {.name = "copy kernel", .what = COPY_KERNEL, .local = local, .per_group = 1};
    good = good && add_kind(c, kernel);
    kernel.name = "copy kernel, 8 vectors an invocation";
    kernel.per_group = 8;
    good = good && add_kind(c, kernel);
    if (device->caps.api == NORMA_DRIVER_OPENCL) {
        kernel.name = "copy kernel, streaming stores";
        kernel.stream = true;
        good = good && add_kind(c, kernel);
    }
    return good && add_empty(c, local);
}

void copies_finish(struct copies *c)
{
    if (c->threads) {
        pthread_mutex_lock(&c->lock);
        c->stop = true;
        pthread_cond_broadcast(&c->wake);
        pthread_mutex_unlock(&c->lock);
        for (int i = 1; i < c->threads; ++i)
            pthread_join(c->thread[i], NULL);
        pthread_cond_destroy(&c->wake);
        pthread_mutex_destroy(&c->lock);
    }
    for (size_t i = 0; i < c->kinds; ++i) {
        free(c->kind[i].commands);
        free(c->kind[i].dispatches);
    }
    free(c->owned_source);
    free(c->owned_target);
    memset(c, 0, sizeof *c);
}

double copies_time(struct copies *c, size_t index, int repeats)
{
    const struct copy_kind *kind = &c->kind[index];
    if (kind->what == COPY_MEMCPY)
        return time_memcpy(c, repeats);
    const struct norma_backend *backend = c->device->backend;
    struct norma_event last = {.device = c->device};
    norma_status status = NORMA_OK;
    const bool by_device = c->device_clock && repeats == 1;
    double start = now();
    for (int i = 0; i < repeats && status == NORMA_OK; ++i) {
        if (i)
            backend->event_finish(&last);
        last = (struct norma_event){.device = c->device};
        status = backend->submit(c->device, kind->commands, kind->count, NULL, 0, by_device, &last);
    }
    if (status == NORMA_OK)
        status = backend->event_wait(&last);
    double seconds = now() - start;
    if (status == NORMA_OK && by_device)
        status = backend->event_seconds(&last, &seconds);
    if (last.impl)
        backend->event_finish(&last);
    return status == NORMA_OK ? seconds / repeats : -1;
}
