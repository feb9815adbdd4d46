#include "record.h"

void take(norma_status status)
{
    if (status != NORMA_OK)
        fail_msg("%s: %s", norma_status_name(status), norma_last_error());
}

void refused(norma_status status, norma_status wanted, const char *name)
{
    assert_int_equal(status, wanted);
    if (strncmp(norma_last_error(), name, strlen(name)) != 0)
        fail_msg("\"%s\", not of %s", norma_last_error(), name);
}

// Rows, columns with running statistics, groups.
static void make_problems(struct scene *s)
{
    static const int64_t rows[] = {ROWS, N}, images[] = {ROWS, C, SPACE}, channels[] = {C};
    static const norma_op kinds[KINDS] = {NORMA_LAYER_NORM, NORMA_BATCH_NORM, NORMA_GROUP_NORM};
    s->mean = norma_tensor_buffer(NORMA_FLOAT32, 1, channels, s->buffer, 2 * COUNT * sizeof(float));
    s->var = norma_tensor_buffer(NORMA_FLOAT32, 1, channels, s->buffer, (2 * COUNT + C) * sizeof(float));
    for (int k = 0; k < KINDS; k++) {
        s->x[k] = norma_tensor_buffer(NORMA_FLOAT32, k == 0 ? 2 : 3, k == 0 ? rows : images, s->buffer, 0);
        s->y[k] = s->x[k];
        s->y[k].offset = COUNT * sizeof(float);
        s->problem[k] = norma_problem_defaults(kinds[k]);
        s->problem[k].x = &s->x[k];
        s->problem[k].y = &s->y[k];
    }
    s->problem[1].training = 1;
    s->problem[1].running_mean = &s->mean;
    s->problem[1].running_var = &s->var;
    s->problem[2].num_groups = 4;
}

void open_scene(struct scene *s, norma_status (*open)(struct check_guest **guest))
{
    static float values[2 * COUNT + 2 * C];
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    uint64_t most = 16;
    *s = (struct scene){0};
    assert_int_equal(open(&s->guest), NORMA_OK);
    s->guest->objects(s->guest, &params);
    take(norma_context_create(&params, &s->context));
    assert_int_equal(norma_context_device_count(s->context), 2); // and the scalar path
    s->device = norma_context_device(s->context, 0);
    take(check_guest_buffer(s->guest, s->device, sizeof(values), &s->buffer));
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(i * 37 % 101) - 50;
    take(norma_buffer_write(s->buffer, 0, values, sizeof(values)));
    make_problems(s);
    for (int k = 0; k < KINDS; k++) {
        norma_needs needs = {.size = sizeof(needs)};
        take(norma_plan_create(s->device, &s->problem[k], NULL, &s->plan[k]));
        take(norma_plan_get_needs(s->plan[k], &s->problem[k], &needs));
        assert_true(needs.dispatches > 0);
        most = needs.workspace > most ? needs.workspace : most;
    }
    take(check_guest_buffer(s->guest, s->device, most, &s->workspace));
    take(norma_recorder_create(s->device, NULL, &s->recorder));
}

void close_scene(struct scene *s)
{
    norma_recorder_destroy(&s->recorder);
    for (int k = 0; k < KINDS; k++)
        norma_plan_destroy(&s->plan[k]);
    norma_buffer_destroy(&s->workspace);
    norma_buffer_destroy(&s->buffer);
    norma_context_destroy(&s->context);
    check_guest_close(&s->guest);
}

uint32_t programs(const struct scene *s)
{
    norma_device_info info = {.size = sizeof(info)};
    take(norma_device_get_info(s->device, &info));
    return info.programs;
}

norma_status record(struct scene *s, int i)
{
    const int k = i % KINDS;
    s->x[k].shape[0] = s->y[k].shape[0] = 2 + i % (ROWS - 1);
    const norma_status status = s->guest->run(s->guest, s->plan[k], &s->problem[k], s->recorder, s->workspace, 0);
    return status == NORMA_OK ? norma_recorder_reset(s->recorder) : status;
}
