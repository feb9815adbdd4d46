// switchable_norm: what lies between the statistics of the groups and the outputs, and between the sums of backward and
// the coefficients. Statistics of samples and channels are merged from those of their groups.
#include "planner.h"
#include "strided.h"
#include "strided_table.h"
#include "try.h"

const char nst_switch_mix[] = "strided_switch_mix", nst_switch_add[] = "strided_switch_add",
           nst_switch_coefficients[] = "strided_switch_coefficients", nst_switch_write[] = "strided_switch_write";

#define NONE NORMA_ARG_COUNT

// Lists of cells that a kernel brings to one each, 64 to one a level; at `room` there is space for the levels between.
struct fold {
    const char *kernel;
    int64_t lists, inputs;
    uint64_t in, group_step, step, out, room;
    uint32_t alike;
};

static norma_status append_fold(struct nst *plan, const struct nst_view *view, const struct fold *fold)
{
    struct nst_view of_lists = *view;
    uint64_t in = fold->in, group_step = fold->group_step, step = fold->step, room = fold->room;
    int64_t inputs = fold->inputs, level = 1;
    of_lists.chunks = fold->inputs;
    do {
        const int64_t outputs = (inputs + NORMA_FAN - 1) / NORMA_FAN;
        const uint64_t out = outputs == 1 ? fold->out : room;
        const struct nst_job job = {.kernel = fold->kernel,
                                    .view = &of_lists,
                                    .tile = {0, fold->lists, 0, 1},
                                    .units = (uint64_t)(fold->lists * outputs),
                                    .slots = {NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
                                    .in = (uint32_t)in,
                                    .inputs = (uint32_t)inputs,
                                    .out = (uint32_t)out,
                                    .outputs = (uint32_t)outputs,
                                    .level = (uint32_t)level,
                                    .step = (uint32_t)step,
                                    .group_step = (uint32_t)group_step,
                                    .alike = fold->alike};
        plan->barrier = true;
        TRY(nst_append(plan, &job));
        in = out;
        room += (uint64_t)(fold->lists * outputs);
        step = 1;
        group_step = (uint64_t)outputs;
        inputs = outputs;
        level *= NORMA_FAN;
    } while (inputs > 1);
    return NORMA_OK;
}

uint64_t nst_mix_lists(const struct norma_form *f)
{
    // Three lists of terms for the gradients of the weights, and their levels; less than that for the others.
    return 4 * (uint64_t)f->groups + 4 * (uint64_t)(f->samples + f->channels) + 64;
}

// From the cells of groups at `base` to those of samples and, where they are of x, of channels behind them.
static norma_status append_kinds(struct nst *plan, const struct nst_view *view, const char *kernel, uint64_t base,
                                 uint32_t alike)
{
    const struct norma_form *f = view->form;
    const uint64_t of_samples = base + (uint64_t)f->groups;
    const struct fold samples = {.kernel = kernel,
                                 .lists = f->samples,
                                 .inputs = f->channels,
                                 .in = base,
                                 .group_step = (uint64_t)f->sample_step,
                                 .step = (uint64_t)f->channel_step,
                                 .out = of_samples,
                                 .room = plan->lists_at,
                                 .alike = alike};
    const struct fold channels = {.kernel = kernel,
                                  .lists = f->channels,
                                  .inputs = f->samples,
                                  .in = base,
                                  .group_step = (uint64_t)f->channel_step,
                                  .step = (uint64_t)f->sample_step,
                                  .out = of_samples + (uint64_t)f->samples,
                                  .room = plan->lists_at,
                                  .alike = alike};
    TRY(append_fold(plan, view, &samples));
    return f->mix == FORM_MIX_TRAINING ? append_fold(plan, view, &channels) : NORMA_OK;
}

// A kernel over the groups that mixes; written: of its slots.
static norma_status append_groups(struct nst *plan, const struct nst_view *view, const char *kernel, uint32_t written)
{
    const struct norma_form *f = view->form;
    const struct nst_job job = {.kernel = kernel,
                                .view = view,
                                .tile = {0, f->groups, 0, view->chunks},
                                .units = (uint64_t)f->groups,
                                .slots = {[ST_MEAN] = f->backward ? NONE : NORMA_ARG_MEAN,
                                          [ST_RSTD] = f->backward ? NONE : NORMA_ARG_RSTD,
                                          [ST_RUNNING_MEAN] = NORMA_ARG_RUNNING_MEAN,
                                          [ST_RUNNING_VAR] = NORMA_ARG_RUNNING_VAR,
                                          [ST_MEAN_WEIGHTS] = NORMA_ARG_MEAN_WEIGHTS,
                                          [ST_VAR_WEIGHTS] = NORMA_ARG_VAR_WEIGHTS,
                                          NONE,
                                          NONE,
                                          NONE,
                                          NONE,
                                          NONE,
                                          NONE},
                                .written = written,
                                .out = plan->lists_at};
    plan->barrier = true;
    return nst_append(plan, &job);
}

// The channels as the groups of a form of their own, whose cells are behind those of groups and samples.
static norma_status append_running(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    struct norma_form channels = *f;
    struct nst_view of_channels;
    channels.rank = 2;
    channels.jumps = false; // what there is of channels lies evenly
    channels.group_rank = 1;
    channels.groups = channels.extent[0] = f->channels;
    channels.n = channels.run = channels.extent[1] = f->samples * f->n;
    if (channels.n > INT32_MAX)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: channels of %lld elements; at most %d are supported",
                          (long long)channels.n, INT32_MAX);
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        int64_t stride = 0;
        for (int32_t d = 0; d < f->group_rank; d++)
            stride = f->arg[a].stride[d] > stride ? f->arg[a].stride[d] : stride;
        channels.arg[a].stride[0] = stride; // running statistics have one in the channels' dimension alone
        channels.arg[a].stride[1] = 0;
    }
    nst_view_init(&of_channels, &channels);
    return nst_append_running(plan, &of_channels, plan->moments_at + (uint32_t)(f->groups + f->samples));
}

norma_status nst_append_mix(struct nst *plan, const struct nst_view *view)
{
    TRY(append_kinds(plan, view, "strided_merge", plan->moments_at, (uint32_t)view->form->n));
    TRY(append_groups(plan, view, nst_switch_mix, 1u << ST_MEAN | 1u << ST_RSTD));
    return view->form->update_running ? append_running(plan, view) : NORMA_OK;
}

static norma_status append_weight_gradients(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    const uint64_t groups = (uint64_t)f->groups;
    const struct fold kinds = {.kernel = "strided_add",
                               .lists = FORM_KINDS,
                               .inputs = f->groups,
                               .in = plan->lists_at,
                               .group_step = groups,
                               .step = 1,
                               .out = plan->lists_at + FORM_KINDS * groups,
                               .room = plan->lists_at + FORM_KINDS * groups + FORM_KINDS};
    const struct nst_job write = {
        .kernel = nst_switch_write,
        .view = view,
        .tile = {0, f->groups, 0, view->chunks},
        .units = FORM_KINDS,
        .slots = {NONE, NONE, NONE,
                  NONE, [ST_MEAN_WEIGHTS] = NORMA_ARG_DMEAN_WEIGHTS, [ST_VAR_WEIGHTS] = NORMA_ARG_DVAR_WEIGHTS, NONE,
                  NONE, NONE, NONE, NONE, NONE},
        .written = 1u << ST_MEAN_WEIGHTS | 1u << ST_VAR_WEIGHTS,
        .in = (uint32_t)kinds.out};
    if (!f->arg[NORMA_ARG_DMEAN_WEIGHTS].present && !f->arg[NORMA_ARG_DVAR_WEIGHTS].present)
        return NORMA_OK;
    TRY(append_fold(plan, view, &kinds));
    plan->barrier = true;
    return nst_append(plan, &write);
}

norma_status nst_append_mix_gradients(struct nst *plan, const struct nst_view *view)
{
    TRY(append_kinds(plan, view, nst_switch_add, plan->sums_at, 0));
    TRY(append_groups(plan, view, nst_switch_coefficients, 0));
    return append_weight_gradients(plan, view);
}
