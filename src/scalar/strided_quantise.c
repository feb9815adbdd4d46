// Quantised outputs and their scales, and the count of non-finite inputs.
#include "strided.h"

#include <math.h>

void nsc_strided_store_y(const struct strided *s, const struct strided_walk *at, double scale, double *values)
{
    double given[STRIDED_STRETCH];
    const bool has_given = nsc_strided_has(s, NORMA_ARG_Y_SCALE) && !s->form->dynamic_scale;
    if (has_given)
        nsc_strided_load(s, NORMA_ARG_Y_SCALE, at, given);
    if (nsc_strided_quantises(s->form))
        for (int64_t i = 0; i < at->count; i++)
            values[i] = values[i] / (has_given ? given[i] : scale);
    nsc_strided_store(s, NORMA_ARG_Y, at, values);
}

// What takes the largest |y| of a group to the largest number of its type, as it is stored: y is divided by that.
void nsc_strided_find_scale(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell,
                            struct strided_stretch *o)
{
    const struct norma_form *f = s->form;
    struct strided_walk at = *group;
    double largest = 0;
    do {
        nsc_strided_find_y(s, &at, cell, o);
        for (int64_t i = 0; i < at.count && !isnan(largest); i++)
            largest = fabs(o->v2[i]) <= largest ? largest : fabs(o->v2[i]);
    } while (nsc_strided_next(&at));
    const double scale = largest / (f->arg[NORMA_ARG_Y].dtype == NORMA_INT8 ? 127 : 448);
    const double least = f->float64 ? 0x1p-1074 : 0x1p-149;
    const double stored = f->float64 ? scale : (double)(float)scale;
    cell->y_scale = largest == 0 ? 1 : stored < least ? least : stored; // a NaN stays
}

void nsc_strided_count_nonfinite(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell,
                                 struct strided_stretch *o)
{
    struct strided_walk at = *group;
    do {
        nsc_strided_load(s, NORMA_ARG_X, &at, o->u);
        for (int64_t i = 0; i < at.count; i++)
            cell->nonfinite += !isfinite(o->u[i]);
    } while (nsc_strided_next(&at));
}
