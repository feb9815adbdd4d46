// switchable_norm: the mix of three kinds of statistics, and the gradients through it (norma_problem has the formulas).
// One thread but for the walks over x; sums over groups are long double, which also holds the square of any rstd.
#include "strided.h"

#include <math.h>

enum { INSTANCE, LAYER, BATCH };

// What the weights become, and a group's statistics of every kind.
struct mix {
    long double alpha[FORM_KINDS], beta[FORM_KINDS];
};

struct group {
    int64_t sample, channel;
    const struct strided_moments *kind[FORM_KINDS];
    long double apart[FORM_KINDS]; // the kind's mean less the instance's
    long double shift;             // the mix's mean less the instance's
    long double var;
};

static void softmax(const struct strided *s, norma_arg arg, long double out[FORM_KINDS])
{
    double w[FORM_KINDS];
    long double sum = 0;
    nsc_strided_load_kinds(s, arg, w);
    const long double most = fmax(w[0], fmax(w[1], w[2]));
    for (int k = 0; k < FORM_KINDS; k++)
        sum += out[k] = expl(w[k] - most);
    for (int k = 0; k < FORM_KINDS; k++)
        out[k] /= sum;
}

static struct mix find_mix(const struct strided *s)
{
    struct mix mix = {{0}, {0}};
    softmax(s, NORMA_ARG_MEAN_WEIGHTS, mix.alpha);
    softmax(s, NORMA_ARG_VAR_WEIGHTS, mix.beta);
    return mix;
}

static long double difference(const struct strided_moments *a, const struct strided_moments *b)
{
    return ((long double)a->mean - b->mean) + ((long double)a->mean_low - b->mean_low);
}

// About a pivot, so that a mean far from 0 costs no digits.
static struct strided_moments shifted(const struct strided_moments *pivot, long double by, long double var)
{
    struct strided_moments m = {.mean = (double)((long double)pivot->mean + (pivot->mean_low + by)), .var = var};
    m.mean_low = (double)(((long double)pivot->mean - m.mean) + (pivot->mean_low + by));
    return m;
}

// Of `count` groups of equal size, `step` apart.
static struct strided_moments merged(const struct strided_moments *first, int64_t step, int64_t count)
{
    long double total = 0, var = 0, means = 0;
    for (int64_t i = 0; i < count; i++) {
        total += difference(&first[i * step], first);
        means += first[i * step].mean / (long double)count;
    }
    if (!isfinite(means)) // inf - inf would make NaN of an infinite mean
        return (struct strided_moments){.mean = (double)means, .var = (long double)NAN};
    const long double mean = total / (long double)count;
    for (int64_t i = 0; i < count; i++) {
        const long double d = difference(&first[i * step], first) - mean;
        var += first[i * step].var + d * d;
    }
    return shifted(first, mean, var / (long double)count);
}

static struct group find_group(const struct strided *s, const struct mix *mix, int64_t group)
{
    const struct norma_form *f = s->form;
    struct group g = {.sample = group / f->sample_step % f->samples, .channel = group / f->channel_step % f->channels};
    g.kind[INSTANCE] = &s->moments[group];
    g.kind[LAYER] = &s->moments[f->groups + g.sample];
    g.kind[BATCH] = &s->moments[f->groups + f->samples + g.channel];
    for (int k = 0; k < FORM_KINDS; k++) {
        g.apart[k] = difference(g.kind[k], g.kind[INSTANCE]);
        g.shift += mix->alpha[k] * g.apart[k];
        g.var += mix->beta[k] * g.kind[k]->var;
    }
    return g;
}

static void run_moments(void *user, uint64_t first, uint64_t count)
{
    const struct strided *s = user;
    struct strided_stretch o;
    for (uint64_t group = first; group < first + count; group++)
        nsc_strided_moments(s, (int64_t)group, &s->moments[group], &o);
}

// Of samples, and of channels.
static void merge_all(const struct strided *s)
{
    const struct norma_form *f = s->form;
    struct strided_moments *layer = s->moments + f->groups, *batch = layer + f->samples;
    for (int64_t n = 0; n < f->samples; n++)
        layer[n] = merged(s->moments + n * f->sample_step, f->channel_step, f->channels);
    for (int64_t c = 0; c < f->channels; c++) {
        struct strided_walk at = nsc_strided_group(f, c * f->channel_step);
        double var;
        at.count = 1;
        if (f->mix == FORM_MIX_TRAINING) {
            batch[c] = merged(s->moments + c * f->channel_step, f->sample_step, f->samples);
            continue;
        }
        nsc_strided_load(s, NORMA_ARG_RUNNING_MEAN, &at, &batch[c].mean);
        nsc_strided_load(s, NORMA_ARG_RUNNING_VAR, &at, &var);
        batch[c].var = var;
    }
}

static void set_cell(const struct strided *s, const struct strided_moments *m, struct strided_cell *cell)
{
    const long double var = m->var + s->eps, deviation = sqrtl(var);
    int exponent;
    cell->scale = 1;
    if (s->form->float64 && (var > 0x1p+1000L || var < 0x1p-900L) && isfinite(deviation) && var > 0) {
        frexpl(fmaxl(fabsl((long double)m->mean), deviation), &exponent);
        cell->scale = nsc_strided_scale_of(s, exponent);
    }
    cell->mean = m->mean;
    cell->mean_low = m->mean_low;
    cell->centre = m->mean * cell->scale;
    cell->centre_low = m->mean_low * cell->scale;
    cell->factor = (double)(1 / (deviation * cell->scale));
    cell->rstd = cell->factor * cell->scale;
}

norma_status nsc_switch_cells(struct norma_device *device, struct strided *s)
{
    const struct norma_form *f = s->form;
    const size_t groups = (size_t)f->groups;
    s->moments = norma_zalloc(device->allocator, groups + (size_t)(f->samples + f->channels), sizeof *s->moments);
    s->cells = norma_zalloc(device->allocator, groups, sizeof *s->cells);
    if (!s->moments || !s->cells)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
    nsc_strided_run(device, s, run_moments);
    merge_all(s);
    const struct mix mix = find_mix(s);
    for (int64_t i = 0; i < f->groups; i++) {
        const struct group g = find_group(s, &mix, i);
        const struct strided_moments m = shifted(g.kind[INSTANCE], g.shift, g.var);
        set_cell(s, &m, &s->cells[i]);
    }
    return NORMA_OK;
}

void nsc_switch_update_running(const struct strided *s)
{
    const struct norma_form *f = s->form;
    const int64_t n = f->samples * f->n;
    for (int64_t c = 0; c < f->channels; c++) {
        const struct strided_moments *batch = &s->moments[f->groups + f->samples + c];
        const long double unbiased = f->running_var_biased ? 1 : (long double)n / (long double)(n - 1);
        const long double value[] = {batch->mean, batch->var * unbiased};
        struct strided_walk at = nsc_strided_group(f, c * f->channel_step);
        at.count = 1;
        for (int i = 0; i < 2; i++) {
            const norma_arg arg = i ? NORMA_ARG_RUNNING_VAR : NORMA_ARG_RUNNING_MEAN;
            double running;
            nsc_strided_load(s, arg, &at, &running);
            running = nsc_strided_blended(s, running, value[i], 0);
            nsc_strided_store(s, arg, &at, &running);
        }
    }
}

// Gradients of the mix's mean and var of a group, or their sums over a sample's or a channel's groups.
struct through {
    long double mean, var;
};

static void run_sums(void *user, uint64_t first, uint64_t count)
{
    const struct strided *s = user;
    struct strided_stretch o;
    for (uint64_t group = first; group < first + count; group++) {
        struct strided_cell *cell = &s->cells[group];
        double g, gx;
        nsc_strided_group_sums(s, (int64_t)group, cell, &o, &g, &gx);
        cell->c0 = g;
        cell->c1 = gx;
    }
}

// With S = rstd, M and V the mix, dM = -S*sum(g) and dV = -S^2/2*sum(g*xhat) of a group: a mean of n_k elements x has
// the derivative 1/n_k, their variance 2*(x - mean_k)/n_k, and x is in one group of each kind, whose dM and dV are the
// sums over what they are mixed into. Written as dx = S*(g - c0 - xhat*c1), with x - mean_k = (x - M) + (M - mean_k):
//   c1 = -2/S^2 * sum_k beta_k*dV_k/n_k
//   c0 = -1/S * sum_k (alpha_k*dM_k + 2*beta_k*dV_k*(M - mean_k))/n_k
static void set_coefficients(const struct strided *s, const struct mix *mix, const struct through *sums)
{
    const struct norma_form *f = s->form;
    const long double n = f->n, counts[FORM_KINDS] = {n, n * f->channels, n * f->samples};
    const int kinds = f->mix == FORM_MIX_TRAINING ? FORM_KINDS : BATCH; // running statistics are constants
    for (int64_t i = 0; i < f->groups; i++) {
        const struct group g = find_group(s, mix, i);
        const int64_t of[FORM_KINDS] = {i, f->groups + g.sample, f->groups + f->samples + g.channel};
        const long double rstd = (long double)s->cells[i].factor * s->cells[i].scale;
        long double c0 = 0, c1 = 0;
        for (int k = 0; k < kinds; k++) {
            const long double var = 2 * mix->beta[k] * sums[of[k]].var / counts[k];
            c1 -= var / (rstd * rstd);
            c0 -= (mix->alpha[k] * sums[of[k]].mean / counts[k] + var * (g.shift - g.apart[k])) / rstd;
        }
        s->cells[i].c0 = (double)c0;
        s->cells[i].c1 = (double)c1;
    }
}

// d softmax: the gradient of weight k is alpha_k*(A_k - sum_j alpha_j*A_j), A_k the sum of dM*mean_k; that is the sum
// of dM*alpha_k*(mean_k - M), which does not cancel where the means are large. The same for variances.
static void store_gradients(const struct strided *s, const struct mix *mix, const struct through *sums)
{
    long double mean[FORM_KINDS] = {0}, var[FORM_KINDS] = {0};
    double rounded[2][FORM_KINDS];
    for (int64_t i = 0; i < s->form->groups; i++) {
        const struct group g = find_group(s, mix, i);
        for (int k = 0; k < FORM_KINDS; k++) {
            mean[k] += sums[i].mean * mix->alpha[k] * (g.apart[k] - g.shift);
            var[k] += sums[i].var * mix->beta[k] * (g.kind[k]->var - g.var);
        }
    }
    for (int k = 0; k < FORM_KINDS; k++) {
        rounded[0][k] = (double)mean[k];
        rounded[1][k] = (double)var[k];
    }
    if (nsc_strided_has(s, NORMA_ARG_DMEAN_WEIGHTS))
        nsc_strided_store_kinds(s, NORMA_ARG_DMEAN_WEIGHTS, rounded[0]);
    if (nsc_strided_has(s, NORMA_ARG_DVAR_WEIGHTS))
        nsc_strided_store_kinds(s, NORMA_ARG_DVAR_WEIGHTS, rounded[1]);
}

norma_status nsc_switch_gradients(struct norma_device *device, struct strided *s)
{
    const struct norma_form *f = s->form;
    struct through *sums =
        norma_zalloc(device->allocator, (size_t)(f->groups + f->samples + f->channels), sizeof *sums);
    if (!sums)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
    nsc_strided_run(device, s, run_sums);
    const struct mix mix = find_mix(s);
    for (int64_t i = 0; i < f->groups; i++) {
        const struct group g = find_group(s, &mix, i);
        const long double rstd = (long double)s->cells[i].factor * s->cells[i].scale;
        struct through *layer = &sums[f->groups + g.sample], *batch = &sums[f->groups + f->samples + g.channel];
        sums[i].mean = -rstd * s->cells[i].c0;
        sums[i].var = -0.5L * rstd * rstd * s->cells[i].c1;
        layer->mean += sums[i].mean;
        layer->var += sums[i].var;
        batch->mean += sums[i].mean;
        batch->var += sums[i].var;
    }
    store_gradients(s, &mix, sums);
    set_coefficients(s, &mix, sums);
    norma_free(sums);
    return NORMA_OK;
}
