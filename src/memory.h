// All memory that the library asks for. A block knows its allocator, so that whoever frees it need not.
#ifndef NORMA_SRC_MEMORY_H
#define NORMA_SRC_MEMORY_H

#include <norma/context.h>

// At least malloc's alignment; allocator NULL: the C library's. NULL where there is no memory, which is for the caller
// to report.
void *norma_alloc(const norma_allocator *allocator, size_t size);
// Zeroed; NULL too where count * size overflows.
void *norma_zalloc(const norma_allocator *allocator, size_t count, size_t size);
// At a multiple of align, a power of two. Not to be resized.
void *norma_alloc_aligned(const norma_allocator *allocator, size_t align, size_t size);
// As realloc; memory NULL: as norma_alloc. The allocator is the one that memory came from.
void *norma_resize(const norma_allocator *allocator, void *memory, size_t size);
// Of any of these; NULL is fine.
void norma_free(void *memory);

#endif
