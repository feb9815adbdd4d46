// The trusted answer: both operators in long double from the formulas, and the error that the numeric contract allows.
// For tests and `norma check`; shares no code with any backend. Rows are dense arrays of float32, which holds float16
// and bfloat16 exactly.
#ifndef NORMA_SRC_VERIFY_REFERENCE_H
#define NORMA_SRC_VERIFY_REFERENCE_H

#include <float.h>
#include <norma/problem.h>

_Static_assert(LDBL_MANT_DIG > DBL_MANT_DIG, "the reference needs a long double that is wider than double");

struct reference_prologue {
    const float *x, *input_bias, *gate, *residual; // all but x may be NULL
};

struct reference_row {
    norma_op op;
    int64_t n;
    float eps, weight_offset;
    const float *h;             // the row after the prologue, rounded to float32
    const float *weight, *bias; // NULL: absent
};

struct reference_stats {
    long double mean, rstd; // mean is 0 for RMS norm
    long double mean_bound, rstd_bound;
};

// h of one element, one float32 rounding a step, as every backend computes it: what statistics start from.
float reference_h(const struct reference_prologue *row, int64_t i);
// The same unrounded, and the error that the output `sum` of this type may have.
long double reference_sum(const struct reference_prologue *row, int64_t i, norma_dtype dtype, long double *bound);

// Two passes over the row. NaN for a row of no elements.
struct reference_stats reference_statistics(const struct reference_row *row);
// One element of y, and the error that an output of this type may have.
long double reference_y(const struct reference_row *row, const struct reference_stats *stats, int64_t i,
                        norma_dtype dtype, long double *bound);

// |got - expected| / bound: at most 1 where the contract holds. NaN agrees with NaN, infinity with infinity or with a
// value that overflows the type; what disagrees so is infinitely wrong.
double reference_error(long double expected, long double bound, float got, norma_dtype dtype);

#endif
