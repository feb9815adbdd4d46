// Outputs against a trusted answer: the scalar path's, or for the scalar path itself long double arithmetic. Error is
// counted in units of what the numeric contract allows (src/verify/reference.h, src/verify/form_reference.h).
#ifndef NORMA_TOOLS_VERIFY_H
#define NORMA_TOOLS_VERIFY_H

#include "problem.h"
#include "progress.h"
#include <norma/context.h>
#include <norma/problem.h>
#include <stdbool.h>

struct verify_result {
    double worst;  // the largest error/bound; above 1 is a failure, infinite where NaN or infinity disagree
    norma_arg arg; // where that was
    int32_t rank;
    int64_t index[NORMA_MAX_RANK];
    double got, expected;
    uint64_t compared, wrong; // values in all, and those above 1
};

// problem's tensors are dense and in host memory, outputs written; given is the same with the inputs as they were
// before the run (running statistics are updated in place). scalar: a context of the scalar path to compare with, or
// NULL for the long double arithmetic. progress may be NULL. False after a message.
bool verify_problem(const norma_problem *problem, const norma_problem *given, norma_context *scalar,
                    struct progress *progress, struct verify_result *result);

// Of one value: true where it is the worst so far, which the caller then places (arg, rank and index).
bool verify_note(struct verify_result *result, double error, double got, double expected);
void verify_merge(struct verify_result *into, const struct verify_result *from);

// The part of verify_problem for what is not of the row family. form is problem's.
bool verify_form(const norma_problem *problem, const norma_problem *given, const struct norma_form *form,
                 norma_context *scalar, struct progress *progress, struct verify_result *result);

// "error/bound 0.42 at y[17, 3] (1.25, expected 1.2500001)"; text holds 256 bytes.
const char *verify_text(const struct verify_result *result, char *text);

#endif
