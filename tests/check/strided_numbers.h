// Elements of any type, float64 among them.
#ifndef NORMA_CHECK_STRIDED_NUMBERS_H
#define NORMA_CHECK_STRIDED_NUMBERS_H

#include "numbers.h"
#include <string.h>

static inline double strided_load(norma_dtype dtype, const void *element)
{
    double value;
    if (dtype != NORMA_FLOAT64)
        return check_load(dtype, element);
    memcpy(&value, element, sizeof value);
    return value;
}

static inline void strided_store(norma_dtype dtype, void *element, double value)
{
    if (dtype == NORMA_FLOAT64)
        memcpy(element, &value, sizeof value);
    else
        check_store(dtype, element, value);
}

#endif
