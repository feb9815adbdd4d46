// A parameter with more elements than the workspace has lists for: its gradient comes in blocks, of which all but the
// first begin before the workspace's lists, modulo 2^32. Small integers, so that every sum is exact.
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROWS = 2, LENGTH = 20000 };

static float x[ROWS][LENGTH], dy[ROWS][LENGTH], dweight[LENGTH], dbias[LENGTH], weight[LENGTH];

// Rows of 1 and -1: their rstd is 1, and xhat is x.
static void fill(void)
{
    for (int j = 0; j < LENGTH; j++) {
        weight[j] = 1;
        dweight[j] = dbias[j] = -1000;
        for (int i = 0; i < ROWS; i++) {
            x[i][j] = (j / 3 + i) % 2 ? 1.0f : -1.0f;
            dy[i][j] = (float)((j * 7 + i * 3) % 31 - 15);
        }
    }
}

static void test_device(void **state)
{
    const int64_t shape[] = {ROWS, LENGTH};
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context;
    params.device = *state;
    fill();
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x),
                       tdy = norma_tensor_host(NORMA_FLOAT32, 2, shape, dy),
                       tweight = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, weight),
                       tdweight = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, dweight),
                       tdbias = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, dbias);
    norma_problem p = norma_problem_defaults(NORMA_RMS_NORM);
    p.direction = NORMA_BACKWARD;
    p.eps = 0;
    p.x = &tx;
    p.dy = &tdy;
    p.weight = &tweight;
    p.dweight = &tdweight;
    p.dbias = &tdbias;
    assert_int_equal(norma_context_create(&params, &context), NORMA_OK);
    assert_int_equal(norma_run(context, &p), NORMA_OK);
    norma_context_destroy(&context);
    for (int j = 0; j < LENGTH; j++) {
        const float sum = dy[0][j] + dy[1][j], product = dy[0][j] * x[0][j] + dy[1][j] * x[1][j];
        if (dbias[j] != sum || dweight[j] != product)
            fail_msg("%s, element %d: dbias %g, %g is right; dweight %g, %g is right", (const char *)*state, j,
                     (double)dbias[j], (double)sum, (double)dweight[j], (double)product);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"scalar", test_device, NULL, NULL, (char[]){"scalar"}},
#ifdef NORMA_HAVE_OPENCL
        {"opencl", test_device, NULL, NULL, (char[]){"opencl"}},
#endif
#ifdef NORMA_HAVE_VULKAN
        {"vulkan", test_device, NULL, NULL, (char[]){"vulkan"}},
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
