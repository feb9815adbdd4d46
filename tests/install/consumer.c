// A program outside the tree, in C and in C++, which knows the installed library alone: consumer VERSION DEVICE...
#include <math.h>
#include <norma/norma.h>
#include <stdio.h>
#include <string.h>

#define STR_(x) #x
#define STR(x) STR_(x)
#define HEADER STR(NORMA_VERSION_MAJOR) "." STR(NORMA_VERSION_MINOR) "." STR(NORMA_VERSION_PATCH)

enum { ROWS = 2, LENGTH = 4 };

// Rows r + 1 times (1, 2, 3, 4): mean 2.5(r + 1), variance 1.25(r + 1)^2.
static int layer_norm(const char *device)
{
    float x[ROWS][LENGTH], y[ROWS][LENGTH] = {{0}};
    const int64_t shape[] = {ROWS, LENGTH};
    for (int i = 0; i < ROWS * LENGTH; i++)
        x[i / LENGTH][i % LENGTH] = (float)((i / LENGTH + 1) * (i % LENGTH + 1));
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x),
                       ty = norma_tensor_host(NORMA_FLOAT32, 2, shape, y);
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_context *context = NULL;
    params.device = device;
    problem.x = &tx;
    problem.y = &ty;
    if (norma_context_create(&params, &context) != NORMA_OK || norma_run(context, &problem) != NORMA_OK) {
        fprintf(stderr, "%s: %s\n", device, norma_last_error());
        return 1;
    }
    norma_context_destroy(&context);
    for (int i = 0; i < ROWS * LENGTH; i++) {
        const double r = i / LENGTH + 1, want = (i % LENGTH - 1.5) * r / sqrt(1.25 * r * r + 1e-5);
        // 8u * (|xhat| + 1) is docs' bound for float32, u = 2^-24; xhat is below 1.5.
        if (!(fabs(y[i / LENGTH][i % LENGTH] - want) <= 8 * ldexp(1, -24) * 2.5)) {
            fprintf(stderr, "%s: element %d is %g, not %g\n", device, i, (double)y[i / LENGTH][i % LENGTH], want);
            return 1;
        }
    }
    printf("%s: right\n", device);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc < 3 || strcmp(norma_version(), argv[1]) != 0 || strcmp(HEADER, argv[1]) != 0) {
        fprintf(stderr, "library %s, header %s, wanted %s\n", norma_version(), HEADER, argc < 2 ? "?" : argv[1]);
        return 1;
    }
    for (int i = 2; i < argc; i++)
        failed |= layer_norm(argv[i]);
    return failed;
}
