#include "numbers.h"
#include <math.h>
#include <string.h>

// Explicit bits of the significand, smallest and largest exponent of a normal number.
struct format {
    int bits, smallest, largest;
};

static struct format format_of(norma_dtype dtype)
{
    switch (dtype) {
    case NORMA_FLOAT16:
        return (struct format){10, -14, 15};
    case NORMA_BFLOAT16:
        return (struct format){7, -126, 127};
    default:
        return (struct format){23, -126, 127};
    }
}

double check_half_ulp(norma_dtype dtype, double value)
{
    const struct format f = format_of(dtype);
    int exponent = f.smallest;
    if (value != 0 && isfinite(value)) {
        frexp(value, &exponent);
        exponent--;
    }
    if (exponent < f.smallest)
        exponent = f.smallest;
    return ldexp(1, exponent - f.bits - 1);
}

double check_round(norma_dtype dtype, double value)
{
    if (!isfinite(value) || value == 0)
        return value;
    const struct format f = format_of(dtype);
    const double ulp = 2 * check_half_ulp(dtype, value);
    // Exact: a division and a product by a power of two. The rounding mode is to nearest even.
    const double rounded = nearbyint(value / ulp) * ulp;
    const double limit = ldexp(2 - ldexp(1, -f.bits), f.largest);
    return fabs(rounded) > limit ? copysign(INFINITY, value) : rounded;
}

void check_store(norma_dtype dtype, void *element, double value)
{
    const float single = (float)check_round(dtype, value);
    uint32_t word;
    memcpy(&word, &single, 4);
    if (dtype == NORMA_FLOAT32) {
        memcpy(element, &word, 4);
        return;
    }
    uint16_t half = (uint16_t)(word >> 16);
    if (dtype == NORMA_FLOAT16) {
        const uint16_t sign = half & 0x8000;
        const float magnitude = fabsf(single);
        if (isnan(single))
            half = 0x7e00;
        else if (isinf(single))
            half = 0x7c00;
        else if (magnitude < 0x1p-14f)
            half = (uint16_t)(magnitude * 0x1p24f);
        else
            half = (uint16_t)(((word & 0x7fffffff) >> 13) - (112u << 10));
        half |= sign;
    } else if (isnan(single)) {
        half |= 0x40;
    }
    memcpy(element, &half, 2);
}

double check_load(norma_dtype dtype, const void *element)
{
    uint32_t word;
    float single;
    if (dtype == NORMA_FLOAT32) {
        memcpy(&single, element, 4);
        return (double)single;
    }
    uint16_t half;
    memcpy(&half, element, 2);
    if (dtype == NORMA_BFLOAT16) {
        word = (uint32_t)half << 16;
        memcpy(&single, &word, 4);
        return (double)single;
    }
    const int exponent = (half >> 10) & 31;
    const double fraction = half & 1023;
    const double sign = half & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * fraction * 0x1p-24;
    return sign * ldexp(1024 + fraction, exponent - 25);
}
