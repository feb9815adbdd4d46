// Batch norm over several devices: stats, their merging and the sums of backward. In double; a float32 m2 is scaled as
// the kernels' cells are, so that it neither overflows nor vanishes.
#include "strided.h"
#include <float.h>
#include <limits.h>
#include <math.h>

static char *row(const struct strided *s, norma_arg arg, const struct strided_walk *at, int number)
{
    const struct form_arg *a = &s->form->arg[arg];
    return nsc_strided_element(s, arg, at) + number * a->row * (int64_t)norma_dtype_size(a->dtype);
}

// An exact change of scale, but for what is then no double.
static void rescale(struct strided_cell *cell, double scale)
{
    const double factor = scale / cell->scale;
    cell->centre *= factor;
    cell->centre_low *= factor;
    cell->spread = cell->spread * factor * factor;
    cell->scale = scale;
}

static double load_row(const struct strided *s, norma_arg arg, const struct strided_walk *at, int number)
{
    const void *from = row(s, arg, at, number);
    return s->form->float64 ? *(const double *)from : (double)*(const float *)from;
}

static void store_row(const struct strided *s, norma_arg arg, const struct strided_walk *at, int number, double value)
{
    void *to = row(s, arg, at, number);
    if (s->form->float64)
        *(double *)to = value;
    else
        *(float *)to = (float)value;
}

// Count, mean and spread. Those of float32 unscaled, which is exact: double holds float32 times 2^96 and 2^-100.
static void load_cell(const struct strided *s, norma_arg arg, const struct strided_walk *at, struct strided_cell *cell)
{
    const double scale = load_row(s, arg, at, FORM_SCALE_ROW);
    *cell = (struct strided_cell){.count = load_row(s, arg, at, FORM_COUNT), .scale = scale};
    cell->centre = load_row(s, arg, at, FORM_MEAN);
    cell->centre_low = load_row(s, arg, at, FORM_MEAN_LOW);
    cell->spread = load_row(s, arg, at, FORM_M2);
    if (!s->form->float64)
        rescale(cell, 1);
}

void nsc_strided_load_stats(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell)
{
    load_cell(s, NORMA_ARG_STATS, group, cell);
    // They may have been made with a smaller eps than this, which would overflow at their scale.
    if (cell->scale > 1 && s->eps * cell->scale * cell->scale > 0x1p+900)
        rescale(cell, 1);
    nsc_strided_finish(s, cell);
}

// The rule of docs/reduction.md for a chunk, of the whole group.
static double scale_of(const struct strided *s, const struct strided_cell *cell)
{
    if (s->form->float64)
        return cell->scale;
    if (!(cell->spread <= (long double)FLT_MAX))
        return 0x1p-96;
    return cell->spread < 0x1p-80L && s->eps < 0x1p-73 && fabs(cell->centre) < 0x1p20 ? 0x1p100 : 1;
}

void nsc_strided_store_stats(const struct strided *s, const struct strided_walk *group, const struct strided_cell *cell)
{
    const bool empty = cell->count == 0;
    struct strided_cell scaled = *cell;
    if (!empty)
        rescale(&scaled, scale_of(s, cell));
    const double mean = s->form->float64 ? scaled.centre : (double)(float)scaled.centre;
    store_row(s, NORMA_ARG_STATS, group, FORM_COUNT, cell->count);
    store_row(s, NORMA_ARG_STATS, group, FORM_MEAN, mean);
    store_row(s, NORMA_ARG_STATS, group, FORM_MEAN_LOW, (scaled.centre - mean) + scaled.centre_low);
    store_row(s, NORMA_ARG_STATS, group, FORM_M2, (double)scaled.spread);
    store_row(s, NORMA_ARG_STATS, group, FORM_SCALE_ROW, empty ? 0 : scaled.scale);
}

void nsc_strided_load_sums(const struct strided *s, const struct strided_walk *group, double sums[FORM_SUMS_ROWS])
{
    for (int i = 0; i < FORM_SUMS_ROWS; i++)
        sums[i] = load_row(s, NORMA_ARG_SUMS, group, i);
}

void nsc_strided_store_sums(const struct strided *s, const struct strided_walk *group,
                            const double sums[FORM_SUMS_ROWS])
{
    for (int i = 0; i < FORM_SUMS_ROWS; i++)
        store_row(s, NORMA_ARG_SUMS, group, i, sums[i]);
}

// Calls each(user, cell) for the parts of a group that have elements, in order.
static void each_part(const struct strided *s, int64_t group, void (*each)(void *user, struct strided_cell *part),
                      void *user)
{
    struct strided_walk at = nsc_strided_group(s->form, group);
    do {
        const int64_t count = at.count;
        const int32_t last = s->form->rank - 1;
        for (int64_t i = 0; i < count; i++, at.index[last]++) {
            struct strided_cell part;
            load_cell(s, NORMA_ARG_PARTS, &at, &part);
            if (part.count != 0)
                each(user, &part);
        }
        at.index[last] -= count;
    } while (nsc_strided_next(&at));
}

struct merged {
    bool begun;
    int exponent; // of the largest mean or deviation of a part
    double scale;
    long double count, pivot, weighted; // weighted: the sum of count * (mean - pivot)
    long double mean, mean_low, spread;
};

static void add_exponent(void *user, struct strided_cell *part)
{
    struct merged *m = user;
    int scale, mean, spread;
    frexp(part->scale, &scale);
    frexp(part->centre, &mean);
    frexpl(part->spread, &spread);
    const int exponent = (part->centre == 0 || mean < spread / 2 ? spread / 2 : mean) - scale;
    if ((part->centre != 0 || part->spread != 0) && exponent > m->exponent)
        m->exponent = exponent;
}

static void add_mean(void *user, struct strided_cell *part)
{
    struct merged *m = user;
    rescale(part, m->scale);
    if (!m->begun)
        m->pivot = part->centre;
    m->begun = true;
    m->count += part->count;
    m->weighted += part->count * ((part->centre - m->pivot) + part->centre_low);
}

// Chan, Golub and LeVeque (1979), equation 2.1, of all parts at once about their common mean.
static void add_spread(void *user, struct strided_cell *part)
{
    struct merged *m = user;
    rescale(part, m->scale);
    const long double d = ((part->centre - m->mean) - m->mean_low) + part->centre_low;
    m->spread += part->spread + part->count * d * d;
}

static void merge_group(const struct strided *s, int64_t group)
{
    const struct strided_walk at = nsc_strided_group(s->form, group);
    struct merged m = {.exponent = INT_MIN, .scale = 1};
    each_part(s, group, add_exponent, &m);
    if (s->form->float64 && m.exponent != INT_MIN && (m.exponent > 480 || m.exponent < -450))
        m.scale = nsc_strided_scale_of(s, m.exponent);
    each_part(s, group, add_mean, &m);
    const long double rest = m.begun ? m.weighted / m.count : 0;
    struct strided_cell cell = {.count = (double)m.count, .centre = (double)(m.pivot + rest), .scale = m.scale};
    cell.centre_low = (double)((m.pivot - cell.centre) + rest);
    m.mean = cell.centre;
    m.mean_low = cell.centre_low;
    each_part(s, group, add_spread, &m);
    cell.spread = m.spread;
    nsc_strided_store_stats(s, &at, &cell);
}

static void add_group(const struct strided *s, int64_t group)
{
    const struct strided_walk begin = nsc_strided_group(s->form, group);
    struct strided_walk at = begin;
    long double total[FORM_SUMS_ROWS] = {0};
    do {
        struct strided_walk one = at;
        for (int64_t i = 0; i < at.count; i++, one.index[s->form->rank - 1]++)
            for (int r = 0; r < FORM_SUMS_ROWS; r++)
                total[r] += load_row(s, NORMA_ARG_PARTS, &one, r);
    } while (nsc_strided_next(&at));
    nsc_strided_store_sums(s, &begin, (const double[]){(double)total[FORM_SUM_G], (double)total[FORM_SUM_GX]});
}

static void run_merge(void *user, uint64_t first, uint64_t count)
{
    const struct strided *s = user;
    for (uint64_t group = first; group < first + count; group++)
        if (s->form->backward)
            add_group(s, (int64_t)group);
        else
            merge_group(s, (int64_t)group);
}

void nsc_strided_merge(struct norma_device *device, struct strided *s)
{
    nsc_strided_run(device, s, run_merge);
}
