// Local response norm: y = x / (k + alpha * sum of x^2 over a window)^beta, alpha for each element of the window
// (Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", section 3.3). One thread: it
// is not tuned.
#include "strided.h"
#include <math.h>
#include <stdlib.h>

// The group's elements in order, and the same for y.
static void walk_group(const struct strided *s, int64_t group, norma_arg arg, double *values)
{
    struct strided_walk at = nsc_strided_group(s->form, group);
    do {
        if (arg == NORMA_ARG_X)
            nsc_strided_load(s, arg, &at, values);
        else
            nsc_strided_store_y(s, &at, 1, values);
        values += at.count;
    } while (nsc_strided_next(&at));
}

static double respond(const struct norma_form *f, const double *x, int64_t i)
{
    const int64_t before = f->window_before, after = f->window_after;
    const int64_t begin = i > before ? i - before : 0, end = i + after + 1 < f->n ? i + after + 1 : f->n;
    double squares = 0;
    for (int64_t j = begin; j < end; j++)
        squares += x[j] * x[j];
    const bool wide = f->float64;
    const double alpha = wide ? f->alpha : (double)(float)f->alpha, beta = wide ? f->beta : (double)(float)f->beta;
    return x[i] * pow((wide ? f->k : (double)(float)f->k) + alpha * squares, -beta);
}

norma_status nsc_strided_window(struct strided *s)
{
    const struct norma_form *f = s->form;
    double *x = malloc(2 * (size_t)f->n * sizeof *x);
    if (!x)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
    double *y = x + f->n;
    for (int64_t group = 0; group < f->groups; group++) {
        walk_group(s, group, NORMA_ARG_X, x);
        for (int64_t i = 0; i < f->n; i++)
            y[i] = respond(f, x, i);
        walk_group(s, group, NORMA_ARG_Y, y);
    }
    free(x);
    return NORMA_OK;
}
