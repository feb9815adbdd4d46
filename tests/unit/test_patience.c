// Strided problems on slow devices: what cannot be cut further runs, however long it takes.
#include "backend.h"
#include "execute.h"
#include "problem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct norma_caps gpu = {.api = NORMA_DRIVER_OPENCL,
                                      .kind = NORMA_DEVICE_DISCRETE,
                                      .compute_units = 8,
                                      .memory = UINT64_C(64) << 30,
                                      .max_alloc = UINT64_C(16) << 30,
                                      .max_range = UINT64_C(16) << 30,
                                      .offset_align = 1,
                                      .max_groups = {1u << 24, 1u << 16, 1},
                                      .max_workgroup = 256,
                                      .local_memory = 32 << 10};

// At bytes a second; how many dispatches.
static size_t schedule(const norma_problem *problem, double rate)
{
    struct norma_work work;
    struct norma_schedule s = {0};
    const struct norma_plan_options options = {.memory = NORMA_MEMORY_RESIDENT, .rate = rate};
    assert_int_equal(norma_work_from_problem(problem, NORMA_PLACE_NONE, &work), NORMA_OK);
    assert_int_equal(norma_schedule_work(&work, &gpu, &options, &s), NORMA_OK);
    const size_t count = s.dispatch_count;
    norma_schedule_finish(&s);
    return count;
}

// Columns whose every chunk of 4096 elements reaches over all of x.
static void test_columns(void **state)
{
    (void)state;
    static const int64_t shape[] = {4096, 20000};
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, NULL);
    norma_problem p = norma_problem_defaults(NORMA_MEAN_VARIANCE_NORMALIZATION);
    p.x = p.y = &x;
    p.axes = 1; // bit 0
    const size_t unhurried = schedule(&p, 0), slow = schedule(&p, 1e9), slowest = schedule(&p, 1e4);
    assert_true(unhurried < slow && slow < slowest);
}

static void test_parameters(void **state)
{
    (void)state;
    static const int64_t shape[] = {4096, 300}, row[] = {300};
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, NULL);
    const norma_tensor w = norma_tensor_host(NORMA_FLOAT32, 1, row, NULL);
    norma_problem p = norma_problem_defaults(NORMA_RMS_NORM);
    p.direction = NORMA_BACKWARD;
    p.x = p.dy = &x;
    p.weight = p.dweight = &w;
    assert_true(schedule(&p, 0) < schedule(&p, 1e4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_columns), cmocka_unit_test(test_parameters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
