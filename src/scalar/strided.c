// Every operator over any strides, written from the formulas of norma_problem: what the other backends are compared
// with. h is float32, one rounding an operation (float64 where all tensors are); all that follows is double, and an
// output is rounded once. double holds the squares of any float32; for float64 sums of statistics are long double.
#include "strided.h"

#include "../half.h"
#include <math.h>
#include <string.h>

char *nsc_strided_element(const struct strided *s, norma_arg arg, const struct strided_walk *at)
{
    const struct form_arg *a = &s->form->arg[arg];
    int64_t offset = 0;
    for (int32_t d = 0; d < s->form->rank; d++)
        offset += at->index[d] * a->stride[d];
    return s->base[arg] + (offset + form_jump(s->form, a, at->index)) * (int64_t)norma_dtype_size(a->dtype);
}

// How many of a stretch's elements from `at` on lie evenly: those before the next block of packed channels.
static int64_t even_count(const struct strided *s, norma_arg arg, const struct strided_walk *at, int64_t left)
{
    const struct norma_form *f = s->form;
    const struct form_arg *a = &f->arg[arg];
    if (a->jump == 0 || f->channel[f->rank - 1] == 0 || left <= 1)
        return left;
    const int64_t step = f->channel[f->rank - 1];
    int64_t channel = 0;
    for (int32_t d = 0; d < f->rank; d++)
        channel += at->index[d] * f->channel[d];
    const int64_t block = INT64_C(1) << a->shift, before = (block - channel % block + step - 1) / step;
    return before < left ? before : left;
}

static void load_values(norma_dtype dtype, const void *from, int64_t step, int64_t count, double *out)
{
    const double *from64 = from;
    const float *from32 = from;
    const uint16_t *from16 = from;
    switch (dtype) {
    case NORMA_FLOAT64:
        for (int64_t i = 0; i < count; i++)
            out[i] = from64[i * step];
        break;
    case NORMA_FLOAT16:
        for (int64_t i = 0; i < count; i++)
            out[i] = (double)norma_half_to_float(from16[i * step]);
        break;
    case NORMA_BFLOAT16:
        for (int64_t i = 0; i < count; i++)
            out[i] = (double)norma_bfloat_to_float(from16[i * step]);
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            out[i] = (double)from32[i * step];
        break;
    }
}

void nsc_strided_load(const struct strided *s, norma_arg arg, const struct strided_walk *at, double *out)
{
    const struct form_arg *a = &s->form->arg[arg];
    const int32_t last = s->form->rank - 1;
    struct strided_walk from = *at;
    for (int64_t count, done = 0; done < at->count; done += count, from.index[last] += count) {
        count = even_count(s, arg, &from, at->count - done);
        load_values(a->dtype, nsc_strided_element(s, arg, &from), a->stride[last], count, out + done);
    }
}

void nsc_strided_load_kinds(const struct strided *s, norma_arg arg, double out[FORM_KINDS])
{
    const struct form_arg *a = &s->form->arg[arg];
    load_values(a->dtype, s->base[arg], a->step, FORM_KINDS, out);
}

// To float32 such that rounding on to a 16-bit type gives what rounding the double would: an inexact result is the
// neighbour with an odd last bit.
static float narrow(double value)
{
    const float nearest = (float)value;
    const uint32_t bits = norma_float_bits(nearest);
    if ((double)nearest == value || isnan(value) || bits & 1)
        return nearest;
    return norma_bits_float(fabs((double)nearest) > fabs(value) ? bits - 1 : bits + 1);
}

static void store_values(norma_dtype dtype, void *to, int64_t step, int64_t count, const double *values)
{
    double *to64 = to;
    float *to32 = to;
    uint16_t *to16 = to;
    uint8_t *to8 = to;
    int8_t *signed8 = to;
    int32_t *counts = to;
    switch (dtype) {
    case NORMA_FLOAT64:
        for (int64_t i = 0; i < count; i++)
            to64[i * step] = values[i];
        break;
    case NORMA_FLOAT16:
        for (int64_t i = 0; i < count; i++)
            to16[i * step] = norma_float_to_half(narrow(values[i]));
        break;
    case NORMA_BFLOAT16:
        for (int64_t i = 0; i < count; i++)
            to16[i * step] = norma_float_to_bfloat(narrow(values[i]));
        break;
    case NORMA_INT32:
        for (int64_t i = 0; i < count; i++)
            counts[i * step] = (int32_t)values[i];
        break;
    case NORMA_INT8:
        for (int64_t i = 0; i < count; i++)
            signed8[i * step] = norma_float_to_int8(narrow(values[i]));
        break;
    case NORMA_FLOAT8_E4M3FN:
        for (int64_t i = 0; i < count; i++)
            to8[i * step] = norma_float_to_float8(narrow(values[i]));
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            to32[i * step] = (float)values[i];
        break;
    }
}

void nsc_strided_store(const struct strided *s, norma_arg arg, const struct strided_walk *at, const double *values)
{
    const struct form_arg *a = &s->form->arg[arg];
    const int32_t last = s->form->rank - 1;
    struct strided_walk to = *at;
    for (int64_t count, done = 0; done < at->count; done += count, to.index[last] += count) {
        count = even_count(s, arg, &to, at->count - done);
        store_values(a->dtype, nsc_strided_element(s, arg, &to), a->stride[last], count, values + done);
    }
}

void nsc_strided_store_kinds(const struct strided *s, norma_arg arg, const double values[FORM_KINDS])
{
    const struct form_arg *a = &s->form->arg[arg];
    store_values(a->dtype, s->base[arg], a->step, FORM_KINDS, values);
}

double nsc_strided_load_one(const struct strided *s, norma_arg arg, const struct strided_walk *group)
{
    struct strided_walk at = *group;
    double value;
    at.count = 1;
    nsc_strided_load(s, arg, &at, &value);
    return value;
}

void nsc_strided_store_one(const struct strided *s, norma_arg arg, const struct strided_walk *group, double value)
{
    struct strided_walk at = *group;
    at.count = 1;
    nsc_strided_store(s, arg, &at, &value);
}

// What an operation of h gives: for float32 operands rounding the double result is rounding the exact one.
static double rounded(const struct strided *s, double value)
{
    return s->form->float64 ? value : (double)(float)value;
}

static void load_z(const struct strided *s, const struct strided_walk *at, struct strided_stretch *o)
{
    nsc_strided_load(s, NORMA_ARG_Z, at, o->z);
    for (int64_t i = 0; i < at->count; i++)
        o->act_z[i] = nsc_activation(s->form->z_activation, s->slope, o->z[i]);
}

// Fills a stretch up to t.
void nsc_strided_load_t(const struct strided *s, const struct strided_walk *at, struct strided_stretch *o)
{
    const int64_t count = at->count;
    nsc_strided_load(s, NORMA_ARG_X, at, o->u);
    if (nsc_strided_has(s, NORMA_ARG_INPUT_BIAS)) {
        nsc_strided_load(s, NORMA_ARG_INPUT_BIAS, at, o->term);
        for (int64_t i = 0; i < count; i++)
            o->u[i] = rounded(s, o->u[i] + o->term[i]);
    }
    memcpy(o->h, o->u, (size_t)count * sizeof o->h[0]);
    if (nsc_strided_has(s, NORMA_ARG_GATE)) {
        nsc_strided_load(s, NORMA_ARG_GATE, at, o->gate);
        for (int64_t i = 0; i < count; i++)
            o->h[i] = rounded(s, o->gate[i] * o->h[i]);
    }
    if (nsc_strided_has(s, NORMA_ARG_RESIDUAL)) {
        nsc_strided_load(s, NORMA_ARG_RESIDUAL, at, o->term);
        for (int64_t i = 0; i < count; i++)
            o->h[i] = rounded(s, o->term[i] + o->h[i]);
    }
    memcpy(o->t, o->h, (size_t)count * sizeof o->t[0]);
    if (nsc_strided_has(s, NORMA_ARG_Z) && s->form->z_first) {
        load_z(s, at, o);
        for (int64_t i = 0; i < count; i++)
            o->t[i] = o->h[i] * o->act_z[i];
    }
}

void nsc_strided_go_behind(const struct strided *s, const struct strided_walk *at, struct strided_stretch *o)
{
    const int64_t count = at->count;
    memcpy(o->v2, o->v0, (size_t)count * sizeof o->v2[0]);
    if (nsc_strided_has(s, NORMA_ARG_Z) && !s->form->z_first) {
        load_z(s, at, o);
        for (int64_t i = 0; i < count; i++)
            o->v2[i] = o->v0[i] * o->act_z[i];
    }
    if (nsc_strided_has(s, NORMA_ARG_ADDEND)) {
        nsc_strided_load(s, NORMA_ARG_ADDEND, at, o->term);
        for (int64_t i = 0; i < count; i++)
            o->v2[i] = o->v2[i] + o->term[i];
    }
}

void nsc_strided_activate(const struct strided *s, const struct strided_walk *at, struct strided_stretch *o)
{
    for (int64_t i = 0; i < at->count; i++)
        o->v2[i] = nsc_activation(s->form->activation, s->slope, o->v2[i]);
}

void nsc_strided_evaluate(const struct strided *s, const struct strided_walk *at, const struct strided_cell *cell,
                          struct strided_stretch *o)
{
    const int64_t count = at->count;
    nsc_strided_load_t(s, at, o);
    if (cell->scale == 1)
        for (int64_t i = 0; i < count; i++)
            o->v0[i] = o->xhat[i] = ((o->t[i] - cell->centre) - cell->centre_low) * cell->factor;
    else
        for (int64_t i = 0; i < count; i++)
            o->v0[i] = o->xhat[i] = ((o->t[i] * cell->scale - cell->centre) - cell->centre_low) * cell->factor;
    for (int64_t i = 0; i < count && s->form->renorm; i++)
        o->v0[i] = o->xhat[i] * cell->r + cell->d;
    memcpy(o->normalised, o->v0, (size_t)count * sizeof o->normalised[0]);
    if (nsc_strided_has(s, NORMA_ARG_WEIGHT)) {
        nsc_strided_load(s, NORMA_ARG_WEIGHT, at, o->factor);
        for (int64_t i = 0; i < count; i++) {
            o->factor[i] = s->weight_offset + o->factor[i];
            o->v0[i] = o->normalised[i] * o->factor[i];
        }
    }
    if (nsc_strided_has(s, NORMA_ARG_BIAS)) {
        nsc_strided_load(s, NORMA_ARG_BIAS, at, o->term);
        for (int64_t i = 0; i < count; i++)
            o->v0[i] = o->v0[i] + o->term[i];
    }
    nsc_strided_go_behind(s, at, o);
}

enum power { DEVIATIONS, SQUARES, ABSOLUTES };

static double sum_double(enum power power, const double *t, int64_t count, double about, double low)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const double d = (t[i] - about) - low;
        sum += power == SQUARES ? d * d : power == ABSOLUTES ? fabs(d) : d;
    }
    return sum;
}

// Of float64: holds its squares too.
static long double sum_wide(enum power power, const double *t, int64_t count, double about, double low)
{
    long double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const long double d = ((long double)t[i] - about) - low;
        sum += power == SQUARES ? d * d : power == ABSOLUTES ? fabsl(d) : d;
    }
    return sum;
}

// About the cell's centre, at its scale.
static long double sum_group(const struct strided *s, const struct strided_walk *group, enum power power,
                             const struct strided_cell *cell, struct strided_stretch *o)
{
    struct strided_walk at = *group;
    const double about = cell->centre, low = cell->centre_low;
    long double sum = 0;
    do {
        nsc_strided_load_t(s, &at, o);
        for (int64_t i = 0; i < at.count && cell->scale != 1; i++)
            o->t[i] *= cell->scale;
        sum += s->form->float64 ? sum_wide(power, o->t, at.count, about, low)
                                : (long double)sum_double(power, o->t, at.count, about, low);
    } while (nsc_strided_next(&at));
    return sum;
}

// About the first element, so that equal elements have their mean exactly.
static void find_mean(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell,
                      struct strided_stretch *o)
{
    nsc_strided_load_t(s, group, o);
    const double first = o->t[0] * cell->scale;
    const double pivot = isfinite(first) ? first : 0; // inf - inf would make NaN of an infinite mean
    cell->centre = pivot;
    cell->centre_low = 0;
    const long double rest = sum_group(s, group, DEVIATIONS, cell, o) / (long double)s->form->n;
    cell->centre = (double)(pivot + rest);
    cell->centre_low = (double)((pivot - (long double)cell->centre) + rest);
}

void nsc_strided_moments(const struct strided *s, int64_t group, struct strided_moments *moments,
                         struct strided_stretch *o)
{
    const struct strided_walk at = nsc_strided_group(s->form, group);
    struct strided_cell cell = {.scale = 1};
    find_mean(s, &at, &cell, o);
    moments->mean = cell.centre;
    moments->mean_low = cell.centre_low;
    moments->var = sum_group(s, &at, SQUARES, &cell, o) / (long double)s->form->n;
}

static double find_factor(const struct strided *s, const struct strided_cell *cell, long double norm)
{
    const long double eps = s->eps * cell->scale, square = eps * cell->scale;
    switch (s->form->scale) {
    case FORM_MAX:
        return (double)(1 / (norm <= eps ? eps : norm)); // a NaN stays
    case FORM_ADD:
    case FORM_DEVIATION:
        return (double)(1 / (norm + eps));
    case FORM_INSIDE:
        return (double)(1 / sqrtl(cell->spread + square));
    default:
        return (double)(1 / sqrtl(cell->spread / (long double)cell->count + square));
    }
}

void nsc_strided_finish(const struct strided *s, struct strided_cell *cell)
{
    const long double squares = cell->spread / (s->form->scale == FORM_DEVIATION ? (long double)cell->count : 1);
    const long double norm = s->form->statistic == FORM_ABSOLUTES ? squares : sqrtl(squares);
    const double divisor = s->form->running_var_biased ? cell->count : cell->count - 1;
    cell->norm = (double)norm;
    cell->factor = find_factor(s, cell, norm);
    cell->mean = cell->centre / cell->scale;
    cell->mean_low = cell->centre_low / cell->scale;
    cell->variance = divisor < 1 ? (double)NAN : (double)(cell->spread / (long double)divisor);
    cell->rstd = cell->factor * cell->scale;
}

// The norm, or deviation, that a saved factor was made of. One of 1/eps that was rounded still tells that eps was the
// larger: the gradient of max(norm, eps) depends on it.
static double saved_norm(const struct strided *s, const struct strided_cell *cell)
{
    const double sum = 1 / cell->factor, eps = s->eps * cell->scale;
    if (s->form->scale == FORM_MAX)
        return sum * (1 - (s->form->float64 ? 0x1p-50 : 0x1p-22)) <= eps ? eps : sum;
    return sum > eps ? sum - eps : 0;
}

static void find_statistics(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell,
                            struct strided_stretch *o)
{
    const struct norma_form *f = s->form;
    const bool saved = f->backward && nsc_strided_has(s, NORMA_ARG_RSTD);
    if (f->statistic == FORM_MOMENTS)
        find_mean(s, group, cell, o);
    if (!saved)
        cell->spread = sum_group(s, group, f->statistic == FORM_ABSOLUTES ? ABSOLUTES : SQUARES, cell, o);
    nsc_strided_finish(s, cell);
    if (!saved)
        return;
    cell->rstd = nsc_strided_load_one(s, NORMA_ARG_RSTD, group);
    cell->factor = cell->rstd / cell->scale;
    cell->norm = saved_norm(s, cell);
}

// A saved mean is not read: corrected by the mean of t - mean, it is the mean of t. A saved rstd is taken as it is.
void nsc_strided_statistics(const struct strided *s, int64_t group, struct strided_cell *cell,
                            struct strided_stretch *o)
{
    const struct norma_form *f = s->form;
    const struct strided_walk at = nsc_strided_group(f, group);
    *cell = (struct strided_cell){.count = (double)f->n, .scale = 1};
    if (f->statistic == FORM_MERGED) {
        nsc_strided_load_stats(s, &at, cell);
        return;
    }
    if (f->n == 0) {
        cell->mean = cell->rstd = (double)NAN;
        return;
    }
    if (f->statistic == FORM_GIVEN) {
        cell->mean = nsc_strided_load_one(s, NORMA_ARG_RUNNING_MEAN, &at);
        cell->rstd = 1 / sqrt(nsc_strided_load_one(s, NORMA_ARG_RUNNING_VAR, &at) + s->eps);
        cell->scale = fabs(cell->mean) > 0x1p+1000 ? 0.5 : 1; // t - mean may be no double
        cell->centre = cell->mean * cell->scale;
        cell->factor = cell->rstd / cell->scale;
        return;
    }
    find_statistics(s, &at, cell, o);
    if (nsc_strided_rescues(s, &at, cell, o))
        find_statistics(s, &at, cell, o);
    if (f->renorm)
        nsc_strided_renorm(s, &at, cell);
}

void nsc_strided_find_y(const struct strided *s, const struct strided_walk *at, const struct strided_cell *cell,
                        struct strided_stretch *o)
{
    nsc_strided_evaluate(s, at, cell, o);
    nsc_strided_activate(s, at, o);
}

// Inputs of a stretch are read before its outputs are written, and the group's statistics are known: y may lie in the
// place of x, sum of residual.
static void write_stretch(const struct strided *s, const struct strided_walk *at, const struct strided_cell *cell,
                          struct strided_stretch *o)
{
    nsc_strided_find_y(s, at, cell, o);
    if (nsc_strided_has(s, NORMA_ARG_SUM))
        nsc_strided_store(s, NORMA_ARG_SUM, at, o->h);
    if (nsc_strided_has(s, NORMA_ARG_Y))
        nsc_strided_store_y(s, at, cell->y_scale, o->v2);
}

static void write_statistics(const struct strided *s, int64_t group, const struct strided_cell *cell)
{
    const struct strided_walk at = nsc_strided_group(s->form, group);
    if (nsc_strided_has(s, NORMA_ARG_MEAN))
        nsc_strided_store_one(s, NORMA_ARG_MEAN, &at, cell->mean);
    if (nsc_strided_has(s, NORMA_ARG_RSTD))
        nsc_strided_store_one(s, NORMA_ARG_RSTD, &at, cell->rstd);
    if (s->form->dynamic_scale)
        nsc_strided_store_one(s, NORMA_ARG_Y_SCALE, &at, cell->y_scale);
    if (nsc_strided_has(s, NORMA_ARG_NONFINITE))
        nsc_strided_store_one(s, NORMA_ARG_NONFINITE, &at, (double)cell->nonfinite);
    if (nsc_strided_has(s, NORMA_ARG_R))
        nsc_strided_store_one(s, NORMA_ARG_R, &at, cell->r);
    if (nsc_strided_has(s, NORMA_ARG_D))
        nsc_strided_store_one(s, NORMA_ARG_D, &at, cell->d);
    if (nsc_strided_has(s, NORMA_ARG_STATS) && s->form->statistic == FORM_MOMENTS)
        nsc_strided_store_stats(s, &at, cell);
}

static void run_forward(void *user, uint64_t first, uint64_t count)
{
    const struct strided *s = user;
    const bool elements = s->form->n > 0 && !s->form->no_elements;
    struct strided_stretch o;
    for (uint64_t group = first; group < first + count; group++) {
        struct strided_walk at = nsc_strided_group(s->form, (int64_t)group);
        struct strided_cell cell;
        if (s->form->mix)
            cell = s->cells[group];
        else
            nsc_strided_statistics(s, (int64_t)group, &cell, &o);
        cell.y_scale = 1;
        if (elements && nsc_strided_has(s, NORMA_ARG_NONFINITE))
            nsc_strided_count_nonfinite(s, &at, &cell, &o);
        if (elements && s->form->dynamic_scale)
            nsc_strided_find_scale(s, &at, &cell, &o);
        if (elements && (nsc_strided_has(s, NORMA_ARG_Y) || nsc_strided_has(s, NORMA_ARG_SUM)))
            do
                write_stretch(s, &at, &cell, &o);
            while (nsc_strided_next(&at));
        if (s->cells)
            s->cells[group] = cell;
        else
            write_statistics(s, (int64_t)group, &cell);
    }
}

void nsc_strided_run(struct norma_device *device, struct strided *s,
                     void (*run)(void *user, uint64_t first, uint64_t count))
{
    enum { PIECE = 4096, BYTES = 32 }; // elements of a piece; what an element moves, more or less
    const uint64_t groups = (uint64_t)s->form->groups, n = (uint64_t)s->form->n;
    const uint64_t piece = n < PIECE ? PIECE / (n + 1) + 1 : 1;
    nsc_run(device, &(struct nsc_job){run, s, groups, piece}, groups * n * BYTES);
}

// True where mean or rstd lies in the place of an input, which other groups may have yet to read.
static bool statistics_in_place(const struct strided *s)
{
    const norma_arg outputs[2] = {NORMA_ARG_MEAN, NORMA_ARG_RSTD};
    for (int i = 0; i < 2; i++)
        for (norma_arg other = 0; other < NORMA_ARG_COUNT; other++)
            if (other != outputs[i] && nsc_strided_has(s, outputs[i]) && nsc_strided_has(s, other) &&
                s->base[outputs[i]] == s->base[other])
                return true;
    return false;
}

static norma_status forward(struct norma_device *device, struct strided *s)
{
    const struct norma_form *f = s->form;
    norma_status status = NORMA_OK;
    if (f->groups == 0)
        return NORMA_OK;
    if (f->mix)
        status = nsc_switch_cells(device, s);
    else if ((f->update_running || statistics_in_place(s)) &&
             !(s->cells = norma_alloc(device->allocator, (size_t)f->groups * sizeof *s->cells)))
        status = norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
    if (status == NORMA_OK) {
        nsc_strided_run(device, s, run_forward);
        for (int64_t group = 0; group < f->groups && s->cells; group++)
            write_statistics(s, group, &s->cells[group]);
        nsc_strided_running(s);
    }
    norma_free(s->cells);
    norma_free(s->moments);
    return status;
}

norma_status nsc_strided_dispatch(struct norma_device *device, const struct norma_command *command)
{
    const norma_dispatch *dispatch = command->dispatch;
    struct strided s = {0};
    s.allocator = device->allocator;
    s.form = (const void *)dispatch->table;
    const struct norma_form *f = s.form;
    s.eps = f->float64 ? f->eps64 : (double)f->eps;
    s.weight_offset = f->float64 ? f->weight_offset64 : (double)f->weight_offset;
    s.momentum = f->float64 ? f->momentum64 : (double)f->momentum;
    s.slope = f->float64 ? f->slope64 : (double)f->slope;
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        const uint32_t slot = dispatch->bindings[i].slot;
        if (slot < NORMA_ARG_COUNT && command->bound[i])
            s.base[slot] = (char *)command->bound[i]->host + command->bound_offset[i];
    }
    if (f->statistic == FORM_WINDOW)
        return nsc_strided_window(&s);
    if (f->statistic == FORM_PARTS) {
        nsc_strided_merge(device, &s);
        return NORMA_OK;
    }
    return f->backward ? nsc_strided_backward(device, &s) : forward(device, &s);
}
