// Local response norm: y = x / (k + alpha * sum of x^2 over a window)^beta, alpha for each element of the window
// (Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", section 3.3), and what comes
// behind the norm. One thread: it is not tuned.
#include "strided.h"
#include <math.h>
#include <string.h>

// The group's elements in order.
static void load_group(const struct strided *s, int64_t group, double *x)
{
    struct strided_walk at = nsc_strided_group(s->form, group);
    do {
        nsc_strided_load(s, NORMA_ARG_X, &at, x);
        x += at.count;
    } while (nsc_strided_next(&at));
}

// From the normalised elements. A stretch of z and of addend is read before y, which may lie in its place, is written.
static void store_group(const struct strided *s, int64_t group, const double *normalised, struct strided_stretch *o)
{
    struct strided_walk at = nsc_strided_group(s->form, group);
    do {
        memcpy(o->v0, normalised, (size_t)at.count * sizeof o->v0[0]);
        nsc_strided_go_behind(s, &at, o);
        nsc_strided_activate(s, &at, o);
        nsc_strided_store_y(s, &at, 1, o->v2);
        normalised += at.count;
    } while (nsc_strided_next(&at));
}

static void count_group(const struct strided *s, int64_t group, struct strided_stretch *o)
{
    const struct strided_walk at = nsc_strided_group(s->form, group);
    struct strided_cell cell = {0};
    nsc_strided_count_nonfinite(s, &at, &cell, o);
    nsc_strided_store_one(s, NORMA_ARG_NONFINITE, &at, (double)cell.nonfinite);
}

static double respond(const struct norma_form *f, const double *x, int64_t i)
{
    const int64_t before = f->window_before, after = f->window_after;
    const int64_t begin = i > before ? i - before : 0, end = i + after + 1 < f->n ? i + after + 1 : f->n;
    double largest = 0, squares = 0;
    for (int64_t j = begin; j < end; j++)
        largest = fmax(largest, fabs(x[j]));
    // Squares that are no double are taken of x * 2^-600; those of float32 all are.
    double scale = largest > 0x1p+480 ? 0x1p-600 : 1;
    for (int64_t j = begin; j < end; j++)
        squares += (x[j] * scale) * (x[j] * scale);
    const bool wide = f->float64;
    const double alpha = wide ? f->alpha : (double)(float)f->alpha, beta = wide ? f->beta : (double)(float)f->beta;
    const double k = wide ? f->k : (double)(float)f->k, part = alpha * squares;
    if (scale == 1)
        return x[i] * pow(k + part, -beta);
    double inside = k * scale * scale + part;
    if (fabs(part) < 0x1p-200) { // of a small alpha: k * 2^-1200 may be no double, and the sum is one as it stands
        inside = k + alpha * 0x1p+600 * squares * 0x1p+600;
        scale = 1;
    }
    // Half the power twice: the whole may be no double where y is one.
    const double half = pow(inside, -0.5 * beta) * pow(scale, beta);
    return x[i] * half * half;
}

norma_status nsc_strided_window(struct strided *s)
{
    const struct norma_form *f = s->form;
    double *x = norma_alloc(s->allocator, 2 * (size_t)f->n * sizeof *x);
    if (!x)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
    double *normalised = x + f->n;
    struct strided_stretch o;
    for (int64_t group = 0; group < f->groups; group++) {
        load_group(s, group, x);
        for (int64_t i = 0; i < f->n; i++)
            normalised[i] = respond(f, x, i);
        if (nsc_strided_has(s, NORMA_ARG_NONFINITE))
            count_group(s, group, &o);
        store_group(s, group, normalised, &o);
    }
    norma_free(x);
    return NORMA_OK;
}
