#include "guest.h"

enum { DISPATCHES = 4096 };

static void forget_device(struct check_guest *g)
{
    norma_recorder_destroy(&g->recorder);
    norma_buffer_destroy(&g->workspace);
    g->workspace_size = 0;
    g->device = NULL;
}

void check_guest_forget(struct check_guest *guest, const norma_device *device)
{
    if (guest && guest->device == device)
        forget_device(guest);
}

void check_guest_close(struct check_guest **guest)
{
    if (!*guest)
        return;
    forget_device(*guest);
    (*guest)->close(*guest);
    *guest = NULL;
}

norma_status check_guest_buffer(struct check_guest *guest, norma_device *device, uint64_t size, norma_buffer **buffer)
{
    return guest->buffer(guest, device, size, buffer);
}

static norma_status use_device(struct check_guest *g, norma_device *device, uint64_t workspace)
{
    norma_status status = NORMA_OK;
    if (g->device != device) {
        const norma_recorder_params params = {sizeof params, DISPATCHES};
        forget_device(g);
        status = norma_recorder_create(device, &params, &g->recorder);
        g->device = device;
    }
    if (status == NORMA_OK && g->workspace_size < workspace) {
        norma_buffer_destroy(&g->workspace);
        status = g->buffer(g, device, workspace, &g->workspace);
        g->workspace_size = status == NORMA_OK ? workspace : 0;
    }
    return status;
}

norma_status check_guest_run(struct check_guest *g, norma_device *device, norma_plan *plan,
                             const norma_problem *problem)
{
    norma_needs needs = {.size = sizeof needs};
    norma_status status = norma_plan_get_needs(plan, problem, &needs);
    // Now here, now there: the workspace may begin at any multiple of the alignment.
    const uint64_t offset = needs.workspace ? ++g->runs % 3 * needs.alignment : 0;
    if (status == NORMA_OK)
        status = use_device(g, device, needs.workspace ? needs.workspace + offset : 0);
    if (status == NORMA_OK)
        status = norma_recorder_reset(g->recorder);
    if (status == NORMA_OK)
        status = g->run(g, plan, problem, g->recorder, needs.workspace ? g->workspace : NULL, offset);
    return status;
}
