// Batch norm and its relatives: what they refuse, and the canonical form of virtual batches.
#include "refusal.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// x is [6, 4, 5]; every tensor that the problem may have, of its natural shape.
struct room {
    float memory[6 * 4 * 5];
    norma_tensor x, y, channels, statistics;
};

static norma_problem start(struct room *r, norma_op op)
{
    static const int64_t shape[] = {6, 4, 5}, statistics[] = {3, 4};
    r->x = r->y = norma_tensor_host(NORMA_FLOAT32, 3, shape, r->memory);
    r->channels = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, r->memory);
    r->statistics = norma_tensor_host(NORMA_FLOAT32, 2, statistics, r->memory);
    norma_problem p = norma_problem_defaults(op);
    p.training = 1;
    p.x = &r->x;
    p.y = &r->y;
    return p;
}

static void virtual_batches_divide_the_batch(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r, NORMA_GHOST_BATCH_NORM);
    refused(&p, "virtual_batch"); // there is no default
    for (int32_t size = -1; size <= 7; size++) {
        p.virtual_batch = size;
        if (size > 0 && 6 % size == 0)
            taken(&p);
        else
            refused(&p, "virtual_batch");
    }
    p.virtual_batch = 2;
    p.mean = p.rstd = &r.statistics;
    taken(&p);
    p.mean = &r.channels; // a mean for all of the batch
    refused(&p, "mean");
    p.mean = p.rstd = NULL;
    p.running_mean = &r.channels;
    refused(&p, "running_var");
    p.running_var = &r.channels;
    taken(&p);
    p.training = 0; // virtual batches are of training alone
    p.virtual_batch = 5;
    taken(&p);
    p.running_mean = p.running_var = NULL;
    refused(&p, "running_mean");
}

static void one_element_cannot_train(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r, NORMA_GHOST_BATCH_NORM);
    r.x.rank = r.y.rank = 2; // [6, 4]
    p.virtual_batch = 1;
    refused(&p, "x");
    p.virtual_batch = 2;
    taken(&p);
    p.virtual_batch = 1;
    r.x.shape[0] = r.y.shape[0] = 0; // no virtual batch at all
    taken(&p);
}

static void one_element_has_no_unbiased_variance(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r, NORMA_INSTANCE_NORM);
    r.x.shape[2] = r.y.shape[2] = 1; // [6, 4, 1]
    taken(&p);
    p.running_mean = p.running_var = &r.channels;
    refused(&p, "x");
    p.running_var_biased = 1; // 0
    taken(&p);
    p.running_var_biased = 0;
    p.use_input_stats = 0;
    taken(&p);
    p.use_input_stats = 1;
    r.x.shape[2] = r.y.shape[2] = 2;
    taken(&p);
    r.x.shape[2] = r.y.shape[2] = 1;
    r.x.shape[0] = r.y.shape[0] = 0; // no group at all
    taken(&p);
}

// Element by element: group and element of the form are those of the definition.
static void virtual_batches_are_groups(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r, NORMA_GHOST_BATCH_NORM);
    struct norma_work work;
    p.virtual_batch = 2;
    p.mean = &r.statistics;
    assert_int_equal(norma_work_from_problem(&p, NORMA_PLACE_NONE, &work), NORMA_OK);
    const struct norma_form *f = &work.form;
    assert_int_equal(f->groups, 3 * 4);
    assert_int_equal(f->n, 2 * 5);
    bool met[6 * 4 * 5] = {false};
    for (int64_t group = 0; group < f->groups; group++)
        for (int64_t element = 0; element < f->n; element++) {
            const int64_t at = form_offset(f, NORMA_ARG_X, group, element);
            const int64_t mean = form_offset(f, NORMA_ARG_MEAN, group, element);
            assert_false(met[at]);
            met[at] = true;
            const int64_t sample = at / 20, channel = at / 5 % 4;
            assert_int_equal(mean, sample / 2 * 4 + channel);
        }
}

static void batches_are_counted_by_one_integer(void **state)
{
    (void)state;
    struct room r;
    int64_t seen = 7;
    const int64_t one = 1, two = 2;
    norma_tensor count = norma_tensor_host(NORMA_INT64, 0, NULL, &seen);
    norma_problem p = start(&r, NORMA_BATCH_NORM);
    p.cumulative = 1; // of nothing
    taken(&p);
    p.running_mean = p.running_var = &r.channels;
    refused(&p, "num_batches_tracked");
    p.num_batches_tracked = &count;
    taken(&p);
    count = norma_tensor_host(NORMA_INT64, 1, &one, &seen);
    taken(&p);
    count = norma_tensor_host(NORMA_INT64, 1, &two, &seen);
    refused(&p, "num_batches_tracked");
    count = norma_tensor_host(NORMA_FLOAT32, 0, NULL, &seen);
    refused(&p, "num_batches_tracked");
    count = norma_tensor_host(NORMA_INT64, 0, NULL, &seen);
    r.channels.dtype = NORMA_INT64;
    refused(&p, "running_mean");
    p.running_mean = p.running_var = NULL;
    p.op = NORMA_GROUP_NORM;
    refused(&p, "num_batches_tracked");
}

// Their memory is looked at where it is the host's.
static void a_count_is_not_negative(void **state)
{
    (void)state;
    struct room r;
    struct norma_work work;
    float y[6 * 4 * 5];
    int64_t seen = -1;
    norma_tensor count = norma_tensor_host(NORMA_INT64, 0, NULL, &seen);
    norma_problem p = start(&r, NORMA_BATCH_NORM);
    p.num_batches_tracked = &count;
    r.y.data = y;
    taken(&p);
    assert_int_equal(norma_work_from_problem(&p, NORMA_PLACE_HOST, &work), NORMA_ERROR_INVALID_ARGUMENT);
    assert_int_equal(strncmp(norma_last_error(), "num_batches_tracked:", 20), 0);
    seen = 0;
    assert_int_equal(norma_work_from_problem(&p, NORMA_PLACE_HOST, &work), NORMA_OK);
}

static void renorm_needs_the_running_statistics(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r, NORMA_BATCH_RENORM);
    refused(&p, "running_mean");
    p.running_mean = p.running_var = &r.channels;
    taken(&p);
    const double bad[] = {0, 0.99, -3, NAN, INFINITY, 1e39};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        p.r_max = bad[i];
        refused(&p, "r_max");
    }
    p.r_max = 1;
    for (size_t i = 2; i < sizeof(bad) / sizeof(*bad); i++) {
        p.d_max = bad[i];
        refused(&p, "d_max");
    }
    p.d_max = 0;
    p.r = p.d = &r.channels;
    taken(&p);
    p.r = &r.statistics;
    refused(&p, "r");
    p.r = &r.channels;
    p.training = 0;
    refused(&p, "r");
    p.r = p.d = NULL;
    taken(&p);
    p.op = NORMA_BATCH_NORM;
    p.training = 1;
    p.r_max = 0; // nobody looks at it
    taken(&p);
    p.d = &r.channels;
    refused(&p, "d");
}

static void renorm_goes_back_by_its_own_r_and_d(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r, NORMA_BATCH_RENORM);
    p.direction = NORMA_BACKWARD;
    p.dy = &r.x;
    p.dx = p.y;
    p.y = NULL;
    refused(&p, "r");
    p.r = &r.channels;
    refused(&p, "d");
    p.d = &r.channels;
    taken(&p); // without running statistics
    p.training = 0;
    refused(&p, "r");
    p.r = p.d = NULL;
    refused(&p, "running_mean");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(virtual_batches_divide_the_batch),     cmocka_unit_test(one_element_cannot_train),
        cmocka_unit_test(one_element_has_no_unbiased_variance), cmocka_unit_test(virtual_batches_are_groups),
        cmocka_unit_test(batches_are_counted_by_one_integer),   cmocka_unit_test(a_count_is_not_negative),
        cmocka_unit_test(renorm_needs_the_running_statistics),  cmocka_unit_test(renorm_goes_back_by_its_own_r_and_d),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
