// Recordings of problems whose x is empty: what is written all the same is what a run writes, and the scalar path. No
// byte beside it changes.
#include "check/guest.h"
#include "external.h"

enum { BYTES = 2048, FILL = 0x55 };

// Outputs of an empty problem: as they lie in memory, with gaps and at odd places.
struct outputs {
    norma_problem problem;
    norma_tensor x, dy, weight, first, second;
};

static norma_tensor at(norma_dtype dtype, int64_t count, int64_t stride, uint64_t offset, norma_buffer *buffer,
                       char *memory)
{
    norma_tensor t = buffer ? norma_tensor_buffer(dtype, 1, &count, buffer, offset)
                            : norma_tensor_host(dtype, 1, &count, memory + offset);
    t.strides[0] = stride;
    return t;
}

// Layer norm: gradients of weight and bias over no rows, the one dense at an odd half of a word, the other with gaps;
// or statistics of rows without elements.
static void make(struct outputs *o, int kind, norma_buffer *buffer, char *memory)
{
    static const int64_t no_rows[] = {0, 33}, no_columns[] = {33, 0};
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    const int64_t *shape = kind < 2 ? no_rows : no_columns;
    const norma_dtype type = kind == 0 ? NORMA_FLOAT16 : NORMA_FLOAT32;
    o->x = norma_tensor_host(type, 2, shape, NULL);
    o->dy = o->x;
    p.x = &o->x;
    if (kind < 2) {
        p.direction = NORMA_BACKWARD;
        p.dy = &o->dy;
        o->first = at(type, 33, 1, kind == 0 ? 6 : 8, buffer, memory);
        o->second = at(kind == 0 ? NORMA_BFLOAT16 : NORMA_FLOAT32, 33, 3, 130 * (kind + 1), buffer, memory);
        o->weight = at(type, 33, 1, 1600, buffer, memory);
        p.weight = &o->weight;
        p.dweight = &o->first;
        p.dbias = &o->second;
    } else {
        p.y = &o->dy;
        o->first = at(NORMA_FLOAT32, 33, 1, 4, buffer, memory);
        o->second = at(NORMA_FLOAT32, 33, 2, 200, buffer, memory);
        p.mean = &o->first;
        p.rstd = &o->second;
    }
    o->problem = p;
}

// A context on objects of the guest's, and a buffer of BYTES on its device, which is returned.
static norma_device *begin(norma_status (*open)(struct check_guest **guest), struct check_guest **guest,
                           norma_context **context, norma_buffer **buffer)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    assert_int_equal(open(guest), NORMA_OK);
    params.cache_dir = "";
    (*guest)->objects(*guest, &params);
    take(norma_context_create(&params, context));
    norma_device *device = norma_context_device(*context, 0);
    take((*guest)->buffer(*guest, device, BYTES, buffer));
    return device;
}

static void check(norma_status (*open)(struct check_guest **guest), int kind)
{
    struct check_guest *guest = NULL;
    norma_context *context = NULL;
    norma_buffer *buffer = NULL;
    norma_recorder *recorder = NULL, *small = NULL;
    norma_plan *plan = NULL;
    norma_event *event = NULL;
    norma_needs needs = {.size = sizeof needs};
    const norma_recorder_params one = {sizeof one, 1};
    struct outputs o, host;
    char before[BYTES], recorded[BYTES], ran[BYTES], scalar[BYTES];
    memset(before, FILL, sizeof before);
    memcpy(scalar, before, sizeof scalar);
    norma_device *device = begin(open, &guest, &context, &buffer);
    take(norma_buffer_write(buffer, 0, before, BYTES));
    make(&o, kind, buffer, NULL);
    take(norma_plan_create(device, &o.problem, NULL, &plan));
    take(norma_plan_get_needs(plan, &o.problem, &needs));
    assert_int_equal(needs.dispatches, 1 + 33); // a fill for what is dense, and one for each element between gaps
    take(norma_recorder_create(device, NULL, &recorder));
    take(norma_recorder_create(device, &one, &small));
    refused(guest->run(guest, plan, &o.problem, small, NULL, 0), NORMA_ERROR_OUT_OF_MEMORY, "recorder:", "34");
    take(guest->run(guest, plan, &o.problem, recorder, NULL, 0));
    take(norma_buffer_read(buffer, 0, recorded, BYTES));
    take(norma_buffer_write(buffer, 0, before, BYTES));
    take(norma_plan_run(plan, &o.problem, &event));
    take(norma_event_wait(event));
    take(norma_buffer_read(buffer, 0, ran, BYTES));
    make(&host, kind, NULL, scalar);
    norma_context *plain = external_context("scalar");
    take(norma_run(plain, &host.problem));
    assert_memory_equal(recorded, ran, BYTES);
    assert_memory_equal(recorded, scalar, BYTES);
    assert_memory_not_equal(recorded, before, BYTES);
    norma_event_destroy(&event);
    norma_recorder_destroy(&recorder);
    norma_recorder_destroy(&small);
    norma_plan_destroy(&plan);
    norma_buffer_destroy(&buffer);
    norma_context_destroy(&plain);
    norma_context_destroy(&context);
    check_guest_close(&guest);
}

// What is refused of problems with elements is refused of empty ones too; and fills take their room in a recorder.
static void check_limits(norma_status (*open)(struct check_guest **guest), bool charged)
{
    struct check_guest *guest = NULL;
    norma_context *context = NULL;
    norma_buffer *buffer = NULL;
    norma_recorder *recorder = NULL;
    norma_plan *plan = NULL, *wide = NULL;
    norma_needs needs = {.size = sizeof needs};
    const norma_recorder_params most = {sizeof most, 34 + 33};
    static const int64_t shape[] = {3, 0}, rows[] = {3};
    struct outputs o;
    norma_device *device = begin(open, &guest, &context, &buffer);
    take(norma_recorder_create(device, &most, &recorder));
    make(&o, 2, buffer, NULL);
    take(norma_plan_create(device, &o.problem, NULL, &plan));
    take(guest->run(guest, plan, &o.problem, recorder, NULL, 0));
    if (charged)
        refused(guest->run(guest, plan, &o.problem, recorder, NULL, 0), NORMA_ERROR_OUT_OF_MEMORY, "recorder:", "34");
    take(norma_recorder_reset(recorder));
    take(guest->run(guest, plan, &o.problem, recorder, NULL, 0));
    take(norma_recorder_reset(recorder));
    guest->row_count = buffer;
    refused(guest->run(guest, plan, &o.problem, recorder, NULL, 0), NORMA_ERROR_UNSUPPORTED, "row_count:", "rows");
    guest->row_count = NULL;
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT64, 2, shape, NULL);
    const norma_tensor rstd = norma_tensor_buffer(NORMA_FLOAT64, 1, rows, buffer, 0);
    norma_problem p = NORMA_RMS_NORM_DEFAULTS;
    p.x = p.y = &x;
    p.rstd = &rstd;
    take(norma_plan_create(device, &p, NULL, &wide));
    refused(norma_plan_get_needs(wide, &p, &needs), NORMA_ERROR_UNSUPPORTED, "x:", "float64");
    refused(guest->run(guest, wide, &p, recorder, NULL, 0), NORMA_ERROR_UNSUPPORTED, "x:", "float64");
    norma_plan_destroy(&wide);
    norma_plan_destroy(&plan);
    norma_recorder_destroy(&recorder);
    norma_buffer_destroy(&buffer);
    norma_context_destroy(&context);
    check_guest_close(&guest);
}

#ifdef NORMA_HAVE_VULKAN
static void test_vulkan(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++)
        check(check_guest_vulkan, kind);
    check_limits(check_guest_vulkan, true);
}
#endif

#ifdef NORMA_HAVE_OPENCL
static void test_opencl(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++)
        check(check_guest_opencl, kind);
    check_limits(check_guest_opencl, false); // nothing of a queue's is the recorder's
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef NORMA_HAVE_VULKAN
        cmocka_unit_test(test_vulkan),
#endif
#ifdef NORMA_HAVE_OPENCL
        cmocka_unit_test(test_opencl),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
