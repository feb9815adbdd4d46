// The promise that bits follow from row length and type alone.
#ifndef NORMA_CHECK_BITS_H
#define NORMA_CHECK_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Most programs that an operator may compile on a device.
enum { CHECK_MAX_PROGRAMS = 48 };

// Runs each case again and again: three times, on contexts of 1 and 2 threads, by every variant, some of its rows
// alone, with budgets that cut it into tiles; and a part of the cases in processes whose drivers have 1 and 2 threads.
// digest: prints a hash of the cases' outputs instead. Returns the process's exit status.
int check_bits(const char *const *devices, int device_count, uint64_t seed, uint64_t cases, bool digest,
               bool allow_missing);

// Whether this program prints one digest in processes whose drivers have 1 and 2 threads; the message says what was
// wrong. family: "", or the option of the cases.
bool check_bits_of_processes(const char *family, const char *device, uint64_t seed, uint64_t cases, char *message,
                             size_t size);

#endif
