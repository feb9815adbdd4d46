// The scalar backend, driven by dispatches made by hand: against long double arithmetic, golden vectors and itself.
#include "golden.h"
#include "scalar/scalar.h"
#include "scalar_job.h"
#include "verify/reference.h"
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_THREADS = 3 };

static uint64_t seed = 1;
static norma_context *contexts[MAX_THREADS + 1];
static struct norma_device *devices[MAX_THREADS + 1]; // by number of threads

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static double normal(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += below(1 << 30) * 0x1p-30;
    return sum;
}

static double worst;

static void compare(const struct job *job, norma_arg arg, uint32_t row, uint32_t i, long double expected,
                    long double bound)
{
    float got = job_get(job, arg, job_index(job, arg, row, i));
    double error = reference_error(expected, bound, got, job_dtype(job->tensor[arg].type));
    worst = fmax(worst, error);
    if (!(error <= 1))
        fail_msg("%s %ux%u, %s[%u, %u] type %d is %a, not %La: error/bound %g", norma_op_name(job->op), job->rows,
                 job->n, norma_arg_name(arg), row, i, job->tensor[arg].type, (double)got, expected, error);
}

static float *row_of(const struct job *job, norma_arg arg, uint32_t row)
{
    if (!job->tensor[arg].present)
        return NULL;
    float *values = malloc(job->n * sizeof *values);
    assert_non_null(values);
    for (uint32_t i = 0; i < job->n; i++)
        values[i] = job_get(job, arg, job_index(job, arg, row, i));
    return values;
}

// inputs: the job before it ran; after: the same with outputs, whose memory is its own.
static void verify_row(const struct job *inputs, const struct job *after, uint32_t r)
{
    float *part[NORMA_ROW_ARGS] = {NULL}, *h = malloc(inputs->n * sizeof *h);
    assert_non_null(h);
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++)
        if (!job_is_output(arg))
            part[arg] = row_of(inputs, (norma_arg)arg, r);
    const struct reference_prologue before = {part[NORMA_ARG_X], part[NORMA_ARG_INPUT_BIAS], part[NORMA_ARG_GATE],
                                              part[NORMA_ARG_RESIDUAL]};
    for (uint32_t i = 0; i < inputs->n; i++)
        h[i] = reference_h(&before, i);
    const struct reference_row row = {
        inputs->op, inputs->n, inputs->eps, inputs->weight_offset, h, part[NORMA_ARG_WEIGHT], part[NORMA_ARG_BIAS]};
    const struct reference_stats stats = reference_statistics(&row);
    for (uint32_t i = 0; i < inputs->n; i++) {
        long double bound, value = reference_y(&row, &stats, i, job_dtype(after->tensor[NORMA_ARG_Y].type), &bound);
        compare(after, NORMA_ARG_Y, r, i, value, bound);
        if (!after->tensor[NORMA_ARG_SUM].present)
            continue;
        value = reference_sum(&before, i, job_dtype(after->tensor[NORMA_ARG_SUM].type), &bound);
        compare(after, NORMA_ARG_SUM, r, i, value, bound);
    }
    if (after->tensor[NORMA_ARG_MEAN].present)
        compare(after, NORMA_ARG_MEAN, r, 0, stats.mean, stats.mean_bound);
    if (after->tensor[NORMA_ARG_RSTD].present)
        compare(after, NORMA_ARG_RSTD, r, 0, stats.rstd, stats.rstd_bound);
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++)
        free(part[arg]);
    free(h);
}

// What is between the rows of outputs keeps its NaN bytes.
static void verify_gaps(const struct job *after)
{
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        if (!job_is_output(arg))
            continue;
        const size_t size = job_element_size(after->tensor[arg].type);
        const uint32_t length = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD ? 1 : after->n;
        for (size_t e = 0; e < after->tensor[arg].elements; e++) {
            const size_t from = after->tensor[arg].offset, stride = after->tensor[arg].stride;
            if (after->tensor[arg].present && e >= from && (e - from) % stride < length)
                continue;
            for (size_t b = 0; b < size; b++)
                assert_int_equal(after->tensor[arg].memory[e * size + b], 0xff);
        }
    }
}

static void fill_random(struct job *job, int kind)
{
    static const double scales[] = {1, 1, 65504, 3e38, 1e-40}, offsets[] = {0, 1e4, 0, 0, 0};
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        if (job_is_output(arg))
            continue;
        const bool x = arg == NORMA_ARG_X;
        for (size_t e = 0; e < job->tensor[arg].elements; e++) {
            double value = normal();
            if (x)
                value = offsets[kind] + (kind < 2 ? value : tanh(value)) * scales[kind];
            job_set(job, (norma_arg)arg, e, (float)value);
        }
    }
}

static struct job random_job(void)
{
    static const uint32_t lengths[] = {1, 2, 15, 16, 17, 31, 64, 255, 768, 1023, 1024, 1025, 4097, 8192, 8193, 20000};
    struct job job = {.op = below(2) ? NORMA_RMS_NORM : NORMA_LAYER_NORM, .rows = 1 + below(6), .eps = 1e-5f};
    job.n = below(2) ? lengths[below(16)] : 1 + below(3000);
    job.gate_rows = 1 + below(3);
    job.gate_phase = below(job.gate_rows);
    job.weight_offset = job.op == NORMA_RMS_NORM ? (float)below(2) : 0;
    const bool prologue = below(2);
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        const bool one = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
        const bool before = arg >= NORMA_ARG_RESIDUAL && arg <= NORMA_ARG_INPUT_BIAS;
        job.tensor[arg].present = arg <= NORMA_ARG_Y || (below(2) && (prologue || !before));
        job.tensor[arg].type = one ? 0 : below(2) ? (int)below(3) : 0;
        job.tensor[arg].stride = (one ? 1 : job.n) + (below(3) ? 0 : below(9));
        job.tensor[arg].offset = below(3) ? 0 : below(7);
        if (row_arg_is_shared((norma_arg)arg))
            job.tensor[arg].stride = 0;
    }
    return job;
}

static void assert_same(const struct job *a, const struct job *b)
{
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++)
        assert_memory_equal(a->tensor[arg].memory, b->tensor[arg].memory,
                            a->tensor[arg].elements * job_element_size(a->tensor[arg].type));
}

static void random_cases(void **state)
{
    (void)state;
    for (int k = 0; k < 1500; k++) {
        struct job job = random_job();
        job_allocate(&job);
        fill_random(&job, k % 5);
        struct job after = job_copy(&job);
        job_run(&after, devices[1]);
        for (uint32_t r = 0; r < job.rows; r++)
            verify_row(&job, &after, r);
        verify_gaps(&after);
        job_release(&after);
        job_release(&job);
    }
    print_message("largest error/bound %.3f\n", worst);
}

// Every number of threads and every instruction set: the same bits. Large enough that the threads are used.
static void same_bits(void **state)
{
    (void)state;
    for (int k = 0; k < 40; k++) {
        struct job job = random_job();
        job.rows = 1 + 300000 / job.n;
        job_allocate(&job);
        fill_random(&job, k % 5);
        struct job first = job_copy(&job);
        job_run(&first, devices[1]);
        for (int threads = 2; threads <= MAX_THREADS; threads++) {
            struct job other = job_copy(&job);
            job_run(&other, devices[threads]);
            assert_same(&first, &other);
            job_release(&other);
        }
        struct nsc_device *impl = devices[1]->impl;
        for (size_t i = 0; nsc_loops_list(i); i++) {
            struct job other = job_copy(&job);
            impl->loops = nsc_loops_list(i);
            job_run(&other, devices[1]);
            assert_same(&first, &other);
            job_release(&other);
        }
        job_release(&first);
        job_release(&job);
    }
}

// y in the memory of x, and the sum in that of the residual.
static void in_place(void **state)
{
    (void)state;
    for (int k = 0; k < 200; k++) {
        struct job job = random_job();
        job.tensor[NORMA_ARG_RESIDUAL].present = job.tensor[NORMA_ARG_SUM].present = true;
        job.tensor[NORMA_ARG_Y] = job.tensor[NORMA_ARG_X];
        job.tensor[NORMA_ARG_SUM] = job.tensor[NORMA_ARG_RESIDUAL];
        if (k % 2) // the path without conversions
            job.tensor[NORMA_ARG_RESIDUAL].present = job.tensor[NORMA_ARG_SUM].present = false;
        job_allocate(&job);
        fill_random(&job, 0);
        struct job apart = job_copy(&job), shared = job_copy(&job);
        unsigned char *y = shared.tensor[NORMA_ARG_Y].memory, *sum = shared.tensor[NORMA_ARG_SUM].memory;
        shared.tensor[NORMA_ARG_Y].memory = shared.tensor[NORMA_ARG_X].memory;
        shared.tensor[NORMA_ARG_SUM].memory = shared.tensor[NORMA_ARG_RESIDUAL].memory;
        job_run(&apart, devices[1]);
        job_run(&shared, devices[1]);
        for (uint32_t r = 0; r < job.rows; r++)
            for (uint32_t i = 0; i < job.n; i++)
                for (norma_arg arg = NORMA_ARG_Y; arg <= NORMA_ARG_SUM; arg += NORMA_ARG_SUM - NORMA_ARG_Y)
                    if (job.tensor[arg].present) {
                        const size_t at = job_index(&job, arg, r, i) * job_element_size(job.tensor[arg].type);
                        assert_memory_equal(apart.tensor[arg].memory + at, shared.tensor[arg].memory + at,
                                            job_element_size(job.tensor[arg].type));
                    }
        shared.tensor[NORMA_ARG_Y].memory = y;
        shared.tensor[NORMA_ARG_SUM].memory = sum;
        job_release(&apart);
        job_release(&shared);
        job_release(&job);
    }
}

static void equal_elements(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++) {
        struct job job = job_dense(NORMA_LAYER_NORM, 1, 5000);
        const float value = k < 2 ? 3e38f : k < 4 ? 0.1f : 1e-45f;
        job.eps = k % 2 ? 1e-38f : 0;
        job.tensor[NORMA_ARG_MEAN].present = true;
        job_allocate(&job);
        for (uint32_t i = 0; i < job.n; i++)
            job_set(&job, NORMA_ARG_X, i, value);
        job_run(&job, devices[1]);
        assert_memory_equal(job.tensor[NORMA_ARG_MEAN].memory, &value, sizeof value);
        for (uint32_t i = 0; i < job.n; i++) {
            const float y = job_get(&job, NORMA_ARG_Y, i);
            assert_true(k % 2 ? y >= 0 && y <= 0 : isnan(y));
        }
        job_release(&job);
    }
}

// A NaN or an infinity spoils its row alone.
static void spoilt_row(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct job job = job_dense(NORMA_LAYER_NORM, 3, 333);
        job_allocate(&job);
        fill_random(&job, 0);
        job_set(&job, NORMA_ARG_X, 333 + 5, k == 0 ? NAN : k == 1 ? INFINITY : -INFINITY);
        struct job after = job_copy(&job);
        job_run(&after, devices[1]);
        verify_row(&job, &after, 0);
        verify_row(&job, &after, 2);
        for (uint32_t i = 0; i < 333; i++)
            assert_true(isnan(job_get(&after, NORMA_ARG_Y, 333 + i)));
        job_release(&after);
        job_release(&job);
    }
}

static void fill_golden(struct job *job, norma_arg arg, const char *folder, const char *name, const char *suffix)
{
    char file[64];
    size_t count;
    snprintf(file, sizeof file, "%s_%s", name, suffix);
    float *values = golden_floats(folder, file, &count);
    assert_int_equal(count, job->tensor[arg].elements);
    memcpy(job->tensor[arg].memory, values, count * sizeof *values);
    free(values);
}

static void golden_case(norma_op op, uint32_t n, uint32_t rows, bool residual)
{
    static const norma_arg outputs[] = {NORMA_ARG_Y, NORMA_ARG_RSTD, NORMA_ARG_MEAN};
    char name[32], file[64];
    snprintf(name, sizeof name, "%s_%u", norma_op_name(op), n);
    struct job job = job_dense(op, rows, n);
    job.weight_offset = op == NORMA_RMS_NORM;
    job.tensor[NORMA_ARG_WEIGHT].present = job.tensor[NORMA_ARG_BIAS].present = true;
    job.tensor[NORMA_ARG_RESIDUAL].present = residual;
    job.tensor[NORMA_ARG_RSTD].present = true;
    job.tensor[NORMA_ARG_MEAN].present = op == NORMA_LAYER_NORM;
    job_allocate(&job);
    fill_golden(&job, NORMA_ARG_X, "golden", name, "x");
    fill_golden(&job, NORMA_ARG_WEIGHT, "golden", name, "weight");
    fill_golden(&job, NORMA_ARG_BIAS, "golden", name, "bias");
    if (residual)
        fill_golden(&job, NORMA_ARG_RESIDUAL, "golden", name, "residual");
    job_run(&job, devices[1]);
    for (uint32_t r = 0; r < rows; r++)
        verify_row(&job, &job, r);
    // The scalar path rounds once: it must be the float64 value rounded to float32, give or take the last digits of
    // float64 itself.
    for (int o = 0; o < 3; o++) {
        if (!job.tensor[outputs[o]].present)
            continue;
        snprintf(file, sizeof file, "%s_%s", name, norma_arg_name(outputs[o]));
        struct golden golden = golden_read("golden", file);
        assert_int_equal(golden.count, job.tensor[outputs[o]].elements);
        for (size_t i = 0; i < golden.count; i++) {
            const double got = job_get(&job, outputs[o], i), value = golden.values[i];
            assert_true(fabs(got - value) <= 0x1p-24 * fabs(value) + 1e-12);
        }
        free(golden.values);
    }
    job_release(&job);
}

static void golden_vectors(void **state)
{
    (void)state;
    for (norma_op op = NORMA_LAYER_NORM; op <= NORMA_RMS_NORM; op++) {
        golden_case(op, 5, 7, false);
        golden_case(op, 64, 4, true);
        golden_case(op, 769, 2, true);
    }
}

// Real activations. The file's y is another library's float32: both may be off by the contract's bound.
static void minilm_case(const char *name, bool residual)
{
    struct job job = job_dense(NORMA_LAYER_NORM, 54, 384);
    struct golden y;
    char file[64];
    job.eps = 1e-12f;
    job.tensor[NORMA_ARG_WEIGHT].present = job.tensor[NORMA_ARG_BIAS].present = true;
    job.tensor[NORMA_ARG_RESIDUAL].present = residual;
    job_allocate(&job);
    fill_golden(&job, NORMA_ARG_X, "data/minilm", name, "x");
    fill_golden(&job, NORMA_ARG_WEIGHT, "data/minilm", name, "weight");
    fill_golden(&job, NORMA_ARG_BIAS, "data/minilm", name, "bias");
    if (residual)
        fill_golden(&job, NORMA_ARG_RESIDUAL, "data/minilm", name, "residual");
    job_run(&job, devices[1]);
    snprintf(file, sizeof file, "%s_y", name);
    y = golden_read("data/minilm", file);
    assert_int_equal(y.count, job.tensor[NORMA_ARG_Y].elements);
    double furthest = 0;
    for (uint32_t r = 0; r < job.rows; r++) {
        verify_row(&job, &job, r);
        for (uint32_t i = 0; i < job.n; i++) {
            const double got = job_get(&job, NORMA_ARG_Y, r * job.n + i), weight = job_get(&job, NORMA_ARG_WEIGHT, i);
            const double bias = job_get(&job, NORMA_ARG_BIAS, i), value = y.values[r * job.n + i];
            const double terms = fabs(value - bias) + fabs(weight) + fabs(bias);
            furthest = fmax(furthest, fabs(got - value) / (2 * 8 * 0x1p-24 * terms));
        }
    }
    print_message("%s: largest difference to the file %.3f of both bounds\n", name, furthest);
    assert_true(furthest <= 1);
    free(y.values);
    job_release(&job);
}

static void minilm(void **state)
{
    (void)state;
    minilm_case("embedding", false);
    minilm_case("attention", true);
}

static void transfers(void **state)
{
    enum { ROWS = 300, PITCH = 4000, ROW = 3001, BYTES = ROWS * ROW };
    (void)state;
    const struct norma_backend *backend = &norma_backend_scalar;
    struct norma_buffer a, b;
    struct norma_event event;
    unsigned char *host = malloc(ROWS * PITCH), *back = calloc(ROWS, PITCH);
    assert_true(host && back);
    for (size_t i = 0; i < ROWS * PITCH; i++)
        host[i] = (unsigned char)below(256);
    for (int threads = 1; threads <= MAX_THREADS; threads++) {
        struct norma_device *device = devices[threads];
        assert_int_equal(backend->buffer_create(device, BYTES + 8, &a), NORMA_OK);
        assert_int_equal(backend->buffer_create(device, BYTES + 16, &b), NORMA_OK);
        assert_int_equal((uintptr_t)a.host % 64, 0);
        const struct norma_command commands[] = {{NORMA_COMMAND_WRITE, .buffer = &a, .offset = 8, .host = host,
                                                  .host_pitch = PITCH, .row_bytes = ROW, .rows = ROWS},
                                                 {NORMA_COMMAND_COPY, .buffer = &a, .other = &b, .offset = 8,
                                                  .other_offset = 16, .row_bytes = BYTES, .rows = 1},
                                                 {NORMA_COMMAND_READ, .buffer = &b, .offset = 16, .host = back,
                                                  .host_pitch = PITCH, .row_bytes = ROW, .rows = ROWS}};
        for (int i = 0; i < 3; i++)
            assert_int_equal(backend->submit(device, &commands[i], 1, NULL, 0, false, &event), NORMA_OK);
        for (size_t r = 0; r < ROWS; r++) {
            assert_memory_equal(host + r * PITCH, back + r * PITCH, ROW);
            for (size_t i = ROW; i < PITCH; i++)
                assert_int_equal(back[r * PITCH + i], 0);
        }
        backend->buffer_finish(&a);
        backend->buffer_finish(&b);
        memset(back, 0, ROWS * PITCH);
    }
    free(host);
    free(back);
}

static int setup(void **state)
{
    (void)state;
    for (int threads = 1; threads <= MAX_THREADS; threads++) {
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        norma_device_info info = {.size = sizeof info};
        params.device = "scalar";
        params.cache_dir = "";
        params.threads = threads;
        if (norma_context_create(&params, &contexts[threads]) != NORMA_OK ||
            norma_context_find_device(contexts[threads], "scalar", &devices[threads]) != NORMA_OK ||
            norma_device_get_info(devices[threads], &info) != NORMA_OK || !info.usable)
            return 1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int threads = 1; threads <= MAX_THREADS; threads++)
        norma_context_destroy(&contexts[threads]);
    return 0;
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_cases), cmocka_unit_test(same_bits),
                                       cmocka_unit_test(in_place),     cmocka_unit_test(equal_elements),
                                       cmocka_unit_test(spoilt_row),   cmocka_unit_test(golden_vectors),
                                       cmocka_unit_test(minilm),       cmocka_unit_test(transfers)};
    return cmocka_run_group_tests_name("scalar", tests, setup, teardown);
}
