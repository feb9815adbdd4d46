// The canonical form against the caller's own strides, element by element, and the overlap rules against brute force.
#include "overlap.h"
#include "problem.h"
#include "refusal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed = 20261121;

static int below(int n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int)((seed >> 33) % (uint64_t)n);
}

// A view of shape `shape` whose outer dimensions lie in a random order with random gaps; the last k are contiguous.
static norma_tensor random_view(norma_dtype dtype, int rank, int k, const int64_t *shape, void *data)
{
    norma_tensor t = norma_tensor_host(dtype, rank, shape, data);
    int64_t step = 1;
    for (int d = rank - k; d < rank; d++)
        step *= shape[d];
    bool done[NORMA_MAX_RANK] = {false};
    const bool ordered = below(4), tight = below(4); // mostly foldable
    for (int i = rank - k; i > 0; i--) {
        int d = i - 1;
        if (!ordered)
            do
                d = below(rank - k);
            while (done[d]);
        done[d] = true;
        step += tight ? 0 : below(5);
        t.strides[d] = step;
        step *= shape[d];
    }
    return t;
}

static int64_t offset_of_row(const norma_tensor *t, int outer, const int64_t *shape, int64_t row, bool no_outer)
{
    int64_t at = 0;
    for (int d = outer - 1; d >= 0; d--) {
        const int64_t index = row % shape[d];
        row /= shape[d];
        if (!no_outer && t->shape[d] != 1)
            at += index * t->strides[d];
    }
    return at;
}

static int64_t offset_of_canonical(const struct row_problem *r, int a, int64_t row)
{
    int64_t at = 0;
    for (int d = r->outer_rank - 1; d >= 0; d--) {
        int64_t index = row % r->outer[d];
        row /= r->outer[d];
        if (a == NORMA_ARG_GATE && d == r->outer_rank - 1)
            index /= r->gate_rows;
        at += index * r->arg[a].stride[d];
    }
    return at;
}

static void canonical_rows_have_the_callers_addresses(void **state)
{
    (void)state;
    static char memory[8];
    int folded = 0, gated = 0;
    for (int round = 0; round < 20000; round++) {
        const int rank = 1 + below(5), k = 1 + below(rank), outer = rank - k;
        int64_t shape[NORMA_MAX_RANK], gate_shape[NORMA_MAX_RANK];
        for (int d = 0; d < rank; d++) {
            shape[d] = 1 + below(4);
            gate_shape[d] = d < outer && below(2) ? 1 : shape[d];
        }
        const bool flat_gate = below(3) == 0;
        norma_tensor x = random_view(NORMA_FLOAT32, rank, k, shape, memory);
        norma_tensor y = random_view(NORMA_FLOAT16, rank, k, shape, memory);
        norma_tensor gate = flat_gate ? norma_tensor_host(NORMA_FLOAT32, k, shape + outer, memory)
                                      : random_view(NORMA_FLOAT32, rank, k, gate_shape, memory);
        norma_tensor mean = random_view(NORMA_FLOAT32, outer, 0, shape, memory);
        norma_tensor weight = norma_tensor_host(NORMA_BFLOAT16, k, shape + outer, memory);
        norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
        p.normalized_dims = k;
        p.x = &x;
        p.y = &y;
        p.weight = &weight;
        p.gate = below(2) ? &gate : NULL;
        p.mean = below(2) ? &mean : NULL;
        struct norma_work work;
        if (norma_work_from_problem(&p, NORMA_PLACE_NONE, &work) != NORMA_OK)
            fail_msg("round %d: %s", round, norma_last_error());
        assert_false(work.strided);
        const struct row_problem r = work.rows;
        int64_t rows = 1;
        for (int d = 0; d < outer; d++)
            rows *= shape[d];
        assert_int_equal(r.rows, rows);
        folded += r.outer_rank == 1 && outer > 1;
        gated += p.gate && r.gate_rows > 1;
        for (int64_t row = 0; row < rows; row++) {
            assert_int_equal(offset_of_row(&x, outer, shape, row, false), offset_of_canonical(&r, NORMA_ARG_X, row));
            assert_int_equal(offset_of_row(&y, outer, shape, row, false), offset_of_canonical(&r, NORMA_ARG_Y, row));
            assert_int_equal(0, offset_of_canonical(&r, NORMA_ARG_WEIGHT, row));
            if (p.mean)
                assert_int_equal(offset_of_row(&mean, outer, shape, row, false),
                                 offset_of_canonical(&r, NORMA_ARG_MEAN, row));
            if (p.gate)
                assert_int_equal(offset_of_row(&gate, outer, shape, row, flat_gate),
                                 offset_of_canonical(&r, NORMA_ARG_GATE, row));
        }
    }
    assert_true(folded > 1000); // the folding is met, not avoided
    assert_true(gated > 100);
}

static void a_gate_per_sample_is_one_run(void **state)
{
    (void)state;
    static char memory[8];
    const int64_t shape[] = {6, 50, 8}, gate_shape[] = {6, 1, 8};
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 3, shape, memory), y = x;
    norma_tensor gate = norma_tensor_host(NORMA_FLOAT32, 3, gate_shape, memory);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    struct norma_work work;
    p.x = &x;
    p.y = &y;
    p.gate = &gate;
    assert_int_equal(norma_work_from_problem(&p, NORMA_PLACE_NONE, &work), NORMA_OK);
    const struct row_problem r = work.rows;
    assert_int_equal(r.outer_rank, 1);
    assert_int_equal(r.outer[0], 300);
    assert_int_equal(r.gate_rows, 50);
    assert_int_equal(r.arg[NORMA_ARG_GATE].stride[0], 8);
}

// Marks every byte of a view; returns whether one was marked before.
static bool mark(const norma_tensor *t, unsigned char *bytes, const char *base)
{
    int64_t count = 1;
    bool met = false;
    for (int d = 0; d < t->rank; d++)
        count *= t->shape[d];
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = (const char *)t->data - base +
                           offset_of_row(t, t->rank, t->shape, i, false) * (int64_t)norma_dtype_size(t->dtype);
        for (size_t b = 0; b < norma_dtype_size(t->dtype); b++) {
            met |= bytes[at + (int64_t)b] != 0;
            bytes[at + (int64_t)b] = 1;
        }
    }
    return met;
}

static void overlap_is_never_missed(void **state)
{
    (void)state;
    static char memory[16384];
    static unsigned char bytes[16384];
    int apart = 0, interleaved = 0;
    for (int round = 0; round < 30000; round++) {
        norma_tensor t[2];
        const int64_t pitch = 1 + below(12);
        for (int i = 0; i < 2; i++) {
            const int64_t shape[] = {1 + below(4), 1 + below(6)};
            t[i] = norma_tensor_host(below(2) ? NORMA_FLOAT32 : NORMA_FLOAT16, 2, shape, memory + 4 * below(24));
            t[i].strides[0] = below(2) ? pitch : below(20);
        }
        memset(bytes, 0, sizeof(bytes));
        const bool self = mark(&t[0], bytes, memory);
        if (self)
            assert_true(norma_overlaps_itself(&t[0]));
        if (!norma_shares_elements(&t[0], &t[1])) {
            memset(bytes, 0, sizeof(bytes));
            mark(&t[0], bytes, memory);
            unsigned char second[sizeof(bytes)] = {0};
            mark(&t[1], second, memory);
            for (size_t b = 0; b < sizeof(bytes); b++)
                assert_false(bytes[b] && second[b]);
            apart++;
            const char *end = (const char *)t[0].data + norma_tensor_span(&t[0]);
            interleaved += (const char *)t[1].data > (const char *)t[0].data && (const char *)t[1].data < end;
        }
    }
    assert_true(apart > 1000);
    assert_true(interleaved > 100); // q and k of one packed tensor are recognised
}

// Their scale and shift have a row for each sample: x of rank 1 has none.
static void adaptive_norms_have_samples(void **state)
{
    (void)state;
    static const norma_op ops[] = {NORMA_ADA_LAYER_NORM, NORMA_ADA_RMS_NORM, NORMA_LAYER_NORM};
    static const int64_t square[] = {4, 4};
    float memory[16];
    const norma_tensor whole = norma_tensor_host(NORMA_FLOAT32, 2, square, memory);
    const norma_tensor row = norma_tensor_host(NORMA_FLOAT32, 1, square, memory);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        norma_problem p = norma_problem_defaults(ops[i]);
        p.x = p.y = &row;
        if (ops[i] == NORMA_LAYER_NORM) {
            taken(&p);
            continue;
        }
        refused(&p, "x");
        p.scale = &whole;
        refused(&p, "x");
        p.x = p.y = &whole;
        taken(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_rows_have_the_callers_addresses),
        cmocka_unit_test(a_gate_per_sample_is_one_run),
        cmocka_unit_test(overlap_is_never_missed),
        cmocka_unit_test(adaptive_norms_have_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
