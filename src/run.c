#include "context.h"
#include "execute.h"
#include "overlap.h"
#include "problem.h"
#include "walk.h"
#include <math.h>
#include <norma/run.h>
#include <stdio.h>
#include <string.h>

// Below this the scalar path is faster than any launch, so nothing else is opened or measured for it.
#define SCALAR_BYTES (64 << 10)

static bool is_scalar(const struct norma_device *device)
{
#ifdef NORMA_WITHOUT_SCALAR
    return (void)device, false;
#else
    return device->backend == &norma_backend_scalar;
#endif
}

// The figures are those of rows. The strided kernels, one work-item an element or a chunk, suit GPUs; on a CPU driver
// they take so many times as long, the quad kernels fewer (8x64x56x56, batch norm, on PoCL and lavapipe).
static double handicap(const struct norma_device *device, bool quads)
{
    if (device->caps.kind != NORMA_DEVICE_CPU)
        return 1;
    if (device->caps.api == NORMA_DRIVER_VULKAN)
        return quads ? 45 : 250;
    if (device->caps.api == NORMA_DRIVER_OPENCL)
        return quads ? 10 : 100;
    return 10;
}

static double predict(struct norma_device *device, const struct norma_work *work)
{
    const bool impossible = work->form.float64 && !is_scalar(device);
    if (impossible || norma_figures_get(device, false) != NORMA_OK)
        return INFINITY;
    if (work->strided)
        return norma_predict_form(&work->form, &device->figures) *
               handicap(device, norma_form_takes_quads(&work->form));
    return norma_predict(&work->rows, &device->figures);
}

// With `invariant` nothing may count that is measured or that differs with the number of rows or their layout: the
// kinds of devices have an order, GPUs first. On a CPU OpenCL has the fastest row kernels, and the scalar path is the
// fastest of all else.
static double preference(const struct norma_device *device, const struct norma_work *work)
{
    if (is_scalar(device))
        return 3;
    if (work->form.float64)
        return INFINITY;
    if (device->caps.kind != NORMA_DEVICE_CPU)
        return device->caps.kind == NORMA_DEVICE_DISCRETE ? 0 : 1;
    const norma_op op = work->form.op;
    const bool rows = (op == NORMA_LAYER_NORM || op == NORMA_RMS_NORM) && !work->form.backward;
    return device->caps.api == NORMA_DRIVER_OPENCL && rows ? 2 : 4;
}

static bool eligible(const norma_context *context, size_t i, const bool tried[NORMA_MAX_DEVICES])
{
    return !tried[i] && context->allowed[i] && !context->devices[i]->caps.record_only;
}

// The best usable device not in `tried`; *out is NULL where none is left.
static void choose(norma_context *context, const struct norma_work *work, const bool tried[NORMA_MAX_DEVICES],
                   struct norma_device **out)
{
    double best = INFINITY;
    size_t candidates = 0;
    struct norma_device *only = NULL;
    *out = NULL;
    for (size_t i = 0; i < context->device_count; i++) {
        struct norma_device *d = context->devices[i];
        if (!eligible(context, i, tried))
            continue;
        if (is_scalar(d) && !context->invariant && norma_work_bytes(work) <= SCALAR_BYTES &&
            norma_device_ready(d) == NORMA_OK) {
            *out = d;
            return;
        }
        candidates++;
        only = d;
    }
    if (candidates == 1) { // no choice, no figures needed
        *out = norma_device_ready(only) == NORMA_OK ? only : NULL;
        return;
    }
    for (size_t i = 0; i < context->device_count; i++) {
        struct norma_device *d = context->devices[i];
        if (!eligible(context, i, tried) || norma_device_ready(d) != NORMA_OK)
            continue;
        const double cost = context->invariant ? preference(d, work) : predict(d, work);
        if (cost < best || !*out) {
            best = cost;
            *out = d;
        }
    }
}

static void fill_empty(const norma_problem *problem)
{
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        const void *value = norma_empty_value(problem, a);
        if (!value)
            continue;
        const size_t size = norma_dtype_size(t->dtype);
        for (struct norma_walk w = norma_walk_begin(t); !w.done; norma_walk_next(t, &w))
            memcpy((char *)t->data + (size_t)w.offset * size, value, size);
    }
}

static void warn_once(norma_context *context, const struct norma_device *device)
{
    pthread_mutex_lock(&context->lock);
    const bool first = !context->warned;
    context->warned = true;
    pthread_mutex_unlock(&context->lock);
    if (first)
        norma_log(context, 1, "%s failed, going on with the next device: %s", device->id, norma_last_error());
}

// An output that is also an input: a device that failed half way has destroyed what the next one would need.
static bool in_place(const norma_problem *problem, const norma_tensor *const tensors[NORMA_ARG_COUNT])
{
    for (int out = 0; out < NORMA_ARG_COUNT; out++)
        for (int in = 0; in < NORMA_ARG_COUNT; in++)
            if (norma_arg_is_output(problem, out) && !norma_arg_is_output(problem, in) && tensors[out] && tensors[in] &&
                norma_same_view(tensors[out], tensors[in]))
                return true;
    return false;
}

norma_status norma_run(norma_context *context, const norma_problem *given)
{
    norma_problem problem;
    struct norma_work work;
    bool tried[NORMA_MAX_DEVICES] = {false};
    const norma_tensor *tensors[NORMA_ARG_COUNT];
    if (!context)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "context: NULL");
    norma_status status = norma_context_check_fork(context);
    if (status == NORMA_OK)
        status = norma_problem_read(&problem, given);
    if (status == NORMA_OK)
        status = norma_work_from_problem(&problem, NORMA_PLACE_HOST, &work);
    if (status != NORMA_OK)
        return status;
    if (work.groups == 0 || work.n == 0) {
        fill_empty(&problem);
        return NORMA_OK;
    }
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        tensors[a] = norma_problem_tensor(&problem, a);
    status = norma_fail(NORMA_ERROR_NO_DEVICE, "device: no usable device matches \"%s\"", context->wanted);
    for (;;) {
        struct norma_device *device;
        choose(context, &work, tried, &device);
        if (!device)
            return status;
        status = norma_execute_host(device, &work, tensors, NULL, context->memory_budget);
        norma_device_failed(device, status);
        if (status == NORMA_OK || status == NORMA_ERROR_INVALID_ARGUMENT ||
            (status != NORMA_ERROR_UNSUPPORTED && in_place(&problem, tensors)))
            return status;
        if (context->invariant) // what failed may be the size's or the budget's fault; another device has other bits
            return status;
        warn_once(context, device);
        for (size_t i = 0; i < context->device_count; i++)
            if (context->devices[i] == device)
                tried[i] = true;
    }
}

// True where the device would refuse the work. What cannot be measured may do it all the same.
static bool explain_device(norma_context *context, struct norma_device *device, const struct norma_work *work,
                           const norma_tensor *const tensors[NORMA_ARG_COUNT], norma_prediction *p)
{
    struct norma_schedule schedule = {0};
    enum norma_memory memory = NORMA_MEMORY_STAGE;
    *p = (norma_prediction){.device = device, .seconds = INFINITY};
    norma_status status = norma_device_ready(device);
    if (status == NORMA_OK)
        status = norma_execute_foresee(device, work, tensors, context->memory_budget, &memory, &schedule);
    const bool refused = status != NORMA_OK;
    if (status == NORMA_OK)
        status = norma_figures_get(device, false);
    if (status != NORMA_OK) {
        snprintf(p->why, sizeof(p->why), "%s", norma_last_error());
        norma_schedule_finish(&schedule);
        return refused;
    }
    const double bytes = (double)norma_work_bytes(work);
    p->seconds = predict(device, work);
    p->tiles = schedule.tiles;
    p->tile_rows = schedule.tile_rows;
    p->dispatches = (uint32_t)schedule.dispatch_count;
    p->workspace = schedule.workspace;
    snprintf(p->variant, sizeof(p->variant), "%s", schedule.variant ? schedule.variant : "none");
    snprintf(p->memory, sizeof(p->memory), "%s",
             is_scalar(device)               ? "direct"
             : memory == NORMA_MEMORY_IMPORT ? "import"
                                             : "copy");
    snprintf(p->why, sizeof(p->why), "%.1f us launch + %.4g MB at %.3g GB/s%s", device->figures.launch * 1e6,
             bytes * 1e-6, bytes / (p->seconds - device->figures.launch) * 1e-9,
             context->invariant ? " (invariant: the kind of device decides)" : "");
    norma_schedule_finish(&schedule);
    return false;
}

// As norma_run goes from a device that refuses to the next, or does not where the bits must stay. NULL: none would do.
static const struct norma_device *find_chosen(norma_context *context, const struct norma_work *work,
                                              const bool refused[NORMA_MAX_DEVICES])
{
    static const bool none[NORMA_MAX_DEVICES];
    struct norma_device *chosen;
    choose(context, work, context->invariant ? none : refused, &chosen);
    for (size_t i = 0; i < context->device_count; i++)
        if (context->devices[i] == chosen && refused[i])
            return NULL;
    return chosen;
}

norma_status norma_explain(norma_context *context, const norma_problem *given, norma_prediction *predictions,
                           size_t capacity, size_t *count)
{
    norma_problem problem;
    struct norma_work work;
    bool refused[NORMA_MAX_DEVICES] = {false};
    const norma_tensor *tensors[NORMA_ARG_COUNT];
    if (!context || !count || (capacity && !predictions))
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL",
                          !context ? "context"
                          : !count ? "count"
                                   : "predictions");
    norma_status status = norma_context_check_fork(context);
    if (status == NORMA_OK)
        status = norma_problem_read(&problem, given);
    if (status == NORMA_OK)
        status = norma_work_from_problem(&problem, NORMA_PLACE_NONE, &work);
    if (status != NORMA_OK)
        return status;
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        tensors[a] = norma_problem_tensor(&problem, a);
    *count = 0;
    for (size_t i = 0; i < context->device_count; i++) {
        norma_prediction prediction;
        if (!context->allowed[i])
            continue;
        refused[i] = explain_device(context, context->devices[i], &work, tensors, &prediction);
        if (*count < capacity)
            predictions[*count] = prediction;
        ++*count;
    }
    const struct norma_device *chosen = find_chosen(context, &work, refused);
    for (size_t i = 0; i < *count && i < capacity; i++)
        predictions[i].chosen = chosen && predictions[i].device == chosen;
    return NORMA_OK;
}
