// Outputs against a trusted answer: the scalar path's, or for the scalar path itself long double arithmetic. Error is
// counted in units of what the numeric contract allows (src/verify/reference.h).
#ifndef NORMA_TOOLS_VERIFY_H
#define NORMA_TOOLS_VERIFY_H

#include "progress.h"
#include <norma/context.h>
#include <norma/problem.h>
#include <stdbool.h>

struct verify_result {
    double worst;         // the largest error/bound; above 1 is a failure, infinite where NaN or infinity disagree
    norma_arg arg;        // where that was
    int64_t row, element; // element of the row
    double got, expected;
    uint64_t compared, wrong; // values in all, and those above 1
};

// problem's tensors are dense and in host memory, outputs written. scalar: a context of the scalar path to compare
// with, or NULL for the long double arithmetic. progress may be NULL. False after a message (no memory).
bool verify_problem(const norma_problem *problem, norma_context *scalar, struct progress *progress,
                    struct verify_result *result);

// "error/bound 0.42 at y[17, 3] (1.25, expected 1.2500001)"; text holds 256 bytes.
const char *verify_text(const struct verify_result *result, char *text);

#endif
