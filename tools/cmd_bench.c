#include "backend.h"
#include "commands.h"
#include "copies.h"
#include "made.h"
#include "message.h"
#include "options.h"
#include "plot.h"
#include "problem.h"
#include "progress.h"
#include "statistics.h"
#include "table.h"
#include "tensors.h"
#include "values.h"
#include <cjson/cJSON.h>
#include <norma/plan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SAMPLES = 2000, MAX_FLIGHT = 256, HOPELESS_ROUNDS = 3 };

// Pairs of one copy's time and the operator's right behind it.
struct samples {
    double copy[MAX_SAMPLES], op[MAX_SAMPLES], ratio[MAX_SAMPLES];
    size_t count;
    bool hopeless; // so slow at first that it cannot be the fastest: a few samples are enough
};

struct bench {
    struct options options;
    struct made made;
    norma_context *context;
    norma_device *device;
    norma_buffer *from, *to; // inputs and outputs, each packed into one
    norma_plan *plan;
    struct copies copies;
    struct samples *samples; // one a kind of copy
    uint64_t bytes;          // each input and each output once
    int repeats;             // runs in flight a sample
};

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
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
        return complain("x: --shape %s has no elements to measure", b->options.shape_text);
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

// Seconds of one of the runs in flight; negative after a message.
static double time_op(struct bench *b, int repeats)
{
    norma_event *event = NULL;
    double start = now();
    bool good = true;
    for (int i = 0; i < repeats && good; ++i)
        good = succeeded(norma_plan_run(b->plan, &b->made.problem, i + 1 < repeats ? NULL : &event));
    good = good && succeeded(norma_event_wait(event));
    double seconds = now() - start;
    norma_event_destroy(&event);
    return good ? seconds / repeats : -1;
}

static bool prepare(struct bench *b)
{
    const struct options *o = &b->options;
    if (!made_start(o, &b->made) || !options_context(o, &b->context) ||
        !succeeded(norma_context_find_device(b->context, o->device ? o->device : "auto", &b->device)))
        return false;
    norma_device_info info = {.size = sizeof info};
    if (!succeeded(norma_device_get_info(b->device, &info)))
        return false;
    if (!info.usable)
        return complain("device: %s is not usable: %s", info.id, info.reason);
    if (!place(b) || !fill(b))
        return false;
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    params.variant = o->variant;
    params.memory_budget = o->memory_budget;
    if (!succeeded(norma_plan_create(b->device, &b->made.problem, &params, &b->plan)))
        return false;
    if (!copies_start(&b->copies, b->device, b->from, b->to, round_up((b->bytes + 1) / 2, COPY_ALIGN)))
        return false;
    b->samples = calloc(b->copies.kinds, sizeof *b->samples);
    return b->samples || complain("x: no memory for the timings");
}

// Warms up, chooses how many runs make a sample of about 10 ms, and finds the copies that are far behind.
static bool calibrate(struct bench *b)
{
    double op = -1, copy[COPY_MAX_KINDS], best = 1e9;
    for (int i = 0; i < 3; ++i) {
        double seconds = time_op(b, 1);
        if (seconds < 0)
            return false;
        op = op < 0 || seconds < op ? seconds : op;
    }
    b->repeats = op * MAX_FLIGHT < 0.01 ? MAX_FLIGHT : op > 0.005 ? 2 : (int)(0.01 / op) + 1;
    for (size_t k = 0; k < b->copies.kinds; ++k) {
        copy[k] = 1e9;
        for (int i = 0; i < 3; ++i) {
            double seconds = copies_time(&b->copies, k, b->repeats);
            if (seconds < 0)
                return succeeded(NORMA_ERROR_DEVICE);
            copy[k] = seconds < copy[k] ? seconds : copy[k];
        }
        best = copy[k] < best ? copy[k] : best;
    }
    for (size_t k = 0; k < b->copies.kinds; ++k)
        b->samples[k].hopeless = copy[k] > 2 * best;
    return time_op(b, b->repeats) >= 0;
}

static bool measure(struct bench *b)
{
    struct progress progress;
    progress_start(&progress, "bench", b->options.seconds);
    double until = now() + b->options.seconds;
    bool good = true;
    for (size_t round = 0; good && round < MAX_SAMPLES && (round < 5 || now() < until); ++round) {
        for (size_t k = 0; good && k < b->copies.kinds; ++k) {
            struct samples *s = &b->samples[k];
            if (s->hopeless && round >= HOPELESS_ROUNDS)
                continue;
            double copy = copies_time(&b->copies, k, b->repeats), op = time_op(b, b->repeats);
            good = copy > 0 && op > 0;
            s->copy[s->count] = copy;
            s->op[s->count] = op;
            s->ratio[s->count++] = copy / op;
        }
    }
    progress_finish(&progress);
    return good;
}

struct outcome {
    double op_minimum, op_median, copy_median[COPY_MAX_KINDS], copy_minimum[COPY_MAX_KINDS];
    double fraction[COPY_MAX_KINDS]; // of each copy's speed
    size_t fastest;
};

static bool conclude(struct bench *b, struct outcome *out)
{
    double *ops = malloc(COPY_MAX_KINDS * MAX_SAMPLES * sizeof *ops);
    size_t count = 0;
    bool first = true;
    if (!ops)
        return complain("x: no memory for the timings");
    for (size_t k = 0; k < b->copies.kinds; ++k) {
        struct samples *s = &b->samples[k];
        memcpy(ops + count, s->op, s->count * sizeof *ops);
        count += s->count;
        out->copy_minimum[k] = minimum(s->copy, s->count);
        out->copy_median[k] = median(s->copy, s->count);
        out->fraction[k] = median(s->ratio, s->count);
        if (first || out->copy_median[k] < out->copy_median[out->fastest])
            out->fastest = k;
        first = false;
    }
    out->op_minimum = minimum(ops, count);
    out->op_median = median(ops, count);
    free(ops);
    return true;
}

static void print_json(const struct bench *b, const struct outcome *out)
{
    char text[192];
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "op", norma_op_name(b->made.problem.op));
    cJSON_AddStringToObject(all, "shape", shape_text(problem_first(&b->made.problem), text));
    cJSON_AddStringToObject(all, "dtype", dtype_name(problem_first(&b->made.problem)->dtype));
    cJSON_AddStringToObject(all, "device", b->device->id);
    cJSON *seconds = cJSON_AddObjectToObject(all, "seconds");
    cJSON_AddNumberToObject(seconds, "minimum", out->op_minimum);
    cJSON_AddNumberToObject(seconds, "median", out->op_median);
    cJSON_AddNumberToObject(all, "gbps", (double)b->bytes / out->op_median / 1e9);
    cJSON_AddNumberToObject(all, "copy_gbps", (double)b->bytes / out->copy_median[out->fastest] / 1e9);
    cJSON_AddNumberToObject(all, "fraction", out->fraction[out->fastest]);
    cJSON *copies = cJSON_AddArrayToObject(all, "copies");
    for (size_t k = 0; k < b->copies.kinds; ++k) {
        if (!b->samples[k].count)
            continue;
        cJSON *copy = cJSON_CreateObject();
        cJSON_AddStringToObject(copy, "name", b->copies.kind[k].name);
        cJSON_AddNumberToObject(copy, "minimum", out->copy_minimum[k]);
        cJSON_AddNumberToObject(copy, "median", out->copy_median[k]);
        cJSON_AddNumberToObject(copy, "gbps", (double)b->bytes / out->copy_median[k] / 1e9);
        cJSON_AddNumberToObject(copy, "fraction", out->fraction[k]);
        cJSON_AddItemToArray(copies, copy);
    }
    char *printed = cJSON_Print(all);
    puts(printed ? printed : "{}");
    free(printed);
    cJSON_Delete(all);
}

// fraction: of this copy's speed; 0 in the operator's own row.
static void print_row(struct table *table, const char *name, double least, double middle, uint64_t bytes,
                      double fraction)
{
    table_add(table, "%s", name);
    table_add(table, "%.1f", least * 1e6);
    table_add(table, "%.1f", middle * 1e6);
    table_add(table, "%.2f", (double)bytes / middle / 1e9);
    table_add(table, fraction > 0 ? "%.3f" : "", fraction);
}

static void print_text(const struct bench *b, const struct outcome *out)
{
    static const char *const headers[] = {"", ">minimum us", ">median us", ">GB/s", ">fraction of it"};
    char text[192];
    printf("%s %s %s on %s (%s), %llu bytes, %d runs in flight\n", norma_op_name(b->made.problem.op),
           shape_text(problem_first(&b->made.problem), text), dtype_name(problem_first(&b->made.problem)->dtype),
           b->device->id, b->device->name, (unsigned long long)b->bytes, b->repeats);
    struct table table;
    table_start(&table, 5, headers);
    print_row(&table, norma_op_name(b->made.problem.op), out->op_minimum, out->op_median, b->bytes, 0);
    for (size_t k = 0; k < b->copies.kinds; ++k) {
        if (b->samples[k].count)
            print_row(&table, b->copies.kind[k].name, out->copy_minimum[k], out->copy_median[k], b->bytes,
                      out->fraction[k]);
    }
    table_print(&table);
    printf("%.3f of the fastest copy (%s), median of %zu pairs\n", out->fraction[out->fastest],
           b->copies.kind[out->fastest].name, b->samples[out->fastest].count);
}

static bool plot(const struct bench *b, const struct outcome *out)
{
    struct plot_bar bars[COPY_MAX_KINDS + 1];
    char shape[192], title[512];
    const double giga = (double)b->bytes / 1e9;
    size_t count = 0;
    bars[count++] = (struct plot_bar){norma_op_name(b->made.problem.op), giga / out->op_median, giga / out->op_minimum};
    for (size_t k = 0; k < b->copies.kinds; ++k) {
        if (b->samples[k].count)
            bars[count++] =
                (struct plot_bar){b->copies.kind[k].name, giga / out->copy_median[k], giga / out->copy_minimum[k]};
    }
    snprintf(title, sizeof title, "%s %s %s on %s: median rate, line to the fastest", norma_op_name(b->made.problem.op),
             shape_text(problem_first(&b->made.problem), shape), dtype_name(problem_first(&b->made.problem)->dtype),
             b->device->name);
    return plot_bars(b->options.plot_file, title, "GB/s", bars, count);
}

int cmd_bench(int argc, const char **argv)
{
    static const struct option_spec spec = {OPTIONS_DEVICE | OPTIONS_PROBLEM | OPTIONS_WHOLE | OPTIONS_SHAPE |
                                                OPTIONS_JSON | OPTIONS_BENCH,
                                            "--shape RxD [options]", true, false};
    struct bench b;
    memset(&b, 0, sizeof b);
    int code = options_parse(argc, argv, &spec, &b.options);
    if (code == 0) {
        struct outcome out = {0};
        bool good = prepare(&b) && calibrate(&b) && measure(&b) && conclude(&b, &out);
        good = good && (!b.options.plot_file || plot(&b, &out));
        code = good ? 0 : 1;
        if (good && b.options.json)
            print_json(&b, &out);
        else if (good)
            print_text(&b, &out);
    }
    copies_finish(&b.copies);
    free(b.samples);
    norma_plan_destroy(&b.plan);
    norma_buffer_destroy(&b.from);
    norma_buffer_destroy(&b.to);
    norma_context_destroy(&b.context);
    options_finish(&b.options);
    return code;
}
