#include "statistics.h"
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : values[count / 2 - 1] / 2 + values[count / 2] / 2; // the sum may overflow
}

double minimum(const double *values, size_t count)
{
    double least = values[0];
    for (size_t i = 1; i < count; ++i)
        least = values[i] < least ? values[i] : least;
    return least;
}
