#ifndef NORMA_BUFFER_H
#define NORMA_BUFFER_H

#include <norma/context.h>

#ifdef __cplusplus
extern "C" {
#endif

// Memory of one device, owned by Norma. Thread-safe; reads and writes order after what was submitted before them.
typedef struct norma_buffer norma_buffer;

// size in bytes, above 0. Contents are undefined. NORMA_ERROR_OUT_OF_MEMORY if the device is full,
// NORMA_ERROR_UNSUPPORTED if size is over the driver's largest allocation.
NORMA_API norma_status norma_buffer_create(norma_device *device, uint64_t size, norma_buffer **buffer);

// Sets *buffer to NULL and takes NULL. Work that uses it must have finished.
NORMA_API void norma_buffer_destroy(norma_buffer **buffer);

// Copies size bytes between host memory and the buffer at offset; returns when done.
NORMA_API norma_status norma_buffer_write(norma_buffer *buffer, uint64_t offset, const void *data, uint64_t size);
NORMA_API norma_status norma_buffer_read(norma_buffer *buffer, uint64_t offset, void *data, uint64_t size);

#ifdef __cplusplus
}
#endif
#endif
