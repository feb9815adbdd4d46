// Indices over the dimensions of a form, and walks along some of them.
#include "strided.h"
#include <string.h>

uint32_t nsc_strided_own_dims(const struct norma_form *f, norma_arg arg)
{
    uint32_t dims = 0;
    for (int32_t d = 0; d < f->rank; d++)
        if (f->arg[arg].stride[d] != 0 && f->extent[d] != 1)
            dims |= 1u << d;
    return dims;
}

int64_t nsc_strided_size(const struct norma_form *f, uint32_t dims)
{
    int64_t size = 1;
    for (int32_t d = 0; d < f->rank; d++)
        if (dims >> d & 1)
            size *= f->extent[d];
    return size;
}

void nsc_strided_set_index(const struct norma_form *f, uint32_t dims, int64_t number, int64_t index[FORM_RANK])
{
    for (int32_t d = f->rank - 1; d >= 0; d--) {
        if (!(dims >> d & 1))
            continue;
        index[d] = number % f->extent[d];
        number /= f->extent[d];
    }
}

int64_t nsc_strided_number(const struct norma_form *f, uint32_t dims, const int64_t index[FORM_RANK])
{
    int64_t number = 0;
    for (int32_t d = 0; d < f->rank; d++)
        if (dims >> d & 1)
            number = number * f->extent[d] + index[d];
    return number;
}

static int64_t stretch_from(const struct norma_form *f, int64_t first)
{
    const int64_t left = f->extent[f->rank - 1] - first;
    return left < STRIDED_STRETCH ? left : STRIDED_STRETCH;
}

struct strided_walk nsc_strided_walk(const struct norma_form *f, uint32_t over, const int64_t index[FORM_RANK])
{
    struct strided_walk walk = {.form = f, .over = over};
    memcpy(walk.index, index, sizeof walk.index);
    walk.count = over >> (f->rank - 1) & 1 ? stretch_from(f, index[f->rank - 1]) : 1;
    return walk;
}

bool nsc_strided_next(struct strided_walk *walk)
{
    const struct norma_form *f = walk->form;
    const int32_t last = f->rank - 1;
    if (walk->over >> last & 1) {
        walk->index[last] += walk->count;
        const bool within = walk->index[last] < f->extent[last];
        if (!within)
            walk->index[last] = 0;
        walk->count = stretch_from(f, walk->index[last]);
        if (within)
            return true;
    }
    for (int32_t d = last - 1; d >= 0; d--) {
        if (!(walk->over >> d & 1))
            continue;
        if (++walk->index[d] < f->extent[d])
            return true;
        walk->index[d] = 0;
    }
    return false;
}

struct strided_walk nsc_strided_group(const struct norma_form *f, int64_t group)
{
    int64_t index[FORM_RANK] = {0};
    nsc_strided_set_index(f, nsc_strided_group_dims(f), group, index);
    return nsc_strided_walk(f, nsc_strided_element_dims(f), index);
}
