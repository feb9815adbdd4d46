// Problems made from --shape and --with, on random numbers.
#ifndef NORMA_TOOLS_MADE_H
#define NORMA_TOOLS_MADE_H

#include "options.h"

struct made {
    norma_problem problem;
    norma_tensor tensor[NORMA_ARG_COUNT]; // where present
};

// Tensors of the options' shape and types, without memory. made must not move afterwards. False after a message.
bool made_start(const struct options *options, struct made *made);
// Host memory for every tensor, inputs random. False after a message.
bool made_allocate(struct made *made, uint64_t seed);
void made_finish(struct made *made);
// Random numbers for one input, positive where they are variances; data holds its bytes.
void made_fill(const norma_tensor *tensor, norma_arg arg, uint64_t seed, void *data);
// Bytes of each input and each output once: running statistics that are updated are both.
uint64_t made_bytes(const struct made *made);

#endif
