// The strided family: any operator over any strides, forward and backward, as a chain of small kernels:
//   stats, merge, ..., finish: the groups' cells (m, r, s, a) of docs/reduction.md; running: the running statistics;
//   apply: the outputs;
//   scan, fold, ..., result: a group's count of non-finite inputs, or the scale of its quantised outputs;
//   backward: sums, add, ..., coefficients: a group's part of dx; sums, add, ..., write: parameters' gradients; grad;
//   parts of several devices: gather, merge, ..., finish, and of backward gather, add, ..., write.
#include "strided.h"
#include "planner.h"
#include "strided_table.h"
#include "try.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char norma_variant_strided[] = "strided";

static const char kernel_stats[] = "strided_stats", kernel_merge[] = "strided_merge",
                  kernel_finish[] = "strided_finish", kernel_apply[] = "strided_apply", kernel_sums[] = "strided_sums",
                  kernel_add[] = "strided_add", kernel_coefficients[] = "strided_coefficients",
                  kernel_grad[] = "strided_grad", kernel_write[] = "strided_write", kernel_window[] = "strided_window",
                  kernel_scan[] = "strided_scan", kernel_fold[] = "strided_fold", kernel_result[] = "strided_result",
                  kernel_gather[] = "strided_gather", kernel_rescue[] = "strided_rescue";

#define NONE NORMA_ARG_COUNT
#define NO_SLOTS                                                               \
    {                                                                          \
        NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE \
    }

// The tensors of the element-wise slots; the planner puts the output in slot ST_TO.
#define ELEMENT_SLOTS(to, sum)                                                                                  \
    {                                                                                                           \
        [ST_X] = NORMA_ARG_X, [ST_TO] = (to), [ST_WEIGHT] = NORMA_ARG_WEIGHT, [ST_BIAS] = NORMA_ARG_BIAS,       \
        [ST_RESIDUAL] = NORMA_ARG_RESIDUAL, [ST_GATE] = NORMA_ARG_GATE, [ST_INPUT_BIAS] = NORMA_ARG_INPUT_BIAS, \
        [ST_SUM] = (sum), [ST_Z] = NORMA_ARG_Z, [ST_ADDEND] = NORMA_ARG_ADDEND, [ST_WORKSPACE] = NONE,          \
        [ST_DY] = NORMA_ARG_DY                                                                                  \
    }

static uint64_t mask_of(const norma_arg slots[ST_SLOTS])
{
    uint64_t mask = 0;
    for (int s = 0; s < ST_SLOTS; s++)
        if (slots[s] != NONE)
            mask |= UINT64_C(1) << slots[s];
    return mask;
}

// One kernel over tiles.
struct over_tiles {
    struct nst *plan;
    struct nst_job job;
};

static norma_status append_tile(void *user, const struct nst_tile *tile)
{
    struct over_tiles *o = user;
    const struct norma_form *f = o->job.view->form;
    const uint64_t groups = (uint64_t)(tile->group1 - tile->group0);
    const int64_t first = form_chunk_begin(f->n, f->run, tile->chunk0),
                  last = form_chunk_begin(f->n, f->run, tile->chunk1);
    o->job.tile = *tile;
    const bool by_element = o->job.kernel == kernel_apply || o->job.kernel == kernel_grad ||
                            o->job.kernel == kernel_window || o->job.kernel == kernel_gather;
    o->job.units = groups * (uint64_t)(by_element ? last - first : tile->chunk1 - tile->chunk0);
    struct nst_job quad;
    const bool quads = !o->plan->options->variant && o->plan->quads && nst_quad_job(o->plan, &o->job, &quad);
    if (quads)
        o->plan->schedule->variant = norma_variant_quads;
    TRY(nst_append(o->plan, quads ? &quad : &o->job));
    if (o->job.kernel != kernel_sums && (o->job.kernel != kernel_stats || !quads))
        return NORMA_OK;
    struct nst_job again = o->job; // chunks that one pass is not enough for
    if (again.kernel == kernel_sums)
        again.kernel = kernel_rescue;
    else
        again.output = ST_STATS_AGAIN;
    o->plan->barrier = true;
    return nst_append(o->plan, &again);
}

static norma_status append_tiles(struct nst *plan, const struct nst_job *job, int64_t group0, int64_t group1)
{
    struct over_tiles o = {plan, *job};
    const bool all = group0 == 0 && group1 == job->view->form->groups;
    const bool quads = plan->quads && !plan->options->variant;
    struct norma_form form;
    struct nst_view view;
    if (job->kernel == kernel_stats) {
        nst_folded_view(job, &form, &view);
        o.job.view = &view;
    } else if (quads && all && nst_quad_view(job, &form, &view)) {
        o.job.view = &view;
        group1 = form.groups;
    }
    return nst_tiles(plan, o.job.view, mask_of(job->slots), group0, group1, append_tile, &o);
}

// Groups of a block: those whose lists fit into the workspace at a time. 0: there is no room for one.
static int64_t block_groups(const struct nst *plan, const struct nst_view *view)
{
    uint64_t each = 0;
    for (uint32_t level = 0; level <= view->levels; level++)
        each += (uint64_t)view->inputs[level];
    const uint64_t groups = plan->lists / each;
    return (int64_t)npl_min(groups, (uint64_t)view->form->groups);
}

// Groups whose lists are in the workspace at a time, and where the one cell of each that comes of them lies (of group
// 0).
struct block {
    int64_t group0, group1;
    uint32_t in;
};

// From a zeroed block to the first, from one to the next; false: that was the last.
static bool next_block(const struct nst *plan, const struct nst_view *view, struct block *block)
{
    const int64_t groups = view->form->groups, left = groups - block->group1, most = block_groups(plan, view);
    block->group0 = block->group1;
    block->group1 += left < most ? left : most;
    return block->group0 < groups;
}

// One for cells that no lists are needed for.
static struct block all_groups(const struct nst *plan, const struct nst_view *view)
{
    return (struct block){0, view->form->groups, plan->lists_at};
}

// Level by level from the chunks' results at lists_at to one cell a group.
static norma_status append_levels(struct nst *plan, const struct nst_view *view, const char *kernel, uint32_t output,
                                  struct block *block)
{
    const int64_t group0 = block->group0, group1 = block->group1;
    const uint64_t groups = (uint64_t)(group1 - group0);
    uint64_t at = plan->lists_at;
    uint32_t level_chunks = 1;
    for (uint32_t level = 0; level < view->levels; level++) {
        const uint64_t inputs = (uint64_t)view->inputs[level], outputs = (uint64_t)view->inputs[level + 1];
        const bool kept = plan->kept_at && outputs == 1;
        const uint64_t next = kept ? plan->kept_at + (uint64_t)group0 : at + groups * inputs;
        const struct nst_job job = {.kernel = kernel,
                                    .view = view,
                                    .tile = {group0, group1, 0, view->chunks},
                                    .units = groups * outputs,
                                    .slots = NO_SLOTS,
                                    .in = (uint32_t)(at - (uint64_t)group0 * inputs),
                                    .inputs = (uint32_t)inputs,
                                    .out = (uint32_t)(next - (uint64_t)group0 * outputs),
                                    .outputs = (uint32_t)outputs,
                                    .output = output,
                                    .level = level_chunks};
        plan->barrier = true;
        TRY(nst_append(plan, &job));
        at = next;
        level_chunks *= NORMA_FAN;
    }
    block->in = plan->kept_at ? plan->kept_at : (uint32_t)(at - (uint64_t)group0);
    return NORMA_OK;
}

// Chunk results of a block of groups (or of a parameter's elements), and their merge.
static norma_status append_reduction(struct nst *plan, const struct nst_view *view, const char *kernel, uint32_t output,
                                     struct block *block)
{
    const bool sums = kernel == kernel_sums;
    struct nst_job job = {.kernel = kernel,
                          .view = view,
                          .slots = ELEMENT_SLOTS(sums && output == ST_SUM_ABOUT_MEAN ? NORMA_ARG_MEAN : NONE,
                                                 sums ? NORMA_ARG_DSUM : NONE),
                          .output = output,
                          .out = (uint32_t)(plan->lists_at - (uint64_t)block->group0 * (uint64_t)view->chunks),
                          .outputs = (uint32_t)view->chunks};
    if (plan->kept_at && view->levels == 0)
        job.out = plan->kept_at;
    const bool scans = kernel == kernel_scan, of_x = scans && output == ST_SCAN_NONFINITE;
    if ((!sums && !scans) || output == ST_SUM_ABOUT_MEAN || of_x) // of the input alone
        job.slots[ST_WEIGHT] = job.slots[ST_BIAS] = job.slots[ST_ADDEND] = job.slots[ST_DY] = job.slots[ST_SUM] = NONE;
    if (of_x)
        job.slots[ST_RESIDUAL] = job.slots[ST_GATE] = job.slots[ST_INPUT_BIAS] = job.slots[ST_Z] = NONE;
    plan->barrier = true; // whoever read the lists of the block before is through
    TRY(append_tiles(plan, &job, block->group0, block->group1));
    return append_levels(plan, view, sums ? kernel_add : scans ? kernel_fold : kernel_merge, output, block);
}

// where: ST_FINISH_*.
static norma_status append_finish(struct nst *plan, const struct nst_view *view, const struct block *block,
                                  uint32_t where)
{
    const struct norma_form *f = view->form;
    const bool saved = where == ST_FINISH_SAVED || where == ST_FINISH_RSTD;
    const bool mean = where == ST_FINISH_SAVED && f->statistic == FORM_MOMENTS;
    const bool sums = where == ST_FINISH_STATS && f->backward && f->op == NORMA_BATCH_NORM_APPLY;
    struct nst_job job = {.kernel = kernel_finish,
                          .view = view,
                          .tile = {block->group0, block->group1, 0, view->chunks},
                          .units = (uint64_t)(block->group1 - block->group0),
                          .slots = NO_SLOTS,
                          .written = 1u << ST_MEAN | 1u << ST_RSTD | (where == ST_FINISH_STATS ? 0 : 1u << ST_STATS),
                          .in = block->in,
                          .inputs = 1,
                          .output = where};
    job.slots[ST_MEAN] = mean || !f->backward ? NORMA_ARG_MEAN : NONE;
    job.slots[ST_RSTD] = saved || !f->backward ? NORMA_ARG_RSTD : NONE;
    job.slots[ST_RUNNING_MEAN] = NORMA_ARG_RUNNING_MEAN;
    job.slots[ST_RUNNING_VAR] = NORMA_ARG_RUNNING_VAR;
    job.slots[ST_STATS] = NORMA_ARG_STATS;
    job.slots[ST_MERGED_SUMS] = sums ? NORMA_ARG_SUMS : NONE;
    plan->barrier = true;
    return nst_append(plan, &job);
}

// A reduction of all groups whose results stay.
static norma_status append_kept(struct nst *plan, const struct nst_view *view, const char *kernel, uint32_t output,
                                uint32_t kept_at)
{
    struct block block = {0};
    norma_status status = NORMA_OK;
    plan->kept_at = kept_at;
    while (status == NORMA_OK && next_block(plan, view, &block))
        status = append_reduction(plan, view, kernel, output, &block);
    plan->kept_at = 0;
    return status;
}

static norma_status append_statistics(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    struct block block = all_groups(plan, view);
    const uint32_t where = nst_finish_from(f);
    const bool corrects = where == ST_FINISH_SAVED; // the saved mean: the mean of t - mean is found
    if (f->statistic == FORM_GIVEN)
        return append_finish(plan, view, &block, ST_FINISH_LISTS);
    if (f->mix) {
        TRY(append_kept(plan, view, kernel_stats, 0, plan->moments_at));
        return nst_append_mix(plan, view);
    }
    if (f->statistic == FORM_MERGED) {
        TRY(append_finish(plan, view, &block, ST_FINISH_STATS));
        return f->update_running ? nst_append_running(plan, view, plan->lists_at) : NORMA_OK;
    }
    if (nst_rstd_suffices(f))
        return append_finish(plan, view, &block, where);
    // Samples that share running statistics go into them at once.
    if (f->update_running && block_groups(plan, view) < f->groups)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "running_mean: %lld groups are too many to update it",
                          (long long)f->groups);
    block = (struct block){0};
    while (next_block(plan, view, &block)) {
        TRY(append_reduction(plan, view, corrects ? kernel_sums : kernel_stats, corrects ? ST_SUM_ABOUT_MEAN : 0,
                             &block));
        TRY(append_finish(plan, view, &block, where));
        if (f->renorm)
            TRY(nst_append_renorm(plan, view, block.group0, block.group1));
        if (f->update_running)
            TRY(nst_append_running(plan, view, block.in));
    }
    return NORMA_OK;
}

static norma_status append_coefficients(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    if (f->mix) {
        TRY(append_kept(plan, view, kernel_sums, ST_SUM_STATISTICS, plan->sums_at));
        return nst_append_mix_gradients(plan, view);
    }
    struct block block = {.in = plan->lists_at};
    while (next_block(plan, view, &block)) {
        if (f->statistic != FORM_GIVEN)
            TRY(append_reduction(plan, view, kernel_sums, ST_SUM_STATISTICS, &block));
        const struct nst_job job = {.kernel = kernel_coefficients,
                                    .view = view,
                                    .tile = {block.group0, block.group1, 0, view->chunks},
                                    .units = (uint64_t)(block.group1 - block.group0),
                                    .slots = NO_SLOTS,
                                    .in = block.in,
                                    .inputs = 1};
        plan->barrier = true;
        TRY(nst_append(plan, &job));
    }
    return NORMA_OK;
}

// What a reduction has found of the block's groups to a tensor: sums (of a parameter's gradient, whose elements the
// groups are then, or of groups), or with kernel_result the result of a scan.
static norma_status append_write(struct nst *plan, const struct nst_view *view, const char *kernel, uint32_t output,
                                 const struct block *block, norma_arg to)
{
    const struct nst_job job = {.kernel = kernel,
                                .view = view,
                                .tile = {block->group0, block->group1, 0, view->chunks},
                                .units = (uint64_t)(block->group1 - block->group0),
                                .slots = {NONE, to, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
                                .written = 1u << ST_TO,
                                .output = output,
                                .in = block->in,
                                .inputs = 1};
    plan->barrier = true;
    return nst_append(plan, &job);
}

// What a scan of no elements leaves: folds without inputs.
static norma_status append_nothing(struct nst *plan, const struct nst_view *view, uint32_t output, struct block *block)
{
    const struct nst_job job = {.kernel = kernel_fold,
                                .view = view,
                                .tile = {block->group0, block->group1, 0, view->chunks},
                                .units = (uint64_t)(block->group1 - block->group0),
                                .slots = NO_SLOTS,
                                .out = (uint32_t)(plan->lists_at - (uint64_t)block->group0),
                                .outputs = 1,
                                .output = output};
    block->in = job.out;
    plan->barrier = true;
    return nst_append(plan, &job);
}

// A reduction by kernel_sums or kernel_scan into the tensor `to`.
static norma_status append_reduced(struct nst *plan, const struct nst_view *view, const char *kernel, uint32_t output,
                                   norma_arg to)
{
    struct block block = {0};
    while (next_block(plan, view, &block)) {
        if (kernel == kernel_scan && view->form->no_elements)
            TRY(append_nothing(plan, view, output, &block));
        else
            TRY(append_reduction(plan, view, kernel, output, &block));
        TRY(append_write(plan, view, kernel == kernel_scan ? kernel_result : kernel_write, output, &block, to));
    }
    return NORMA_OK;
}

// batch_norm_merge: the lists begin with the parts.
static norma_status append_parts(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    struct block block = {0};
    while (next_block(plan, view, &block)) {
        struct nst_job job = {.kernel = kernel_gather,
                              .view = view,
                              .slots = NO_SLOTS,
                              .output = f->backward,
                              .out = (uint32_t)(plan->lists_at - (uint64_t)block.group0 * (uint64_t)f->n),
                              .outputs = (uint32_t)f->n};
        job.slots[ST_PARTS] = NORMA_ARG_PARTS;
        plan->barrier = block.group0 > 0; // whoever read the lists of the block before is through
        TRY(append_tiles(plan, &job, block.group0, block.group1));
        TRY(append_levels(plan, view, f->backward ? kernel_add : kernel_merge, 0, &block));
        TRY(f->backward ? append_write(plan, view, kernel_write, 0, &block, NORMA_ARG_SUMS)
                        : append_finish(plan, view, &block, ST_FINISH_LISTS));
    }
    return NORMA_OK;
}

static norma_status append_parameter(struct nst *plan, const struct nst_view *whole, norma_arg gradient,
                                     uint32_t output)
{
    struct norma_form form;
    struct nst_view view;
    if (!whole->form->arg[gradient].present)
        return NORMA_OK;
    if (!nst_parameter_fits(whole->form, gradient))
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: %d dimensions of x remain; over all or none of them at most %d",
                          norma_arg_name(gradient), whole->form->rank, FORM_RANK - 1);
    nst_parameter_view(whole, gradient, &form, &view);
    if (form.n > INT32_MAX)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: sums of %lld elements; at most %d", norma_arg_name(gradient),
                          (long long)form.n, INT32_MAX);
    if (block_groups(plan, &view) == 0)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: no room for its sums", norma_arg_name(gradient));
    return append_reduced(plan, &view, kernel_sums, output, gradient);
}

static norma_status append_grad(struct nst *plan, const struct nst_view *view, norma_arg gradient, uint32_t output)
{
    if (!view->form->arg[gradient].present)
        return NORMA_OK;
    const struct nst_job job = {.kernel = kernel_grad,
                                .view = view,
                                .slots = ELEMENT_SLOTS(gradient, NORMA_ARG_DSUM),
                                .written = 1u << ST_TO,
                                .output = output};
    plan->barrier = true;
    return append_tiles(plan, &job, 0, view->form->groups);
}

// Whether the gradient has an element for each of x.
static bool is_whole(const struct norma_form *f, norma_arg gradient)
{
    for (int32_t d = 0; d < f->rank; d++)
        if (f->extent[d] > 1 && f->arg[gradient].stride[d] == 0)
            return false;
    return true;
}

static norma_status append_backward(struct nst *plan, const struct nst_view *view)
{
    static const struct {
        norma_arg arg;
        uint32_t output;
    } whole[] = {{NORMA_ARG_DADDEND, ST_OUT_DADDEND},
                 {NORMA_ARG_DZ, ST_OUT_DZ},
                 {NORMA_ARG_DRESIDUAL, ST_OUT_DRESIDUAL},
                 {NORMA_ARG_DX, ST_OUT_DX}};
    const struct norma_form *f = view->form;
    const bool gate_whole = f->arg[NORMA_ARG_DGATE].present && is_whole(f, NORMA_ARG_DGATE);
    if (f->op == NORMA_BATCH_NORM_STATS)
        TRY(append_reduced(plan, view, kernel_sums, ST_SUM_STATISTICS, NORMA_ARG_SUMS));
    else if (f->statistic != FORM_MERGED) // then finish has written the coefficients
        TRY(append_coefficients(plan, view));
    TRY(append_parameter(plan, view, NORMA_ARG_DWEIGHT, ST_SUM_DWEIGHT));
    TRY(append_parameter(plan, view, NORMA_ARG_DBIAS, ST_SUM_DBIAS));
    TRY(append_parameter(plan, view, NORMA_ARG_DINPUT_BIAS, ST_SUM_DINPUT_BIAS));
    if (gate_whole)
        TRY(append_grad(plan, view, NORMA_ARG_DGATE, ST_OUT_DGATE));
    else
        TRY(append_parameter(plan, view, NORMA_ARG_DGATE, ST_SUM_DGATE));
    // What lies in the place of an input comes last.
    for (int last = 0; last < 2; last++)
        for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
            if ((whole[i].arg == f->in_place) == (last == 1))
                TRY(append_grad(plan, view, whole[i].arg, whole[i].output));
    return NORMA_OK;
}

// The tensor in slot ST_Y_SCALE: a scale that is given.
static norma_arg given_scale(const struct norma_form *f)
{
    return f->arg[NORMA_ARG_Y_SCALE].present && !f->dynamic_scale ? NORMA_ARG_Y_SCALE : NONE;
}

static norma_status append_scans(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    if (f->arg[NORMA_ARG_NONFINITE].present)
        TRY(append_reduced(plan, view, kernel_scan, ST_SCAN_NONFINITE, NORMA_ARG_NONFINITE));
    if (f->dynamic_scale)
        TRY(append_reduced(plan, view, kernel_scan,
                           f->arg[NORMA_ARG_Y].dtype == NORMA_INT8 ? ST_SCAN_INT8 : ST_SCAN_FLOAT8, NORMA_ARG_Y_SCALE));
    return NORMA_OK;
}

// y may lie in the place of x: all that reads x comes before.
static norma_status append_forward(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    TRY(append_scans(plan, view));
    if (!f->arg[NORMA_ARG_Y].present && !f->arg[NORMA_ARG_SUM].present)
        return NORMA_OK;
    struct nst_job job = {.kernel = kernel_apply,
                          .view = view,
                          .slots = ELEMENT_SLOTS(NORMA_ARG_Y, NORMA_ARG_SUM),
                          .written = 1u << ST_TO | 1u << ST_SUM};
    job.slots[ST_Y_SCALE] = given_scale(f);
    plan->barrier = true;
    return append_tiles(plan, &job, 0, f->groups);
}

// Elements read their neighbours, so a tile has whole groups. The kernel's loops go through the window twice; in the
// rest of it each dimension of each tensor is one iteration at most. Half of what a device allows, as for rows.
static norma_status append_window(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    const uint64_t window = npl_min((uint64_t)f->window_before + 1 + f->window_after, (uint64_t)f->n);
    const uint64_t limit = plan->caps->max_iterations;
    if (limit && 2 * window + 2 * ST_SLOTS * FORM_RANK > limit / 2)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "local_size: a window of %llu channels exceeds the device's limits",
                          (unsigned long long)window);
    struct nst_job job = {
        .kernel = kernel_window, .view = view, .slots = ELEMENT_SLOTS(NORMA_ARG_Y, NONE), .written = 1u << ST_TO};
    job.slots[ST_Y_SCALE] = given_scale(f);
    TRY(append_scans(plan, view));
    return append_tiles(plan, &job, 0, f->groups);
}

static uint64_t or_unlimited(uint64_t limit)
{
    return limit ? limit : UINT64_MAX;
}

// Cells for every group, lists for as many groups as half the largest range, or a quarter of the budget, can have.
static norma_status lay_out(struct nst *plan, const struct nst_view *view)
{
    const struct norma_form *f = view->form;
    const uint64_t groups = (uint64_t)f->groups, most = npl_min(plan->max_range, plan->budget / 4) / 16;
    plan->cells = f->backward || f->dynamic_scale ? 2 * groups : groups; // coefficients, or scales of y
    plan->coefficients_at = (uint32_t)groups;
    if (f->mix) { // groups, samples and channels
        const uint64_t kinds = groups + (uint64_t)f->samples + (uint64_t)f->channels;
        plan->moments_at = (uint32_t)plan->cells;
        plan->sums_at = (uint32_t)(plan->cells + kinds);
        plan->cells += f->backward ? 2 * kinds : kinds;
    }
    plan->renorm_at = (uint32_t)plan->cells;
    plan->cells += f->renorm ? groups : 0;
    plan->lists_at = (uint32_t)plan->cells;
    // Lists of all groups at once, and of a parameter's whole sum: a chunk of it has 2048 elements at least.
    const bool counted = f->statistic == FORM_PARTS && !f->backward;
    uint64_t wanted = groups * (uint64_t)view->inputs[0] * 2 + groups * (uint64_t)f->n / 1024 + 4096;
    wanted = wanted * (counted ? 2 : 1) + (f->mix ? nst_mix_lists(f) : 0);
    if (plan->cells >= most / 2)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: %llu groups; their statistics exceed the device's limits",
                          (unsigned long long)groups);
    plan->lists = npl_min(wanted, most - plan->cells);
    if (f->mix && plan->lists < nst_mix_lists(f))
        return norma_fail(NORMA_ERROR_UNSUPPORTED,
                          "x: %llu groups; the mix of their statistics exceeds the device's limits",
                          (unsigned long long)groups);
    plan->schedule->workspace = (plan->cells + plan->lists) * 16;
    if (counted)
        plan->counts = (uint32_t)(plan->lists /= 2);
    if (block_groups(plan, view) == 0)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: groups of %lld elements have too many chunks", (long long)f->n);
    return NORMA_OK;
}

static norma_status schedule_strided(const struct norma_form *form, struct nst *plan)
{
    struct nst_view view;
    int32_t shifts[FORM_RANK];
    if (form->rank + (int32_t)nst_shifts(form, shifts) > FORM_RANK)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: more than %d dimensions remain, sizes of channel_block counted",
                          FORM_RANK);
    nst_view_init(&view, form);
    int64_t stride = 1;
    for (int32_t d = form->group_rank - 1; d >= 0; d--) {
        view.cell_stride[d] = stride;
        stride *= form->extent[d];
    }
    view.whole = form->statistic == FORM_WINDOW;
    if (form->statistic == FORM_PARTS)
        nst_view_set_inputs(&view, form->n);
    TRY(lay_out(plan, &view));
    if (form->statistic == FORM_PARTS)
        return append_parts(plan, &view);
    if (form->statistic == FORM_WINDOW)
        return append_window(plan, &view);
    TRY(append_statistics(plan, &view));
    if (form->count_batches)
        TRY(nst_append_count(plan, &view));
    return form->backward ? append_backward(plan, &view) : append_forward(plan, &view);
}

norma_status norma_schedule_form(const struct norma_form *form, const struct norma_caps *caps,
                                 const struct norma_plan_options *options, struct norma_schedule *schedule)
{
    const bool scalar = caps->api == NORMA_DRIVER_SCALAR;
    *schedule = (struct norma_schedule){.variant = scalar ? "scalar" : norma_variant_strided, .strided = true};
    if (form->groups == 0 || form->n == 0)
        return NORMA_OK;
    if (options->variant && strcmp(options->variant, schedule->variant) != 0)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "variant: \"%s\" is for rows", options->variant);
    if (!scalar && form->float64)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: float64 is for the scalar path");
    schedule->tiles = 1;
    schedule->tile_rows = form->groups;
    if (scalar)
        return nst_schedule_scalar(form, options, schedule);
    struct nst plan = {.caps = caps, .options = options, .schedule = schedule};
    plan.quads = !((options->left_out | caps->left_out) & norma_variant_bit(norma_variant_quads));
    if (options->room) {
        schedule->borrowed = true;
        schedule->dispatches = options->room->dispatches;
        plan.dispatch_capacity = options->room->capacity;
    }
    plan.align = npl_max(caps->offset_align, 1);
    plan.max_range = npl_min(or_unlimited(caps->max_range), (uint64_t)1 << 33);
    plan.budget = or_unlimited(options->memory_budget ? options->memory_budget : caps->memory / 2);
    const double bytes =
        options->rate > 0 ? options->rate * (options->max_seconds > 0 ? options->max_seconds : 0.1) : 0;
    plan.time_bytes = bytes > 0 && bytes < 1e18 ? (uint64_t)bytes : UINT64_MAX;
    return schedule_strided(form, &plan);
}
