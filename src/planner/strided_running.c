// The dispatches of running statistics: their update, and what batch renorm makes of them.
#include "strided.h"
#include "strided_table.h"

#define NONE NORMA_ARG_COUNT

const char nst_kernel_running[] = "strided_running", nst_kernel_count[] = "strided_count",
           nst_kernel_renorm[] = "strided_renorm";

norma_status nst_append_running(struct nst *plan, const struct nst_view *view, uint32_t in)
{
    const struct norma_form *f = view->form;
    const uint32_t limit = plan->caps->max_iterations;
    int64_t sharing = 1;
    for (int32_t d = 0; d < f->group_rank; d++)
        if (f->arg[NORMA_ARG_RUNNING_MEAN].stride[d] == 0)
            sharing *= f->extent[d];
    // Two at least: what is left between dispatches lies in the cells of the first two.
    const int64_t most = !limit ? sharing : limit / 4 > 2 ? (int64_t)limit / 4 : 2;
    for (int64_t member = 0; member < sharing; member += most) {
        const struct nst_job job = {.kernel = nst_kernel_running,
                                    .view = view,
                                    .tile = {0, f->groups, 0, view->chunks},
                                    .units = (uint64_t)f->groups,
                                    .slots = {NONE, NONE, NORMA_ARG_RUNNING_MEAN, NORMA_ARG_RUNNING_VAR,
                                              f->cumulative ? NORMA_ARG_NUM_BATCHES_TRACKED : NONE, NORMA_ARG_STATS,
                                              NONE, NONE, NONE, NONE, NONE, NONE},
                                    .written = 1u << ST_RUNNING_MEAN | 1u << ST_RUNNING_VAR,
                                    .in = in,
                                    .inputs = 1,
                                    .momentum = f->momentum,
                                    .update = (f->running_var_biased ? 1u : 0) | (f->in_order ? 2u : 0) |
                                              (f->cumulative ? 4u : 0),
                                    .member = (uint32_t)member,
                                    .members = (uint32_t)(sharing - member < most ? sharing - member : most)};
        plan->barrier = true;
        const norma_status status = nst_append(plan, &job);
        if (status != NORMA_OK)
            return status;
    }
    return NORMA_OK;
}

norma_status nst_append_count(struct nst *plan, const struct nst_view *view)
{
    const struct nst_job job = {
        .kernel = nst_kernel_count,
        .view = view,
        .tile = {0, 1, 0, view->chunks},
        .units = 1,
        .slots = {NONE, NONE, NONE, NONE, NORMA_ARG_NUM_BATCHES_TRACKED, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
        .written = 1u << ST_NUM_BATCHES_TRACKED,
        .members = (uint32_t)view->form->batches};
    plan->barrier = true;
    return nst_append(plan, &job);
}

norma_status nst_append_renorm(struct nst *plan, const struct nst_view *view, int64_t group0, int64_t group1)
{
    const bool given = view->form->backward;
    const norma_arg mean = given ? NONE : NORMA_ARG_RUNNING_MEAN, var = given ? NONE : NORMA_ARG_RUNNING_VAR;
    const struct nst_job job = {
        .kernel = nst_kernel_renorm,
        .view = view,
        .tile = {group0, group1, 0, view->chunks},
        .units = (uint64_t)(group1 - group0),
        .slots = {NONE, NONE, mean, var, NONE, NORMA_ARG_R, NORMA_ARG_D, NONE, NONE, NONE, NONE, NONE},
        .written = given ? 0 : 1u << ST_R | 1u << ST_D,
        .output = given};
    plan->barrier = true;
    return nst_append(plan, &job);
}
