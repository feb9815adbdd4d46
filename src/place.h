// From offsets into tensors to offsets into the buffers where they lie.
#ifndef NORMA_SRC_PLACE_H
#define NORMA_SRC_PLACE_H

#include "backend.h"
#include "schedule.h"

// Bytes that places in a workspace are multiples of: what the driver binds, and a cell of four floats.
static inline uint64_t norma_place_alignment(const struct norma_caps *caps)
{
    return caps->offset_align > 16 ? caps->offset_align : 16;
}

struct norma_place_in_buffer {
    struct norma_buffer *buffer;
    uint64_t offset; // bytes; of the workspace a multiple of caps->offset_align
};

// Fills *command with the dispatch, its bindings at the places of its tensors. The part of an offset that the driver
// cannot bind goes into the kernel's arguments, so a dispatch is placed once.
void norma_place_dispatch(const struct norma_caps *caps, norma_dispatch *dispatch,
                          const struct norma_place_in_buffer places[NORMA_ARG_COUNT],
                          const struct norma_place_in_buffer *workspace, struct norma_command *command);

#endif
