// The inner loops of the scalar path, compiled once for each instruction set. Every set gives the same bits: the order
// of additions is written down in the loops (16 interleaved partial sums), and nothing is contracted.
#ifndef NORMA_SRC_SCALAR_LOOPS_H
#define NORMA_SRC_SCALAR_LOOPS_H

#include <stddef.h>
#include <stdint.h>

enum { NSC_SUMS = 16 };

// As in the kernel argument `types`.
enum nsc_type { NSC_FLOAT32, NSC_FLOAT16, NSC_BFLOAT16 };

// y = (h - mean) * rstd * (weight_offset + weight) + bias over one stretch of a row.
struct nsc_apply {
    double mean, rstd, weight_offset;
    const float *weight, *bias; // NULL: absent
    void *y;
    enum nsc_type y_type;
};

struct nsc_loops {
    // Adds h to the partial sums: element i to sum i % 16. n is a multiple of 16 but in a row's last stretch.
    void (*sum)(double sums[NSC_SUMS], const float *h, size_t n);
    // The same with (h - mean)^2.
    void (*squares)(double sums[NSC_SUMS], const float *h, size_t n, double mean);
    void (*apply)(const struct nsc_apply *apply, const float *h, size_t n);
    void (*load)(float *out, const void *in, enum nsc_type type, size_t n);
    void (*store)(void *out, enum nsc_type type, const float *in, size_t n);
    // In place, one float32 rounding each: h += input_bias; h *= gate; h += residual.
    void (*add)(float *h, const float *term, size_t n);
    void (*multiply)(float *h, const float *factor, size_t n);
};

// The fastest set that this processor has.
const struct nsc_loops *nsc_loops_choose(void);
// All that it has, for tests; NULL behind the last.
const struct nsc_loops *nsc_loops_list(size_t index);

#endif
