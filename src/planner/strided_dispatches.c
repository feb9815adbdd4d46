// Writes one dispatch of a strided kernel: table, bindings, grid.
#include "backend.h"
#include "half.h"
#include "planner.h"
#include "strided.h"
#include "strided_table.h"
#include <assert.h>
#include <string.h>

_Static_assert(ST_WORDS <= NST_TABLE_WORDS, "NORMA_TABLE_WORDS");

enum { GPU_LOCAL = 64, CPU_LOCAL = 16, MOST_DISPATCHES = 1 << 18 };

static uint32_t type_code(norma_dtype dtype)
{
    switch (dtype) {
    case NORMA_FLOAT16:
        return 1;
    case NORMA_BFLOAT16:
        return 2;
    case NORMA_INT8:
        return 4;
    case NORMA_FLOAT8_E4M3FN:
        return 5;
    default: // float32 and int32
        return 0;
    }
}

static void fill_operator(const struct nst_job *job, uint32_t *w)
{
    const struct norma_form *f = job->view->form;
    // To the kernels statistics in stats are moments, whose mean is taken off.
    w[ST_STATISTIC] = f->statistic == FORM_MERGED || f->statistic == FORM_PARTS ? FORM_MOMENTS : f->statistic;
    w[ST_SCALE] = f->scale;
    w[ST_ACTIVATION] = f->activation;
    w[ST_Z_ACTIVATION] = f->z_activation;
    w[ST_Z_FIRST] = f->z_first;
    w[ST_EPS] = norma_float_bits(f->eps);
    w[ST_WEIGHT_OFFSET] = norma_float_bits(f->weight_offset);
    w[ST_SLOPE] = norma_float_bits(f->slope);
    w[ST_MOMENTUM] = norma_float_bits(job->momentum);
    w[ST_UPDATE] = job->update;
    w[ST_R_MAX] = norma_float_bits(f->r_max);
    w[ST_D_MAX] = norma_float_bits(f->d_max);
    w[ST_MEMBER] = job->member;
    w[ST_MEMBERS] = job->members;
    w[ST_OUTPUT] = job->output;
    w[ST_STRETCH] = job->stretch;
    w[ST_BEFORE] = f->window_before;
    w[ST_AFTER] = f->window_after;
    w[ST_ALPHA] = norma_float_bits((float)f->alpha);
    w[ST_BETA] = norma_float_bits((float)f->beta);
    w[ST_K] = norma_float_bits((float)f->k);
    w[ST_MIX] = f->mix;
    w[ST_SAMPLES] = (uint32_t)f->samples;
    w[ST_CHANNELS] = (uint32_t)f->channels;
    w[ST_SAMPLE_STEP] = (uint32_t)f->sample_step;
    w[ST_CHANNEL_STEP] = (uint32_t)f->channel_step;
}

static void fill_space(const struct nst *plan, const struct nst_job *job, uint32_t *w)
{
    const struct nst_view *view = job->view;
    const struct norma_form *f = view->form;
    const struct nst_tile *t = &job->tile;
    const int64_t first = form_chunk_begin(f->n, f->run, t->chunk0), last = form_chunk_begin(f->n, f->run, t->chunk1);
    w[ST_GROUP0] = (uint32_t)t->group0;
    w[ST_GROUPS] = (uint32_t)(t->group1 - t->group0);
    w[ST_ELEMENT0] = (uint32_t)first;
    w[ST_ELEMENTS] = (uint32_t)(last - first);
    w[ST_CHUNK0] = (uint32_t)t->chunk0;
    w[ST_CHUNKS] = (uint32_t)(t->chunk1 - t->chunk0);
    w[ST_N] = (uint32_t)f->n;
    w[ST_RUN] = (uint32_t)f->run;
    w[ST_ALL_CHUNKS] = (uint32_t)view->chunks;
    const int64_t *x = f->arg[NORMA_ARG_X].stride;
    w[ST_GROUPS_FAST] = x[f->group_rank - 1] < x[f->rank - 1] && f->extent[f->group_rank - 1] > 1;
    w[ST_RANK] = (uint32_t)f->rank;
    w[ST_GROUP_RANK] = (uint32_t)f->group_rank;
    w[ST_LEVEL] = job->level;
    w[ST_IN] = job->in;
    w[ST_INPUTS] = job->inputs;
    w[ST_OUT] = job->out;
    w[ST_OUTPUTS] = job->outputs;
    w[ST_CELLS] = plan->cells_at;
    w[ST_COEFFICIENTS] = plan->coefficients_at;
    w[ST_STEP] = job->step ? job->step : 1;
    w[ST_GROUP_STEP] = job->step ? job->group_step : job->inputs;
    w[ST_ALIKE] = job->alike;
    w[ST_MOMENTS] = plan->moments_at;
    w[ST_SUMS] = plan->sums_at;
    w[ST_COUNTS] = plan->counts;
    w[ST_RENORM] = f->renorm ? plan->renorm_at : UINT32_MAX;
    for (int32_t d = 0; d < f->rank; d++) {
        w[ST_CELL_STRIDE + d] = (uint32_t)view->cell_stride[d];
        w[ST_EXTENT + d] = (uint32_t)f->extent[d];
        w[ST_CHANNEL_STRIDE + d] = (uint32_t)f->channel[d];
    }
    int32_t shifts[FORM_RANK];
    const uint32_t rank = (uint32_t)f->rank, sizes = nst_shifts(f, shifts);
    w[ST_STRIDES] = rank + sizes;
    for (uint32_t i = 0; i < sizes; i++)
        w[ST_EXTENT + rank + i] = (uint32_t)shifts[i];
}

uint32_t nst_shifts(const struct norma_form *f, int32_t shifts[FORM_RANK])
{
    uint32_t count = 0;
    for (int a = 0; a < NORMA_ARG_COUNT && f->jumps; a++) {
        bool known = f->arg[a].jump == 0;
        for (uint32_t i = 0; i < count; i++)
            known = known || shifts[i] == f->arg[a].shift;
        if (!known && count < FORM_RANK)
            shifts[count++] = f->arg[a].shift;
    }
    return count;
}

// Binds the slot's tensor as far as the tile touches it.
static norma_bound bind_slot(const struct nst *plan, const struct nst_job *job, uint32_t slot, uint32_t *w)
{
    const struct norma_form *f = job->view->form;
    const struct form_arg *arg = &f->arg[job->slots[slot]];
    int64_t low, high;
    nst_range(job->view, &job->tile, arg, &low, &high);
    high += (FORM_KINDS - 1) * arg->step;
    const uint64_t size = norma_dtype_size(arg->dtype), bytes = (uint64_t)low * size;
    const uint64_t rest = bytes & (plan->align - 1);
    uint32_t *words = w + ST_TENSOR + slot * ST_TENSOR_WORDS;
    words[0] = type_code(arg->dtype);
    words[1] = (uint32_t)(rest / size - (uint64_t)low);
    for (int32_t d = 0; d < f->rank; d++)
        words[2 + d] = (uint32_t)(arg->stride[d] + (d == 0 ? arg->step : 0));
    for (uint32_t i = (uint32_t)f->rank; i < w[ST_STRIDES]; i++)
        words[2 + i] = arg->jump && w[ST_EXTENT + i] == (uint32_t)arg->shift ? (uint32_t)arg->jump : 0;
    if (arg->rows > 1)
        w[job->slots[slot] == NORMA_ARG_SUMS ? ST_SUMS_ROW : ST_ROW] = (uint32_t)arg->row;
    return (norma_bound){.slot = slot,
                         .arg = arg->source,
                         .offset = bytes - rest,
                         .size = rest + (uint64_t)(high - low + 1) * size,
                         .written = job->written >> slot & 1};
}

static void bind_all(const struct nst *plan, const struct nst_job *job, norma_dispatch *d, uint32_t *w)
{
    const uint64_t workspace = plan->schedule->workspace;
    const norma_bound cells = {.arg = NORMA_ARG_WORKSPACE, .size = workspace};
    for (uint32_t slot = 0; slot < ST_SLOTS; slot++) {
        const norma_arg a = job->slots[slot];
        const bool present = slot != ST_WORKSPACE && a != NORMA_ARG_COUNT && job->view->form->arg[a].present;
        w[ST_TENSOR + slot * ST_TENSOR_WORDS] = NST_ABSENT;
        d->bindings[slot] = present ? bind_slot(plan, job, slot, w) : cells;
        d->bindings[slot].slot = slot;
        d->bindings[slot].written = (job->written | 1u << ST_WORKSPACE) >> slot & 1;
    }
    d->binding_count = ST_SLOTS;
}

static uint32_t local_of(const struct norma_caps *caps)
{
    return caps->kind == NORMA_DEVICE_CPU ? CPU_LOCAL : GPU_LOCAL;
}

uint64_t nst_most_items(const struct norma_caps *caps)
{
    const uint64_t groups = npl_mul(npl_max(caps->max_groups[0], 1), npl_max(caps->max_groups[1], 1));
    return npl_mul(local_of(caps), groups);
}

void nst_set_local(const struct norma_caps *caps, norma_dispatch *d)
{
    const uint32_t local = local_of(caps);
    d->local[0] = local;
    d->local[1] = d->local[2] = 1;
    d->constants[0] = (norma_constant){"LOCAL_SIZE", NORMA_CONST_LOCAL_SIZE, local};
    d->constant_count = 1;
}

static void set_grid(const struct nst *plan, uint64_t units, norma_dispatch *d)
{
    nst_set_local(plan->caps, d);
    const uint64_t needed = npl_ceil(units, d->local[0]), width = npl_max(plan->caps->max_groups[0], 1);
    const uint64_t height = npl_ceil(needed, npl_min(width, needed));
    assert(units > 0 && height <= npl_max(plan->caps->max_groups[1], 1));
    d->groups[0] = (uint32_t)npl_ceil(needed, height);
    d->groups[1] = (uint32_t)height;
    d->groups[2] = 1;
}

static norma_status grow(struct nst *plan)
{
    struct norma_schedule *s = plan->schedule;
    const size_t capacity = plan->dispatch_capacity ? 2 * plan->dispatch_capacity : 16;
    if (s->borrowed)
        return norma_room_is_full(plan->options->room);
    norma_dispatch *grown = norma_resize(plan->options->allocator, s->dispatches, capacity * sizeof(*grown));
    if (!grown)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "the plan's %zu dispatches", capacity);
    s->dispatches = grown;
    plan->dispatch_capacity = capacity;
    return NORMA_OK;
}

static uint32_t *new_table(const struct nst *plan)
{
    const struct norma_schedule *s = plan->schedule;
    if (!s->borrowed)
        return norma_zalloc(plan->options->allocator, NST_TABLE_WORDS, sizeof(uint32_t));
    uint32_t *table = plan->options->room->tables[s->dispatch_count];
    memset(table, 0, NST_TABLE_WORDS * sizeof(*table));
    return table;
}

// A place for one more dispatch, with a table of its own.
static norma_status add_dispatch(struct nst *plan, norma_dispatch **dispatch, uint32_t **table)
{
    struct norma_schedule *s = plan->schedule;
    if (s->dispatch_count == MOST_DISPATCHES)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: over %d dispatches; memory_budget or the strides leave no fewer",
                          MOST_DISPATCHES);
    const norma_status status = s->dispatch_count == plan->dispatch_capacity ? grow(plan) : NORMA_OK;
    if (status != NORMA_OK)
        return status;
    *table = new_table(plan);
    if (!*table)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "the plan's tables");
    *dispatch = &s->dispatches[s->dispatch_count++];
    **dispatch = (norma_dispatch){.table = *table, .table_size = ST_WORDS * sizeof(**table)};
    return NORMA_OK;
}

norma_status nst_append(struct nst *plan, const struct nst_job *job)
{
    norma_dispatch *d = NULL;
    uint32_t *w = NULL;
    const norma_status status = add_dispatch(plan, &d, &w);
    if (status != NORMA_OK)
        return status;
    d->kernel = job->kernel;
    d->barrier = plan->barrier;
    fill_operator(job, w);
    fill_space(plan, job, w);
    bind_all(plan, job, d, w);
    set_grid(plan, job->units, d);
    nst_quad_constants(plan->caps, job, d);
    plan->barrier = false;
    return NORMA_OK;
}
