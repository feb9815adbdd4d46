#include "driver.h"
#include <string.h>
#include <time.h>

double check_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool check_driver_is_auto(const struct check_driver *driver)
{
    return !strcmp(driver->name, "auto");
}

norma_status check_driver_use(struct check_driver *driver, int slot)
{
    if (driver->device[slot])
        return NORMA_OK;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = driver->name;
    params.threads = driver->threads;
    params.memory_budget = driver->memory_budget;
    params.invariant = check_driver_is_auto(driver);
    norma_device *device = NULL;
    norma_device_info info = {.size = sizeof info};
    norma_status status = NORMA_OK;
    if (driver->guest)
        driver->guest->objects(driver->guest, &params);
    status = norma_context_create(&params, &driver->context[slot]);
    if (status == NORMA_OK)
        status = norma_context_find_device(driver->context[slot], driver->name, &device);
    if (status == NORMA_OK)
        status = norma_device_get_info(device, &info);
    if (status == NORMA_OK && !info.usable)
        status = NORMA_ERROR_NO_DEVICE;
    if (status == NORMA_OK)
        driver->device[slot] = device;
    else
        norma_context_destroy(&driver->context[slot]);
    return status;
}

norma_status check_driver_open(struct check_driver *driver, const char *name, int32_t threads, uint64_t memory_budget)
{
    *driver = (struct check_driver){.name = name, .threads = threads, .memory_budget = memory_budget};
    return check_driver_use(driver, NORMA_LAYER_NORM);
}

norma_status check_driver_open_counting(struct check_driver *driver, const char *name)
{
    *driver = (struct check_driver){.name = name, .counts_programs = true};
    return check_driver_use(driver, NORMA_LAYER_NORM);
}

norma_status check_driver_open_guest(struct check_driver *driver, const char *name, struct check_guest *guest)
{
    *driver = (struct check_driver){.name = name, .guest = guest};
    return check_driver_use(driver, NORMA_LAYER_NORM);
}

void check_driver_close(struct check_driver *driver)
{
    for (int i = 0; i < CHECK_CONTEXTS; i++) {
        norma_buffer_destroy(&driver->buffer[i]);
        check_guest_forget(driver->guest, driver->device[i]);
        norma_context_destroy(&driver->context[i]);
    }
    check_guest_close(&driver->guest);
}

const char *check_driver_variant(const struct check_driver *driver, size_t index)
{
    return index < CHECK_MAX_VARIANTS ? norma_device_variant(driver->device[NORMA_LAYER_NORM], index) : NULL;
}

int check_driver_slot(const struct check_driver *driver, norma_op op, bool named)
{
    return driver->counts_programs ? (int)op + (named ? NORMA_OP_COUNT : 0) : NORMA_LAYER_NORM;
}

uint32_t check_driver_programs(const struct check_driver *driver, norma_op op, bool named)
{
    norma_device_info info = {.size = sizeof info};
    norma_device *device = driver->device[check_driver_slot(driver, op, named)];
    return device && norma_device_get_info(device, &info) == NORMA_OK ? info.programs : 0;
}

norma_status check_run_host(struct check_driver *driver, const struct check_case *c, unsigned char *arena)
{
    const int slot = check_driver_slot(driver, c->op, false);
    norma_status status = check_driver_use(driver, slot);
    if (status != NORMA_OK)
        return status;
    memcpy(arena, c->arena, c->arena_size);
    norma_tensor views[NORMA_ARG_COUNT];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = check_host_view(c, (norma_arg)arg, arena);
    const norma_problem problem = check_problem(c, views);
    const double start = check_now();
    status = norma_run(driver->context[slot], &problem);
    driver->seconds = check_now() - start;
    return status;
}

norma_status check_driver_room(struct check_driver *driver, int slot, uint64_t size, norma_buffer **buffer)
{
    norma_status status = NORMA_OK;
    if (driver->buffer_size[slot] < size) {
        norma_buffer_destroy(&driver->buffer[slot]);
        status = driver->guest
                     ? check_guest_buffer(driver->guest, driver->device[slot], size * 2, &driver->buffer[slot])
                     : norma_buffer_create(driver->device[slot], size * 2, &driver->buffer[slot]);
        driver->buffer_size[slot] = status == NORMA_OK ? size * 2 : 0;
    }
    *buffer = driver->buffer[slot];
    return status;
}

// Level 2: the buffers that hold the arena, one for all of it or one a tensor with its canaries.
struct room {
    norma_buffer *buffer[NORMA_ARG_COUNT];
    uint64_t base[NORMA_ARG_COUNT], size[NORMA_ARG_COUNT]; // the part of the arena that a buffer holds
};

static norma_status make_room(struct check_driver *driver, const struct check_case *c, int slot, struct room *room)
{
    *room = (struct room){0};
    norma_buffer *whole = NULL;
    if (!c->separate) {
        const norma_status status = check_driver_room(driver, slot, c->arena_size, &whole);
        if (status != NORMA_OK)
            return status;
    }
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct check_tensor *t = &c->tensor[arg];
        if (!c->separate) {
            room->buffer[arg] = whole;
            room->size[arg] = c->arena_size;
        } else if (t->present && (int)t->view == arg) {
            room->base[arg] = t->begin / 256 * 256 - CHECK_CANARY; // keeps what the offset lacks to a multiple of 256
            room->size[arg] = t->begin + t->span + CHECK_CANARY - room->base[arg];
            const norma_status status = norma_buffer_create(driver->device[slot], room->size[arg], &room->buffer[arg]);
            if (status != NORMA_OK)
                return status;
        }
    }
    return NORMA_OK;
}

static void drop_room(const struct check_case *c, struct room *room)
{
    for (int arg = 0; c->separate && arg < NORMA_ARG_COUNT; arg++)
        norma_buffer_destroy(&room->buffer[arg]);
}

static norma_status transfer(const struct check_case *c, const struct room *room, unsigned char *arena, bool read)
{
    norma_status status = NORMA_OK;
    for (int arg = 0; status == NORMA_OK && arg < (c->separate ? NORMA_ARG_COUNT : 1); arg++) {
        if (!room->buffer[arg])
            continue;
        unsigned char *host = arena + room->base[arg];
        status = read ? norma_buffer_read(room->buffer[arg], 0, host, room->size[arg])
                      : norma_buffer_write(room->buffer[arg], 0, host, room->size[arg]);
    }
    return status;
}

// Parameters that the plan itself may hold: gate where it has the normalised shape.
static bool is_parameter(const struct check_case *c, norma_arg arg)
{
    return arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_INPUT_BIAS ||
           (arg == NORMA_ARG_GATE && c->tensor[arg].rank == c->normalized_dims && c->outer_rank > 0);
}

// The plan is made for one row in the first dimension: the row count is a run-time value.
static norma_status make_plan(struct check_driver *driver, const struct check_case *c,
                              const struct check_options *options, unsigned char *arena, norma_plan **plan)
{
    norma_tensor views[NORMA_ARG_COUNT];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        views[arg] = check_host_view(c, (norma_arg)arg, arena);
        if (!c->uploaded || !is_parameter(c, (norma_arg)arg))
            views[arg].data = NULL;
        const bool has_rows = views[arg].rank > c->normalized_dims || arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
        if (c->outer_rank > 0 && has_rows)
            views[arg].shape[0] = 1;
    }
    const norma_problem problem = check_problem(c, views);
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    params.variant = options->variant;
    params.memory_budget = options->memory_budget;
    params.timestamps = 1;
    return norma_plan_create(driver->device[check_driver_slot(driver, c->op, options->variant != NULL)], &problem,
                             &params, plan);
}

norma_status check_run_and_wait(struct check_driver *driver, norma_device *device, norma_plan *plan,
                                const norma_problem *problem)
{
    norma_event *event = NULL;
    const double start = check_now();
    if (driver->guest) {
        const norma_status recorded = check_guest_run(driver->guest, device, plan, problem);
        driver->seconds = check_now() - start;
        return recorded;
    }
    norma_status status = norma_plan_run(plan, problem, &event);
    if (status == NORMA_OK)
        status = norma_event_wait(event);
    driver->seconds = check_now() - start;
    if (status == NORMA_OK)
        norma_event_seconds(event, &driver->seconds); // leaves the clock's figure where the device has none
    norma_event_destroy(&event);
    return status;
}

static norma_status run_plan(struct check_driver *driver, int slot, const struct check_case *c, norma_plan *plan,
                             const struct room *room)
{
    norma_tensor views[NORMA_ARG_COUNT];
    struct check_case set = *c;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const norma_arg view = c->tensor[arg].view;
        views[arg] = check_buffer_view(c, (norma_arg)arg, room->buffer[view], room->base[view]);
        if (c->uploaded && is_parameter(c, (norma_arg)arg))
            set.tensor[arg].present = false;
    }
    const norma_problem problem = check_problem(&set, views);
    return check_run_and_wait(driver, driver->device[slot], plan, &problem);
}

norma_status check_run_plan(struct check_driver *driver, const struct check_case *c,
                            const struct check_options *options, unsigned char *arena)
{
    memcpy(arena, c->arena, c->arena_size);
    struct room room;
    norma_plan *plan = NULL;
    const bool named = options->variant != NULL;
    const int slot = check_driver_slot(driver, c->op, named);
    norma_status status = check_driver_use(driver, slot);
    if (status == NORMA_OK)
        status = make_plan(driver, c, options, arena, &plan);
    if (status != NORMA_OK)
        return status;
    const uint32_t programs = check_driver_programs(driver, c->op, named);
    status = make_room(driver, c, slot, &room);
    if (status == NORMA_OK)
        status = transfer(c, &room, arena, false);
    if (status == NORMA_OK)
        status = run_plan(driver, slot, c, plan, &room);
    if (status == NORMA_OK)
        status = transfer(c, &room, arena, true);
    drop_room(c, &room);
    driver->compiled_late += check_driver_programs(driver, c->op, named) != programs;
    norma_plan_destroy(&plan);
    return status;
}
