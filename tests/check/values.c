// The contents of the arena: canaries, inputs of a kind, outputs of NaN bytes.
#include "case.h"
#include "numbers.h"
#include "subject.h"
#include <math.h>
#include <string.h>

// Rows of exact values: mean +- step in pairs, all sums of which are small integers times a power of two.
struct exact_row {
    double mean, step;
};

static double exact_value(const struct check_case *c, struct exact_row row, int64_t i, uint64_t *s)
{
    if (c->op == NORMA_RMS_NORM) // every square is step^2
        return check_random(s) & 1 ? row.step : -row.step;
    if (i == c->n - 1 && c->n % 2 == 1)
        return row.mean;
    return row.mean + (i % 2 ? row.step : -row.step);
}

static double spread_value(const struct check_case *c, norma_dtype dtype, uint64_t *s)
{
    const bool half = dtype == NORMA_FLOAT16;
    const bool fused = c->tensor[NORMA_ARG_RESIDUAL].present || c->tensor[NORMA_ARG_GATE].present;
    const double normal = check_normal(s);
    switch (c->values) {
    case CHECK_OFFSET_1E4:
        return 1e4 + normal;
    case CHECK_OFFSET_1E6:
        return half ? 3e4 + normal * 16 : 9.9e5 + normal;
    case CHECK_LARGE:
        if (half)
            return normal < 0 ? -65504 : 65504;
        return (fused ? 0x1p125 : 0x1p127) * fmax(-1, fmin(1, normal)) * 1.75;
    case CHECK_1E30:
        return half ? 6e4 + normal : 1e30 * (1 + normal * 0.25);
    case CHECK_DENORMAL:
        return normal * (half ? 0x1p-20 : 0x1p-134);
    case CHECK_SPARSE:
        return check_pick(s, 50) == 0 ? normal * 8 : 0;
    default:
        return normal + 0.5;
    }
}

static double parameter_value(const struct check_case *c, norma_arg arg, double constant, uint64_t *s)
{
    if (c->values == CHECK_EXACT && arg == NORMA_ARG_INPUT_BIAS)
        return c->op == NORMA_RMS_NORM ? 0 : 3;
    if (c->values == CHECK_EXACT && arg == NORMA_ARG_GATE)
        return 2;
    if (c->values == CHECK_CONSTANT && (arg == NORMA_ARG_INPUT_BIAS || arg == NORMA_ARG_GATE))
        return constant;
    if (arg == NORMA_ARG_GATE && c->values >= CHECK_LARGE && c->values <= CHECK_1E30)
        return check_uniform(s);
    return arg == NORMA_ARG_INPUT_BIAS ? 0.1 * check_normal(s) : 1 + 0.5 * check_normal(s);
}

static void fill_row(const struct check_case *c, norma_arg arg, int64_t row, unsigned char *first)
{
    const struct check_tensor *t = &c->tensor[arg];
    const size_t size = norma_dtype_size(t->dtype);
    uint64_t s = c->seed ^ (c->index * 64 + (uint64_t)arg) * 0xd6e8feb86659fd93u ^ (uint64_t)row * 0x9e3779b97f4a7c15u;
    check_random(&s);
    const struct exact_row exact = {(double)check_pick(&s, 64) - 32, ldexp(1, (int)check_pick(&s, 3))};
    uint64_t all = c->seed + c->index; // one constant for a gate's rows: its rows and x's differ
    const double constant = arg == NORMA_ARG_GATE ? check_normal(&all) : check_normal(&s);
    const bool main_value = arg == NORMA_ARG_X || arg == NORMA_ARG_RESIDUAL;
    for (int64_t i = 0; i < c->n; i++) {
        double v;
        if (!main_value)
            v = parameter_value(c, arg, constant, &s);
        else if (c->values == CHECK_EXACT)
            // x cancels out of RMS norm where the residual takes part: h must be +-step.
            v = arg == NORMA_ARG_X && c->op == NORMA_RMS_NORM && c->tensor[NORMA_ARG_RESIDUAL].present
                    ? 0
                    : exact_value(c, exact, i, &s);
        else
            v = c->values == CHECK_CONSTANT ? constant : spread_value(c, t->dtype, &s);
        check_store(t->dtype, first + (size_t)i * size, v);
    }
}

// One element of one row of x.
static void spoil(const struct check_case *c, unsigned char *arena)
{
    static const double values[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    uint64_t s = c->seed + c->index;
    const struct check_tensor *x = &c->tensor[NORMA_ARG_X];
    const int64_t at = check_row_offset(c, NORMA_ARG_X, check_pick(&s, c->rows)) + check_pick(&s, c->n);
    check_store(x->dtype, arena + x->begin + (uint64_t)at * norma_dtype_size(x->dtype), values[check_pick(&s, 3)]);
}

// Walks the rows of the tensor's own shape: shared parameters and broadcast gates repeat, and are filled once.
static void fill_tensor(const struct check_case *c, norma_arg arg)
{
    const struct check_tensor *t = &c->tensor[arg];
    const size_t size = norma_dtype_size(t->dtype);
    const bool shared = t->row_length == c->n && t->rank == c->normalized_dims && c->outer_rank > 0 &&
                        arg != NORMA_ARG_MEAN && arg != NORMA_ARG_RSTD;
    for (int64_t row = 0; row < c->rows; row++) {
        unsigned char *first = c->arena + t->begin + (size_t)check_row_offset(c, arg, row) * size;
        if (check_is_output(arg))
            memset(first, 0xff, (size_t)t->row_length * size);
        else
            fill_row(c, arg, row, first);
        if (shared)
            break;
    }
}

bool check_case_fill(struct check_case *c)
{
    c->arena = check_canaries(c->seed, c->index, c->arena_size);
    if (!c->arena)
        return false;
    // Empty rows have mean and rstd to fill; the other tensors then have no elements.
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++)
        if (c->tensor[arg].present && (int)c->tensor[arg].view == arg)
            fill_tensor(c, (norma_arg)arg);
    if (c->values == CHECK_NONFINITE && c->rows > 0 && c->n > 0)
        spoil(c, c->arena);
    return true;
}
