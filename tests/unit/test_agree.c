// Every variant of every driver gives the bits of the tree's emulation: mean, rstd and y, over lengths and kinds of
// rows that take each path of docs/reduction.md. The drivers of the suite round division and square root correctly, so
// nothing is left open.
#include "tree.h"
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef NORMA_HAVE_VULKAN
#include "vulkan/nvk.h"
#endif

enum { KINDS = 9, LONGEST = 262144 + 5000 };

static const int lengths[] = {1,    2,    3,    15,   16,   17,    31,    33,    64,    100,
                              127,  129,  255,  511,  512,  513,   768,   1000,  1024,  2047,
                              4095, 4096, 4097, 5000, 8192, 12287, 16384, 16385, 70001, LONGEST};

static uint64_t seed = 20261121;

static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}

static float normal(void)
{
    return (float)(sqrt(-2 * log(uniform() + 1e-18)) * cos(6.283185307179586 * uniform()));
}

static void fill(int kind, float *x, int n)
{
    for (int i = 0; i < n; i++)
        switch (kind) {
        case 0:
            x[i] = normal();
            break;
        case 1: // a mean of 1e6 deviations
            x[i] = 1e6f + normal();
            break;
        case 2: // a first pivot far off: the second pass
            x[i] = (i < 16 ? 50 : 0) + normal();
            break;
        case 3: // long runs of equal elements
            x[i] = i < n / 3 ? 1.1f : 2.3f;
            break;
        case 4: // overflow: the large rescue
            x[i] = i % 2 ? 3e38f : -2.9e38f;
            break;
        case 5: // underflow: the small rescue, where eps is 0
            x[i] = 1e-30f * normal();
            break;
        case 6: // a first chunk far from the others: the merge's refinement
            x[i] = (i < 4096 ? 1.7f : 0) + 1e-3f * normal();
            break;
        case 7: // chunks of different scales: the merge's retry
            x[i] = (i / 4096 % 2 ? 2e19f : -1e19f);
            break;
        default: // NaN in one row
            x[i] = i == n / 2 ? NAN : normal();
            break;
        }
}

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof(a)) == 0 || (isnan(a) && isnan(b));
}

struct rows {
    float *x, *y, mean[KINDS], rstd[KINDS], *weight, *bias;
};

static void compare(const struct rows *r, int n, bool rms, float eps, const char *what)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct tree_counts counts = {0};
        const float *x = r->x + (size_t)kind * (size_t)n, *y = r->y + (size_t)kind * (size_t)n;
        const struct tree_row row = tree_row(rms, eps, x, (size_t)n, &counts);
        const float mean = row.m / row.a, rstd = row.s * row.a;
        if (!same(rstd, r->rstd[kind]) || (!rms && !same(mean, r->mean[kind])))
            fail_msg("%s, %d elements, kind %d, eps %g: mean %a rstd %a, the tree has %a %a", what, n, kind,
                     (double)eps, (double)r->mean[kind], (double)r->rstd[kind], (double)mean, (double)rstd);
        for (int i = 0; i < n; i++) {
            const float want = tree_xhat(rms, &row, x[i]) * (0.0f + r->weight[i]) + r->bias[i];
            if (!same(want, y[i]))
                fail_msg("%s, %d elements, kind %d, eps %g: y[%d] is %a, the tree has %a", what, n, kind, (double)eps,
                         i, (double)y[i], (double)want);
        }
    }
}

// What the buffers of a run hold, in one buffer: x, y, mean, rstd.
static void run_variant(norma_device *device, const char *variant, bool rms, float eps, struct rows *r, int n)
{
    const int64_t shape[] = {KINDS, n};
    const uint64_t bytes = (uint64_t)KINDS * (uint64_t)n * sizeof(float);
    norma_buffer *buffer[4] = {NULL};
    const uint64_t sizes[4] = {bytes, bytes, sizeof(r->mean), sizeof(r->rstd)};
    for (int i = 0; i < 4; i++)
        assert_int_equal(norma_buffer_create(device, sizes[i], &buffer[i]), NORMA_OK);
    assert_int_equal(norma_buffer_write(buffer[0], 0, r->x, bytes), NORMA_OK);
    const norma_tensor x = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, buffer[0], 0);
    const norma_tensor y = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, buffer[1], 0);
    const norma_tensor mean = norma_tensor_buffer(NORMA_FLOAT32, 1, shape, buffer[2], 0);
    const norma_tensor rstd = norma_tensor_buffer(NORMA_FLOAT32, 1, shape, buffer[3], 0);
    const norma_tensor weight = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, r->weight);
    const norma_tensor bias = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, r->bias);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    p.op = rms ? NORMA_RMS_NORM : NORMA_LAYER_NORM;
    p.eps = eps;
    p.x = &x;
    p.y = &y;
    p.mean = rms ? NULL : &mean;
    p.rstd = &rstd;
    p.weight = &weight;
    p.bias = &bias;
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    params.variant = variant;
    norma_plan *plan = NULL;
    norma_status status = norma_plan_create(device, &p, &params, &plan);
    if (status == NORMA_OK) {
        p.weight = p.bias = NULL; // the plan holds them
        norma_event *event;
        assert_int_equal(norma_plan_run(plan, &p, &event), NORMA_OK);
        assert_int_equal(norma_event_wait(event), NORMA_OK);
        norma_event_destroy(&event);
        assert_int_equal(norma_buffer_read(buffer[1], 0, r->y, bytes), NORMA_OK);
        assert_int_equal(norma_buffer_read(buffer[2], 0, r->mean, sizeof(r->mean)), NORMA_OK);
        assert_int_equal(norma_buffer_read(buffer[3], 0, r->rstd, sizeof(r->rstd)), NORMA_OK);
        compare(r, n, rms, eps, variant);
    } else {
        assert_int_equal(status, NORMA_ERROR_UNSUPPORTED); // rows too long for it
    }
    norma_plan_destroy(&plan);
    for (int i = 0; i < 4; i++)
        norma_buffer_destroy(&buffer[i]);
}

static void agree(const char *driver)
{
    norma_context *context;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_device *device;
    struct rows r;
    const char *variant;
    params.device = driver;
    assert_int_equal(norma_context_create(&params, &context), NORMA_OK);
    assert_int_equal(norma_context_find_device(context, driver, &device), NORMA_OK);
    r.x = malloc(sizeof(float) * KINDS * LONGEST);
    r.y = malloc(sizeof(float) * KINDS * LONGEST);
    r.weight = malloc(sizeof(float) * LONGEST);
    r.bias = malloc(sizeof(float) * LONGEST);
    assert_true(r.x && r.y && r.weight && r.bias);
    const char *only = getenv("NORMA_TEST_VARIANT");
    for (size_t v = 0; (variant = norma_device_variant(device, v)) != NULL; v++)
        for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]) && (!only || !strcmp(only, variant)); l++) {
            const int n = lengths[l];
            for (int i = 0; i < n; i++) {
                r.weight[i] = normal();
                r.bias[i] = normal();
            }
            for (int kind = 0; kind < KINDS; kind++)
                fill(kind, r.x + (size_t)kind * (size_t)n, n);
            run_variant(device, variant, false, 1e-5f, &r, n);
            run_variant(device, variant, false, 0, &r, n);
            run_variant(device, variant, true, 0, &r, n);
        }
    free(r.x);
    free(r.y);
    free(r.weight);
    free(r.bias);
    norma_context_destroy(&context);
}

static void test_agree(void **state)
{
    (void)state;
#ifdef NORMA_HAVE_OPENCL
    agree("opencl");
#endif
#ifdef NORMA_HAVE_VULKAN
    agree("vulkan");
#endif
}

#ifdef NORMA_HAVE_VULKAN
static VKAPI_ATTR void VKAPI_CALL no_features(VkPhysicalDevice device, VkPhysicalDeviceFeatures *features)
{
    (void)device;
    memset(features, 0, sizeof(*features));
}

static void take_features(struct nvk_api *api)
{
    api->GetPhysicalDeviceFeatures = no_features;
}

// Without 64-bit integers a CPU driver runs the modules that suit every dispatch.
static void test_agree_without_lean_modules(void **state)
{
    (void)state;
    nvk_api_hook = take_features;
    agree("vulkan");
    nvk_api_hook = NULL;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agree),
#ifdef NORMA_HAVE_VULKAN
        cmocka_unit_test(test_agree_without_lean_modules),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
