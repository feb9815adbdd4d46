// Layer norm and RMS norm on contiguous rows: the cases of case.h against long double arithmetic.
#ifndef NORMA_CHECK_ROW_CHECK_H
#define NORMA_CHECK_ROW_CHECK_H

#include "trial.h"

// One case on every driver: by norma_run, by a plan, and by a plan for each variant. False: out of memory.
bool row_check(const struct check_settings *o, struct check_driver *drivers, int count, uint64_t index);

#endif
