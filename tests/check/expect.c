#include "expect.h"
#include "numbers.h"
#include "verify/reference.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t output_count(const struct check_case *c, norma_arg arg)
{
    return c->rows * c->tensor[arg].row_length;
}

// One row of an input as float32, which holds float16 and bfloat16 exactly.
static const float *load_row(const struct check_case *c, norma_arg arg, int64_t row, float *room)
{
    const struct check_tensor *t = &c->tensor[arg];
    if (!t->present)
        return NULL;
    const size_t size = norma_dtype_size(t->dtype);
    const unsigned char *first = c->arena + t->begin + (size_t)check_row_offset(c, arg, row) * size;
    for (int64_t i = 0; i < c->n; i++)
        room[i] = (float)check_load(t->dtype, first + (size_t)i * size);
    return room;
}

static void expect_statistics(const struct check_case *c, const struct check_expected *e, int64_t row,
                              const struct reference_stats *stats)
{
    // The values were chosen so that mean and variance are exact: then only the rounding to float32 is left.
    const bool exact = c->values == CHECK_EXACT && c->n > 0;
    const bool exact_rstd = exact && (c->op == NORMA_RMS_NORM || c->n % 2 == 0);
    if (e->value[NORMA_ARG_MEAN]) {
        e->value[NORMA_ARG_MEAN][row] = exact ? (long double)(float)stats->mean : stats->mean;
        e->bound[NORMA_ARG_MEAN][row] = exact ? 0 : stats->mean_bound;
    }
    if (e->value[NORMA_ARG_RSTD]) {
        e->value[NORMA_ARG_RSTD][row] = exact_rstd ? (long double)(float)stats->rstd : stats->rstd;
        e->bound[NORMA_ARG_RSTD][row] = exact_rstd ? 0 : stats->rstd_bound;
    }
}

static void expect_row(const struct check_case *c, const struct check_expected *e, int64_t row, float *room)
{
    const int64_t n = c->n;
    const struct reference_prologue before = {
        .x = load_row(c, NORMA_ARG_X, row, room),
        .input_bias = load_row(c, NORMA_ARG_INPUT_BIAS, row, room + n),
        .gate = load_row(c, NORMA_ARG_GATE, row, room + 2 * n),
        .residual = load_row(c, NORMA_ARG_RESIDUAL, row, room + 3 * n),
    };
    float *h = room + 4 * n;
    for (int64_t i = 0; i < n; i++)
        h[i] = reference_h(&before, i);
    const struct reference_row norm = {.op = c->op,
                                       .n = n,
                                       .eps = (float)c->eps,
                                       .weight_offset = (float)c->weight_offset,
                                       .h = h,
                                       .weight = load_row(c, NORMA_ARG_WEIGHT, row, room + 5 * n),
                                       .bias = load_row(c, NORMA_ARG_BIAS, row, room + 6 * n)};
    const struct reference_stats stats = reference_statistics(&norm);
    expect_statistics(c, e, row, &stats);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = row * n + i;
        e->value[NORMA_ARG_Y][at] =
            reference_y(&norm, &stats, i, c->tensor[NORMA_ARG_Y].dtype, &e->bound[NORMA_ARG_Y][at]);
        if (e->value[NORMA_ARG_SUM])
            e->value[NORMA_ARG_SUM][at] =
                reference_sum(&before, i, c->tensor[NORMA_ARG_SUM].dtype, &e->bound[NORMA_ARG_SUM][at]);
    }
}

bool check_expect(const struct check_case *c, struct check_expected *expected)
{
    *expected = (struct check_expected){0};
    float *room = malloc((size_t)(7 * c->n + 1) * sizeof *room);
    bool ok = room != NULL;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        if (!c->tensor[arg].present || !check_is_output((norma_arg)arg))
            continue;
        const size_t size = (size_t)(output_count(c, (norma_arg)arg) + 1) * sizeof(long double);
        expected->value[arg] = malloc(size);
        expected->bound[arg] = malloc(size);
        ok = ok && expected->value[arg] && expected->bound[arg];
    }
    for (int64_t row = 0; ok && row < c->rows; row++)
        expect_row(c, expected, row, room);
    free(room);
    return ok;
}

void check_expected_finish(struct check_expected *expected)
{
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        free(expected->value[arg]);
        free(expected->bound[arg]);
    }
    *expected = (struct check_expected){0};
}

uint64_t check_outputs_size(const struct check_case *c)
{
    uint64_t size = 0;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (c->tensor[arg].present && check_is_output((norma_arg)arg))
            size += (uint64_t)output_count(c, (norma_arg)arg) * norma_dtype_size(c->tensor[arg].dtype);
    return size;
}

// Copies every output row between the arena and the dense outputs.
static void copy_outputs(const struct check_case *c, unsigned char *arena, unsigned char *outputs, bool into_arena)
{
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct check_tensor *t = &c->tensor[arg];
        if (!t->present || !check_is_output((norma_arg)arg))
            continue;
        const size_t size = norma_dtype_size(t->dtype), bytes = size * (size_t)t->row_length;
        for (int64_t row = 0; row < c->rows; row++) {
            unsigned char *place = arena + t->begin + (size_t)check_row_offset(c, (norma_arg)arg, row) * size;
            memcpy(into_arena ? place : outputs, into_arena ? outputs : place, bytes);
            outputs += bytes;
        }
    }
}

void check_gather(const struct check_case *c, const unsigned char *arena, unsigned char *outputs)
{
    copy_outputs(c, (unsigned char *)arena, outputs, false);
}

static void judge_output(const struct check_case *c, const struct check_expected *e, norma_arg arg,
                         const unsigned char *got, struct check_verdict *verdict)
{
    const struct check_tensor *t = &c->tensor[arg];
    const size_t size = norma_dtype_size(t->dtype);
    for (int64_t i = 0; i < output_count(c, arg); i++) {
        const float value = (float)check_load(t->dtype, got + (size_t)i * size);
        // An infinity in a row spoils its mean: that NaN stands there in its place is no error.
        const bool spoilt = arg == NORMA_ARG_MEAN && isinf(e->value[arg][i]) && isnan(value);
        const double error = spoilt ? 0 : reference_error(e->value[arg][i], e->bound[arg][i], value, t->dtype);
        if (t->dtype == NORMA_FLOAT32 && error > verdict->worst32)
            verdict->worst32 = error;
        if (error <= verdict->worst)
            continue;
        verdict->worst = error;
        if (error <= 1)
            continue;
        verdict->ok = false;
        snprintf(verdict->message, sizeof verdict->message,
                 "%s: row %lld element %lld is %.9g, expected %.9Lg, bound %.3Lg: error/bound %.3g",
                 norma_arg_name(arg), (long long)(i / t->row_length), (long long)(i % t->row_length), (double)value,
                 e->value[arg][i], e->bound[arg][i], error);
    }
}

// The first byte that changed though nothing may change there, told as a tensor and a distance.
static void judge_surroundings(const struct check_case *c, const unsigned char *arena, struct check_verdict *verdict)
{
    if (memcmp(arena, c->arena, c->arena_size) == 0)
        return;
    uint64_t at = 0;
    while (arena[at] == c->arena[at])
        at++;
    verdict->ok = false;
    norma_arg near = NORMA_ARG_X;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (c->tensor[arg].present && c->tensor[arg].begin <= at + 2 * CHECK_CANARY &&
            c->tensor[arg].begin >= c->tensor[near].begin)
            near = (norma_arg)arg;
    const struct check_tensor *t = &c->tensor[near];
    const bool outside = at < t->begin || at >= t->begin + t->span;
    snprintf(verdict->message, sizeof verdict->message, "%s: byte %lld of %llu was changed (%s)", norma_arg_name(near),
             (long long)at - (long long)t->begin, (unsigned long long)t->span,
             outside                 ? "a canary"
             : check_is_output(near) ? "a gap between rows"
                                     : "an input");
}

struct check_verdict check_judge(const struct check_case *c, const struct check_expected *expected,
                                 unsigned char *arena, const unsigned char *outputs)
{
    struct check_verdict verdict = {.ok = true};
    const unsigned char *got = outputs;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        if (!expected->value[arg])
            continue;
        judge_output(c, expected, (norma_arg)arg, got, &verdict);
        got += (uint64_t)output_count(c, (norma_arg)arg) * norma_dtype_size(c->tensor[arg].dtype);
    }
    const uint64_t size = check_outputs_size(c);
    unsigned char *before = malloc(size + 1);
    if (!before) {
        verdict.ok = false;
        snprintf(verdict.message, sizeof verdict.message, "out of memory");
        return verdict;
    }
    check_gather(c, c->arena, before);
    copy_outputs(c, arena, before, true);
    judge_surroundings(c, arena, &verdict);
    free(before);
    return verdict;
}

bool check_same_bits(const struct check_case *c, const unsigned char *a, const unsigned char *b, char *message,
                     size_t size)
{
    if (memcmp(a, b, check_outputs_size(c)) == 0)
        return true;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct check_tensor *t = &c->tensor[arg];
        if (!t->present || !check_is_output((norma_arg)arg))
            continue;
        const size_t bytes = norma_dtype_size(t->dtype);
        for (int64_t i = 0; i < output_count(c, (norma_arg)arg); i++, a += bytes, b += bytes) {
            const double left = check_load(t->dtype, a), right = check_load(t->dtype, b);
            if (memcmp(a, b, bytes) == 0 || (isnan(left) && isnan(right)))
                continue;
            snprintf(message, size, "%s: row %lld element %lld is %.9g, elsewhere %.9g", norma_arg_name((norma_arg)arg),
                     (long long)(i / t->row_length), (long long)(i % t->row_length), left, right);
            return false;
        }
    }
    return true;
}
