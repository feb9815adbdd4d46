// The trusted answer for every operator in canonical form, forward and backward: each output element in long double
// from the formulas of norma_problem, and the error that the numeric contract allows it. For tests and `norma check`;
// shares no code with any backend.
#ifndef NORMA_SRC_VERIFY_FORM_REFERENCE_H
#define NORMA_SRC_VERIFY_FORM_REFERENCE_H

#include "form.h"
#include <float.h>

_Static_assert(LDBL_MANT_DIG > DBL_MANT_DIG, "the reference needs a long double that is wider than double");

// Dense arrays, one entry an element of the output; NULL for what is no output of the form. The last index is the
// fastest over the form's dimensions, of which those count in which an output differs:
// - of x's shape (y, sum, dx, dresidual, dz, daddend): all, so that the index is group * n + element;
// - of a group (mean, rstd, y_scale, nonfinite, running_mean, running_var): the group's where the tensor has a stride;
// - of the kinds of a mix (dmean_weights, dvar_weights): the kind;
// - stats and sums: row * groups + group. Of stats the mean is that in two rows, m2 and the mean are without the scale,
//   and the rows mean_low and scale are 0 where they are as they should be: see form_output_value;
// - gradients of parameters (dweight, dbias, dgate, dinput_bias): those where the tensor has a stride.
struct form_reference_output {
    long double *value, *bound;
};

// Entries of an output; 0 for what is no output of the form. Running statistics are outputs where they are updated.
int64_t form_output_count(const struct norma_form *form, norma_arg arg);
// Where the entry with this index lies in the strided tensor, in elements from its first.
int64_t form_output_offset(const struct norma_form *form, norma_arg arg, int64_t index);

// data[a]: the first element of form->arg[a], in its type, with the values before the run; ignored where a is absent or
// only written. False: out of memory, and nothing is left to finish.
bool form_reference(const struct norma_form *form, const void *const data[NORMA_ARG_COUNT],
                    struct form_reference_output out[NORMA_ARG_COUNT]);
void form_reference_finish(struct form_reference_output out[NORMA_ARG_COUNT]);

// What an output's entry stands for, to be compared with the reference's; data: the tensor's first element.
long double form_output_value(const struct norma_form *form, norma_arg arg, const void *data, int64_t i);

// reference_error, for float64 too, and for rows of stats.
double form_reference_error(const struct norma_form *form, norma_arg arg, long double expected, long double bound,
                            long double got);

#endif
