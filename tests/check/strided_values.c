// The contents of a strided case's arena: canaries, inputs of a kind, outputs of NaN bytes.
#include "strided_case.h"
#include "strided_numbers.h"
#include "strided_walk.h"
#include "subject.h"
#include "verify/form_reference.h"
#include <math.h>

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
    case STRIDED_DENORMAL:
        return normal * (half ? 0x1p-20 : 0x1p-134);
    case STRIDED_CONSTANT:
        return constant;
    default:
        return normal + 0.5;
    }
}

// What x's values are multiples of: running statistics and an input bias would drown them, or be drowned.
static double scale_of(const struct strided_case *c)
{
    return c->values == STRIDED_LARGE ? 1e30 : c->values == STRIDED_DENORMAL ? 0x1p-134 : 1;
}

static double offset_of(const struct strided_case *c)
{
    return c->values == STRIDED_OFFSET_1E4 ? 1e4 : c->values == STRIDED_OFFSET_1E6 ? 9.9e5 : 0;
}

static double value_of(const struct strided_case *c, norma_arg arg, double constant, uint64_t *s)
{
    static const double counts[] = {0, 0, 1, 2, 37, 0xfffffffe, 0xffffffff, 0x1p40 + 3};
    const double normal = check_normal(s);
    const double spread = fmin(scale_of(c), 1e18); // running_var is its square
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
               : c->values == STRIDED_LARGE  ? check_uniform(s)
                                             : 1 + 0.5 * normal;
    case NORMA_ARG_Z:
        return check_pick(s, 40) == 0 ? 30 * normal : 2 * normal;
    case NORMA_ARG_Y_SCALE: // values between a few steps and saturation; powers of two make ties
        return check_pick(s, 20) == 0  ? 0
               : check_pick(s, 3) == 0 ? 0x1p-5
                                       : (check_pick(s, 8) ? 0.01 : -0.3) * (0.5 + check_uniform(s));
    case NORMA_ARG_WEIGHT:
        return 1 + 0.5 * normal;
    case NORMA_ARG_MEAN_WEIGHTS: // now and then the softmax has all but one near 0
    case NORMA_ARG_VAR_WEIGHTS:
        return (c->index % 5 == 0 ? 8 : 1) * normal;
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
                   check_pick(&s, 40) == 0) {
            strided_store(t->dtype, place, check_pick(&s, 2) ? (double)NAN : (double)INFINITY); // 0 times it is NaN
        } else {
            const double value = value_of(c, arg, constant, &s);
            strided_store(t->dtype, place,
                          arg == NORMA_ARG_X ? vary(c, &walk, t->dtype == NORMA_FLOAT16, value) : value);
        }
    }
}

// One element of one group of x.
static void spoil(struct strided_case *c, const struct norma_form *form)
{
    static const double values[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    uint64_t s = c->seed + c->index;
    const struct strided_tensor *x = &c->tensor[NORMA_ARG_X];
    c->spoilt = check_pick(&s, form->groups);
    const int64_t at = form_offset(form, form->arg[NORMA_ARG_X].stride, c->spoilt, check_pick(&s, form->n));
    strided_store(x->dtype, c->arena + x->begin + (uint64_t)at * norma_dtype_size(x->dtype), values[check_pick(&s, 3)]);
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
    for (int arg = NORMA_ARG_MEAN; arg <= NORMA_ARG_RSTD; arg++) {
        const struct strided_tensor *t = &c->tensor[arg];
        for (int64_t i = 0; i < form_output_count(form, (norma_arg)arg); i++) {
            double value = (double)out[arg].value[i];
            if (nudged && arg == NORMA_ARG_MEAN && !c->float64)
                value = (double)nextafterf((float)value, check_pick(&s, 2) ? INFINITY : -INFINITY);
            const uint64_t at = (uint64_t)form_output_offset(form, (norma_arg)arg, i);
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
    if (strided_form(c, &form) != NORMA_OK || c->total == 0)
        return true; // a problem that is refused is reported by who runs it
    if (c->values == STRIDED_NONFINITE)
        spoil(c, &form);
    const bool saved = c->tensor[NORMA_ARG_MEAN].present || c->tensor[NORMA_ARG_RSTD].present;
    return !saved || c->problem.direction == NORMA_FORWARD || save_statistics(c, &form);
}
