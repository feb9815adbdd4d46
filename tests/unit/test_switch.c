// Switchable norm: what it refuses, and which group of the canonical form is which sample's and channel's.
#include "refusal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// x is [2, 3, 5]; every tensor that the problem may have, of its natural shape.
struct room {
    float memory[2 * 3 * 5];
    norma_tensor x, y, channels, kinds, statistics;
};

static norma_problem start(struct room *r)
{
    static const int64_t shape[] = {2, 3, 5}, kinds = 3;
    r->x = r->y = norma_tensor_host(NORMA_FLOAT32, 3, shape, r->memory);
    r->channels = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, r->memory);
    r->kinds = norma_tensor_host(NORMA_FLOAT32, 1, &kinds, r->memory);
    r->statistics = norma_tensor_host(NORMA_FLOAT32, 2, shape, r->memory);
    norma_problem p = norma_problem_defaults(NORMA_SWITCHABLE_NORM);
    p.training = 1;
    p.x = &r->x;
    p.y = &r->y;
    p.mean_weights = p.var_weights = &r->kinds;
    return p;
}

static void both_weights_are_required(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r);
    taken(&p);
    p.mean_weights = NULL;
    refused(&p, "mean_weights");
    p.mean_weights = &r.kinds;
    p.var_weights = NULL;
    refused(&p, "var_weights");
    p = start(&r);
    p.op = NORMA_BATCH_NORM;
    refused(&p, "mean_weights"); // other operators have none
    p.mean_weights = NULL;
    refused(&p, "var_weights");
}

static void weights_are_three(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r);
    norma_tensor other = r.kinds;
    p.var_weights = &other;
    other.dtype = NORMA_BFLOAT16; // any type of parameter
    other.strides[0] = 7;
    taken(&p);
    other.shape[0] = 4;
    refused(&p, "var_weights");
    other = r.statistics;
    refused(&p, "var_weights");
    other = r.kinds;
    other.dtype = NORMA_FLOAT64;
    refused(&p, "var_weights");
}

static void gradients_are_of_backward(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r);
    p.dmean_weights = &r.kinds;
    refused(&p, "dmean_weights");
    p.direction = NORMA_BACKWARD;
    p.dy = &r.y;
    p.y = NULL;
    taken(&p);
    p.dvar_weights = &r.channels; // three as well, by chance
    taken(&p);
    p.dvar_weights = &r.statistics;
    refused(&p, "dvar_weights");
}

static void running_statistics_stand_for_the_batch(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r);
    p.running_mean = &r.channels;
    refused(&p, "running_var");
    p.running_var = &r.channels;
    taken(&p);
    p.training = 0;
    taken(&p);
    p.running_mean = p.running_var = NULL;
    refused(&p, "running_mean");
}

static void one_element_has_no_unbiased_variance(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r);
    r.x.rank = r.y.rank = 2; // [2, 3]
    r.x.shape[0] = r.y.shape[0] = 1;
    taken(&p); // a sample's variance is there
    p.running_mean = p.running_var = &r.channels;
    refused(&p, "x");
    p.running_var_biased = 1;
    taken(&p);
    p.running_var_biased = 0;
    p.training = 0; // nothing is updated
    taken(&p);
}

// mean has a stride in C that tells its elements apart: of sample n and channel c at n*3 + c.
static void check_groups(const norma_problem *p)
{
    struct norma_work work;
    assert_int_equal(norma_work_from_problem(p, NORMA_PLACE_NONE, &work), NORMA_OK);
    const struct norma_form *f = &work.form;
    assert_int_equal(f->samples, p->x->shape[0]);
    assert_int_equal(f->channels, p->x->shape[1]);
    assert_int_equal(f->groups, f->samples * f->channels);
    for (int64_t n = 0; n < f->samples; n++)
        for (int64_t c = 0; c < f->channels; c++) {
            const int64_t group = n * f->sample_step + c * f->channel_step;
            assert_int_equal(form_offset(f, NORMA_ARG_MEAN, group, 0), n * 3 + c);
            assert_int_equal(group / f->sample_step % f->samples, n);
            assert_int_equal(group / f->channel_step % f->channels, c);
        }
}

static void groups_are_samples_times_channels(void **state)
{
    (void)state;
    struct room r;
    norma_problem p = start(&r);
    p.mean = &r.statistics;
    check_groups(&p);
    p.bias = &r.channels; // no folding of samples and channels
    check_groups(&p);
    p.bias = NULL;
    r.x.strides[0] = 1; // channels further apart than samples
    r.x.strides[1] = 2;
    r.x.strides[2] = 6;
    check_groups(&p);
    r.x.shape[0] = r.y.shape[0] = r.statistics.shape[0] = 1;
    check_groups(&p);
    r.x.shape[0] = r.y.shape[0] = r.statistics.shape[0] = 2;
    r.x.shape[1] = r.y.shape[1] = r.statistics.shape[1] = 1;
    check_groups(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_weights_are_required),
        cmocka_unit_test(weights_are_three),
        cmocka_unit_test(gradients_are_of_backward),
        cmocka_unit_test(running_statistics_stand_for_the_batch),
        cmocka_unit_test(one_element_has_no_unbiased_variance),
        cmocka_unit_test(groups_are_samples_times_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
