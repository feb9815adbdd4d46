// A walk over the elements of a tensor, whatever its strides.
#ifndef NORMA_CHECK_STRIDED_WALK_H
#define NORMA_CHECK_STRIDED_WALK_H

#include "strided_case.h"

struct strided_walk {
    int64_t index[NORMA_MAX_RANK], offset; // in elements
    bool done;
};

// Where element i of dimension d lies.
static inline int64_t strided_place(const struct strided_tensor *t, int32_t d, int64_t i)
{
    return d == 1 && t->block ? i / t->block * t->block_stride + i % t->block * t->strides[d] : i * t->strides[d];
}

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
        walk->offset -= strided_place(t, d, walk->index[d]);
        walk->index[d] = walk->index[d] + 1 < t->shape[d] ? walk->index[d] + 1 : 0;
        walk->offset += strided_place(t, d, walk->index[d]);
        if (walk->index[d] > 0)
            return;
    }
    walk->done = true;
}

#endif
