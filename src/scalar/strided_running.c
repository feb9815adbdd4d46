// Running statistics: their update, and what batch renorm makes of them.
#include "strided.h"

#include <math.h>
#include <string.h>

static int64_t load_count(const struct strided *s)
{
    int64_t count;
    memcpy(&count, s->base[NORMA_ARG_NUM_BATCHES_TRACKED], sizeof count);
    return count;
}

// What running becomes with a batch, number `member` of those that share it.
double nsc_strided_blended(const struct strided *s, double running, double batch, int64_t member)
{
    const double momentum = s->form->cumulative ? 1 / (double)(load_count(s) + member + 1) : s->momentum;
    return (1 - momentum) * running + momentum * batch;
}

// Groups that share a running statistic go in with their mean (the samples of instance norm) or in their order, rounded
// to the tensor's type after each (virtual batches).
static void update_running(const struct strided *s, norma_arg arg, bool variance)
{
    const struct norma_form *f = s->form;
    const uint32_t groups = nsc_strided_group_dims(f), own = nsc_strided_own_dims(f, arg);
    const int64_t size = nsc_strided_size(f, own), share = nsc_strided_size(f, groups & ~own);
    for (int64_t i = 0; i < size; i++) {
        int64_t index[FORM_RANK] = {0}, member = 0;
        long double sum = 0;
        bool trained = true;
        nsc_strided_set_index(f, own, i, index);
        struct strided_walk at = nsc_strided_walk(f, groups & ~own, index);
        do {
            const struct strided_cell *cell = &s->cells[nsc_strided_number(f, groups, at.index)];
            const double batch = variance ? cell->variance : cell->mean;
            sum += batch;
            trained = trained && !(f->statistic == FORM_MERGED && cell->count < 2 - f->running_var_biased);
            if (f->in_order)
                nsc_strided_store_one(s, arg, &at,
                                      nsc_strided_blended(s, nsc_strided_load_one(s, arg, &at), batch, member++));
        } while (nsc_strided_next(&at));
        if (!trained)
            continue;
        const double batch = (double)(sum / (long double)share);
        if (!f->in_order)
            nsc_strided_store_one(s, arg, &at, nsc_strided_blended(s, nsc_strided_load_one(s, arg, &at), batch, 0));
    }
}

void nsc_strided_running(const struct strided *s)
{
    const struct norma_form *f = s->form;
    if (f->update_running && f->n > 0 && f->mix) {
        nsc_switch_update_running(s);
    } else if (f->update_running && f->n > 0) {
        update_running(s, NORMA_ARG_RUNNING_MEAN, false);
        update_running(s, NORMA_ARG_RUNNING_VAR, true);
    }
    if (f->count_batches) {
        const int64_t count = load_count(s) + f->batches;
        memcpy(s->base[NORMA_ARG_NUM_BATCHES_TRACKED], &count, sizeof count);
    }
}

// A NaN stays.
static double clipped(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

// The difference of the means is taken in long double, which holds that of any two of float64.
void nsc_strided_renorm(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell)
{
    const struct norma_form *f = s->form;
    const double r_max = f->float64 ? f->r_max64 : (double)f->r_max, d_max = f->float64 ? f->d_max64 : (double)f->d_max;
    if (f->backward) {
        cell->r = nsc_strided_load_one(s, NORMA_ARG_R, group);
        cell->d = nsc_strided_load_one(s, NORMA_ARG_D, group);
        return;
    }
    const double sd = sqrt(nsc_strided_load_one(s, NORMA_ARG_RUNNING_VAR, group) + s->eps);
    const long double mean = nsc_strided_load_one(s, NORMA_ARG_RUNNING_MEAN, group);
    const long double apart = ((long double)cell->mean - mean) + (long double)cell->mean_low;
    cell->r = clipped(1 / (cell->rstd * sd), 1 / r_max, r_max);
    cell->d = clipped((double)(apart / (long double)sd), -d_max, d_max);
}
