// Where x is empty no kernel runs: whoever runs the description writes the outputs that are not empty.
#include "runner.h"
#include <string.h>

// Elements from the tensor's first one to element i of dimension d, which may be one of packed channels.
static int64_t offset_of(const norma_tensor *t, int d, int64_t i)
{
    const int64_t p = d == 1 && t->channel_block > 1 ? t->channel_block : 0;
    return p ? i / p * t->block_stride + i % p * t->strides[d] : i * t->strides[d];
}

void runner_fill(const norma_description *plan, const norma_tensor tensors[NORMA_ARG_COUNT], unsigned char *memory,
                 const uint64_t place[RUNNER_PLACES])
{
    for (const norma_fill *f = plan->fills; f < plan->fills + plan->fill_count; f++) {
        const norma_tensor *t = &tensors[f->arg];
        int64_t count = 1;
        for (int d = 0; d < t->rank; d++)
            count *= t->shape[d];
        for (int64_t i = 0; i < count; i++) {
            int64_t rest = i, at = 0;
            for (int d = t->rank - 1; d >= 0; rest /= t->shape[d--])
                at += offset_of(t, d, rest % t->shape[d]);
            memcpy(memory + place[f->arg] + (uint64_t)at * f->size, f->value, f->size);
        }
    }
}
