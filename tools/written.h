// Files that are there whole or not at all.
#ifndef NORMA_TOOLS_WRITTEN_H
#define NORMA_TOOLS_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>

// Writes a temporary file beside path and renames it: what was there stays until the new file is whole. False after a
// message that begins with argument.
bool written(const char *argument, const char *path, const void *data, size_t size);

#endif
