// A walk over the elements of a tensor, whatever its strides; packed channels' padding is left out.
#ifndef NORMA_SRC_WALK_H
#define NORMA_SRC_WALK_H

#include <norma/tensor.h>
#include <stdbool.h>

// Where element i of dimension d lies.
static inline int64_t norma_dimension_offset(const norma_tensor *t, int32_t d, int64_t i)
{
    if (d != 1 || t->channel_block <= 1)
        return i * t->strides[d];
    return i / t->channel_block * t->block_stride + i % t->channel_block * t->strides[d];
}

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
        walk->offset -= norma_dimension_offset(t, d, walk->index[d]);
        if (++walk->index[d] < t->shape[d]) {
            walk->offset += norma_dimension_offset(t, d, walk->index[d]);
            return;
        }
        walk->index[d] = 0;
    }
    walk->done = true;
}

#endif
