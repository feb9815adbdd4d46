// What a tensor holds, group by group and channel by channel, in the program's own double arithmetic.
#ifndef NORMA_TOOLS_MOMENTS_H
#define NORMA_TOOLS_MOMENTS_H

#include "form.h"
#include "progress.h"
#include <norma/tensor.h>

// Of the finite elements of one statistics group; NaN where there is none.
struct moments {
    double mean, rstd; // rstd as the operator has it, with its eps: 1/sqrt(var + eps), 1/sqrt(mean(x^2) + eps), ...
    double least, most;
    double kurtosis;   // E[(x - mean)^4] / var^2, 3 for a normal distribution; NaN where all are equal
    int64_t nonfinite; // elements that are NaN or infinite
};

// Every group of the form, two passes over each: the mean, then powers of the distance from it. x is dense, of the
// form's types and strides; result has form->groups entries.
void moments_of_groups(const struct norma_form *form, const norma_tensor *x, struct moments *result,
                       struct progress *progress);

// Of the finite elements with one index of a dimension.
struct channel {
    int64_t index;
    double most; // of the absolute values
    double rms;
};

// Every channel of dense x along a dimension; result has x->shape[dimension] entries. False: no
// memory.
bool moments_of_channels(const norma_tensor *x, int32_t dimension, struct channel *result);

#endif
