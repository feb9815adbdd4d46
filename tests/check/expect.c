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

// Copies every output row between the arena and the dense outputs.
static void copy_outputs(const void *rows, unsigned char *arena, unsigned char *outputs, bool into_arena)
{
    const struct check_case *c = rows;
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
        if (!check_verdict_add(verdict, t->dtype, error))
            continue;
        snprintf(verdict->message, sizeof verdict->message,
                 "%s: row %lld element %lld is %.9g, expected %.9Lg, bound %.3Lg: error/bound %.3g",
                 norma_arg_name(arg), (long long)(i / t->row_length), (long long)(i % t->row_length), (double)value,
                 e->value[arg][i], e->bound[arg][i], error);
    }
}

static void judge_outputs(const void *rows, const void *expected, const unsigned char *arena,
                          const unsigned char *outputs, struct check_verdict *verdict)
{
    const struct check_case *c = rows;
    const struct check_expected *e = expected;
    (void)arena;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        if (!e->value[arg])
            continue;
        judge_output(c, e, (norma_arg)arg, outputs, verdict);
        outputs += (uint64_t)output_count(c, (norma_arg)arg) * norma_dtype_size(c->tensor[arg].dtype);
    }
}

static void describe(const void *c, char *text, size_t size)
{
    check_case_describe(c, text, size);
}

struct check_subject check_case_subject(const struct check_case *c)
{
    static const struct check_family family = {"", 2 * CHECK_CANARY, describe, copy_outputs, judge_outputs};
    struct check_subject s = {&family, c, c->op, c->seed, c->index, c->arena, c->arena_size, 0, {{0}}};
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct check_tensor *t = &c->tensor[arg];
        const bool output = check_is_output((norma_arg)arg);
        if (t->present)
            s.part[s.parts++] = (struct check_part){
                (norma_arg)arg, t->dtype, output, output ? output_count(c, (norma_arg)arg) : 0, t->begin, t->span};
    }
    return s;
}
