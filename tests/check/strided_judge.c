#include "strided_judge.h"
#include "strided_numbers.h"
#include "strided_walk.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Outputs that are compared: all, or of a slice those that differ along its axis.
static bool is_compared(const struct strided_case *c, norma_arg arg, int32_t sliced)
{
    const struct strided_tensor *t = &c->tensor[arg];
    bool differs = sliced < 0;
    for (int32_t i = 0; i < t->rank; i++)
        differs = differs || t->axis[i] == sliced;
    return t->present && strided_is_output(c, arg) && differs;
}

static int64_t count_of(const struct strided_tensor *t)
{
    int64_t count = 1;
    for (int32_t i = 0; i < t->rank; i++)
        count *= t->shape[i];
    return count;
}

// Outputs that the group with a NaN or infinity is a part of.
static bool mark_spoilt(const struct strided_case *c, struct strided_expected *expected)
{
    const struct norma_form *f = &expected->form;
    expected->spoilt = calloc(c->arena_size, 1);
    for (int arg = 0; expected->spoilt && c->spoilt >= 0 && arg < NORMA_ARG_COUNT; arg++) {
        if (!expected->out[arg].value)
            continue;
        const struct strided_tensor *t = &c->tensor[f->arg[arg].source];
        for (int64_t j = 0; j < f->n; j++) {
            const uint64_t at = (uint64_t)form_offset(f, f->arg[arg].stride, c->spoilt, j);
            expected->spoilt[t->begin + at * norma_dtype_size(t->dtype)] = 1;
        }
    }
    return expected->spoilt != NULL;
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
    return form_reference(&expected->form, data, expected->out) && mark_spoilt(c, expected);
}

void strided_expected_finish(struct strided_expected *expected)
{
    form_reference_finish(expected->out);
    free(expected->spoilt);
}

uint64_t strided_outputs_size(const struct strided_case *c, int32_t sliced)
{
    uint64_t size = 0;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (is_compared(c, (norma_arg)arg, sliced))
            size += (uint64_t)count_of(&c->tensor[arg]) * norma_dtype_size(c->tensor[arg].dtype);
    return size;
}

static void copy_outputs(const struct strided_case *c, int32_t sliced, unsigned char *arena, unsigned char *outputs,
                         bool into_arena)
{
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct strided_tensor *t = &c->tensor[arg];
        const size_t size = norma_dtype_size(t->dtype);
        if (!is_compared(c, (norma_arg)arg, sliced))
            continue;
        for (struct strided_walk walk = strided_walk_begin(t); !walk.done; strided_walk_next(t, &walk)) {
            unsigned char *place = arena + t->begin + (size_t)walk.offset * size;
            memcpy(into_arena ? place : outputs, into_arena ? outputs : place, size);
            outputs += size;
        }
    }
}

void strided_gather(const struct strided_case *c, int32_t sliced, const unsigned char *arena, unsigned char *outputs)
{
    copy_outputs(c, sliced, (unsigned char *)arena, outputs, false);
}

// error/bound of one element.
static double error_of(const struct strided_expected *e, norma_arg arg, int64_t i, uint64_t place, double value)
{
    const long double expected = e->out[arg].value[i], bound = e->out[arg].bound[i];
    // Where no bound holds, a NaN is as good as any value; and a group with a NaN is spoilt as a whole.
    if (isinf(bound) || (e->spoilt[place] && !isnan(expected)))
        return 0;
    // The bound may be wider than the type's range, on both sides of 0: then either infinity is within it.
    if (isinf(value) && isfinite(expected))
        return form_reference_error(expected + copysignl(bound, value), 0, value, e->form.arg[arg].dtype);
    return form_reference_error(expected, bound, value, e->form.arg[arg].dtype);
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
        const double value = strided_load(t->dtype, arena + place), error = error_of(e, arg, i, place, value);
        if (t->dtype == NORMA_FLOAT32 && error > verdict->worst32)
            verdict->worst32 = error;
        if (error <= verdict->worst)
            continue;
        verdict->worst = error;
        if (error <= 1)
            continue;
        verdict->ok = false;
        snprintf(verdict->message, sizeof verdict->message,
                 "%s: element %lld of %lld is %.9g, expected %.9Lg, bound %.3Lg: error/bound %.3g",
                 norma_arg_name(source), (long long)i, (long long)count, value, e->out[arg].value[i],
                 e->out[arg].bound[i], error);
    }
}

// The first byte that changed though nothing may change there, told as a tensor and a distance.
static void judge_surroundings(const struct strided_case *c, const unsigned char *arena, struct check_verdict *verdict)
{
    if (memcmp(arena, c->arena, c->arena_size) == 0)
        return;
    uint64_t at = 0;
    while (arena[at] == c->arena[at])
        at++;
    verdict->ok = false;
    norma_arg near = NORMA_ARG_X;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (c->tensor[arg].present && c->tensor[arg].begin <= at + STRIDED_CANARY &&
            c->tensor[arg].begin >= c->tensor[near].begin)
            near = (norma_arg)arg;
    const struct strided_tensor *t = &c->tensor[near];
    const bool outside = at < t->begin || at >= t->begin + t->span;
    snprintf(verdict->message, sizeof verdict->message, "%s: byte %lld of %llu was changed (%s)", norma_arg_name(near),
             (long long)at - (long long)t->begin, (unsigned long long)t->span,
             outside                      ? "a canary"
             : strided_is_output(c, near) ? "a gap between elements"
                                          : "an input");
}

struct check_verdict strided_judge(const struct strided_case *c, const struct strided_expected *expected,
                                   unsigned char *arena)
{
    struct check_verdict verdict = {.ok = true};
    bool judged[NORMA_ARG_COUNT] = {false};
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        if (!expected->out[arg].value)
            continue;
        judge_output(c, expected, (norma_arg)arg, arena, &verdict);
        judged[expected->form.arg[arg].source] = true;
    }
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (c->tensor[arg].present && strided_is_output(c, (norma_arg)arg) && !judged[arg]) {
            verdict.ok = false;
            snprintf(verdict.message, sizeof verdict.message, "%s: no output of the form", norma_arg_name(arg));
        }
    unsigned char *before = malloc(strided_outputs_size(c, -1) + 1);
    if (!before) {
        verdict.ok = false;
        snprintf(verdict.message, sizeof verdict.message, "out of memory");
        return verdict;
    }
    strided_gather(c, -1, c->arena, before);
    copy_outputs(c, -1, arena, before, true);
    judge_surroundings(c, arena, &verdict);
    free(before);
    return verdict;
}

bool strided_same_bits(const struct strided_case *c, int32_t sliced, const unsigned char *a, const unsigned char *b,
                       char *message, size_t size)
{
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct strided_tensor *t = &c->tensor[arg];
        const size_t bytes = norma_dtype_size(t->dtype);
        if (!is_compared(c, (norma_arg)arg, sliced))
            continue;
        for (int64_t i = 0; i < count_of(t); i++, a += bytes, b += bytes) {
            if (memcmp(a, b, bytes) == 0)
                continue;
            const double left = strided_load(t->dtype, a), right = strided_load(t->dtype, b);
            if (isnan(left) && isnan(right))
                continue;
            snprintf(message, size, "%s: element %lld is %.9g, elsewhere %.9g", norma_arg_name((norma_arg)arg),
                     (long long)i, left, right);
            return false;
        }
    }
    return true;
}
