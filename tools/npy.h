// NumPy's .npy files, read by mapping and written so that nothing is lost: to a temporary file beside, renamed at the
// end. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#ifndef NORMA_TOOLS_NPY_H
#define NORMA_TOOLS_NPY_H

#include <norma/tensor.h>
#include <stdbool.h>

struct npy {
    norma_tensor tensor; // views the mapping, or copy
    void *map;
    size_t map_size;
    void *copy; // where the header leaves the elements misaligned
};

// Reads path, in C or Fortran order (the tensor's strides say which); argument ("x", "weight") begins every message.
// <u2 and the two-byte void that ml_dtypes writes are bfloat16 if bfloat16 is set, else an error. False after a
// message; *npy is to be closed in any case.
bool npy_open(const char *argument, const char *path, bool bfloat16, struct npy *npy);
// Rounds float64 elements to float32, to nearest; other types stay. False after a message.
bool npy_round(const char *argument, struct npy *npy);
// Brings the elements into C order, where they are not. False after a message.
bool npy_rearrange(const char *argument, struct npy *npy);
void npy_close(struct npy *npy);

struct npy_output {
    norma_tensor tensor; // views the mapping
    void *map;
    size_t map_size;
    char *path, *temporary;
};

// A file of that type and shape, its contents zero, its space on the disk reserved. False after a message.
bool npy_create(const char *argument, const char *path, norma_dtype dtype, int32_t rank, const int64_t *shape,
                struct npy_output *output);
// Moves the file to its name. False after a message.
bool npy_commit(const char *argument, struct npy_output *output);
// Unmaps, and removes the temporary file if it was not committed. Zeroed outputs are fine.
void npy_discard(struct npy_output *output);

#endif
