#ifndef NORMA_TENSOR_H
#define NORMA_TENSOR_H

#include <norma/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NORMA_MAX_RANK 8

typedef enum norma_dtype {
    NORMA_DTYPE_INVALID = 0, // so that a zeroed tensor is noticed
    NORMA_FLOAT32,
    NORMA_FLOAT16,  // IEEE binary16
    NORMA_BFLOAT16, // the upper half of a binary32
    NORMA_FLOAT64,  // scalar path alone
    // Of a quantised y alone.
    NORMA_INT8,
    NORMA_FLOAT8_E4M3FN, // 4 bits of exponent, 3 of mantissa, no infinity: 448 at most (arXiv:2209.05433)
    // Of counts (nonfinite) alone.
    NORMA_INT32,
    NORMA_INT64 // num_batches_tracked alone
} norma_dtype;

// Bytes of one element; 0 for an unknown type. Thread-safe.
NORMA_API size_t norma_dtype_size(norma_dtype dtype);

struct norma_buffer;

// A view of memory that somebody else owns: the caller's host memory (data), or a buffer of Norma's (buffer and
// offset). Exactly one of data and buffer is set, unless the tensor has no elements.
//
// Packed channels, as engines keep them (ncnn, MNN, oneDNN's nChw8c): with channel_block p, a power of two up to 64,
// the elements of dimension 1 lie in blocks of p, element c at (c / p) * block_stride + (c % p) * strides[1]; neither
// stride is 0. shape is that of the unpacked tensor, [N, C, ...] of 2 to 7 dimensions. NC4HW4 of 10 channels, [N, 3, H,
// W, 4] in memory, has the shape [N, 10, H, W], the strides [12*H*W, 1, 4*W, 4], channel_block 4 and block_stride
// 4*H*W: norma_tensor_pack() makes that of a contiguous view. Where p does not divide C, the memory of the last block
// is all there, but its elements from C on are neither read nor written. channel_block 0 and 1: not packed.
// The struct has no size field: members are added with a new soname alone.
typedef struct norma_tensor {
    norma_dtype dtype;
    int32_t rank;                    // 0 to NORMA_MAX_RANK
    int64_t shape[NORMA_MAX_RANK];   // elements a dimension, outermost first; 0 is allowed
    int64_t strides[NORMA_MAX_RANK]; // elements, not bytes; not negative; 0 repeats an input
    void *data;                      // host memory, a multiple of the element's size
    struct norma_buffer *buffer;     // device memory
    uint64_t offset;                 // bytes into buffer, a multiple of the element's size
    int64_t block_stride;            // of packed channels: elements from one block to the next
    int32_t channel_block;           // channels of a block
} norma_tensor;

// A contiguous (row-major) view of host memory. shape has rank entries and is copied; data may be NULL where the tensor
// has no elements. Does no checking: the call that takes the tensor does. Thread-safe.
NORMA_API norma_tensor norma_tensor_host(norma_dtype dtype, int32_t rank, const int64_t *shape, void *data);

// A contiguous view into a buffer, offset in bytes. Otherwise as norma_tensor_host.
NORMA_API norma_tensor norma_tensor_buffer(norma_dtype dtype, int32_t rank, const int64_t *shape,
                                           struct norma_buffer *buffer, uint64_t offset);

// Makes packed channels of a contiguous view of 2 to 7 dimensions: memory is [N, ceil(C / block), ..., block]. Does no
// checking, but leaves a tensor of another rank or of channel_block 0 or 1 as it is. Thread-safe.
NORMA_API void norma_tensor_pack(norma_tensor *tensor, int32_t channel_block);

#ifdef __cplusplus
}
#endif
#endif
