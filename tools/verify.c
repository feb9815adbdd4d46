#include "verify.h"
#include "message.h"
#include "tensors.h"
#include "values.h"
#include "verify/reference.h"
#include <math.h>
#include <norma/run.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_ELEMENTS = 1 << 22, MAX_THREADS = 64 };

struct verifier {
    const norma_problem *problem;
    int64_t rows, n, block_rows;
    float *weight, *bias, *input_bias; // NULL where absent
    // A block's outputs of the scalar path, float32; NULL where long double is what counts.
    norma_context *scalar;
    float *y, *sum, *mean, *rstd;
    void *gate; // a block's gate rows, repeated as its shape says
};

struct worker {
    const struct verifier *v;
    int64_t first, begin, end; // the block's first row; the worker's rows
    struct verify_result result;
    float *h, *x, *residual, *gate, *out;
    bool failed;
};

// The gate's row for a row of x: outer dimensions of 1 repeat.
static int64_t gate_row(const norma_problem *p, int64_t row)
{
    int32_t outer = p->x->rank - norma_last_dims(p);
    int32_t missing = p->x->rank - p->gate->rank;
    int64_t index = 0, stride = 1;
    for (int32_t i = outer - 1; i >= missing && i >= 0; --i) {
        int64_t at = row % p->x->shape[i];
        row /= p->x->shape[i];
        if (p->gate->shape[i - missing] != 1)
            index += at * stride;
        stride *= p->gate->shape[i - missing];
    }
    return index;
}

static float *load_shared(const norma_tensor *tensor, int64_t n)
{
    if (!tensor)
        return NULL;
    float *values = malloc((size_t)(n ? n : 1) * sizeof *values);
    if (values)
        values_load(tensor->dtype, tensor->data, 0, n, values);
    return values;
}

bool verify_note(struct verify_result *result, double error, double got, double expected)
{
    ++result->compared;
    if (error > 1)
        ++result->wrong;
    if (!(error > result->worst))
        return false;
    result->worst = error;
    result->got = got;
    result->expected = expected;
    return true;
}

static void note(struct worker *w, norma_arg arg, int64_t row, int64_t element, long double expected, long double bound,
                 float got, norma_dtype dtype)
{
    if (!verify_note(&w->result, reference_error(expected, bound, got, dtype), got, (double)expected))
        return;
    w->result.arg = arg;
    w->result.rank = 2;
    w->result.index[0] = row;
    w->result.index[1] = element;
}

// One value of mean or rstd.
static void note_statistic(struct worker *w, norma_arg arg, int64_t row, long double expected, long double bound,
                           const float *scalar)
{
    const norma_tensor *tensor = norma_problem_tensor(w->v->problem, arg);
    if (!tensor)
        return;
    float got;
    values_load(tensor->dtype, tensor->data, row, 1, &got);
    if (scalar)
        expected = scalar[row - w->first];
    note(w, arg, row, 0, expected, bound, got, tensor->dtype);
}

static void verify_row(struct worker *w, int64_t row)
{
    const struct verifier *v = w->v;
    const norma_problem *p = v->problem;
    int64_t n = v->n, local = row - w->first;
    values_load(p->x->dtype, p->x->data, row * n, n, w->x);
    struct reference_prologue prologue = {w->x, v->input_bias, NULL, NULL};
    if (p->gate) {
        values_load(p->gate->dtype, p->gate->data, gate_row(p, row) * n, n, w->gate);
        prologue.gate = w->gate;
    }
    if (p->residual) {
        values_load(p->residual->dtype, p->residual->data, row * n, n, w->residual);
        prologue.residual = w->residual;
    }
    for (int64_t i = 0; i < n; ++i)
        w->h[i] = reference_h(&prologue, i);
    struct reference_row r = {p->op, n, (float)p->eps, (float)p->weight_offset, w->h, v->weight, v->bias};
    struct reference_stats stats = reference_statistics(&r);
    values_load(p->y->dtype, p->y->data, row * n, n, w->out);
    for (int64_t i = 0; i < n; ++i) {
        long double bound, expected = reference_y(&r, &stats, i, p->y->dtype, &bound);
        if (v->scalar)
            expected = v->y[local * n + i];
        note(w, NORMA_ARG_Y, row, i, expected, bound, w->out[i], p->y->dtype);
    }
    if (p->sum) {
        values_load(p->sum->dtype, p->sum->data, row * n, n, w->out);
        for (int64_t i = 0; i < n; ++i) {
            long double bound, expected = reference_sum(&prologue, i, p->sum->dtype, &bound);
            if (v->scalar)
                expected = v->sum[local * n + i];
            note(w, NORMA_ARG_SUM, row, i, expected, bound, w->out[i], p->sum->dtype);
        }
    }
    note_statistic(w, NORMA_ARG_MEAN, row, stats.mean, stats.mean_bound, v->mean);
    note_statistic(w, NORMA_ARG_RSTD, row, stats.rstd, stats.rstd_bound, v->rstd);
}

static void *verify_rows(void *user)
{
    struct worker *w = user;
    size_t bytes = (size_t)(w->v->n + 1) * sizeof(float);
    float *scratch = malloc(5 * bytes);
    w->failed = !scratch;
    if (!scratch)
        return NULL;
    float **part[] = {&w->h, &w->x, &w->residual, &w->gate, &w->out};
    for (size_t i = 0; i < sizeof part / sizeof *part; ++i)
        *part[i] = scratch + i * (size_t)(w->v->n + 1);
    for (int64_t row = w->begin; row < w->end; ++row)
        verify_row(w, row);
    free(scratch);
    return NULL;
}

void verify_merge(struct verify_result *into, const struct verify_result *from)
{
    uint64_t compared = into->compared + from->compared, wrong = into->wrong + from->wrong;
    if (from->worst > into->worst)
        *into = *from;
    into->compared = compared;
    into->wrong = wrong;
}

static bool verify_block(const struct verifier *v, int64_t first, int64_t count, struct verify_result *result)
{
    struct worker workers[MAX_THREADS] = {{0}};
    pthread_t threads[MAX_THREADS];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t used = cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : cores;
    if (used > count)
        used = count;
    bool good = true;
    for (int64_t i = 0; i < used; ++i) {
        workers[i] = (struct worker){.v = v, .first = first};
        workers[i].begin = first + count * i / used;
        workers[i].end = first + count * (i + 1) / used;
        if (i && pthread_create(&threads[i], NULL, verify_rows, &workers[i])) {
            // No thread to be had: this one does the rest.
            workers[i].end = first + count;
            verify_rows(&workers[i]);
            verify_merge(result, &workers[i].result);
            good = good && !workers[i].failed;
            used = i;
        }
    }
    verify_rows(&workers[0]);
    for (int64_t i = 0; i < used; ++i) {
        if (i)
            pthread_join(threads[i], NULL);
        verify_merge(result, &workers[i].result);
        good = good && !workers[i].failed;
    }
    return good || complain("verify: no memory");
}

// The same rows on the scalar path, outputs in float32.
static bool run_scalar(struct verifier *v, int64_t first, int64_t count)
{
    const norma_problem *p = v->problem;
    norma_problem block = *p;
    norma_tensor t[NORMA_ARG_COUNT];
    int64_t shape[2] = {count, v->n};
    float *const outputs[NORMA_ARG_COUNT] = {
        [NORMA_ARG_Y] = v->y, [NORMA_ARG_SUM] = v->sum, [NORMA_ARG_MEAN] = v->mean, [NORMA_ARG_RSTD] = v->rstd};
    block.normalized_dims = 1;
    block.axes = 0;
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        const norma_tensor *whole = norma_problem_tensor(p, arg);
        if (!whole)
            continue;
        size_t row_bytes = (size_t)v->n * norma_dtype_size(whole->dtype);
        bool shared = arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_INPUT_BIAS;
        if (outputs[arg]) {
            bool statistic = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
            t[arg] = norma_tensor_host(NORMA_FLOAT32, statistic ? 1 : 2, shape, outputs[arg]);
        } else if (shared) {
            t[arg] = norma_tensor_host(whole->dtype, 1, shape + 1, whole->data);
        } else if (arg == NORMA_ARG_GATE) {
            for (int64_t i = 0; i < count; ++i)
                memcpy((char *)v->gate + (size_t)i * row_bytes,
                       (const char *)whole->data + (size_t)gate_row(p, first + i) * row_bytes, row_bytes);
            t[arg] = norma_tensor_host(whole->dtype, 2, shape, v->gate);
        } else {
            t[arg] = norma_tensor_host(whole->dtype, 2, shape, (char *)whole->data + (size_t)first * row_bytes);
        }
        *problem_slot(&block, arg) = &t[arg];
    }
    return succeeded(norma_run(v->scalar, &block));
}

static bool start(struct verifier *v)
{
    const norma_problem *p = v->problem;
    v->n = 1;
    for (int32_t i = p->x->rank - norma_last_dims(p); i < p->x->rank; ++i)
        v->n *= p->x->shape[i];
    v->rows = 1;
    for (int32_t i = 0; i < p->x->rank - norma_last_dims(p); ++i)
        v->rows *= p->x->shape[i];
    v->block_rows = v->n > BLOCK_ELEMENTS ? 1 : BLOCK_ELEMENTS / (v->n ? v->n : 1);
    if (v->block_rows > v->rows)
        v->block_rows = v->rows;
    // A block's rows are shared out to all threads: long rows come several at a time.
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (v->block_rows < cores)
        v->block_rows = cores < v->rows ? cores : v->rows;
    v->weight = load_shared(p->weight, v->n);
    v->bias = load_shared(p->bias, v->n);
    v->input_bias = load_shared(p->input_bias, v->n);
    bool good = (!p->weight || v->weight) && (!p->bias || v->bias) && (!p->input_bias || v->input_bias);
    if (v->scalar) {
        size_t elements = (size_t)(v->block_rows * v->n + 1), rows = (size_t)v->block_rows + 1;
        v->y = malloc(elements * sizeof(float));
        v->sum = p->sum ? malloc(elements * sizeof(float)) : NULL;
        v->gate = p->gate ? malloc(elements * norma_dtype_size(p->gate->dtype)) : NULL;
        v->mean = p->mean ? malloc(rows * sizeof(float)) : NULL;
        v->rstd = p->rstd ? malloc(rows * sizeof(float)) : NULL;
        good = good && v->y && (!p->sum || v->sum) && (!p->gate || v->gate) && (!p->mean || v->mean) &&
               (!p->rstd || v->rstd);
    }
    return good || complain("verify: no memory");
}

static bool verify_in_rows(const norma_problem *problem, norma_context *scalar, struct progress *progress,
                           struct verify_result *result)
{
    struct verifier v = {.problem = problem, .scalar = scalar};
    bool good = start(&v);
    for (int64_t first = 0; good && first < v.rows; first += v.block_rows) {
        int64_t count = v.rows - first < v.block_rows ? v.rows - first : v.block_rows;
        good = (!scalar || run_scalar(&v, first, count)) && verify_block(&v, first, count, result);
        if (progress)
            progress_set(progress, (double)(first + count) / (double)v.rows);
    }
    void *const owned[] = {v.weight, v.bias, v.input_bias, v.y, v.sum, v.gate, v.mean, v.rstd};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; ++i)
        free(owned[i]);
    return good;
}

// One row behind the other, as verify_in_rows reads them: not those of a file in Fortran order.
static bool in_c_order(const norma_problem *problem)
{
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        const norma_tensor *t = norma_problem_tensor(problem, arg);
        int64_t stride = 1;
        for (int32_t d = t ? t->rank - 1 : -1; d >= 0; --d) {
            if (t->shape[d] > 1 && t->strides[d] != stride)
                return false;
            stride *= t->shape[d];
        }
    }
    return true;
}

bool verify_problem(const norma_problem *problem, const norma_problem *given, norma_context *scalar,
                    struct progress *progress, struct verify_result *result)
{
    struct norma_work work;
    memset(result, 0, sizeof *result);
    if (!succeeded(norma_work_from_problem(problem, NORMA_PLACE_HOST, &work)))
        return false;
    return work.strided || !in_c_order(problem) ? verify_form(problem, given, &work.form, scalar, progress, result)
                                                : verify_in_rows(problem, scalar, progress, result);
}

const char *verify_text(const struct verify_result *r, char *text)
{
    char place[192] = "";
    size_t used = 0;
    for (int32_t i = 0; i < r->rank; ++i)
        used += (size_t)snprintf(place + used, sizeof place - used, "%s%lld", i ? ", " : "", (long long)r->index[i]);
    // As many digits as tell float32 values apart, or float64 ones.
    const int digits = r->got == (double)(float)r->got ? 9 : 17;
    if (!r->worst)
        snprintf(text, 256, "error/bound 0 (%llu values)", (unsigned long long)r->compared);
    else
        snprintf(text, 256, "error/bound %.3g at %s[%s] (%.*g, expected %.*g; %llu of %llu values above 1)", r->worst,
                 norma_arg_name(r->arg), place, digits, r->got, digits, r->expected, (unsigned long long)r->wrong,
                 (unsigned long long)r->compared);
    return text;
}
