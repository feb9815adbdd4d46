// The contents of a strided case's arena: canaries, inputs of a kind, outputs of NaN bytes.
#include "strided_case.h"
#include "strided_numbers.h"
#include "strided_walk.h"
#include "subject.h"
#include "verify/form_reference.h"
#include <float.h>
#include <math.h>

// Up to the largest number of the type, but for what makes h and t of it: act_z(z) is below 200.
static double largest_value(const struct strided_case *c, norma_dtype dtype, double normal)
{
    const bool fused = c->tensor[NORMA_ARG_RESIDUAL].present || c->tensor[NORMA_ARG_INPUT_BIAS].present;
    const double largest = c->float64                ? DBL_MAX
                           : dtype == NORMA_FLOAT16  ? 65504
                           : dtype == NORMA_BFLOAT16 ? 0x1.fep127
                                                     : (double)FLT_MAX;
    const bool summed = c->tensor[NORMA_ARG_GATE].present && c->problem.direction == NORMA_BACKWARD; // of x's size
    const double part = summed                                                 ? 0x1p-20
                        : c->tensor[NORMA_ARG_Z].present && c->problem.z_first ? 0x1p-9
                        : fused                                                ? 0.25
                                                                               : 1;
    uint64_t all = c->seed + c->index;
    const double value = largest * part * fmax(-1, fmin(1, normal));
    switch (check_pick(&all, 3)) {
    case 0: // the mean is large, too
        return fabs(value);
    case 1: // further from the mean than the type reaches
        return largest * part * (normal > 0.7 ? 1 : -1);
    default:
        return value;
    }
}

// Of the same exponent for the most part, and of others.
static double mixed_value(const struct strided_case *c, norma_dtype dtype, uint64_t *s)
{
    const int least = c->float64 ? -990 : dtype == NORMA_FLOAT16 ? -20 : -95, most = c->float64 ? 1010 : 110;
    const int range = (dtype == NORMA_FLOAT16 ? 14 : most) - least;
    uint64_t all = c->seed + c->index;
    check_random(&all);
    const int base = least + (int)check_pick(&all, range), other = least + (int)check_pick(s, range);
    return ldexp(0.5 + check_normal(s), check_pick(s, 8) ? base : other);
}

static double main_value(const struct strided_case *c, norma_dtype dtype, double constant, uint64_t *s)
{
    const bool half = dtype == NORMA_FLOAT16;
    const double normal = check_normal(s);
    switch (c->values) {
    case STRIDED_OFFSET_1E4:
        return half ? 1e3 + normal : 1e4 + normal;
    case STRIDED_OFFSET_1E6:
        return half ? 3e4 + normal * 16 : 9.9e5 + normal;
    case STRIDED_LARGE:
        return half ? (normal < 0 ? -65504 : 65504) : 1e30 * (1 + normal * 0.25);
    case STRIDED_LARGEST:
        return largest_value(c, dtype, normal);
    case STRIDED_DENORMAL:
        return normal * (half ? 0x1p-20 : c->float64 ? 0x1p-1050 : 0x1p-134);
    case STRIDED_MIXED:
        return mixed_value(c, dtype, s);
    case STRIDED_CONSTANT:
        return constant;
    default:
        return normal + 0.5;
    }
}

// What x's values are multiples of: running statistics and an input bias would drown them, or be drowned.
static double scale_of(const struct strided_case *c)
{
    switch (c->values) {
    case STRIDED_LARGE:
        return 1e30;
    case STRIDED_LARGEST:
        return c->float64 ? 1e307 : 1e37;
    case STRIDED_DENORMAL:
        return c->float64 ? 0x1p-1050 : 0x1p-134;
    default:
        return 1;
    }
}

static double offset_of(const struct strided_case *c)
{
    return c->values == STRIDED_OFFSET_1E4 ? 1e4 : c->values == STRIDED_OFFSET_1E6 ? 9.9e5 : 0;
}

// A value of this exponent, or of the nearest that the type has numbers of. Some are 0; those near the end of the range
// stay within it.
static double apart(norma_dtype dtype, int exponent, double normal, uint64_t *s)
{
    const bool half = dtype == NORMA_FLOAT16;
    const int most = half ? 15 : 127, least = half ? -20 : -140;
    const int e = exponent > most ? most : exponent < least ? least : exponent;
    if (check_pick(s, 20) == 0)
        return 0;
    return e == most ? ldexp(1.96875 * fmax(-1, fmin(1, normal)), e) : ldexp(normal, e);
}

static double value_of(const struct strided_case *c, norma_arg arg, double constant, uint64_t *s)
{
    static const double counts[] = {0, 0, 1, 2, 37, 0xfffffffe, 0xffffffff, 0x1p40 + 3};
    const double normal = check_normal(s);
    // dx is rstd times it.
    const double gradient = c->values == STRIDED_DENORMAL && c->float64 ? 0x1p-100 * normal : normal;
    const double spread = fmin(scale_of(c), 1e18); // running_var is its square
    const norma_dtype dtype = c->tensor[arg].dtype;
    switch (arg) {
    case NORMA_ARG_X:
    case NORMA_ARG_RESIDUAL:
        return main_value(c, c->tensor[arg].dtype, constant, s);
    case NORMA_ARG_RUNNING_MEAN:
        return offset_of(c) + spread * normal;
    case NORMA_ARG_RUNNING_VAR:
        return fmax(spread * spread, 1e-30) * (0.1 + 2 * check_uniform(s));
    case NORMA_ARG_NUM_BATCHES_TRACKED: // carries between the words, and past them
        return counts[check_pick(s, 8)];
    case NORMA_ARG_INPUT_BIAS:
        return c->values == STRIDED_CONSTANT ? constant : 0.1 * normal * fmin(scale_of(c), 1);
    case NORMA_ARG_GATE:
        return c->values == STRIDED_CONSTANT ? constant
               : c->values >= STRIDED_LARGE  ? check_uniform(s)
                                             : 1 + 0.5 * normal;
    case NORMA_ARG_DY:
        return c->apart ? apart(dtype, c->exponent_of_dy, normal, s) : gradient;
    case NORMA_ARG_Z:
        if (c->apart && c->exponent_of_z)
            return apart(dtype, c->exponent_of_z, normal, s);
        return check_pick(s, 40) == 0 ? 30 * normal : 2 * normal;
    case NORMA_ARG_Y_SCALE: // values between a few steps and saturation; powers of two make ties
        return check_pick(s, 20) == 0  ? 0
               : check_pick(s, 3) == 0 ? 0x1p-5
                                       : (check_pick(s, 8) ? 0.01 : -0.3) * (0.5 + check_uniform(s));
    case NORMA_ARG_WEIGHT:
    case NORMA_ARG_SCALE:
        if (c->apart && c->exponent_of_weight)
            return apart(dtype, c->exponent_of_weight, normal, s);
        return arg == NORMA_ARG_SCALE ? normal : 1 + 0.5 * normal;
    case NORMA_ARG_MEAN_WEIGHTS: // now and then the softmax has all but one near 0, or less than float32's least
    case NORMA_ARG_VAR_WEIGHTS:
        return (c->index % 5 == 0 ? 8 : c->index % 5 == 1 ? 60 : 1) * normal;
    case NORMA_ARG_SUMS:
        return (double)c->n * 0.3 * gradient;
    default:
        return normal;
    }
}

// Updated in place.
static bool is_running(norma_arg arg)
{
    return arg == NORMA_ARG_RUNNING_MEAN || arg == NORMA_ARG_RUNNING_VAR || arg == NORMA_ARG_NUM_BATCHES_TRACKED;
}

// switchable_norm: groups differ in place and size, so that the kinds of their statistics do.
static double vary(const struct strided_case *c, const struct strided_walk *walk, bool half, double value)
{
    const int64_t sample = walk->index[0], channel = walk->index[1];
    if (c->problem.op != NORMA_SWITCHABLE_NORM || c->index % 4 == 0)
        return value;
    switch (c->values) {
    case STRIDED_LARGE:
        return channel % 3 == 1 ? ldexp(value, half ? -6 : -100) : value;
    case STRIDED_DENORMAL:
        return (sample + channel) % 3 == 1 ? ldexp(value, half ? 18 : 134) : value;
    default:
        return ldexp(value, (int)(channel % 3) - 1) + (double)(sample % 3);
    }
}

static void fill_tensor(const struct strided_case *c, norma_arg arg)
{
    const struct strided_tensor *t = &c->tensor[arg];
    const size_t size = norma_dtype_size(t->dtype);
    uint64_t s = c->seed ^ (c->index * 64 + (uint64_t)arg) * 0xd6e8feb86659fd93u;
    const double constant = check_normal(&s);
    const bool fresh = strided_is_output(c, arg) && !is_running(arg);
    for (struct strided_walk walk = strided_walk_begin(t); !walk.done; strided_walk_next(t, &walk)) {
        unsigned char *place = c->arena + t->begin + (size_t)walk.offset * size;
        if (fresh) {
            memset(place, 0xff, size);
        } else if (is_running(arg) && arg != NORMA_ARG_NUM_BATCHES_TRACKED && strided_is_output(c, arg) &&
                   check_pick(&s, c->problem.momentum == 1 ? 4 : 40) == 0) {
            strided_store(t->dtype, place, check_pick(&s, 2) ? (double)NAN : (double)INFINITY); // 0 times it is NaN
        } else {
            const double value = value_of(c, arg, constant, &s);
            strided_store(t->dtype, place,
                          arg == NORMA_ARG_X ? vary(c, &walk, t->dtype == NORMA_FLOAT16, value) : value);
        }
    }
}

// A column of stats or of a part: count, mean and sum of squares without a scale.
struct cell {
    long double count, mean, squares;
};

// Rows as the library writes them, from the element at `place` on.
static void store_cell(const struct strided_case *c, norma_arg arg, unsigned char *place, const struct cell *cell)
{
    const struct strided_tensor *t = &c->tensor[arg];
    const int64_t step = t->strides[t->rank - 2] * (int64_t)norma_dtype_size(t->dtype);
    const bool grows = cell->squares < 0x1p-80L && c->problem.eps < 0x1p-73 && fabsl(cell->mean) < 0x1p20L;
    const bool tiny = cell->squares < 0x1p-900L && c->problem.eps < 0x1p-900 && fabsl(cell->mean) < 0x1p-400L;
    const long double scale = c->float64                    ? (cell->squares > 0x1p1000L ? 0x1p-600L
                                                               : tiny                    ? 0x1p600L
                                                                                         : 1)
                              : !(cell->squares <= 3.0e38L) ? 0x1p-96L // a NaN too
                              : grows                       ? 0x1p100L
                                                            : 1;
    const long double mean = cell->mean * scale;
    const double high = c->float64 ? (double)mean : (double)(float)mean;
    const double low = isfinite(high) ? (double)(mean - high) : 0;
    const double rows[FORM_STATS_ROWS] = {[FORM_COUNT] = (double)cell->count,
                                          [FORM_MEAN] = high,
                                          [FORM_MEAN_LOW] = low,
                                          [FORM_M2] = (double)(cell->squares * scale * scale),
                                          [FORM_SCALE_ROW] = (double)scale};
    for (int row = 0; row < FORM_STATS_ROWS; row++)
        strided_store(t->dtype, place + row * step, rows[row]);
}

// One of any size. What a part without elements holds counts for nothing.
static struct cell draw_cell(const struct strided_case *c, norma_arg arg, double constant, uint64_t *s)
{
    static const int64_t counts[] = {1, 2, 3, 17, 100, 5000, 70001};
    const bool empty = arg == NORMA_ARG_PARTS && check_pick(s, 5) == 0;
    struct cell cell = {.count = empty ? 0 : (long double)counts[check_pick(s, 7)]};
    cell.mean = empty ? (double)NAN : main_value(c, NORMA_FLOAT32, constant, s);
    const double deviation = c->values == STRIDED_CONSTANT ? 0 : scale_of(c) * (0.25 + fabs(check_normal(s)));
    cell.squares = cell.count > 1 ? cell.count * deviation * deviation : 0;
    return cell;
}

static void fill_cells(const struct strided_case *c, norma_arg arg)
{
    const struct strided_tensor *t = &c->tensor[arg];
    uint64_t s = c->seed ^ (c->index * 64 + (uint64_t)arg) * 0xd6e8feb86659fd93u;
    const double constant = check_normal(&s);
    const int64_t parts = t->rank == 3 ? t->shape[0] : 1, channels = t->shape[t->rank - 1];
    for (int64_t i = 0; i < parts * channels; i++) {
        const int64_t at = i / channels * (t->rank == 3 ? t->strides[0] : 0) + i % channels * t->strides[t->rank - 1];
        const struct cell cell = draw_cell(c, arg, constant, &s);
        store_cell(c, arg, c->arena + t->begin + (uint64_t)at * norma_dtype_size(t->dtype), &cell);
    }
}

// The stats of x, in every other case as part of a larger batch with another mean.
static bool make_stats(const struct strided_case *c, const struct norma_form *of)
{
    struct norma_form form = *of;
    struct form_reference_output out[NORMA_ARG_COUNT];
    const void *data[NORMA_ARG_COUNT] = {0};
    const struct strided_tensor *t = &c->tensor[NORMA_ARG_STATS];
    const bool larger = c->index % 2;
    form.op = NORMA_BATCH_NORM_STATS;
    form.statistic = FORM_MOMENTS;
    form.backward = false;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (form.arg[arg].present)
            data[arg] = c->arena + c->tensor[form.arg[arg].source].begin;
    if (!form_reference(&form, data, out))
        return false;
    const long double *rows = out[NORMA_ARG_STATS].value;
    for (int64_t group = 0; group < form.groups; group++) {
        struct cell cell = {rows[FORM_COUNT * form.groups + group], rows[FORM_MEAN * form.groups + group],
                            rows[FORM_M2 * form.groups + group]};
        if (larger) {
            cell.mean += sqrtl(cell.squares / cell.count) / 4;
            cell.count = 3 * cell.count + 1;
            cell.squares *= 4;
        }
        const uint64_t at = (uint64_t)form_output_offset(&form, NORMA_ARG_STATS, group);
        store_cell(c, NORMA_ARG_STATS, c->arena + t->begin + at * norma_dtype_size(t->dtype), &cell);
    }
    form_reference_finish(out);
    return true;
}

// What is spoilt: as often as not x, else another input; of the form's, so that scale is weight.
static norma_arg pick_spoilt(const struct norma_form *form, uint64_t *s)
{
    static const norma_arg others[] = {NORMA_ARG_WEIGHT, NORMA_ARG_BIAS,       NORMA_ARG_RESIDUAL,
                                       NORMA_ARG_GATE,   NORMA_ARG_INPUT_BIAS, NORMA_ARG_Z,
                                       NORMA_ARG_ADDEND, NORMA_ARG_DY,         NORMA_ARG_DSUM};
    norma_arg found[sizeof others / sizeof *others];
    int count = 0;
    if (form->statistic == FORM_PARTS)
        return NORMA_ARG_PARTS;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (form->arg[others[i]].present)
            found[count++] = others[i];
    return count && check_pick(s, 2) ? found[check_pick(s, count)] : NORMA_ARG_X;
}

// One element of one group of x or of another input, or the mean of a part.
static void spoil(struct strided_case *c, const struct norma_form *form)
{
    static const double values[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    uint64_t s = c->seed + c->index;
    const norma_arg arg = pick_spoilt(form, &s);
    const struct strided_tensor *t = &c->tensor[form->arg[arg].source];
    const int64_t group = check_pick(&s, form->groups);
    const int64_t at = form_offset(form, arg, group, check_pick(&s, form->n)) +
                       (form->arg[arg].rows == FORM_STATS_ROWS ? FORM_MEAN * form->arg[arg].row : 0);
    strided_store(t->dtype, c->arena + t->begin + (uint64_t)at * norma_dtype_size(t->dtype), values[check_pick(&s, 3)]);
    if (arg == NORMA_ARG_X || arg == NORMA_ARG_PARTS) {
        c->spoilt = group;
    } else {
        c->spoilt_arg = arg;
        c->spoilt_at = at;
    }
}

// Backward reads what forward left: the statistics, rounded. The mean is now and then off by a unit in the last place,
// as that of another implementation may be: it is corrected.
static bool save_statistics(const struct strided_case *c, struct norma_form *form)
{
    struct form_reference_output out[NORMA_ARG_COUNT];
    const void *data[NORMA_ARG_COUNT] = {0};
    uint64_t s = c->seed * 3 + c->index;
    const bool nudged = check_pick(&s, 2) == 0;
    form->backward = false;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (form->arg[arg].present)
            data[arg] = c->arena + c->tensor[form->arg[arg].source].begin;
    if (!form_reference(form, data, out))
        return false;
    static const norma_arg statistics[] = {NORMA_ARG_MEAN, NORMA_ARG_RSTD, NORMA_ARG_R, NORMA_ARG_D};
    for (size_t k = 0; k < sizeof statistics / sizeof *statistics; k++) {
        const norma_arg arg = statistics[k];
        const struct strided_tensor *t = &c->tensor[arg];
        for (int64_t i = 0; i < form_output_count(form, (norma_arg)arg); i++) {
            double value = (double)out[arg].value[i];
            if (nudged && arg == NORMA_ARG_MEAN && !c->float64)
                value = (double)nextafterf((float)value, check_pick(&s, 2) ? FLT_MAX : -FLT_MAX);
            const uint64_t at = (uint64_t)form_output_offset(form, arg, i);
            strided_store(t->dtype, c->arena + t->begin + at * norma_dtype_size(t->dtype), value);
        }
    }
    form_reference_finish(out);
    return true;
}

bool strided_case_fill(struct strided_case *c)
{
    struct norma_form form;
    c->arena = check_canaries(c->seed, c->index, c->arena_size);
    if (!c->arena)
        return false;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (c->tensor[arg].present && (int)c->tensor[arg].view == arg)
            fill_tensor(c, (norma_arg)arg);
    const bool forward = c->problem.direction == NORMA_FORWARD;
    if (c->tensor[NORMA_ARG_PARTS].present && forward)
        fill_cells(c, NORMA_ARG_PARTS);
    const bool given = c->tensor[NORMA_ARG_STATS].present && !strided_is_output(c, NORMA_ARG_STATS);
    if (given)
        fill_cells(c, NORMA_ARG_STATS);
    if (strided_form(c, &form) != NORMA_OK || c->total == 0)
        return true; // a problem that is refused is reported by who runs it
    if (c->values == STRIDED_NONFINITE)
        spoil(c, &form);
    if (given && !make_stats(c, &form))
        return false;
    const bool saved =
        c->tensor[NORMA_ARG_MEAN].present || c->tensor[NORMA_ARG_RSTD].present || c->tensor[NORMA_ARG_R].present;
    return !saved || forward || save_statistics(c, &form);
}
