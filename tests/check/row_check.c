#include "row_check.h"
#include "expect.h"
#include <string.h>

// A CPU's compiler takes a minute for a kernel that keeps a row in registers, and the planner never picks them there;
// types that differ make more programs than a user has the patience for. One type reaches each of the other kernels.
static bool leave_out(const struct check_settings *o, const struct check_case *c, const char *variant)
{
    // A kernel's code for a type and that for a norm do not meet: by name each norm has one of the 16-bit types, which
    // is a third fewer programs to compile.
    const norma_dtype type = c->tensor[NORMA_ARG_X].dtype;
    if (!o->variant && type == (c->op == NORMA_RMS_NORM ? NORMA_FLOAT16 : NORMA_BFLOAT16))
        return true;
    return o->few_programs && (type != NORMA_FLOAT32 || !strncmp(variant, "registers", 9));
}

static bool run_plan(struct check_trial *t, const struct check_case *c, const char *variant, bool *ran)
{
    const norma_status status = check_run_plan(t->driver, c, &(struct check_options){.variant = variant}, t->arena);
    *ran = status == NORMA_OK;
    if (status == NORMA_ERROR_UNSUPPORTED && t->driver->guest && c->n == 0) { // a recording writes nothing then
        t->driver->refused++;
        return true;
    }
    if (status == NORMA_ERROR_UNSUPPORTED && variant)
        return true; // not every variant does every problem; the suite sees to it that each does some
    return check_trial_run(t, variant ? variant : "plan", status);
}

// Stops at the first failure.
static void run_case(struct check_trial *t, const struct check_case *c)
{
    const struct check_settings *o = t->settings;
    bool ran, ok = check_trial_run(t, "norma_run", check_run_host(t->driver, c, t->arena));
    if (ok && o->twice)
        ok = check_trial_run(t, "norma_run again", check_run_host(t->driver, c, t->arena));
    ok = ok && run_plan(t, c, NULL, &ran);
    const char *variant; // a guest records what the planner chooses, as an engine would
    for (size_t i = 0; ok && !t->driver->guest && (variant = check_driver_variant(t->driver, i)); i++) {
        if ((o->variant && strcmp(o->variant, variant) != 0) || leave_out(o, c, variant))
            continue;
        ok = run_plan(t, c, variant, &ran);
        t->driver->variant_runs[i] += ran;
    }
}

bool row_check(const struct check_settings *o, struct check_driver *drivers, int count, uint64_t index)
{
    struct check_case c;
    struct check_trial trial;
    struct check_expected expected = {0};
    char text[512];
    check_case_make(&c, o->seed, index);
    check_case_describe(&c, text, sizeof text);
    if (o->filter && !strstr(text, o->filter))
        return true;
    if (o->few_programs && c.tensor[NORMA_ARG_Y].view == NORMA_ARG_Y) {
        c.tensor[NORMA_ARG_Y].dtype = c.tensor[NORMA_ARG_X].dtype;
        check_case_place(&c);
    }
    const bool filled = check_case_fill(&c);
    const struct check_subject subject = check_case_subject(&c);
    const bool ok = check_trial_open(&trial, o, &subject) && filled && check_expect(&c, &expected);
    for (int i = 0; ok && i < count; i++) {
        check_trial_begin(&trial, &expected, &drivers[i]);
        run_case(&trial, &c);
    }
    check_trial_close(&trial);
    check_expected_finish(&expected);
    check_case_finish(&c);
    return ok;
}
