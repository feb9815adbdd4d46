// Minimum and median of timings.
#ifndef NORMA_TOOLS_STATISTICS_H
#define NORMA_TOOLS_STATISTICS_H

#include <stddef.h>

// Of a list that is not empty and gets sorted.
double median(double *values, size_t count);
double minimum(const double *values, size_t count);

#endif
