// The check suite's cases (tests/check) on this machine's drivers, small enough for a driver bug report: every variant
// forced in turn, results within the numeric contract, bits equal across runs and variants, nothing else touched.
#include "../tests/check/driver.h"
#include "../tests/check/expect.h"
#include "commands.h"
#include "message.h"
#include "options.h"
#include "progress.h"
#include "table.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEVICES = 32, RANDOM_CASES = 128, EDGE_STEP = 4 };

struct outcome {
    char name[128], driver[128], id[16];
    bool cpu; // a driver that takes long to compile, and for what it never chooses longest
    uint64_t cases, runs, failures;
    double worst;     // error/bound
    char first[1024]; // the first failure
};

struct check {
    struct options options;
    norma_context *context;
    struct outcome outcome[MAX_DEVICES];
    size_t devices;
    uint64_t cases; // of one round on one device
};

// One case's memory.
struct room {
    struct check_expected expected;
    unsigned char *arena, *outputs, *first;
};

static void fail(struct outcome *o, const struct check_case *c, const char *way, const char *what)
{
    char text[512];
    if (o->failures++)
        return;
    check_case_describe(c, text, sizeof text);
    snprintf(o->first, sizeof o->first, "%s, seed %llu, case %llu: %s; %s", way, (unsigned long long)c->seed,
             (unsigned long long)c->index, what, text);
}

// After a run: values within the contract, the rest of memory untouched, the bits those of the first run.
static bool judge(struct outcome *o, const struct check_case *c, struct room *room, const char *way, bool is_first)
{
    unsigned char *outputs = is_first ? room->first : room->outputs;
    ++o->runs;
    check_gather(c, room->arena, outputs);
    struct check_verdict verdict = check_judge(c, &room->expected, room->arena, outputs);
    if (verdict.worst > o->worst)
        o->worst = verdict.worst;
    if (verdict.ok && !is_first) {
        char difference[160];
        verdict.ok = check_same_bits(c, room->first, outputs, difference, sizeof difference);
        if (!verdict.ok)
            snprintf(verdict.message, sizeof verdict.message, "other bits than the first run: %s", difference);
    }
    if (!verdict.ok)
        fail(o, c, way, verdict.message);
    return verdict.ok;
}

static bool status_good(struct outcome *o, const struct check_case *c, const char *way, norma_status status)
{
    char text[256];
    if (status == NORMA_OK)
        return true;
    snprintf(text, sizeof text, "%s: %s", norma_status_name(status), norma_last_error());
    fail(o, c, way, text);
    return false;
}

// By norma_run twice, by a plan, and by a plan for each variant. Stops at the case's first failure.
static void run_case(struct outcome *o, struct check_driver *driver, const struct check_case *c, struct room *room)
{
    static const char *const ways[] = {"norma_run", "norma_run again"};
    ++o->cases;
    for (int i = 0; i < 2; ++i) {
        if (!status_good(o, c, ways[i], check_run_host(driver, c, room->arena)) || !judge(o, c, room, ways[i], i == 0))
            return;
    }
    // The planner's choice, then every variant in turn: on a CPU driver for one type, which reaches
    // each kernel, and without those that keep a row in registers: a CPU's compiler takes a minute for one, and the
    // planner never picks them there. tests/check has the patience.
    const char *variant = NULL;
    bool each = !o->cpu || c->tensor[NORMA_ARG_X].dtype == NORMA_FLOAT32;
    for (size_t i = 0; i == 0 || (variant && each); ++i) {
        struct check_options options = {.variant = variant};
        norma_status status = check_run_plan(driver, c, &options, room->arena);
        const char *way = variant ? variant : "plan";
        // Not every variant does every problem.
        bool skipped = variant && status == NORMA_ERROR_UNSUPPORTED;
        if (!skipped && (!status_good(o, c, way, status) || !judge(o, c, room, way, false)))
            return;
        do
            variant = check_driver_variant(driver, i);
        while (o->cpu && variant && !strncmp(variant, "registers", 9) && ++i);
    }
}

static bool do_case(struct outcome *o, struct check_driver *driver, uint64_t seed, uint64_t index)
{
    struct check_case c;
    struct room room = {.arena = NULL};
    check_case_make(&c, seed, index);
    // Types that differ make more programs there than a user has patience for; tests/check goes through them.
    if (o->cpu && c.tensor[NORMA_ARG_Y].view == NORMA_ARG_Y) {
        c.tensor[NORMA_ARG_Y].dtype = c.tensor[NORMA_ARG_X].dtype;
        check_case_place(&c);
    }
    uint64_t size = check_outputs_size(&c);
    room.arena = malloc(c.arena_size);
    room.outputs = malloc(size + 1);
    room.first = malloc(size + 1);
    bool good = check_case_fill(&c) && check_expect(&c, &room.expected) && room.arena && room.outputs && room.first;
    if (good)
        run_case(o, driver, &c, &room);
    free(room.arena);
    free(room.outputs);
    free(room.first);
    check_expected_finish(&room.expected);
    check_case_finish(&c);
    return good || complain("check: no memory for case %llu", (unsigned long long)index);
}

// All rounds on one device; each round has its own seed and other edges.
static bool check_device(struct check *check, struct outcome *o)
{
    struct check_driver driver;
    norma_status status = check_driver_open(&driver, o->id, 0, 0);
    if (status != NORMA_OK) {
        ++o->failures;
        snprintf(o->first, sizeof o->first, "cannot be used: %s", norma_last_error());
        return true;
    }
    struct progress progress;
    progress_start(&progress, o->id, 0);
    uint64_t edges = check_edge_count() / EDGE_STEP, rounds = (uint64_t)check->options.repeat;
    bool good = true;
    check->cases = edges + RANDOM_CASES;
    for (uint64_t round = 0; good && round < rounds; ++round) {
        for (uint64_t i = 0; good && i < check->cases; ++i) {
            uint64_t index = i < edges ? i * EDGE_STEP + round % EDGE_STEP : check_edge_count() + i - edges;
            good = do_case(o, &driver, check->options.seed + round, index);
            progress_set(&progress, ((double)round + (double)(i + 1) / (double)check->cases) / (double)rounds);
        }
    }
    progress_finish(&progress);
    check_driver_close(&driver);
    return good;
}

static bool list_devices(struct check *check)
{
    if (!options_context(&check->options, &check->context))
        return false;
    size_t count = norma_context_device_count(check->context);
    for (size_t i = 0; i < count && check->devices < MAX_DEVICES; ++i) {
        norma_device *device = norma_context_device(check->context, i);
        norma_device_info info = {.size = sizeof info};
        if (!options_want(&check->options, device))
            continue;
        if (!succeeded(norma_device_get_info(device, &info)))
            return false;
        struct outcome *o = &check->outcome[check->devices++];
        o->cpu = info.kind == NORMA_DEVICE_CPU && strcmp(info.backend, "scalar") != 0;
        snprintf(o->id, sizeof o->id, "%s", info.id);
        snprintf(o->name, sizeof o->name, "%s", info.name);
        snprintf(o->driver, sizeof o->driver, "%s", info.driver);
    }
    norma_context_destroy(&check->context);
    return true;
}

static void print_json(const struct check *check)
{
    cJSON *all = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(all, "devices");
    cJSON_AddNumberToObject(all, "seed", (double)check->options.seed);
    cJSON_AddNumberToObject(all, "repeat", check->options.repeat);
    for (size_t i = 0; i < check->devices; ++i) {
        const struct outcome *o = &check->outcome[i];
        cJSON *d = cJSON_CreateObject();
        cJSON_AddStringToObject(d, "device", o->id);
        cJSON_AddStringToObject(d, "name", o->name);
        cJSON_AddStringToObject(d, "driver", o->driver);
        cJSON_AddNumberToObject(d, "cases", (double)o->cases);
        cJSON_AddNumberToObject(d, "runs", (double)o->runs);
        cJSON_AddNumberToObject(d, "failures", (double)o->failures);
        // JSON has no infinity: null where NaN or infinity disagreed.
        if (isfinite(o->worst))
            cJSON_AddNumberToObject(d, "worst", o->worst);
        else
            cJSON_AddNullToObject(d, "worst");
        cJSON_AddStringToObject(d, "first_failure", o->first);
        cJSON_AddItemToArray(list, d);
    }
    char *printed = cJSON_Print(all);
    puts(printed ? printed : "{}");
    free(printed);
    cJSON_Delete(all);
}

static void print_text(const struct check *check)
{
    static const char *const headers[] = {"device", ">cases", ">runs", ">failures", ">worst error/bound", "driver"};
    struct table table;
    printf("seed %llu, %d rounds of %llu cases against the numeric contract\n", (unsigned long long)check->options.seed,
           check->options.repeat, (unsigned long long)check->cases);
    table_start(&table, 6, headers);
    for (size_t i = 0; i < check->devices; ++i) {
        const struct outcome *o = &check->outcome[i];
        table_add(&table, "%s", o->id);
        table_add(&table, "%llu", (unsigned long long)o->cases);
        table_add(&table, "%llu", (unsigned long long)o->runs);
        table_add(&table, "%llu", (unsigned long long)o->failures);
        table_add(&table, "%.3f", o->worst);
        table_add(&table, "%s, %s", o->name, o->driver);
    }
    table_print(&table);
    for (size_t i = 0; i < check->devices; ++i) {
        if (check->outcome[i].failures)
            printf("%s failed first by %s\n", check->outcome[i].id, check->outcome[i].first);
    }
}

static bool work(struct check *check)
{
    if (!list_devices(check))
        return false;
    uint64_t failures = 0;
    for (size_t i = 0; i < check->devices; ++i) {
        if (!check_device(check, &check->outcome[i]))
            return false;
        failures += check->outcome[i].failures;
    }
    if (check->options.json)
        print_json(check);
    else
        print_text(check);
    for (size_t i = 0; i < check->devices; ++i) {
        if (check->outcome[i].failures)
            return complain("%s: %llu of %llu cases failed, the first by %s", check->outcome[i].id,
                            (unsigned long long)check->outcome[i].failures, (unsigned long long)check->outcome[i].cases,
                            check->outcome[i].first);
    }
    return failures == 0;
}

int cmd_check(int argc, const char **argv)
{
    static const struct option_spec spec = {OPTIONS_DEVICE | OPTIONS_JSON | OPTIONS_CHECK, "[--device D] [--repeat N]",
                                            false, false};
    struct check *check = calloc(1, sizeof *check);
    if (!check)
        return complain("check: no memory") ? 0 : 1;
    int code = options_parse(argc, argv, &spec, &check->options);
    if (code == 0)
        code = work(check) ? 0 : 1;
    norma_context_destroy(&check->context);
    options_finish(&check->options);
    free(check);
    return code;
}
