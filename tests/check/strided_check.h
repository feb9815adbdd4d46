// The strided family: every operator, forward and backward, over tensors of any layout, against long double arithmetic.
#ifndef NORMA_CHECK_STRIDED_CHECK_H
#define NORMA_CHECK_STRIDED_CHECK_H

#include "strided_table.h"
#include "trial.h"

// One case on every driver, by norma_run and by a plan. False: out of memory.
bool strided_check(const struct check_settings *o, struct check_driver *drivers, int count, uint64_t index);

#endif
