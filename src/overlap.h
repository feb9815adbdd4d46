// Which views share memory.
#ifndef NORMA_SRC_OVERLAP_H
#define NORMA_SRC_OVERLAP_H

#include <norma/tensor.h>
#include <stdbool.h>

// Packed channels' memory as a tensor of blocks, [N, blocks, ..., block], padding and all; any other as it is.
norma_tensor norma_tensor_blocks(const norma_tensor *t);
// Conservative: true unless the strides are nested, each at least the extent of all smaller ones.
bool norma_overlaps_itself(const norma_tensor *tensor);
// False where no byte is proven to be shared by both, rows that interleave with a common pitch included; true else.
bool norma_shares_elements(const norma_tensor *a, const norma_tensor *b);
// The same elements in the same order.
bool norma_same_view(const norma_tensor *a, const norma_tensor *b);

#endif
