// Gradients. Those of parameters are summed element by element of the parameter, in the order of the dimensions that it
// repeats over, whatever the number of threads. Any gradient may lie in the place of an input of its shape, so that
// these sums are taken before a gradient of x's shape is written, and written after it.
#include "strided.h"

#include <math.h>

static const norma_arg gradients[] = {NORMA_ARG_DX,      NORMA_ARG_DRESIDUAL, NORMA_ARG_DZ,    NORMA_ARG_DADDEND,
                                      NORMA_ARG_DWEIGHT, NORMA_ARG_DBIAS,     NORMA_ARG_DGATE, NORMA_ARG_DINPUT_BIAS};
enum { GRADIENTS = sizeof gradients / sizeof gradients[0] };

// Fills a stretch up to g.
static void evaluate_g(const struct strided *s, const struct strided_walk *at, const struct strided_cell *cell,
                       struct strided_stretch *o)
{
    const struct norma_form *f = s->form;
    const bool z_behind = nsc_strided_has(s, NORMA_ARG_Z) && !f->z_first;
    const bool weight = nsc_strided_has(s, NORMA_ARG_WEIGHT);
    nsc_strided_evaluate(s, at, cell, o);
    nsc_strided_load(s, NORMA_ARG_DY, at, o->dv2);
    for (int64_t i = 0; i < at->count; i++) {
        o->dv2[i] *= nsc_activation_derivative(f->activation, s->slope, o->v2[i]);
        o->dv1[i] = z_behind ? o->dv2[i] * o->act_z[i] : o->dv2[i];
        o->g[i] = weight ? o->dv1[i] * o->factor[i] : o->dv1[i];
        o->g[i] = f->renorm ? o->g[i] * cell->r : o->g[i];
    }
}

static double sign(double t)
{
    return (t > 0) - (t < 0);
}

// Fills a stretch up to dh.
static void evaluate_dh(const struct strided *s, const struct strided_walk *at, const struct strided_cell *cell,
                        struct strided_stretch *o)
{
    const bool z_first = nsc_strided_has(s, NORMA_ARG_Z) && s->form->z_first;
    evaluate_g(s, at, cell, o);
    for (int64_t i = 0; i < at->count; i++) {
        o->dt[i] =
            cell->factor * ((o->g[i] - cell->c0) - o->xhat[i] * cell->c1 - sign(o->t[i]) * cell->c2) * cell->scale;
        o->dh[i] = z_first ? o->dt[i] * o->act_z[i] : o->dt[i];
    }
    if (nsc_strided_has(s, NORMA_ARG_DSUM)) {
        nsc_strided_load(s, NORMA_ARG_DSUM, at, o->term);
        for (int64_t i = 0; i < at->count; i++)
            o->dh[i] = o->dh[i] + o->term[i];
    }
}

// The gradient for each element of a stretch, not yet summed over what its tensor repeats.
static const double *gradient(const struct strided *s, norma_arg arg, int64_t count, struct strided_stretch *o)
{
    const struct norma_form *f = s->form;
    switch (arg) {
    case NORMA_ARG_DRESIDUAL:
        return o->dh;
    case NORMA_ARG_DADDEND:
        return o->dv2;
    case NORMA_ARG_DBIAS:
        return o->dv1;
    case NORMA_ARG_DWEIGHT:
        for (int64_t i = 0; i < count; i++)
            o->term[i] = o->dv1[i] * o->normalised[i];
        return o->term;
    case NORMA_ARG_DGATE:
        for (int64_t i = 0; i < count; i++)
            o->term[i] = o->dh[i] * o->u[i];
        return o->term;
    case NORMA_ARG_DZ:
        for (int64_t i = 0; i < count; i++)
            o->term[i] = (f->z_first ? o->dt[i] * o->h[i] : o->dv2[i] * o->v0[i]) *
                         nsc_activation_derivative(f->z_activation, s->slope, o->z[i]);
        return o->term;
    default: // dx and dinput_bias
        if (!nsc_strided_has(s, NORMA_ARG_GATE))
            return o->dh;
        for (int64_t i = 0; i < count; i++)
            o->term[i] = o->dh[i] * o->gate[i];
        return o->term;
    }
}

// True where a gradient that was asked for goes through the statistics.
static bool needs_coefficients(const struct strided *s)
{
    return nsc_strided_has(s, NORMA_ARG_DX) || nsc_strided_has(s, NORMA_ARG_DRESIDUAL) ||
           nsc_strided_has(s, NORMA_ARG_DGATE) || nsc_strided_has(s, NORMA_ARG_DINPUT_BIAS) ||
           (nsc_strided_has(s, NORMA_ARG_DZ) && s->form->z_first);
}

void nsc_strided_group_sums(const struct strided *s, int64_t group, const struct strided_cell *cell,
                            struct strided_stretch *o, double *sum_g, double *sum_gx)
{
    struct strided_walk at = nsc_strided_group(s->form, group);
    *sum_g = *sum_gx = 0;
    do {
        double g = 0, gx = 0;
        evaluate_g(s, &at, cell, o);
        for (int64_t i = 0; i < at.count; i++) {
            g += o->g[i];
            gx += o->g[i] * o->xhat[i];
        }
        *sum_g += g;
        *sum_gx += gx;
    } while (nsc_strided_next(&at));
}

// With S the sum of g*xhat. The factor rstd has the derivative -rstd*xhat_i/n in t_i where it comes from the variance,
// -rstd*xhat_i where it is 1/norm of order 2, -rstd^2*sign(t_i) where it is that of order 1, and 0 where it is 1/eps.
// Of 1/(norm + eps) or 1/(sd + eps) it is (norm + eps)/norm times that, and taken to be 0 where the norm is 0: 0/0.
static void find_coefficients(const struct strided *s, int64_t group, struct strided_cell *cell,
                              struct strided_stretch *o)
{
    const struct norma_form *f = s->form;
    const struct strided_walk at = nsc_strided_group(f, group);
    double sums[FORM_SUMS_ROWS];
    if (f->statistic == FORM_GIVEN)
        return;
    if (f->statistic == FORM_MERGED)
        nsc_strided_load_sums(s, &at, sums);
    else
        nsc_strided_group_sums(s, group, cell, o, &sums[FORM_SUM_G], &sums[FORM_SUM_GX]);
    const double eps = s->eps * cell->scale;
    const double sum_gx = f->scale == FORM_MAX && cell->norm <= eps ? 0 : sums[FORM_SUM_GX];
    if (f->statistic == FORM_MOMENTS || f->statistic == FORM_MERGED)
        cell->c0 = sums[FORM_SUM_G] / cell->count;
    if (f->statistic == FORM_ABSOLUTES)
        cell->c2 = sum_gx;
    else if (f->scale == FORM_VARIANCE)
        cell->c1 = sum_gx / cell->count;
    else if (f->scale == FORM_ADD || f->scale == FORM_DEVIATION)
        cell->c1 = cell->norm == 0 ? 0 : sum_gx * ((cell->norm + eps) / cell->norm);
    else
        cell->c1 = sum_gx;
    if (f->scale == FORM_DEVIATION)
        cell->c1 /= cell->count;
}

static void find_cell(const struct strided *s, int64_t group, struct strided_cell *cell, struct strided_stretch *o)
{
    nsc_strided_statistics(s, group, cell, o);
    if (needs_coefficients(s))
        find_coefficients(s, group, cell, o);
}

static void run_cells(void *user, uint64_t first, uint64_t count)
{
    const struct strided *s = user;
    struct strided_stretch o;
    for (uint64_t group = first; group < first + count; group++)
        find_cell(s, (int64_t)group, &s->cells[group], &o);
}

// The output `sums` of batch_norm_stats.
static void run_group_sums(void *user, uint64_t first, uint64_t count)
{
    const struct strided *s = user;
    struct strided_stretch o;
    for (uint64_t group = first; group < first + count; group++) {
        const struct strided_walk at = nsc_strided_group(s->form, (int64_t)group);
        struct strided_cell cell;
        double sums[FORM_SUMS_ROWS];
        nsc_strided_statistics(s, (int64_t)group, &cell, &o);
        nsc_strided_group_sums(s, (int64_t)group, &cell, &o, &sums[FORM_SUM_G], &sums[FORM_SUM_GX]);
        nsc_strided_store_sums(s, &at, sums);
    }
}

// True for a gradient that is not summed: one of x's shape.
static bool is_whole(const struct norma_form *f, norma_arg arg)
{
    if (arg == NORMA_ARG_DX || arg == NORMA_ARG_DRESIDUAL || arg == NORMA_ARG_DZ || arg == NORMA_ARG_DADDEND)
        return true;
    for (int32_t d = 0; d < f->rank; d++)
        if (f->extent[d] != 1 && f->arg[arg].stride[d] == 0)
            return false;
    return true;
}

static void run_whole(void *user, uint64_t first, uint64_t count)
{
    const struct strided *s = user;
    struct strided_stretch o;
    for (uint64_t group = first; group < first + count; group++) {
        struct strided_walk at = nsc_strided_group(s->form, (int64_t)group);
        struct strided_cell cell;
        if (s->cells)
            cell = s->cells[group];
        else
            find_cell(s, (int64_t)group, &cell, &o);
        do {
            evaluate_dh(s, &at, &cell, &o);
            for (int i = 0; i < GRADIENTS; i++)
                if (nsc_strided_has(s, gradients[i]) && is_whole(s->form, gradients[i]))
                    nsc_strided_store(s, gradients[i], &at, gradient(s, gradients[i], at.count, &o));
        } while (nsc_strided_next(&at));
    }
}

enum { BLOCK = 64 }; // elements of a parameter that lie along the last dimension and are summed at once

// The sums of the parameters that have elements along the dimensions `own`. A unit is a block along the last dimension
// where that is one of them, else one element.
struct sum_job {
    const struct strided *s;
    uint32_t own;
    int args;
    norma_arg arg[GRADIENTS];
    int64_t blocks; // of the last dimension
};

static bool sums_along(const struct sum_job *job)
{
    return job->own >> (job->s->form->rank - 1) & 1;
}

// Of a gradient: what its elements have so far, and of float64 what that has lost by rounding (Knuth's two-sum):
// thousands of equal terms are rounded the same way again and again.
struct sum {
    double total[BLOCK], low[BLOCK];
};

static void add_exactly(struct sum *sum, int64_t i, double value)
{
    const double before = sum->total[i], after = before + value, part = after - before;
    sum->total[i] = after;
    sum->low[i] += (before - (after - part)) + (value - part);
}

// The low part of an infinite sum is NaN.
static double end_of(const struct sum *sum, int64_t i)
{
    return isfinite(sum->total[i]) ? sum->total[i] + sum->low[i] : sum->total[i];
}

// What is added up for one unit.
static void sum_unit(const struct sum_job *job, struct strided_walk *at, struct sum sums[GRADIENTS],
                     struct strided_stretch *o)
{
    const struct strided *s = job->s;
    const struct norma_form *f = s->form;
    const bool along = sums_along(job);
    do {
        const int64_t group = nsc_strided_number(f, nsc_strided_group_dims(f), at->index);
        evaluate_dh(s, at, &s->cells[group], o);
        for (int a = 0; a < job->args; a++) {
            const double *values = gradient(s, job->arg[a], at->count, o);
            double stretch = 0;
            for (int64_t i = 0; i < at->count && f->float64; i++)
                add_exactly(&sums[a], along ? i : 0, values[i]);
            for (int64_t i = 0; i < at->count && along && !f->float64; i++)
                sums[a].total[i] += values[i];
            for (int64_t i = 0; i < at->count && !along && !f->float64; i++)
                stretch += values[i];
            sums[a].total[0] += stretch;
        }
    } while (nsc_strided_next(at));
}

static void run_sums(void *user, uint64_t first, uint64_t count)
{
    const struct sum_job *job = user;
    const struct norma_form *f = job->s->form;
    const uint32_t last = 1u << (f->rank - 1), all = (1u << f->rank) - 1;
    struct strided_stretch o;
    for (uint64_t unit = first; unit < first + count; unit++) {
        const int64_t begin = (int64_t)unit % job->blocks * BLOCK;
        int64_t index[FORM_RANK] = {0}, elements = 1;
        struct sum sums[GRADIENTS] = {{{0}, {0}}};
        nsc_strided_set_index(f, job->own & ~last, (int64_t)unit / job->blocks, index);
        index[f->rank - 1] = begin;
        struct strided_walk at = nsc_strided_walk(f, all & ~job->own, index);
        if (sums_along(job)) {
            elements = f->extent[f->rank - 1] - begin;
            at.count = elements = elements < BLOCK ? elements : BLOCK;
        }
        if (nsc_strided_size(f, all & ~job->own) > 0)
            sum_unit(job, &at, sums, &o);
        const int64_t number = nsc_strided_number(f, job->own, index);
        for (int a = 0; a < job->args; a++)
            for (int64_t i = 0; i < elements; i++)
                job->s->sums[job->arg[a]][number + i] = end_of(&sums[a], i);
    }
}

// Sums gradient number `first` and those behind it that have elements along the same dimensions.
static norma_status sum_parameters(struct norma_device *device, struct strided *s, int first)
{
    const struct norma_form *f = s->form;
    struct sum_job job = {.s = s, .own = nsc_strided_own_dims(f, gradients[first]), .blocks = 1};
    const int64_t size = nsc_strided_size(f, job.own);
    if (size == 0)
        return NORMA_OK;
    for (int i = first; i < GRADIENTS; i++) {
        const norma_arg arg = gradients[i];
        if (!nsc_strided_has(s, arg) || is_whole(f, arg) || nsc_strided_own_dims(f, arg) != job.own)
            continue;
        s->sums[arg] = norma_alloc(device->allocator, (size_t)size * sizeof *s->sums[arg]);
        if (!s->sums[arg])
            return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
        job.arg[job.args++] = arg;
    }
    int64_t units = size;
    if (sums_along(&job)) {
        job.blocks = (f->extent[f->rank - 1] + BLOCK - 1) / BLOCK;
        units = size / f->extent[f->rank - 1] * job.blocks;
    }
    nsc_run(device, &(struct nsc_job){run_sums, &job, (uint64_t)units, 1}, (uint64_t)(f->groups * f->n) * 32);
    return NORMA_OK;
}

static void store_sums(const struct strided *s, norma_arg arg)
{
    const struct norma_form *f = s->form;
    const uint32_t own = nsc_strided_own_dims(f, arg);
    const int64_t size = nsc_strided_size(f, own);
    for (int64_t i = 0; i < size; i++) {
        int64_t index[FORM_RANK] = {0};
        nsc_strided_set_index(f, own, i, index);
        struct strided_walk at = nsc_strided_walk(f, 0, index);
        nsc_strided_store(s, arg, &at, &s->sums[arg][i]);
    }
}

static norma_status find_all(struct norma_device *device, struct strided *s, bool whole, bool summed)
{
    const struct norma_form *f = s->form;
    const bool elements = f->groups > 0 && f->n > 0;
    if (f->mix && elements) {
        norma_status status = nsc_switch_cells(device, s);
        if (status == NORMA_OK)
            status = nsc_switch_gradients(device, s);
        if (status != NORMA_OK)
            return status;
    } else if (summed && elements) {
        s->cells = norma_alloc(device->allocator, (size_t)f->groups * sizeof *s->cells);
        if (!s->cells)
            return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
        nsc_strided_run(device, s, run_cells);
    }
    for (int i = 0; i < GRADIENTS; i++) {
        if (!nsc_strided_has(s, gradients[i]) || is_whole(f, gradients[i]) || s->sums[gradients[i]])
            continue;
        norma_status status = sum_parameters(device, s, i);
        if (status != NORMA_OK)
            return status;
    }
    if (whole && elements)
        nsc_strided_run(device, s, run_whole);
    for (int i = 0; i < GRADIENTS; i++)
        if (s->sums[gradients[i]])
            store_sums(s, gradients[i]);
    return NORMA_OK;
}

norma_status nsc_strided_backward(struct norma_device *device, struct strided *s)
{
    bool whole = false, summed = false;
    for (int i = 0; i < GRADIENTS; i++) {
        if (!nsc_strided_has(s, gradients[i]))
            continue;
        whole = whole || is_whole(s->form, gradients[i]);
        summed = summed || !is_whole(s->form, gradients[i]);
    }
    norma_status status = find_all(device, s, whole, summed);
    if (s->form->op == NORMA_BATCH_NORM_STATS && status == NORMA_OK)
        nsc_strided_run(device, s, run_group_sums);
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        norma_free(s->sums[a]);
    norma_free(s->cells);
    norma_free(s->moments);
    return status;
}
