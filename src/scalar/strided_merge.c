// Batch norm over several devices: stats, their merging and the sums of backward. In double; a float32 m2 is scaled as
// the kernels' cells are, so that it neither overflows nor vanishes.
#include "strided.h"
#include <float.h>
#include <math.h>

static char *row(const struct strided *s, norma_arg arg, const struct strided_walk *at, int number)
{
    const struct form_arg *a = &s->form->arg[arg];
    return nsc_strided_element(s, arg, at) + number * a->row * (int64_t)norma_dtype_size(a->dtype);
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

// Mean, count and spread, unscaled, which is exact: double holds float32 times 2^96 and 2^-100.
static void load_cell(const struct strided *s, norma_arg arg, const struct strided_walk *at, struct strided_cell *cell)
{
    const double scale = load_row(s, arg, at, FORM_SCALE_ROW);
    *cell = (struct strided_cell){.count = load_row(s, arg, at, FORM_COUNT)};
    cell->mean = load_row(s, arg, at, FORM_MEAN) / scale;
    cell->mean_low = load_row(s, arg, at, FORM_MEAN_LOW) / scale;
    cell->spread = (long double)load_row(s, arg, at, FORM_M2) / scale / scale;
}

void nsc_strided_load_stats(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell)
{
    load_cell(s, NORMA_ARG_STATS, group, cell);
    nsc_strided_finish(s, cell);
}

// The rule of docs/reduction.md for a chunk, of the whole group.
static double scale_of(const struct strided *s, const struct strided_cell *cell)
{
    if (s->form->float64)
        return 1;
    if (!(cell->spread <= (long double)FLT_MAX))
        return 0x1p-96;
    return cell->spread < 0x1p-80L && s->eps < 0x1p-73 && fabs(cell->mean) < 0x1p20 ? 0x1p100 : 1;
}

void nsc_strided_store_stats(const struct strided *s, const struct strided_walk *group, const struct strided_cell *cell)
{
    const bool empty = cell->count == 0;
    const double scale = empty ? 0 : scale_of(s, cell), scaled = cell->mean * scale;
    const double mean = s->form->float64 ? scaled : (double)(float)scaled;
    store_row(s, NORMA_ARG_STATS, group, FORM_COUNT, cell->count);
    store_row(s, NORMA_ARG_STATS, group, FORM_MEAN, mean);
    store_row(s, NORMA_ARG_STATS, group, FORM_MEAN_LOW, (scaled - mean) + cell->mean_low * scale);
    store_row(s, NORMA_ARG_STATS, group, FORM_M2, (double)(cell->spread * scale * scale));
    store_row(s, NORMA_ARG_STATS, group, FORM_SCALE_ROW, scale);
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
static void each_part(const struct strided *s, int64_t group, void (*each)(void *user, const struct strided_cell *part),
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
    long double count, pivot, weighted; // weighted: the sum of count * (mean - pivot)
    long double mean, mean_low, spread;
};

static void add_mean(void *user, const struct strided_cell *part)
{
    struct merged *m = user;
    if (!m->begun)
        m->pivot = part->mean;
    m->begun = true;
    m->count += part->count;
    m->weighted += part->count * ((part->mean - m->pivot) + part->mean_low);
}

// Chan, Golub and LeVeque (1979), equation 2.1, of all parts at once about their common mean.
static void add_spread(void *user, const struct strided_cell *part)
{
    struct merged *m = user;
    const long double d = ((part->mean - m->mean) - m->mean_low) + part->mean_low;
    m->spread += part->spread + part->count * d * d;
}

static void merge_group(const struct strided *s, int64_t group)
{
    const struct strided_walk at = nsc_strided_group(s->form, group);
    struct merged m = {0};
    each_part(s, group, add_mean, &m);
    const long double rest = m.begun ? m.weighted / m.count : 0;
    struct strided_cell cell = {.count = (double)m.count, .mean = (double)(m.pivot + rest)};
    cell.mean_low = (double)((m.pivot - cell.mean) + rest);
    m.mean = cell.mean;
    m.mean_low = cell.mean_low;
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
