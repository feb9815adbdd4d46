// Long groups over many dimensions that do not fold: the most iterations that an invocation has. A driver that ends
// loops after 65535 of them in all (lavapipe) leaves out elements.
#include "devices.h"
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_context *context;

enum { RANK = 7, MOST = 8192 };

static int64_t count_of(const int64_t shape[RANK])
{
    int64_t count = 1;
    for (int d = 0; d < RANK; d++)
        count *= shape[d];
    return count;
}

// x is 1 everywhere, so that rstd and y are 1 too; y lies the other way round. A quantised y: 127 steps of 1/127.
static void run(const int64_t shape[RANK], bool quantised)
{
    static float x[MOST], floats[MOST];
    static int8_t codes[MOST];
    const int64_t count = count_of(shape);
    float rstd = 0, scale = 0;
    int32_t nonfinite = -1;
    for (int64_t i = 0; i < count; i++) {
        x[i] = 1;
        floats[i] = 0;
        codes[i] = 0;
    }
    const norma_tensor in = norma_tensor_host(NORMA_FLOAT32, RANK, shape, x);
    norma_tensor out =
        norma_tensor_host(quantised ? NORMA_INT8 : NORMA_FLOAT32, RANK, shape, quantised ? (void *)codes : floats);
    const norma_tensor r = norma_tensor_host(NORMA_FLOAT32, 0, NULL, &rstd);
    const norma_tensor s = norma_tensor_host(NORMA_FLOAT32, 0, NULL, &scale);
    const norma_tensor c = norma_tensor_host(NORMA_INT32, 0, NULL, &nonfinite);
    int64_t stride = 1;
    for (int d = 0; d < RANK; d++) {
        out.strides[d] = stride;
        stride *= shape[d];
    }
    norma_problem p = NORMA_RMS_NORM_DEFAULTS;
    p.eps = 0;
    p.normalized_dims = RANK;
    p.x = &in;
    p.y = &out;
    p.rstd = &r;
    p.y_scale = quantised ? &s : NULL;
    p.dynamic_scale = quantised;
    p.nonfinite = quantised ? &c : NULL;
    if (norma_run(context, &p) != NORMA_OK)
        fail_msg("%s", norma_last_error());
    assert_true(rstd == 1);
    assert_true(!quantised || (scale == 1.0f / 127 && nonfinite == 0));
    for (int64_t i = 0; i < count; i++)
        assert_true(quantised ? codes[i] == 127 : floats[i] == 1);
}

static void long_groups(void **state)
{
    (void)state;
    static const int64_t shapes[][RANK] = {
        {3, 3, 3, 3, 3, 3, 5},    {3, 3, 3, 3, 3, 5, 3},   {2, 2, 2, 2, 2, 64, 2},   {2, 2, 2, 2, 2, 43, 3},
        {2, 4, 2, 4, 4, 4, 4},    {1, 1, 1, 1, 13, 35, 9}, {1, 1, 1, 1, 16, 16, 16}, {1, 1, 1, 1, 1, 64, 64},
        {1, 1, 1, 1, 1, 1365, 3}, {2, 2, 2, 2, 2, 2, 65},  {1, 2, 2, 2, 2, 2, 256},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int quantised = 0; quantised < 2; quantised++)
            run(shapes[i], quantised != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(long_groups)};
    int failed = 0;
    for (int i = 0; i < TEST_DEVICES; i++) {
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        params.device = test_devices[i];
        params.cache_dir = "";
        const norma_status status = norma_context_create(&params, &context);
        if (status == NORMA_OK)
            failed += cmocka_run_group_tests_name(test_devices[i], tests, NULL, NULL);
        else
            printf("FAIL %s: %s\n", test_devices[i], norma_last_error());
        failed += status != NORMA_OK;
        norma_context_destroy(&context);
    }
    return failed;
}
