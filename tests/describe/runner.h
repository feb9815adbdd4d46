// Runs descriptions with objects that are not Norma's, made from the public header alone: on Vulkan those of the
// example.
#ifndef NORMA_TESTS_DESCRIBE_RUNNER_H
#define NORMA_TESTS_DESCRIBE_RUNNER_H

#include "../../examples/runner.h"
#include <stdbool.h>

struct runner {
    const char *device; // Norma's name for the device
    // The driver's device of that name. All three print what is wrong and return false.
    bool (*open)(const char *name);
    // memory, of size bytes, goes into one buffer, where tensor a begins at byte place[a]; afterwards it comes back.
    bool (*run)(const norma_description *plan, unsigned char *memory, uint64_t size,
                const uint64_t place[RUNNER_PLACES]);
    void (*close)(void);
};

extern const struct runner runner_opencl, runner_vulkan;

#endif
