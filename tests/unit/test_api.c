// Everything a caller can get wrong: the error names the argument, and no output is written.
#include "rows.h"
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
// cmocka needs the four above
#include <cmocka.h>

enum { ROWS = 3, COLS = 8, COUNT = ROWS * COLS, ROOM = 256 };

// A correct problem with every tensor, for a test to break.
struct call {
    norma_problem problem;
    norma_tensor tensor[NORMA_ROW_ARGS];
    _Alignas(16) unsigned char memory[NORMA_ROW_ARGS][ROOM];
};

static norma_context *context;

static int open_context(void **state)
{
    (void)state;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = "scalar";
    params.cache_dir = "";
    return norma_context_create(&params, &context);
}

static int close_context(void **state)
{
    (void)state;
    norma_context_destroy(&context);
    return context != NULL;
}

static void make_call(struct call *c)
{
    const int64_t full[] = {ROWS, COLS};
    memset(c->memory, 0x11, sizeof c->memory); // small float32 numbers
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        const bool inner = arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_INPUT_BIAS;
        const bool statistic = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
        c->tensor[arg] =
            norma_tensor_host(NORMA_FLOAT32, inner || statistic ? 1 : 2, inner ? full + 1 : full, c->memory[arg]);
    }
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    p.x = &c->tensor[NORMA_ARG_X];
    p.y = &c->tensor[NORMA_ARG_Y];
    p.weight = &c->tensor[NORMA_ARG_WEIGHT];
    p.bias = &c->tensor[NORMA_ARG_BIAS];
    p.residual = &c->tensor[NORMA_ARG_RESIDUAL];
    p.gate = &c->tensor[NORMA_ARG_GATE];
    p.input_bias = &c->tensor[NORMA_ARG_INPUT_BIAS];
    p.sum = &c->tensor[NORMA_ARG_SUM];
    p.mean = &c->tensor[NORMA_ARG_MEAN];
    p.rstd = &c->tensor[NORMA_ARG_RSTD];
    c->problem = p;
}

static void expect_refused(struct call *c, const char *name)
{
    unsigned char before[sizeof c->memory];
    memcpy(before, c->memory, sizeof before);
    const norma_status status = norma_run(context, &c->problem);
    const char *message = norma_last_error();
    if (status != NORMA_ERROR_INVALID_ARGUMENT || strncmp(message, name, strlen(name)) != 0 ||
        message[strlen(name)] != ':' || strchr(message, '\n'))
        fail_msg("expected an error about %s, got %s, \"%s\"", name, norma_status_name(status), message);
    assert_memory_equal(before, c->memory, sizeof before);
}

static void test_correct(void **state)
{
    (void)state;
    struct call c;
    make_call(&c);
    if (norma_run(context, &c.problem) != NORMA_OK)
        fail_msg("%s", norma_last_error());
}

static void test_null(void **state)
{
    (void)state;
    struct call c;
    make_call(&c);
    c.problem.x = NULL;
    expect_refused(&c, "x");
    make_call(&c);
    c.problem.y = NULL;
    expect_refused(&c, "y");
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        make_call(&c);
        c.tensor[arg].data = NULL;
        expect_refused(&c, norma_arg_name((norma_arg)arg));
    }
    make_call(&c);
    assert_int_equal(norma_run(context, NULL), NORMA_ERROR_INVALID_ARGUMENT);
    assert_int_equal(strncmp(norma_last_error(), "problem:", 8), 0);
    assert_int_equal(norma_run(NULL, &c.problem), NORMA_ERROR_INVALID_ARGUMENT);
    assert_int_equal(strncmp(norma_last_error(), "context:", 8), 0);
}

static void test_scalars(void **state)
{
    (void)state;
    struct call c;
    static const double bad_eps[] = {-1e-5, (double)NAN, -(double)INFINITY};
    for (size_t i = 0; i < 3; i++) {
        make_call(&c);
        c.problem.eps = bad_eps[i];
        expect_refused(&c, "eps");
    }
    static const int32_t bad_dims[] = {0, -1, 3, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 5; i++) {
        make_call(&c);
        c.problem.normalized_dims = bad_dims[i];
        expect_refused(&c, "normalized_dims");
    }
    static const int bad_ops[] = {0, -1, NORMA_OP_COUNT, 1000};
    for (size_t i = 0; i < 4; i++) {
        make_call(&c);
        memcpy(&c.problem.op, &bad_ops[i], sizeof bad_ops[i]);
        expect_refused(&c, "op");
    }
    make_call(&c);
    c.problem.op = NORMA_RMS_NORM;
    c.problem.weight_offset = (double)NAN;
    expect_refused(&c, "weight_offset");
    make_call(&c);
    c.problem.size = 1;
    expect_refused(&c, "size");
}

static void test_forms(void **state)
{
    (void)state;
    struct call c;
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        const char *name = norma_arg_name((norma_arg)arg);
        static const int bad_types[] = {0, -1, NORMA_INT32, NORMA_INT32 + 1, 99};
        for (size_t i = 0; i < 5; i++) {
            make_call(&c);
            memcpy(&c.tensor[arg].dtype, &bad_types[i], sizeof bad_types[i]);
            expect_refused(&c, name);
        }
        static const int32_t bad_ranks[] = {-1, 0, 3, NORMA_MAX_RANK + 1, INT32_MAX};
        for (size_t i = 0; i < 5; i++) {
            make_call(&c);
            c.tensor[arg].rank = bad_ranks[i];
            c.tensor[arg].shape[2] = c.tensor[arg].strides[2] = 1;
            expect_refused(&c, arg == NORMA_ARG_X && bad_ranks[i] == 0   ? "normalized_dims"
                               : arg == NORMA_ARG_X && bad_ranks[i] == 3 ? "y"
                                                                         : name);
            if (arg == NORMA_ARG_X && bad_ranks[i] == 0)
                break; // with another rank x is right and the others are not
        }
        make_call(&c);
        c.tensor[arg].shape[0] = -1;
        expect_refused(&c, name);
        make_call(&c);
        c.tensor[arg].strides[0] = -1;
        expect_refused(&c, name);
        make_call(&c);
        c.tensor[arg].data = c.memory[arg] + 1;
        expect_refused(&c, name);
        if (arg == NORMA_ARG_X)
            continue; // its shape is what the others are compared with
        make_call(&c);
        c.tensor[arg].shape[c.tensor[arg].rank - 1]++;
        expect_refused(&c, name);
    }
}

static void test_overflow(void **state)
{
    (void)state;
    struct call c;
    static const int64_t sizes[][2] = {
        {INT64_MAX, INT64_MAX}, {INT64_MAX, 8}, {INT64_MAX / 4, 8}, {1 << 30, INT64_MAX}};
    for (size_t i = 0; i < 4; i++) {
        make_call(&c);
        memcpy(c.tensor[NORMA_ARG_X].shape, sizes[i], sizeof sizes[i]);
        expect_refused(&c, "x");
    }
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        if (c.tensor[arg].rank != 2)
            continue;
        make_call(&c);
        c.tensor[arg].strides[0] = INT64_MAX;
        expect_refused(&c, norma_arg_name((norma_arg)arg));
        make_call(&c);
        c.tensor[arg].strides[0] = INT64_MAX / 2;
        expect_refused(&c, norma_arg_name((norma_arg)arg));
    }
}

static void test_layout(void **state)
{
    (void)state;
    struct call c;
    static const norma_arg outputs[] = {NORMA_ARG_Y, NORMA_ARG_SUM, NORMA_ARG_MEAN, NORMA_ARG_RSTD};
    for (size_t i = 0; i < 4; i++) { // all rows in one place
        make_call(&c);
        c.tensor[outputs[i]].strides[0] = 0;
        expect_refused(&c, norma_arg_name(outputs[i]));
    }
    make_call(&c);
    c.tensor[NORMA_ARG_Y].strides[0] = COLS - 1;
    expect_refused(&c, "y");
    make_call(&c);
    c.tensor[NORMA_ARG_MEAN].dtype = NORMA_FLOAT16;
    expect_refused(&c, "mean");
}

// A transposed tensor is no error: the strides say where its elements are.
static void test_transposed(void **state)
{
    (void)state;
    struct call plain, turned;
    make_call(&plain);
    make_call(&turned);
    float *x = (float *)plain.memory[NORMA_ARG_X], *xt = (float *)turned.memory[NORMA_ARG_X];
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < COLS; i++)
            xt[i * ROWS + r] = x[r * COLS + i] = (float)(r * 7 + i * i);
    turned.tensor[NORMA_ARG_X].strides[0] = turned.tensor[NORMA_ARG_Y].strides[0] = 1;
    turned.tensor[NORMA_ARG_X].strides[1] = turned.tensor[NORMA_ARG_Y].strides[1] = ROWS;
    assert_int_equal(norma_run(context, &plain.problem), NORMA_OK);
    if (norma_run(context, &turned.problem) != NORMA_OK)
        fail_msg("%s", norma_last_error());
    const float *y = (const float *)plain.memory[NORMA_ARG_Y], *yt = (const float *)turned.memory[NORMA_ARG_Y];
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < COLS; i++)
            assert_true(y[r * COLS + i] == yt[i * ROWS + r]);
}

static void test_shared(void **state)
{
    (void)state;
    struct call c;
    static const norma_arg outputs[] = {NORMA_ARG_Y, NORMA_ARG_SUM, NORMA_ARG_MEAN, NORMA_ARG_RSTD};
    for (size_t i = 0; i < 4; i++)
        for (int other = 0; other < NORMA_ROW_ARGS; other++) {
            if ((int)outputs[i] == other)
                continue;
            make_call(&c); // one element further: not the same view
            c.tensor[outputs[i]].data = c.memory[other] + sizeof(float);
            const unsigned char *data = c.tensor[outputs[i]].data;
            const norma_status status = norma_run(context, &c.problem);
            assert_int_equal(status, NORMA_ERROR_INVALID_ARGUMENT);
            const char *message = norma_last_error();
            const char *name = norma_arg_name(outputs[i]), *second = norma_arg_name((norma_arg)other);
            // Of two outputs either may be named first.
            if (strncmp(message, name, strlen(name)) != 0 && strncmp(message, second, strlen(second)) != 0)
                fail_msg("%s and %s: \"%s\"", name, second, message);
            assert_int_equal(data[0], 0x11);
        }
    make_call(&c); // in place: the same view
    c.problem.y = c.problem.x;
    c.problem.sum = c.problem.residual;
    assert_int_equal(norma_run(context, &c.problem), NORMA_OK);
    make_call(&c); // y in the rows between those of x
    const int64_t shape[] = {ROWS, COLS / 2};
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, c.memory[0]), y = x;
    x.strides[0] = y.strides[0] = COLS;
    y.data = c.memory[0] + COLS / 2 * sizeof(float);
    float plain[ROWS][COLS / 2], first[COLS / 2];
    norma_tensor dense = norma_tensor_host(NORMA_FLOAT32, 2, shape, plain);
    norma_problem p = NORMA_RMS_NORM_DEFAULTS;
    for (int i = 0; i < ROWS * COLS; i++)
        memcpy(c.memory[0] + i * sizeof(float), &(float){(float)(i % 7 - 2)}, sizeof(float));
    memcpy(first, c.memory[0], sizeof first);
    p.x = &x;
    p.y = &dense;
    assert_int_equal(norma_run(context, &p), NORMA_OK);
    p.y = &y;
    if (norma_run(context, &p) != NORMA_OK)
        fail_msg("%s", norma_last_error());
    assert_memory_equal(c.memory[0], first, sizeof first);
    for (int row = 0; row < ROWS; row++)
        assert_memory_equal(plain[row], (unsigned char *)y.data + (size_t)row * COLS * sizeof(float), sizeof plain[0]);
}

// The same view as an input, where that is not enough.
static void test_not_in_place(void **state)
{
    (void)state;
    enum { N = 4 };
    const int64_t square[] = {N, N};
    float memory[N * N] = {0}, row[N] = {0}, out[N * N];
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, square, memory), y = x;
    norma_tensor weight = norma_tensor_host(NORMA_FLOAT32, 1, square, row), mean = weight;
    norma_problem p = norma_problem_defaults(NORMA_LOCAL_RESPONSE_NORM);
    p.x = &x;
    p.y = &y;
    assert_int_equal(norma_run(context, &p), NORMA_ERROR_INVALID_ARGUMENT);
    assert_string_equal(norma_last_error(), "y: lies in the place of x, of which whole windows are read");
    y.data = out;
    p.z = &y; // each of its elements is read for that of y alone
    memset(out, 0, sizeof out);
    assert_int_equal(norma_run(context, &p), NORMA_OK);
    p = (norma_problem)NORMA_LAYER_NORM_DEFAULTS;
    p.x = &x;
    p.y = &y;
    p.weight = &weight;
    p.mean = &mean;
    assert_int_equal(norma_run(context, &p), NORMA_ERROR_INVALID_ARGUMENT);
    assert_string_equal(norma_last_error(), "mean: lies in the place of weight; only outputs of x's shape may do so");
}

static void test_empty(void **state)
{
    (void)state;
    struct call c;
    make_call(&c);
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) { // rows of no elements
        norma_tensor *t = &c.tensor[arg];
        if (arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD)
            continue;
        t->shape[t->rank - 1] = 0;
        t->data = NULL;
    }
    if (norma_run(context, &c.problem) != NORMA_OK)
        fail_msg("%s", norma_last_error());
    for (int row = 0; row < ROWS; row++) {
        float mean, rstd;
        memcpy(&mean, c.memory[NORMA_ARG_MEAN] + 4 * row, 4);
        memcpy(&rstd, c.memory[NORMA_ARG_RSTD] + 4 * row, 4);
        assert_true(isnan(mean) && isnan(rstd));
    }
    assert_int_equal(c.memory[NORMA_ARG_MEAN][4 * ROWS], 0x11);
    make_call(&c); // no rows
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++)
        if (c.tensor[arg].rank == 2 || arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD)
            c.tensor[arg].shape[0] = 0;
    unsigned char before[sizeof c.memory];
    memcpy(before, c.memory, sizeof before);
    assert_int_equal(norma_run(context, &c.problem), NORMA_OK);
    assert_memory_equal(before, c.memory, sizeof before);
}

// A buffer's view that reaches out of it, and memory of the wrong kind.
static void test_buffers(void **state)
{
    (void)state;
    struct call c;
    make_call(&c);
    norma_device *device = norma_context_device(context, norma_context_device_count(context) - 1);
    norma_buffer *buffer = NULL;
    norma_plan *plan = NULL;
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    p.x = &c.tensor[NORMA_ARG_X];
    p.y = &c.tensor[NORMA_ARG_Y];
    assert_int_equal(norma_buffer_create(device, 0, &buffer), NORMA_ERROR_INVALID_ARGUMENT);
    assert_int_equal(norma_buffer_create(device, 512, &buffer), NORMA_OK);
    assert_int_equal(norma_plan_create(device, &p, NULL, &plan), NORMA_OK);
    assert_int_equal(norma_plan_run(plan, &p, NULL), NORMA_ERROR_INVALID_ARGUMENT); // host memory
    assert_int_equal(strncmp(norma_last_error(), "x:", 2), 0);
    const int64_t shape[] = {ROWS, COLS};
    static const uint64_t bad[] = {512 - COUNT * 4 + 4, 512, UINT64_MAX - 3, 2};
    for (size_t i = 0; i < 4; i++) {
        c.tensor[NORMA_ARG_X] = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, buffer, 0);
        c.tensor[NORMA_ARG_Y] = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, buffer, bad[i]);
        assert_int_equal(norma_plan_run(plan, &p, NULL), NORMA_ERROR_INVALID_ARGUMENT);
        assert_int_equal(strncmp(norma_last_error(), "y:", 2), 0);
    }
    unsigned char bytes[8];
    assert_int_equal(norma_buffer_read(buffer, 508, bytes, 8), NORMA_ERROR_INVALID_ARGUMENT);
    assert_int_equal(norma_buffer_write(buffer, UINT64_MAX, bytes, 8), NORMA_ERROR_INVALID_ARGUMENT);
    norma_plan_destroy(&plan);
    norma_plan_destroy(&plan);
    norma_buffer_destroy(&buffer);
    norma_buffer_destroy(NULL);
    assert_null(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_correct),    cmocka_unit_test(test_null),     cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_overflow), cmocka_unit_test(test_layout),
        cmocka_unit_test(test_transposed), cmocka_unit_test(test_shared),   cmocka_unit_test(test_not_in_place),
        cmocka_unit_test(test_empty),      cmocka_unit_test(test_buffers),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
