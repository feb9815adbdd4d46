#include "bench.h"
#include "backend.h"
#include "made.h"
#include "message.h"
#include "problem.h"
#include "progress.h"
#include "statistics.h"
#include "tensors.h"
#include "values.h"
#include <norma/plan.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SAMPLES = 2000, MAX_FLIGHT = 256, HOPELESS_ROUNDS = 3 };

static const double LEAST = 1e-9; // seconds, where a clock sees no time pass

// Pairs of one copy's time and the operator's right behind it.
struct samples {
    double copy[MAX_SAMPLES], op[MAX_SAMPLES], ratio[MAX_SAMPLES];
    size_t count;
    bool hopeless; // so slow at first that it cannot be the fastest: a few samples are enough
};

struct bench {
    const struct options *options;
    struct made made;
    norma_device *device;
    norma_buffer *from, *to; // inputs and outputs, each packed into one
    norma_plan *plan;
    struct copies copies;
    struct sweep *sweep;     // NULL: warm
    struct samples *samples; // one a kind of copy
    uint64_t bytes;          // each input and each output once
    int repeats;             // runs in flight a sample
    // Times are the device's: with cold caches on what is no processor, where submitting would hide a short run. On a
    // processor the host's clock is right for memcpy too.
    bool device_clock;
};

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

bool sweep_start(struct sweep *sweep, norma_device *device)
{
    const struct norma_caps *caps = &device->caps;
    memset(sweep, 0, sizeof *sweep);
    // Twice the last cache: the stores of a large memcpy go past it, only what is read fills it. The largest cache of a
    // GPU known to us has 256 MiB.
    uint64_t bytes = (uint64_t)256 << 20;
    if (caps->kind == NORMA_DEVICE_CPU) {
        const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
        bytes = cache > (long)16 << 20 ? (uint64_t)cache * 2 : (uint64_t)32 << 20;
    }
    bytes = bytes < caps->memory / 8 || !caps->memory ? bytes : caps->memory / 8;
    bytes = bytes < caps->max_alloc || !caps->max_alloc ? bytes : caps->max_alloc;
    bytes = bytes / COPY_ALIGN * COPY_ALIGN;
    return succeeded(norma_buffer_create(device, bytes, &sweep->from)) &&
           succeeded(norma_buffer_create(device, bytes, &sweep->to)) &&
           copies_start(&sweep->copies, device, sweep->from, sweep->to, bytes);
}

void sweep_finish(struct sweep *sweep)
{
    copies_finish(&sweep->copies);
    norma_buffer_destroy(&sweep->from);
    norma_buffer_destroy(&sweep->to);
}

// Inputs packed into one buffer and outputs into another: the copies then move the same memory as the operator.
static bool place(struct bench *b)
{
    uint64_t align = b->device->caps.offset_align > 256 ? b->device->caps.offset_align : 256;
    uint64_t used[2] = {0, 0};
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        norma_tensor *t = &b->made.tensor[arg];
        if (!norma_problem_tensor(&b->made.problem, arg))
            continue;
        uint64_t *end = &used[norma_arg_is_output(&b->made.problem, arg)];
        t->offset = *end;
        *end = round_up(*end + tensor_bytes(t), align);
    }
    b->bytes = made_bytes(&b->made);
    uint64_t half = round_up((b->bytes + 1) / 2, COPY_ALIGN);
    if (!b->bytes)
        return complain("x: --shape %s has no elements to measure", b->options->shape_text);
    for (int i = 0; i < 2; ++i)
        used[i] = used[i] < half ? half : used[i];
    if (!succeeded(norma_buffer_create(b->device, used[0], &b->from)) ||
        !succeeded(norma_buffer_create(b->device, used[1], &b->to)))
        return false;
    return true;
}

static bool fill(struct bench *b)
{
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        norma_tensor *t = &b->made.tensor[arg];
        if (!norma_problem_tensor(&b->made.problem, arg))
            continue;
        t->buffer = norma_arg_is_output(&b->made.problem, arg) ? b->to : b->from;
        uint64_t bytes = tensor_bytes(t);
        void *data = malloc(bytes);
        if (!data)
            return complain("%s: no memory for %llu bytes", norma_arg_name(arg), (unsigned long long)bytes);
        // Outputs too: pages that were never written are not there yet.
        made_fill(t, arg, 1, data);
        bool good = succeeded(norma_buffer_write(t->buffer, t->offset, data, bytes));
        free(data);
        if (!good)
            return false;
    }
    return true;
}

static bool swept(struct bench *b)
{
    return !b->sweep || copies_time(&b->sweep->copies, 0, 1) >= 0 || complain("%s", norma_last_error());
}

// Seconds of one of the runs in flight; negative after a message.
static double time_op(struct bench *b, int repeats)
{
    norma_event *event = NULL;
    if (!swept(b))
        return -1;
    double start = now();
    bool good = true;
    for (int i = 0; i < repeats && good; ++i)
        good = succeeded(norma_plan_run(b->plan, &b->made.problem, i + 1 < repeats ? NULL : &event));
    good = good && succeeded(norma_event_wait(event));
    double seconds = now() - start;
    good = good && (!b->device_clock || succeeded(norma_event_seconds(event, &seconds)));
    seconds = seconds > LEAST ? seconds : LEAST;
    norma_event_destroy(&event);
    return good ? seconds / repeats : -1;
}

static double time_copy(struct bench *b, size_t kind, int repeats)
{
    if (!swept(b))
        return -1;
    double seconds = copies_time(&b->copies, kind, repeats);
    if (seconds < 0) {
        complain("%s", norma_last_error());
        return -1;
    }
    return seconds > LEAST ? seconds : LEAST;
}

static bool prepare(struct bench *b)
{
    const struct options *o = b->options;
    norma_device_info info = {.size = sizeof info};
    if (!made_start(o, &b->made) || !succeeded(norma_device_get_info(b->device, &info)))
        return false;
    if (!info.usable)
        return complain("device: %s is not usable: %s", info.id, info.reason);
    if (!place(b) || !fill(b))
        return false;
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    params.variant = o->variant;
    params.timestamps = b->device_clock;
    params.memory_budget = o->memory_budget;
    if (!succeeded(norma_plan_create(b->device, &b->made.problem, &params, &b->plan)))
        return false;
    if (!copies_start(&b->copies, b->device, b->from, b->to, round_up((b->bytes + 1) / 2, COPY_ALIGN)))
        return false;
    b->copies.device_clock = b->device_clock;
    b->samples = calloc(b->copies.kinds, sizeof *b->samples);
    return b->samples || complain("x: no memory for the timings");
}

// Warms up, chooses how many runs make a sample of about 10 ms, and finds the copies that are far behind.
static bool calibrate(struct bench *b)
{
    double op = -1, copy[COPY_MAX_KINDS], best = 1e9;
    for (int i = 0; i < 3 && op < 0.3; ++i) {
        double seconds = time_op(b, 1);
        if (seconds < 0)
            return false;
        op = op < 0 || seconds < op ? seconds : op;
    }
    // What is cold for the first of several runs is warm for the next.
    b->repeats = b->sweep ? 1 : op * MAX_FLIGHT < 0.01 ? MAX_FLIGHT : op > 0.005 ? 2 : (int)(0.01 / op) + 1;
    for (size_t k = 0; k < b->copies.kinds; ++k) {
        copy[k] = 1e9;
        for (int i = 0; i < 3; ++i) {
            double seconds = time_copy(b, k, b->repeats);
            if (seconds < 0)
                return false;
            copy[k] = seconds < copy[k] ? seconds : copy[k];
        }
        best = copy[k] < best && !b->copies.kind[k].empty ? copy[k] : best;
    }
    for (size_t k = 0; k < b->copies.kinds; ++k) // launching matters where it is some of the time
        b->samples[k].hopeless = b->copies.kind[k].empty ? op > 50 * copy[k] : copy[k] > 2 * best;
    return b->repeats == 1 || time_op(b, b->repeats) >= 0;
}

static bool measure(struct bench *b, bool bar)
{
    struct progress progress;
    const double wanted = b->options->seconds, until = now() + wanted;
    const size_t least = wanted < 0.1 ? 1 : 5;
    bool good = true;
    if (bar)
        progress_start(&progress, "bench", wanted);
    for (size_t round = 0; good && round < MAX_SAMPLES && (round < least || now() < until); ++round) {
        for (size_t k = 0; good && k < b->copies.kinds; ++k) {
            struct samples *s = &b->samples[k];
            if (s->hopeless && round >= HOPELESS_ROUNDS)
                continue;
            double copy = time_copy(b, k, b->repeats), op = time_op(b, b->repeats);
            good = copy > 0 && op > 0;
            s->copy[s->count] = copy;
            s->op[s->count] = op;
            s->ratio[s->count++] = copy / op;
        }
    }
    if (bar)
        progress_finish(&progress);
    return good;
}

static void describe(const struct bench *b, struct bench_outcome *out)
{
    const norma_problem *p = &b->made.problem;
    *out = (struct bench_outcome){.op = p->op,
                                  .direction = p->direction,
                                  .dtype = problem_first(p)->dtype,
                                  .channels_last = b->options->channels_last,
                                  .channel_block = b->options->channel_block,
                                  .cold = b->sweep != NULL,
                                  .device_clock = b->device_clock,
                                  .device = b->device,
                                  .bytes = b->bytes,
                                  .repeats = b->repeats,
                                  .copies = b->copies.kinds};
    shape_text(problem_first(p), out->shape);
}

static bool conclude(struct bench *b, struct bench_outcome *out)
{
    double *ops = malloc(COPY_MAX_KINDS * MAX_SAMPLES * sizeof *ops);
    size_t count = 0;
    bool first = true;
    if (!ops)
        return complain("x: no memory for the timings");
    describe(b, out);
    for (size_t k = 0; k < b->copies.kinds; ++k) {
        struct samples *s = &b->samples[k];
        struct bench_copy *copy = &out->copy[k];
        memcpy(ops + count, s->op, s->count * sizeof *ops);
        count += s->count;
        *copy = (struct bench_copy){b->copies.kind[k].name, b->copies.kind[k].empty, 0, 0, 0, s->count};
        if (!s->count)
            continue;
        copy->minimum = minimum(s->copy, s->count);
        copy->median = median(s->copy, s->count);
        copy->fraction = median(s->ratio, s->count);
        if (!copy->empty && (first || copy->median < out->copy[out->fastest].median)) {
            out->fastest = k;
            first = false;
        }
    }
    out->minimum = minimum(ops, count);
    out->median = median(ops, count);
    free(ops);
    return true;
}

bool bench_measure(norma_device *device, const struct options *options, struct sweep *sweep, bool bar,
                   struct bench_outcome *outcome)
{
    struct bench b;
    memset(&b, 0, sizeof b);
    b.device = device;
    b.options = options;
    b.sweep = sweep;
    b.device_clock = sweep && device->caps.kind != NORMA_DEVICE_CPU && device->caps.timestamps;
    const bool good = prepare(&b) && calibrate(&b) && measure(&b, bar) && conclude(&b, outcome);
    copies_finish(&b.copies);
    free(b.samples);
    norma_plan_destroy(&b.plan);
    norma_buffer_destroy(&b.from);
    norma_buffer_destroy(&b.to);
    return good;
}
