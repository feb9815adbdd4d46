#include <norma/tensor.h>
#include <norma/version.h>

#define STR_(x) #x
#define STR(x) STR_(x)

const char *norma_version(void)
{
    return STR(NORMA_VERSION_MAJOR) "." STR(NORMA_VERSION_MINOR) "." STR(NORMA_VERSION_PATCH);
}

size_t norma_dtype_size(norma_dtype dtype)
{
    switch (dtype) {
    case NORMA_INT8:
    case NORMA_FLOAT8_E4M3FN:
        return 1;
    case NORMA_FLOAT32:
    case NORMA_INT32:
        return 4;
    case NORMA_FLOAT16:
    case NORMA_BFLOAT16:
        return 2;
    case NORMA_FLOAT64:
    case NORMA_INT64:
        return 8;
    case NORMA_DTYPE_INVALID:
        break;
    }
    return 0;
}

norma_tensor norma_tensor_host(norma_dtype dtype, int32_t rank, const int64_t *shape, void *data)
{
    norma_tensor t = {.dtype = dtype, .rank = rank, .data = data};
    if (rank < 0 || rank > NORMA_MAX_RANK)
        return t; // the call that takes it reports the rank
    uint64_t stride = 1;
    for (int32_t d = rank - 1; d >= 0; d--) {
        t.shape[d] = shape[d];
        t.strides[d] = (int64_t)(stride & INT64_MAX);
        stride *= (uint64_t)(shape[d] > 0 ? shape[d] : 1); // wraps for absurd shapes, which are then refused
    }
    return t;
}

void norma_tensor_pack(norma_tensor *t, int32_t channel_block)
{
    if (channel_block < 2 || t->rank < 2 || t->rank >= NORMA_MAX_RANK)
        return;
    const int64_t channels = t->shape[1];
    uint64_t stride = (uint64_t)channel_block; // wraps as above
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        const int64_t extent = d == 1 ? (channels + channel_block - 1) / channel_block : t->shape[d];
        *(d == 1 ? &t->block_stride : &t->strides[d]) = (int64_t)(stride & INT64_MAX);
        stride *= (uint64_t)(extent > 0 ? extent : 1);
    }
    t->strides[1] = 1;
    t->channel_block = channel_block;
}

norma_tensor norma_tensor_buffer(norma_dtype dtype, int32_t rank, const int64_t *shape, struct norma_buffer *buffer,
                                 uint64_t offset)
{
    norma_tensor t = norma_tensor_host(dtype, rank, shape, NULL);
    t.buffer = buffer;
    t.offset = offset;
    return t;
}
