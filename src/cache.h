// Small files in a directory that nobody else can write to.
#ifndef NORMA_SRC_CACHE_H
#define NORMA_SRC_CACHE_H

#include <stdbool.h>
#include <stddef.h>

// Reads at most size - 1 bytes of dir/name and ends them with a 0. False where the file or a trustworthy directory is
// missing: a directory (or file) of another owner, writable by group or others, or reached through a symbolic link is
// refused.
bool norma_cache_read(const char *dir, const char *name, char *text, size_t size);

// Makes the directory (0700) where it is missing and replaces dir/name in one step: temporary file, sync, rename.
// False with *reason set where that fails; the old file then remains.
bool norma_cache_write(const char *dir, const char *name, const char *text, const char **reason);

#endif
