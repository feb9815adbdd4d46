#include "backend.h"
#include "bench.h"
#include "message.h"
#include "plot.h"
#include "progress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is measured: each op and shape in both directions, of three types, warm and cold.
struct suite_shape {
    const char *op, *shape;
    const char *more[4]; // further words of norma bench
};

#define ROWS(shape)                \
    {"layer_norm", shape, {NULL}}, \
    {                              \
        "rms_norm", shape,         \
        {                          \
            NULL                   \
        }                          \
    }
#define BATCH "batch_norm"
#define GROUP "group_norm"
static const struct suite_shape shapes[] = {
    ROWS("4096x768"),
    ROWS("16384x768"),
    ROWS("8192x1024"),
    ROWS("2048x4096"),
    ROWS("262144x64"),
    ROWS("64x262144"),
    ROWS("2x1048576"),
    // Small: launching shows.
    ROWS("1x768"),
    ROWS("32x768"),
    ROWS("1x4096"),
    ROWS("1x8192"),
    ROWS("8x4096"),
    ROWS("40x128"),
    ROWS("8x128"),
    {BATCH, "32x64x56x56", {"--training"}},
    {BATCH, "32x64x56x56", {"--training", "--channels-last"}},
    {GROUP, "8x320x64x64", {"--num-groups", "32"}},
    {GROUP, "8x320x64x64", {"--num-groups", "32", "--channels-last"}},
    {BATCH, "256x2048x7x7", {"--training"}},
    {BATCH, "256x2048x7x7", {"--training", "--channels-last"}},
};
static const char *const types[] = {"float32", "float16", "bfloat16"};
enum { SHAPES = sizeof shapes / sizeof *shapes, TYPES = sizeof types / sizeof *types, STATES = 4, WORDS = 16 };
enum { QUICK_ELEMENTS = 65536, NAME = 160 };
static const double QUICK_SECONDS = 0.001;

struct suite_case {
    const struct suite_shape *shape;
    const char *type;
    bool backward, cold;
};

struct suite {
    const struct options *options;
    norma_context *context;
    norma_device *device[PLOT_MAX_SERIES];
    size_t devices;
    struct suite_case cases[SHAPES * TYPES * STATES];
    size_t count, done, failed;
    struct progress progress;
    double fraction[SHAPES * TYPES * STATES][PLOT_MAX_SERIES]; // negative: not measured
    struct sweep sweep;                                        // of the device that is measured
    bool swept;
};

static const char *layout_of(const struct suite_case *c)
{
    for (int i = 0; i < 4 && c->shape->more[i]; ++i)
        if (!strcmp(c->shape->more[i], "--channels-last"))
            return " channels_last";
    return "";
}

static const char *name_of(const struct suite_case *c, char name[NAME])
{
    snprintf(name, NAME, "%s %s%s %s %s %s", c->shape->op, c->shape->shape, layout_of(c), c->type,
             c->backward ? "backward" : "forward", c->cold ? "cold" : "warm");
    return name;
}

static bool has_word(const char *name, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = name; (at = strstr(at, word)); ++at)
        if ((at == name || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

// Each of the filter's words, or one of those between its commas, is a word of the name.
static bool passes(const char *filter, const char *name)
{
    char copy[512], *rest = copy;
    snprintf(copy, sizeof copy, "%s", filter ? filter : "");
    for (char *word; (word = strsep(&rest, " "));) {
        bool found = !*word;
        for (char *choice; (choice = strsep(&word, ","));)
            found = found || has_word(name, choice);
        if (!found)
            return false;
    }
    return true;
}

static bool list_cases(struct suite *s)
{
    char name[NAME];
    for (int state = 0; state < STATES; ++state) {
        for (int type = 0; type < TYPES; ++type) {
            for (int shape = 0; shape < SHAPES; ++shape) {
                const struct suite_case c = {&shapes[shape], types[type], state % 2 == 1, state >= 2};
                if (s->options->quick && (type || c.cold))
                    continue;
                if (passes(s->options->filter, name_of(&c, name)))
                    s->cases[s->count++] = c;
            }
        }
    }
    return s->count || complain("filter: no case has all of '%s': such are 'layer_norm 4096x768 float32 forward warm'",
                                s->options->filter);
}

static bool list_devices(struct suite *s)
{
    for (size_t i = 0; i < norma_context_device_count(s->context); ++i) {
        norma_device *device = norma_context_device(s->context, i);
        norma_device_info info = {.size = sizeof info};
        if (!options_want(s->options, device))
            continue;
        if (!succeeded(norma_device_get_info(device, &info)))
            return false;
        if (!info.usable)
            complain("%s is left out: %s", info.id, info.reason);
        else if (s->devices < PLOT_MAX_SERIES)
            s->device[s->devices++] = device;
        else
            complain("%s is left out: there are more than %d devices", info.id, (int)PLOT_MAX_SERIES);
    }
    return s->devices || complain("device: none is '%s'", s->options->device ? s->options->device : "usable");
}

// The shape with fewer rows, samples or images.
static void cut(const char *shape, char text[192])
{
    char *rest;
    long long first = strtoll(shape, &rest, 10), others = 1;
    for (const char *at = rest; *at == 'x';) {
        char *end;
        others *= strtoll(at + 1, &end, 10);
        at = end;
    }
    const long long most = QUICK_ELEMENTS / others > 1 ? QUICK_ELEMENTS / others : 1;
    snprintf(text, 192, "%lld%s", first < most ? first : most, rest);
}

// The case as a command line, so that it is what `norma bench` with those words measures.
static bool understand(const struct suite *s, const struct suite_case *c, struct options *o)
{
    static const struct option_spec spec = {
        OPTIONS_DEVICE | OPTIONS_PROBLEM | OPTIONS_WHOLE | OPTIONS_SHAPE | OPTIONS_BENCH, "", true, false};
    char shape[192], seconds[32];
    const char *words[WORDS] = {"bench", c->shape->op, "--shape", shape, "--dtype", c->type, "--seconds", seconds};
    int count = 8;
    snprintf(shape, sizeof shape, "%s", c->shape->shape);
    if (s->options->quick)
        cut(c->shape->shape, shape);
    snprintf(seconds, sizeof seconds, "%.9g", s->options->quick ? QUICK_SECONDS : s->options->seconds);
    for (int i = 0; i < 4 && c->shape->more[i]; ++i)
        words[count++] = c->shape->more[i];
    if (c->backward)
        words[count++] = "--backward";
    if (options_parse(count, words, &spec, o))
        return false;
    o->memory_budget = s->options->memory_budget;
    return true;
}

static void print_case(struct suite *s, const struct suite_case *c, const struct bench_outcome *out)
{
    progress_hold(&s->progress);
    if (s->options->json) {
        bench_print_json(out, true, c->shape->shape);
    } else {
        const struct bench_copy *copy = &out->copy[out->fastest];
        printf("%-10s %-12s %-13s %-8s %-8s %-4s %10.1f %10.1f %8.2f %6.3f  %s", c->shape->op, out->shape,
               bench_layout(out), c->type, bench_direction(out), bench_cache(out), out->minimum * 1e6,
               out->median * 1e6, (double)out->bytes / out->median / 1e9, copy->fraction, copy->name);
        for (size_t k = 0; k < out->copies; ++k)
            if (out->copy[k].empty && out->copy[k].pairs && out->copy[k].fraction > 0.05)
                printf(", %.2f empty kernels", 1 / out->copy[k].fraction);
        printf("\n");
    }
    fflush(stdout);
    progress_release(&s->progress);
}

static void run_case(struct suite *s, size_t d, size_t i)
{
    const struct suite_case *c = &s->cases[i];
    struct bench_outcome out;
    struct options o;
    char name[NAME];
    bool good = understand(s, c, &o);
    if (good && c->cold && !s->swept) {
        s->swept = true;
        good = sweep_start(&s->sweep, s->device[d]);
    }
    good = good && bench_measure(s->device[d], &o, c->cold ? &s->sweep : NULL, false, &out);
    if (good) {
        print_case(s, c, &out);
    } else {
        complain("that was %s on %s", name_of(c, name), s->device[d]->id);
        ++s->failed;
    }
    s->fraction[i][d] = good ? out.copy[out.fastest].fraction : -1;
    options_finish(&o);
    progress_set(&s->progress, (double)++s->done / (double)(s->count * s->devices));
}

static void run_all(struct suite *s)
{
    progress_start(&s->progress, "suite", 0);
    for (size_t d = 0; d < s->devices; ++d) {
        if (!s->options->json) {
            progress_hold(&s->progress);
            printf("%s%s: %s\n%-10s %-12s %-13s %-8s %-8s %-4s %10s %10s %8s %6s  %s\n", d ? "\n" : "",
                   s->device[d]->id, s->device[d]->name, "", "", "", "", "", "", "minimum us", "median us", "GB/s", "",
                   "of the fastest copy");
            progress_release(&s->progress);
        }
        for (size_t i = 0; i < s->count; ++i)
            run_case(s, d, i);
        if (s->swept)
            sweep_finish(&s->sweep);
        s->swept = false;
    }
    progress_finish(&s->progress);
}

// Whether both belong into one panel.
static bool alike(const struct suite_case *a, const struct suite_case *b)
{
    return !strcmp(a->shape->op, b->shape->op) && a->type == b->type && a->backward == b->backward &&
           a->cold == b->cold;
}

static bool plot(const struct suite *s)
{
    struct plot_row *rows = calloc(2 * s->count, sizeof *rows);
    char text[PLOT_MAX_SERIES][160];
    const char *names[PLOT_MAX_SERIES];
    size_t used = 0;
    if (!rows)
        return complain("plot: no memory");
    for (size_t d = 0; d < s->devices; ++d) {
        snprintf(text[d], sizeof text[d], "%s: %s", s->device[d]->id, s->device[d]->name);
        names[d] = text[d];
    }
    for (size_t i = 0; i < s->count; ++i) {
        const struct suite_case *first = &s->cases[i];
        bool seen = false;
        for (size_t k = 0; k < i; ++k)
            seen = seen || alike(first, &s->cases[k]);
        if (seen)
            continue;
        snprintf(rows[used++].label, PLOT_LABEL, "%s, %s, %s, %s", first->shape->op, first->type,
                 first->backward ? "backward" : "forward", first->cold ? "cold" : "warm");
        for (size_t k = i; k < s->count; ++k) {
            if (!alike(first, &s->cases[k]))
                continue;
            snprintf(rows[used].label, PLOT_LABEL, "%s%s", s->cases[k].shape->shape,
                     *layout_of(&s->cases[k]) ? ", channels last" : "");
            memcpy(rows[used].value, s->fraction[k], sizeof rows[used].value);
            rows[used++].count = s->devices;
        }
    }
    const bool good = plot_dots(s->options->plot_file, "norma bench --suite: fraction of the fastest copy's speed",
                                names, s->devices, rows, used);
    free(rows);
    return good;
}

int bench_suite(const struct options *options)
{
    struct suite *s = calloc(1, sizeof *s);
    if (!s)
        return complain("bench: no memory") ? 0 : 1;
    s->options = options;
    bool good = list_cases(s) && options_context(options, &s->context) && list_devices(s);
    if (good) {
        run_all(s);
        good = !options->plot_file || plot(s);
    }
    good = good && !s->failed;
    norma_context_destroy(&s->context);
    free(s);
    return good ? 0 : 1;
}
