#include "reference.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

// Half a unit in the last place of float32 at 1: the u of the contract.
#define U 0x1p-24L

// Half the distance between neighbouring values of the type at this magnitude.
static long double half_ulp(long double magnitude, norma_dtype dtype)
{
    int digits = dtype == NORMA_FLOAT16 ? 11 : dtype == NORMA_BFLOAT16 ? 8 : 24;
    int least = dtype == NORMA_FLOAT16 ? -13 : -125; // exponent as of frexp of the smallest normal value
    int exponent = least;
    if (magnitude > 0 && isfinite(magnitude)) {
        frexpl(magnitude, &exponent);
        exponent = exponent < least ? least : exponent;
    }
    return ldexpl(1, exponent - digits - 1);
}

// What rounding to the output type adds. float32's own rounding is within the bound, except among the denormals,
// where a result and the product before it may each be off by half the smallest one.
static long double storage_error(long double value, long double bound, norma_dtype dtype)
{
    if (dtype == NORMA_FLOAT16 || dtype == NORMA_BFLOAT16)
        return half_ulp(fabsl(value) + bound, dtype) + 0x1p-149L;
    return 0x1p-149L;
}

float reference_h(const struct reference_prologue *row, int64_t i)
{
    volatile float h = row->x[i]; // volatile: no excess precision, no contraction, whatever the compiler's options
    if (row->input_bias)
        h = h + row->input_bias[i];
    if (row->gate)
        h = row->gate[i] * h;
    if (row->residual)
        h = row->residual[i] + h;
    return h;
}

long double reference_sum(const struct reference_prologue *row, int64_t i, norma_dtype dtype, long double *bound)
{
    long double h = row->x[i], terms = fabsl(h);
    if (row->input_bias) {
        h += row->input_bias[i];
        terms += fabsl((long double)row->input_bias[i]);
    }
    if (row->gate) {
        h *= row->gate[i];
        terms *= fabsl((long double)row->gate[i]);
    }
    if (row->residual) {
        h += row->residual[i];
        terms += fabsl((long double)row->residual[i]);
    }
    *bound = 3 * U * terms;
    *bound += storage_error(h, *bound, dtype);
    return h;
}

struct reference_stats reference_statistics(const struct reference_row *row)
{
    struct reference_stats stats = {0, 0, 0, 0};
    long double total = 0, squares = 0, n = row->n;
    if (row->op == NORMA_LAYER_NORM) {
        for (int64_t i = 0; i < row->n; i++)
            total += row->h[i];
        stats.mean = total / n;
    }
    for (int64_t i = 0; i < row->n; i++) {
        long double d = row->h[i] - stats.mean;
        squares += d * d;
    }
    if (row->n == 0)
        stats.mean = (long double)NAN; // of RMS norm too
    // n = 0: 0/0 is the NaN that the contract asks for.
    stats.rstd = 1 / sqrtl(squares / n + row->eps);
    stats.mean_bound = 2 * U * (fabsl(stats.mean) + sqrtl(squares / n)) + 0x1p-149L;
    stats.rstd_bound = 8 * U * stats.rstd + 0x1p-149L;
    return stats;
}

long double reference_y(const struct reference_row *row, const struct reference_stats *stats, int64_t i,
                        norma_dtype dtype, long double *bound)
{
    long double xhat = (row->h[i] - stats->mean) * stats->rstd, weight = 1, bias = 0;
    if (row->weight)
        weight = (long double)row->weight_offset + row->weight[i];
    if (row->bias)
        bias = row->bias[i];
    long double y = xhat * weight + bias;
    *bound = 8 * U * ((fabsl(xhat) + 1) * fabsl(weight) + fabsl(bias));
    *bound += storage_error(y, *bound, dtype);
    return y;
}

double reference_error(long double expected, long double bound, float got, norma_dtype dtype)
{
    if (isnan(expected) || isnan(got))
        return isnan(expected) && isnan(got) ? 0 : (double)INFINITY;
    if (isinf(got) || isinf(expected)) {
        // From half an ulp above the largest value on, round to nearest gives infinity.
        long double largest = dtype == NORMA_FLOAT16    ? 65520.0L
                              : dtype == NORMA_BFLOAT16 ? 0x1.ffp+127L
                                                        : 0x1.ffffffp+127L;
        const bool same_sign = !signbit(expected) == !signbit(got);
        const bool overflows = isinf(expected) || fabsl(expected) + bound >= largest;
        return isinf(got) && same_sign && overflows ? 0 : (double)INFINITY;
    }
    long double difference = fabsl(expected - got);
    return difference == 0 ? 0 : (double)(difference / bound);
}
