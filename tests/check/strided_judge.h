// What a strided case's outputs must be, and how far a run was from it.
#ifndef NORMA_CHECK_STRIDED_JUDGE_H
#define NORMA_CHECK_STRIDED_JUDGE_H

#include "expect.h"
#include "strided_case.h"
#include "verify/form_reference.h"

struct strided_expected {
    struct norma_form form;
    struct form_reference_output out[NORMA_ARG_COUNT]; // by the form's names of the tensors
    // A mark an output's element in the arena that the group with a NaN or infinity is a part of.
    unsigned char *spoilt;
};

// False: the library refuses the problem (norma_last_error), or memory is out.
bool strided_expect(const struct strided_case *c, struct strided_expected *expected);
void strided_expected_finish(struct strided_expected *expected);

// Bytes of all outputs, dense, in the order of norma_arg; those of a slice along an axis that differ along it.
uint64_t strided_outputs_size(const struct strided_case *c, int32_t sliced);
void strided_gather(const struct strided_case *c, int32_t sliced, const unsigned char *arena, unsigned char *outputs);

// Compares the outputs in the arena with what is expected, and the rest of it with what it was: canaries, gaps and
// inputs. Puts the outputs' places in the arena back to what they were.
struct check_verdict strided_judge(const struct strided_case *c, const struct strided_expected *expected,
                                   unsigned char *arena);

// Equal bits, any NaN being equal to any other. On a difference the message says where.
bool strided_same_bits(const struct strided_case *c, int32_t sliced, const unsigned char *a, const unsigned char *b,
                       char *message, size_t size);

#endif
