// Running statistics: their update, and the r and d of batch renorm.
#include "form_point.h"

#include <math.h>

// Of a group among those that share its running statistics.
static int64_t member_of(const struct norma_form *f, const int64_t index[FORM_RANK])
{
    int64_t member = 0;
    for (int32_t d = 0; d < f->group_rank; d++)
        if (f->arg[NORMA_ARG_RUNNING_MEAN].stride[d] == 0)
            member = member * f->extent[d] + index[d];
    return member;
}

// kept*running + momentum*batch in an entry that holds running (value, its error: bound) before and after. Two
// products, of which one has 1 - momentum: 4u of the first, half a step each among the denormals and the batch's own
// half. What overflows the tensor's type between two batches is an infinity; 0 times that is NaN, as in PyTorch, and no
// bound is left where running is no number.
static void blend_running(const struct task *k, int64_t member, long double *value, long double *bound,
                          long double batch, long double e_batch)
{
    const bool cumulative = k->form->cumulative, finite = isfinite(*value);
    const long double largest = k->form->float64 ? 0x1.fffffffffffff8p+1023L : 0x1.ffffffp+127L;
    const int64_t no_index[FORM_RANK] = {0};
    const long double batches = point_load(k, NORMA_ARG_NUM_BATCHES_TRACKED, no_index, 0) + member + 1;
    const long double momentum = cumulative ? 1 / batches : k->momentum, kept = (1 - momentum) * *value;
    // The number of batches is rounded twice and divided by, which is within 8u of the momentum.
    const long double e_momentum = cumulative ? 8 * k->u * momentum * (fabsl(*value) + fabsl(batch)) : 0;
    *value = kept + momentum * batch;
    *bound = finite ? (1 - momentum) * *bound + 4 * k->u * fabsl(kept) + momentum * e_batch + e_momentum + k->least : 0;
    if (fabsl(*value) >= largest)
        *value = copysignl((long double)INFINITY, *value);
}

// Running statistics are gathered here as sums over the groups that share them, see running_update; groups in order
// are put in at once.
void running_write(const struct task *k, norma_arg arg, const int64_t index[FORM_RANK], long double batch,
                   long double e_batch)
{
    if (!k->out[arg].value || !k->form->in_order) {
        point_add(k, arg, index, batch, e_batch);
        return;
    }
    const int64_t entry = point_entry(k->form, arg, index);
    blend_running(k, member_of(k->form, index), &k->out[arg].value[entry], &k->out[arg].bound[entry], batch, e_batch);
}

// Where groups go in one after the other, an entry begins as what it was; elsewhere it ends as the old one and the mean
// over the groups that share it (the samples of an instance norm).
void running_update(const struct task *k, norma_arg arg, bool before)
{
    const struct norma_form *f = k->form;
    const struct form_reference_output *out = &k->out[arg];
    const int64_t count = form_output_count(f, arg);
    const bool empty = f->groups == 0 || f->n == 0; // nothing is computed
    for (int64_t i = 0; i < count; i++) {
        long double running = point_load_at(k, arg, form_output_offset(f, arg, i)), bound = 0;
        if (before ? empty || !f->in_order : !empty && f->in_order)
            continue;
        if (!before && !empty && !merged_is_untrained(k, i))
            blend_running(k, 0, &running, &bound, out->value[i] / (f->groups / count),
                          out->bound[i] / (f->groups / count));
        out->value[i] = running;
        out->bound[i] = bound;
    }
}

static long double clipped(long double v, long double low, long double high)
{
    return v < low ? low : v > high ? high : v; // a NaN stays
}

// How far an error e of v can move the clipped v.
static long double clipped_error(long double v, long double e, long double low, long double high)
{
    const long double here = clipped(v, low, high);
    return isinf(v) ? 0 : fmaxl(clipped(v + e, low, high) - here, here - clipped(v - e, low, high));
}

// r has the error of rstd, 8u, and those of a root, a product and two divisions: 16u. The difference of the means is
// taken from a mean that is kept as a pair: the 8u of a deviation that xhat is allowed, 4u of the difference and the
// steps of denormals; then the root and a division.
void running_renorm(const struct task *k, const int64_t index[FORM_RANK], struct statistics *st)
{
    const struct norma_form *f = k->form;
    const long double u = k->u, r_max = f->float64 ? f->r_max64 : f->r_max, d_max = f->float64 ? f->d_max64 : f->d_max;
    if (f->backward) {
        st->r = point_load(k, NORMA_ARG_R, index, 1);
        st->d = point_load(k, NORMA_ARG_D, index, 0);
        return;
    }
    const long double sd = sqrtl(point_load(k, NORMA_ARG_RUNNING_VAR, index, 1) + k->eps);
    const long double apart = (st->mean - point_load(k, NORMA_ARG_RUNNING_MEAN, index, 0)) + st->mean_rest;
    const long double e_apart = 8 * u * st->deviation + 4 * u * fabsl(apart) + st->e_mean + 4 * k->least;
    const long double ratio = 1 / (st->s * sd), shift = apart / sd;
    const long double e_ratio = st->e_s < 0.5L ? (16 * u + 2 * st->e_s) * ratio : (long double)INFINITY;
    st->r = clipped(ratio, 1 / r_max, r_max);
    st->d = clipped(shift, -d_max, d_max);
    st->e_r = clipped_error(ratio, e_ratio, 1 / r_max, r_max) + 2 * u * st->r;
    st->e_d = clipped_error(shift, e_apart / sd + 4 * u * fabsl(shift), -d_max, d_max) + 2 * u * fabsl(st->d);
}
