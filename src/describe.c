#include "context.h"
#include "execute.h"
#include "problem.h"
#include <stddef.h>
#include <stdlib.h>

// The public description is the first member, so that one pointer serves both.
struct owned_description {
    norma_description description;
    struct norma_schedule schedule;
};

norma_status norma_describe(norma_device *device, const norma_problem *problem, const char *variant,
                            norma_description **out)
{
    struct norma_work work;
    if (!device || !out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", device ? "description" : "device");
    *out = NULL;
    norma_status status = norma_device_ready(device);
    if (status == NORMA_OK)
        status = norma_work_from_problem(problem, NORMA_PLACE_NONE, &work);
    if (status != NORMA_OK)
        return status;
    struct owned_description *owned = calloc(1, sizeof(*owned));
    if (!owned)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "description: out of memory");
    struct norma_schedule *s = &owned->schedule;
    const struct norma_plan_options options =
        norma_execute_options(device, variant, NORMA_MEMORY_RESIDENT, device->context->memory_budget);
    status = norma_schedule_work(&work, &device->caps, &options, s);
    norma_description *description = &owned->description;
    if (status != NORMA_OK) {
        norma_description_destroy(&description);
        return status;
    }
    for (size_t i = 0; i < s->dispatch_count; i++)
        if (device->backend->code)
            s->dispatches[i].code = device->backend->code(&s->dispatches[i], &s->dispatches[i].code_size);
    *description = (norma_description){.dispatches = s->dispatches,
                                       .dispatch_count = s->dispatch_count,
                                       .workspace = s->workspace,
                                       .variant = s->variant ? s->variant : "none"};
    *out = description;
    return NORMA_OK;
}

void norma_description_destroy(norma_description **description)
{
    if (!description || !*description)
        return;
    struct owned_description *owned = (struct owned_description *)*description;
    norma_schedule_finish(&owned->schedule);
    free(owned);
    *description = NULL;
}
