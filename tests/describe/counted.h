#ifndef NORMA_TESTS_DESCRIBE_COUNTED_H
#define NORMA_TESTS_DESCRIBE_COUNTED_H

#include "runner.h"

// Runs descriptions with a count: the planner's, and of each variant by its name. The runner is open, the device is one
// of the context's. Adds to both numbers.
void counted_test(const struct runner *runner, norma_context *context, norma_device *device, bool variants, int *passed,
                  int *failures);

#endif
