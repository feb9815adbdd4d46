// Switchable norm where float32 has too little room on the way, and where its kinds of statistics or its weights lie
// far apart, on every device.
#include "devices.h"
#include <float.h>
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES = 2, CHANNELS = 3, SPACE = 5, GROUPS = SAMPLES * CHANNELS, ALL = GROUPS * SPACE, KINDS = 3 };

// Exponents of what dy, weight and the channels of x are multiplied by; the weights before the softmax.
struct numbers {
    int dy, weight, x[CHANNELS];
    float mean_weights[KINDS], var_weights[KINDS];
};

struct results {
    float y[ALL], mean[GROUPS], rstd[GROUPS];
    float dx[ALL], dweight[CHANNELS], dbias[CHANNELS], dmean_weights[KINDS], dvar_weights[KINDS];
};

struct inputs {
    float x[ALL], dy[ALL], weight[CHANNELS], mean_weights[KINDS], var_weights[KINDS];
};

static struct inputs inputs_of(const struct numbers *numbers)
{
    struct inputs in;
    for (int i = 0; i < ALL; i++) {
        const int channel = i / SPACE % CHANNELS;
        in.x[i] = ldexpf((float)((i * i * 5 + i * 7) % 23 - 9), numbers->x[channel]);
        in.dy[i] = ldexpf((float)((i * 5) % 7 - 3) / 4, numbers->dy); // below 1
    }
    for (int k = 0; k < 3; k++) {
        in.weight[k] = ldexpf((float)k - 1.5f, numbers->weight);
        in.mean_weights[k] = numbers->mean_weights[k];
        in.var_weights[k] = numbers->var_weights[k];
    }
    return in;
}

// Without eps.
static struct results results_of(norma_context *context, struct inputs *in)
{
    static const int64_t shape[] = {SAMPLES, CHANNELS, SPACE}, *channels = shape + 1;
    struct results out;
    memset(&out, 0, sizeof out);
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 3, shape, in->x);
    const norma_tensor dy = norma_tensor_host(NORMA_FLOAT32, 3, shape, in->dy);
    const norma_tensor weight = norma_tensor_host(NORMA_FLOAT32, 1, channels, in->weight);
    const norma_tensor mean_weights = norma_tensor_host(NORMA_FLOAT32, 1, channels, in->mean_weights);
    const norma_tensor var_weights = norma_tensor_host(NORMA_FLOAT32, 1, channels, in->var_weights);
    const norma_tensor y = norma_tensor_host(NORMA_FLOAT32, 3, shape, out.y);
    const norma_tensor mean = norma_tensor_host(NORMA_FLOAT32, 2, shape, out.mean);
    const norma_tensor rstd = norma_tensor_host(NORMA_FLOAT32, 2, shape, out.rstd);
    const norma_tensor dx = norma_tensor_host(NORMA_FLOAT32, 3, shape, out.dx);
    const norma_tensor dweight = norma_tensor_host(NORMA_FLOAT32, 1, channels, out.dweight);
    const norma_tensor dbias = norma_tensor_host(NORMA_FLOAT32, 1, channels, out.dbias);
    const norma_tensor dmean_weights = norma_tensor_host(NORMA_FLOAT32, 1, channels, out.dmean_weights);
    const norma_tensor dvar_weights = norma_tensor_host(NORMA_FLOAT32, 1, channels, out.dvar_weights);
    norma_problem p = norma_problem_defaults(NORMA_SWITCHABLE_NORM);
    p.training = 1;
    p.eps = 0;
    p.x = &x;
    p.weight = &weight;
    p.mean_weights = &mean_weights;
    p.var_weights = &var_weights;
    p.y = &y;
    p.mean = &mean;
    p.rstd = &rstd;
    assert_int_equal(norma_run(context, &p), NORMA_OK);
    p.direction = NORMA_BACKWARD;
    p.y = p.mean = p.rstd = NULL;
    p.dy = &dy;
    p.dx = &dx;
    p.dweight = &dweight;
    p.dbias = &dbias;
    p.dmean_weights = &dmean_weights;
    p.dvar_weights = &dvar_weights;
    assert_int_equal(norma_run(context, &p), NORMA_OK);
    return out;
}

static void expect_scaled(const char *what, const char *name, const float *got, const float *base, int count, int power)
{
    for (int i = 0; i < count; i++)
        if (got[i] != ldexpf(base[i], power))
            fail_msg("%s: %s[%d] is %g, not %g * 2^%d", what, name, i, (double)got[i], (double)base[i], power);
}

// As of the other operators (test_extreme.c): what is linear in dy, weight, x or its inverse has the bits of ordinary
// values.
static void powers_of_two_come_out(norma_context *context, const char *device)
{
    static const int powers[][3] = {{127, -127, 0}, {-120, 120, 0},    {127, 0, 100},   {127, 20, 0},
                                    {0, 0, 100},    {-100, -40, -100}, {-100, 0, -140}, {-20, 0, -140},
                                    {0, 125, 120},  {124, 0, 20},      {-137, 100, 0},  {-130, -130, -130}};
    struct numbers n = {.mean_weights = {0.5f, -1, 0.25f}, .var_weights = {-0.25f, 0.5f, 1}};
    struct inputs in = inputs_of(&n);
    const struct results base = results_of(context, &in);
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        const int dy = n.dy = powers[i][0], weight = n.weight = powers[i][1], x = powers[i][2];
        for (int c = 0; c < CHANNELS; c++)
            n.x[c] = x;
        in = inputs_of(&n);
        const struct results got = results_of(context, &in);
        char what[100];
        snprintf(what, sizeof what, "%s, case %d", device, (int)i);
        if (weight > -120) // a denormal y is rounded once more
            expect_scaled(what, "y", got.y, base.y, ALL, weight);
        if (x > -120)
            expect_scaled(what, "mean", got.mean, base.mean, GROUPS, x);
        expect_scaled(what, "rstd", got.rstd, base.rstd, GROUPS, -x);
        expect_scaled(what, "dx", got.dx, base.dx, ALL, dy + weight - x);
        expect_scaled(what, "dweight", got.dweight, base.dweight, CHANNELS, dy);
        expect_scaled(what, "dbias", got.dbias, base.dbias, CHANNELS, dy);
        expect_scaled(what, "dmean_weights", got.dmean_weights, base.dmean_weights, KINDS, dy + weight);
        expect_scaled(what, "dvar_weights", got.dvar_weights, base.dvar_weights, KINDS, dy + weight);
    }
}

// The formulas of norma_problem in long double, with the sizes of what is summed.
struct value {
    long double value, size;
};

struct mixed {
    long double mean[KINDS], var[KINDS]; // of each kind
    struct value m;
    long double v, s;
    struct value dm, dv; // gradients of the mixed mean and variance
};

struct expected {
    long double alpha[KINDS], beta[KINDS];
    struct mixed group[GROUPS];
    struct value y[ALL], dx[ALL], dmean_weights[KINDS], dvar_weights[KINDS];
};

static const int counts[] = {SPACE, SPACE *CHANNELS, SPACE *SAMPLES};

static int is_of(int kind, int group, int other)
{
    return kind == 0   ? group == other
           : kind == 1 ? group / CHANNELS == other / CHANNELS
                       : group % CHANNELS == other % CHANNELS;
}

static void soften(const float w[KINDS], long double out[KINDS])
{
    long double sum = 0;
    for (int k = 0; k < KINDS; k++)
        sum += out[k] = expl(w[k] - fmaxf(w[0], fmaxf(w[1], w[2])));
    for (int k = 0; k < KINDS; k++)
        out[k] /= sum;
}

static void mix_group(struct expected *e, const struct inputs *in, int g)
{
    struct mixed *m = &e->group[g];
    for (int k = 0; k < KINDS; k++) {
        for (int i = 0; i < ALL; i++)
            m->mean[k] += is_of(k, g, i / SPACE) ? (long double)in->x[i] / counts[k] : 0;
        for (int i = 0; i < ALL; i++)
            if (is_of(k, g, i / SPACE))
                m->var[k] += (in->x[i] - m->mean[k]) * (in->x[i] - m->mean[k]) / counts[k];
        m->m.value += e->alpha[k] * m->mean[k];
        m->m.size += e->alpha[k] * (fabsl(m->mean[k]) + sqrtl(m->var[k]));
        m->v += e->beta[k] * m->var[k];
    }
    m->s = 1 / sqrtl(m->v);
    for (int i = g * SPACE; i < (g + 1) * SPACE; i++) {
        const long double xhat = (in->x[i] - m->m.value) * m->s, weight = in->weight[g % CHANNELS];
        const long double size = (fabsl((long double)in->x[i]) + m->m.size) * m->s, dxhat = in->dy[i] * weight;
        e->y[i].value = xhat * weight;
        e->y[i].size = (size + 1) * fabsl(weight);
        m->dm.value -= m->s * dxhat;
        m->dm.size += m->s * fabsl(dxhat);
        m->dv.value -= m->s * m->s * dxhat * xhat / 2;
        m->dv.size += m->s * m->s * fabsl(dxhat) * (size + 1) / 2;
    }
}

static void add(struct value *to, long double value, long double size)
{
    to->value += value;
    to->size += fabsl(size);
}

static struct expected expect(const struct inputs *in)
{
    struct expected e;
    memset(&e, 0, sizeof e);
    soften(in->mean_weights, e.alpha);
    soften(in->var_weights, e.beta);
    for (int g = 0; g < GROUPS; g++)
        mix_group(&e, in, g);
    for (int i = 0; i < ALL; i++) {
        const struct mixed *own = &e.group[i / SPACE];
        const long double direct = own->s * in->dy[i] * in->weight[i / SPACE % CHANNELS];
        add(&e.dx[i], direct, direct);
        for (int k = 0; k < KINDS; k++)
            for (int g = 0; g < GROUPS; g++) {
                const struct mixed *m = &e.group[g];
                const long double d = 2 * (in->x[i] - own->mean[k]) / counts[k];
                const long double far = 2 * (fabsl((long double)in->x[i]) + fabsl(own->mean[k])) / counts[k];
                if (!is_of(k, i / SPACE, g))
                    continue;
                add(&e.dx[i], e.alpha[k] * m->dm.value / counts[k], e.alpha[k] * m->dm.size / counts[k]);
                add(&e.dx[i], e.beta[k] * m->dv.value * d, e.beta[k] * m->dv.size * far);
            }
    }
    for (int g = 0; g < GROUPS; g++)
        for (int k = 0; k < KINDS; k++) {
            const struct mixed *m = &e.group[g];
            add(&e.dmean_weights[k], m->dm.value * e.alpha[k] * (m->mean[k] - m->m.value),
                m->dm.size * e.alpha[k] * (fabsl(m->mean[k]) + m->m.size));
            add(&e.dvar_weights[k], m->dv.value * e.beta[k] * (m->var[k] - m->v),
                m->dv.size * e.beta[k] * (m->var[k] + m->v));
        }
    return e;
}

// Within 64u of the terms: 16u of every sum, on the way the 7u of a softmax's share and rstd's 8u, twice; and a
// denormal's step. What is too large for float32 is infinite.
static void expect_near(const char *what, const char *name, const float *got, const struct value *e, int count)
{
    for (int i = 0; i < count; i++) {
        const long double bound = 0x1p-18L * e[i].size + 0x1p-149L;
        if (fabsl(e[i].value) > FLT_MAX ? got[i] != (float)e[i].value : !(fabsl(got[i] - e[i].value) <= bound))
            fail_msg("%s: %s[%d] is %g, not %Lg (bound %Lg)", what, name, i, (double)got[i], e[i].value, bound);
    }
}

static void what_lies_apart_is_mixed(norma_context *context, const char *device)
{
    static const struct numbers numbers[] = {
        {0, 0, {-100, 0, 100}, {0, 0, 0}, {0, 0, 0}},
        {0, 0, {0, 0, 0}, {0, -95, -300}, {-120, 0, -95}},
        {0, 0, {-140, 0, 120}, {0, -130, -160}, {0, -130, -260}}, // a share times what is large counts
        {60, 60, {-140, -140, -140}, {0, -1, 1}, {0, 1, 2}},
        {100, -30, {-60, 60, 0}, {0, -100, 1}, {0, -300, -1}},
        {0, 0, {0, -120, -120}, {-20, 0, 0}, {-400, 0, 0}}, // deviations far below a group's own
        {127, 60, {100, 90, 120}, {1, 0, 0}, {1, 0, 0}},
        {0, 0, {0, 0, 0}, {-3e38f, 0, 3e38f}, {3e38f, -3e38f, 0}},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct inputs in = inputs_of(&numbers[i]);
        const struct results got = results_of(context, &in);
        const struct expected e = expect(&in);
        char what[100];
        snprintf(what, sizeof what, "%s, case %d", device, (int)i);
        expect_near(what, "y", got.y, e.y, ALL);
        for (int g = 0; g < GROUPS; g++) {
            const struct value rstd = {e.group[g].s, e.group[g].s};
            expect_near(what, "mean", &got.mean[g], &e.group[g].m, 1);
            expect_near(what, "rstd", &got.rstd[g], &rstd, 1);
        }
        expect_near(what, "dx", got.dx, e.dx, ALL);
        expect_near(what, "dmean_weights", got.dmean_weights, e.dmean_weights, KINDS);
        expect_near(what, "dvar_weights", got.dvar_weights, e.dvar_weights, KINDS);
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

static void test_powers_of_two(void **state)
{
    (void)state;
    on_every_device(powers_of_two_come_out);
}

static void test_apart(void **state)
{
    (void)state;
    on_every_device(what_lies_apart_is_mixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_powers_of_two),
        cmocka_unit_test(test_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
