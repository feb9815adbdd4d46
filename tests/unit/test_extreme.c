// Gradients of normalize near the largest float32, on every device: the factor s is about 1e-39, so that of what goes
// into dx only dsum is left (dx = s*(...) + dsum, where s*(...) is far below half a step of dsum).
#include "devices.h"
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { N = 12 };

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

static void gradients_of_normalize_stay_finite(void **state)
{
    (void)state;
    for (int i = 0; i < TEST_DEVICES; i++) {
        norma_context *context;
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        params.device = test_devices[i];
        assert_int_equal(norma_context_create(&params, &context), NORMA_OK);
        for (int32_t order = 1; order <= 2; order++)
            for (int mode = NORMA_EPS_MAX; mode <= (order == 1 ? NORMA_EPS_ADD : NORMA_EPS_INSIDE); mode++)
                check(context, test_devices[i], order, (norma_eps_mode)mode);
        norma_context_destroy(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_normalize_stay_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
