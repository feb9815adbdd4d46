// Small files in a directory that nobody else can write to.
#ifndef NORMA_SRC_CACHE_H
#define NORMA_SRC_CACHE_H

#include <stdbool.h>
#include <stddef.h>

// The directory for Norma's files where the caller names none; "" where the system has no such place. Returns the
// length, which may be size or more: then it does not fit.
int norma_cache_default(char *dir, size_t size);

// Reads at most size - 1 bytes of dir/name and ends them with a 0. False where the file or a trustworthy directory is
// missing: a directory (or file) of another owner, writable by group or others, or reached through a symbolic link is
// refused. On Windows: of another owner than this user, with an entry of its access list that lets someone else but the
// system and its administrators write, or a reparse point.
bool norma_cache_read(const char *dir, const char *name, char *text, size_t size);

// Makes the directory (for its owner alone) where it is missing and replaces dir/name in one step: temporary file,
// sync, rename. False with *reason set where that fails; the old file then remains.
bool norma_cache_write(const char *dir, const char *name, const char *text, const char **reason);

#endif
