// A device under test, and the two ways to run a case on it.
#ifndef NORMA_CHECK_DRIVER_H
#define NORMA_CHECK_DRIVER_H

#include "case.h"
#include "guest.h"

enum { CHECK_MAX_VARIANTS = 16, CHECK_CONTEXTS = 2 * NORMA_OP_COUNT };

// What the cases of one operator came to.
struct check_score {
    uint64_t cases, runs, failures;
    double worst; // error/bound
};

struct check_driver {
    const char *name; // of the device, as norma_context_params.device
    int32_t threads;
    uint64_t memory_budget;
    struct check_guest *guest; // plans are recorded for a device of the caller's; NULL: Norma's own run them
    // Where programs are counted, two contexts an operator: at op what the planner chooses, at NORMA_OP_COUNT + op the
    // variants by name. Each compiles for itself, so elsewhere one serves all. NULL until it is needed.
    bool counts_programs;
    norma_context *context[CHECK_CONTEXTS];
    norma_device *device[CHECK_CONTEXTS];
    norma_buffer *buffer[CHECK_CONTEXTS]; // room for the arena, grows
    uint64_t buffer_size[CHECK_CONTEXTS];
    double seconds;         // of the last run: on the device where it tells, else by the clock
    uint64_t compiled_late; // runs of a plan that compiled something: a new row count may not
    // What the cases' runs are counted in
    struct check_score op[NORMA_OP_COUNT];
    uint64_t cases, runs, failures, refused, variant_runs[CHECK_MAX_VARIANTS];
    double worst, worst32; // error/bound, of all outputs and of float32 ones
    char worst_case[64];
};

struct check_options {
    const char *variant;    // level 2; NULL: the planner's choice
    uint64_t memory_budget; // level 2; 0: the context's
};

// NORMA_ERROR_NO_DEVICE where there is none of that name. threads and memory_budget as in norma_context_params.
norma_status check_driver_open(struct check_driver *driver, const char *name, int32_t threads, uint64_t memory_budget);
// The same, for check_driver_programs to tell the operators apart.
norma_status check_driver_open_counting(struct check_driver *driver, const char *name);
// The same with a device of the caller's, which is closed with the driver.
norma_status check_driver_open_guest(struct check_driver *driver, const char *name, struct check_guest *guest);
void check_driver_close(struct check_driver *driver);
// The library picks among all devices, with the promise `invariant`: then norma_run may use another than
// driver->device.
bool check_driver_is_auto(const struct check_driver *driver);
// NULL behind the last.
const char *check_driver_variant(const struct check_driver *driver, size_t index);
// The context for the operator's planned runs, or for its runs by named variants.
int check_driver_slot(const struct check_driver *driver, norma_op op, bool named);
// What that context has compiled.
uint32_t check_driver_programs(const struct check_driver *driver, norma_op op, bool named);

// What a driver does in one context, opened when it is first used.
norma_status check_driver_use(struct check_driver *driver, int slot);
// A buffer of at least size bytes, kept for the next case.
norma_status check_driver_room(struct check_driver *driver, int slot, uint64_t size, norma_buffer **buffer);

// Both copy the case's arena to `arena`, run, and leave there what the operator made of it.
norma_status check_run_host(struct check_driver *driver, const struct check_case *c, unsigned char *arena);
norma_status check_run_plan(struct check_driver *driver, const struct check_case *c,
                            const struct check_options *options, unsigned char *arena);

// Runs a plan of the device to its end and takes the time.
norma_status check_run_and_wait(struct check_driver *driver, norma_device *device, norma_plan *plan,
                                const norma_problem *problem);

double check_now(void);

#endif
