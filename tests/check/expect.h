// What a case's outputs must be, and how far a run was from it.
#ifndef NORMA_CHECK_EXPECT_H
#define NORMA_CHECK_EXPECT_H

#include "case.h"

struct check_expected {
    long double *value[NORMA_ARG_COUNT], *bound[NORMA_ARG_COUNT]; // dense; outputs that are present, else NULL
};

struct check_verdict {
    bool ok;
    double worst;      // the largest error/bound
    double worst32;    // the same of float32 outputs, which are not rounded to a coarser type
    char message[240]; // what is wrong, if anything
};

bool check_expect(const struct check_case *c, struct check_expected *expected);
void check_expected_finish(struct check_expected *expected);

// Bytes of all outputs, dense, in the order of norma_arg.
uint64_t check_outputs_size(const struct check_case *c);
// Copies the outputs out of an arena that an operator ran on.
void check_gather(const struct check_case *c, const unsigned char *arena, unsigned char *outputs);

// Compares outputs with what is expected, and the rest of the arena with what it was: canaries, gaps and inputs.
// Puts the outputs' places in the arena back to what they were.
struct check_verdict check_judge(const struct check_case *c, const struct check_expected *expected,
                                 unsigned char *arena, const unsigned char *outputs);

// Equal bits, any NaN being equal to any other. On a difference the message says where.
bool check_same_bits(const struct check_case *c, const unsigned char *a, const unsigned char *b, char *message,
                     size_t size);

#endif
