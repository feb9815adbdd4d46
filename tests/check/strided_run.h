// The two ways to run a strided case on a device.
#ifndef NORMA_CHECK_STRIDED_RUN_H
#define NORMA_CHECK_STRIDED_RUN_H

#include "driver.h"
#include "strided_case.h"

// Both copy the case's arena to `arena`, run, and leave there what the operator made of it. Budget: level 2; 0: the
// context's.
norma_status strided_run_host(struct check_driver *driver, const struct strided_case *c, unsigned char *arena);
norma_status strided_run_plan(struct check_driver *driver, const struct strided_case *c, uint64_t budget,
                              unsigned char *arena);

// float64 is for the scalar path: whether the device may refuse the case.
bool strided_may_refuse(const struct check_driver *driver, const struct strided_case *c);

#endif
