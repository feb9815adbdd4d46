#include "cache.h"
#include "context.h"
#include "execute.h"
#include <inttypes.h>
#include <math.h>
#include <norma/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COLUMNS = 768, REPEATS = 5, LAUNCH_REPEATS = 41 };

// Rows that put the tensors inside a core's cache, about at the last cache's edge, and far outside.
static const int64_t point_rows[NORMA_FIGURE_POINTS] = {512, 4096, 32768};
#define COPY_BYTES (UINT64_C(64) << 20)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static norma_status time_rows(struct norma_device *device, float *x, float *y, int64_t count, int repeats,
                              double *median)
{
    double seconds[LAUNCH_REPEATS] = {0};
    const int64_t shape[] = {count, COLUMNS};
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x),
                       ty = norma_tensor_host(NORMA_FLOAT32, 2, shape, y);
    const norma_tensor *tensors[NORMA_ARG_COUNT] = {[NORMA_ARG_X] = &tx, [NORMA_ARG_Y] = &ty};
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    struct norma_work work;
    problem.x = &tx;
    problem.y = &ty;
    norma_status status = norma_work_from_problem(&problem, NORMA_PLACE_HOST, &work);
    for (int i = -1; i < repeats && status == NORMA_OK; i++) { // the first compiles and warms up
        const double begin = now();
        status = norma_execute_host(device, &work, tensors, NULL, 0);
        if (i >= 0)
            seconds[i] = now() - begin;
    }
    qsort(seconds, (size_t)repeats, sizeof(seconds[0]), compare);
    *median = seconds[repeats / 2];
    return status;
}

static norma_status time_copy(struct norma_device *device, double *rate)
{
    const struct norma_backend *be = device->backend;
    const uint64_t size = COPY_BYTES < device->caps.max_alloc ? COPY_BYTES : device->caps.max_alloc;
    struct norma_buffer a = {.device = device, .size = size}, b = a;
    norma_status status = be->buffer_create(device, size, &a);
    if (status != NORMA_OK)
        return status;
    status = be->buffer_create(device, size, &b);
    if (status != NORMA_OK) {
        be->buffer_finish(&a);
        return status;
    }
    const struct norma_command copy = {
        .kind = NORMA_COMMAND_COPY, .buffer = &a, .other = &b, .row_bytes = size, .rows = 1, .host_pitch = size};
    double best = INFINITY;
    for (int i = -1; i < REPEATS && status == NORMA_OK; i++) {
        struct norma_event event = {.device = device};
        const double begin = now();
        status = be->submit(device, &copy, 1, NULL, 0, false, &event);
        if (status != NORMA_OK)
            break;
        status = be->event_wait(&event);
        be->event_finish(&event);
        if (i >= 0 && now() - begin < best)
            best = now() - begin;
    }
    be->buffer_finish(&a);
    be->buffer_finish(&b);
    *rate = 2 * (double)size / best;
    return status;
}

static norma_status measure(struct norma_device *device, struct norma_figures *f)
{
    const int64_t most = point_rows[NORMA_FIGURE_POINTS - 1] * COLUMNS;
    float *x = norma_alloc_aligned(device->allocator, 4096, (size_t)most * 2 * sizeof(*x));
    if (!x)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "figures: out of memory");
    float *y = x + most;
    for (int64_t i = 0; i < most; i++) {
        x[i] = (float)((i * 2654435761u) >> 8 & 0xffff) * 0x1p-14f;
        y[i] = 0; // so that the pages exist
    }
    double one = 0;
    norma_status status = time_rows(device, x, y, 1, LAUNCH_REPEATS, &one);
    for (int p = 0; p < NORMA_FIGURE_POINTS && status == NORMA_OK; p++) {
        double seconds = 0;
        status = time_rows(device, x, y, point_rows[p], REPEATS, &seconds);
        if (p == 0) { // the single row's own share is no part of a launch
            const double row = (seconds - one) / (double)(point_rows[0] - 1);
            f->launch = fmin(fmax(one - row, one * 0.1), one);
        }
        f->point[p].bytes = (double)(point_rows[p] * COLUMNS * 2 * (int64_t)sizeof(float));
        f->point[p].rate = f->point[p].bytes / fmax(seconds - f->launch, seconds * 0.1);
    }
    norma_free(x);
    return status == NORMA_OK ? time_copy(device, &f->copy_rate) : status;
}

static void file_name(const struct norma_device *device, char name[64])
{
    char *at = name + sprintf(name, "figures-%s-", device->backend->name);
    for (int i = 0; i < 16; i++)
        at += sprintf(at, "%02x", device->uuid[i]);
}

// What the figures depend on, besides the device: another line means they are measured again.
static void key_line(const struct norma_device *device, char line[256])
{
    snprintf(line, 256, "norma %s threads %d driver %.120s", norma_version(), norma_context_threads(device->context),
             device->driver);
}

static bool parse(const struct norma_device *device, const char *text, struct norma_figures *f)
{
    char key[256];
    key_line(device, key);
    const size_t length = strlen(key);
    double v[2 + 2 * NORMA_FIGURE_POINTS];
    if (strncmp(text, key, length) || text[length] != '\n')
        return false;
    text += length;
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        char *end;
        v[i] = strtod(text, &end);
        if (end == text || !isfinite(v[i]) || v[i] <= 0)
            return false;
        text = end;
    }
    f->copy_rate = v[0];
    f->launch = v[1];
    for (int p = 0; p < NORMA_FIGURE_POINTS; p++) {
        f->point[p].bytes = v[2 + 2 * p];
        f->point[p].rate = v[3 + 2 * p];
        if (p > 0 && f->point[p].bytes <= f->point[p - 1].bytes)
            return false;
    }
    return true;
}

static void keep(const struct norma_device *device, const char *name, const struct norma_figures *f)
{
    char key[256], text[1024];
    const char *reason = "";
    key_line(device, key);
    int used = snprintf(text, sizeof(text), "%s\n%.9g\n%.9g\n", key, f->copy_rate, f->launch);
    for (int p = 0; p < NORMA_FIGURE_POINTS; p++)
        used += snprintf(text + used, sizeof(text) - (size_t)used, "%.9g %.9g\n", f->point[p].bytes, f->point[p].rate);
    if (!norma_cache_write(device->context->cache_dir, name, text, &reason))
        norma_log(device->context, 1, "%s: figures are not kept there: %s", device->context->cache_dir, reason);
}

norma_status norma_figures_get(struct norma_device *device, bool measure_again)
{
    char name[64], text[1024];
    const bool disk = device->context->cache_dir[0] != '\0';
    norma_status status = NORMA_OK;
    pthread_mutex_lock(&device->lock);
    if (!device->figures.known || measure_again) {
        struct norma_figures figures = {0};
        file_name(device, name);
        if (measure_again || !disk || !norma_cache_read(device->context->cache_dir, name, text, sizeof(text)) ||
            !parse(device, text, &figures)) {
            status = measure(device, &figures);
            if (status == NORMA_OK && disk)
                keep(device, name, &figures);
        }
        if (status == NORMA_OK) {
            device->figures = figures;
            device->figures.known = true;
            const float rate = (float)figures.point[NORMA_FIGURE_POINTS - 1].rate;
            uint32_t bits;
            memcpy(&bits, &rate, sizeof(bits));
            atomic_store(&device->rate, bits);
        }
    }
    pthread_mutex_unlock(&device->lock);
    return status;
}
