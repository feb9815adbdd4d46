#include "strided_check.h"
#include "strided_judge.h"
#include "strided_run.h"
#include <stdio.h>
#include <string.h>

enum { TEXT = 2000 };

// False: the case has failed, or the device may refuse it and did.
static bool went_well(struct check_trial *t, const struct strided_case *c, const char *way, norma_status status)
{
    if (status == NORMA_ERROR_UNSUPPORTED && strided_may_refuse(t->driver, c)) {
        t->driver->refused++;
        return false;
    }
    return check_trial_run(t, way, status);
}

// True where the case ran both ways and was right.
static bool run_case(struct check_trial *t, const struct strided_case *c)
{
    return went_well(t, c, "norma_run", strided_run_host(t->driver, c, t->arena)) &&
           went_well(t, c, "plan", strided_run_plan(t->driver, c, NULL, 0, t->arena));
}

// A problem that no device may see: once a driver, so that passed and failed add up.
static void report_refused(struct check_trial *t, struct check_driver *drivers, int count)
{
    char message[300];
    snprintf(message, sizeof message, "the problem is refused: %s", norma_last_error());
    for (int i = 0; i < count; i++) {
        check_trial_begin(t, NULL, &drivers[i]);
        check_trial_fail(t, "problem", message);
    }
}

bool strided_check(const struct check_settings *o, struct check_driver *drivers, int count, uint64_t index)
{
    struct strided_case c;
    struct check_trial trial;
    struct strided_expected expected = {0};
    struct norma_form form;
    char text[TEXT];
    strided_case_make(&c, o->seed, index);
    strided_describe(&c, text, sizeof text);
    if (o->filter && !strstr(text, o->filter))
        return true;
    const bool filled = strided_case_fill(&c);
    const struct check_subject subject = strided_subject(&c);
    bool ok = check_trial_open(&trial, o, &subject) && filled;
    if (ok && strided_form(&c, &form) != NORMA_OK) {
        report_refused(&trial, drivers, count);
    } else if (ok) {
        ok = strided_expect(&c, &expected);
        for (int i = 0; ok && i < count; i++) {
            check_trial_begin(&trial, &expected, &drivers[i]);
            if (run_case(&trial, &c) && o->table)
                strided_table_count(o->table, i, &c);
        }
    }
    check_trial_close(&trial);
    strided_expected_finish(&expected);
    strided_case_finish(&c);
    return ok;
}
