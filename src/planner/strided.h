// What the files of the strided planner share: one form on one device, its tiles, the workspace.
#ifndef NORMA_SRC_PLANNER_STRIDED_H
#define NORMA_SRC_PLANNER_STRIDED_H

#include "schedule.h"

enum { NST_MAX_LEVELS = 6, NST_TABLE_WORDS = NORMA_TABLE_WORDS, NST_ABSENT = 3 };

// Of a quad kernel, Vulkan's constant TYPES (shaders/quads.glsl).
enum { NST_TYPES_USUAL = 0, NST_TYPES_FLOAT32 = 1, NST_TYPES_ANY = 3 };

// Groups [group0, group1), and of each the elements of chunks [chunk0, chunk1).
struct nst_tile {
    int64_t group0, group1, chunk0, chunk1;
};

// A partition of the iteration space for one sum: the form itself, or the form with a parameter's elements for groups.
struct nst_view {
    const struct norma_form *form;
    int64_t cell_stride[FORM_RANK]; // of the statistics' cells over the form's dimensions
    int64_t chunks;
    bool whole; // tiles have all elements of their groups
    uint32_t levels;
    int64_t inputs[NST_MAX_LEVELS + 1]; // of each level of merging; the last is 1
};

struct nst {
    const struct norma_caps *caps;
    const struct norma_plan_options *options;
    uint64_t align, max_range, budget, time_bytes;
    struct norma_schedule *schedule;
    size_t dispatch_capacity;
    uint64_t cells, lists; // of the workspace, in cells of four floats
    uint32_t cells_at, coefficients_at, renorm_at, lists_at;
    uint32_t counts;              // merging parts: lists of as many cells lie behind the lists, with the counts; else 0
    uint32_t moments_at, sums_at; // of a mix
    uint32_t kept_at;             // 0, or where a reduction leaves its results, a cell a group, beside the lists
    bool barrier;                 // the next dispatch needs one
    bool quads;                   // quad kernels may take the place of strided ones
};

// strided_tiles.c
// Levels of merging lists of so many inputs.
void nst_view_set_inputs(struct nst_view *view, int64_t inputs);
void nst_view_init(struct nst_view *view, const struct norma_form *form);
// The same space seen by a parameter: its elements are the groups, what it repeats over are their elements. Whether the
// dimensions of both parts are few enough.
void nst_parameter_view(const struct nst_view *whole, norma_arg gradient, struct norma_form *form,
                        struct nst_view *view);
bool nst_parameter_fits(const struct norma_form *f, norma_arg gradient);
// Calls each(user, tile) for tiles of the groups [group0, group1) that the device can take; every chunk is in one.
// mask: bit a: tensor a is bound.
norma_status nst_tiles(const struct nst *plan, const struct nst_view *view, uint64_t mask, int64_t group0,
                       int64_t group1, norma_status (*each)(void *user, const struct nst_tile *tile), void *user);
// The range of elements of a tensor that the tile touches: *low to *high, both included.
void nst_range(const struct nst_view *view, const struct nst_tile *tile, const struct form_arg *arg, int64_t *low,
               int64_t *high);

// strided_running.c: the groups' (m, r, M2, a) in cells from `in` on, or stats where they are given, go into the
// running statistics. The groups that share one are one invocation's; as many at a time as it has iterations for.
extern const char nst_kernel_running[];
norma_status nst_append_running(struct nst *plan, const struct nst_view *view, uint32_t in);
// r and d of the groups, computed from their finished cells or read.
extern const char nst_kernel_renorm[];
norma_status nst_append_renorm(struct nst *plan, const struct nst_view *view, int64_t group0, int64_t group1);
// num_batches_tracked grows, once nobody else reads it.
extern const char nst_kernel_count[];
norma_status nst_append_count(struct nst *plan, const struct nst_view *view);

// Where finish finds statistics that are of x, ST_FINISH_*: a saved rstd is taken as it is, a saved mean beside it is
// corrected. Of an operator without a mean a saved rstd suffices: nothing is left to be found in x.
uint32_t nst_finish_from(const struct norma_form *form);
bool nst_rstd_suffices(const struct norma_form *form);

// strided_dispatches.c: appends one dispatch.
struct nst_job {
    const char *kernel;
    const struct nst_view *view;
    struct nst_tile tile;
    uint64_t units;
    norma_arg slots[12]; // the form's tensor of each slot; NORMA_ARG_COUNT: none
    uint32_t written;    // bit s: slot s is written, as far as the kernel's module says
    uint32_t output, inputs, outputs, in, out, level, update, member, members, stretch;
    uint32_t step, group_step, alike; // of the inputs; step 0: they lie one after the other
    float momentum;
};
norma_status nst_append(struct nst *plan, const struct nst_job *job);
// The sizes of the blocks of packed channels, as shifts; how many. Each is as a dimension more to the kernels.
uint32_t nst_shifts(const struct norma_form *form, int32_t shifts[FORM_RANK]);
// strided_quads.c: the job of the quad kernel that does this one of a strided kernel, where there is one.
bool nst_quad_job(const struct nst *plan, const struct nst_job *job, struct nst_job *quad);
// The job over the same elements, otherwise shared out between groups and elements, that the quad kernels take where
// they do not take it as it is, or slowly: by kernels that write each element by itself. False: there is none.
bool nst_quad_view(const struct nst_job *job, struct norma_form *form, struct nst_view *view);
// The same job with dimensions of a group's elements folded that the tensors which it binds leave no gaps between.
void nst_folded_view(const struct nst_job *job, struct norma_form *form, struct nst_view *view);
// Adds what a quad kernel is specialised for; nothing for others.
void nst_quad_constants(const struct norma_caps *caps, const struct nst_job *job, norma_dispatch *dispatch);
// Programs of quad kernels that such a form may need, 16 at most.
size_t nst_quad_programs(const struct norma_form *form, const struct norma_caps *caps, norma_dispatch *programs);

// strided_switch.c: from the groups' moments at moments_at to their cells; from their sums at sums_at to coefficients
// and the gradients of the mix's weights.
norma_status nst_append_mix(struct nst *plan, const struct nst_view *view);
norma_status nst_append_mix_gradients(struct nst *plan, const struct nst_view *view);
extern const char nst_switch_mix[], nst_switch_add[], nst_switch_coefficients[], nst_switch_write[];
// Cells that the lists must hold.
uint64_t nst_mix_lists(const struct norma_form *form);
// strided_scalar.c
norma_status nst_schedule_scalar(const struct norma_form *form, const struct norma_plan_options *options,
                                 struct norma_schedule *schedule);
// The workgroup and its constant.
void nst_set_local(const struct norma_caps *caps, norma_dispatch *dispatch);
// Work-items of one dispatch at most.
uint64_t nst_most_items(const struct norma_caps *caps);

#endif
