// Reads the .npy files of tests/golden and tests/data: little-endian float32 or float64, C order.
#ifndef NORMA_TESTS_GOLDEN_H
#define NORMA_TESTS_GOLDEN_H

#include <stddef.h>

struct golden {
    size_t count;
    double *values; // exact for both types
};

// directory is under tests/. A file that is missing or of another form ends the program with a message; a test that
// cannot read its data has failed.
struct golden golden_read(const char *directory, const char *name);
// As float32, which the values must be. The caller frees.
float *golden_floats(const char *directory, const char *name, size_t *count);

#endif
