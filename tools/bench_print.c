#include "backend.h"
#include "bench.h"
#include "plot.h"
#include "table.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

const char *bench_direction(const struct bench_outcome *out)
{
    return out->direction == NORMA_BACKWARD ? "backward" : "forward";
}

const char *bench_layout(const struct bench_outcome *out)
{
    return out->channels_last ? "channels_last" : out->channel_block > 1 ? "packed" : "contiguous";
}

const char *bench_cache(const struct bench_outcome *out)
{
    return out->cold ? "cold" : "warm";
}

static double gbps(const struct bench_outcome *out, double seconds)
{
    return (double)out->bytes / seconds / 1e9;
}

static cJSON *copy_object(const struct bench_outcome *out, const struct bench_copy *c)
{
    cJSON *copy = cJSON_CreateObject();
    cJSON_AddStringToObject(copy, "name", c->name);
    cJSON_AddNumberToObject(copy, "minimum", c->minimum);
    cJSON_AddNumberToObject(copy, "median", c->median);
    if (c->empty) {
        cJSON_AddNumberToObject(copy, "times", 1 / c->fraction);
    } else {
        cJSON_AddNumberToObject(copy, "gbps", gbps(out, c->median));
        cJSON_AddNumberToObject(copy, "fraction", c->fraction);
    }
    return copy;
}

void bench_print_json(const struct bench_outcome *out, bool one_line, const char *suite_shape)
{
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "op", norma_op_name(out->op));
    cJSON_AddStringToObject(all, "shape", out->shape);
    if (suite_shape)
        cJSON_AddStringToObject(all, "suite_shape", suite_shape);
    cJSON_AddStringToObject(all, "dtype", dtype_name(out->dtype));
    cJSON_AddStringToObject(all, "direction", bench_direction(out));
    cJSON_AddStringToObject(all, "layout", bench_layout(out));
    cJSON_AddStringToObject(all, "cache", bench_cache(out));
    cJSON_AddStringToObject(all, "device", out->device->id);
    cJSON_AddStringToObject(all, "device_name", out->device->name);
    cJSON_AddStringToObject(all, "clock", out->device_clock ? "device" : "host");
    cJSON *seconds = cJSON_AddObjectToObject(all, "seconds");
    cJSON_AddNumberToObject(seconds, "minimum", out->minimum);
    cJSON_AddNumberToObject(seconds, "median", out->median);
    cJSON_AddNumberToObject(all, "bytes", (double)out->bytes);
    cJSON_AddNumberToObject(all, "in_flight", out->repeats);
    cJSON_AddNumberToObject(all, "gbps", gbps(out, out->median));
    cJSON_AddNumberToObject(all, "copy_gbps", gbps(out, out->copy[out->fastest].median));
    cJSON_AddNumberToObject(all, "fraction", out->copy[out->fastest].fraction);
    cJSON *copies = cJSON_AddArrayToObject(all, "copies");
    for (size_t k = 0; k < out->copies; ++k) {
        if (out->copy[k].pairs && out->copy[k].empty)
            cJSON_AddItemToObject(all, "empty_kernel", copy_object(out, &out->copy[k]));
        else if (out->copy[k].pairs)
            cJSON_AddItemToArray(copies, copy_object(out, &out->copy[k]));
    }
    char *printed = one_line ? cJSON_PrintUnformatted(all) : cJSON_Print(all);
    puts(printed ? printed : "{}");
    free(printed);
    cJSON_Delete(all);
}

// fraction: of this copy's speed; 0 in the operator's own row.
static void print_row(struct table *table, const char *name, double least, double middle, double rate, double fraction)
{
    table_add(table, "%s", name);
    table_add(table, "%.1f", least * 1e6);
    table_add(table, "%.1f", middle * 1e6);
    table_add(table, rate > 0 ? "%.2f" : "", rate);
    table_add(table, fraction > 0 ? "%.3f" : "", fraction);
}

void bench_print_text(const struct bench_outcome *out)
{
    static const char *const headers[] = {"", ">minimum us", ">median us", ">GB/s", ">fraction of it"};
    char packed[32] = "";
    if (out->channel_block > 1)
        snprintf(packed, sizeof packed, ", packed by %d", (int)out->channel_block);
    printf("%s %s %s %s%s, %s caches, on %s (%s), %llu bytes, %d runs in flight\n", norma_op_name(out->op), out->shape,
           dtype_name(out->dtype), bench_direction(out), out->channels_last ? ", channels last" : packed,
           bench_cache(out), out->device->id, out->device->name, (unsigned long long)out->bytes, out->repeats);
    struct table table;
    table_start(&table, 5, headers);
    print_row(&table, norma_op_name(out->op), out->minimum, out->median, gbps(out, out->median), 0);
    for (size_t k = 0; k < out->copies; ++k) {
        const struct bench_copy *c = &out->copy[k];
        if (c->pairs)
            print_row(&table, c->name, c->minimum, c->median, c->empty ? 0 : gbps(out, c->median), c->fraction);
    }
    table_print(&table);
    printf("%.3f of the fastest copy (%s), median of %zu pairs\n", out->copy[out->fastest].fraction,
           out->copy[out->fastest].name, out->copy[out->fastest].pairs);
}

bool bench_plot(const struct bench_outcome *out, const char *file)
{
    struct plot_bar bars[COPY_MAX_KINDS + 1];
    char title[512];
    size_t count = 0;
    bars[count++] = (struct plot_bar){norma_op_name(out->op), gbps(out, out->median), gbps(out, out->minimum)};
    for (size_t k = 0; k < out->copies; ++k) {
        const struct bench_copy *c = &out->copy[k];
        if (c->pairs && !c->empty)
            bars[count++] = (struct plot_bar){c->name, gbps(out, c->median), gbps(out, c->minimum)};
    }
    snprintf(title, sizeof title, "%s %s %s on %s: median rate, line to the fastest", norma_op_name(out->op),
             out->shape, dtype_name(out->dtype), out->device->name);
    return plot_bars(file, title, "GB/s", bars, count);
}
