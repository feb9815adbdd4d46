#include "context.h"
#include "execute.h"
#include "problem.h"
#include <stddef.h>
#include <string.h>

// The public description is the first member, so that one pointer serves both.
struct owned_description {
    norma_description description;
    struct norma_schedule schedule;
    norma_fill fills[NORMA_ARG_COUNT];
};

static void add_fills(const norma_problem *problem, struct owned_description *owned)
{
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const void *value = norma_empty_value(problem, (norma_arg)a);
        if (!value)
            continue;
        norma_fill *fill = &owned->fills[owned->description.fill_count++];
        *fill = (norma_fill){.arg = (norma_arg)a,
                             .size = (uint32_t)norma_dtype_size(norma_problem_tensor(problem, (norma_arg)a)->dtype)};
        memcpy(fill->value, value, fill->size);
    }
}

// Makes the schedule one of a run with a count: Vulkan's begins with a dispatch more.
static norma_status count_rows(norma_device *device, const struct norma_work *work, struct owned_description *owned)
{
    struct norma_schedule *s = &owned->schedule;
    struct norma_caps caps = device->caps;
    norma_dispatch count;
    caps.counts_rows = true; // Norma's own devices do not record: there nobody has asked
    if (!norma_schedule_may_count(work, &caps, s))
        return norma_not_counted("problem");
    norma_schedule_count(s, &caps, &count);
    owned->description.counted = 1;
    if (caps.api == NORMA_DRIVER_OPENCL) {
        owned->description.count_offset = NORMA_COUNT_OFFSET;
        return NORMA_OK;
    }
    norma_dispatch *all = norma_alloc(device->allocator, (s->dispatch_count + 1) * sizeof(*all));
    if (!all)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "description: out of memory");
    all[0] = count;
    memcpy(all + 1, s->dispatches, s->dispatch_count * sizeof(*all));
    norma_free(s->dispatches);
    s->dispatches = all;
    for (size_t i = 0; i < s->dispatch_count; i++) {
        all[i + 1].indirect = 1;
        all[i + 1].groups_offset = i * NORMA_CELL_BYTES;
    }
    all[1].barrier = 1;
    s->dispatch_count++;
    return NORMA_OK;
}

static norma_status add_dispatches(norma_device *device, const struct norma_work *work, const char *variant,
                                   bool counted, struct owned_description *owned)
{
    struct norma_schedule *s = &owned->schedule;
    const struct norma_plan_options options =
        norma_execute_options(device, variant, NORMA_MEMORY_RESIDENT, device->context->memory_budget);
    norma_status status = norma_schedule_work(work, &device->caps, &options, s);
    if (status == NORMA_OK && counted)
        status = count_rows(device, work, owned);
    for (size_t i = 0; i < s->dispatch_count && status == NORMA_OK; i++) {
        norma_dispatch *d = &s->dispatches[i];
        for (uint32_t b = 0; b < d->binding_count; b++)
            if (d->bindings[b].arg == NORMA_ARG_X || d->bindings[b].arg == NORMA_ARG_ROW_COUNT)
                d->bindings[b].written = 0; // in the place of an absent output
        status = device->backend->describe(device, d);
    }
    return status;
}

static norma_status describe(norma_device *device, const norma_problem *given, const char *variant, bool counted,
                             norma_description **out)
{
    norma_problem problem;
    struct norma_work work;
    if (!device || !out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", device ? "description" : "device");
    *out = NULL;
    norma_status status = norma_device_ready(device);
    if (status == NORMA_OK && !device->backend->describe)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "device: %s has no kernels to describe", device->id);
    if (status == NORMA_OK)
        status = norma_problem_read(&problem, given);
    if (status == NORMA_OK)
        status = norma_work_from_problem(&problem, NORMA_PLACE_VIEWS, &work);
    if (status != NORMA_OK)
        return status;
    struct owned_description *owned = norma_zalloc(device->allocator, 1, sizeof(*owned));
    if (!owned)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "description: out of memory");
    norma_description *description = &owned->description;
    const bool empty = work.groups == 0 || work.n == 0;
    if (empty && counted)
        status = norma_not_counted("problem");
    else if (empty)
        add_fills(&problem, owned);
    else
        status = add_dispatches(device, &work, variant, counted, owned);
    const struct norma_schedule *s = &owned->schedule;
    description->dispatches = s->dispatches;
    description->dispatch_count = s->dispatch_count;
    description->fills = owned->fills;
    description->workspace = s->workspace;
    description->alignment = norma_place_alignment(&device->caps);
    description->variant = s->variant ? s->variant : "none";
    if (status != NORMA_OK)
        norma_description_destroy(&description);
    *out = description;
    return status;
}

norma_status norma_describe(norma_device *device, const norma_problem *problem, const char *variant,
                            norma_description **description)
{
    return describe(device, problem, variant, false, description);
}

norma_status norma_describe_counted(norma_device *device, const norma_problem *problem, const char *variant,
                                    norma_description **description)
{
    return describe(device, problem, variant, true, description);
}

void norma_description_destroy(norma_description **description)
{
    if (!description || !*description)
        return;
    struct owned_description *owned = (struct owned_description *)*description;
    for (size_t i = 0; i < owned->schedule.dispatch_count; i++)
        norma_free((char *)(uintptr_t)owned->schedule.dispatches[i].options);
    norma_schedule_finish(&owned->schedule);
    norma_free(owned);
    *description = NULL;
}
