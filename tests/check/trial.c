#include "trial.h"
#include <stdio.h>
#include <stdlib.h>

bool check_trial_open(struct check_trial *t, const struct check_settings *o, const struct check_subject *s)
{
    const uint64_t size = check_outputs_size(s) + 1;
    *t = (struct check_trial){.settings = o, .subject = *s};
    t->arena = malloc(s->arena_size);
    t->first = malloc(size);
    t->outputs = malloc(size);
    return t->arena && t->first && t->outputs;
}

void check_trial_close(struct check_trial *t)
{
    free(t->arena);
    free(t->first);
    free(t->outputs);
}

void check_trial_begin(struct check_trial *t, const void *expected, struct check_driver *driver)
{
    t->expected = expected;
    t->driver = driver;
    t->ran = false;
    driver->cases++;
    driver->op[t->subject.op].cases++;
}

void check_trial_fail(struct check_trial *t, const char *way, const char *message)
{
    t->driver->failures++;
    t->driver->op[t->subject.op].failures++;
    t->settings->report(t->settings->user, t, way, message);
}

static void count(struct check_trial *t, const char *way, const struct check_verdict *verdict)
{
    struct check_driver *driver = t->driver;
    struct check_score *op = &driver->op[t->subject.op];
    driver->runs++;
    op->runs++;
    if (verdict->worst > driver->worst)
        driver->worst = verdict->worst;
    if (verdict->worst > op->worst)
        op->worst = verdict->worst;
    if (verdict->worst32 <= driver->worst32)
        return;
    driver->worst32 = verdict->worst32;
    snprintf(driver->worst_case, sizeof driver->worst_case, "case %llu, %s", (unsigned long long)t->subject.index, way);
}

bool check_trial_run(struct check_trial *t, const char *way, norma_status status)
{
    char message[300];
    unsigned char *outputs = t->ran ? t->outputs : t->first;
    if (status != NORMA_OK) {
        snprintf(message, sizeof message, "%s: %s", norma_status_name(status), norma_last_error());
        check_trial_fail(t, way, message);
        return false;
    }
    if (t->settings->time)
        printf("%s\t%s\t%llu\t%.3f us\n", t->driver->name, way, (unsigned long long)t->subject.index,
               t->driver->seconds * 1e6);
    check_gather(&t->subject, t->arena, outputs);
    struct check_verdict verdict = check_judge(&t->subject, t->expected, t->arena, outputs);
    count(t, way, &verdict);
    if (verdict.ok && t->ran) {
        verdict.ok = check_same_bits(&t->subject, t->first, outputs, message, sizeof message);
        if (!verdict.ok)
            snprintf(verdict.message, sizeof verdict.message, "other bits than the first run: %.200s", message);
    }
    t->ran = true;
    if (!verdict.ok)
        check_trial_fail(t, way, verdict.message);
    return verdict.ok;
}
