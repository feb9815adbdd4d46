// Results, most of them gradients, where float32 has too little room on the way, on every device.
#include "devices.h"
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 12, ROWS = 8 };

// Near the largest float32 the factor s of normalize is about 1e-39, so that of what goes into dx only dsum is left
// (dx = s*(...) + dsum, where s*(...) is far below half a step of dsum).
static void check(norma_context *context, const char *device, int32_t order, norma_eps_mode mode)
{
    static const int64_t shape[] = {1, N};
    float x[N], dy[N], dsum[N], dx[N] = {0};
    for (int i = 0; i < N; i++) {
        x[i] = i % 3 ? 3e38f : -3.2e38f;
        dy[i] = (float)(i % 5) - 1.5f;
        dsum[i] = 1.25f + (float)i;
    }
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x);
    const norma_tensor tdy = norma_tensor_host(NORMA_FLOAT32, 2, shape, dy);
    const norma_tensor tdsum = norma_tensor_host(NORMA_FLOAT32, 2, shape, dsum);
    const norma_tensor tdx = norma_tensor_host(NORMA_FLOAT32, 2, shape, dx);
    norma_problem p = norma_problem_defaults(NORMA_NORMALIZE);
    p.direction = NORMA_BACKWARD;
    p.axes = 2;
    p.norm_order = order;
    p.eps_mode = mode;
    p.x = &tx;
    p.dy = &tdy;
    p.dsum = &tdsum;
    p.dx = &tdx;
    assert_int_equal(norma_run(context, &p), NORMA_OK);
    for (int i = 0; i < N; i++)
        if (dx[i] != dsum[i])
            fail_msg("%s, order %d, eps mode %d: dx[%d] is %g, not %g", device, (int)order, (int)mode, i, (double)dx[i],
                     (double)dsum[i]);
}

static void gradients_of_normalize_stay_finite(norma_context *context, const char *device)
{
    for (int32_t order = 1; order <= 2; order++)
        for (int mode = NORMA_EPS_MAX; mode <= (order == 1 ? NORMA_EPS_ADD : NORMA_EPS_INSIDE); mode++)
            check(context, device, order, (norma_eps_mode)mode);
}

// Exponents of powers of two that dy, weight and x are multiplied by.
struct powers {
    int dy, weight, x;
};

struct gradients {
    float dx[ROWS][N], dz[ROWS][N], dweight[N], dbias[N];
};

static struct gradients gradients_of(norma_context *context, norma_op op, bool with_z, const struct powers *power)
{
    static const int64_t shape[] = {ROWS, N};
    struct gradients out = {0};
    float x[ROWS][N], dy[ROWS][N], z[ROWS][N], weight[N];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < N; j++) {
            x[i][j] = ldexpf((float)((i * 7 + j * j * 5) % 23 - 9), power->x);
            dy[i][j] = ldexpf((float)((i * 5 + j * 3) % 7 - 3) / 4, power->dy); // below 1
            z[i][j] = (float)((i + 3 * j) % 9 - 3) / 2;
            weight[j] = ldexpf((float)(j % 5 - 2) + 0.5f, power->weight);
        }
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x);
    const norma_tensor tdy = norma_tensor_host(NORMA_FLOAT32, 2, shape, dy);
    const norma_tensor tz = norma_tensor_host(NORMA_FLOAT32, 2, shape, z);
    const norma_tensor tweight = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, weight);
    const norma_tensor tdx = norma_tensor_host(NORMA_FLOAT32, 2, shape, out.dx);
    const norma_tensor tdz = norma_tensor_host(NORMA_FLOAT32, 2, shape, out.dz);
    const norma_tensor tdweight = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, out.dweight);
    const norma_tensor tdbias = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, out.dbias);
    norma_problem p = norma_problem_defaults(op);
    p.direction = NORMA_BACKWARD;
    p.training = op == NORMA_BATCH_NORM;
    p.axes = op == NORMA_BATCH_NORM ? 0 : 2;
    p.eps = 0;
    p.x = &tx;
    p.dy = &tdy;
    p.weight = &tweight;
    p.dx = &tdx;
    p.dweight = &tdweight;
    p.dbias = &tdbias;
    p.z_first = with_z;
    p.z_activation = NORMA_SILU;
    p.z = with_z ? &tz : NULL;
    p.dz = with_z ? &tdz : NULL;
    assert_int_equal(norma_run(context, &p), NORMA_OK);
    return out;
}

static void expect_scaled(const char *what, const float *got, const float *base, int count, int power)
{
    for (int i = 0; i < count; i++)
        if (got[i] != ldexpf(base[i], power))
            fail_msg("%s: element %d is %g, not %g * 2^%d", what, i, (double)got[i], (double)base[i], power);
}

// Gradients are linear in dy and in weight, and with eps = 0 dx goes with the inverse of x: powers of two come out as
// such, and the bits are those of ordinary values.
static void powers_of_two_come_out(norma_context *context, const char *device)
{
    static const struct powers powers[] = {
        {127, -127, 0}, {-120, 120, 0}, {127, 0, 100}, {-100, -40, -100}, {-100, 0, -140}, {0, 125, 120}, {124, 0, 20},
    };
    static const struct powers none;
    static const struct {
        norma_op op;
        bool with_z;
    } ops[] = {{NORMA_LAYER_NORM, false}, {NORMA_RMS_NORM, true}, {NORMA_BATCH_NORM, false}, {NORMA_RMS_NORM, false}};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        const struct gradients base = gradients_of(context, ops[k].op, ops[k].with_z, &none);
        for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
            const struct powers p = powers[i];
            if (ops[k].with_z && p.x == -140) // h * act_z(z), rounded among the denormals, is no power of another
                continue;
            const struct gradients got = gradients_of(context, ops[k].op, ops[k].with_z, &p);
            char what[100];
            snprintf(what, sizeof what, "%s, %s%s, case %d", device, norma_op_name(ops[k].op),
                     ops[k].with_z ? ", z" : "", (int)i);
            expect_scaled(what, got.dx[0], base.dx[0], ROWS * N, p.dy + p.weight - p.x);
            expect_scaled(what, got.dz[0], base.dz[0], ROWS * N, p.dy + p.weight);
            expect_scaled(what, got.dweight, base.dweight, N, p.dy);
            expect_scaled(what, got.dbias, base.dbias, N, p.dy);
        }
    }
}

// 0/0, as in PyTorch: y of equal elements without eps, by rows, by quads of columns and of planes.
static void equal_elements_are_nan(norma_context *context, const char *device)
{
    static const int64_t shape[] = {ROWS, N};
    static const norma_op ops[] = {NORMA_LAYER_NORM, NORMA_BATCH_NORM, NORMA_MEAN_VARIANCE_NORMALIZATION};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        float x[ROWS][N], y[ROWS][N] = {{0}};
        for (int i = 0; i < ROWS * N; i++)
            x[i / N][i % N] = 0.3f;
        const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x);
        const norma_tensor ty = norma_tensor_host(NORMA_FLOAT32, 2, shape, y);
        norma_problem p = norma_problem_defaults(ops[k]);
        p.training = ops[k] == NORMA_BATCH_NORM;
        p.axes = ops[k] == NORMA_BATCH_NORM ? 0 : 2;
        p.eps = 0;
        p.x = &tx;
        p.y = &ty;
        assert_int_equal(norma_run(context, &p), NORMA_OK);
        for (int i = 0; i < ROWS * N; i++)
            if (!isnan(y[i / N][i % N]))
                fail_msg("%s, %s: y[%d] is %g", device, norma_op_name(ops[k]), i, (double)y[i / N][i % N]);
    }
}

// A NaN or infinity in dy (or in a factor of one row) spoils dx of that row alone, and the sums that it is a term of.
static void spoilt_gradients_stay_apart(norma_context *context, const char *device)
{
    static const int64_t shape[] = {ROWS, N};
    for (int turn = 0; turn < 4; turn++) {
        float x[ROWS][N], dy[ROWS][N], z[ROWS][N], dx[2][ROWS][N], dbias[2][N];
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < N; j++) {
                x[i][j] = (float)((i * 7 + j * j * 5) % 23 - 9);
                dy[i][j] = (float)((i * 5 + j * 3) % 7 - 3) / 4;
                z[i][j] = 1 + (float)j / 4;
            }
        for (int spoilt = 0; spoilt < 2; spoilt++) {
            const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x);
            const norma_tensor tdy = norma_tensor_host(NORMA_FLOAT32, 2, shape, dy);
            const norma_tensor tz = norma_tensor_host(NORMA_FLOAT32, 2, shape, z);
            const norma_tensor tdx = norma_tensor_host(NORMA_FLOAT32, 2, shape, dx[spoilt]);
            const norma_tensor tdbias = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, dbias[spoilt]);
            norma_problem p = norma_problem_defaults(NORMA_LAYER_NORM);
            if (spoilt)
                (turn & 1 ? z : dy)[2][5] = turn & 2 ? INFINITY : NAN;
            p.direction = NORMA_BACKWARD;
            p.axes = 2;
            p.x = &tx;
            p.dy = &tdy;
            p.z = turn & 1 ? &tz : NULL; // without it the quads' kernels
            p.dx = &tdx;
            p.dbias = &tdbias;
            assert_int_equal(norma_run(context, &p), NORMA_OK);
        }
        for (int i = 0; i < ROWS * N; i++)
            if (i / N == 2 ? isfinite(dx[1][2][i % N]) : dx[1][i / N][i % N] != dx[0][i / N][i % N])
                fail_msg("%s, turn %d: dx[%d] is %g, not spoilt %g", device, turn, i, (double)dx[1][i / N][i % N],
                         (double)dx[0][i / N][i % N]);
        for (int j = 0; j < N; j++)
            if (j == 5 ? isfinite(dbias[1][j]) : dbias[1][j] != dbias[0][j])
                fail_msg("%s, turn %d: dbias[%d] is %g", device, turn, j, (double)dbias[1][j]);
    }
}

static void on_every_device(void (*test)(norma_context *, const char *))
{
    for (int i = 0; i < TEST_DEVICES; i++) {
        norma_context *context;
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        params.device = test_devices[i];
        assert_int_equal(norma_context_create(&params, &context), NORMA_OK);
        test(context, test_devices[i]);
        norma_context_destroy(&context);
    }
}

// v = xhat*weight is -3e39, which float32 has no room for; what these make of it is 0.
static void activations_far_below_zero_vanish(norma_context *context, const char *device)
{
    static const int64_t shape[] = {2, 2, 4}, channels[] = {2};
    float x[16], y[16], mean[] = {0, 0}, variance[] = {1, 1}, weight[] = {3e38f, 1};
    for (int i = 0; i < 16; i++)
        x[i] = i % 8 < 4 ? -10 : 0;
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 3, shape, x);
    const norma_tensor ty = norma_tensor_host(NORMA_FLOAT32, 3, shape, y);
    const norma_tensor tmean = norma_tensor_host(NORMA_FLOAT32, 1, channels, mean);
    const norma_tensor tvariance = norma_tensor_host(NORMA_FLOAT32, 1, channels, variance);
    const norma_tensor tweight = norma_tensor_host(NORMA_FLOAT32, 1, channels, weight);
    static const norma_activation kinds[] = {NORMA_GELU, NORMA_GELU_TANH, NORMA_SILU, NORMA_SIGMOID};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        norma_problem p = norma_problem_defaults(NORMA_BATCH_NORM);
        p.eps = 0;
        p.activation = kinds[k];
        p.x = &tx;
        p.y = &ty;
        p.running_mean = &tmean;
        p.running_var = &tvariance;
        p.weight = &tweight;
        if (norma_run(context, &p) != NORMA_OK)
            fail_msg("%s: %s", device, norma_last_error());
        for (int i = 0; i < 16; i++)
            if (y[i] != (i % 8 >= 4 && kinds[k] == NORMA_SIGMOID ? 0.5f : 0.0f))
                fail_msg("%s, activation %d: y[%d] is %g", device, (int)kinds[k], i, (double)y[i]);
    }
}

enum { CHANNELS = 400 };

struct window {
    norma_dtype type;
    int power; // x[0] is 2^power
    double spoilt, alpha, k;
    int channels; // that are as large; the others are 1
};

// The formula in long double; the bound is the reference's: 8u of v0 for the sum and the power, and what beta makes of
// the sum's.
static void check_window(const struct window *w, const char *device, const double *x, const double *y)
{
    const bool wide = w->type == NORMA_FLOAT64;
    const long double alpha = wide ? w->alpha / CHANNELS : (float)(w->alpha / CHANNELS);
    const long double k = wide ? w->k : (float)w->k, beta = 0.75L;
    for (int i = 0; i < CHANNELS; i++) {
        long double squares = 0;
        for (int j = i > CHANNELS / 2 ? i - CHANNELS / 2 : 0; j < CHANNELS && j <= i + (CHANNELS - 1) / 2; j++)
            squares += (long double)x[j] * x[j];
        const long double want = x[i] * powl(k + alpha * squares, -beta);
        const long double bound = 8 * (wide ? 0x1p-53L : 0x1p-24L) * fabsl(want) * (1 + beta);
        if (isnan(want) ? !isnan(y[i]) : !(fabsl(y[i] - want) <= bound))
            fail_msg("%s, 2^%d, alpha %g: y[%d] is %.9g, not %.9g", device, w->power, w->alpha, i, y[i], (double)want);
    }
}

// Local response norm: NaN and infinity spoil their windows without alpha too, and k counts beside large elements.
static void windows_of_large_elements(norma_context *context, const char *device)
{
    static const struct window windows[] = {
        {NORMA_FLOAT32, 0, INFINITY, 0, 1, 1},          {NORMA_FLOAT32, 0, NAN, 0, 1, 1},
        {NORMA_FLOAT32, 0, INFINITY, 1e-4, 1, 1},       {NORMA_FLOAT32, 62, 1, 1e-37 * CHANNELS, 1.1, 1},
        {NORMA_FLOAT32, 60, 1, 0, 1.1, CHANNELS},       {NORMA_FLOAT32, 60, 1, 1e-4, 1, CHANNELS},
        {NORMA_FLOAT32, 127, 1, 0, 1.1, CHANNELS},      {NORMA_FLOAT32, 100, 1, 1e-30, 3e38, 3},
        {NORMA_FLOAT32, 49, 1, 1e-44 * CHANNELS, 3, 1}, {NORMA_FLOAT64, 500, 1, 0, 1.1, 1},
        {NORMA_FLOAT64, 500, 1, 1e-300, 1.1, CHANNELS}, {NORMA_FLOAT64, 1023, 1, 1e-4, 1.1, CHANNELS},
        {NORMA_FLOAT64, 500, INFINITY, 0, 1.1, 1},      {NORMA_FLOAT64, 482, 1, 1e-320 * CHANNELS, 2, 1},
    };
    static const int64_t shape[] = {1, CHANNELS, 1};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        const struct window *w = &windows[i];
        double x[CHANNELS], y[CHANNELS];
        float narrow_x[CHANNELS], narrow_y[CHANNELS] = {0};
        const bool wide = w->type == NORMA_FLOAT64;
        if (wide && strcmp(device, "scalar") != 0)
            continue;
        for (int j = 0; j < CHANNELS; j++) {
            x[j] = j < w->channels ? ldexp(1, w->power) : 1;
            x[j] = j == 3 && !isfinite(w->spoilt) ? w->spoilt : x[j];
            narrow_x[j] = (float)x[j];
        }
        const norma_tensor tx = norma_tensor_host(w->type, 3, shape, wide ? (void *)x : narrow_x);
        const norma_tensor ty = norma_tensor_host(w->type, 3, shape, wide ? (void *)y : narrow_y);
        norma_problem p = norma_problem_defaults(NORMA_LOCAL_RESPONSE_NORM);
        p.local_size = CHANNELS;
        p.alpha = w->alpha;
        p.k = w->k;
        p.x = &tx;
        p.y = &ty;
        assert_int_equal(norma_run(context, &p), NORMA_OK);
        for (int j = 0; j < CHANNELS && !wide; j++)
            y[j] = narrow_y[j];
        check_window(w, device, x, y);
    }
}

static void test_windows(void **state)
{
    (void)state;
    on_every_device(windows_of_large_elements);
}

static void test_activations(void **state)
{
    (void)state;
    on_every_device(activations_far_below_zero_vanish);
}

static void test_normalize(void **state)
{
    (void)state;
    on_every_device(gradients_of_normalize_stay_finite);
}

static void test_powers_of_two(void **state)
{
    (void)state;
    on_every_device(powers_of_two_come_out);
}

static void test_equal_elements(void **state)
{
    (void)state;
    on_every_device(equal_elements_are_nan);
}

static void test_spoilt_gradients(void **state)
{
    (void)state;
    on_every_device(spoilt_gradients_stay_apart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activations),      cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_powers_of_two),    cmocka_unit_test(test_equal_elements),
        cmocka_unit_test(test_spoilt_gradients), cmocka_unit_test(test_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
