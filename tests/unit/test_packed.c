// Packed channels: the canonical form against addresses worked out from norma_tensor's own words, what is refused,
// which views overlap, and what is left alone.
#include "overlap.h"
#include "refusal.h"
#include "schedule.h"
#include "walk.h"
#include <norma/norma.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t seed = 20261122;

static int below(int n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int)((seed >> 33) % (uint64_t)n);
}

enum { RANK = 4 };

static int64_t place_of(const norma_tensor *t, const int64_t index[RANK])
{
    int64_t at = 0;
    for (int d = 0; d < RANK; d++)
        if (d != 1 || t->channel_block <= 1)
            at += index[d] * t->strides[d];
    if (t->channel_block > 1)
        at += index[1] / t->channel_block * t->block_stride + index[1] % t->channel_block * t->strides[1];
    return at;
}

// Packed by 2 to 16, contiguous or with gaps, or not packed.
static norma_tensor random_tensor(const int64_t shape[RANK])
{
    norma_tensor t = norma_tensor_host(NORMA_FLOAT32, RANK, shape, NULL);
    const int gaps = below(3) ? 0 : 1 + below(4);
    norma_tensor_pack(&t, 1 << below(5));
    for (int d = 0; d < RANK && gaps; d++)
        t.strides[d] *= 1 + gaps;
    t.block_stride *= 1 + gaps;
    return t;
}

static norma_problem random_problem(const norma_tensor *x, const norma_tensor *y)
{
    static const norma_op ops[] = {NORMA_BATCH_NORM, NORMA_GROUP_NORM, NORMA_INSTANCE_NORM,
                                   NORMA_LAYER_NORM, NORMA_NORMALIZE,  NORMA_LOCAL_RESPONSE_NORM};
    norma_problem p = norma_problem_defaults(ops[below(6)]);
    p.x = x;
    p.y = y;
    p.training = 1;
    p.normalized_dims = 1 + below(RANK);
    if (p.op != NORMA_LAYER_NORM || below(2))
        p.axes = 1 + (uint32_t)below((1 << RANK) - 1);
    do
        p.num_groups = 1 + below((int)x->shape[1]);
    while (x->shape[1] % p.num_groups);
    return p;
}

// Whether two elements of x belong to one group.
static bool is_together(const norma_problem *p, const int64_t a[RANK], const int64_t b[RANK])
{
    const int64_t inside = p->x->shape[1] / p->num_groups;
    switch (p->op) {
    case NORMA_BATCH_NORM:
        return a[1] == b[1];
    case NORMA_GROUP_NORM:
        return a[0] == b[0] && a[1] / inside == b[1] / inside;
    case NORMA_INSTANCE_NORM:
        return a[0] == b[0] && a[1] == b[1];
    case NORMA_LOCAL_RESPONSE_NORM:
        return a[0] == b[0] && a[2] == b[2] && a[3] == b[3];
    default:
        for (int d = 0; d < RANK; d++)
            if ((p->axes == 0 ? d < RANK - p->normalized_dims : !(p->axes >> d & 1)) && a[d] != b[d])
                return false;
        return true;
    }
}

// Every element of x once, in the group where it belongs, and y's element of the same index with it.
static void check_form(const norma_problem *p, const struct norma_form *f)
{
    const norma_tensor *x = p->x;
    const int64_t span = (int64_t)(norma_tensor_span(x) / sizeof(float));
    int64_t(*at)[RANK] = calloc((size_t)span, sizeof *at), first[RANK] = {0}, elements = 0, index[RANK];
    bool *there = calloc((size_t)span, 1);
    assert_non_null(at);
    assert_non_null(there);
    for (index[0] = 0; index[0] < x->shape[0]; index[0]++)
        for (index[1] = 0; index[1] < x->shape[1]; index[1]++)
            for (index[2] = 0; index[2] < x->shape[2]; index[2]++)
                for (index[3] = 0; index[3] < x->shape[3]; index[3]++) {
                    const int64_t place = place_of(x, index);
                    assert_true(place < span && !there[place]);
                    there[place] = true;
                    memcpy(at[place], index, sizeof index);
                    elements++;
                }
    assert_int_equal(f->groups * f->n, elements);
    for (int64_t group = 0; group < f->groups; group++)
        for (int64_t element = 0; element < f->n; element++) {
            const int64_t place = form_offset(f, NORMA_ARG_X, group, element);
            assert_true(place >= 0 && place < span && there[place]);
            there[place] = false; // met
            if (element == 0)
                memcpy(first, at[place], sizeof first);
            assert_true(is_together(p, first, at[place]));
            assert_int_equal(form_offset(f, NORMA_ARG_Y, group, element), place_of(p->y, at[place]));
        }
    free(at);
    free(there);
}

static void elements_are_where_the_caller_says(void **state)
{
    (void)state;
    int split = 0, jumps = 0;
    for (int round = 0; round < 3000; round++) {
        const int64_t shape[RANK] = {1 + below(3), 1 + below(24), 1 + below(4), 1 + below(4)};
        const norma_tensor x = random_tensor(shape), y = random_tensor(shape);
        const norma_problem p = random_problem(&x, &y);
        struct norma_work work;
        const norma_status status = norma_work_from_problem(&p, NORMA_PLACE_NONE, &work);
        if (status == NORMA_ERROR_INVALID_ARGUMENT && strstr(norma_last_error(), "one element"))
            continue;
        assert_int_equal(status, NORMA_OK);
        check_form(&p, &work.form);
        jumps += work.form.jumps;
        split += x.channel_block > 1 && shape[1] > x.channel_block && work.form.arg[NORMA_ARG_X].jump == 0;
    }
    assert_true(split > 300 && jumps > 300);
}

// Blocks that hold whole groups, or groups of whole blocks, need no kernels of their own.
static void full_blocks_are_dimensions(void **state)
{
    (void)state;
    static const int64_t channels[][2] = {{8, 1}, {8, 2}, {8, 4}, {8, 8}, {16, 2}, {12, 3}};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        const int64_t shape[RANK] = {2, channels[i][0], 3, 5};
        norma_tensor x = norma_tensor_host(NORMA_FLOAT32, RANK, shape, NULL);
        norma_problem p = norma_problem_defaults(NORMA_GROUP_NORM);
        struct norma_work work;
        norma_tensor_pack(&x, 4);
        p.x = p.y = &x;
        p.num_groups = (int32_t)channels[i][1];
        assert_int_equal(norma_work_from_problem(&p, NORMA_PLACE_NONE, &work), NORMA_OK);
        assert_false(work.form.jumps);
        check_form(&p, &work.form);
    }
}

// Inference of batch norm, and group norm: four neighbours of a block at a time.
static void full_blocks_take_quads(void **state)
{
    (void)state;
    static const struct {
        norma_op op;
        int64_t channels;
        int32_t groups;
        bool quads;
    } cases[] = {{NORMA_BATCH_NORM, 16, 1, true},   {NORMA_BATCH_NORM, 18, 1, false},
                 {NORMA_GROUP_NORM, 16, 2, true},   {NORMA_GROUP_NORM, 20, 2, false},
                 {NORMA_INSTANCE_NORM, 8, 1, true}, {NORMA_INSTANCE_NORM, 6, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t shape[RANK] = {2, cases[i].channels, 6, 6};
        norma_tensor x = norma_tensor_host(NORMA_FLOAT32, RANK, shape, NULL);
        const norma_tensor weight = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, NULL);
        norma_problem p = norma_problem_defaults(cases[i].op);
        struct norma_work work;
        norma_tensor_pack(&x, 4);
        p.x = p.y = &x;
        p.num_groups = cases[i].groups;
        p.weight = &weight;
        if (cases[i].op == NORMA_BATCH_NORM)
            p.running_mean = p.running_var = &weight;
        assert_int_equal(norma_work_from_problem(&p, NORMA_PLACE_NONE, &work), NORMA_OK);
        if (norma_form_takes_quads(&work.form) != cases[i].quads)
            fail_msg("case %zu", i);
    }
}

static void views_follow_from_a_contiguous_one(void **state)
{
    (void)state;
    const int64_t shape[RANK] = {2, 10, 3, 5};
    norma_tensor t = norma_tensor_host(NORMA_FLOAT32, RANK, shape, NULL);
    norma_tensor_pack(&t, 4);
    const int64_t strides[RANK] = {3 * 60, 1, 20, 4};
    assert_memory_equal(t.strides, strides, sizeof strides);
    assert_int_equal(t.block_stride, 60);
    assert_int_equal(t.channel_block, 4);
    assert_int_equal(norma_tensor_span(&t), 2 * 3 * 60 * sizeof(float)); // padding and all
}

static void refusals_name_the_tensor(void **state)
{
    (void)state;
    const int64_t shape[RANK] = {2, 10, 3, 5}, long_shape[NORMA_MAX_RANK] = {2, 10, 1, 1, 1, 1, 1, 1}, ten = 10;
    const norma_tensor plain = norma_tensor_host(NORMA_FLOAT32, RANK, shape, NULL);
    norma_tensor x = plain, y = plain, weight = norma_tensor_host(NORMA_FLOAT32, 1, &ten, NULL);
    norma_problem p = norma_problem_defaults(NORMA_GROUP_NORM);
    p.x = &x;
    p.y = &y;
    norma_tensor_pack(&y, 4);
    const norma_tensor packed = y;
    taken(&p);
    static const int32_t blocks[] = {-4, 3, 12, 128};
    for (size_t i = 0; i < 4; i++) {
        y.channel_block = blocks[i];
        refused(&p, "y");
    }
    y = packed;
    y.block_stride = 0;
    refused(&p, "y");
    y = packed;
    y.strides[1] = 0;
    refused(&p, "y");
    y = packed;
    y.block_stride = 3; // blocks overlap
    refused(&p, "y");
    y = packed;
    y.block_stride = INT64_MAX / 2;
    refused(&p, "y");
    y = packed;
    weight.channel_block = 4;
    weight.block_stride = 4;
    p.weight = &weight;
    refused(&p, "weight");
    const norma_tensor flat = norma_tensor_host(NORMA_FLOAT32, 2, (const int64_t[]){10, 4}, NULL);
    weight = flat;
    norma_tensor_pack(&weight, 4);
    refused(&p, "weight");
    p.weight = NULL;
    x = norma_tensor_host(NORMA_FLOAT32, NORMA_MAX_RANK, long_shape, NULL);
    norma_tensor_pack(&x, 4);
    assert_int_equal(x.channel_block, 0); // left as it was
    x.channel_block = 4;
    x.block_stride = 4;
    refused(&p, "x");
}

static void packed_views_overlap_as_their_memory_does(void **state)
{
    (void)state;
    static float memory[4096];
    const int64_t shape[RANK] = {2, 10, 3, 5};
    norma_tensor a = norma_tensor_host(NORMA_FLOAT32, RANK, shape, memory), b = a;
    norma_tensor_pack(&a, 4);
    assert_false(norma_same_view(&a, &b));
    assert_true(norma_shares_elements(&a, &b));
    norma_tensor_pack(&b, 4);
    assert_true(norma_same_view(&a, &b));
    b.block_stride++;
    assert_false(norma_same_view(&a, &b));
    b.block_stride--;
    b.data = memory + 2 * 3 * 60 - 1; // the padding is a's own
    assert_true(norma_shares_elements(&a, &b));
    b.data = memory + 2 * 3 * 60;
    assert_false(norma_shares_elements(&a, &b));
}

// An empty group's outputs are written element by element.
static void a_walk_leaves_the_padding_out(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        const int64_t shape[RANK] = {1 + below(3), 1 + below(20), 1 + below(3), 1 + below(3)};
        const norma_tensor t = random_tensor(shape);
        int64_t index[RANK] = {0}, count = 0;
        for (struct norma_walk w = norma_walk_begin(&t); !w.done; norma_walk_next(&t, &w), count++) {
            assert_int_equal(w.offset, place_of(&t, index));
            for (int d = RANK - 1; d >= 0 && ++index[d] == shape[d]; d--)
                index[d] = 0;
        }
        assert_int_equal(count, shape[0] * shape[1] * shape[2] * shape[3]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_where_the_caller_says),
        cmocka_unit_test(full_blocks_are_dimensions),
        cmocka_unit_test(full_blocks_take_quads),
        cmocka_unit_test(views_follow_from_a_contiguous_one),
        cmocka_unit_test(refusals_name_the_tensor),
        cmocka_unit_test(packed_views_overlap_as_their_memory_does),
        cmocka_unit_test(a_walk_leaves_the_padding_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
