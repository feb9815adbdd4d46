// The strided family: every operator, forward and backward, over tensors of any layout, against long double arithmetic.
#ifndef NORMA_CHECK_STRIDED_CHECK_H
#define NORMA_CHECK_STRIDED_CHECK_H

#include "driver.h"
#include "strided_table.h"

struct strided_settings {
    uint64_t seed;
    uint32_t ops;       // bit op: the operators that the cases are of; 0: all
    const char *filter; // part of a case's description; NULL: all cases
    bool time;
    struct strided_table *table; // where cases are counted, by index of the driver; NULL: nowhere
};

// One case on every driver, by norma_run and by a plan. False: out of memory.
bool strided_check(const struct strided_settings *o, struct check_driver *drivers, int count, uint64_t index);
// After the cases: figures, and the promises that hold over all of them.
void strided_summarise(const struct strided_settings *o, int index, struct check_driver *driver);

// Each case again and again: three times, on contexts of 1 and 2 threads, with budgets that cut it into tiles, some of
// its samples alone; and a part of the cases in processes whose drivers have 1 and 2 threads. digest: prints a hash of
// the cases' outputs instead. Returns the process's exit status.
int strided_bits(const char *const *devices, int device_count, uint64_t seed, uint64_t first, uint64_t cases,
                 bool digest, bool allow_missing);

#endif
