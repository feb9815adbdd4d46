// Between the files that make the canonical form: what is known of x's axes before they are dimensions of it.
#ifndef NORMA_SRC_FORM_AXES_H
#define NORMA_SRC_FORM_AXES_H

#include "form.h"

// The axes of x, which of them belong to a group, and the one that is cut into parts, of which each is in a group.
struct axes {
    const norma_tensor *x;
    bool element[NORMA_MAX_RANK];
    int32_t elements;      // how many of them
    int32_t cut;           // group norm: 1, virtual batches: 0; else -1
    int64_t parts, inside; // how many it is cut into, and the extent of one
    // A vector parameter's own shape: these axes of x, in order.
    int32_t natural[NORMA_MAX_RANK], naturals;
    uint64_t statistics; // bit a: tensor a has an element for each statistics group
    // Packed channels (axis 1) of each tensor of the form: how many a block, 0 or 1 where the strides tell all.
    int64_t block[NORMA_ARG_COUNT], block_stride[NORMA_ARG_COUNT];
    bool whole_channels; // they stay one dimension
};

// form_dims.c: the form's dimensions and where its tensors lie. stride: of each tensor of the form over x's axes.
norma_status norma_form_arrange(struct norma_form *form, const struct axes *axes, int64_t (*stride)[NORMA_MAX_RANK]);
// What the dimension of axis d is sorted by.
int64_t norma_form_order(const norma_tensor *x, int32_t d);

#endif
