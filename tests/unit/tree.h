// The reduction tree of docs/reduction.md in plain C float32, one operation at a time: what every kernel's bits must
// be.
#ifndef NORMA_TESTS_TREE_H
#define NORMA_TESTS_TREE_H

#include <stdbool.h>
#include <stddef.h>

// Of a chunk or of merged chunks: the mean is (m + r)/a, the sum of squared deviations M2/a^2.
struct tree_stats {
    float m, r, M2, a;
};

// Of a finished row: xhat = ((h*a - m) - r) * s.
struct tree_row {
    float m, r, s, a;
};

// How often the rare paths of the tree ran: tests check that their inputs reach them.
struct tree_counts {
    int chunks, second_passes, rescues_large, rescues_small, merge_retries;
};

// One chunk of length 1 to 4096.
struct tree_stats tree_chunk(bool rms, float eps, const float *h, int length, struct tree_counts *counts);
// count results, 1 to 64; input i stands for elements[i] elements.
struct tree_stats tree_merge(bool rms, const struct tree_stats *input, const size_t *elements, int count,
                             struct tree_counts *counts);
// A whole row of n >= 1 elements, chunks and all levels of merging. counts may be NULL.
struct tree_row tree_row(bool rms, float eps, const float *h, size_t n, struct tree_counts *counts);
struct tree_row tree_finish(struct tree_stats stats, float eps, size_t n);
float tree_xhat(bool rms, const struct tree_row *row, float h);

#endif
