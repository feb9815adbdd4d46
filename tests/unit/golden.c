#include "golden.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// NORMA_TESTS is the folder tests/, from the build.

static void die(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s\n", path, what);
    exit(1);
}

struct golden golden_read(const char *directory, const char *name)
{
    char path[512], header[512] = "";
    unsigned char start[10];
    snprintf(path, sizeof path, "%s/%s/%s.npy", NORMA_TESTS, directory, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path, "cannot be opened");
    if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY\x01\x00", 8) != 0)
        die(path, "not version 1.0 of the format");
    size_t length = start[8] | (size_t)start[9] << 8;
    if (length >= sizeof header || fread(header, 1, length, file) != length)
        die(path, "bad header");
    size_t size = strstr(header, "'<f8'") ? 8 : strstr(header, "'<f4'") ? 4 : 0;
    const char *shape = strchr(header, '(');
    if (!size || !shape || !strstr(header, "'fortran_order': False"))
        die(path, "not float32 or float64 in C order");
    struct golden golden = {1, NULL};
    for (char *end; *shape != ')'; shape = end + strspn(end, ", ")) {
        golden.count *= (size_t)strtoul(shape + (*shape == '('), &end, 10);
    }
    golden.values = malloc(golden.count * sizeof(double));
    for (size_t i = 0; golden.values && i < golden.count; i++) {
        float single = 0;
        if (fread(size == 8 ? (void *)&golden.values[i] : (void *)&single, size, 1, file) != 1)
            die(path, "too short");
        if (size == 4)
            golden.values[i] = single;
    }
    fclose(file);
    if (!golden.values)
        die(path, "out of memory");
    return golden;
}

float *golden_floats(const char *directory, const char *name, size_t *count)
{
    struct golden golden = golden_read(directory, name);
    float *floats = malloc(golden.count * sizeof *floats);
    for (size_t i = 0; floats && i < golden.count; i++)
        floats[i] = (float)golden.values[i];
    if (count)
        *count = golden.count;
    free(golden.values);
    if (!floats)
        die(name, "out of memory");
    return floats;
}
