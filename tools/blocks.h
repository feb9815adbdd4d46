// An operator run block by block, for its output to be looked at and not kept.
#ifndef NORMA_TOOLS_BLOCKS_H
#define NORMA_TOOLS_BLOCKS_H

#include "progress.h"
#include <norma/context.h>
#include <norma/problem.h>
#include <stdbool.h>

struct blocks {
    norma_context *context;
    norma_problem problem; // forward, without outputs, dense inputs in host memory
    norma_dtype dtype;     // of y
    int32_t axis;          // the dimension of x that it is cut along, which no group spans; -1: there is none
    int64_t length;        // of a block along it
    norma_tensor y;        // of a block, dense; the last one's values are there until the next
    int64_t done;          // where the block in y ends
};

// Chooses the cut, so that a block of x has at most 64 MiB where that can be, and makes room. False after a message.
bool blocks_start(struct blocks *blocks, norma_context *context, const norma_problem *problem, norma_dtype dtype);
// Whether one block is all of it, which then needs no second run to be looked at twice.
bool blocks_single(const struct blocks *blocks);
// Runs the next block into y. False at the end, and after a message, with *failed set.
bool blocks_next(struct blocks *blocks, bool *failed);
// Back to the first.
void blocks_rewind(struct blocks *blocks);
void blocks_finish(struct blocks *blocks);

#endif
