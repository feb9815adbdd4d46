#include "npy.h"
#include "message.h"
#include "npy_header.h"
#include "temporary.h"
#include "walk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *descr_of(norma_dtype dtype)
{
    switch (dtype) {
    case NORMA_FLOAT16:
        return "<f2";
    case NORMA_BFLOAT16:
        return "<u2";
    case NORMA_FLOAT64:
        return "<f8";
    case NORMA_INT8:
        return "|i1";
    case NORMA_FLOAT8_E4M3FN:
        return "|u1";
    case NORMA_INT32:
        return "<i4";
    case NORMA_INT64:
        return "<i8";
    default:
        return "<f4";
    }
}

static bool find_dtype(const char *argument, const char *path, const char *descr, bool bfloat16, norma_dtype *dtype)
{
    if (!strcmp(descr, "<f4")) {
        *dtype = NORMA_FLOAT32;
    } else if (!strcmp(descr, "<f2")) {
        *dtype = NORMA_FLOAT16;
    } else if (!strcmp(descr, "<f8")) {
        *dtype = NORMA_FLOAT64;
    } else if (!strcmp(descr, "<i8")) {
        *dtype = NORMA_INT64;
    } else if (!strcmp(descr, "<u2") || !strcmp(descr, "<V2") || !strcmp(descr, "|V2")) {
        *dtype = NORMA_BFLOAT16;
        if (!bfloat16)
            return complain("%s: %s holds 16-bit words ('%s'): if they are bfloat16, say --dtype bfloat16", argument,
                            path, descr);
    } else if (descr[0] == '>') {
        return complain("%s: %s is big-endian ('%s'): save it as '<%s'", argument, path, descr, descr + 1);
    } else {
        return complain("%s: %s holds '%s': it must be float32 '<f4', float16 '<f2' or bfloat16 '<u2'", argument, path,
                        descr);
    }
    return true;
}

// Maps the whole file read-only.
static bool map_file(const char *argument, const char *path, struct npy *npy)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return complain("%s: cannot read %s: %s", argument, path, strerror(errno));
    struct stat status;
    bool good = false;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode))
        complain("%s: %s is no regular file: give a .npy file", argument, path);
    else if (status.st_size == 0)
        complain("%s: %s is empty: give a .npy file", argument, path);
    else {
        void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            complain("%s: cannot map %s: %s", argument, path, strerror(errno));
        } else {
            npy->map = map;
            npy->map_size = (size_t)status.st_size;
            good = true;
        }
    }
    close(fd);
    return good;
}

// Fortran order, which NumPy saves the transpose of a matrix in: the first dimension is the one whose elements are
// neighbours.
static void reverse_strides(norma_tensor *t)
{
    int64_t stride = 1;
    for (int32_t d = 0; d < t->rank; ++d) {
        t->strides[d] = stride;
        stride *= t->shape[d];
    }
}

bool npy_open(const char *argument, const char *path, bool bfloat16, struct npy *npy)
{
    memset(npy, 0, sizeof *npy);
    if (!map_file(argument, path, npy))
        return false;
    struct npy_header header;
    const char *wrong = npy_header_parse(npy->map, npy->map_size, &header);
    if (wrong)
        return complain("%s: cannot read %s: %s", argument, path, wrong);
    norma_dtype dtype;
    if (!find_dtype(argument, path, header.descr, bfloat16, &dtype))
        return false;
    if (header.rank > NORMA_MAX_RANK)
        return complain("%s: %s has %d dimensions: at most %d are possible", argument, path, header.rank,
                        NORMA_MAX_RANK);
    uint64_t bytes, present = npy->map_size - header.data;
    if (!npy_header_bytes(&header, norma_dtype_size(dtype), &bytes))
        return complain("%s: the shape of %s overflows 63 bits", argument, path);
    if (bytes > present)
        return complain("%s: %s is cut short: its shape needs %llu bytes, %llu are there", argument, path,
                        (unsigned long long)bytes, (unsigned long long)present);
    void *data = (char *)npy->map + header.data;
    if (header.data % norma_dtype_size(dtype)) {
        npy->copy = malloc(bytes ? bytes : 1);
        if (!npy->copy)
            return complain("%s: no memory for %s", argument, path);
        data = memcpy(npy->copy, data, bytes);
    }
    npy->tensor = norma_tensor_host(dtype, header.rank, header.shape, data);
    if (header.fortran_order && bytes > 0)
        reverse_strides(&npy->tensor);
    return true;
}

bool npy_round(const char *argument, struct npy *npy)
{
    norma_tensor *t = &npy->tensor;
    size_t count = 1;
    if (t->dtype != NORMA_FLOAT64)
        return true;
    for (int32_t i = 0; i < t->rank; ++i)
        count *= (size_t)t->shape[i];
    float *rounded = malloc(count ? count * sizeof *rounded : 1);
    if (!rounded)
        return complain("%s: no memory for %zu elements in float32", argument, count);
    for (size_t i = 0; i < count; ++i)
        rounded[i] = (float)((const double *)t->data)[i];
    free(npy->copy);
    npy->copy = t->data = rounded;
    t->dtype = NORMA_FLOAT32;
    return true;
}

bool npy_rearrange(const char *argument, struct npy *npy)
{
    const norma_tensor from = npy->tensor;
    const size_t size = norma_dtype_size(from.dtype);
    norma_tensor to = norma_tensor_host(from.dtype, from.rank, from.shape, NULL);
    size_t count = 1;
    if (!memcmp(to.strides, from.strides, sizeof to.strides))
        return true;
    for (int32_t i = 0; i < from.rank; ++i)
        count *= (size_t)from.shape[i];
    char *room = malloc(count * size + 1);
    if (!room)
        return complain("%s: no memory for %zu elements in C order", argument, count);
    to.data = room;
    for (struct norma_walk w = norma_walk_begin(&from); !w.done; norma_walk_next(&from, &w), room += size)
        memcpy(room, (const char *)from.data + (size_t)w.offset * size, size);
    free(npy->copy);
    npy->copy = to.data;
    npy->tensor = to;
    return true;
}

void npy_close(struct npy *npy)
{
    if (npy->map)
        munmap(npy->map, npy->map_size);
    free(npy->copy);
    memset(npy, 0, sizeof *npy);
}

// The file that path names once links are followed; a new name for a file that is not there yet.
static char *resolve(const char *argument, const char *path)
{
    struct stat status;
    if (stat(path, &status))
        return strdup(path);
    if (!S_ISREG(status.st_mode)) {
        complain("%s: %s is no regular file: name a file to write", argument, path);
        return NULL;
    }
    return realpath(path, NULL);
}

bool npy_create(const char *argument, const char *path, norma_dtype dtype, int32_t rank, const int64_t *shape,
                struct npy_output *output)
{
    memset(output, 0, sizeof *output);
    output->path = resolve(argument, path);
    if (!output->path)
        return false;
    if (asprintf(&output->temporary, "%s.XXXXXX", output->path) < 0) {
        output->temporary = NULL;
        return complain("%s: no memory for a name", argument);
    }
    int fd = temporary_open(output->temporary);
    if (fd < 0) {
        int error = errno;
        free(output->temporary);
        output->temporary = NULL;
        return complain("%s: cannot write %s: %s", argument, path, strerror(error));
    }
    char text[512];
    size_t header = npy_header_format(descr_of(dtype), rank, shape, text);
    output->tensor = norma_tensor_host(dtype, rank, shape, NULL);
    uint64_t bytes = norma_dtype_size(dtype);
    for (int32_t i = 0; i < rank; ++i)
        bytes *= (uint64_t)shape[i];
    output->map_size = header + bytes;
    // Reserved, not only made long: a full disk is an error here, not a signal in the middle of the work.
    int error = posix_fallocate(fd, 0, (off_t)output->map_size);
    if (!error && fchmod(fd, temporary_mode(output->path)))
        error = errno;
    void *map = error ? MAP_FAILED : mmap(NULL, output->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!error && map == MAP_FAILED)
        error = errno;
    close(fd);
    if (error)
        return complain("%s: cannot write %s: %s", argument, path, strerror(error));
    output->map = map;
    memcpy(map, text, header);
    output->tensor.data = (char *)map + header;
    return true;
}

bool npy_commit(const char *argument, struct npy_output *output)
{
    if (rename(output->temporary, output->path))
        return complain("%s: cannot write %s: %s", argument, output->path, strerror(errno));
    temporary_forget(output->temporary);
    free(output->temporary);
    output->temporary = NULL;
    return true;
}

void npy_discard(struct npy_output *output)
{
    if (output->map)
        munmap(output->map, output->map_size);
    if (output->temporary)
        temporary_remove(output->temporary);
    free(output->temporary);
    free(output->path);
    memset(output, 0, sizeof *output);
}
