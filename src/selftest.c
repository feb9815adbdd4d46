#include "context.h"
#include "execute.h"
#include <math.h>
#include <string.h>

enum { ROWS = 3, LENGTH = 777 };

static float input(int i)
{
    return 1000.0f + (float)((i * 37) % 101) * 0.25f; // exact in float32, a mean far from zero
}

// A layer norm of host memory by the given variant, against double arithmetic.
static norma_status run_case(struct norma_device *device, const char *variant)
{
    float x[ROWS * LENGTH], y[ROWS * LENGTH];
    for (int i = 0; i < ROWS * LENGTH; i++)
        x[i] = input(i);
    const int64_t shape[] = {ROWS, LENGTH};
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 2, shape, x),
                       ty = norma_tensor_host(NORMA_FLOAT32, 2, shape, y);
    const norma_tensor *tensors[NORMA_ARG_COUNT] = {[NORMA_ARG_X] = &tx, [NORMA_ARG_Y] = &ty};
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    struct norma_work work;
    problem.x = &tx;
    problem.y = &ty;
    memset(y, 0xff, sizeof(y));
    norma_status status = norma_work_from_problem(&problem, NORMA_PLACE_HOST, &work);
    if (status == NORMA_OK)
        status = norma_execute_host(device, &work, tensors, variant, 0);
    if (status != NORMA_OK)
        return status;
    for (int r = 0; r < ROWS; r++) {
        double mean = 0, var = 0;
        for (int i = 0; i < LENGTH; i++)
            mean += (double)x[r * LENGTH + i] / LENGTH;
        for (int i = 0; i < LENGTH; i++)
            var += (x[r * LENGTH + i] - mean) * (x[r * LENGTH + i] - mean) / LENGTH;
        for (int i = 0; i < LENGTH; i++) {
            const double want = (x[r * LENGTH + i] - mean) / sqrt(var + 1e-5f);
            if (!(fabs(want - y[r * LENGTH + i]) <= 4e-6))
                return norma_fail(NORMA_ERROR_DEVICE, "self-test: %s gives %g for %g in row %d, element %d",
                                  variant ? variant : "the default variant", y[r * LENGTH + i], want, r, i);
        }
    }
    return NORMA_OK;
}

norma_status norma_device_self_test(struct norma_device *device)
{
    if (device->caps.subgroup_shuffle && run_case(device, "split-subgroup") != NORMA_OK) {
        norma_log(device->context, 1, "%s: shuffles are not used: %s", device->id, norma_last_error());
        device->caps.subgroup_shuffle = false;
    }
    return run_case(device, NULL);
}
