#include "form_reference.h"

#include "form_point.h"
#include "reference.h"

#include <math.h>
#include <stdlib.h>

// Outputs.

static bool of_x_shape(norma_arg arg)
{
    return arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM || arg == NORMA_ARG_DX || arg == NORMA_ARG_DRESIDUAL ||
           arg == NORMA_ARG_DZ || arg == NORMA_ARG_DADDEND;
}

static bool is_output(const struct norma_form *f, norma_arg arg)
{
    if (!f->arg[arg].present)
        return false;
    switch (arg) {
    case NORMA_ARG_Y:
    case NORMA_ARG_SUM:
    case NORMA_ARG_MEAN:
    case NORMA_ARG_RSTD:
    case NORMA_ARG_R:
    case NORMA_ARG_D:
    case NORMA_ARG_NONFINITE:
        return !f->backward;
    case NORMA_ARG_Y_SCALE:
        return f->dynamic_scale;
    case NORMA_ARG_RUNNING_MEAN:
    case NORMA_ARG_RUNNING_VAR:
        return !f->backward && f->update_running && f->statistic != FORM_GIVEN;
    case NORMA_ARG_NUM_BATCHES_TRACKED:
        return f->count_batches;
    case NORMA_ARG_STATS:
        return !f->backward && f->statistic != FORM_MERGED;
    case NORMA_ARG_SUMS:
        return f->backward && f->op != NORMA_BATCH_NORM_APPLY;
    case NORMA_ARG_DX:
    case NORMA_ARG_DWEIGHT:
    case NORMA_ARG_DBIAS:
    case NORMA_ARG_DRESIDUAL:
    case NORMA_ARG_DGATE:
    case NORMA_ARG_DINPUT_BIAS:
    case NORMA_ARG_DZ:
    case NORMA_ARG_DADDEND:
    case NORMA_ARG_DMEAN_WEIGHTS:
    case NORMA_ARG_DVAR_WEIGHTS:
        return f->backward;
    default:
        return false;
    }
}

// True for the dimensions over which the output's entries run.
static bool differs_along(const struct norma_form *f, norma_arg arg, int32_t d)
{
    const bool of_group = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD || arg == NORMA_ARG_RUNNING_MEAN ||
                          arg == NORMA_ARG_RUNNING_VAR || arg == NORMA_ARG_Y_SCALE || arg == NORMA_ARG_NONFINITE ||
                          arg == NORMA_ARG_STATS || arg == NORMA_ARG_SUMS || arg == NORMA_ARG_R || arg == NORMA_ARG_D;
    if (of_x_shape(arg))
        return true;
    return f->arg[arg].stride[d] != 0 && (!of_group || d < f->group_rank);
}

int64_t form_output_count(const struct norma_form *form, norma_arg arg)
{
    int64_t count = !is_output(form, arg) ? 0 : form_arg_has_kinds(arg) ? FORM_KINDS : 1;
    for (int32_t d = 0; d < form->rank; d++)
        if (differs_along(form, arg, d))
            count *= form->extent[d];
    return form->arg[arg].rows > 1 ? count * form->arg[arg].rows : count;
}

int64_t form_output_offset(const struct norma_form *form, norma_arg arg, int64_t index)
{
    int64_t offset = 0, at[FORM_RANK] = {0};
    if (form_arg_has_kinds(arg))
        return index * form->arg[arg].step;
    for (int32_t d = form->rank - 1; d >= 0; d--) {
        if (!differs_along(form, arg, d))
            continue;
        at[d] = index % form->extent[d];
        offset += at[d] * form->arg[arg].stride[d];
        index /= form->extent[d];
    }
    offset += form_jump(form, &form->arg[arg], at);
    return offset + index * form->arg[arg].row; // 0 rows are left where there is but one
}

int64_t point_entry(const struct norma_form *f, norma_arg arg, const int64_t index[FORM_RANK])
{
    int64_t entry = 0;
    for (int32_t d = 0; d < f->rank; d++)
        if (differs_along(f, arg, d))
            entry = entry * f->extent[d] + index[d];
    return entry;
}

void point_add(const struct task *k, norma_arg arg, const int64_t index[FORM_RANK], long double value,
               long double bound)
{
    if (!k->out[arg].value)
        return;
    const int64_t entry = point_entry(k->form, arg, index);
    k->out[arg].value[entry] += value;
    k->out[arg].bound[entry] += bound;
}

// Half the distance between neighbouring values of the 16-bit type at this magnitude.
static long double half_ulp(long double magnitude, norma_dtype dtype)
{
    const int digits = dtype == NORMA_FLOAT16 ? 11 : 8;
    const int least = dtype == NORMA_FLOAT16 ? -13 : -125; // exponent as of frexp of the smallest normal value
    int exponent = least;
    if (magnitude > 0 && isfinite(magnitude)) {
        frexpl(magnitude, &exponent);
        exponent = exponent < least ? least : exponent;
    }
    return ldexpl(1, exponent - digits - 1);
}

// What rounding to the output's type adds; float32 and float64 round within the bound but among the denormals.
static void add_storage_errors(const struct task *k)
{
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct form_reference_output *out = &k->out[arg];
        const norma_dtype dtype = k->form->arg[arg].dtype;
        const int64_t count = form_output_count(k->form, (norma_arg)arg);
        for (int64_t i = 0; i < count; i++) {
            if (dtype == NORMA_FLOAT16 || dtype == NORMA_BFLOAT16)
                out->bound[i] += half_ulp(fabsl(out->value[i]) + out->bound[i], dtype);
            out->bound[i] += k->least;
            // 0 times infinity: where a first-order bound has no meaning, any value passes.
            if (isnan(out->bound[i]))
                out->bound[i] = (long double)INFINITY;
        }
    }
}

// Statistics.

// The factor s from what was summed, and how far the errors of t, e_d in the same norm, can move it.
static void find_scale(const struct task *k, struct statistics *st, long double squares, long double e_d)
{
    const long double n = st->n, norm = st->norm, eps = k->eps;
    long double denominator;
    switch (k->form->scale) {
    case FORM_VARIANCE:
        denominator = sqrtl(squares / n + eps);
        break;
    case FORM_MAX:
        denominator = norm < eps ? eps : norm; // a NaN stays
        break;
    case FORM_ADD:
        denominator = norm + eps;
        break;
    case FORM_DEVIATION:
        denominator = sqrtl(squares / n) + eps;
        break;
    default:
        denominator = sqrtl(squares + eps);
        break;
    }
    st->s = 1 / denominator;
    st->e_norm = e_d;
    if (e_d > 0) {
        const long double q = e_d * st->s;
        st->e_s = q < 1 ? q / (1 - q) : (long double)INFINITY;
    }
}

static void sum_group(const struct task *k, int64_t group, struct statistics *st)
{
    const struct norma_form *f = k->form;
    const long double n = f->n;
    long double total = 0, e_total = 0, squares = 0, e_squares = 0, absolutes = 0, rest = 0;
    struct point p;
    for (int64_t j = 0; j < f->n; j++) {
        point_begin(k, group, j, &p);
        total += p.t;
        absolutes += fabsl(p.t);
        e_total += p.e_t;
        e_squares += p.e_t * p.e_t;
    }
    if (f->statistic == FORM_MOMENTS) {
        st->mean = total / n;
        st->e_mean = e_total / n;
    }
    for (int64_t j = 0; j < f->n; j++) {
        point_begin(k, group, j, &p);
        squares += (p.t - st->mean) * (p.t - st->mean);
        rest += p.t - st->mean;
    }
    // The rounding of the mean, which float64 comes close to. An infinite mean stays what it is.
    if (f->statistic == FORM_MOMENTS && isfinite(rest)) {
        st->mean_rest = rest / n;
        squares = fmaxl(0, squares - rest * (rest / n));
    }
    st->deviation = sqrtl(squares / n);
    st->norm = f->statistic == FORM_ABSOLUTES ? absolutes : sqrtl(squares);
    find_scale(k, st, squares,
               f->statistic == FORM_ABSOLUTES                            ? e_total
               : f->scale == FORM_VARIANCE || f->scale == FORM_DEVIATION ? sqrtl(e_squares / n)
                                                                         : sqrtl(e_squares));
}

static struct statistics find_statistics(const struct task *k, int64_t group)
{
    const struct norma_form *f = k->form;
    struct statistics st = {.n = f->n, .r = 1};
    int64_t index[FORM_RANK];
    if (f->statistic == FORM_MERGED) {
        find_scale(k, &st, merged_load(k, group, &st), 0);
        return st;
    }
    if (f->n == 0) {
        st.mean = st.s = st.r = st.d = (long double)NAN;
        return st;
    }
    point_locate(f, group, 0, index);
    if (f->statistic == FORM_GIVEN) {
        st.mean = point_load(k, NORMA_ARG_RUNNING_MEAN, index, 0);
        st.s = 1 / sqrtl(point_load(k, NORMA_ARG_RUNNING_VAR, index, 1) + k->eps);
        return st;
    }
    sum_group(k, group, &st);
    if (f->backward && f->arg[NORMA_ARG_RSTD].present) {
        st.s = point_load(k, NORMA_ARG_RSTD, index, 0);
        st.e_s = 0;
    }
    // A float64 mean need not be corrected.
    if (f->backward && f->float64 && f->statistic == FORM_MOMENTS && f->arg[NORMA_ARG_MEAN].present)
        st.e_mean += fabsl(point_load(k, NORMA_ARG_MEAN, index, 0) - st.mean);
    if (f->renorm)
        running_renorm(k, index, &st);
    return st;
}

static void write_statistics(const struct task *k, const struct statistics *st, int64_t group)
{
    const struct norma_form *f = k->form;
    const long double u = k->u, n = st->n;
    int64_t index[FORM_RANK];
    point_locate(f, group, 0, index);
    const long double mean = st->mean + st->mean_rest;
    const long double e_mean = 2 * u * (fabsl(mean) + st->deviation) + st->e_mean;
    point_add(k, NORMA_ARG_MEAN, index, mean, e_mean);
    point_add(k, NORMA_ARG_RSTD, index, st->s, (8 * u + st->e_s) * fabsl(st->s));
    point_add(k, NORMA_ARG_R, index, st->r, st->e_r);
    point_add(k, NORMA_ARG_D, index, st->d, st->e_d);
    running_write(k, NORMA_ARG_RUNNING_MEAN, index, mean, e_mean + 4 * u * fabsl(mean));
    // rstd's 8u are 16u of the variance.
    const long double divisor = f->running_var_biased ? n : n - 1, deviation = st->deviation;
    const long double e_squares = (2 * deviation + st->e_norm) * st->e_norm * n;
    const long double var = deviation * deviation * n / divisor;
    running_write(k, NORMA_ARG_RUNNING_VAR, index, var, (4 * u + 16 * u) * var + e_squares / divisor);
    merged_write_stats(k, group, st);
}

// Quantised outputs. What is written for y is y/scale with its bound: form_reference_error tells which steps that
// allows.

struct reference_scale {
    long double value, bound; // of a group
};

static bool quantises(const struct norma_form *f)
{
    return f->arg[NORMA_ARG_Y].dtype == NORMA_INT8 || f->arg[NORMA_ARG_Y].dtype == NORMA_FLOAT8_E4M3FN;
}

// From the largest |y| of a group: it is off by the largest bound of a |y| at most. Where that reaches down to 0 the
// scale may also be 1, that of a group of zeros. A division may be 2.5 units in the last place off, 5u (OpenCL and
// Vulkan allow that of float32).
static struct reference_scale scale_of_largest(const struct task *k, struct reference_scale largest)
{
    const struct norma_form *f = k->form;
    const long double limit = f->arg[NORMA_ARG_Y].dtype == NORMA_INT8 ? 127 : 448;
    if (isnan(largest.value))
        return largest;
    struct reference_scale scale = {largest.value / limit, largest.bound / limit};
    if (largest.value == 0)
        scale.value = 1;
    else if (scale.value < k->least)
        scale.value = k->least;
    scale.bound += 5 * k->u * scale.value;
    if (largest.bound > 0 && !(largest.value > largest.bound))
        scale.bound += 1;
    return scale;
}

// s = scale, within e_s: |y'/s' - y/s| <= (e_y + |y/s|*e_s)/(|s| - e_s), and 5u for the division.
static void write_y(const struct task *k, const struct reference_scale *of_group, const int64_t index[FORM_RANK],
                    long double y, long double bound)
{
    const struct norma_form *f = k->form;
    if (!quantises(f)) {
        point_add(k, NORMA_ARG_Y, index, y, bound);
        return;
    }
    const long double s = f->dynamic_scale ? of_group->value : point_load(k, NORMA_ARG_Y_SCALE, index, 1);
    const long double e_s = f->dynamic_scale ? of_group->bound : 0, q = y / s;
    long double e_q = (bound + (e_s > 0 ? fabsl(q) * e_s : 0)) / (fabsl(s) - e_s) + 5 * k->u * fabsl(q);
    if (isnan(y) || isnan(s))
        e_q = bound + e_s;
    else if (e_s > 0 && !(fabsl(s) > e_s))
        e_q = (long double)INFINITY;
    point_add(k, NORMA_ARG_Y, index, q, e_q);
}

// The whole.

static long double largest_slope(norma_activation activation, long double slope)
{
    switch (activation) {
    case NORMA_LEAKY_RELU:
        return fmaxl(1, fabsl(slope));
    case NORMA_GELU:
    case NORMA_GELU_TANH:
        return 1.13L;
    case NORMA_SILU:
        return 1.1L;
    case NORMA_SIGMOID:
        return 0.25L;
    default:
        return 1;
    }
}

// y before it is quantised, and its bound.
static long double unquantised(const struct task *k, const struct point *p, long double *bound)
{
    const struct norma_form *f = k->form;
    *bound = p->e_v2;
    if (f->activation != NORMA_ACTIVATION_NONE)
        *bound = *bound * largest_slope(f->activation, k->slope) +
                 8 * k->u * point_activation_size(f->activation, k->slope, p->v2);
    if (quantises(f) && isnan(p->v2)) // not where the activation of an infinity is NaN here
        *bound = 0;
    return point_activate(f->activation, k->slope, p->v2);
}

static void write_forward(const struct task *k, const struct reference_scale *scale, const struct point *p)
{
    long double bound;
    const long double y = unquantised(k, p, &bound);
    write_y(k, scale, p->index, y, bound);
    point_add(k, NORMA_ARG_SUM, p->index, p->sum, 3 * k->u * p->sum_terms);
}

// The group's own scale, if it is to be found (from its statistics), and the count of x's elements that are not finite.
static struct reference_scale scan_group(const struct task *k, const struct statistics *st, int64_t group)
{
    const struct norma_form *f = k->form;
    struct reference_scale scale = {0};
    struct point p = {0};
    int64_t nonfinite = 0;
    for (int64_t j = 0; j < f->n && !f->backward; j++) {
        point_begin(k, group, j, &p);
        nonfinite += !isfinite(point_load(k, NORMA_ARG_X, p.index, 0));
        if (!f->dynamic_scale || f->no_elements)
            continue;
        point_forward(k, st, &p);
        long double bound;
        const long double y = fabsl(unquantised(k, &p, &bound));
        scale.value = y <= scale.value || isnan(scale.value) ? scale.value : y;
        scale.bound = bound <= scale.bound || isnan(scale.bound) ? scale.bound : bound;
    }
    scale = scale_of_largest(k, scale);
    point_locate(f, group, 0, p.index);
    point_add(k, NORMA_ARG_NONFINITE, p.index, nonfinite, 0);
    point_add(k, NORMA_ARG_Y_SCALE, p.index, scale.value, scale.bound);
    return scale;
}

// Local response norm. A sum of squares and a power: 8u, and what the sum's 8u do to the power, as the bound of v0;
// what comes behind the norm adds to it as everywhere.
static void do_window(const struct task *k, int64_t group)
{
    const struct norma_form *f = k->form;
    const bool wide = f->float64;
    const long double alpha = wide ? f->alpha : (float)f->alpha, beta = wide ? f->beta : (float)f->beta;
    const long double least = wide ? f->k : (float)f->k;
    const int64_t before = f->window_before, after = f->window_after;
    const struct reference_scale given = scan_group(k, NULL, group);
    struct point p, near;
    for (int64_t i = 0; i < f->n; i++) {
        long double squares = 0;
        for (int64_t j = i > before ? i - before : 0; j < f->n && j <= i + after; j++) {
            point_begin(k, group, j, &near);
            squares += near.t * near.t;
        }
        point_begin(k, group, i, &p);
        p.v0 = p.t * powl(least + alpha * squares, -beta);
        p.e_v0 = 8 * k->u * fabsl(p.v0) * (1 + fabsl(beta)) + k->least;
        point_behind(k, &p);
        write_forward(k, &given, &p);
    }
}

// mix: NULL where statistics are not mixed.
static void do_group(const struct task *k, struct form_mixture *mix, int64_t group)
{
    const struct statistics st = mix ? form_mix_statistics(mix, group) : find_statistics(k, group);
    const struct reference_scale scale = scan_group(k, &st, group);
    struct sums sums = {0};
    struct point p;
    if (mix)
        form_mix_write(mix, group);
    else
        write_statistics(k, &st, group);
    if (k->form->backward && k->form->op == NORMA_BATCH_NORM_APPLY)
        sums = merged_sums(k, group);
    else if (k->form->backward && k->form->statistic != FORM_GIVEN && !mix)
        sums = gradient_sums(k, &st, group);
    merged_write_sums(k, group, &sums);
    for (int64_t j = 0; j < k->form->n; j++) {
        point_begin(k, group, j, &p);
        point_forward(k, &st, &p);
        if (k->form->backward) {
            point_backward(k, &st, &p);
            if (mix)
                form_mix_through(mix, group, &p);
            else
                gradient_through_statistics(k, &st, &sums, &p);
            gradient_write(k, &p);
        } else {
            write_forward(k, &scale, &p);
        }
    }
}

static bool allocate(const struct norma_form *form, struct form_reference_output out[NORMA_ARG_COUNT])
{
    bool ok = true;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        out[arg] = (struct form_reference_output){0};
        if (!is_output(form, (norma_arg)arg))
            continue;
        const size_t count = (size_t)form_output_count(form, (norma_arg)arg) + 1;
        out[arg].value = calloc(count, sizeof(long double));
        out[arg].bound = calloc(count, sizeof(long double));
        ok = ok && out[arg].value && out[arg].bound;
    }
    return ok;
}

bool form_reference(const struct norma_form *form, const void *const data[NORMA_ARG_COUNT],
                    struct form_reference_output out[NORMA_ARG_COUNT])
{
    const bool wide = form->float64;
    const struct task task = {.form = form,
                              .data = data,
                              .out = out,
                              .u = wide ? 0x1p-53L : 0x1p-24L,
                              .least = wide ? 0x1p-1074L : 0x1p-149L,
                              .eps = wide ? form->eps64 : form->eps,
                              .weight_offset = wide ? form->weight_offset64 : form->weight_offset,
                              .momentum = wide ? form->momentum64 : form->momentum,
                              .slope = wide ? form->slope64 : form->slope};
    struct form_mixture *mix = NULL;
    const bool mixes = form->mix && form->groups > 0 && form->n > 0;
    if (!allocate(form, out) || (mixes && !(mix = form_mix_create(&task)))) {
        form_reference_finish(out);
        return false;
    }
    for (int arg = NORMA_ARG_RUNNING_MEAN; arg <= NORMA_ARG_RUNNING_VAR; arg++)
        running_update(&task, (norma_arg)arg, true);
    for (int64_t group = 0; group < form->groups; group++)
        if (form->statistic == FORM_WINDOW)
            do_window(&task, group);
        else if (form->statistic == FORM_PARTS)
            merged_do_parts(&task, group);
        else
            do_group(&task, mix, group);
    for (int arg = NORMA_ARG_RUNNING_MEAN; arg <= NORMA_ARG_RUNNING_VAR; arg++)
        running_update(&task, (norma_arg)arg, false);
    if (out[NORMA_ARG_NUM_BATCHES_TRACKED].value)
        out[NORMA_ARG_NUM_BATCHES_TRACKED].value[0] = point_load_at(&task, NORMA_ARG_NUM_BATCHES_TRACKED, 0) +
                                                      (form->groups > 0 && form->n > 0 ? form->batches : 0);
    add_storage_errors(&task);
    form_mix_destroy(mix);
    return true;
}

void form_reference_finish(struct form_reference_output out[NORMA_ARG_COUNT])
{
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        free(out[arg].value);
        free(out[arg].bound);
        out[arg] = (struct form_reference_output){0};
    }
}

// The nearest value of the type, ties to even, by the definitions of the types: int8, and float8_e4m3fn with steps of
// 2^-9 below 2^-6 and of an eighth of the power of two above.
static long double quantised(long double v, norma_dtype dtype)
{
    const long double largest = dtype == NORMA_INT8 ? 127 : 448, lowest = dtype == NORMA_INT8 ? -128 : -448;
    int exponent = -6;
    if (dtype == NORMA_FLOAT8_E4M3FN && fabsl(v) >= 0x1p-6L && isfinite(v)) {
        frexpl(v, &exponent);
        exponent -= 1;
    }
    const long double step = dtype == NORMA_INT8 ? 1 : ldexpl(1, exponent - 3);
    const long double rounded = isfinite(v) ? rintl(v / step) * step : v;
    return rounded > largest ? largest : rounded < lowest ? lowest : rounded;
}

// 0 for the nearest step, at most 1 for others between those nearest to expected - bound and to expected + bound, more
// for all else.
static double step_error(long double expected, long double bound, long double got, norma_dtype dtype)
{
    if (isnan(expected) || isnan(got))
        return isnan(expected) && (dtype == NORMA_INT8 ? got == 0 : isnan(got)) ? 0 : (double)INFINITY;
    if (got == quantised(expected, dtype))
        return 0;
    const long double boundary = (got + quantised(expected, dtype)) / 2; // of neighbours
    if (got >= quantised(expected - bound, dtype) && got <= quantised(expected + bound, dtype) && isfinite(expected))
        return fmin(1, (double)(fabsl(boundary - expected) / bound));
    const double error = (double)(fabsl(expected - got) / bound);
    return error > 1 ? error : (double)INFINITY;
}

double form_reference_error(const struct norma_form *form, norma_arg arg, long double expected, long double bound,
                            long double got)
{
    const norma_dtype dtype = form->arg[arg].dtype;
    if (dtype == NORMA_INT8 || dtype == NORMA_FLOAT8_E4M3FN)
        return step_error(expected, bound, got, dtype);
    if (dtype == NORMA_INT32 || dtype == NORMA_INT64)
        return expected == got ? 0 : (double)INFINITY;
    if (dtype != NORMA_FLOAT64 && arg != NORMA_ARG_STATS)
        return reference_error(expected, bound, (float)got, dtype);
    if (isnan(expected) || isnan(got))
        return isnan(expected) && isnan(got) ? 0 : (double)INFINITY;
    if (isinf(got) || isinf(expected)) {
        const bool same_sign = !signbit(expected) == !signbit(got);
        const bool overflows = isinf(expected) || fabsl(expected) + bound >= 0x1.fffffffffffff8p+1023L;
        return isinf(got) && same_sign && overflows ? 0 : (double)INFINITY;
    }
    const long double difference = fabsl(expected - got);
    return difference == 0 ? 0 : (double)(difference / bound);
}
