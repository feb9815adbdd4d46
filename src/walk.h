// A walk over the elements of a tensor, whatever its strides.
#ifndef NORMA_SRC_WALK_H
#define NORMA_SRC_WALK_H

#include <norma/tensor.h>
#include <stdbool.h>

struct norma_walk {
    int64_t index[NORMA_MAX_RANK], offset; // elements
    bool done;
};

static inline struct norma_walk norma_walk_begin(const norma_tensor *t)
{
    struct norma_walk walk = {.done = false};
    for (int32_t d = 0; d < t->rank; d++)
        walk.done = walk.done || t->shape[d] == 0;
    return walk;
}

static inline void norma_walk_next(const norma_tensor *t, struct norma_walk *walk)
{
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        walk->offset += t->strides[d];
        if (++walk->index[d] < t->shape[d])
            return;
        walk->offset -= t->shape[d] * t->strides[d];
        walk->index[d] = 0;
    }
    walk->done = true;
}

#endif
