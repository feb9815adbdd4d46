#include "overlap.h"
#include "problem.h"

norma_tensor norma_tensor_blocks(const norma_tensor *t)
{
    norma_tensor blocks = *t;
    if (t->channel_block <= 1)
        return blocks;
    blocks.channel_block = 0;
    blocks.shape[1] = t->shape[1] / t->channel_block + (t->shape[1] % t->channel_block != 0);
    blocks.strides[1] = t->block_stride;
    blocks.shape[blocks.rank] = t->channel_block;
    blocks.strides[blocks.rank++] = t->strides[1];
    return blocks;
}

bool norma_overlaps_itself(const norma_tensor *tensor)
{
    const norma_tensor blocks = norma_tensor_blocks(tensor), *t = &blocks;
    // Insertion sort of the dimensions by stride: there are at most 8.
    int32_t order[NORMA_MAX_RANK], count = 0;
    for (int32_t d = 0; d < t->rank; d++) {
        if (t->shape[d] <= 1)
            continue;
        int32_t at = count++;
        for (; at > 0 && t->strides[order[at - 1]] > t->strides[d]; at--)
            order[at] = order[at - 1];
        order[at] = d;
    }
    int64_t extent = 1;
    for (int32_t i = 0; i < count; i++) {
        if (t->strides[order[i]] < extent)
            return true;
        extent += (t->shape[order[i]] - 1) * t->strides[order[i]];
    }
    return false;
}

bool norma_same_view(const norma_tensor *a, const norma_tensor *b)
{
    if (a->dtype != b->dtype || a->data != b->data || a->buffer != b->buffer || a->offset != b->offset ||
        a->rank != b->rank)
        return false;
    const bool packed = a->channel_block > 1;
    if (packed != (b->channel_block > 1) ||
        (packed && (a->channel_block != b->channel_block || a->block_stride != b->block_stride)))
        return false;
    for (int32_t d = 0; d < a->rank; d++)
        if (a->shape[d] != b->shape[d] || (a->shape[d] > 1 && a->strides[d] != b->strides[d]))
            return false;
    return true;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        const uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

// Splits a view into contiguous pieces: returns their length in bytes, and folds the strides between them into *pitch.
static uint64_t contiguous_piece(const norma_tensor *tensor, uint64_t *pitch)
{
    const norma_tensor blocks = norma_tensor_blocks(tensor), *t = &blocks;
    const uint64_t size = norma_dtype_size(t->dtype);
    uint64_t piece = size;
    int32_t d = t->rank - 1;
    for (; d >= 0 && (t->shape[d] == 1 || (uint64_t)t->strides[d] * size == piece); d--)
        piece *= (uint64_t)t->shape[d];
    for (; d >= 0; d--)
        if (t->shape[d] > 1)
            *pitch = gcd(*pitch, (uint64_t)t->strides[d] * size);
    return piece;
}

bool norma_shares_elements(const norma_tensor *a, const norma_tensor *b)
{
    const uint64_t span_a = norma_tensor_span(a), span_b = norma_tensor_span(b);
    if (span_a == 0 || span_b == 0 || a->buffer != b->buffer || (!a->buffer && (!a->data || !b->data)))
        return false;
    const uint64_t at_a = a->buffer ? a->offset : (uintptr_t)a->data, at_b = b->buffer ? b->offset : (uintptr_t)b->data;
    if (at_a + span_a <= at_b || at_b + span_b <= at_a)
        return false;
    // Every piece of either begins at its first address plus a multiple of the common pitch, so it is enough to look at
    // one period: the pieces of b must fit between those of a.
    uint64_t pitch = 0;
    const uint64_t piece_a = contiguous_piece(a, &pitch), piece_b = contiguous_piece(b, &pitch);
    if (pitch == 0 || piece_a > pitch || piece_b > pitch)
        return true;
    const uint64_t ahead = at_b >= at_a ? (at_b - at_a) % pitch : (pitch - (at_a - at_b) % pitch) % pitch;
    return ahead < piece_a || ahead > pitch - piece_b;
}
