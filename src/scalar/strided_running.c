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

static double momentum_of(const struct strided *s, int64_t member)
{
    return s->form->cumulative ? 1 / (double)(load_count(s) + member + 1) : s->momentum;
}

// The momentum may make a double of a variance that is none.
double nsc_strided_blended(const struct strided *s, double running, long double batch, int64_t member)
{
    const double momentum = momentum_of(s, member), rounded = (double)batch;
    const double share = isfinite(rounded) ? momentum * rounded : (double)(momentum * batch);
    return (1 - momentum) * running + share;
}

// A group's part of a running statistic. The share is taken before the scale, as above.
static double share_of(const struct strided *s, const struct strided_cell *cell, bool variance, int64_t member)
{
    const double momentum = momentum_of(s, member);
    return variance ? momentum * cell->variance / cell->scale / cell->scale : momentum * cell->mean;
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
        long double sum = 0, shares = 0; // shares: for means whose sum is no double
        bool trained = true;
        nsc_strided_set_index(f, own, i, index);
        struct strided_walk at = nsc_strided_walk(f, groups & ~own, index);
        do {
            const struct strided_cell *cell = &s->cells[nsc_strided_number(f, groups, at.index)];
            const double before = nsc_strided_load_one(s, arg, &at);
            sum += variance ? cell->variance / cell->scale / cell->scale : cell->mean;
            shares += share_of(s, cell, variance, 0) / (long double)share;
            trained = trained && !(f->statistic == FORM_MERGED && cell->count < 2 - f->running_var_biased);
            if (f->in_order) {
                const double added = share_of(s, cell, variance, member);
                nsc_strided_store_one(s, arg, &at, (1 - momentum_of(s, member)) * before + added);
                member++;
            }
        } while (nsc_strided_next(&at));
        if (!trained || f->in_order)
            continue;
        const double before = nsc_strided_load_one(s, arg, &at);
        const double blended = isfinite((double)sum)
                                   ? nsc_strided_blended(s, before, (double)(sum / (long double)share), 0)
                                   : (1 - momentum_of(s, 0)) * before + (double)shares;
        nsc_strided_store_one(s, arg, &at, blended);
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

// Half the difference of the means: the whole may overflow.
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
    const long double apart = (0.5L * cell->mean - 0.5L * mean) + 0.5L * cell->mean_low;
    cell->r = clipped(1 / ((cell->factor * sd) * cell->scale), 1 / r_max, r_max);
    cell->d = clipped((double)(apart / (0.5L * sd)), -d_max, d_max);
}
