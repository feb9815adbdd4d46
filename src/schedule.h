// The planner: pure functions from (problem, capabilities, options) to plain data. No driver, no global state.
#ifndef NORMA_SRC_SCHEDULE_H
#define NORMA_SRC_SCHEDULE_H

#include "caps.h"
#include "problem.h"
#include <norma/describe.h>

struct norma_step;

// Words of a strided kernel's table.
enum { NORMA_TABLE_WORDS = 208 };

// Where the tensors are.
enum norma_memory {
    NORMA_MEMORY_RESIDENT, // whole in device buffers (and always on the scalar path)
    NORMA_MEMORY_IMPORT,   // in host memory that the device binds, tile by tile
    NORMA_MEMORY_STAGE,    // in host memory, copied to and from slots on the device
};

// Memory of the caller's for a schedule, which then allocates nothing. RESIDENT schedules alone.
struct norma_room {
    size_t capacity; // dispatches
    norma_dispatch *dispatches;
    struct norma_step *steps;              // as many
    uint32_t (*tables)[NORMA_TABLE_WORDS]; // as many
};

struct norma_plan_options {
    const norma_allocator *allocator; // of the schedule
    const char *variant;              // NULL: the planner chooses; else that one or an error
    enum norma_memory memory;
    uint64_t memory_budget;        // bytes bound on the device at a time; 0: half of caps.memory
    double rate;                   // bytes a second, for the time budget; 0: not limited
    double max_seconds;            // of one dispatch, for watchdogs; 0: 0.1
    uint32_t left_out;             // variants (norma_variant_bit) not to be chosen
    bool unaligned;                // not staged: a tensor may begin elsewhere than at a multiple of offset_align
    const struct norma_room *room; // NULL: the schedule allocates what it needs
};

enum norma_step_kind { NORMA_STEP_UPLOAD, NORMA_STEP_DISPATCH, NORMA_STEP_DOWNLOAD };

#define NORMA_STEP_NONE UINT32_MAX

// Steps are carried out in order of submission on three streams (upload, compute, download); a step begins when those
// in wait[] have finished. NORMA_MEMORY_STAGE alone has transfers. Shared parameters (weight, bias, input_bias) are not
// in the steps: they are whole on the device before the first.
struct norma_step {
    enum norma_step_kind kind;
    uint32_t tile;
    uint32_t slot;     // which set of staging buffers: tile % slots
    uint32_t dispatch; // index into the description (dispatch)
    norma_arg arg;     // transfer: between the host tensor and the slot's buffer of this tensor, dense from its start
    uint64_t host_offset, host_pitch, row_bytes, rows; // bytes, bytes, bytes, count
    uint32_t wait[3];                                  // steps, NORMA_STEP_NONE where unused
};

// In STAGE, the bindings' offsets are into the slot's buffers (shared parameters: into their whole buffers); otherwise
// into the tensors.
struct norma_schedule {
    norma_dispatch *dispatches;
    size_t dispatch_count;
    struct norma_step *steps;
    size_t step_count;
    uint64_t workspace;                   // bytes, one workspace for all tiles: compute is one stream
    uint32_t slots;                       // staging sets: 0 without staging, 1, or 2 where there is more than one tile
    uint64_t slot_bytes[NORMA_ARG_COUNT]; // size of one slot's buffer of that tensor
    uint32_t tiles;
    int64_t tile_rows; // rows of the largest tile
    const char *variant;
    bool strided;  // each dispatch has a table
    bool borrowed; // all of it lies in the options' room
};

// Fills *schedule, to be released with norma_schedule_finish (also after an error). NORMA_ERROR_UNSUPPORTED with a
// message where the device or the variant cannot do the problem.
norma_status norma_schedule_rows(const struct row_problem *problem, const struct norma_caps *caps,
                                 const struct norma_plan_options *options, struct norma_schedule *schedule);
// The same, with no more than one dispatch of each program that norma_schedule_rows would use, and no steps.
norma_status norma_schedule_programs(const struct row_problem *problem, const struct norma_caps *caps,
                                     const struct norma_plan_options *options, struct norma_schedule *schedule);
// The same for any form, by the strided kernels; no steps, so in STAGE the tensors lie whole on the device. A form's
// programs are those of its schedule.
norma_status norma_schedule_form(const struct norma_form *form, const struct norma_caps *caps,
                                 const struct norma_plan_options *options, struct norma_schedule *schedule);
// Rows whose number is known on the device alone: where each tensor has one step from row to row, in one tile.
enum { NORMA_COUNTED = 9, NORMA_CELL_BYTES = 16, NORMA_COUNT_OFFSET = 12 }; // dispatches at most; of the workspace
bool norma_schedule_may_count(const struct norma_work *work, const struct norma_caps *caps,
                              const struct norma_schedule *schedule);
// The error of others.
norma_status norma_not_counted(const char *argument);
// Afterwards the workspace begins with a cell for each dispatch, its workgroups, which *count writes when it has run:
// it reads the count at NORMA_ARG_ROW_COUNT. OpenCL: the count itself is to be at NORMA_COUNT_OFFSET of the workspace.
void norma_schedule_count(struct norma_schedule *schedule, const struct norma_caps *caps, norma_dispatch *count);
// The kernel and constants of *count alone.
void norma_count_dispatch(norma_dispatch *count);
// The count's place in the range that is bound, in words of 32 bits.
void norma_count_at(norma_dispatch *count, uint32_t word);
// Whichever of the two the problem is for.
norma_status norma_schedule_work(const struct norma_work *work, const struct norma_caps *caps,
                                 const struct norma_plan_options *options, struct norma_schedule *schedule);
// The programs that the forms of one direction need: kernels and constants, no more. Returns how many.
enum { NORMA_FORM_PROGRAMS = 40 };
size_t norma_form_programs(const struct norma_form *form, const struct norma_caps *caps,
                           norma_dispatch programs[NORMA_FORM_PROGRAMS]);
// The error of a schedule that takes more than its room.
norma_status norma_room_is_full(const struct norma_room *room);
void norma_schedule_finish(struct norma_schedule *schedule);
// To be called after the offsets in a dispatch's table have been changed: it may need another program.
void norma_schedule_placed(norma_dispatch *dispatch);

// The names of the variants of a device, in order of preference for tests; NULL behind the last.
const char *norma_variant_name(const struct norma_caps *caps, size_t index);
// The name of the schedules in which quad kernels take part.
extern const char norma_variant_quads[];
// A bit for each variant and for the quads; 0 for what nothing can take the place of: "strided" and the scalar path.
uint32_t norma_variant_bit(const char *name);
// Those of the variants in which work-items meet at barriers.
uint32_t norma_variants_with_barriers(void);
// Whether it is one of the faster kernels that strided ones can take the place of.
bool norma_is_quad(const char *kernel);
// That of the kernels that take any form: where it is asked for, the faster ones that take some forms are left out.
extern const char norma_variant_strided[];

// Seconds for the problem from host memory (each input and output once), from the figures.
double norma_predict(const struct row_problem *problem, const struct norma_figures *figures);
// Bytes of each input and output once: the measure of every rate.
uint64_t norma_rows_bytes(const struct row_problem *problem);
// Whether the quad kernels, which are the faster ones, do most of the work of a form.
bool norma_form_takes_quads(const struct norma_form *form);
double norma_predict_form(const struct norma_form *form, const struct norma_figures *figures);
uint64_t norma_form_bytes(const struct norma_form *form);
uint64_t norma_work_bytes(const struct norma_work *work);

#ifdef NORMA_WITHOUT_STRIDED
// Nothing comes here: norma_check_built has refused what is strided.
#define norma_variant_strided "strided"
#define norma_schedule_form(form, caps, options, schedule) \
    ((void)(form), norma_fail(NORMA_ERROR_UNSUPPORTED, "x: this build has no strided kernels"))
#define norma_form_programs(form, caps, programs) ((void)(form), (void)(programs), (size_t)0)
#define norma_form_takes_quads(form) ((void)(form), false)
#define norma_schedule_placed(dispatch) ((void)(dispatch))
#endif

// Specialisation constant ids, and the -D names in that order.
enum norma_constant_id {
    NORMA_CONST_LOCAL_SIZE, // work-items a workgroup
    NORMA_CONST_RMS,        // 1: RMS norm
    NORMA_CONST_X_TYPE,     // 0 float32, 1 float16, 2 bfloat16
    NORMA_CONST_Y_TYPE,     // likewise; 3: looked up in `types` at run time (team kernels)
    NORMA_CONST_PROLOGUE,   // 1: input_bias, gate, residual or sum present
    NORMA_CONST_TEAM,       // work-items that share a row (whole) or a chunk (stats, apply)
    NORMA_CONST_SUBGROUP,   // 1: reduce by shuffles within a subgroup, 0: through local memory
    NORMA_CONST_REGISTERS,  // 1: a row stays in registers, 0: it is read again
    NORMA_CONST_COUNT
};

#endif
