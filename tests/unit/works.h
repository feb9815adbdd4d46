// Whether a context does its work. To be included behind cmocka.h.
#ifndef NORMA_TEST_WORKS_H
#define NORMA_TEST_WORKS_H

#include <math.h>
#include <norma/norma.h>

// Layer norm of a row with mean 1 and deviation 2.
static inline void expect_works(norma_context *context)
{
    const int64_t shape[] = {1, 4};
    float in[] = {-1, 3, -1, 3}, out[4] = {0};
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, in),
                 y = norma_tensor_host(NORMA_FLOAT32, 2, shape, out);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    p.eps = 0;
    p.x = &x;
    p.y = &y;
    if (norma_run(context, &p) != NORMA_OK)
        fail_msg("%s", norma_last_error());
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(out[i] - (i % 2 ? 1 : -1)) < 1e-6f);
}

#endif
