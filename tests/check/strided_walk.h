// A walk over the elements of a tensor, whatever its strides.
#ifndef NORMA_CHECK_STRIDED_WALK_H
#define NORMA_CHECK_STRIDED_WALK_H

#include "strided_case.h"

struct strided_walk {
    int64_t index[NORMA_MAX_RANK], offset; // in elements
    bool done;
};

static inline struct strided_walk strided_walk_begin(const struct strided_tensor *t)
{
    struct strided_walk walk = {.done = false};
    for (int32_t d = 0; d < t->rank; d++)
        walk.done = walk.done || t->shape[d] == 0;
    return walk;
}

static inline void strided_walk_next(const struct strided_tensor *t, struct strided_walk *walk)
{
    int32_t d = t->rank - 1;
    for (; d >= 0; d--) {
        walk->offset += t->strides[d];
        if (++walk->index[d] < t->shape[d])
            return;
        walk->offset -= t->shape[d] * t->strides[d];
        walk->index[d] = 0;
    }
    walk->done = true;
}

#endif
