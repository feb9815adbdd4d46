#include "commands.h"
#include "made.h"
#include "message.h"
#include "options.h"
#include "progress.h"
#include "statistics.h"
#include "table.h"
#include "tensors.h"
#include "values.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <norma/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEVICES = 32, MAX_RUNS = 101 };

// Median seconds of the call on that device alone, from host memory; NaN where it fails.
static double measure(const struct options *o, const char *device, const norma_problem *problem)
{
    norma_context *context = NULL;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = device;
    params.memory_budget = o->memory_budget;
    params.invariant = o->invariant;
    double seconds[MAX_RUNS];
    size_t count = 0;
    norma_status status = norma_context_create(&params, &context);
    // The first call opens the device and compiles.
    if (status == NORMA_OK)
        status = norma_run(context, problem);
    double until = now() + 0.5;
    while (status == NORMA_OK && count < MAX_RUNS && (count < 3 || now() < until)) {
        double start = now();
        status = norma_run(context, problem);
        seconds[count++] = now() - start;
    }
    norma_context_destroy(&context);
    return status == NORMA_OK ? median(seconds, count) : (double)NAN;
}

static void add_number(cJSON *object, const char *name, double value)
{
    // JSON has no infinity and no NaN.
    if (isfinite(value))
        cJSON_AddNumberToObject(object, name, value);
    else
        cJSON_AddNullToObject(object, name);
}

static void print_json(const struct made *made, const norma_prediction *p, const norma_device_info *info,
                       const double *measured, size_t count)
{
    char text[192];
    cJSON *all = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(all, "devices");
    cJSON_AddStringToObject(all, "op", norma_op_name(made->problem.op));
    cJSON_AddStringToObject(all, "shape", shape_text(problem_first(&made->problem), text));
    cJSON_AddStringToObject(all, "dtype", dtype_name(problem_first(&made->problem)->dtype));
    for (size_t i = 0; i < count; ++i) {
        cJSON *d = cJSON_CreateObject();
        cJSON_AddStringToObject(d, "device", info[i].id);
        cJSON_AddStringToObject(d, "name", info[i].name);
        cJSON_AddBoolToObject(d, "chosen", p[i].chosen);
        add_number(d, "predicted", p[i].seconds);
        add_number(d, "measured", measured[i]);
        cJSON_AddStringToObject(d, "variant", p[i].variant);
        cJSON_AddStringToObject(d, "memory", p[i].memory);
        cJSON_AddNumberToObject(d, "tiles", p[i].tiles);
        cJSON_AddNumberToObject(d, "tile_rows", (double)p[i].tile_rows);
        cJSON_AddNumberToObject(d, "dispatches", p[i].dispatches);
        cJSON_AddNumberToObject(d, "workspace", (double)p[i].workspace);
        cJSON_AddStringToObject(d, "why", p[i].why);
        cJSON_AddItemToArray(list, d);
    }
    char *printed = cJSON_Print(all);
    puts(printed ? printed : "{}");
    free(printed);
    cJSON_Delete(all);
}

static void add_microseconds(struct table *table, double seconds)
{
    if (isfinite(seconds))
        table_add(table, "%.1f", seconds * 1e6);
    else
        table_add(table, "-");
}

static void print_text(const struct options *o, const struct made *made, const norma_prediction *p,
                       const norma_device_info *info, const double *measured, size_t count)
{
    static const char *const headers[] = {"",       "device",     ">predicted us", ">measured us", "variant", "memory",
                                          ">tiles", ">tile rows", ">dispatches",   ">workspace",   "why"};
    enum { COLUMNS = sizeof headers / sizeof *headers };
    char text[192];
    printf("%s %s %s", norma_op_name(made->problem.op), shape_text(problem_first(&made->problem), text),
           dtype_name(problem_first(&made->problem)->dtype));
    if (o->memory_budget)
        printf(", memory budget %s", o->budget_text);
    printf(", from host memory\n");
    struct table table;
    table_start(&table, COLUMNS, headers);
    for (size_t i = 0; i < count; ++i) {
        table_add(&table, "%s", p[i].chosen ? "->" : "");
        table_add(&table, "%s", info[i].id);
        add_microseconds(&table, p[i].seconds);
        add_microseconds(&table, measured[i]);
        table_add(&table, "%s", p[i].variant);
        table_add(&table, "%s", p[i].memory);
        table_add(&table, "%u", p[i].tiles);
        table_add(&table, "%lld", (long long)p[i].tile_rows);
        table_add(&table, "%u", p[i].dispatches);
        table_add(&table, "%llu", (unsigned long long)p[i].workspace);
        table_add(&table, "%s", p[i].why);
    }
    table_print(&table);
    bool any = false;
    for (size_t i = 0; i < count; ++i) {
        any = any || p[i].chosen;
        if (p[i].chosen)
            printf("%s is chosen: %s\n", info[i].id,
                   o->invariant ? "by its kind, whatever the size (--invariant)" : "the least predicted time");
    }
    if (!any)
        printf("none is chosen: %s\n",
               o->invariant ? "the first by its kind cannot do it (--invariant)" : "no device can do it");
}

static bool work(const struct options *o, struct made *made, norma_context **context)
{
    norma_prediction predictions[MAX_DEVICES];
    norma_device_info info[MAX_DEVICES];
    double measured[MAX_DEVICES];
    size_t count;
    if (!made_start(o, made) || !options_context(o, context) ||
        !succeeded(norma_explain(*context, &made->problem, predictions, MAX_DEVICES, &count)))
        return false;
    if (count > MAX_DEVICES)
        count = MAX_DEVICES;
    if (!o->no_measure && !made_allocate(made, 1))
        return false;
    for (size_t i = 0; i < count; ++i) {
        info[i] = (norma_device_info){.size = sizeof *info};
        if (!succeeded(norma_device_get_info(predictions[i].device, &info[i])))
            return false;
        measured[i] = (double)NAN;
        if (!o->no_measure && isfinite(predictions[i].seconds))
            measured[i] = measure(o, info[i].id, &made->problem);
    }
    if (o->json)
        print_json(made, predictions, info, measured, count);
    else
        print_text(o, made, predictions, info, measured, count);
    return true;
}

int cmd_explain(int argc, const char **argv)
{
    static const struct option_spec spec = {OPTIONS_DEVICE | OPTIONS_PROBLEM | OPTIONS_WHOLE | OPTIONS_SHAPE |
                                                OPTIONS_JSON | OPTIONS_EXPLAIN,
                                            "--shape RxD [options]", true, false};
    struct options options;
    struct made made;
    norma_context *context = NULL;
    memset(&made, 0, sizeof made);
    int code = options_parse(argc, argv, &spec, &options);
    if (code == 0)
        code = work(&options, &made, &context) ? 0 : 1;
    norma_context_destroy(&context);
    made_finish(&made);
    options_finish(&options);
    return code;
}
