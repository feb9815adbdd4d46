// The least library that tools/sizes builds refuses what was left out, and says which option did it: less DEVICE
#include <norma/norma.h>
#include <stdio.h>
#include <string.h>

static int wrong;

static void refused(norma_context *context, const norma_problem *problem, const char *what, const char *message)
{
    const norma_status status = norma_run(context, problem);
    if (status != NORMA_ERROR_UNSUPPORTED || !strstr(norma_last_error(), message)) {
        fprintf(stderr, "%s: %s, \"%s\" instead of \"%s\"\n", what, norma_status_name(status), norma_last_error(),
                message);
        wrong++;
    }
}

int main(int argc, char **argv)
{
    float x[16] = {1, 2, 3}, y[16];
    double x64[16] = {1, 2, 3}, y64[16];
    const int64_t shape[] = {4, 4};
    norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x), ty = norma_tensor_host(NORMA_FLOAT32, 2, shape, y);
    norma_tensor tx64 = norma_tensor_host(NORMA_FLOAT64, 2, shape, x64),
                 ty64 = norma_tensor_host(NORMA_FLOAT64, 2, shape, y64);
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context;
    params.device = argc > 1 ? argv[1] : NULL;
    if (norma_context_create(&params, &context) != NORMA_OK) {
        fprintf(stderr, "%s\n", norma_last_error());
        return 1;
    }
    norma_problem p = norma_problem_defaults(NORMA_RMS_NORM);
    p.x = &tx;
    p.y = &ty;
    if (norma_run(context, &p) != NORMA_OK) {
        fprintf(stderr, "rms_norm: %s\n", norma_last_error());
        wrong++;
    }
    p.activation = NORMA_RELU;
    refused(context, &p, "activation", "layouts");
    p.activation = NORMA_ACTIVATION_NONE;
    tx.strides[0] = 1;
    tx.strides[1] = 4;
    refused(context, &p, "columns", "layouts");
    p.x = &tx64;
    p.y = &ty64;
    refused(context, &p, "float64", "this build has no float64 (its option dtypes)");
    p = norma_problem_defaults(NORMA_NORMALIZE);
    tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x);
    p.x = &tx;
    p.y = &ty;
    p.axes = 2;
    refused(context, &p, "normalize", "op: this build has no normalize");
    p = norma_problem_defaults(NORMA_LAYER_NORM);
    p.direction = NORMA_BACKWARD;
    p.x = p.dy = &tx;
    p.dx = &ty;
    refused(context, &p, "backward", "direction: this build has no backward");
    norma_context_destroy(&context);
    params.device = "scalar";
    if (norma_context_create(&params, &context) != NORMA_ERROR_NO_DEVICE) {
        fprintf(stderr, "the scalar path is there\n");
        norma_context_destroy(&context);
        wrong++;
    }
    return wrong != 0;
}
