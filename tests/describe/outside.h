#ifndef NORMA_TESTS_DESCRIBE_OUTSIDE_H
#define NORMA_TESTS_DESCRIBE_OUTSIDE_H

#include "runner.h"

// Runs a description of which a dispatch reads and writes behind the end of the buffer: an error that validation sees
// only where it instruments the shaders. For drivers that keep within bounds, as those for CPUs do. False after a
// message where it did not get as far as that.
bool outside_run(const struct runner *runner, norma_device *device);

#endif
