// Batch norm over several devices: stats, parts and sums, and what they are within.
#include "form_point.h"

#include <math.h>

// A row of stats, of sums or of one part.
static long double load_row(const struct task *k, norma_arg arg, const int64_t index[FORM_RANK], int row)
{
    const struct form_arg *a = &k->form->arg[arg];
    int64_t offset = row * a->row;
    for (int32_t d = 0; d < k->form->rank; d++)
        offset += index[d] * a->stride[d];
    return point_load_at(k, arg, offset);
}

// Count, mean (in two) and sum of squares, without the scale.
struct cell {
    long double n, mean, rest, squares;
};

static struct cell load_cell(const struct task *k, norma_arg arg, const int64_t index[FORM_RANK])
{
    const long double scale = load_row(k, arg, index, FORM_SCALE_ROW);
    return (struct cell){.n = load_row(k, arg, index, FORM_COUNT),
                         .mean = load_row(k, arg, index, FORM_MEAN) / scale,
                         .rest = load_row(k, arg, index, FORM_MEAN_LOW) / scale,
                         .squares = load_row(k, arg, index, FORM_M2) / scale / scale};
}

long double merged_load(const struct task *k, int64_t group, struct statistics *st)
{
    int64_t index[FORM_RANK];
    point_locate(k->form, group, 0, index);
    const struct cell cell = load_cell(k, NORMA_ARG_STATS, index);
    st->n = cell.n;
    st->mean = cell.n == 0 ? (long double)NAN : cell.mean;
    st->mean_rest = cell.n == 0 ? (long double)NAN : cell.rest;
    st->deviation = sqrtl(cell.squares / cell.n);
    st->norm = sqrtl(cell.squares);
    return cell.squares;
}

struct sums merged_sums(const struct task *k, int64_t group)
{
    int64_t index[FORM_RANK];
    point_locate(k->form, group, 0, index);
    struct sums sums = {.g = load_row(k, NORMA_ARG_SUMS, index, FORM_SUM_G),
                        .gx = load_row(k, NORMA_ARG_SUMS, index, FORM_SUM_GX)};
    sums.abs_g = fabsl(sums.g);
    sums.abs_gx = fabsl(sums.gx);
    return sums;
}

static void put(const struct task *k, norma_arg arg, int64_t group, int row, long double value, long double bound)
{
    struct form_reference_output *out = &k->out[arg];
    out->value[row * k->form->groups + group] = value;
    out->bound[row * k->form->groups + group] = bound;
}

// xhat may be off by 8u where it is 0, which is 8u of a standard deviation of the mean; the lower half of the mean is
// rounded at 2u^2 of it, with each merge again: e_low. m2 matters as far as rstd sees it: rstd's 8u are 16u of m2/n +
// eps. Its squares are those about the mean as it is stored, which has n*e_low^2 more of them: all that there is of
// parts without deviations whose equal means have a lower half. No elements have such parts: equal ones have a mean
// without, and of others two lie u*|mean| apart at least, so that m2 is half its square and e_low adds n*2^-41 of m2 at
// most. Counts are exact up to 1/u; above they are rounded, e_count of them: once, or in the additions of a merge as
// any sum.
// e_mean and e_squares: what inexact elements add.
static void put_stats(const struct task *k, int64_t group, const struct cell *c, long double e_count,
                      long double e_mean, long double e_squares)
{
    const long double u = k->u, mean = c->mean + c->rest, deviation = c->n > 0 ? sqrtl(c->squares / c->n) : 0;
    put(k, NORMA_ARG_STATS, group, FORM_COUNT, c->n, c->n > 1 / u ? e_count * c->n : 0);
    const long double e_low = 8 * u * u * fabsl(mean);
    put(k, NORMA_ARG_STATS, group, FORM_MEAN, mean, 8 * u * deviation + e_low + e_mean);
    put(k, NORMA_ARG_STATS, group, FORM_MEAN_LOW, 0, 0);
    put(k, NORMA_ARG_STATS, group, FORM_M2, c->squares,
        16 * u * (c->squares + c->n * k->eps) + c->n * e_low * e_low + e_squares);
    put(k, NORMA_ARG_STATS, group, FORM_SCALE_ROW, 0, 0);
}

void merged_write_stats(const struct task *k, int64_t group, const struct statistics *st)
{
    const struct cell cell = {st->n, st->mean, st->mean_rest, st->norm * st->norm};
    if (k->out[NORMA_ARG_STATS].value)
        put_stats(k, group, &cell, k->u, st->e_mean, (2 * st->deviation + st->e_norm) * st->e_norm * st->n);
}

void merged_write_sums(const struct task *k, int64_t group, const struct sums *sums)
{
    const long double u = k->u;
    if (!k->out[NORMA_ARG_SUMS].value)
        return;
    put(k, NORMA_ARG_SUMS, group, FORM_SUM_G, sums->g, 16 * u * sums->abs_g + sums->e_g);
    put(k, NORMA_ARG_SUMS, group, FORM_SUM_GX, sums->gx, 16 * u * (sums->abs_gx + sums->abs_g) + sums->e_gx);
}

// The mean of all elements, about that of the first part that has any, and their squares about the mean.
static void merge_parts(const struct task *k, int64_t group)
{
    struct cell all = {0};
    long double pivot = 0, weighted = 0;
    int64_t index[FORM_RANK];
    for (int pass = 0; pass < 2; pass++) {
        bool begun = false;
        for (int64_t j = 0; j < k->form->n; j++) {
            point_locate(k->form, group, j, index);
            const struct cell part = load_cell(k, NORMA_ARG_PARTS, index);
            if (part.n == 0)
                continue;
            pivot = begun ? pivot : part.mean;
            begun = true;
            const long double d = ((part.mean - all.mean) - all.rest) + part.rest;
            if (pass == 0) {
                all.n += part.n;
                weighted += part.n * ((part.mean - pivot) + part.rest);
            } else {
                all.squares += part.squares + part.n * d * d;
            }
        }
        if (pass == 0 && all.n != 0) {
            all.mean = pivot + weighted / all.n;
            all.rest = (pivot - all.mean) + weighted / all.n;
        }
    }
    put_stats(k, group, &all, 16 * k->u, 0, 0);
}

static void add_parts(const struct task *k, int64_t group)
{
    for (int row = 0; row < FORM_SUMS_ROWS; row++) {
        long double total = 0, size = 0;
        int64_t index[FORM_RANK];
        for (int64_t j = 0; j < k->form->n; j++) {
            point_locate(k->form, group, j, index);
            const long double value = load_row(k, NORMA_ARG_PARTS, index, row);
            total += value;
            size += fabsl(value);
        }
        put(k, NORMA_ARG_SUMS, group, row, total, 16 * k->u * size);
    }
}

void merged_do_parts(const struct task *k, int64_t group)
{
    if (k->form->backward)
        add_parts(k, group);
    else
        merge_parts(k, group);
}

bool merged_is_untrained(const struct task *k, int64_t group)
{
    struct statistics st = {0};
    if (k->form->statistic != FORM_MERGED)
        return false;
    merged_load(k, group, &st);
    return st.n - (k->form->running_var_biased ? 0 : 1) < 1;
}

// Rows of stats stand for something together.
static long double stats_value(const struct task *k, int64_t group, int row)
{
    int64_t index[FORM_RANK];
    int exponent;
    point_locate(k->form, group, 0, index);
    const struct cell c = load_cell(k, NORMA_ARG_STATS, index);
    const long double own = load_row(k, NORMA_ARG_STATS, index, row);
    const long double scale = load_row(k, NORMA_ARG_STATS, index, FORM_SCALE_ROW);
    if (c.n == 0)
        return own; // zeros
    switch (row) {
    case FORM_MEAN:
        return c.mean + c.rest;
    case FORM_MEAN_LOW: // 0 where it is what rounding the mean left
        return !isfinite(c.mean) || fabsl(c.rest) <= 2 * k->u * fabsl(c.mean) ? 0 : own;
    case FORM_M2:
        return c.squares;
    case FORM_SCALE_ROW: // 0 where it is one of the powers, of float64 any
        if (k->form->float64)
            return frexpl(scale, &exponent) == 0.5L ? 0 : (long double)NAN;
        return scale == 1 || scale == 0x1p-96L || scale == 0x1p100L ? 0 : (long double)NAN;
    default:
        return own;
    }
}

long double form_output_value(const struct norma_form *form, norma_arg arg, const void *data, int64_t i)
{
    const void *all[NORMA_ARG_COUNT] = {0};
    const struct task k = {.form = form, .data = all, .u = form->float64 ? 0x1p-53L : 0x1p-24L};
    all[arg] = data;
    if (arg == NORMA_ARG_STATS)
        return stats_value(&k, i % form->groups, (int)(i / form->groups));
    return point_load_at(&k, arg, form_output_offset(form, arg, i));
}
