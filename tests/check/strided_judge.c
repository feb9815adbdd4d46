#include "strided_judge.h"
#include "strided_numbers.h"
#include "strided_walk.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Outputs that are compared: all, or of a slice those that differ along its axis.
static bool is_compared(const struct strided_case *c, norma_arg arg)
{
    const struct strided_tensor *t = &c->tensor[arg];
    bool differs = c->sliced < 0;
    for (int32_t i = 0; i < t->rank; i++)
        differs = differs || t->axis[i] == c->sliced;
    return t->present && strided_is_output(c, arg) && differs;
}

static int64_t count_of(const struct strided_tensor *t)
{
    int64_t count = 1;
    for (int32_t i = 0; i < t->rank; i++)
        count *= t->shape[i];
    return count;
}

// Whether a NaN or infinity in group `at` reaches this group: a mix takes it through the sample and, where they are
// x's, the channel's statistics, and backward through those of all that they are mixed into.
static bool is_reached(const struct norma_form *f, int64_t at, int64_t group)
{
    if (at == group)
        return true;
    if (!f->mix)
        return false;
    const bool training = f->mix == FORM_MIX_TRAINING;
    const bool sample = at / f->sample_step % f->samples == group / f->sample_step % f->samples;
    const bool channel = at / f->channel_step % f->channels == group / f->channel_step % f->channels;
    return sample || (training && (channel || f->backward));
}

// Outputs that the group with a NaN or infinity is a part of.
static bool mark_spoilt(const struct strided_case *c, struct strided_expected *expected)
{
    const struct norma_form *f = &expected->form;
    expected->spoilt = calloc(c->arena_size, 1);
    for (int arg = 0; expected->spoilt && c->spoilt >= 0 && arg < NORMA_ARG_COUNT; arg++) {
        if (!expected->out[arg].value || arg == NORMA_ARG_NUM_BATCHES_TRACKED)
            continue;
        const struct strided_tensor *t = &c->tensor[f->arg[arg].source];
        const size_t size = norma_dtype_size(t->dtype);
        for (int64_t i = 0; i < (form_arg_has_kinds(arg) ? FORM_KINDS : 0); i++)
            expected->spoilt[t->begin + (uint64_t)(i * f->arg[arg].step) * size] = 1;
        for (int64_t group = 0; group < f->groups; group++)
            for (int64_t j = 0; j < f->n && is_reached(f, c->spoilt, group); j++)
                for (int64_t row = 0; row < f->arg[arg].rows; row++)
                    expected
                        ->spoilt[t->begin +
                                 (uint64_t)(form_offset(f, (norma_arg)arg, group, j) + row * f->arg[arg].row) * size] =
                        1;
    }
    return expected->spoilt != NULL;
}

enum { ANY = 2 }; // in strided_expected.spoilt

static void mark(const struct strided_case *c, struct strided_expected *e, norma_arg arg, int64_t at, bool is_nan)
{
    const struct strided_tensor *t = &c->tensor[e->form.arg[arg].source];
    e->spoilt[t->begin + (uint64_t)at * norma_dtype_size(t->dtype)] = is_nan ? 1 : ANY;
}

// What is written for the elements that read the spoilt place may be spoilt even where the formula does not need it.
static void mark_readers(const struct strided_case *c, struct strided_expected *e, bool is_nan)
{
    const struct norma_form *f = &e->form;
    for (int64_t i = 0; i < f->groups * f->n; i++) {
        const int64_t group = i / f->n, element = i % f->n;
        if (form_offset(f, c->spoilt_arg, group, element) != c->spoilt_at)
            continue;
        for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
            if (e->out[arg].value && f->arg[arg].rows == 1 && !form_arg_has_kinds(arg))
                mark(c, e, (norma_arg)arg, form_offset(f, (norma_arg)arg, group, element), is_nan);
    }
}

// Outputs that a NaN or infinity of another input than x reaches, as few as the formulas allow: those that read it, and
// what a NaN in its place makes NaN. An infinity may leave anything there (gelu of -infinity is 0, or NaN); all others
// are as right as ever.
static bool mark_reached(const struct strided_case *c, const void *const data[NORMA_ARG_COUNT],
                         struct strided_expected *e)
{
    struct form_reference_output out[NORMA_ARG_COUNT];
    const struct strided_tensor *t = &c->tensor[e->form.arg[c->spoilt_arg].source];
    const size_t bytes = norma_dtype_size(t->dtype);
    unsigned char *place = c->arena + t->begin + (uint64_t)c->spoilt_at * bytes, kept[8];
    memcpy(kept, place, bytes);
    strided_store(t->dtype, place, (double)NAN);
    const bool is_nan = memcmp(kept, place, bytes) == 0, ok = form_reference(&e->form, data, out);
    memcpy(place, kept, bytes);
    if (!ok)
        return false;
    mark_readers(c, e, is_nan);
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        for (int64_t i = 0; out[arg].value && i < form_output_count(&e->form, (norma_arg)arg); i++)
            if (!isfinite(e->out[arg].value[i]) || !isfinite(out[arg].value[i]) || !isfinite(out[arg].bound[i]))
                mark(c, e, (norma_arg)arg, form_output_offset(&e->form, (norma_arg)arg, i), is_nan);
    form_reference_finish(out);
    return true;
}

bool strided_expect(const struct strided_case *c, struct strided_expected *expected)
{
    const void *data[NORMA_ARG_COUNT] = {0};
    *expected = (struct strided_expected){0};
    if (strided_form(c, &expected->form) != NORMA_OK)
        return false;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (expected->form.arg[arg].present)
            data[arg] = c->arena + c->tensor[expected->form.arg[arg].source].begin;
    return form_reference(&expected->form, data, expected->out) && mark_spoilt(c, expected) &&
           (c->spoilt_arg == NORMA_ARG_X || mark_reached(c, data, expected));
}

void strided_expected_finish(struct strided_expected *expected)
{
    form_reference_finish(expected->out);
    free(expected->spoilt);
}

static void copy_outputs(const void *strided, unsigned char *arena, unsigned char *outputs, bool into_arena)
{
    const struct strided_case *c = strided;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct strided_tensor *t = &c->tensor[arg];
        const size_t size = norma_dtype_size(t->dtype);
        if (!is_compared(c, (norma_arg)arg))
            continue;
        for (struct strided_walk walk = strided_walk_begin(t); !walk.done; strided_walk_next(t, &walk)) {
            unsigned char *place = arena + t->begin + (size_t)walk.offset * size;
            memcpy(into_arena ? place : outputs, into_arena ? outputs : place, size);
            outputs += size;
        }
    }
}

// error/bound of one element.
static double error_of(const struct strided_expected *e, norma_arg arg, int64_t i, uint64_t place, long double value)
{
    const long double expected = e->out[arg].value[i], bound = e->out[arg].bound[i];
    // Where no bound holds, a NaN is as good as any value; and a group with a NaN is spoilt as a whole. But a running
    // mean is spoilt for good, and is the infinity that PyTorch makes of one.
    if (arg == NORMA_ARG_RUNNING_MEAN && e->spoilt[place] && isinf(expected))
        return value == expected ? 0 : (double)INFINITY;
    if (isinf(bound) || e->spoilt[place] == ANY || (e->spoilt[place] && !isnan(expected)))
        return 0;
    // The bound may be wider than the type's range, on both sides of 0: then either infinity is within it.
    if (isinf(value) && isfinite(expected))
        return form_reference_error(&e->form, arg, expected + copysignl(bound, value), 0, value);
    return form_reference_error(&e->form, arg, expected, bound, value);
}

static void judge_output(const struct strided_case *c, const struct strided_expected *e, norma_arg arg,
                         const unsigned char *arena, struct check_verdict *verdict)
{
    const norma_arg source = e->form.arg[arg].source;
    const struct strided_tensor *t = &c->tensor[source];
    const int64_t count = form_output_count(&e->form, arg);
    if (count != count_of(t)) {
        verdict->ok = false;
        snprintf(verdict->message, sizeof verdict->message, "%s: %lld elements, the form has %lld",
                 norma_arg_name(source), (long long)count_of(t), (long long)count);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        const uint64_t place = t->begin + (uint64_t)form_output_offset(&e->form, arg, i) * norma_dtype_size(t->dtype);
        const long double value = form_output_value(&e->form, arg, arena + t->begin, i);
        const double error = error_of(e, arg, i, place, value);
        if (!check_verdict_add(verdict, t->dtype, error))
            continue;
        snprintf(verdict->message, sizeof verdict->message,
                 "%s: element %lld of %lld is %.9Lg, expected %.9Lg, bound %.3Lg: error/bound %.3g",
                 norma_arg_name(source), (long long)i, (long long)count, value, e->out[arg].value[i],
                 e->out[arg].bound[i], error);
    }
}

static void judge_outputs(const void *strided, const void *expected, const unsigned char *arena,
                          const unsigned char *outputs, struct check_verdict *verdict)
{
    const struct strided_case *c = strided;
    const struct strided_expected *e = expected;
    bool judged[NORMA_ARG_COUNT] = {false};
    (void)outputs;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        if (!e->out[arg].value)
            continue;
        judge_output(c, e, (norma_arg)arg, arena, verdict);
        judged[e->form.arg[arg].source] = true;
    }
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (c->tensor[arg].present && strided_is_output(c, (norma_arg)arg) && !judged[arg] &&
            count_of(&c->tensor[arg]) > 0) {
            verdict->ok = false;
            snprintf(verdict->message, sizeof verdict->message, "%s: no output of the form", norma_arg_name(arg));
        }
}

static void describe(const void *c, char *text, size_t size)
{
    strided_describe(c, text, size);
}

struct check_subject strided_subject(const struct strided_case *c)
{
    static const struct check_family family = {" --strided", STRIDED_CANARY, describe, copy_outputs, judge_outputs};
    struct check_subject s = {&family, c, c->problem.op, c->seed, c->index, c->arena, c->arena_size, 0, {{0}}};
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct strided_tensor *t = &c->tensor[arg];
        if (t->present)
            s.part[s.parts++] = (struct check_part){(norma_arg)arg,
                                                    t->dtype,
                                                    strided_is_output(c, (norma_arg)arg),
                                                    is_compared(c, (norma_arg)arg) ? count_of(t) : 0,
                                                    t->begin,
                                                    t->span};
    }
    return s;
}
