// Views of an iteration space, and their tiles, whose tensors' ranges a device can bind.
#include "backend.h"
#include "planner.h"
#include "strided.h"
#include "strided_table.h"
#include <string.h>

uint32_t nst_finish_from(const struct norma_form *f)
{
    if (!f->backward || !f->arg[NORMA_ARG_RSTD].present || f->mix)
        return ST_FINISH_LISTS;
    return f->statistic == FORM_MOMENTS && !f->arg[NORMA_ARG_MEAN].present ? ST_FINISH_RSTD : ST_FINISH_SAVED;
}

bool nst_rstd_suffices(const struct norma_form *f)
{
    return nst_finish_from(f) == ST_FINISH_SAVED && f->statistic != FORM_MOMENTS;
}

void nst_view_set_inputs(struct nst_view *view, int64_t inputs)
{
    view->levels = 0;
    view->inputs[0] = inputs;
    while (view->inputs[view->levels] > 1) {
        view->inputs[view->levels + 1] = (int64_t)npl_ceil((uint64_t)view->inputs[view->levels], NORMA_FAN);
        view->levels++;
    }
}

void nst_view_init(struct nst_view *view, const struct norma_form *form)
{
    *view = (struct nst_view){.form = form, .chunks = form_chunks(form->n, form->run)};
    nst_view_set_inputs(view, view->chunks);
}

void nst_parameter_view(const struct nst_view *whole, norma_arg gradient, struct norma_form *form,
                        struct nst_view *view)
{
    const struct norma_form *f = whole->form;
    int64_t cell_stride[FORM_RANK] = {0};
    *form = *f;
    form->rank = 0;
    form->groups = form->n = 1;
    for (int part = 0; part < 2; part++) {
        const int32_t begin = form->rank;
        for (int32_t d = 0; d < f->rank; d++) {
            if ((f->arg[gradient].stride[d] == 0) != (part == 1) || f->extent[d] == 1)
                continue;
            // Sorted as everywhere.
            int32_t at = form->rank++;
            for (; at > begin && form->order[at - 1] < f->order[d]; at--) {
                form->extent[at] = form->extent[at - 1];
                form->order[at] = form->order[at - 1];
                form->channel[at] = form->channel[at - 1];
                cell_stride[at] = cell_stride[at - 1];
                for (int a = 0; a < NORMA_ARG_COUNT; a++)
                    form->arg[a].stride[at] = form->arg[a].stride[at - 1];
            }
            form->extent[at] = f->extent[d];
            form->order[at] = f->order[d];
            form->channel[at] = f->channel[d];
            cell_stride[at] = whole->cell_stride[d];
            for (int a = 0; a < NORMA_ARG_COUNT; a++)
                form->arg[a].stride[at] = f->arg[a].stride[d];
            *(part ? &form->n : &form->groups) *= f->extent[d];
        }
        if (form->rank == begin) {
            form->extent[form->rank] = 1;
            form->order[form->rank] = form->channel[form->rank] = 0;
            cell_stride[form->rank] = 0;
            for (int a = 0; a < NORMA_ARG_COUNT; a++)
                form->arg[a].stride[form->rank] = 0;
            form->rank++;
        }
        if (part == 0)
            form->group_rank = form->rank;
    }
    const int64_t *order = form->order;
    form->run = form->extent[form->rank - 1];
    for (int32_t d = form->rank - 1; d > form->group_rank && order[d - 1] == order[d] * form->extent[d]; d--)
        form->run *= form->extent[d - 1];
    nst_view_init(view, form);
    memcpy(view->cell_stride, cell_stride, sizeof(cell_stride));
}

// A part without dimensions gets one in nst_parameter_view.
bool nst_parameter_fits(const struct norma_form *f, norma_arg gradient)
{
    int32_t dims[2] = {0, 0}, shifts[FORM_RANK];
    for (int32_t d = 0; d < f->rank; d++)
        if (f->extent[d] != 1)
            dims[f->arg[gradient].stride[d] == 0]++;
    return (dims[0] ? dims[0] : 1) + (dims[1] ? dims[1] : 1) + (int32_t)nst_shifts(f, shifts) <= FORM_RANK;
}

// The lowest and highest offset over the linear indices first .. last of dimensions [begin, end): a box around them.
// No jumps.
static void part_range(const struct norma_form *f, const int64_t stride[FORM_RANK], int32_t begin, int32_t end,
                       int64_t first, int64_t last, int64_t *low, int64_t *high)
{
    int64_t inner = 1;
    bool apart = false; // above, the two indices differ: everything below is within reach
    for (int32_t d = begin; d < end; d++)
        inner *= f->extent[d];
    for (int32_t d = begin; d < end; d++) {
        inner /= f->extent[d];
        const int64_t a = first / inner % f->extent[d], b = last / inner % f->extent[d];
        *low += apart ? 0 : a * stride[d];
        *high += (apart ? f->extent[d] - 1 : b) * stride[d];
        apart = apart || a != b;
    }
}

static void tile_range(const struct nst_view *view, const struct nst_tile *tile, const int64_t stride[FORM_RANK],
                       int64_t *low, int64_t *high)
{
    const struct norma_form *f = view->form;
    part_range(f, stride, 0, f->group_rank, tile->group0, tile->group1 - 1, low, high);
    part_range(f, stride, f->group_rank, f->rank, form_chunk_begin(f->n, f->run, tile->chunk0),
               form_chunk_begin(f->n, f->run, tile->chunk1) - 1, low, high);
}

// Packed channels: within one block, or all of the first block to the last.
static void channel_range(const struct form_arg *arg, int64_t first, int64_t last, int64_t stride, int64_t *low,
                          int64_t *high)
{
    const int64_t block = INT64_C(1) << arg->shift, block_stride = arg->jump + block * stride;
    const bool one = first >> arg->shift == last >> arg->shift;
    *low += (first >> arg->shift) * block_stride + (one ? first % block * stride : 0);
    *high += (last >> arg->shift) * block_stride + (one ? last % block : block - 1) * stride;
}

void nst_range(const struct nst_view *view, const struct nst_tile *tile, const struct form_arg *arg, int64_t *low,
               int64_t *high)
{
    const struct norma_form *f = view->form;
    *low = 0;
    *high = arg->rows > 1 ? (arg->rows - 1) * arg->row : 0;
    int64_t stride[FORM_RANK], first = 0, last = 0, along_channels = 0;
    for (int32_t d = 0; d < f->rank; d++) {
        const bool channels = arg->jump != 0 && f->channel[d] != 0;
        stride[d] = channels ? 0 : arg->stride[d];
        along_channels = channels ? arg->stride[d] / f->channel[d] : along_channels;
    }
    tile_range(view, tile, stride, low, high);
    if (arg->jump == 0)
        return;
    tile_range(view, tile, f->channel, &first, &last);
    channel_range(arg, first, last, along_channels, low, high);
}

// How far over a device's limits a tile is: at most 1 where it fits.
struct excess {
    double limits; // ranges, memory and grid
    double time;   // what one dispatch should take: a wish, which a piece that cannot be cut does not have to meet
};

enum { LINE = 64 }; // bytes that come with an element which has no neighbours

static struct excess excess_of(const struct nst *plan, const struct nst_view *view, uint64_t mask,
                               const struct nst_tile *tile)
{
    const struct norma_form *f = view->form;
    const double elements =
        (double)(tile->group1 - tile->group0) *
        (double)(form_chunk_begin(f->n, f->run, tile->chunk1) - form_chunk_begin(f->n, f->run, tile->chunk0));
    double worst = 0, total = (double)plan->schedule->workspace, moved = 0;
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        int64_t low, high;
        if (!(mask >> a & 1) || !f->arg[a].present)
            continue;
        nst_range(view, tile, &f->arg[a], &low, &high);
        const double size = (double)norma_dtype_size(f->arg[a].dtype);
        const double bytes = (double)(high - low + 1) * size + 2 * (double)plan->align;
        const double most = (double)npl_min(plan->max_range, (uint64_t)INT32_MAX * (uint64_t)size);
        worst = bytes / most > worst ? bytes / most : worst;
        total += bytes;
        moved += bytes < elements * LINE ? bytes : elements * LINE;
    }
    const double budget = total / (double)plan->budget;
    // A work-item an element at most.
    const double units = elements / (double)npl_min(1 << 30, nst_most_items(plan->caps));
    worst = budget > worst ? budget : worst;
    return (struct excess){units > worst ? units : worst, moved / (double)plan->time_bytes};
}

static double excess(const struct nst *plan, const struct nst_view *view, uint64_t mask, const struct nst_tile *tile)
{
    const struct excess e = excess_of(plan, view, mask, tile);
    return e.limits > e.time ? e.limits : e.time;
}

// The middle of [first, last), at a multiple of the largest product of inner extents that leaves two pieces.
static int64_t middle(const struct norma_form *f, int64_t first, int64_t last)
{
    int64_t unit = 1, half = first + (last - first) / 2;
    for (int32_t d = f->group_rank - 1; d > 0 && unit * f->extent[d] * 2 <= last - first; d--)
        unit *= f->extent[d];
    const int64_t rounded = half / unit * unit;
    return rounded > first ? rounded : half;
}

// The middle of the chunks, between runs where there is one.
static int64_t middle_chunk(const struct norma_form *f, int64_t first, int64_t last)
{
    const int64_t half = first + (last - first) / 2;
    const int64_t per_run = f->run > NORMA_CHUNK ? (f->run + NORMA_CHUNK - 1) / NORMA_CHUNK : 1;
    const int64_t rounded = half / per_run * per_run;
    return rounded > first ? rounded : half;
}

norma_status nst_tiles(const struct nst *plan, const struct nst_view *view, uint64_t mask, int64_t group0,
                       int64_t group1, norma_status (*each)(void *user, const struct nst_tile *tile), void *user)
{
    // Depth first: a stack of what is left. Each cut halves one of two 63-bit counts.
    struct nst_tile stack[130] = {{group0, group1, 0, view->chunks}};
    int depth = 1;
    while (depth > 0) {
        const struct nst_tile tile = stack[--depth];
        const bool groups = tile.group1 - tile.group0 > 1, chunks = !view->whole && tile.chunk1 - tile.chunk0 > 1;
        const struct excess over = excess_of(plan, view, mask, &tile);
        if (over.limits <= 1 && (over.time <= 1 || (!groups && !chunks))) {
            const norma_status status = each(user, &tile);
            if (status != NORMA_OK)
                return status;
            continue;
        }
        struct nst_tile by_group[2] = {tile, tile}, by_chunk[2] = {tile, tile};
        by_group[0].group1 = by_group[1].group0 = middle(view->form, tile.group0, tile.group1);
        by_chunk[0].chunk1 = by_chunk[1].chunk0 = middle_chunk(view->form, tile.chunk0, tile.chunk1);
        if (!groups && !chunks)
            return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: a piece of one group does not fit the device's limits and "
                                                       "memory_budget");
        const bool take_groups =
            groups && (!chunks || excess(plan, view, mask, &by_group[0]) <= excess(plan, view, mask, &by_chunk[0]));
        const struct nst_tile *half = take_groups ? by_group : by_chunk;
        stack[depth++] = half[1];
        stack[depth++] = half[0];
    }
    return NORMA_OK;
}
