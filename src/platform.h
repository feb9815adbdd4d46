// What differs between operating systems, beyond C11 and what mingw-w64 has of POSIX (getpid, strcasecmp,
// clock_gettime, and threads, which are winpthreads there). Two implementations, posix/ (Linux, Android, macOS) and
// windows/; cache.h is the other part of it. Thread-safe.
#ifndef NORMA_SRC_PLATFORM_H
#define NORMA_SRC_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

// The formats are C99's everywhere, also where the system's own printf is another.
#if defined(__GNUC__) && !defined(__clang__)
#define NORMA_PRINTF(format_index, first) __attribute__((format(gnu_printf, format_index, first)))
#else
#define NORMA_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#endif

// As strcasestr, which is no part of POSIX; an empty part is nowhere.
static inline bool norma_contains_caseless(const char *text, const char *part)
{
    const size_t length = strlen(part);
    while (*text && strncasecmp(text, part, length) != 0)
        text++;
    return length > 0 && *text;
}

// The first library that is there of those by which the system knows the driver's loader; NULL where none is. Not to be
// closed: drivers keep threads and exit handlers that do not survive being unmapped.
void *norma_open_opencl(void);
void *norma_open_vulkan(void);
// A function of it; NULL where it has none by that name.
void *norma_library_symbol(void *library, const char *name);

// A copy of a descriptor, closed on exec; -1 where there is none: *open says whether the descriptor was one.
int norma_fd_copy(int fd, bool *open);
// The same descriptor, closed on exec.
void norma_fd_own(int fd);
void norma_fd_close(int fd);
// Closes what was made by norma_fd_copy, unless somebody else did: drivers that fail to import differ in that. Where
// the number is another file's by now it is not ours to close.
void norma_fd_drop(int copy, int fd);

// Processors that threads may run on, at least 1.
int norma_cores(void);
// Bytes of a page, and of the machine's memory (0 where it does not say).
uint64_t norma_page_size(void);
uint64_t norma_memory_size(void);
// As the system calls the processor, else "CPU".
void norma_processor_name(char *name, size_t size);

#endif
