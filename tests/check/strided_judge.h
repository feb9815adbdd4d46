// What a strided case's outputs must be, and how far a run was from it.
#ifndef NORMA_CHECK_STRIDED_JUDGE_H
#define NORMA_CHECK_STRIDED_JUDGE_H

#include "strided_case.h"
#include "subject.h"
#include "verify/form_reference.h"

struct strided_expected {
    struct norma_form form;
    struct form_reference_output out[NORMA_ARG_COUNT]; // by the form's names of the tensors
    // A mark an output's element in the arena that the group with a NaN or infinity is a part of, or that one of
    // another input reaches.
    unsigned char *spoilt;
};

// False: the library refuses the problem (norma_last_error), or memory is out.
bool strided_expect(const struct strided_case *c, struct strided_expected *expected);
void strided_expected_finish(struct strided_expected *expected);

// After strided_case_fill; its expected values are a struct strided_expected. c must stay where it is. Of a slice
// (strided_slice) those outputs are compared that differ along its axis.
struct check_subject strided_subject(const struct strided_case *c);

#endif
