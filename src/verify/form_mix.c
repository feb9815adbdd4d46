// switchable_norm: groups that have the mix of three kinds of statistics.
#include "form_point.h"

#include <math.h>
#include <stdlib.h>

// Bounds, beside those of form_point.h. Of a kind k of n_k elements: sd_k its deviation, d_k its mean less the
// instance's, and of the errors e_t their mean and their root mean square r_k.
//
// The weights. exp of the difference from the largest weight is within 2u; the sum of three of them within 4u, the
// quotient alpha_k within 7u of itself.
// The mean M = mean_instance + sum_k alpha_k*d_k. Every kind's mean is within 2u of its deviation (rule 2 of the
// contract), and of each alpha_k*d_k there are 7u of alpha_k and four roundings (two of d_k, the product, the sum):
//   e_mix = 2u*sum_k alpha_k*sd_k + 11u*sum_k alpha_k*|d_k|
// The contract's 8u*(|xhat| + 1) has room for 2u/S (S = rstd) of it, where a group's deviation is 1/S; deviations that
// weigh in the mean and not in the variance may be larger, and what is more comes on top of it, as e_mean does.
// The variance: a mix of positive terms, each within the 16u that rstd's 8u allow.
// Backward adds up what other groups send: dM_j = -S_j*G_j and dV_j = -S_j^2*X_j/2 with G_j the sum of g, X_j that of
// g*xhat. The 16u of every sum go with the magnitudes of its terms; X_j has 2u*sum|g| beside it for the mean's 2u.
// delta_k = S*(M - mean_k) is off by S*(e_mix + 2u*sd_k + 4u*|d_k|).

enum { INSTANCE, LAYER, BATCH };

struct kind {
    long double mean, rest; // a pair, as in struct statistics
    long double var, e_mean, e_var;
    long double n;
    // Sums over the kind's groups: of S*G and S^2*X, of their terms' magnitudes, of their errors.
    long double p, q, abs_p, abs_q, e_p, e_q;
};

// One group, mixed.
struct mixed {
    struct statistics st;
    struct sums sums;
    int64_t kind[FORM_KINDS];
    long double var, e_mix; // e_mix: with what e_t adds
};

struct form_mixture {
    const struct task *task;
    struct kind *kinds; // of groups, of samples, of channels
    struct mixed *groups;
    long double alpha[FORM_KINDS], beta[FORM_KINDS];
};

static void softmax(const struct task *k, norma_arg arg, long double out[FORM_KINDS])
{
    long double w[FORM_KINDS], sum = 0;
    for (int i = 0; i < FORM_KINDS; i++)
        w[i] = point_load_at(k, arg, i * k->form->arg[arg].step);
    const long double most = fmaxl(w[0], fmaxl(w[1], w[2]));
    for (int i = 0; i < FORM_KINDS; i++)
        sum += out[i] = expl(w[i] - most);
    for (int i = 0; i < FORM_KINDS; i++)
        out[i] /= sum;
}

// Mean and variance over `count` groups, `step` apart, from their elements.
static struct kind find_kind(const struct task *k, int64_t first, int64_t step, int64_t count)
{
    const long double n = (long double)count * (long double)k->form->n;
    struct kind kind = {.n = n};
    long double total = 0, rest = 0, squares = 0, e_squares = 0;
    struct point p;
    for (int64_t i = 0; i < count * k->form->n; i++) {
        point_begin(k, first + i / k->form->n * step, i % k->form->n, &p);
        total += p.t;
        kind.e_mean += p.e_t / n;
        e_squares += p.e_t * p.e_t / n;
    }
    kind.mean = total / n;
    for (int64_t i = 0; i < count * k->form->n; i++) {
        point_begin(k, first + i / k->form->n * step, i % k->form->n, &p);
        squares += (p.t - kind.mean) * (p.t - kind.mean);
        rest += p.t - kind.mean;
    }
    if (isfinite(rest)) {
        kind.rest = rest / n;
        squares = fmaxl(0, squares - rest * kind.rest);
    }
    kind.var = squares / n;
    // A deviation moves by the root mean square of e_t at most.
    kind.e_var = (2 * sqrtl(kind.var) + sqrtl(e_squares)) * sqrtl(e_squares);
    return kind;
}

static void find_kinds(const struct form_mixture *mix)
{
    const struct task *k = mix->task;
    const struct norma_form *f = k->form;
    struct kind *kind = mix->kinds;
    for (int64_t i = 0; i < f->groups; i++)
        *kind++ = find_kind(k, i, 0, 1);
    for (int64_t i = 0; i < f->samples; i++)
        *kind++ = find_kind(k, i * f->sample_step, f->channel_step, f->channels);
    for (int64_t i = 0; i < f->channels; i++, kind++) {
        int64_t index[FORM_RANK];
        if (f->mix == FORM_MIX_TRAINING) {
            *kind = find_kind(k, i * f->channel_step, f->sample_step, f->samples);
            continue;
        }
        point_locate(f, i * f->channel_step, 0, index);
        *kind = (struct kind){.mean = point_load(k, NORMA_ARG_RUNNING_MEAN, index, 0),
                              .var = point_load(k, NORMA_ARG_RUNNING_VAR, index, 1)};
    }
}

static long double apart(const struct kind *a, const struct kind *b)
{
    return (a->mean - b->mean) + (a->rest - b->rest);
}

static struct mixed mix_group(const struct form_mixture *mix, int64_t group)
{
    const struct task *k = mix->task;
    const struct norma_form *f = k->form;
    struct mixed m = {.st = {.r = 1},
                      .kind = {group, f->groups + group / f->sample_step % f->samples,
                               f->groups + f->samples + group / f->channel_step % f->channels}};
    const struct kind *own = &mix->kinds[group];
    long double shift = 0, e_var = 0, e_t = 0;
    for (int i = 0; i < FORM_KINDS; i++) {
        const struct kind *kind = &mix->kinds[m.kind[i]];
        const long double d = apart(kind, own), alpha = mix->alpha[i];
        shift += alpha * d;
        m.var += mix->beta[i] * kind->var;
        e_var += mix->beta[i] * kind->e_var;
        e_t += alpha * kind->e_mean;
        // Running statistics are given.
        const bool given = i == BATCH && f->mix == FORM_MIX_RUNNING;
        m.e_mix += 11 * k->u * alpha * fabsl(d) + (given ? 0 : 2 * k->u * alpha * sqrtl(kind->var));
    }
    m.st.mean = own->mean + shift;
    m.st.mean_rest = isfinite(m.st.mean) ? ((own->mean - m.st.mean) + shift) + own->rest : 0;
    m.st.s = 1 / sqrtl(m.var + k->eps);
    m.st.e_mean = e_t + fmaxl(0, m.e_mix - 2 * k->u / m.st.s);
    m.e_mix += e_t;
    const long double q = e_var * m.st.s * m.st.s;
    m.st.e_s = q == 0 ? 0 : q < 1 ? 1 / sqrtl(1 - q) - 1 : (long double)INFINITY;
    return m;
}

static void write_statistics(const struct form_mixture *mix, int64_t group)
{
    const struct task *k = mix->task;
    const struct norma_form *f = k->form;
    const struct mixed *m = &mix->groups[group];
    const struct kind *batch = &mix->kinds[m->kind[BATCH]];
    const long double u = k->u, mean = m->st.mean + m->st.mean_rest, of_batch = batch->mean + batch->rest;
    const long double scale = f->running_var_biased ? 1 : batch->n / (batch->n - 1);
    int64_t index[FORM_RANK];
    point_locate(f, group, 0, index);
    point_add(k, NORMA_ARG_MEAN, index, mean, 2 * u * fabsl(mean) + m->e_mix);
    point_add(k, NORMA_ARG_RSTD, index, m->st.s, (8 * u + m->st.e_s) * m->st.s);
    if (f->mix != FORM_MIX_TRAINING)
        return;
    // As of batch norm; the caller takes the mean over the groups that share them, which are equal.
    point_add(k, NORMA_ARG_RUNNING_MEAN, index, of_batch,
              2 * u * (fabsl(of_batch) + sqrtl(batch->var)) + batch->e_mean + 4 * u * fabsl(of_batch));
    point_add(k, NORMA_ARG_RUNNING_VAR, index, batch->var * scale,
              (4 * u + 16 * u) * batch->var * scale + batch->e_var * scale);
}

// What the group sends to the statistics that it is mixed from.
static void send(const struct form_mixture *mix, struct mixed *m)
{
    const struct sums *g = &m->sums;
    const long double s = m->st.s, square = s * s;
    for (int i = 0; i < FORM_KINDS; i++) {
        struct kind *kind = &mix->kinds[m->kind[i]];
        kind->p += s * g->g;
        kind->abs_p += s * g->abs_g;
        kind->e_p += s * (g->e_g + fabsl(g->g) * m->st.e_s);
        kind->q += square * g->gx;
        kind->abs_q += square * g->abs_gx;
        kind->e_q += square * (g->e_gx + 2 * mix->task->u * g->abs_g + 2 * fabsl(g->gx) * m->st.e_s);
    }
}

// delta_k = S*(M - mean_k) and its error.
static long double delta(const struct form_mixture *mix, const struct mixed *m, int i, long double *error)
{
    const long double u = mix->task->u, s = m->st.s;
    const struct kind *kind = &mix->kinds[m->kind[i]], *own = &mix->kinds[m->kind[INSTANCE]];
    const long double value = s * ((m->st.mean - kind->mean) + (m->st.mean_rest - kind->rest));
    *error = s * (m->e_mix + 2 * u * sqrtl(kind->var) + 4 * u * fabsl(apart(kind, own)) + kind->e_mean);
    *error += fabsl(value) * m->st.e_s;
    return value;
}

// dt = S*(g - c0 - xhat*c1), as src/scalar has derived it from the formulas, here with each term's bound.
static void through_mix(const struct form_mixture *mix, const struct mixed *m, struct point *p)
{
    const long double u = mix->task->u, s = m->st.s, xhat = fabsl(p->xhat);
    long double c0 = 0, c1 = 0, size = fabsl(p->g), error = p->e_g;
    for (int i = 0; i < (mix->task->form->mix == FORM_MIX_TRAINING ? FORM_KINDS : BATCH); i++) {
        const struct kind *kind = &mix->kinds[m->kind[i]];
        const long double alpha = mix->alpha[i] / (kind->n * s), beta = mix->beta[i] / (kind->n * s * s);
        long double e_delta;
        const long double d = delta(mix, m, i, &e_delta), part = beta * kind->q;
        c0 += alpha * kind->p + part * d;
        c1 += part;
        size += alpha * kind->abs_p + beta * kind->abs_q * (fabsl(d) + xhat);
        error += 2 * u * beta * kind->abs_q + alpha * (kind->e_p + fabsl(kind->p) * m->st.e_s) + fabsl(part) * e_delta;
        error += (beta * kind->e_q + 2 * fabsl(part) * m->st.e_s) * (xhat + fabsl(d));
    }
    error += p->e_xhat * fabsl(c1);
    p->dt = s * ((p->g - c0) - p->xhat * c1);
    p->e_dt = s * (16 * u * size + error) + fabsl(p->dt) * m->st.e_s;
}

// dmean_weights[i] = alpha_i*sum(dM*(mean_i - M)), dvar_weights[i] = beta_i*sum(dV*(var_i - V)): the derivatives of a
// softmax. The variances are within 16u each, as above.
static void add_weight_gradients(const struct form_mixture *mix, const struct mixed *m, int i)
{
    const struct form_reference_output *mean = &mix->task->out[NORMA_ARG_DMEAN_WEIGHTS],
                                       *var = &mix->task->out[NORMA_ARG_DVAR_WEIGHTS];
    const struct sums *g = &m->sums;
    const long double u = mix->task->u, square = m->st.s * m->st.s;
    const struct kind *kind = &mix->kinds[m->kind[i]];
    long double e_delta;
    const long double d = delta(mix, m, i, &e_delta), v = square * (kind->var - m->var);
    if (mean->value) {
        mean->value[i] += mix->alpha[i] * g->g * d;
        mean->bound[i] += mix->alpha[i] * ((16 * u * g->abs_g + g->e_g) * fabsl(d) + fabsl(g->g) * e_delta);
    }
    if (!var->value)
        return;
    long double e_v = 16 * u * square * (kind->var + m->var) + square * kind->e_var + 3 * (fabsl(v) + 1) * m->st.e_s;
    var->value[i] += mix->beta[i] * (-0.5L * g->gx) * v;
    var->bound[i] +=
        mix->beta[i] * 0.5L * ((16 * u * g->abs_gx + g->e_gx + 2 * u * g->abs_g) * fabsl(v) + fabsl(g->gx) * e_v);
}

struct statistics form_mix_statistics(const struct form_mixture *mix, int64_t group)
{
    return mix->groups[group].st;
}

void form_mix_write(const struct form_mixture *mix, int64_t group)
{
    write_statistics(mix, group);
    for (int i = 0; i < FORM_KINDS && mix->task->form->backward; i++)
        add_weight_gradients(mix, &mix->groups[group], i);
}

void form_mix_through(const struct form_mixture *mix, int64_t group, struct point *p)
{
    through_mix(mix, &mix->groups[group], p);
    gradient_to_h(mix->task, p);
}

void form_mix_destroy(struct form_mixture *mix)
{
    if (!mix)
        return;
    free(mix->kinds);
    free(mix->groups);
    free(mix);
}

struct form_mixture *form_mix_create(const struct task *k)
{
    const struct norma_form *f = k->form;
    struct form_mixture *mix = calloc(1, sizeof *mix);
    if (!mix)
        return NULL;
    mix->task = k;
    mix->kinds = calloc((size_t)(f->groups + f->samples + f->channels), sizeof *mix->kinds);
    mix->groups = calloc((size_t)f->groups, sizeof *mix->groups);
    if (!mix->kinds || !mix->groups) {
        form_mix_destroy(mix);
        return NULL;
    }
    softmax(k, NORMA_ARG_MEAN_WEIGHTS, mix->alpha);
    softmax(k, NORMA_ARG_VAR_WEIGHTS, mix->beta);
    find_kinds(mix);
    for (int64_t i = 0; i < f->groups; i++)
        mix->groups[i] = mix_group(mix, i);
    for (int64_t i = 0; i < f->groups && f->backward; i++) {
        mix->groups[i].sums = gradient_sums(k, &mix->groups[i].st, i);
        send(mix, &mix->groups[i]);
    }
    return mix;
}
