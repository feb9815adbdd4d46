#include "inspection.h"
#include "message.h"
#include "statistics.h"
#include "table.h"
#include "tensors.h"
#include "values.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 5, LARGEST = 8 };

static const struct {
    const char *name;
    size_t at;
} columns[COLUMNS] = {
    {"mean", offsetof(struct moments, mean)},         {"rstd", offsetof(struct moments, rstd)},
    {"min", offsetof(struct moments, least)},         {"max", offsetof(struct moments, most)},
    {"kurtosis", offsetof(struct moments, kurtosis)},
};

static double value_of(const struct moments *m, int column)
{
    double value;
    memcpy(&value, (const char *)m + columns[column].at, sizeof value);
    return value;
}

// Smallest, median and largest of a column over the groups that have a value; NaN where none has.
static bool summarise(const struct inspection *i, int column, double summary[3])
{
    const int64_t groups = i->in.work.form.groups;
    double *values = malloc((size_t)groups * sizeof *values + 1);
    size_t count = 0;
    if (!values)
        return complain("inspect: no memory for %lld groups", (long long)groups);
    for (int64_t g = 0; g < groups; ++g) {
        values[count] = value_of(&i->group[g], column);
        count += !isnan(values[count]);
    }
    summary[0] = summary[1] = summary[2] = (double)NAN;
    if (count > 0) {
        summary[1] = median(values, count); // sorts them
        summary[0] = values[0];
        summary[2] = values[count - 1];
    }
    free(values);
    return true;
}

// "[3, 1]": the group's place in the tensor that mean would be.
static const char *place_of(const struct inspection *i, int64_t group, char text[160])
{
    int64_t shape[NORMA_MAX_RANK], index[NORMA_MAX_RANK] = {0};
    const int32_t rank = natural_shape(&i->in.problem, NORMA_ARG_MEAN, shape);
    size_t used = 1;
    for (int32_t d = rank - 1; d >= 0; --d) {
        index[d] = group % shape[d];
        group /= shape[d];
    }
    text[0] = '[';
    for (int32_t d = 0; d < rank; ++d)
        used += (size_t)snprintf(text + used, 160 - used, "%s%lld", d ? ", " : "", (long long)index[d]);
    snprintf(text + used, 160 - used, "]");
    return text;
}

static int by_size(const void *a, const void *b)
{
    const struct channel *x = a, *y = b;
    return x->most > y->most ? -1 : x->most < y->most ? 1 : x->index < y->index ? -1 : 1;
}

// The channels by their largest |x|, and the median of these over all.
static bool sort_channels(const struct inspection *i, double *middle)
{
    double *values = malloc((size_t)i->channels * sizeof *values + 1);
    if (!values)
        return complain("inspect: no memory for %lld channels", (long long)i->channels);
    for (int64_t c = 0; c < i->channels; ++c)
        values[c] = i->channel[c].most;
    *middle = i->channels ? median(values, (size_t)i->channels) : (double)NAN;
    free(values);
    qsort(i->channel, (size_t)i->channels, sizeof *i->channel, by_size);
    return true;
}

static bool print_groups(const struct inspection *i)
{
    static const char *const headers[] = {"group", ">mean", ">rstd", ">min", ">max", ">kurtosis", ">not finite"};
    static const char *const names[] = {"all: min", "all: median", "all: max"};
    const int64_t groups = i->in.work.form.groups, most = i->options.shown_groups;
    const int64_t shown = most < groups ? most : groups;
    double summary[COLUMNS][3];
    struct table table;
    char text[160];
    for (int c = 0; c < COLUMNS; ++c)
        if (!summarise(i, c, summary[c]))
            return false;
    table_start(&table, COLUMNS + 2, headers);
    for (int64_t g = 0; g < shown; ++g) {
        table_add(&table, "%s", place_of(i, g, text));
        for (int c = 0; c < COLUMNS; ++c)
            table_add(&table, "%.6g", value_of(&i->group[g], c));
        table_add(&table, "%lld", (long long)i->group[g].nonfinite);
    }
    for (int row = 0; row < 3; ++row) {
        table_add(&table, "%s", names[row]);
        for (int c = 0; c < COLUMNS; ++c)
            table_add(&table, "%.6g", summary[c][row]);
        table_add(&table, "%s", "");
    }
    table_print(&table);
    return true;
}

static void print_nonfinite(const struct inspection *i)
{
    const int64_t groups = i->in.work.form.groups;
    int64_t spoilt = 0, first = -1;
    char text[160];
    for (int64_t g = 0; g < groups; ++g) {
        if (!i->group[g].nonfinite)
            continue;
        spoilt++;
        first = first < 0 ? g : first;
    }
    if (spoilt)
        printf("%lld elements of x in %lld groups are NaN or infinite, first in %s: the statistics are those of the "
               "others\n",
               (long long)i->before.nonfinite, (long long)spoilt, place_of(i, first, text));
}

static bool print_channels(const struct inspection *i)
{
    static const char *const headers[] = {">channel", ">max |x|", ">rms", ">max |x| / median"};
    double middle;
    struct table table;
    if (!sort_channels(i, &middle))
        return false;
    printf("\nlargest of the %lld channels (dimension %d); the median of their max |x| is %.6g\n",
           (long long)i->channels, (int)i->dimension, middle);
    table_start(&table, 4, headers);
    for (int64_t c = 0; c < i->channels && c < LARGEST; ++c) {
        table_add(&table, "%lld", (long long)i->channel[c].index);
        table_add(&table, "%.6g", i->channel[c].most);
        table_add(&table, "%.6g", i->channel[c].rms);
        table_add(&table, "%.4g", i->channel[c].most / middle);
    }
    table_print(&table);
    return true;
}

bool inspection_text(const struct inspection *i)
{
    char shape[192];
    const struct norma_form *form = &i->in.work.form;
    const norma_tensor *x = i->in.problem.x;
    printf("%s: %s %s; %s: %lld groups of %lld elements (kurtosis: 3 for a normal distribution)\n\n", i->options.x_file,
           dtype_name(x->dtype), shape_text(x, shape), norma_op_name(i->in.problem.op), (long long)form->groups,
           (long long)form->n);
    if (!print_groups(i))
        return false;
    print_nonfinite(i);
    if (!print_channels(i))
        return false;
    printf("\nx is between %.6g and %.6g; y of %s on %s between %.6g and %.6g, %lld not finite\n", i->before.least,
           i->before.most, norma_op_name(i->in.problem.op), i->device, i->after.least, i->after.most,
           (long long)i->after.nonfinite);
    return true;
}

// JSON has no NaN and no infinity: null. Groups are printed as they come, since there may be millions.
static void print_number(const char *name, double value)
{
    if (isfinite(value))
        printf("\"%s\": %.17g, ", name, value);
    else
        printf("\"%s\": null, ", name);
}

static void print_histogram(const char *name, const struct histogram *h)
{
    printf("  \"%s\": {", name);
    print_number("min", h->least <= h->most ? h->least : (double)NAN);
    print_number("max", h->least <= h->most ? h->most : (double)NAN);
    printf("\"nonfinite\": %lld},\n", (long long)h->nonfinite);
}

static void print_json_groups(const struct inspection *i)
{
    const int64_t groups = i->in.work.form.groups;
    char text[160];
    printf("  \"group\": [\n");
    for (int64_t g = 0; g < groups; ++g) {
        printf("    {\"index\": %s, ", place_of(i, g, text));
        for (int c = 0; c < COLUMNS; ++c)
            print_number(columns[c].name, value_of(&i->group[g], c));
        printf("\"nonfinite\": %lld}%s\n", (long long)i->group[g].nonfinite, g + 1 < groups ? "," : "");
    }
    printf("  ],\n");
}

static bool print_json_channels(const struct inspection *i)
{
    double middle;
    if (!sort_channels(i, &middle))
        return false;
    printf("  \"channels\": {\"dimension\": %d, \"count\": %lld, ", (int)i->dimension, (long long)i->channels);
    print_number("median_max", middle);
    printf("\"largest\": [\n");
    for (int64_t c = 0; c < i->channels && c < LARGEST; ++c) {
        printf("    {");
        print_number("max", i->channel[c].most);
        print_number("rms", i->channel[c].rms);
        print_number("ratio", i->channel[c].most / middle);
        printf("\"index\": %lld}%s\n", (long long)i->channel[c].index,
               c + 1 < i->channels && c + 1 < LARGEST ? "," : "");
    }
    printf("  ]}\n");
    return true;
}

bool inspection_json(const struct inspection *i)
{
    static const char *const names[] = {"min", "median", "max"};
    const struct norma_form *form = &i->in.work.form;
    const norma_tensor *x = i->in.problem.x;
    double summary[COLUMNS][3];
    for (int c = 0; c < COLUMNS; ++c)
        if (!summarise(i, c, summary[c]))
            return false;
    cJSON *name = cJSON_CreateString(i->options.x_file);
    char *quoted = cJSON_PrintUnformatted(name);
    cJSON_Delete(name);
    printf("{\n  \"file\": %s, \"dtype\": \"%s\", \"operator\": \"%s\", \"device\": \"%s\",\n  \"shape\": [",
           quoted ? quoted : "\"\"", dtype_name(x->dtype), norma_op_name(i->in.problem.op), i->device);
    free(quoted);
    for (int32_t d = 0; d < x->rank; ++d)
        printf("%s%lld", d ? ", " : "", (long long)x->shape[d]);
    printf("], \"groups\": %lld, \"elements\": %lld,\n", (long long)form->groups, (long long)form->n);
    print_histogram("before", &i->before);
    print_histogram("after", &i->after);
    printf("  \"summary\": {\n");
    for (int c = 0; c < COLUMNS; ++c) {
        printf("    \"%s\": {", columns[c].name);
        print_number(names[0], summary[c][0]);
        print_number(names[1], summary[c][1]);
        if (isfinite(summary[c][2]))
            printf("\"max\": %.17g}%s\n", summary[c][2], c + 1 < COLUMNS ? "," : "");
        else
            printf("\"max\": null}%s\n", c + 1 < COLUMNS ? "," : "");
    }
    printf("  },\n");
    print_json_groups(i);
    const bool good = print_json_channels(i);
    printf("}\n");
    return good;
}
