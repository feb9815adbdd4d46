// A host's own allocator: all memory of a context comes from it and goes back to it, and where it gives none the call
// fails and nothing is lost. Built with --wrap, so that the library's own calls of malloc and its kin come here.
#include "devices.h"
#include <norma/describe.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs stdarg and setjmp
#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static atomic_bool watching;
static atomic_int direct; // calls that did not go through the allocator while they were watched

static void seen(void)
{
    if (atomic_load(&watching))
        atomic_fetch_add(&direct, 1);
}

void *__wrap_malloc(size_t size)
{
    seen();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    seen();
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    seen();
    return __real_realloc(memory, size);
}

void __wrap_free(void *memory)
{
    seen();
    __real_free(memory);
}

// Blocks are of exactly what was asked for, so that a sanitizer sees what reaches beyond.
struct counts {
    atomic_long blocks, calls, fail_at; // fail_at: the call that gets nothing; 0: none
    atomic_int wrong;
};

static bool may(struct counts *counts)
{
    return atomic_fetch_add(&counts->calls, 1) + 1 != atomic_load(&counts->fail_at);
}

static void *allocate(void *user, size_t size)
{
    struct counts *counts = user;
    if (size == 0)
        atomic_fetch_add(&counts->wrong, 1);
    void *memory = may(counts) ? __real_malloc(size) : NULL;
    if (memory)
        memset(memory, 0xa5, size < 65536 ? size : 65536); // nothing may rely on zeros
    atomic_fetch_add(&counts->blocks, memory != NULL);
    return memory;
}

static void *reallocate(void *user, void *memory, size_t size)
{
    struct counts *counts = user;
    if (size == 0 || !memory)
        atomic_fetch_add(&counts->wrong, 1);
    return may(counts) ? __real_realloc(memory, size) : NULL;
}

static void release(void *user, void *memory)
{
    struct counts *counts = user;
    if (!memory)
        atomic_fetch_add(&counts->wrong, 1);
    atomic_fetch_sub(&counts->blocks, 1);
    __real_free(memory);
}

enum { N = 8, C = 4, S = 40, ELEMENTS = N * C * S };

struct room {
    float x[ELEMENTS], y[ELEMENTS], dx[ELEMENTS], rows[3], mean[C], var[C];
    norma_tensor tx, ty, tdx, channels, variances, kinds;
};

static norma_problem problem(struct room *r, norma_op op)
{
    static const int64_t shape[] = {N, C, S}, kinds = 3;
    norma_problem p = norma_problem_defaults(op);
    for (int i = 0; i < ELEMENTS; i++)
        r->x[i] = (float)(i * 37 % 101);
    for (int i = 0; i < C; i++)
        r->mean[i] = 0, r->var[i] = 1;
    r->rows[0] = r->rows[1] = r->rows[2] = 0;
    r->tx = norma_tensor_host(NORMA_FLOAT32, 3, shape, r->x);
    r->ty = norma_tensor_host(NORMA_FLOAT32, 3, shape, r->y);
    r->tdx = norma_tensor_host(NORMA_FLOAT32, 3, shape, r->dx);
    r->channels = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, r->mean);
    r->variances = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, r->var);
    r->kinds = norma_tensor_host(NORMA_FLOAT32, 1, &kinds, r->rows);
    p.x = &r->tx;
    p.y = &r->ty;
    p.training = 1;
    return p;
}

// Each ends with all of its own gone; a failure may come at any point.
static norma_status run_on_host(norma_context *context, struct room *r)
{
    norma_problem p = problem(r, NORMA_LAYER_NORM);
    norma_status status = norma_run(context, &p);
    p = problem(r, NORMA_BATCH_NORM);
    p.running_mean = &r->channels;
    p.running_var = &r->variances;
    if (status == NORMA_OK)
        status = norma_run(context, &p);
    p = problem(r, NORMA_SWITCHABLE_NORM);
    p.mean_weights = p.var_weights = &r->kinds;
    if (status == NORMA_OK)
        status = norma_run(context, &p);
    p = problem(r, NORMA_LOCAL_RESPONSE_NORM);
    if (status == NORMA_OK)
        status = norma_run(context, &p);
    p = problem(r, NORMA_BATCH_NORM);
    p.direction = NORMA_BACKWARD;
    p.y = NULL;
    p.dy = &r->ty;
    p.dx = &r->tdx;
    p.weight = &r->variances;
    p.dweight = &r->channels;
    if (status == NORMA_OK)
        status = norma_run(context, &p);
    return status;
}

static norma_status run_plan(norma_device *device, struct room *r, norma_op op)
{
    norma_problem p = problem(r, op);
    norma_buffer *buffer = NULL;
    norma_plan *plan = NULL;
    norma_event *event = NULL;
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    params.timestamps = 1;
    norma_status status = norma_buffer_create(device, sizeof r->x, &buffer);
    if (status == NORMA_OK)
        status = norma_buffer_write(buffer, 0, r->x, sizeof r->x);
    if (status == NORMA_OK) {
        r->tx = norma_tensor_buffer(NORMA_FLOAT32, 3, r->tx.shape, buffer, 0);
        r->ty = r->tx;
        status = norma_plan_create(device, &p, &params, &plan);
    }
    if (status == NORMA_OK)
        status = norma_plan_run(plan, &p, &event);
    if (status == NORMA_OK)
        status = norma_event_wait(event);
    norma_event_destroy(&event);
    norma_plan_destroy(&plan);
    norma_buffer_destroy(&buffer);
    return status;
}

static norma_status describe(norma_device *device, struct room *r)
{
    const norma_problem p = problem(r, NORMA_BATCH_NORM);
    norma_description *description = NULL;
    const norma_status status = norma_describe(device, &p, NULL, &description);
    norma_description_destroy(&description);
    return status;
}

// brief: what compiles little, to be done often.
static norma_status all(const norma_allocator *allocator, const char *driver, bool brief)
{
    static struct room room;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    norma_device *device = NULL;
    params.device = driver;
    params.cache_dir = "";
    params.allocator = allocator;
    norma_status status = norma_context_create(&params, &context);
    if (status == NORMA_OK)
        status = norma_context_find_device(context, driver, &device);
    if (status == NORMA_OK && brief) {
        const norma_problem p = problem(&room, NORMA_LAYER_NORM);
        status = norma_run(context, &p);
    }
    if (status == NORMA_OK && !brief)
        status = run_on_host(context, &room);
    if (status == NORMA_OK && !brief)
        status = run_plan(device, &room, NORMA_LAYER_NORM);
    if (status == NORMA_OK && !brief)
        status = run_plan(device, &room, NORMA_INSTANCE_NORM);
    if (status == NORMA_OK && strcmp(driver, "scalar") != 0)
        status = describe(device, &room);
    norma_context_destroy(&context);
    return status;
}

static void test_counted(void **state)
{
    (void)state;
    for (int d = 0; d < TEST_DEVICES; d++) {
        struct counts counts = {0};
        const norma_allocator allocator = {&counts, allocate, reallocate, release};
        atomic_store(&direct, 0);
        atomic_store(&watching, true);
        const norma_status status = all(&allocator, test_devices[d], false);
        atomic_store(&watching, false);
        if (status != NORMA_OK)
            fail_msg("%s: %s", test_devices[d], norma_last_error());
        assert_true(counts.calls > 20);
        assert_int_equal(counts.blocks, 0);
        assert_int_equal(counts.wrong, 0);
        assert_int_equal(direct, 0);
    }
}

// The watch itself: without an allocator the C library's functions are called.
static void test_watched(void **state)
{
    (void)state;
    atomic_store(&direct, 0);
    atomic_store(&watching, true);
    const norma_status status = all(NULL, "scalar", false);
    atomic_store(&watching, false);
    assert_int_equal(status, NORMA_OK);
    assert_true(direct > 20);
}

// Each call in turn gets nothing. What an enumeration or a self-test leaves out for want of memory is no error of a
// call, but another device then.
static void test_exhausted(void **state)
{
    (void)state;
    for (int d = 0; d < TEST_DEVICES; d++) {
        bool through = false;
        for (long at = 1; !through && at < 1000; at++) {
            struct counts counts = {.fail_at = at};
            const norma_allocator allocator = {&counts, allocate, reallocate, release};
            const norma_status status = all(&allocator, test_devices[d], d > 0);
            const bool said = status == NORMA_OK || status == NORMA_ERROR_OUT_OF_MEMORY ||
                              status == NORMA_ERROR_NO_DEVICE || strstr(norma_last_error(), "set aside: out of host");
            if (!said)
                fail_msg("%s, call %ld: %s: %s", test_devices[d], at, norma_status_name(status), norma_last_error());
            if (counts.blocks != 0 || counts.wrong != 0)
                fail_msg("%s, call %ld: %ld blocks are left", test_devices[d], at, (long)counts.blocks);
            through = counts.calls < at;
        }
        assert_true(through);
    }
}

static void test_incomplete(void **state)
{
    (void)state;
    struct counts counts = {0};
    norma_context *context = NULL;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    static const char *const names[] = {"allocator: allocate", "allocator: reallocate", "allocator: release"};
    for (int i = 0; i < 3; i++) {
        const norma_allocator allocator = {&counts, i == 0 ? NULL : allocate, i == 1 ? NULL : reallocate,
                                           i == 2 ? NULL : release};
        params.allocator = &allocator;
        assert_int_equal(norma_context_create(&params, &context), NORMA_ERROR_INVALID_ARGUMENT);
        assert_int_equal(strncmp(norma_last_error(), names[i], strlen(names[i])), 0);
        assert_null(context);
    }
    assert_int_equal(counts.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_watched),
        cmocka_unit_test(test_exhausted),
        cmocka_unit_test(test_incomplete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
