// The promise that a problem has one result, however it is run.
#ifndef NORMA_CHECK_BITS_H
#define NORMA_CHECK_BITS_H

#include "driver.h"
#include "subject.h"

struct bits {
    struct check_driver usual, one_thread, two_threads; // two_threads has a small budget as well
    const char *program;                                // this one's name, for processes of it
    uint64_t seed, comparisons, failures;
    uint64_t tight; // comparisons of runs that may refuse a small budget, and did not
    bool digest;    // no comparisons, but a hash of the outputs
    uint64_t hash;
    // Of the case at hand: the arena after its first run, that of the run compared with it, outputs of both.
    unsigned char *first, *arena, *expected, *outputs;
};

struct bits_family {
    const char *name, *option;
    uint64_t digest_cases;
    // Runs the case again and again: three times, on contexts of 1 and 2 threads, with budgets that cut it into tiles,
    // parts of it alone. False: out of memory.
    bool (*do_case)(struct bits *b, uint64_t index);
};

extern const struct bits_family row_bits, strided_bits;

struct bits_settings {
    const char *program; // argv[0]
    uint64_t seed, first, cases;
    bool digest, allow_missing;
};

// The family's cases, and a part of them in processes whose drivers have 1 and 2 threads. digest: prints a hash of the
// cases' outputs instead. Returns the process's exit status.
int check_bits(const struct bits_family *family, const char *const *devices, int device_count,
               const struct bits_settings *o);

// For this process alone, before it opens a driver: the threads of each driver that takes such a number from the
// environment.
bool bits_set_driver_threads(const char *count);

// For the families. Room for a case; false: out of memory. Close in any case.
bool bits_open(struct bits *b, const struct check_subject *s);
void bits_close(struct bits *b);
// After a run in b->first: true where others are to be compared with it.
bool bits_first(struct bits *b, const struct check_subject *s, norma_status status);
// After a run in b->arena: its outputs against those in b->first. s may be a part of the case that b->first is of.
void bits_compare(struct bits *b, const struct check_subject *s, norma_status status, const char *way);

#endif
