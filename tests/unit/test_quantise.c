// Quantised outputs and the count of non-finite inputs where the result is known exactly, on every device; and what is
// refused.
#include "devices.h"
#include "half.h"
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_context *context; // the group's device

// Batch norm with a running mean of 0, a variance of 1 and no eps: v is x.
enum { MOST = 4096, CHANNELS = 8 };

struct identity {
    float x[MOST], zeros[CHANNELS], ones[CHANNELS];
    norma_tensor x_view, mean, var;
    norma_problem problem;
};

// x: [rows, channels]
static void make_identity(struct identity *c, int64_t rows, int64_t channels)
{
    const int64_t shape[] = {rows, channels};
    for (int i = 0; i < CHANNELS; i++) {
        c->zeros[i] = 0;
        c->ones[i] = 1;
    }
    c->x_view = norma_tensor_host(NORMA_FLOAT32, 2, shape, c->x);
    c->mean = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, c->zeros);
    c->var = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, c->ones);
    c->problem = norma_problem_defaults(NORMA_BATCH_NORM);
    c->problem.eps = 0;
    c->problem.x = &c->x_view;
    c->problem.running_mean = &c->mean;
    c->problem.running_var = &c->var;
}

static void run(const norma_problem *p)
{
    if (norma_run(context, p) != NORMA_OK)
        fail_msg("%s", norma_last_error());
}

// Codes in the type's order of magnitude, their middles and the neighbours of these, on both sides of 0.
static int64_t boundaries(norma_dtype dtype, float *x)
{
    const int codes = dtype == NORMA_INT8 ? 129 : 0x7f;
    int64_t count = 0;
    for (int code = 0; code < codes; code++) {
        const bool last = code + 1 == codes;
        const float low = dtype == NORMA_INT8 ? (float)code : norma_float8_to_float((uint8_t)code);
        const float high = dtype == NORMA_INT8 ? (float)code + 1
                           : last              ? 480
                                               : norma_float8_to_float((uint8_t)(code + 1));
        const float middle = (low + high) / 2;
        const float near[] = {low, middle, nextafterf(middle, 0), nextafterf(middle, INFINITY)};
        for (int i = 0; i < 8; i++)
            x[count++] = i % 2 ? -near[i / 2] : near[i / 2];
    }
    const float special[] = {NAN, -NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 0x1p-149f, 0x1p-100f};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        x[count++] = special[i];
    return count;
}

static void every_boundary(void **state)
{
    (void)state;
    static const norma_dtype types[] = {NORMA_INT8, NORMA_FLOAT8_E4M3FN};
    static struct identity c;
    static uint8_t y[MOST];
    for (int i = 0; i < 2; i++)
        for (int power = -3; power <= 0; power++) {
            const int64_t count = boundaries(types[i], c.x);
            float scale = ldexpf(1, power);
            make_identity(&c, count, 1);
            norma_tensor codes = norma_tensor_host(types[i], 2, c.x_view.shape, y);
            const norma_tensor y_scale = norma_tensor_host(NORMA_FLOAT32, 0, NULL, &scale);
            for (int64_t j = 0; j < count; j++)
                c.x[j] *= scale; // exact, but for the tiny ones
            c.problem.y = &codes;
            c.problem.y_scale = &y_scale;
            run(&c.problem);
            for (int64_t j = 0; j < count; j++) {
                const float q = c.x[j] / scale;
                const uint8_t expected =
                    types[i] == NORMA_INT8 ? (uint8_t)norma_float_to_int8(q) : norma_float_to_float8(q);
                const bool nan = isnan(q) && types[i] == NORMA_FLOAT8_E4M3FN;
                if (nan ? (y[j] & 0x7f) != 0x7f : y[j] != expected && !(y[j] == 0x80 && expected == 0x80))
                    fail_msg("type %d: %a / %a becomes 0x%02x, not 0x%02x", (int)types[i], (double)c.x[j],
                             (double)scale, y[j], expected);
            }
        }
}

// Channels: zeros, numbers, a NaN, an infinity, a number that 127 divides to nothing, negatives alone.
static void scales_of_groups(void **state)
{
    (void)state;
    static const float x[3][6] = {
        {0, 1, 2, 3, 0x1p-149f, -5}, {0, -12.7f, NAN, -INFINITY, 0, -448}, {-0.0f, 4, 1, 1, 0, -7}};
    static const norma_dtype types[] = {NORMA_INT8, NORMA_FLOAT8_E4M3FN};
    static struct identity c;
    int8_t y[3][6];
    float scales[6];
    int32_t counts[6];
    for (int i = 0; i < 2; i++) {
        const float limit = i ? 448 : 127;
        make_identity(&c, 3, 6);
        memcpy(c.x, x, sizeof x);
        const norma_tensor codes = norma_tensor_host(types[i], 2, c.x_view.shape, y);
        const norma_tensor y_scale = norma_tensor_host(NORMA_FLOAT32, 1, c.x_view.shape + 1, scales);
        const norma_tensor nonfinite = norma_tensor_host(NORMA_INT32, 1, c.x_view.shape + 1, counts);
        c.problem.y = &codes;
        c.problem.y_scale = &y_scale;
        c.problem.dynamic_scale = 1;
        c.problem.nonfinite = &nonfinite;
        run(&c.problem);
        const int8_t full = i ? 0x7e : 127, negative = i ? (int8_t)0xfe : -127, zero_of_nan = i ? 0x7f : 0;
        assert_true(scales[0] == 1 && y[0][0] == 0 && y[1][0] == 0);
        assert_true(scales[1] == 12.7f / limit && y[1][1] == negative);
        assert_true(isnan(scales[2]) && (y[0][2] & 0x7f) == zero_of_nan && (y[2][2] & 0x7f) == zero_of_nan);
        assert_true(isinf(scales[3]) && y[0][3] == 0 && (y[1][3] & 0x7f) == zero_of_nan);
        assert_true(scales[4] == 0x1p-149f && y[0][4] == (i ? 0x38 : 1) && y[1][4] == 0);
        assert_true(scales[5] == 448 / limit && y[1][5] == negative && full > 0);
        const int32_t expected[6] = {0, 0, 1, 1, 0, 0};
        assert_memory_equal(counts, expected, sizeof counts);
    }
}

// Long groups, whose chunks are folded.
static void counts_of_long_groups(void **state)
{
    (void)state;
    enum { ROWS = 3, LENGTH = 300001 };
    const int64_t shape[] = {ROWS, LENGTH};
    float *x = calloc(ROWS * LENGTH, sizeof *x), *y = malloc(ROWS * LENGTH * sizeof *y);
    int32_t counts[ROWS], expected[ROWS] = {0};
    assert_true(x && y);
    for (int64_t i = 0; i < ROWS * LENGTH; i += 1 + i % 977) {
        x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
        expected[i / LENGTH]++;
    }
    const norma_tensor in = norma_tensor_host(NORMA_FLOAT32, 2, shape, x),
                       out = norma_tensor_host(NORMA_FLOAT32, 2, shape, y);
    const norma_tensor nonfinite = norma_tensor_host(NORMA_INT32, 1, shape, counts);
    norma_problem p = NORMA_RMS_NORM_DEFAULTS;
    p.x = &in;
    p.y = &out;
    p.nonfinite = &nonfinite;
    run(&p);
    assert_memory_equal(counts, expected, sizeof counts);
    free(x);
    free(y);
}

// Windows as long as the channels, whose squares are all 0 but for one channel's: there the root of k + x^2 divides x.
// Then the factor z, the addend, the activation and a scale of each place.
static void long_windows(void **state)
{
    (void)state;
    enum { PLACES = 3, LONG = 6000, FACTOR = 3 };
    static const int windows[] = {7, 999, 2 * LONG + 1};
    const int64_t shape[] = {PLACES, LONG};
    float *x = calloc(PLACES * LONG, sizeof *x), z = FACTOR, addend = -0.5f, scales[PLACES] = {1, 2, 0.25f};
    int8_t *y = malloc(PLACES * LONG);
    int32_t counts[PLACES];
    const int64_t at[PLACES] = {0, LONG / 2, LONG - 1};
    assert_true(x && y);
    for (int p = 0; p < PLACES; p++)
        x[p * LONG + at[p]] = 4;
    x[LONG + 5] = INFINITY; // of another window than 4 where that is short
    norma_tensor in = norma_tensor_host(NORMA_FLOAT32, 2, shape, x), out = norma_tensor_host(NORMA_INT8, 2, shape, y);
    norma_tensor factors = norma_tensor_host(NORMA_FLOAT32, 2, shape, &z), addends = factors;
    const norma_tensor y_scale = norma_tensor_host(NORMA_FLOAT32, 1, shape, scales),
                       nonfinite = norma_tensor_host(NORMA_INT32, 1, shape, counts);
    factors.strides[0] = factors.strides[1] = addends.strides[0] = addends.strides[1] = 0;
    addends.data = &addend;
    norma_problem p = norma_problem_defaults(NORMA_LOCAL_RESPONSE_NORM);
    p.x = &in;
    p.y = &out;
    p.y_scale = &y_scale;
    p.nonfinite = &nonfinite;
    p.z = &factors;
    p.z_activation = NORMA_RELU;
    p.addend = &addends;
    p.activation = NORMA_LEAKY_RELU;
    p.activation_slope = -4;
    p.k = 9;
    p.beta = 0.5;
    for (int w = 0; w < 3; w++) {
        p.local_size = windows[w];
        p.alpha = windows[w];
        run(&p);
        for (int i = 0; i < PLACES; i++) {
            const bool spoilt = i == 1 && w == 2; // 4 / infinity
            // 3 * 4 / sqrt(9 + 16) - 0.5 = 1.9; elsewhere -4 * -0.5.
            const float expected = (spoilt ? 2 : 1.9f) / scales[i];
            assert_int_equal(y[i * LONG + at[i]], (int)lrintf(expected));
            assert_int_equal(y[i * LONG + LONG / 3], (int)lrintf(2 / scales[i]));
            assert_int_equal(counts[i], i == 1);
        }
        assert_int_equal(y[LONG + 5], 0); // infinity / infinity
    }
    free(x);
    free(y);
}

static void empty_groups(void **state)
{
    (void)state;
    const int64_t shape[] = {3, 0};
    float scales[3] = {7, 7, 7};
    int32_t counts[3] = {7, 7, 7};
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, NULL),
                       y = norma_tensor_host(NORMA_INT8, 2, shape, NULL);
    const norma_tensor y_scale = norma_tensor_host(NORMA_FLOAT32, 1, shape, scales);
    const norma_tensor nonfinite = norma_tensor_host(NORMA_INT32, 1, shape, counts);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    p.x = &x;
    p.y = &y;
    p.y_scale = &y_scale;
    p.nonfinite = &nonfinite;
    p.dynamic_scale = 1;
    run(&p);
    for (int i = 0; i < 3; i++)
        assert_true(scales[i] == 1 && counts[i] == 0);
}

enum { ROWS = 6, COLS = 4 };

struct call {
    float memory[NORMA_ARG_COUNT][ROWS * COLS];
    norma_tensor x, y, other, y_scale, nonfinite;
    norma_problem problem;
};

static void make_call(struct call *c)
{
    const int64_t shape[] = {ROWS, COLS};
    memset(c->memory, 0, sizeof c->memory);
    c->x = norma_tensor_host(NORMA_FLOAT32, 2, shape, c->memory[0]);
    c->y = norma_tensor_host(NORMA_INT8, 2, shape, c->memory[1]);
    c->y_scale = norma_tensor_host(NORMA_FLOAT32, 1, shape, c->memory[2]);
    c->nonfinite = norma_tensor_host(NORMA_INT32, 1, shape, c->memory[3]);
    c->other = norma_tensor_host(NORMA_FLOAT32, 2, shape, c->memory[4]);
    c->problem = norma_problem_defaults(NORMA_LAYER_NORM);
    c->problem.x = &c->x;
    c->problem.y = &c->y;
    c->problem.y_scale = &c->y_scale;
    c->problem.nonfinite = &c->nonfinite;
}

static void expect(const struct call *c, norma_status wanted, const char *name)
{
    const norma_status status = norma_run(context, &c->problem);
    const char *message = norma_last_error();
    if (status != wanted ||
        (wanted != NORMA_OK && (strncmp(message, name, strlen(name)) || message[strlen(name)] != ':')))
        fail_msg("expected %s about %s, got %s, \"%s\"", norma_status_name(wanted), name, norma_status_name(status),
                 message);
}

#define REFUSED(change, name)                           \
    do {                                                \
        make_call(&c);                                  \
        change;                                         \
        expect(&c, NORMA_ERROR_INVALID_ARGUMENT, name); \
    } while (0)
#define ACCEPTED(change)          \
    do {                          \
        make_call(&c);            \
        change;                   \
        expect(&c, NORMA_OK, ""); \
    } while (0)

static void types_that_are_refused(void **state)
{
    (void)state;
    static struct call c;
    ACCEPTED(c.y.dtype = NORMA_FLOAT8_E4M3FN);
    REFUSED(c.x.dtype = NORMA_INT8, "x");
    REFUSED(c.x.dtype = NORMA_FLOAT8_E4M3FN, "x");
    REFUSED(c.y.dtype = NORMA_INT32, "y");
    REFUSED((c.other.dtype = NORMA_INT8, c.problem.residual = &c.other), "residual");
    REFUSED((c.other.dtype = NORMA_FLOAT8_E4M3FN, c.problem.sum = &c.other), "sum");
    REFUSED(c.y_scale.dtype = NORMA_FLOAT16, "y_scale");
    REFUSED(c.y_scale.dtype = NORMA_FLOAT64, "y_scale");
    REFUSED(c.y_scale.dtype = NORMA_INT8, "y_scale");
    REFUSED(c.nonfinite.dtype = NORMA_FLOAT32, "nonfinite");
    REFUSED(c.problem.y_scale = NULL, "y_scale");
    REFUSED(c.y.dtype = NORMA_FLOAT32, "y_scale");
    REFUSED((c.y.dtype = NORMA_FLOAT32, c.problem.y_scale = NULL, c.problem.dynamic_scale = 1), "dynamic_scale");
    REFUSED(c.problem.dynamic_scale = 2, "dynamic_scale");
    REFUSED(c.y.data = c.x.data, "y");
}

static void shapes_of_scales(void **state)
{
    (void)state;
    static struct call c;
    ACCEPTED(c.y_scale.rank = 0);
    ACCEPTED(c.y_scale.shape[0] = 1);
    ACCEPTED(c.y_scale = norma_tensor_host(NORMA_FLOAT32, 2, (const int64_t[]){1, COLS}, c.memory[2]));
    ACCEPTED(c.y_scale = norma_tensor_host(NORMA_FLOAT32, 2, (const int64_t[]){ROWS, 1}, c.memory[2]));
    ACCEPTED(c.y_scale = norma_tensor_host(NORMA_FLOAT32, 2, (const int64_t[]){ROWS, COLS}, c.memory[2]));
    ACCEPTED(c.problem.dynamic_scale = 1);
    REFUSED(c.y_scale.shape[0] = ROWS - 1, "y_scale");
    REFUSED(c.y_scale = norma_tensor_host(NORMA_FLOAT32, 2, (const int64_t[]){2, 1}, c.memory[2]), "y_scale");
    REFUSED(c.y_scale = norma_tensor_host(NORMA_FLOAT32, 3, (const int64_t[]){1, 1, 1}, c.memory[2]), "y_scale");
    REFUSED((c.y_scale.shape[0] = 1, c.problem.dynamic_scale = 1), "y_scale");
    REFUSED((c.y_scale.rank = 0, c.problem.dynamic_scale = 1), "y_scale");
    REFUSED((c.y_scale.strides[0] = 0, c.problem.dynamic_scale = 1), "y_scale");
    REFUSED(c.nonfinite.shape[0] = COLS, "nonfinite");
}

// A scale a group of channels where its shape could be x's with ones, but is not.
static void scales_of_channel_groups(void **state)
{
    (void)state;
    const int64_t shape[] = {1, 6, 2}, scales[] = {1, 3, 1};
    float x[12], scale[3] = {1, 0.5f, 0.25f}, weights[6] = {0};
    float biases[6] = {3, 3, 3, 3, 3, 3};
    int8_t y[12];
    for (int i = 0; i < 12; i++)
        x[i] = (float)i;
    const norma_tensor in = norma_tensor_host(NORMA_FLOAT32, 3, shape, x),
                       out = norma_tensor_host(NORMA_INT8, 3, shape, y);
    const norma_tensor weight = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, weights);
    const norma_tensor bias = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, biases);
    const norma_tensor y_scale = norma_tensor_host(NORMA_FLOAT32, 3, scales, scale);
    norma_problem p = norma_problem_defaults(NORMA_GROUP_NORM);
    p.num_groups = 3;
    p.x = &in;
    p.y = &out;
    p.weight = &weight;
    p.bias = &bias;
    p.y_scale = &y_scale;
    run(&p);
    for (int i = 0; i < 12; i++)
        assert_int_equal(y[i], 3 << i / 4);
}

static void backward(void **state)
{
    (void)state;
    static struct call c;
    make_call(&c);
    c.problem.direction = NORMA_BACKWARD;
    c.problem.y = c.problem.y_scale = c.problem.nonfinite = NULL;
    c.problem.dy = &c.other;
    c.problem.dx = &c.x;
    c.other.dtype = NORMA_INT8;
    expect(&c, NORMA_ERROR_INVALID_ARGUMENT, "dy");
    c.other.dtype = NORMA_FLOAT32;
    c.problem.y_scale = &c.y_scale;
    expect(&c, NORMA_ERROR_INVALID_ARGUMENT, "y_scale");
    c.problem.y_scale = NULL;
    c.problem.nonfinite = &c.nonfinite;
    expect(&c, NORMA_ERROR_INVALID_ARGUMENT, "nonfinite");
}

// Local response norm takes what comes behind the norm, and a scale and a count for each place.
static void windows(void **state)
{
    (void)state;
    static struct call c;
    const norma_op op = NORMA_LOCAL_RESPONSE_NORM;
    ACCEPTED(c.problem.op = op);
    ACCEPTED((c.problem.op = op, c.y_scale.rank = 0));
    ACCEPTED((c.problem.op = op, c.problem.z = &c.other, c.problem.activation = NORMA_GELU));
    ACCEPTED((c.problem.op = op, c.problem.addend = &c.other, c.problem.z_first = 1));
    REFUSED((c.problem.op = op, c.nonfinite.shape[0] = COLS), "nonfinite");
    REFUSED((c.problem.op = op, c.problem.weight = &c.other), "weight");
    REFUSED((c.problem.op = op, c.problem.residual = &c.other), "residual");
    REFUSED((c.problem.op = op, c.problem.mean = &c.y_scale), "mean");
    REFUSED((c.problem.op = op, c.problem.activation = NORMA_ACTIVATION_COUNT), "activation");
    make_call(&c);
    c.problem.op = op;
    c.problem.z = &c.other;
    c.problem.z_first = 1;
    expect(&c, NORMA_ERROR_UNSUPPORTED, "z_first");
    c.problem.z_first = 0;
    c.problem.dynamic_scale = 1;
    expect(&c, NORMA_ERROR_UNSUPPORTED, "dynamic_scale");
    // y may lie in the place of z, but not of x, which neighbours read.
    c.problem.dynamic_scale = 0;
    c.problem.y_scale = NULL;
    c.problem.y = &c.other;
    expect(&c, NORMA_OK, "");
    c.problem.y = &c.x;
    expect(&c, NORMA_ERROR_INVALID_ARGUMENT, "y");
}

// A plan made for scales that it finds is none for a scale that is given, and the other way round.
static void plans(void **state)
{
    (void)state;
    static struct call c;
    norma_device *device;
    norma_plan *plan;
    norma_buffer *buffer;
    assert_int_equal(norma_context_find_device(context, "scalar", &device), NORMA_OK);
    assert_int_equal(norma_buffer_create(device, 4096, &buffer), NORMA_OK);
    for (int dynamic = 0; dynamic < 2; dynamic++) {
        make_call(&c);
        norma_tensor *const tensors[] = {&c.x, &c.y, &c.y_scale, &c.nonfinite};
        c.problem.dynamic_scale = dynamic;
        for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
            tensors[i]->data = NULL;
            tensors[i]->buffer = buffer;
            tensors[i]->offset = i * 512 + (tensors[i] == &c.y); // a byte further is right for y
        }
        assert_int_equal(norma_plan_create(device, &c.problem, NULL, &plan), NORMA_OK);
        assert_int_equal(norma_plan_run(plan, &c.problem, NULL), NORMA_OK);
        c.problem.dynamic_scale = !dynamic;
        assert_int_equal(norma_plan_run(plan, &c.problem, NULL), NORMA_ERROR_INVALID_ARGUMENT);
        assert_int_equal(strncmp(norma_last_error(), "op:", 3), 0);
        norma_plan_destroy(&plan);
    }
    norma_buffer_destroy(&buffer);
}

int main(void)
{
    const struct CMUnitTest refusals[] = {
        cmocka_unit_test(types_that_are_refused),
        cmocka_unit_test(shapes_of_scales),
        cmocka_unit_test(backward),
        cmocka_unit_test(windows),
        cmocka_unit_test(plans),
    };
    const struct CMUnitTest values[] = {
        cmocka_unit_test(every_boundary),           cmocka_unit_test(scales_of_groups),
        cmocka_unit_test(counts_of_long_groups),    cmocka_unit_test(empty_groups),
        cmocka_unit_test(scales_of_channel_groups), cmocka_unit_test(long_windows),
    };
    int failed = 0;
    for (int i = 0; i < TEST_DEVICES; i++) {
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        params.device = test_devices[i];
        params.cache_dir = "";
        const norma_status status = norma_context_create(&params, &context);
        if (status != NORMA_OK) {
            printf("FAIL %s: %s\n", test_devices[i], norma_last_error());
            failed++;
            continue;
        }
        if (i == 0)
            failed += cmocka_run_group_tests_name("refusals", refusals, NULL, NULL);
        failed += cmocka_run_group_tests_name(test_devices[i], values, NULL, NULL);
        norma_context_destroy(&context);
    }
    return failed;
}
