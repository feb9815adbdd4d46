// The quad kernels (cl/quads.cl, shaders/quads.glsl) in the place of strided ones: which forms they take.
#include "backend.h"
#include "planner.h"
#include "strided.h"
#include "strided_table.h"
#include <string.h>

static const struct kernel {
    const char *strided, *columns, *planes;
    bool backward, writes; // writes a tensor: a unit is some of its elements, not a chunk
    bool normalised;       // works on what comes of the statistics
} kernels[] = {{"strided_stats", "column_stats", "plane_stats", false, false, false},
               {"strided_apply", "column_apply", "plane_apply", false, true, true},
               {"strided_sums", "column_sums", "plane_sums", true, false, true},
               {"strided_grad", "column_grad", "plane_grad", true, true, true}};

static bool is_bound(const struct nst_job *job, uint32_t slot)
{
    const norma_arg arg = job->slots[slot];
    return arg != NORMA_ARG_COUNT && job->view->form->arg[arg].present;
}

// Along dimension d the tensors' elements are neighbours, or repeat; x's and those that are written are neighbours.
static bool lanes_suit(const struct kernel *kernel, const struct nst_job *job, int32_t d)
{
    const struct norma_form *f = job->view->form;
    for (uint32_t slot = 0; slot < ST_SLOTS; slot++) {
        if (!is_bound(job, slot))
            continue;
        const int64_t stride = f->arg[job->slots[slot]].stride[d];
        const bool neighbours = slot == ST_X || (slot == ST_TO && kernel->writes);
        if (stride != 1 && (neighbours || stride != 0))
            return false;
    }
    return true;
}

static bool is_plain(const struct kernel *kernel, const struct nst_job *job)
{
    static const uint32_t without[] = {ST_RESIDUAL, ST_GATE, ST_INPUT_BIAS, ST_SUM, ST_Z};
    const struct norma_form *f = job->view->form;
    if (f->jumps)
        return false;
    for (size_t i = 0; i < sizeof(without) / sizeof(*without); i++)
        if (is_bound(job, without[i]))
            return false;
    if (!kernel->backward && is_bound(job, ST_Y_SCALE))
        return false;
    if (is_bound(job, ST_TO) && norma_dtype_size(f->arg[job->slots[ST_TO]].dtype) < 2) // a quantised y
        return false;
    if (f->renorm && kernel->normalised)
        return false;
    return f->statistic == FORM_MOMENTS || f->statistic == FORM_SQUARES || f->statistic == FORM_GIVEN ||
           f->statistic == FORM_MERGED;
}

// Four groups side by side, whose elements lie along one dimension; what they are multiplied by is one value a group.
static bool columns_suit(const struct kernel *kernel, const struct nst_job *job)
{
    const struct norma_form *f = job->view->form;
    const int32_t element = f->group_rank;
    for (uint32_t slot = ST_WEIGHT; slot <= ST_BIAS; slot++)
        if (is_bound(job, slot) && f->arg[job->slots[slot]].stride[element] != 0)
            return false;
    return f->rank == element + 1 && job->tile.group0 % 4 == 0 && job->tile.group1 % 4 == 0 &&
           f->extent[element - 1] % 4 == 0 && lanes_suit(kernel, job, element - 1);
}

static bool planes_suit(const struct kernel *kernel, const struct nst_job *job)
{
    const struct norma_form *f = job->view->form;
    const int32_t last = f->rank - 1;
    return f->extent[last] >= 4 && job->view->cell_stride[last] == 0 && lanes_suit(kernel, job, last);
}

static void copy_dimension(const struct nst_view *from, int32_t d, struct norma_form *form, struct nst_view *view)
{
    const struct norma_form *f = from->form;
    const int32_t to = form->rank++;
    form->extent[to] = f->extent[d];
    form->order[to] = f->order[d];
    view->cell_stride[to] = from->cell_stride[d];
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        form->arg[a].stride[to] = f->arg[a].stride[d];
}

// The dimension along which four neighbours lie, and of the others that with the most elements along which weight and
// bias repeat. False: there are no such two.
static bool find_lanes(const struct kernel *kernel, const struct nst_job *job, int32_t *lane, int32_t *along)
{
    const struct norma_form *f = job->view->form;
    *lane = *along = -1;
    for (int32_t d = 0; d < f->rank && *lane < 0; d++)
        if (f->extent[d] > 1 && f->extent[d] % 4 == 0 && lanes_suit(kernel, job, d))
            *lane = d;
    for (int32_t d = 0; d < f->rank && *lane >= 0; d++) {
        bool repeats = d != *lane && job->view->cell_stride[d] == 0;
        for (uint32_t slot = ST_WEIGHT; slot <= ST_BIAS; slot++)
            repeats = repeats && (!is_bound(job, slot) || f->arg[job->slots[slot]].stride[d] == 0);
        if (repeats && (*along < 0 || f->extent[d] > f->extent[*along]))
            *along = d;
    }
    return *along >= 0;
}

bool nst_quad_view(const struct nst_job *job, struct norma_form *form, struct nst_view *view)
{
    enum { LONG = 16 }; // elements of a plane that make up for its beginning
    const struct kernel *kernel = NULL;
    const struct norma_form *f = job->view->form;
    int32_t lane, along;
    for (size_t i = 0; i < sizeof(kernels) / sizeof(*kernels); i++)
        if (!strcmp(job->kernel, kernels[i].strided))
            kernel = &kernels[i];
    if (!kernel || !kernel->writes || !is_plain(kernel, job) || columns_suit(kernel, job))
        return false;
    if ((planes_suit(kernel, job) && f->extent[f->rank - 1] >= LONG) || !find_lanes(kernel, job, &lane, &along))
        return false;
    *form = *f;
    form->rank = 0;
    *view = (struct nst_view){0};
    for (int32_t d = 0; d < f->rank; d++)
        if (d != lane && d != along)
            copy_dimension(job->view, d, form, view);
    copy_dimension(job->view, lane, form, view);
    form->group_rank = form->rank;
    copy_dimension(job->view, along, form, view);
    form->n = form->run = f->extent[along];
    form->groups = f->groups * f->n / form->n;
    const struct nst_view dimensions = *view;
    nst_view_init(view, form);
    memcpy(view->cell_stride, dimensions.cell_stride, sizeof(view->cell_stride));
    return true;
}

// Whether no tensor that the job binds, nor the cells, has a gap between dimensions d and d + 1 of a form's.
static bool is_gapless(const struct nst_job *job, int32_t d)
{
    const struct norma_form *f = job->view->form;
    const int64_t extent = f->extent[d + 1], *cells = job->view->cell_stride;
    for (uint32_t slot = 0; slot < ST_SLOTS; slot++)
        if (is_bound(job, slot) &&
            f->arg[job->slots[slot]].stride[d] != f->arg[job->slots[slot]].stride[d + 1] * extent)
            return false;
    return cells[d] == cells[d + 1] * extent;
}

void nst_folded_view(const struct nst_job *job, struct norma_form *form, struct nst_view *view)
{
    const struct nst_view whole = *job->view;
    const struct norma_form *f = whole.form;
    *form = *f;
    *view = whole;
    view->form = form;
    form->rank = 0;
    for (int32_t d = 0; d < f->rank; d++) {
        const bool folds = d > f->group_rank && !f->jumps && is_gapless(job, d - 1);
        const int64_t outer = folds ? form->extent[--form->rank] : 1;
        copy_dimension(&whole, d, form, view);
        form->extent[form->rank - 1] *= outer;
    }
}

bool norma_is_quad(const char *kernel)
{
    return !strncmp(kernel, "column_", 7) || !strncmp(kernel, "plane_", 6);
}

// Quads of x and of the output begin at multiples of four elements where element 0 does, and none reaches over an end.
static bool strides_suit(const struct nst_job *job)
{
    const struct norma_form *f = job->view->form;
    const int32_t lane = !strncmp(job->kernel, "column_", 7) ? f->group_rank - 1 : f->rank - 1;
    for (int32_t d = 0; d < f->rank; d++)
        for (uint32_t slot = ST_X; slot <= ST_TO; slot++)
            if (d != lane && is_bound(job, slot) && f->arg[job->slots[slot]].stride[d] % 4 != 0)
                return false;
    return f->extent[lane] % 4 == 0;
}

// lavapipe goes through both sides of a branch: there the usual types have programs of their own.
static void add_constant(const struct norma_caps *caps, uint32_t types, norma_dispatch *d)
{
    if (caps->api == NORMA_DRIVER_VULKAN)
        d->constants[d->constant_count++] = (norma_constant){"TYPES", NORMA_CONST_X_TYPE, types};
}

void nst_quad_constants(const struct norma_caps *caps, const struct nst_job *job, norma_dispatch *d)
{
    const struct norma_form *f = job->view->form;
    if (!norma_is_quad(job->kernel))
        return;
    uint32_t types = strides_suit(job) ? NST_TYPES_USUAL : NST_TYPES_FLOAT32;
    for (uint32_t slot = 0; slot < ST_SLOTS; slot++)
        if (is_bound(job, slot) && f->arg[job->slots[slot]].dtype != NORMA_FLOAT32)
            types = NST_TYPES_ANY;
    add_constant(caps, types, d);
    norma_schedule_placed(d);
}

void norma_schedule_placed(norma_dispatch *d)
{
    if (!norma_is_quad(d->kernel))
        return;
    for (uint32_t slot = ST_X; slot <= ST_TO; slot++) {
        const uint32_t *tensor = d->table + ST_TENSOR + slot * ST_TENSOR_WORDS;
        for (uint32_t i = 0; i < d->constant_count && tensor[0] != NST_ABSENT && tensor[1] % 4 != 0; i++)
            if (d->constants[i].id == NORMA_CONST_X_TYPE && d->constants[i].value == NST_TYPES_USUAL)
                d->constants[i].value = NST_TYPES_FLOAT32;
    }
}

// The quad kernels of one job, for any strides: which tensors it has tells their types.
static size_t add_programs(const struct norma_form *f, const struct norma_caps *caps, const struct kernel *kernel,
                           uint64_t tensors, norma_dispatch *programs)
{
    static const uint32_t table[1]; // tells them from the row kernels
    size_t count = 0;
    bool float32 = true;
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if ((tensors >> a & 1) && f->arg[a].present)
            float32 = float32 && f->arg[a].dtype == NORMA_FLOAT32;
    for (int i = 0; i < (float32 ? 4 : 2); i++) {
        norma_dispatch *d = &programs[count++];
        *d = (norma_dispatch){.kernel = i % 2 ? kernel->planes : kernel->columns, .table = table};
        nst_set_local(caps, d);
        add_constant(caps, !float32 ? NST_TYPES_ANY : i < 2 ? NST_TYPES_USUAL : NST_TYPES_FLOAT32, d);
    }
    return count;
}

#define BIT(arg) (UINT64_C(1) << NORMA_ARG_##arg)

size_t nst_quad_programs(const struct norma_form *f, const struct norma_caps *caps, norma_dispatch *programs)
{
    const uint64_t value = BIT(X) | BIT(WEIGHT) | BIT(BIAS) | BIT(ADDEND), gradient = value | BIT(DY);
    const bool corrects = nst_finish_from(f) == ST_FINISH_SAVED; // the saved mean
    size_t count = 0;
    if (f->statistic == FORM_WINDOW || f->statistic == FORM_ABSOLUTES || f->statistic == FORM_PARTS)
        return 0;
    if (f->statistic != FORM_GIVEN && f->statistic != FORM_MERGED && !nst_rstd_suffices(f))
        count += add_programs(f, caps, &kernels[corrects ? 2 : 0], BIT(X), programs);
    if (!f->backward)
        return count + add_programs(f, caps, &kernels[1], value | BIT(Y), programs + count);
    count += add_programs(f, caps, &kernels[2], gradient, programs + count);
    if (f->arg[NORMA_ARG_DX].present)
        count += add_programs(f, caps, &kernels[3], gradient | BIT(DX), programs + count);
    if (f->arg[NORMA_ARG_DADDEND].present)
        count += add_programs(f, caps, &kernels[3], gradient | BIT(DADDEND), programs + count);
    return count;
}

bool nst_quad_job(const struct nst *plan, const struct nst_job *job, struct nst_job *quad)
{
    const bool cpu = plan->caps->kind == NORMA_DEVICE_CPU;
    const uint64_t groups = (uint64_t)(job->tile.group1 - job->tile.group0);
    for (size_t i = 0; i < sizeof(kernels) / sizeof(*kernels); i++) {
        const struct kernel *k = &kernels[i];
        if (strcmp(job->kernel, k->strided) != 0 || !is_plain(k, job))
            continue;
        const bool columns = columns_suit(k, job);
        if (!columns && !planes_suit(k, job))
            return false;
        *quad = *job;
        quad->kernel = columns ? k->columns : k->planes;
        // Neighbouring invocations of a GPU read neighbouring quads; one of a CPU goes on for as long as it pays.
        quad->stretch = !cpu ? 4 : columns ? 16 : 512;
        const uint64_t each = job->units / groups; // chunks or elements
        const uint64_t units = k->writes ? npl_ceil(each, quad->stretch) : each;
        quad->units = units * (columns ? groups / 4 : groups);
        return true;
    }
    return false;
}

bool norma_form_takes_quads(const struct norma_form *f)
{
    struct nst_view view;
    nst_view_init(&view, f);
    struct nst_job job = {.view = &view,
                          .tile = {0, f->groups, 0, view.chunks},
                          .slots = {[ST_X] = NORMA_ARG_X,
                                    [ST_TO] = f->backward ? NORMA_ARG_DX : NORMA_ARG_Y,
                                    [ST_WEIGHT] = NORMA_ARG_WEIGHT,
                                    [ST_BIAS] = NORMA_ARG_BIAS,
                                    [ST_RESIDUAL] = NORMA_ARG_RESIDUAL,
                                    [ST_GATE] = NORMA_ARG_GATE,
                                    [ST_INPUT_BIAS] = NORMA_ARG_INPUT_BIAS,
                                    [ST_SUM] = f->backward ? NORMA_ARG_DSUM : NORMA_ARG_SUM,
                                    [ST_Z] = NORMA_ARG_Z,
                                    [ST_ADDEND] = NORMA_ARG_ADDEND,
                                    [ST_WORKSPACE] = NORMA_ARG_COUNT,
                                    [ST_DY] = f->backward ? NORMA_ARG_DY : NORMA_ARG_Y_SCALE}};
    const struct kernel *kernel = &kernels[f->backward ? 3 : 1];
    struct norma_form other;
    struct nst_view of_other;
    job.kernel = kernel->strided;
    return is_plain(kernel, &job) &&
           (columns_suit(kernel, &job) || planes_suit(kernel, &job) || nst_quad_view(&job, &other, &of_other));
}
