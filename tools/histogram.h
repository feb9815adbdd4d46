// Counts of values over an interval.
#ifndef NORMA_TOOLS_HISTOGRAM_H
#define NORMA_TOOLS_HISTOGRAM_H

#include <norma/tensor.h>

enum { HISTOGRAM_BINS = 120 };

struct histogram {
    double least, most; // of the finite values; above each other where there are none
    int64_t nonfinite;
    double low, high; // of the bins, which lie evenly between; high > low
    uint64_t count[HISTOGRAM_BINS];
};

void histogram_start(struct histogram *h);
// First the interval: every value goes through this, then
void histogram_widen(struct histogram *h, const norma_tensor *dense);
// this once, and then
void histogram_settle(struct histogram *h);
// every value through this.
void histogram_count(struct histogram *h, const norma_tensor *dense);

#endif
