#include "strided_run.h"
#include <string.h>

norma_status strided_run_host(struct check_driver *driver, const struct strided_case *c, unsigned char *arena)
{
    norma_tensor views[NORMA_ARG_COUNT];
    const int slot = check_driver_slot(driver, c->problem.op, false);
    norma_status status = check_driver_use(driver, slot);
    if (status != NORMA_OK)
        return status;
    memcpy(arena, c->arena, c->arena_size);
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(c, (norma_arg)arg, arena, NULL);
    const norma_problem problem = strided_problem(c, views);
    const double start = check_now();
    status = norma_run(driver->context[slot], &problem);
    driver->seconds = check_now() - start;
    return status;
}

// Parameters that the plan itself may hold.
static bool is_held(const struct strided_case *c, norma_arg arg)
{
    return c->uploaded && (arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_INPUT_BIAS ||
                           arg == NORMA_ARG_GATE || arg == NORMA_ARG_MEAN_WEIGHTS || arg == NORMA_ARG_VAR_WEIGHTS);
}

static bool is_strided(const struct strided_case *c)
{
    norma_tensor views[NORMA_ARG_COUNT];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(c, (norma_arg)arg, c->arena, NULL);
    const norma_problem problem = strided_problem(c, views);
    struct norma_work work;
    return norma_work_from_problem(&problem, NORMA_PLACE_NONE, &work) == NORMA_OK && work.strided;
}

// The plan is made for one sample, say, where strided kernels take both: any outer shape is a run-time value. What the
// plan holds is not outer.
static norma_status make_plan(struct check_driver *driver, const struct strided_case *c, const char *variant,
                              uint64_t budget, unsigned char *arena, norma_plan **plan)
{
    const int32_t axis = strided_slice_axis(c);
    const bool other = c->for_slice && !c->uploaded && axis >= 0 && c->total > 0;
    struct strided_case made = other ? strided_slice(c, axis, 0) : *c;
    if (other && (!is_strided(c) || !is_strided(&made)))
        made = *c;
    norma_tensor views[NORMA_ARG_COUNT];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(&made, (norma_arg)arg, is_held(c, (norma_arg)arg) ? arena : NULL, NULL);
    const norma_problem problem = strided_problem(&made, views);
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    params.memory_budget = budget;
    params.variant = variant;
    params.timestamps = 1;
    return norma_plan_create(driver->device[check_driver_slot(driver, c->problem.op, false)], &problem, &params, plan);
}

static norma_status run_plan(struct check_driver *driver, int slot, const struct strided_case *c, norma_plan *plan,
                             norma_buffer *buffer)
{
    norma_tensor views[NORMA_ARG_COUNT];
    struct strided_case given = *c;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        views[arg] = strided_view(c, (norma_arg)arg, NULL, buffer);
        given.tensor[arg].present = c->tensor[arg].present && !is_held(c, (norma_arg)arg);
    }
    const norma_problem problem = strided_problem(&given, views);
    return check_run_and_wait(driver, driver->device[slot], plan, &problem);
}

norma_status strided_run_plan(struct check_driver *driver, const struct strided_case *c, const char *variant,
                              uint64_t budget, unsigned char *arena)
{
    const norma_op op = c->problem.op;
    norma_buffer *buffer = NULL;
    norma_plan *plan = NULL;
    const int slot = check_driver_slot(driver, op, false);
    norma_status status = check_driver_use(driver, slot);
    if (status != NORMA_OK)
        return status;
    memcpy(arena, c->arena, c->arena_size);
    status = make_plan(driver, c, variant, budget, arena, &plan);
    if (status != NORMA_OK)
        return status;
    const uint32_t programs = check_driver_programs(driver, op, false);
    status = check_driver_room(driver, slot, c->arena_size, &buffer);
    if (status == NORMA_OK)
        status = norma_buffer_write(buffer, 0, arena, c->arena_size);
    if (status == NORMA_OK)
        status = run_plan(driver, slot, c, plan, buffer);
    if (status == NORMA_OK)
        status = norma_buffer_read(buffer, 0, arena, c->arena_size);
    driver->compiled_late += check_driver_programs(driver, op, false) != programs;
    norma_plan_destroy(&plan);
    return status;
}

bool strided_may_refuse(const struct check_driver *driver, const struct strided_case *c)
{
    norma_device_info info = {.size = sizeof info};
    const norma_status status = norma_device_get_info(driver->device[NORMA_LAYER_NORM], &info);
    if (driver->guest && c->total == 0) // a recording writes nothing then
        return true;
    return c->float64 && status == NORMA_OK && strcmp(info.id, "scalar") != 0;
}

bool strided_has_variants(const struct check_driver *driver, const struct strided_case *c)
{
    norma_device_info info = {.size = sizeof info};
    const norma_status status =
        norma_device_get_info(driver->device[check_driver_slot(driver, c->problem.op, false)], &info);
    return status == NORMA_OK && strcmp(info.id, "scalar") != 0 && is_strided(c);
}
