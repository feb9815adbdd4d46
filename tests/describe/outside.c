#include "outside.h"
#include <stdio.h>
#include <stdlib.h>

// PLACE, bytes: what there is for a tensor, and is bound: the buffer ends within the first row. Validation compares
// with the buffer's size, not with the binding's.
enum { ROWS = 4, N = 1024, PLACE = 256 };
enum { X, Y, WORKSPACE, PLACES };

static bool run_narrow(const struct runner *runner, const norma_description *plan, norma_dispatch *d)
{
    static unsigned char memory[PLACES * PLACE];
    norma_description narrow = *plan;
    uint64_t place[RUNNER_PLACES] = {0};
    bool outside = false;
    place[NORMA_ARG_X] = (uint64_t)X * PLACE;
    place[NORMA_ARG_Y] = (uint64_t)Y * PLACE;
    place[NORMA_ARG_WORKSPACE] = (uint64_t)WORKSPACE * PLACE;
    *d = plan->dispatches[0];
    for (uint32_t i = 0; i < d->binding_count; i++)
        if (d->bindings[i].size > PLACE) {
            d->bindings[i].size = PLACE;
            outside = true;
        }
    narrow.dispatches = d;
    narrow.dispatch_count = 1;
    return outside && plan->workspace <= PLACE && runner->run(&narrow, memory, sizeof memory, place);
}

bool outside_run(const struct runner *runner, norma_device *device)
{
    const int64_t shape[] = {ROWS, N};
    norma_problem problem = norma_problem_defaults(NORMA_LAYER_NORM);
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, NULL), y = x;
    norma_description *plan = NULL;
    norma_dispatch *d = calloc(1, sizeof *d);
    problem.x = &x;
    problem.y = &y;
    const bool good = d && norma_describe(device, &problem, NULL, &plan) == NORMA_OK && run_narrow(runner, plan, d);
    if (!good)
        printf("FAIL %s: nothing outside the buffer: %s\n", runner->device, norma_last_error());
    norma_description_destroy(&plan);
    free(d);
    return good;
}
