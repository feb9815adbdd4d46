// What a case's outputs must be, and how far a run was from it.
#ifndef NORMA_CHECK_EXPECT_H
#define NORMA_CHECK_EXPECT_H

#include "case.h"
#include "subject.h"

struct check_expected {
    long double *value[NORMA_ARG_COUNT], *bound[NORMA_ARG_COUNT]; // dense; outputs that are present, else NULL
};

bool check_expect(const struct check_case *c, struct check_expected *expected);
void check_expected_finish(struct check_expected *expected);

// After check_case_fill; its expected values are a struct check_expected. c must stay where it is.
struct check_subject check_case_subject(const struct check_case *c);

#endif
