// Elements of any type, float64 and those of 8 bits among them.
#ifndef NORMA_CHECK_STRIDED_NUMBERS_H
#define NORMA_CHECK_STRIDED_NUMBERS_H

#include "numbers.h"
#include <math.h>
#include <string.h>

// By the definition of float8_e4m3fn.
static inline double strided_float8(unsigned char code)
{
    const int exponent = code >> 3 & 15, fraction = code & 7;
    const double sign = code & 128 ? -1 : 1;
    if (exponent == 15 && fraction == 7)
        return (double)NAN;
    return sign * (exponent == 0 ? fraction * 0x1p-9 : ldexp(8 + fraction, exponent - 10));
}

static inline double strided_load(norma_dtype dtype, const void *element)
{
    double value;
    int64_t whole;
    if (dtype == NORMA_INT64) {
        memcpy(&whole, element, sizeof whole);
        return (double)whole;
    }
    int32_t count;
    int8_t code;
    if (dtype == NORMA_INT32) {
        memcpy(&count, element, sizeof count);
        return count;
    }
    memcpy(&code, element, sizeof code);
    if (dtype == NORMA_INT8)
        return code;
    if (dtype == NORMA_FLOAT8_E4M3FN)
        return strided_float8((unsigned char)code);
    if (dtype != NORMA_FLOAT64)
        return check_load(dtype, element);
    memcpy(&value, element, sizeof value);
    return value;
}

static inline void strided_store(norma_dtype dtype, void *element, double value)
{
    const int64_t whole = dtype == NORMA_INT64 ? (int64_t)value : 0;
    if (dtype == NORMA_INT64)
        memcpy(element, &whole, sizeof whole);
    else if (dtype == NORMA_FLOAT64)
        memcpy(element, &value, sizeof value);
    else
        check_store(dtype, element, value);
}

#endif
