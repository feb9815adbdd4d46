#include "moments.h"
#include "values.h"
#include <math.h>
#include <stdlib.h>

enum { CHUNK = 4096 };

// Elements begin ... of a group; along the last dimension many at a time.
static void read_group(const struct norma_form *f, const norma_tensor *x, int64_t group, int64_t begin, int64_t count,
                       double *to)
{
    const struct form_arg *arg = &f->arg[NORMA_ARG_X];
    const int64_t extent = f->extent[f->rank - 1], step = arg->stride[f->rank - 1];
    while (count > 0) {
        const int64_t left = arg->jump ? 1 : extent - begin % extent, piece = left < count ? left : count;
        values_gather(x->dtype, x->data, form_offset(f, NORMA_ARG_X, group, begin), step, piece, to);
        begin += piece;
        count -= piece;
        to += piece;
    }
}

// The sums of one group: of the values first, then of d = (x - mean)/scale, |d| at most 1, so that no power of it
// overflows; half of each since the distance itself may.
struct sums {
    int64_t finite;
    long double sum, absolutes;
    double least, most, mean, half_scale;
    double d1, d2, d4;
};

static void add_values(struct sums *s, const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; ++i) {
        const double v = values[i];
        if (!isfinite(v))
            continue;
        s->least = v < s->least ? v : s->least;
        s->most = v > s->most ? v : s->most;
        s->sum += (long double)v;
        s->absolutes += (long double)fabs(v);
        ++s->finite;
    }
}

static void add_distances(struct sums *s, const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; ++i) {
        if (!isfinite(values[i]))
            continue;
        const double d = (values[i] / 2 - s->mean / 2) / s->half_scale;
        s->d1 += d;
        s->d2 += d * d;
        s->d4 += d * d * d * d;
    }
}

// hypot keeps squares from overflowing.
static double rstd_of(const struct norma_form *f, const struct sums *s, double deviation)
{
    const double eps = f->eps64, rms = hypot(s->mean, deviation);
    const double norm = f->statistic == FORM_ABSOLUTES ? (double)s->absolutes : sqrt((double)s->finite) * rms;
    switch (f->scale) {
    case FORM_MAX:
        return 1 / fmax(norm, eps);
    case FORM_ADD:
        return 1 / (norm + eps);
    case FORM_INSIDE:
        return 1 / hypot(norm, sqrt(eps));
    case FORM_DEVIATION:
        return 1 / (deviation + eps);
    default:
        return 1 / hypot(f->statistic == FORM_SQUARES ? rms : deviation, sqrt(eps));
    }
}

static struct moments finish(const struct norma_form *f, struct sums *s)
{
    const double nan = (double)NAN, count = (double)s->finite, mean2 = s->d2 / count;
    if (s->finite == 0)
        return (struct moments){nan, nan, nan, nan, nan, f->n};
    const bool equal = s->half_scale == 0;
    // The mean's own rounding is taken back: the distances' mean would be 0.
    const double shift = equal ? 0 : s->d1 / count, var = equal ? 0 : mean2 - shift * shift;
    s->mean += s->half_scale * (2 * shift);
    return (struct moments){.mean = s->mean,
                            .rstd = rstd_of(f, s, s->half_scale * (2 * sqrt(var))),
                            .least = s->least,
                            .most = s->most,
                            .kurtosis = equal ? nan : s->d4 / count / (mean2 * mean2),
                            .nonfinite = f->n - s->finite};
}

static struct moments moments_of_group(const struct norma_form *f, const norma_tensor *x, int64_t group)
{
    double values[CHUNK];
    struct sums s = {.least = (double)INFINITY, .most = -(double)INFINITY};
    int64_t held = -1; // where the values begin
    for (int64_t begin = 0; begin < f->n; begin += CHUNK) {
        const int64_t count = f->n - begin < CHUNK ? f->n - begin : CHUNK;
        read_group(f, x, group, held = begin, count, values);
        add_values(&s, values, count);
    }
    s.mean = s.finite ? (double)(s.sum / s.finite) : 0;
    s.half_scale = s.finite ? fmax(s.most / 2 - s.mean / 2, s.mean / 2 - s.least / 2) : 0;
    for (int64_t begin = 0; s.half_scale > 0 && begin < f->n; begin += CHUNK) {
        const int64_t count = f->n - begin < CHUNK ? f->n - begin : CHUNK;
        if (held != begin)
            read_group(f, x, group, held = begin, count, values);
        add_distances(&s, values, count);
    }
    return finish(f, &s);
}

void moments_of_groups(const struct norma_form *form, const norma_tensor *x, struct moments *result,
                       struct progress *progress)
{
    for (int64_t i = 0; i < form->groups; ++i) {
        result[i] = moments_of_group(form, x, i);
        if (i % 1024 == 0)
            progress_set(progress, (double)i / (double)form->groups);
    }
}

// One pass over x in the order of memory: the largest absolute values, then the squares of what each is of its
// channel's largest, which do not overflow.
static void scan_channels(const norma_tensor *x, int32_t dimension, struct channel *result, double *squares,
                          double *counts)
{
    const int64_t channels = x->shape[dimension], total = tensor_elements(x);
    int64_t inner = 1;
    for (int32_t d = dimension + 1; d < x->rank; ++d)
        inner *= x->shape[d];
    double values[CHUNK];
    int64_t c = 0, left = inner;
    for (int64_t begin = 0; begin < total; begin += CHUNK) {
        const int64_t count = total - begin < CHUNK ? total - begin : CHUNK;
        values_gather(x->dtype, x->data, begin, 1, count, values);
        for (int64_t i = 0; i < count; ++i) {
            const double v = fabs(values[i]);
            if (isfinite(v) && !squares) {
                result[c].most = v > result[c].most ? v : result[c].most;
            } else if (isfinite(v) && v > 0) {
                const double part = v / result[c].most;
                squares[c] += part * part;
            }
            if (squares)
                counts[c] += isfinite(v);
            if (--left == 0) {
                left = inner;
                c = c + 1 < channels ? c + 1 : 0;
            }
        }
    }
}

bool moments_of_channels(const norma_tensor *x, int32_t dimension, struct channel *result)
{
    const int64_t channels = x->shape[dimension];
    double *sums = calloc((size_t)channels * 2 + 1, sizeof *sums);
    if (!sums)
        return false;
    for (int64_t c = 0; c < channels; ++c)
        result[c] = (struct channel){.index = c};
    scan_channels(x, dimension, result, NULL, NULL);
    scan_channels(x, dimension, result, sums, sums + channels);
    for (int64_t c = 0; c < channels; ++c)
        result[c].rms = sums[channels + c] > 0 ? result[c].most * sqrt(sums[c] / sums[channels + c]) : (double)NAN;
    free(sums);
    return true;
}
