// One call: host pointers in, host pointers out; Norma picks the device.
#include <norma/norma.h>
#include <stdio.h>

int main(void)
{
    float x[2][4] = {{1, 2, 3, 4}, {10, 20, 30, 40}}, y[2][4];
    const int64_t shape[] = {2, 4};
    norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x);
    norma_tensor ty = norma_tensor_host(NORMA_FLOAT32, 2, shape, y);

    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS; // the last dimension, eps 1e-5
    problem.x = &tx;
    problem.y = &ty;

    norma_context *context;
    if (norma_context_create(NULL, &context) != NORMA_OK || norma_run(context, &problem) != NORMA_OK) {
        fprintf(stderr, "%s\n", norma_last_error());
        return 1;
    }
    for (int row = 0; row < 2; row++)
        printf("%g %g %g %g\n", y[row][0], y[row][1], y[row][2], y[row][3]);
    norma_context_destroy(&context);
    return 0;
}
