#include "context.h"
#include "execute.h"
#include "planned.h"
#include "sized.h"
#include "walk.h"
#include <norma/plan.h>
#include <stdio.h>
#include <string.h>

struct norma_plan {
    struct norma_device *device;
    struct norma_work work; // as it was created: types, length and set of tensors
    const char *variant;    // a static string, or NULL
    uint64_t budget;
    bool timestamps;
    // As they were when the programs were compiled: what a run needs must not change with what others find out later.
    uint32_t left_out;
    double rate;
    bool prepared;
    norma_buffer *parameter[NORMA_ARG_COUNT];
    norma_tensor held[NORMA_ARG_COUNT]; // the parameters' views into those buffers
    pthread_mutex_t lock;
    // One workspace serves all runs, since compute is one stream. Smaller ones that a growing batch outgrew live on
    // until the plan is destroyed: runs in flight may use them. guarded by lock
    norma_buffer *workspace[64];
    int workspaces;
};

static bool may_hold(norma_arg arg)
{
    return row_arg_is_shared(arg) || arg == NORMA_ARG_GATE || arg == NORMA_ARG_MEAN_WEIGHTS ||
           arg == NORMA_ARG_VAR_WEIGHTS;
}

struct norma_device *norma_plan_device(const norma_plan *plan)
{
    return plan->device;
}

struct norma_plan_options norma_plan_schedule_options(const norma_plan *plan)
{
    struct norma_plan_options options =
        norma_execute_options(plan->device, plan->variant, NORMA_MEMORY_RESIDENT, plan->budget);
    options.unaligned = true; // a tensor may lie anywhere in its buffer
    if (plan->prepared) {
        options.left_out = plan->left_out;
        options.rate = plan->rate;
    }
    return options;
}

// Compiles the program for rows that begin at whole quads, which a backend may specialise for, and that for any others.
static norma_status prepare_dispatch(const norma_plan *plan, norma_dispatch dispatch)
{
    const norma_status status = plan->device->backend->prepare(plan->device, &dispatch);
    struct norma_row_args args;
    memcpy(&args, dispatch.args, sizeof(args));
    args.flags &= ~(uint32_t)NORMA_FLAG_ALIGNED;
    memcpy(dispatch.args, &args, sizeof(args));
    return status == NORMA_OK ? plan->device->backend->prepare(plan->device, &dispatch) : status;
}

// The planner may take another variant for another row count: all of them are compiled now, so that no run has to.
static norma_status prepare_row_counts(const norma_plan *plan, const struct norma_plan_options *options,
                                       const char **variant)
{
    for (int64_t count = 1; count <= INT64_C(1) << 20; count *= 4) {
        struct row_problem rows = plan->work.rows;
        struct norma_schedule schedule = {0};
        rows.rows = rows.outer[0] = count;
        rows.outer_rank = 1;
        for (int a = 0; a < NORMA_ARG_COUNT; a++)
            rows.arg[a].stride[0] = rows.arg[a].present && !row_arg_is_shared(a) ? rows.arg[a].length : 0;
        norma_status status = norma_schedule_programs(&rows, &plan->device->caps, options, &schedule);
        *variant = status == NORMA_OK ? schedule.variant : NULL;
        for (size_t i = 0; i < schedule.dispatch_count && status == NORMA_OK; i++)
            status = prepare_dispatch(plan, schedule.dispatches[i]);
        norma_schedule_finish(&schedule);
        if (status != NORMA_OK)
            return status;
    }
    return NORMA_OK;
}

// From the start whenever a variant is dropped: the next one may be right for counts that were done already.
static norma_status prepare_rows(norma_plan *plan)
{
    for (;;) {
        const struct norma_plan_options options = norma_plan_schedule_options(plan);
        const char *variant = NULL;
        const norma_status status = prepare_row_counts(plan, &options, &variant);
        if (!norma_execute_drop(plan->device, &options, variant, status)) {
            plan->left_out = options.left_out;
            return status;
        }
    }
}

static norma_status prepare_form(norma_plan *plan)
{
    const struct norma_plan_options options = norma_plan_schedule_options(plan);
    const uint32_t left_out = options.left_out | plan->device->caps.left_out;
    bool quads = !options.variant && !(left_out & norma_variant_bit(norma_variant_quads));
    norma_dispatch programs[NORMA_FORM_PROGRAMS];
    const size_t count = norma_form_programs(&plan->work.form, &plan->device->caps, programs);
    norma_status status = NORMA_OK;
    for (size_t i = 0; i < count && status == NORMA_OK; i++) {
        const bool quad = norma_is_quad(programs[i].kernel);
        if (quad && !quads)
            continue;
        status = plan->device->backend->prepare(plan->device, &programs[i]);
        if (quad && norma_execute_drop(plan->device, &options, norma_variant_quads, status)) {
            quads = false; // the strided kernels are in the list
            status = NORMA_OK;
        }
    }
    plan->left_out = options.left_out | (quads || options.variant ? 0 : norma_variant_bit(norma_variant_quads));
    return status;
}

static norma_status hold_parameter(norma_plan *plan, norma_arg arg, const norma_tensor *tensor)
{
    const uint64_t span = norma_tensor_span(tensor);
    norma_status status = NORMA_OK;
    if (span > 0)
        status = norma_buffer_create(plan->device, span, &plan->parameter[arg]);
    if (status == NORMA_OK && span > 0)
        status = norma_buffer_write(plan->parameter[arg], 0, tensor->data, span);
    plan->held[arg] = *tensor;
    plan->held[arg].data = NULL;
    plan->held[arg].buffer = plan->parameter[arg];
    plan->held[arg].offset = 0;
    return status;
}

static const char *find_variant(const struct norma_device *device, const char *name, bool strided)
{
    const char *variant;
    if (strided && device->caps.api != NORMA_DRIVER_SCALAR && !strcmp(name, norma_variant_strided))
        return norma_variant_strided;
    for (size_t i = 0; (variant = norma_variant_name(&device->caps, i)) != NULL; i++)
        if (!strcmp(variant, name))
            return variant;
    return NULL;
}

static norma_status create(norma_plan *plan, const norma_problem *problem, const norma_plan_params *params)
{
    norma_status status = norma_work_from_problem(problem, NORMA_PLACE_NONE, &plan->work);
    if (status != NORMA_OK)
        return status;
    if (params->variant && !(plan->variant = find_variant(plan->device, params->variant, plan->work.strided)))
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "variant: %s has no \"%s\"", plan->device->id, params->variant);
    for (int a = 0; a < NORMA_ARG_COUNT && status == NORMA_OK; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        if (!t || !may_hold(a) || !t->data)
            continue;
        if ((uintptr_t)t->data % norma_dtype_size(t->dtype))
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: data is not a multiple of its element's size",
                              norma_arg_name(a));
        status = hold_parameter(plan, a, t);
    }
    if (status != NORMA_OK || plan->work.n == 0)
        return status;
    status = plan->work.strided ? prepare_form(plan) : prepare_rows(plan);
    plan->rate = norma_execute_options(plan->device, NULL, NORMA_MEMORY_RESIDENT, 0).rate;
    plan->prepared = status == NORMA_OK;
    return status;
}

norma_status norma_plan_create(norma_device *device, const norma_problem *given, const norma_plan_params *given_params,
                               norma_plan **out)
{
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    norma_problem problem;
    if (!device || !out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", device ? "plan" : "device");
    *out = NULL;
    norma_status status = given_params ? NORMA_READ(&params, given_params, norma_plan_params) : NORMA_OK;
    if (status == NORMA_OK)
        status = norma_problem_read(&problem, given);
    if (status == NORMA_OK)
        status = norma_device_ready(device);
    if (status != NORMA_OK)
        return status;
    norma_plan *plan = norma_zalloc(device->allocator, 1, sizeof(*plan));
    if (!plan)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "plan: out of memory");
    pthread_mutex_init(&plan->lock, NULL);
    plan->device = device;
    plan->budget = params.memory_budget ? params.memory_budget : device->context->memory_budget;
    plan->timestamps = params.timestamps != 0;
    status = create(plan, &problem, &params);
    norma_device_failed(device, status);
    if (status != NORMA_OK)
        norma_plan_destroy(&plan);
    *out = plan;
    return status;
}

void norma_plan_destroy(norma_plan **plan)
{
    if (!plan || !*plan)
        return;
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        norma_buffer_destroy(&(*plan)->parameter[a]);
    for (int i = 0; i < (*plan)->workspaces; i++)
        norma_buffer_destroy(&(*plan)->workspace[i]);
    pthread_mutex_destroy(&(*plan)->lock);
    norma_free(*plan);
    *plan = NULL;
}

// Grows by doubling, so 64 are more than memory can hold.
static norma_status get_workspace(norma_plan *plan, uint64_t size, norma_buffer **out)
{
    norma_status status = NORMA_OK;
    *out = NULL;
    if (size == 0)
        return NORMA_OK;
    pthread_mutex_lock(&plan->lock);
    norma_buffer *last = plan->workspaces ? plan->workspace[plan->workspaces - 1] : NULL;
    if (!last || last->size < size) {
        const uint64_t doubled = last && last->size * 2 > size ? last->size * 2 : size;
        const uint64_t wanted = doubled <= plan->device->caps.max_alloc ? doubled : size;
        status = plan->workspaces < 64 ? norma_buffer_create(plan->device, wanted, &plan->workspace[plan->workspaces])
                                       : norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "plan: the workspace grew too often");
        if (status == NORMA_OK)
            last = plan->workspace[plan->workspaces++];
    }
    pthread_mutex_unlock(&plan->lock);
    *out = last;
    return status;
}

// The run's problem must be the plan's but for the outer shape and the strides.
static norma_status check_same(const norma_plan *plan, const struct norma_work *work)
{
    const struct norma_form *a = &work->form, *b = &plan->work.form;
    if (a->op != b->op || a->backward != b->backward || a->eps64 != b->eps64 ||
        a->weight_offset64 != b->weight_offset64 || a->statistic != b->statistic || a->scale != b->scale ||
        a->mix != b->mix || a->activation != b->activation || a->z_activation != b->z_activation ||
        a->z_first != b->z_first || a->slope64 != b->slope64 || a->momentum64 != b->momentum64 ||
        a->dynamic_scale != b->dynamic_scale || a->cumulative != b->cumulative || a->renorm != b->renorm ||
        a->r_max64 != b->r_max64 || a->d_max64 != b->d_max64)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                          "op: the plan was made for another operator, direction, eps, weight_offset, momentum, "
                          "activation or dynamic_scale");
    for (int i = 0; i < NORMA_ARG_COUNT; i++) {
        if (a->no_elements != b->no_elements && (!a->arg[i].present || !b->arg[i].present))
            continue; // the form of an empty x has fewer tensors
        if (a->arg[i].present != b->arg[i].present)
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: is %s, unlike in the plan", norma_arg_name(i),
                              a->arg[i].present ? "present" : "absent");
        if (a->arg[i].present && a->arg[i].dtype != b->arg[i].dtype)
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: has another type than in the plan", norma_arg_name(i));
    }
    if (work->strided != plan->work.strided)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                          "x: rows are contiguous in the plan or in the run alone; the strides must be of one kind");
    if (!work->strided && work->n != plan->work.n)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "x: rows of %lld elements, the plan was made for %lld",
                          (long long)work->n, (long long)plan->work.n);
    return NORMA_OK;
}

static norma_status write_empty(const norma_tensor *t, const void *value)
{
    const size_t size = norma_dtype_size(t->dtype);
    norma_status status = NORMA_OK;
    for (struct norma_walk w = norma_walk_begin(t); !w.done && status == NORMA_OK; norma_walk_next(t, &w))
        status = norma_buffer_write(t->buffer, t->offset + (uint64_t)w.offset * size, value, size);
    return status;
}

static norma_status write_all_empty(const norma_problem *problem)
{
    norma_status status = NORMA_OK;
    for (int a = 0; a < NORMA_ARG_COUNT && status == NORMA_OK; a++) {
        const void *value = norma_empty_value(problem, a);
        if (value)
            status = write_empty(norma_problem_tensor(problem, a), value);
    }
    return status;
}

norma_status norma_plan_places(const norma_plan *plan, const norma_problem *problem,
                               struct norma_place_in_buffer places[NORMA_ARG_COUNT])
{
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        if (!t)
            continue;
        if (t->buffer && t->buffer->device != plan->device)
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: lies on %s, the plan is for %s", norma_arg_name(a),
                              t->buffer->device->id, plan->device->id);
        places[a] = (struct norma_place_in_buffer){t->buffer, t->offset};
    }
    return NORMA_OK;
}

norma_status norma_plan_resolve(norma_plan *plan, const norma_problem *problem, enum norma_place memory,
                                struct norma_planned *run)
{
    norma_status status = norma_problem_read(&run->problem, problem);
    if (status != NORMA_OK)
        return status;
    const norma_tensor **const slots[] = {&run->problem.weight, &run->problem.bias,         &run->problem.input_bias,
                                          &run->problem.gate,   &run->problem.mean_weights, &run->problem.var_weights};
    const norma_arg args[] = {NORMA_ARG_WEIGHT, NORMA_ARG_BIAS,         NORMA_ARG_INPUT_BIAS,
                              NORMA_ARG_GATE,   NORMA_ARG_MEAN_WEIGHTS, NORMA_ARG_VAR_WEIGHTS};
    for (size_t i = 0; i < sizeof(args) / sizeof(*args); i++)
        if (!*slots[i] && plan->held[args[i]].dtype)
            *slots[i] = &plan->held[args[i]];
    status = norma_device_ready(plan->device);
    if (status == NORMA_OK)
        status = norma_work_from_problem(&run->problem, memory, &run->work);
    return status == NORMA_OK ? check_same(plan, &run->work) : status;
}

static norma_status run(norma_plan *plan, const struct norma_planned *planned, struct norma_event *event)
{
    struct norma_place_in_buffer places[NORMA_ARG_COUNT] = {{0}};
    struct norma_schedule schedule = {0};
    norma_buffer *workspace = NULL;
    struct norma_plan_options options = norma_plan_schedule_options(plan);
    options.rate = norma_execute_options(plan->device, NULL, NORMA_MEMORY_RESIDENT, 0).rate; // what is known by now
    norma_status status = norma_plan_places(plan, &planned->problem, places);
    if (status == NORMA_OK)
        status = norma_execute_schedule(plan->device, &planned->work, &options, &schedule);
    if (status == NORMA_OK)
        status = get_workspace(plan, schedule.workspace, &workspace);
    if (status == NORMA_OK)
        status = norma_execute_resident(plan->device, &schedule, places, workspace, plan->timestamps, event);
    norma_schedule_finish(&schedule);
    return status;
}

norma_status norma_plan_run(norma_plan *plan, const norma_problem *problem, norma_event **out)
{
    struct norma_planned planned;
    if (!plan || !problem)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", plan ? "problem" : "plan");
    if (out)
        *out = NULL;
    norma_status status = norma_plan_resolve(plan, problem, NORMA_PLACE_BUFFER, &planned);
    if (status != NORMA_OK)
        return status;
    norma_event *event = norma_zalloc(plan->device->allocator, 1, sizeof(*event));
    if (!event)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "event: out of memory");
    event->device = plan->device;
    const bool empty = planned.work.n == 0 || planned.work.groups == 0;
    status = empty ? write_all_empty(&planned.problem) : run(plan, &planned, event);
    norma_device_failed(plan->device, status);
    if (status != NORMA_OK || !out)
        norma_event_destroy(&event);
    if (out)
        *out = event;
    return status;
}

norma_status norma_event_wait(norma_event *event)
{
    if (!event)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "event: NULL");
    const norma_status status = event->impl ? event->device->backend->event_wait(event) : NORMA_OK;
    norma_device_failed(event->device, status);
    return status;
}

norma_status norma_event_seconds(norma_event *event, double *seconds)
{
    if (!event || !seconds)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", event ? "seconds" : "event");
    if (!event->impl)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "event: the plan was made without timestamps");
    return event->device->backend->event_seconds(event, seconds);
}

void norma_event_destroy(norma_event **event)
{
    if (!event || !*event)
        return;
    if ((*event)->impl)
        (*event)->device->backend->event_finish(*event);
    norma_free(*event);
    *event = NULL;
}
