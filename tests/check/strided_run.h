// The two ways to run a strided case on a device.
#ifndef NORMA_CHECK_STRIDED_RUN_H
#define NORMA_CHECK_STRIDED_RUN_H

#include "driver.h"
#include "strided_case.h"

// Both copy the case's arena to `arena`, run, and leave there what the operator made of it. variant and budget: of
// the plan; NULL and 0: the planner's choice, the context's.
norma_status strided_run_host(struct check_driver *driver, const struct strided_case *c, unsigned char *arena);
norma_status strided_run_plan(struct check_driver *driver, const struct strided_case *c, const char *variant,
                              uint64_t budget, unsigned char *arena);

// Whether the device has more than one kernel for the case: the variant "strided" is another way.
bool strided_has_variants(const struct check_driver *driver, const struct strided_case *c);

// float64 is for the scalar path: whether the device may refuse the case.
bool strided_may_refuse(const struct check_driver *driver, const struct strided_case *c);

#endif
