#include "memory.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// In front of each block.
struct header {
    const norma_allocator *allocator; // NULL: the C library's
    void *raw;                        // what the allocator gave
};

// Keeps what malloc's results are aligned to.
enum { ROOM = 16 };
_Static_assert(sizeof(struct header) <= ROOM && ROOM % _Alignof(max_align_t) == 0, "a header fits");

static struct header *header_of(void *memory)
{
    return (struct header *)(void *)((char *)memory - ROOM);
}

static void *place(const norma_allocator *allocator, void *raw, char *at)
{
    *header_of(at) = (struct header){allocator, raw};
    return at;
}

void *norma_alloc(const norma_allocator *allocator, size_t size)
{
    if (size > SIZE_MAX - ROOM)
        return NULL;
    char *raw = allocator ? allocator->allocate(allocator->user, size + ROOM) : malloc(size + ROOM);
    return raw ? place(allocator, raw, raw + ROOM) : NULL;
}

void *norma_zalloc(const norma_allocator *allocator, size_t count, size_t size)
{
    if (size > 0 && count > (SIZE_MAX - ROOM) / size)
        return NULL;
    if (allocator) {
        void *memory = norma_alloc(allocator, count * size);
        return memory ? memset(memory, 0, count * size) : NULL;
    }
    char *raw = calloc(1, count * size + ROOM); // fresh pages need no zeroing
    return raw ? place(NULL, raw, raw + ROOM) : NULL;
}

void *norma_alloc_aligned(const norma_allocator *allocator, size_t align, size_t size)
{
    if (size > SIZE_MAX - ROOM - align)
        return NULL;
    const size_t whole = size + ROOM + align;
    char *raw = allocator ? allocator->allocate(allocator->user, whole) : malloc(whole);
    if (!raw)
        return NULL;
    const uintptr_t rest = ((uintptr_t)raw + ROOM) & (align - 1);
    return place(allocator, raw, raw + ROOM + (rest ? align - rest : 0));
}

void *norma_resize(const norma_allocator *allocator, void *memory, size_t size)
{
    if (!memory)
        return norma_alloc(allocator, size);
    if (size > SIZE_MAX - ROOM)
        return NULL;
    void *raw = header_of(memory)->raw;
    char *grown = allocator ? allocator->reallocate(allocator->user, raw, size + ROOM) : realloc(raw, size + ROOM);
    return grown ? place(allocator, grown, grown + ROOM) : NULL;
}

void norma_free(void *memory)
{
    if (!memory)
        return;
    const struct header header = *header_of(memory);
    if (header.allocator)
        header.allocator->release(header.allocator->user, header.raw);
    else
        free(header.raw);
}
