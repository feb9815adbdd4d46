// The text header of a .npy file, without files.
#ifndef NORMA_TOOLS_NPY_HEADER_H
#define NORMA_TOOLS_NPY_HEADER_H

#include <norma/tensor.h>
#include <stdbool.h>

#define NPY_MAX_RANK 32

struct npy_header {
    char descr[16]; // such as "<f4"
    bool fortran_order;
    int32_t rank;
    int64_t shape[NPY_MAX_RANK];
    uint64_t data; // bytes from the file's start to the first element
};

// Reads the header of a file's bytes. NULL, or what is wrong with it (static storage).
const char *npy_header_parse(const unsigned char *file, uint64_t size, struct npy_header *header);

// Bytes of shape times element; false where that overflows 63 bits.
bool npy_header_bytes(const struct npy_header *header, uint64_t element, uint64_t *bytes);

// Writes a version 1 header, padded to 64 bytes, and returns its length. text holds at least 512 bytes.
size_t npy_header_format(const char *descr, int32_t rank, const int64_t *shape, char *text);

#endif
