#include "strided_check.h"
#include "bits.h"
#include "strided_judge.h"
#include "strided_run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_FAILURES = 20, TEXT = 2000 };

// Of the case at hand: the arena of a run, the outputs of the first run and of this one.
struct scratch {
    unsigned char *arena, *first, *outputs;
};

static void report(const struct strided_settings *o, struct check_driver *driver, const struct strided_case *c,
                   const char *way, const char *message)
{
    char text[TEXT];
    if (++driver->failures > SHOWN_FAILURES)
        return;
    strided_describe(c, text, sizeof text);
    printf("FAIL %s, %s, --strided --seed %llu --only %llu: %s; %s\n", driver->name, way, (unsigned long long)o->seed,
           (unsigned long long)c->index, message, text);
    fflush(stdout);
}

// After a run: its result against what is expected, and its bits against those of the case's first run.
static bool judge(const struct strided_settings *o, struct check_driver *driver, const struct strided_case *c,
                  const struct strided_expected *expected, const char *way, struct scratch *room, bool is_first)
{
    driver->runs++;
    if (o->time)
        printf("%s\t%s\t%llu\t%.3f us\n", driver->name, way, (unsigned long long)c->index, driver->seconds * 1e6);
    unsigned char *outputs = is_first ? room->first : room->outputs;
    strided_gather(c, -1, room->arena, outputs);
    struct check_verdict verdict = strided_judge(c, expected, room->arena);
    if (verdict.worst > driver->worst)
        driver->worst = verdict.worst;
    if (verdict.worst32 > driver->worst32) {
        driver->worst32 = verdict.worst32;
        snprintf(driver->worst_case, sizeof driver->worst_case, "case %llu, %s", (unsigned long long)c->index, way);
    }
    if (verdict.ok && !is_first) {
        char message[160];
        verdict.ok = strided_same_bits(c, -1, room->first, outputs, message, sizeof message);
        if (!verdict.ok)
            snprintf(verdict.message, sizeof verdict.message, "other bits than norma_run: %s", message);
    }
    if (!verdict.ok)
        report(o, driver, c, way, verdict.message);
    return verdict.ok;
}

// False: the case has failed, or the device may refuse it and did.
static bool went_well(const struct strided_settings *o, struct check_driver *driver, const struct strided_case *c,
                      const char *way, norma_status status)
{
    if (status == NORMA_OK)
        return true;
    if (status == NORMA_ERROR_UNSUPPORTED && strided_may_refuse(driver, c)) {
        driver->refused++;
        return false;
    }
    char message[300];
    snprintf(message, sizeof message, "%s: %s", norma_status_name(status), norma_last_error());
    report(o, driver, c, way, message);
    return false;
}

// True where the case ran both ways and was right.
static bool run_case(const struct strided_settings *o, struct check_driver *driver, const struct strided_case *c,
                     const struct strided_expected *expected, struct scratch *room)
{
    driver->cases++;
    if (!went_well(o, driver, c, "norma_run", strided_run_host(driver, c, room->arena)) ||
        !judge(o, driver, c, expected, "norma_run", room, true))
        return false;
    return went_well(o, driver, c, "plan", strided_run_plan(driver, c, 0, room->arena)) &&
           judge(o, driver, c, expected, "plan", room, false);
}

// A problem that no device may see: once a driver, so that passed and failed add up.
static void report_refused(const struct strided_settings *o, struct check_driver *drivers, int count,
                           const struct strided_case *c)
{
    char message[300];
    snprintf(message, sizeof message, "the problem is refused: %s", norma_last_error());
    for (int i = 0; i < count; i++) {
        drivers[i].cases++;
        report(o, &drivers[i], c, "problem", message);
    }
}

bool strided_check(const struct strided_settings *o, struct check_driver *drivers, int count, uint64_t index)
{
    struct strided_case c;
    struct strided_expected expected = {0};
    struct norma_form form;
    char text[TEXT];
    strided_case_make(&c, o->seed, index);
    strided_describe(&c, text, sizeof text);
    if (o->filter && !strstr(text, o->filter))
        return true;
    const uint64_t size = strided_outputs_size(&c, -1) + 1;
    struct scratch room = {malloc(c.arena_size), malloc(size), malloc(size)};
    bool ok = strided_case_fill(&c) && room.arena && room.first && room.outputs;
    if (ok && strided_form(&c, &form) != NORMA_OK) {
        report_refused(o, drivers, count, &c);
    } else if (ok) {
        ok = strided_expect(&c, &expected);
        for (int i = 0; ok && i < count; i++)
            if (run_case(o, &drivers[i], &c, &expected, &room) && o->table)
                strided_table_count(o->table, i, &c);
    }
    free(room.arena);
    free(room.first);
    free(room.outputs);
    strided_expected_finish(&expected);
    strided_case_finish(&c);
    return ok;
}

void strided_summarise(const struct strided_settings *o, int index, struct check_driver *driver)
{
    printf("%s: %llu strided cases, %llu runs, %llu refused, %llu failed, largest error/bound %.3f, of float32 %.3f "
           "(%s)\n",
           driver->name, (unsigned long long)driver->cases, (unsigned long long)driver->runs,
           (unsigned long long)driver->refused, (unsigned long long)driver->failures, driver->worst, driver->worst32,
           driver->worst_case);
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; op++) {
        if (o->ops && !(o->ops >> op & 1))
            continue;
        const uint32_t programs = check_driver_programs(driver, (norma_op)op, false);
        printf("%s: %s compiled %u programs\n", driver->name, norma_op_name((norma_op)op), programs);
        if (programs > CHECK_MAX_PROGRAMS) {
            printf("FAIL %s: more than %d programs\n", driver->name, CHECK_MAX_PROGRAMS);
            driver->failures++;
        }
    }
    const int empty = o->table ? strided_table_empty(o->table, index, driver->name, o->ops) : 0;
    if (empty > 0) {
        printf("FAIL %s: %d cells of the table are empty\n", driver->name, empty);
        driver->failures++;
    }
    if (driver->compiled_late > 0) {
        printf("FAIL %s: %llu runs of a plan compiled something\n", driver->name,
               (unsigned long long)driver->compiled_late);
        driver->failures++;
    }
}
