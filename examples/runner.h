// Runs descriptions on buffers, pipelines and command buffers that are not Norma's, made from the public headers alone,
// one description at a time. What fails in a driver ends the program with a message.
#ifndef NORMA_EXAMPLES_RUNNER_H
#define NORMA_EXAMPLES_RUNNER_H

#include <norma/norma.h>

enum { RUNNER_PLACES = NORMA_ARG_WORKSPACE + 1 };

// The Vulkan driver's device of that name. Once in a program.
void runner_open(const char *name);

// Writes the description's fills, for any backend: tensor a, of shape and strides as in tensors[a], begins at byte
// place[a] of memory.
void runner_fill(const norma_description *plan, const norma_tensor tensors[NORMA_ARG_COUNT], unsigned char *memory,
                 const uint64_t place[RUNNER_PLACES]);

// The dispatches. memory, of size bytes, goes into one buffer, and comes back.
void runner_run(const norma_description *plan, unsigned char *memory, uint64_t size,
                const uint64_t place[RUNNER_PLACES]);

#endif
