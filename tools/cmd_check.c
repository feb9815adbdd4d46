// The check suite's cases (tests/check) on this machine's drivers, small enough for a driver bug report: every
// operator, every variant of rows forced in turn, results within the numeric contract, bits equal across runs and
// variants, nothing else touched.
#include "../tests/check/case.h"
#include "../tests/check/row_check.h"
#include "../tests/check/strided_case.h"
#include "../tests/check/strided_check.h"
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

enum {
    MAX_DEVICES = 32,
    ROW_CASES = 128,
    EDGE_STEP = 4,
    OPERATORS = NORMA_OP_COUNT - NORMA_LAYER_NORM,
    STRIDED_CASES = STRIDED_LAYOUT_COUNT * OPERATORS, // of one round
};

struct outcome {
    char name[128], driver[128], id[16];
    bool cpu; // a driver that takes long to compile, and for what it never chooses longest
    struct check_score total, op[NORMA_OP_COUNT];
    char first[1024]; // the first failure
};

struct check {
    struct options options;
    norma_context *context;
    struct outcome outcome[MAX_DEVICES];
    size_t devices;
    uint64_t cases; // of one round on one device
};

static void report(void *user, const struct check_trial *t, const char *way, const char *what)
{
    struct outcome *o = user;
    const struct check_subject *s = &t->subject;
    char text[640];
    if (o->first[0])
        return;
    s->family->describe(s->c, text, sizeof text);
    snprintf(o->first, sizeof o->first, "%s, norma-check-suite%s --seed %llu --only %llu: %s; %s", way,
             s->family->option, (unsigned long long)s->seed, (unsigned long long)s->index, what, text);
}

// Case i of a round: rows at their edges, others among them, then strided cases. Each round has its own seed, other
// edges, and types and layouts of each operator that the last one had not.
static bool do_case(const struct check_settings *settings, struct check_driver *driver, uint64_t round, uint64_t i)
{
    const uint64_t edges = check_edge_count() / EDGE_STEP, rows = edges + ROW_CASES;
    if (i < edges)
        return row_check(settings, driver, 1, i * EDGE_STEP + round % EDGE_STEP);
    if (i < rows)
        return row_check(settings, driver, 1, check_edge_count() + i - edges);
    // The k-th case of an operator: what cases of an operator go round by (strided_case.c) is picked such that a round
    // has every layout and some of each of the others.
    const uint64_t j = round * STRIDED_CASES + i - rows, k = j / OPERATORS;
    const uint64_t layouts = STRIDED_LAYOUT_COUNT;
    const uint64_t turn = (k + k / layouts) % 2 + 2 * (k % layouts) + 2 * layouts * (k % 7);
    return strided_check(settings, driver, 1, turn * OPERATORS + j % OPERATORS);
}

// All rounds on one device.
static bool check_device(struct check *check, struct outcome *o)
{
    struct check_driver driver;
    norma_status status = check_driver_open(&driver, o->id, 0, 0);
    if (status != NORMA_OK) {
        ++o->total.failures;
        snprintf(o->first, sizeof o->first, "cannot be used: %s", norma_last_error());
        return true;
    }
    struct check_settings settings = {.twice = true, .few_programs = o->cpu, .report = report, .user = o};
    struct progress progress;
    progress_start(&progress, o->id, 0);
    uint64_t rounds = (uint64_t)check->options.repeat;
    bool good = true;
    check->cases = check_edge_count() / EDGE_STEP + ROW_CASES + STRIDED_CASES;
    for (uint64_t round = 0; good && round < rounds; ++round) {
        settings.seed = check->options.seed + round;
        for (uint64_t i = 0; good && i < check->cases; ++i) {
            if (!do_case(&settings, &driver, round, i))
                good = complain("check: no memory for case %llu", (unsigned long long)i);
            progress_set(&progress, ((double)round + (double)(i + 1) / (double)check->cases) / (double)rounds);
        }
    }
    progress_finish(&progress);
    o->total = (struct check_score){driver.cases, driver.runs, driver.failures, driver.worst};
    memcpy(o->op, driver.op, sizeof o->op);
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

static void add_score(cJSON *to, const struct check_score *score)
{
    cJSON_AddNumberToObject(to, "cases", (double)score->cases);
    cJSON_AddNumberToObject(to, "runs", (double)score->runs);
    cJSON_AddNumberToObject(to, "failures", (double)score->failures);
    // JSON has no infinity: null where NaN or infinity disagreed.
    if (isfinite(score->worst))
        cJSON_AddNumberToObject(to, "worst", score->worst);
    else
        cJSON_AddNullToObject(to, "worst");
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
        add_score(d, &o->total);
        cJSON *operators = cJSON_AddObjectToObject(d, "operators");
        for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; ++op)
            if (o->op[op].cases)
                add_score(cJSON_AddObjectToObject(operators, norma_op_name((norma_op)op)), &o->op[op]);
        cJSON_AddStringToObject(d, "first_failure", o->first);
        cJSON_AddItemToArray(list, d);
    }
    char *printed = cJSON_Print(all);
    puts(printed ? printed : "{}");
    free(printed);
    cJSON_Delete(all);
}

// The operator that came closest to its bound, or went farthest beyond it.
static const char *worst_op(const struct outcome *o)
{
    int worst = NORMA_LAYER_NORM;
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; ++op)
        if (!(o->op[op].worst <= o->op[worst].worst))
            worst = op;
    return norma_op_name((norma_op)worst);
}

static void print_text(const struct check *check)
{
    static const char *const headers[] = {"device", ">cases", ">runs", ">failures", ">worst error/bound",
                                          "of",     "driver"};
    struct table table;
    printf("seed %llu, %d rounds of %llu cases of %d operators against the numeric contract\n",
           (unsigned long long)check->options.seed, check->options.repeat, (unsigned long long)check->cases, OPERATORS);
    table_start(&table, 7, headers);
    for (size_t i = 0; i < check->devices; ++i) {
        const struct outcome *o = &check->outcome[i];
        table_add(&table, "%s", o->id);
        table_add(&table, "%llu", (unsigned long long)o->total.cases);
        table_add(&table, "%llu", (unsigned long long)o->total.runs);
        table_add(&table, "%llu", (unsigned long long)o->total.failures);
        table_add(&table, "%.3f", o->total.worst);
        table_add(&table, "%s", o->total.cases ? worst_op(o) : "");
        table_add(&table, "%s, %s", o->name, o->driver);
    }
    table_print(&table);
    for (size_t i = 0; i < check->devices; ++i) {
        if (check->outcome[i].total.failures)
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
        failures += check->outcome[i].total.failures;
    }
    if (check->options.json)
        print_json(check);
    else
        print_text(check);
    for (size_t i = 0; i < check->devices; ++i) {
        if (check->outcome[i].total.failures)
            return complain("%s: %llu of %llu cases failed, the first by %s", check->outcome[i].id,
                            (unsigned long long)check->outcome[i].total.failures,
                            (unsigned long long)check->outcome[i].total.cases, check->outcome[i].first);
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
