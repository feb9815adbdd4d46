// Recording for a device of the caller's: what it refuses, and rows that are counted on the device.
#include "backend.h"
#include "record.h"
#include "schedule.h"
#include <stdatomic.h>

#ifdef NORMA_HAVE_VULKAN
#include "vulkan/nvk.h"
#endif

// A variant that another plan's compilation loses is not lost for a plan that has it compiled.
static void check_dropped(norma_status (*open)(struct check_guest **guest))
{
    struct scene s;
    open_scene(&s, open);
    atomic_store(&s.device->dropped, UINT32_MAX & ~norma_variant_bit("split-local"));
    for (int i = 0; i < KINDS; i++)
        take(record(&s, i));
    close_scene(&s);
}

static void check_refusals(norma_status (*open)(struct check_guest **guest))
{
    struct scene s;
    norma_context *other = NULL;
    norma_buffer *foreign = NULL;
    norma_recorder *small = NULL;
    const norma_recorder_params one = {sizeof(one), 1}, too_many = {sizeof(one), 70000};
    const norma_context_params defaults = NORMA_CONTEXT_DEFAULTS;
    norma_context_params scalar = defaults;
    open_scene(&s, open);
    scalar.device = "scalar";
    take(norma_context_create(&scalar, &other));
    norma_device *host = norma_context_device(other, norma_context_device_count(other) - 1);
    refused(norma_recorder_create(host, NULL, &small), NORMA_ERROR_UNSUPPORTED, "device");
    refused(norma_recorder_create(s.device, &too_many, &small), NORMA_ERROR_INVALID_ARGUMENT, "dispatches");
    refused(s.guest->run(s.guest, s.plan[1], &s.problem[1], s.recorder, NULL, 0), NORMA_ERROR_INVALID_ARGUMENT,
            "workspace");
    refused(s.guest->run(s.guest, s.plan[1], &s.problem[1], s.recorder, s.workspace, 4), NORMA_ERROR_INVALID_ARGUMENT,
            "workspace_offset");
    refused(s.guest->run(s.guest, s.plan[1], &s.problem[1], NULL, s.workspace, 0), NORMA_ERROR_INVALID_ARGUMENT,
            "recorder");
    refused(s.guest->run(s.guest, s.plan[0], &s.problem[1], s.recorder, s.workspace, 0), NORMA_ERROR_INVALID_ARGUMENT,
            "op");
    take(norma_recorder_create(s.device, &one, &small));
    refused(s.guest->run(s.guest, s.plan[1], &s.problem[1], small, s.workspace, 0), NORMA_ERROR_OUT_OF_MEMORY,
            "recorder");
    take(norma_buffer_create(host, sizeof(float) * COUNT, &foreign));
    s.y[0].buffer = foreign;
    s.y[0].offset = 0;
    refused(s.guest->run(s.guest, s.plan[0], &s.problem[0], s.recorder, s.workspace, 0), NORMA_ERROR_INVALID_ARGUMENT,
            "y");
    norma_buffer_destroy(&foreign);
    norma_recorder_destroy(&small);
    norma_context_destroy(&other);
    close_scene(&s);
}

// The workspace is written during the run, before the last tensor is read.
static void check_workspace_refusals(norma_status (*open)(struct check_guest **guest))
{
    struct scene s;
    norma_needs needs = {.size = sizeof(needs)};
    open_scene(&s, open);
    take(norma_plan_get_needs(s.plan[1], &s.problem[1], &needs));
    assert_true(needs.workspace > 0);
    refused(s.guest->run(s.guest, s.plan[1], &s.problem[1], s.recorder, s.buffer, 0), NORMA_ERROR_INVALID_ARGUMENT,
            "workspace: shares memory with x");
    take(norma_plan_get_needs(s.plan[0], &s.problem[0], &needs));
    assert_true(needs.counted_workspace > 0);
    norma_buffer_destroy(&s.workspace);
    take(check_guest_buffer(s.guest, s.device, needs.counted_workspace + 4, &s.workspace));
    s.guest->row_count = s.workspace;
    s.guest->row_count_offset = (needs.counted_workspace - 1) / 4 * 4;
    refused(s.guest->run(s.guest, s.plan[0], &s.problem[0], s.recorder, s.workspace, 0), NORMA_ERROR_INVALID_ARGUMENT,
            "workspace: shares memory with row_count");
    s.guest->row_count_offset = (needs.counted_workspace + 3) / 4 * 4;
    take(s.guest->run(s.guest, s.plan[0], &s.problem[0], s.recorder, s.workspace, 0));
    close_scene(&s);
}

enum { COUNTED_ROWS = 7, COUNTED_N = 9001, COUNTED = COUNTED_ROWS * COUNTED_N };

// A command buffer is recorded once; each time it executes it takes as many rows as the count says then.
static void replay(struct scene *s, uint64_t count_at, const float *all, norma_plan *again,
                   const norma_problem *problem)
{
    static float y[COUNTED], canary[COUNTED];
    const uint32_t counts[] = {3, 0, COUNTED_ROWS, 1, 1000};
    memset(canary, 0xab, sizeof(canary));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const size_t rows = counts[i] < COUNTED_ROWS ? counts[i] : COUNTED_ROWS;
        take(norma_buffer_write(s->buffer, COUNTED * sizeof(float), canary, sizeof(canary)));
        take(norma_buffer_write(s->buffer, count_at, &counts[i], sizeof(counts[i])));
        take(s->guest->run(s->guest, again, problem, s->recorder, s->workspace, 0));
        take(norma_buffer_read(s->buffer, COUNTED * sizeof(float), y, sizeof(y)));
        assert_memory_equal(y, all, rows * COUNTED_N * sizeof(float));
        assert_memory_equal(y + rows * COUNTED_N, canary, (COUNTED_ROWS - rows) * COUNTED_N * sizeof(float));
    }
}

static void count_rows(struct scene *s, norma_op op, const char *variant, bool may_fail)
{
    static float all[COUNTED];
    static const int64_t shape[] = {COUNTED_ROWS, COUNTED_N};
    const uint64_t count_at = 2 * COUNTED * sizeof(float) + 20; // no multiple of what descriptors want
    const norma_plan_params params = {.size = sizeof(params), .variant = variant};
    const norma_tensor x = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, s->buffer, 0);
    const norma_tensor y = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, s->buffer, COUNTED * sizeof(float));
    norma_problem problem = norma_problem_defaults(op);
    norma_needs needs = {.size = sizeof(needs)};
    norma_plan *plan = NULL;
    problem.x = &x;
    problem.y = &y;
    const norma_status status = norma_plan_create(s->device, &problem, &params, &plan);
    if (status == NORMA_ERROR_UNSUPPORTED && may_fail)
        return;
    take(status);
    take(norma_plan_get_needs(plan, &problem, &needs));
    assert_true(needs.counted_dispatches > needs.dispatches && needs.counted_workspace > needs.workspace);
    norma_buffer_destroy(&s->workspace);
    take(check_guest_buffer(s->guest, s->device, needs.counted_workspace, &s->workspace));
    s->guest->row_count = NULL;
    take(s->guest->run(s->guest, plan, &problem, s->recorder, s->workspace, 0));
    take(norma_buffer_read(s->buffer, COUNTED * sizeof(float), all, sizeof(all)));
    s->guest->row_count = s->buffer;
    s->guest->row_count_offset = count_at;
    take(s->guest->run(s->guest, plan, &problem, s->recorder, s->workspace, 0));
    // What is enqueued executes once: there it is enqueued anew, before the driver may look at the count.
    replay(s, count_at, all, strcmp(s->device->backend->name, "opencl") ? NULL : plan, &problem);
    take(norma_recorder_reset(s->recorder));
    norma_plan_destroy(&plan);
}

static void check_row_count(norma_status (*open)(struct check_guest **guest))
{
    struct scene s;
    static float x[COUNTED];
    const char *variant;
    open_scene(&s, open);
    norma_buffer_destroy(&s.buffer);
    take(check_guest_buffer(s.guest, s.device, 2 * sizeof(x) + 64, &s.buffer));
    for (int i = 0; i < COUNTED; i++)
        x[i] = (float)(i * 37 % 101) - 50;
    take(norma_buffer_write(s.buffer, 0, x, sizeof(x)));
    count_rows(&s, NORMA_LAYER_NORM, NULL, false);
    count_rows(&s, NORMA_RMS_NORM, NULL, false);
    for (size_t i = 0; (variant = norma_device_variant(s.device, i)); i++)
        if (strncmp(variant, "registers", 9) != 0) // a CPU driver compiles them for a minute
            count_rows(&s, NORMA_LAYER_NORM, variant, true);
    close_scene(&s);
}

// Rows apart from each other, with all that goes along with them; a gate's row is that of two rows.
enum { SPREAD_ROWS = 6, SPREAD_N = 4500, SPREAD_PLACE = 1 << 15, SPREAD_INPUTS = 4, SPREAD_OUTPUTS = 4 };
enum { OUTPUT_FLOATS = SPREAD_OUTPUTS * SPREAD_PLACE, OUTPUTS_AT = SPREAD_INPUTS * SPREAD_PLACE * 4 };

struct spread {
    norma_problem problem;
    norma_tensor x, residual, gate, weight, y, sum, mean, rstd;
};

// Of rows of that length and so many elements from one to the next; each tensor has a place of its own.
static norma_tensor spread_rows(const struct scene *s, int place, int64_t length, int64_t step)
{
    const int64_t shape[] = {SPREAD_ROWS / 2, 2, length};
    norma_tensor t = norma_tensor_buffer(NORMA_FLOAT32, length > 1 ? 3 : 2, shape, s->buffer,
                                         (uint64_t)place * SPREAD_PLACE * sizeof(float));
    t.strides[0] = 2 * step;
    t.strides[1] = step;
    return t;
}

static void make_spread(const struct scene *s, struct spread *p, norma_op op)
{
    static const int64_t last[] = {SPREAD_N};
    p->x = spread_rows(s, 0, SPREAD_N, SPREAD_N + 7);
    p->residual = spread_rows(s, 1, SPREAD_N, SPREAD_N);
    p->gate = spread_rows(s, 2, SPREAD_N, SPREAD_N + 4);
    p->gate.shape[1] = 1;
    p->weight = norma_tensor_buffer(NORMA_FLOAT32, 1, last, s->buffer, (uint64_t)3 * SPREAD_PLACE * sizeof(float));
    p->y = spread_rows(s, 4, SPREAD_N, SPREAD_N + 3);
    p->sum = spread_rows(s, 5, SPREAD_N, SPREAD_N + 8);
    p->mean = spread_rows(s, 6, 1, 1);
    p->rstd = spread_rows(s, 7, 1, 3);
    p->problem = norma_problem_defaults(op);
    p->problem.x = &p->x;
    p->problem.residual = &p->residual;
    p->problem.gate = &p->gate;
    p->problem.weight = &p->weight;
    p->problem.y = &p->y;
    p->problem.sum = &p->sum;
    p->problem.mean = op == NORMA_LAYER_NORM ? &p->mean : NULL;
    p->problem.rstd = &p->rstd;
}

// What the outputs are after a run of the first rows: as of a run of all, and what was there before.
static void first_rows(const struct spread *p, size_t rows, const float *all, const float *before, float *out)
{
    const norma_tensor *const outputs[] = {&p->y, &p->sum, &p->mean, &p->rstd};
    memcpy(out, before, OUTPUT_FLOATS * sizeof(float));
    for (size_t i = 0; i < SPREAD_OUTPUTS; i++)
        for (size_t r = 0; r < rows; r++) {
            const size_t at = i * SPREAD_PLACE + r * (size_t)outputs[i]->strides[1];
            memcpy(out + at, all + at, (outputs[i]->rank > 2 ? SPREAD_N : 1) * sizeof(float));
        }
}

static void count_spread(struct scene *s, norma_op op, const char *variant)
{
    static float before[OUTPUT_FLOATS], all[OUTPUT_FLOATS], got[OUTPUT_FLOATS], wanted[OUTPUT_FLOATS];
    const uint32_t counts[] = {3, 0, SPREAD_ROWS, 1, 1000};
    const norma_plan_params params = {.size = sizeof(params), .variant = variant};
    struct spread p;
    norma_needs needs = {.size = sizeof(needs)};
    norma_plan *plan = NULL;
    make_spread(s, &p, op);
    memset(before, 0xab, sizeof(before));
    const norma_status status = norma_plan_create(s->device, &p.problem, &params, &plan);
    if (status == NORMA_ERROR_UNSUPPORTED && variant)
        return;
    take(status);
    take(norma_plan_get_needs(plan, &p.problem, &needs));
    assert_true(needs.counted_dispatches > needs.dispatches);
    norma_buffer_destroy(&s->workspace);
    take(check_guest_buffer(s->guest, s->device, needs.counted_workspace, &s->workspace));
    for (size_t i = 0; i <= sizeof(counts) / sizeof(counts[0]); i++) { // first all rows, without a count
        const uint64_t count_at = OUTPUTS_AT + sizeof(before);
        const uint32_t count = i ? counts[i - 1] : SPREAD_ROWS;
        s->guest->row_count = i ? s->buffer : NULL;
        s->guest->row_count_offset = count_at;
        take(norma_buffer_write(s->buffer, OUTPUTS_AT, before, sizeof(before)));
        take(norma_buffer_write(s->buffer, count_at, &count, sizeof(count)));
        take(s->guest->run(s->guest, plan, &p.problem, s->recorder, s->workspace, 0));
        take(norma_recorder_reset(s->recorder));
        take(norma_buffer_read(s->buffer, OUTPUTS_AT, i ? got : all, sizeof(got)));
        first_rows(&p, count < SPREAD_ROWS ? count : SPREAD_ROWS, all, before, wanted);
        assert_memory_equal(i ? got : all, wanted, sizeof(wanted));
    }
    norma_plan_destroy(&plan);
}

static void check_spread(norma_status (*open)(struct check_guest **guest))
{
    static float inputs[SPREAD_INPUTS * SPREAD_PLACE];
    const char *variant;
    struct scene s;
    open_scene(&s, open);
    norma_buffer_destroy(&s.buffer);
    take(check_guest_buffer(s.guest, s.device, OUTPUTS_AT + OUTPUT_FLOATS * sizeof(float) + 64, &s.buffer));
    for (int i = 0; i < SPREAD_INPUTS * SPREAD_PLACE; i++)
        inputs[i] = (float)(i * 37 % 101) / 16 - 3;
    take(norma_buffer_write(s.buffer, 0, inputs, sizeof(inputs)));
    count_spread(&s, NORMA_LAYER_NORM, NULL);
    count_spread(&s, NORMA_RMS_NORM, NULL);
    for (size_t i = 0; (variant = norma_device_variant(s.device, i)); i++)
        if (strncmp(variant, "registers", 9) != 0) // a CPU driver compiles them for a minute
            count_spread(&s, NORMA_LAYER_NORM, variant);
    close_scene(&s);
}

// Only rows can be counted, and only where the count is.
static void check_row_count_refusals(norma_status (*open)(struct check_guest **guest))
{
    struct scene s;
    norma_needs needs = {.size = sizeof(needs)};
    open_scene(&s, open);
    s.guest->row_count = s.buffer;
    take(norma_plan_get_needs(s.plan[1], &s.problem[1], &needs));
    assert_int_equal(needs.counted_dispatches, 0);
    refused(s.guest->run(s.guest, s.plan[1], &s.problem[1], s.recorder, s.workspace, 0), NORMA_ERROR_UNSUPPORTED,
            "row_count");
    s.guest->row_count_offset = 2;
    refused(s.guest->run(s.guest, s.plan[0], &s.problem[0], s.recorder, s.workspace, 0), NORMA_ERROR_INVALID_ARGUMENT,
            "row_count_offset");
    s.guest->row_count_offset = UINT64_C(1) << 40;
    refused(s.guest->run(s.guest, s.plan[0], &s.problem[0], s.recorder, s.workspace, 0), NORMA_ERROR_INVALID_ARGUMENT,
            "row_count_offset");
    close_scene(&s);
}

#ifdef NORMA_HAVE_VULKAN
static void test_vulkan_dropped(void **state)
{
    (void)state;
    check_dropped(check_guest_vulkan);
}

static void test_vulkan_refusals(void **state)
{
    (void)state;
    check_refusals(check_guest_vulkan);
    check_workspace_refusals(check_guest_vulkan);
}

static norma_status create_with(norma_vulkan_objects objects)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    params.vulkan = &objects;
    const norma_status status = norma_context_create(&params, &context);
    norma_context_destroy(&context);
    return status;
}

// What is wrong with the caller's objects is told by their names; without a queue the device records alone.
static void test_vulkan_objects(void **state)
{
    struct check_guest *guest;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_buffer *buffer = NULL;
    (void)state;
    assert_int_equal(check_guest_vulkan(&guest), NORMA_OK);
    guest->objects(guest, &params);
    const norma_vulkan_objects good = *params.vulkan;
    norma_vulkan_objects o = good;
    o.device = NULL;
    refused(create_with(o), NORMA_ERROR_INVALID_ARGUMENT, "vulkan: device");
    o = good;
    o.queue_family = 99;
    refused(create_with(o), NORMA_ERROR_INVALID_ARGUMENT, "vulkan: queue_family");
    o = good;
    o.size = 8;
    refused(create_with(o), NORMA_ERROR_INVALID_ARGUMENT, "vulkan: size");
    o = good;
    o.extension_count = 1;
    refused(create_with(o), NORMA_ERROR_INVALID_ARGUMENT, "vulkan: extensions");
    o = good;
    o.queue = NULL;
    params.vulkan = &o;
    norma_context *context;
    take(norma_context_create(&params, &context));
    norma_device *device = norma_context_device(context, 0);
    norma_recorder *recorder;
    take(norma_recorder_create(device, NULL, &recorder));
    take(check_guest_buffer(guest, device, 64, &buffer));
    refused(norma_buffer_write(buffer, 0, "abc", 4), NORMA_ERROR_UNSUPPORTED, "vulkan:0");
    float x[4] = {1, 2, 3, 4}, y[4] = {0};
    const norma_tensor tx = norma_tensor_host(NORMA_FLOAT32, 1, (int64_t[]){4}, x),
                       ty = norma_tensor_host(NORMA_FLOAT32, 1, (int64_t[]){4}, y);
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    problem.x = &tx;
    problem.y = &ty;
    take(norma_run(context, &problem)); // by the scalar path
    assert_true(y[3] > 1.3F && y[3] < 1.4F);
    norma_buffer_destroy(&buffer);
    norma_recorder_destroy(&recorder);
    norma_context_destroy(&context);
    check_guest_close(&guest);
}

static void test_vulkan_row_count(void **state)
{
    (void)state;
    check_row_count(check_guest_vulkan);
    check_spread(check_guest_vulkan);
    check_row_count_refusals(check_guest_vulkan);
}

static void test_vulkan_address(void **state)
{
    struct scene s;
    norma_buffer *low = NULL, *high = NULL;
    norma_tensor t = {0};
    (void)state;
    open_scene(&s, check_guest_vulkan);
    VkBuffer handle = ((struct nvk_buffer *)s.buffer->impl)->handle;
    take(norma_vulkan_buffer_wrap(s.device, handle, 4096, 0x10000, &low));
    take(norma_vulkan_buffer_wrap(s.device, handle, 4096, 0x20000, &high));
    norma_buffer *const both[] = {low, high};
    take(norma_vulkan_tensor_at(both, 2, 0x20010, &t));
    assert_ptr_equal(t.buffer, high);
    assert_int_equal(t.offset, 16);
    refused(norma_vulkan_tensor_at(both, 2, 0x11000, &t), NORMA_ERROR_INVALID_ARGUMENT, "address");
    norma_buffer_destroy(&low);
    norma_buffer_destroy(&high);
    close_scene(&s);
}
#endif

#ifdef NORMA_HAVE_OPENCL
static void test_opencl_dropped(void **state)
{
    (void)state;
    check_dropped(check_guest_opencl);
}

static void test_opencl_row_count(void **state)
{
    (void)state;
    check_row_count(check_guest_opencl);
    check_spread(check_guest_opencl);
    check_row_count_refusals(check_guest_opencl);
}

static void test_opencl_refusals(void **state)
{
    (void)state;
    check_refusals(check_guest_opencl);
    check_workspace_refusals(check_guest_opencl);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef NORMA_HAVE_VULKAN
        cmocka_unit_test(test_vulkan_dropped),   cmocka_unit_test(test_vulkan_refusals),
        cmocka_unit_test(test_vulkan_objects),   cmocka_unit_test(test_vulkan_address),
        cmocka_unit_test(test_vulkan_row_count),
#endif
#ifdef NORMA_HAVE_OPENCL
        cmocka_unit_test(test_opencl_dropped),   cmocka_unit_test(test_opencl_refusals),
        cmocka_unit_test(test_opencl_row_count),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
