// What the ways to make a buffer have in common (buffer.c, external.c).
#ifndef NORMA_SRC_BUFFER_H
#define NORMA_SRC_BUFFER_H

#include "backend.h"

// Of a device that is ready. The message begins with name, the argument's.
norma_status norma_buffer_check_size(const norma_device *device, const char *name, uint64_t size);
// Without memory of the device yet; NULL after a message.
norma_buffer *norma_buffer_new(norma_device *device, uint64_t size);
// After the backend was asked for the memory: *out becomes the buffer where it gave it, else the buffer is freed.
// Returns status.
norma_status norma_buffer_hand_out(norma_status status, norma_buffer *buffer, norma_buffer **out);

#endif
