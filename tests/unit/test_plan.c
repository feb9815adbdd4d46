// Plans on every driver: what a run may not do, and what a plan may not refuse.
#include "devices.h"
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// cmocka needs the three above
#include <cmocka.h>

enum { ROOM = 1 << 20, ODD = 2 };

struct place {
    norma_context *context;
    norma_device *device;
    norma_buffer *buffer;
};

static void open_driver(struct place *p, const char *name)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = name;
    assert_int_equal(norma_context_create(&params, &p->context), NORMA_OK);
    assert_int_equal(norma_context_find_device(p->context, name, &p->device), NORMA_OK);
    assert_int_equal(norma_buffer_create(p->device, ROOM, &p->buffer), NORMA_OK);
}

static void close_driver(struct place *p)
{
    norma_buffer_destroy(&p->buffer);
    norma_context_destroy(&p->context);
}

static uint32_t programs_of(const struct place *p)
{
    norma_device_info info = {.size = sizeof info};
    assert_int_equal(norma_device_get_info(p->device, &info), NORMA_OK);
    return info.programs;
}

// x in the first half of the buffer, y in the second.
static norma_plan *make_plan(const struct place *p, int64_t n, uint64_t budget)
{
    const int64_t shape[] = {1, n};
    const norma_tensor x = norma_tensor_buffer(NORMA_FLOAT16, 2, shape, p->buffer, 0);
    const norma_tensor y = norma_tensor_buffer(NORMA_FLOAT16, 2, shape, p->buffer, ROOM / 2);
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    norma_plan *plan = NULL;
    problem.x = &x;
    problem.y = &y;
    params.memory_budget = budget;
    if (norma_plan_create(p->device, &problem, &params, &plan) != NORMA_OK)
        fail_msg("%s", norma_last_error());
    return plan;
}

static void run_plan(const struct place *p, norma_plan *plan, int64_t rows, int64_t n, uint64_t offset)
{
    const int64_t shape[] = {rows, n};
    const norma_tensor x = norma_tensor_buffer(NORMA_FLOAT16, 2, shape, p->buffer, offset);
    const norma_tensor y = norma_tensor_buffer(NORMA_FLOAT16, 2, shape, p->buffer, ROOM / 2 + offset);
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_event *event = NULL;
    problem.x = &x;
    problem.y = &y;
    if (norma_plan_run(plan, &problem, &event) != NORMA_OK)
        fail_msg("%s", norma_last_error());
    assert_int_equal(norma_event_wait(event), NORMA_OK);
    norma_event_destroy(&event);
}

// A new row count, or tensors that begin at no whole quad, compile nothing.
static void test_no_late_programs(void **state)
{
    (void)state;
    static const int64_t lengths[] = {64, 100, 4096, 8192, 40000};
    for (size_t d = 0; d < TEST_DEVICES; d++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            struct place p;
            const int64_t n = lengths[i], rows[] = {1, 3, ROOM / 4 / n - 1};
            open_driver(&p, test_devices[d]);
            norma_plan *plan = make_plan(&p, n, 0);
            const uint32_t programs = programs_of(&p);
            for (size_t r = 0; r < 3; r++)
                for (uint64_t offset = 0; offset <= ODD; offset += ODD)
                    run_plan(&p, plan, rows[r], n, offset);
            if (programs_of(&p) != programs)
                fail_msg("%s, rows of %lld: %u programs became %u", test_devices[d], (long long)n, programs,
                         programs_of(&p));
            norma_plan_destroy(&plan);
            close_driver(&p);
        }
}

// A budget that some row counts would exceed is no reason to refuse the plan.
static void test_small_budget(void **state)
{
    (void)state;
    for (size_t d = 0; d < TEST_DEVICES; d++) {
        struct place p;
        open_driver(&p, test_devices[d]);
        norma_plan *plan = make_plan(&p, 40000, 300000);
        run_plan(&p, plan, 3, 40000, 0);
        norma_plan_destroy(&plan);
        close_driver(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_late_programs),
        cmocka_unit_test(test_small_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
