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

// Exponents of powers of two that dy, weight, x and z are multiplied by.
struct powers {
    int dy, weight, x, z;
};

enum kind { PLAIN, Z_FIRST, LEAKY, LEAKY_Z }; // LEAKY: leaky_relu; with z: relu of it behind the norm

struct gradients {
    float dx[ROWS][N], dz[ROWS][N], dweight[N], dbias[N];
};

static struct gradients gradients_of(norma_context *context, norma_op op, enum kind kind, const struct powers *power)
{
    static const int64_t shape[] = {ROWS, N};
    struct gradients out = {0};
    float x[ROWS][N], dy[ROWS][N], z[ROWS][N], weight[N];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < N; j++) {
            x[i][j] = ldexpf((float)((i * 7 + j * j * 5) % 23 - 9), power->x);
            dy[i][j] = ldexpf((float)((i * 5 + j * 3) % 7 - 3) / 4, power->dy); // below 1
            z[i][j] = ldexpf((float)((i + 3 * j) % 9 - 3) / 2, power->z);
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
    p.activation = kind >= LEAKY ? NORMA_LEAKY_RELU : NORMA_ACTIVATION_NONE;
    p.activation_slope = 0.3;
    p.z_first = kind == Z_FIRST;
    p.z_activation = kind == Z_FIRST ? NORMA_SILU : NORMA_RELU;
    p.z = kind == Z_FIRST || kind == LEAKY_Z ? &tz : NULL;
    p.dz = p.z ? &tdz : NULL;
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
        {127, -127, 0, 0},  {-120, 120, 0, 0}, {127, 0, 100, 0}, {-100, -40, -100, 0},
        {-100, 0, -140, 0}, {0, 125, 120, 0},  {124, 0, 20, 0},  {-137, 100, 0, 0},
        {-137, 0, 0, 100},  {100, -147, 0, 0}, // weights that are sums of 2^-148: v is 0 in float where its sign tells
                                               // the derivative
    };
    static const struct powers none;
    static const char *names[] = {"", ", z", ", leaky", ", leaky and z"};
    static const struct {
        norma_op op;
        enum kind kind;
    } ops[] = {{NORMA_LAYER_NORM, PLAIN}, {NORMA_RMS_NORM, Z_FIRST}, {NORMA_BATCH_NORM, PLAIN},
               {NORMA_RMS_NORM, PLAIN},   {NORMA_LAYER_NORM, LEAKY}, {NORMA_LAYER_NORM, LEAKY_Z},
               {NORMA_BATCH_NORM, LEAKY}};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        const struct gradients base = gradients_of(context, ops[k].op, ops[k].kind, &none);
        for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
            const struct powers p = powers[i];
            const int z = ops[k].kind == LEAKY_Z ? p.z : 0;
            if (ops[k].kind == Z_FIRST && p.z != 0) // silu is no power's
                continue;
            if (ops[k].kind == Z_FIRST &&
                p.x == -140) // h * act_z(z), rounded among the denormals, is no power of another
                continue;
            const struct gradients got = gradients_of(context, ops[k].op, ops[k].kind, &p);
            char what[100];
            snprintf(what, sizeof what, "%s, %s%s, case %d", device, norma_op_name(ops[k].op), names[ops[k].kind],
                     (int)i);
            expect_scaled(what, got.dx[0], base.dx[0], ROWS * N, p.dy + p.weight - p.x + z);
            expect_scaled(what, got.dz[0], base.dz[0], ROWS * N, p.dy + p.weight);
            expect_scaled(what, got.dweight, base.dweight, N, p.dy + z);
            expect_scaled(what, got.dbias, base.dbias, N, p.dy + z);
        }
    }
}

// Forward, y = xhat*weight * relu(z), of powers of two in weight and z.
static void gated(norma_context *context, norma_op op, int of_weight, int of_z, float y[ROWS][N])
{
    static const int64_t shape[] = {ROWS, N};
    float x[ROWS][N], z[ROWS][N], weight[N];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < N; j++) {
            x[i][j] = (float)((i * 7 + j * j * 5) % 23 - 9);
            z[i][j] = ldexpf((float)((i + 3 * j) % 9 - 3) / 2, of_z);
            weight[j] = ldexpf((float)(j % 5 - 2) + 0.5f, of_weight);
        }
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x);
    const norma_tensor tz = norma_tensor_host(NORMA_FLOAT32, 2, shape, z);
    const norma_tensor tweight = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, weight);
    const norma_tensor ty = norma_tensor_host(NORMA_FLOAT32, 2, shape, y);
    norma_problem p = norma_problem_defaults(op);
    p.training = op == NORMA_BATCH_NORM;
    p.x = &tx;
    p.z = &tz;
    p.z_activation = NORMA_RELU;
    p.weight = &tweight;
    p.y = &ty;
    assert_int_equal(norma_run(context, &p), NORMA_OK);
}

static void gates_come_out(norma_context *context, const char *device)
{
    static const norma_op ops[] = {NORMA_LAYER_NORM, NORMA_RMS_NORM, NORMA_BATCH_NORM};
    static const int powers[][2] = {{-140, 120}, {-148, 125}, {126, -100}, {126, -126}};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++)
        for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
            float base[ROWS][N], y[ROWS][N];
            char what[100];
            snprintf(what, sizeof what, "%s, %s gated, case %d", device, norma_op_name(ops[k]), (int)i);
            gated(context, ops[k], 0, 0, base);
            gated(context, ops[k], powers[i][0], powers[i][1], y);
            expect_scaled(what, y[0], base[0], ROWS * N, powers[i][0] + powers[i][1]);
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

// A row of a norm's own gradient, float32's room between its numbers.
struct row {
    norma_op op;
    int32_t order; // of normalize
    norma_eps_mode mode;
    double eps;
    int64_t n;
    float x[4], dy[4];
};

// dx from the formulas in double, which has the room, and the size of its terms: dt = s*(g - xhat*ratio*sum(g*xhat)),
// for the order 1 s*(g - sign(t)*sum(g*xhat)), for mean-variance normalization with the means of g and g*xhat.
static void expected_row(const struct row *r, double dx[4], double size[4])
{
    const bool mvn = r->op != NORMA_NORMALIZE, first = !mvn && r->order == 1;
    double mean = 0, norm = 0, g = 0, gx = 0, sizes = 0;
    for (int64_t i = 0; mvn && i < r->n; i++)
        mean += r->x[i] / (double)r->n;
    for (int64_t i = 0; i < r->n; i++)
        norm += first ? fabs((double)r->x[i]) : (r->x[i] - mean) * (r->x[i] - mean);
    norm = first ? norm : sqrt(mvn ? norm / (double)r->n : norm);
    const bool added = mvn || r->mode == NORMA_EPS_ADD, inside = !added && r->mode == NORMA_EPS_INSIDE;
    const double s = 1 / (added ? norm + r->eps : inside ? sqrt(norm * norm + r->eps) : fmax(norm, r->eps));
    const double ratio = added && !first ? (norm + r->eps) / norm : 1, n = mvn ? (double)r->n : 1;
    for (int64_t i = 0; i < r->n; i++) {
        g += mvn ? r->dy[i] / n : 0;
        gx += r->dy[i] * ((r->x[i] - mean) * s) * ratio / n;
        sizes += fabs(r->dy[i] * ((r->x[i] - mean) * s)) * ratio / n;
    }
    for (int64_t i = 0; i < r->n; i++) {
        const double xhat = first ? (r->x[i] > 0) - (r->x[i] < 0) : (r->x[i] - mean) * s;
        dx[i] = s * (r->dy[i] - g - xhat * gx);
        size[i] = s * (fabs((double)r->dy[i]) + fabs(g) + fabs(xhat) * sizes);
    }
}

// What is small in a row beside what is large but does not reach it, and a factor that float32 has no room for.
static void rows_are_right(norma_context *context, const char *device)
{
    static const struct row rows[] = {
#define NORM NORMA_NORMALIZE
        {NORM, 2, NORMA_EPS_MAX, 1e-12, 3, {3, 4, 0}, {0x1p-110f, 0, 0x1p100f}}, // the sum of g is not g*xhat's
        {NORM, 2, NORMA_EPS_INSIDE, 1e-12, 3, {3, 4, 0}, {0x1p-110f, 0, 0x1p100f}},
        {NORM, 2, NORMA_EPS_MAX, 1e-12, 4, {3, 4, 0, 0}, {0x1p-110f, 0, 3e38f, 3e38f}},
        {NORM, 1, NORMA_EPS_MAX, 1e-12, 4, {3, 4, 0, 0}, {0x1p-110f, 0, 3e38f, 3e38f}},
        {NORM, 2, NORMA_EPS_MAX, 1e-12, 3, {3e-5f, 4e-5f, 0}, {17 * 0x1p-147f, 0, 0x1p100f}},
        {NORM, 1, NORMA_EPS_MAX, 1e-12, 3, {1, 0, 1}, {0x1p100f, 0x1p-110f, 0}}, // sign(0)
        {NORM, 1, NORMA_EPS_MAX, 1e-12, 3, {1, 0, 1}, {3e38f, 0x1p-110f, 3e38f}},
        {NORM, 2, NORMA_EPS_MAX, 0, 2, {3e-40f, 4e-40f}, {1e-10f, 0}}, // 1/norm is infinite
        {NORM, 2, NORMA_EPS_ADD, 0, 2, {3e-40f, 4e-40f}, {1e-10f, 0}},
        {NORM, 2, NORMA_EPS_INSIDE, 0, 2, {3e-40f, 4e-40f}, {1e-10f, 0}},
        {NORM, 1, NORMA_EPS_MAX, 0, 2, {3e-40f, 4e-40f}, {1e-10f, 0}},
        {NORM, 2, NORMA_EPS_MAX, 0x1p-149, 2, {3e-40f, 4e-40f}, {1e-10f, 0}},
        {NORM, 2, NORMA_EPS_ADD, 0x1p-149, 2, {3e-40f, 4e-40f}, {1e-10f, 0}},
        {NORMA_MEAN_VARIANCE_NORMALIZATION, 0, NORMA_EPS_ADD, 0, 3, {1e-40f, 3e-40f, 7e-40f}, {1e-10f, 0, 0}},
#undef NORM
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        struct row r = rows[k];
        const int64_t shape[] = {1, r.n};
        float dx[4] = {0};
        double expected[4], size[4];
        const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, r.x);
        const norma_tensor tdy = norma_tensor_host(NORMA_FLOAT32, 2, shape, r.dy);
        const norma_tensor tdx = norma_tensor_host(NORMA_FLOAT32, 2, shape, dx);
        norma_problem p = norma_problem_defaults(r.op);
        p.direction = NORMA_BACKWARD;
        p.axes = 2;
        if (r.op == NORMA_NORMALIZE) {
            p.norm_order = r.order;
            p.eps_mode = r.mode;
        }
        p.eps = r.eps;
        p.x = &tx;
        p.dy = &tdy;
        p.dx = &tdx;
        if (norma_run(context, &p) != NORMA_OK)
            fail_msg("%s, row %d: %s", device, (int)k, norma_last_error());
        expected_row(&r, expected, size);
        for (int64_t i = 0; i < r.n; i++) // 16u, as anywhere, and half a denormal's step
            if (!(fabs(dx[i] - expected[i]) <= 0x1p-20 * size[i] + 0x1p-149))
                fail_msg("%s, row %d: dx[%d] is %g, not %g", device, (int)k, (int)i, (double)dx[i], expected[i]);
    }
}

static void test_rows(void **state)
{
    (void)state;
    on_every_device(rows_are_right);
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

static void test_gates(void **state)
{
    (void)state;
    on_every_device(gates_come_out);
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
        cmocka_unit_test(test_activations),    cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_powers_of_two),  cmocka_unit_test(test_gates),
        cmocka_unit_test(test_equal_elements), cmocka_unit_test(test_spoilt_gradients),
        cmocka_unit_test(test_windows),        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
