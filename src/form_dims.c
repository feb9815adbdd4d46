// The dimensions of the canonical form: x's axes, some of them cut, in the order of x's strides, folded where every
// tensor allows.
#include "backend.h"
#include "form_axes.h"
#include "try.h"

// One dimension of the iteration space while it is put together.
struct dim {
    int64_t extent, stride[NORMA_ARG_COUNT];
    int64_t order, channel; // as in the form
    bool element;
};

// A dimension that an axis is cut into: `step` of the axis from one index to the next.
struct piece {
    int64_t extent, step;
    bool element;
};

int64_t norma_form_order(const norma_tensor *x, int32_t d)
{
    return d == 1 && x->channel_block > 1 ? x->block_stride : x->strides[d];
}

// Channels of a block where blocks of x are a dimension of their own; else 1.
static int64_t split_of(const struct axes *axes)
{
    const int64_t block = axes->block[NORMA_ARG_X], inside = axes->inside;
    if (block <= 1 || axes->whole_channels || axes->x->shape[1] % block)
        return 1;
    return axes->cut != 1 || inside % block == 0 || (inside > 0 && block % inside == 0) ? block : 1;
}

// The pieces of axis d, from the outermost.
static int32_t cut_axis(const struct axes *axes, int32_t d, int64_t split, struct piece pieces[3])
{
    const int64_t extent = axes->x->shape[d], inside = axes->inside;
    const bool element = axes->element[d], cut = d == axes->cut;
    if (d != 1 || split == 1) {
        pieces[0] = cut ? (struct piece){axes->parts, inside, element} : (struct piece){extent, 1, element};
        pieces[1] = (struct piece){inside, 1, true};
        return cut ? 2 : 1;
    }
    if (!cut) {
        pieces[0] = (struct piece){extent / split, split, element};
        pieces[1] = (struct piece){split, 1, element};
        return 2;
    }
    const bool blocks_inside = inside % split == 0;
    pieces[0] =
        blocks_inside ? (struct piece){axes->parts, inside, element} : (struct piece){extent / split, split, element};
    pieces[1] =
        blocks_inside ? (struct piece){inside / split, split, true} : (struct piece){split / inside, inside, element};
    pieces[2] = (struct piece){blocks_inside ? split : inside, 1, true};
    return 3;
}

static int64_t stride_of(const struct axes *axes, int arg, int32_t d, int64_t stride, int64_t step, int64_t split)
{
    if ((axes->statistics >> arg & 1) && d == axes->cut)
        return step >= axes->inside ? step / axes->inside * stride : 0;
    if (d == 1 && split > 1 && axes->block[arg] == split && step % split == 0)
        return step / split * axes->block_stride[arg];
    return step * stride;
}

static int64_t order_of(const struct axes *axes, int32_t d, int64_t step, int64_t split, int64_t stride)
{
    const norma_tensor *x = axes->x;
    if (d != 1 || split > 1 || x->channel_block <= 1)
        return stride;
    const int64_t blocks = step * norma_form_order(x, d) / x->channel_block;
    return step == 1 ? norma_form_order(x, d) : blocks > 0 ? blocks : 1;
}

// The dimensions of x in its own order, those of one axis together. Extents of 1 are left out.
static int32_t make_dims(const struct axes *axes, int64_t split, int64_t (*stride)[NORMA_MAX_RANK], struct dim *dims)
{
    int32_t count = 0;
    for (int32_t d = 0; d < axes->x->rank; d++) {
        struct piece pieces[3];
        const int32_t parts = cut_axis(axes, d, split, pieces);
        for (int32_t i = 0; i < parts; i++) {
            struct dim *dim = &dims[count];
            if (pieces[i].extent == 1)
                continue;
            *dim = (struct dim){.extent = pieces[i].extent, .element = pieces[i].element};
            for (int a = 0; a < NORMA_ARG_COUNT; a++)
                dim->stride[a] = stride_of(axes, a, d, stride[a][d], pieces[i].step, split);
            dim->order = order_of(axes, d, pieces[i].step, split, dim->stride[NORMA_ARG_X]);
            dim->channel = d == 1 ? pieces[i].step : 0;
            count++;
        }
    }
    return count;
}

// What the strides do not tell of packed channels.
static void set_jumps(struct norma_form *f, const struct axes *axes, int64_t split, int64_t (*stride)[NORMA_MAX_RANK])
{
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        if (axes->block[a] <= 1 || axes->block[a] == split)
            continue;
        f->jumps = true;
        f->arg[a].jump = axes->block_stride[a] - axes->block[a] * stride[a][1];
        while (INT64_C(1) << f->arg[a].shift < axes->block[a])
            f->arg[a].shift++;
    }
}

// A part's dimensions by their order, the largest first; those of equal order stay as they are.
static void sort_dims(struct dim *dims, int32_t count)
{
    for (int32_t i = 1; i < count; i++)
        for (int32_t k = i; k > 0 && dims[k - 1].order < dims[k].order; k--) {
            const struct dim kept = dims[k];
            dims[k] = dims[k - 1];
            dims[k - 1] = kept;
        }
}

// Whether one walk over both dimensions is the same as a walk over one of their product, for every tensor.
static bool folds(const struct norma_form *f, const struct dim *outer, const struct dim *inner)
{
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if (outer->stride[a] != inner->stride[a] * inner->extent)
            return false;
    return !f->jumps || outer->channel == inner->channel * inner->extent;
}

static int64_t run_of(const struct dim *dims, int32_t count)
{
    if (count == 0)
        return 1;
    int64_t run = dims[count - 1].extent;
    for (int32_t d = count - 1; d > 0 && dims[d - 1].order == dims[d].order * dims[d].extent; d--)
        run *= dims[d - 1].extent;
    return run;
}

// Appends the part's dimensions to the form, folded where every tensor allows.
static norma_status add_part(struct norma_form *f, const struct dim *dims, int32_t count)
{
    const int32_t begin = f->rank;
    for (int32_t i = 0; i < count; i++) {
        const bool fold = f->rank > begin && folds(f, &dims[i - 1], &dims[i]);
        if (!fold && f->rank == FORM_RANK)
            return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: more than %d dimensions remain", FORM_RANK);
        const int32_t d = fold ? f->rank - 1 : f->rank++;
        f->extent[d] = dims[i].extent * (fold ? f->extent[d] : 1);
        f->order[d] = dims[i].order;
        f->channel[d] = f->jumps ? dims[i].channel : 0;
        for (int a = 0; a < NORMA_ARG_COUNT; a++)
            f->arg[a].stride[d] = dims[i].stride[a];
    }
    if (f->rank == begin) { // a part has a dimension at least
        if (f->rank == FORM_RANK)
            return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: more than %d dimensions remain", FORM_RANK);
        f->extent[f->rank++] = 1;
    }
    return NORMA_OK;
}

norma_status norma_form_arrange(struct norma_form *f, const struct axes *axes, int64_t (*stride)[NORMA_MAX_RANK])
{
    struct dim dims[NORMA_MAX_RANK + 2], part[NORMA_MAX_RANK + 2];
    const int64_t split = split_of(axes);
    const int32_t count = make_dims(axes, split, stride, dims);
    set_jumps(f, axes, split, stride);
    f->groups = f->n = 1;
    for (int element = 0; element < 2; element++) {
        int32_t size = 0;
        for (int32_t d = 0; d < count; d++)
            if (dims[d].element == (element == 1))
                part[size++] = dims[d];
        sort_dims(part, size);
        for (int32_t d = 0; d < size; d++)
            *(element ? &f->n : &f->groups) *= part[d].extent;
        if (element)
            f->run = run_of(part, size);
        TRY(add_part(f, part, size));
        if (!element)
            f->group_rank = f->rank;
    }
    return NORMA_OK;
}
