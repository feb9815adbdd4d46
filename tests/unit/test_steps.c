// Batch norm over several devices: what its steps refuse, and that one piece, which is the whole batch, has the bits of
// batch norm in training.
#include "devices.h"
#include "problem.h"
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 6, C = 4, S = 5, K = 3, ELEMENTS = N * C * S };

// Every tensor that a step may have, of its right shape.
struct room {
    float memory[ELEMENTS];
    norma_tensor x, channels, counts, stats, sums, stats_parts, sums_parts;
};

static norma_problem start(struct room *r, norma_op op, norma_direction direction)
{
    static const int64_t x[] = {N, C, S}, channels[] = {C}, stats[] = {5, C}, sums[] = {2, C};
    static const int64_t stats_parts[] = {K, 5, C}, sums_parts[] = {K, 2, C};
    r->x = norma_tensor_host(NORMA_FLOAT32, 3, x, r->memory);
    r->channels = norma_tensor_host(NORMA_FLOAT32, 1, channels, r->memory);
    r->counts = norma_tensor_host(NORMA_INT32, 1, channels, r->memory);
    r->stats = norma_tensor_host(NORMA_FLOAT32, 2, stats, r->memory);
    r->sums = norma_tensor_host(NORMA_FLOAT32, 2, sums, r->memory);
    r->stats_parts = norma_tensor_host(NORMA_FLOAT32, 3, stats_parts, r->memory);
    r->sums_parts = norma_tensor_host(NORMA_FLOAT32, 3, sums_parts, r->memory);
    norma_problem p = norma_problem_defaults(op);
    p.direction = direction;
    if (op == NORMA_BATCH_NORM_MERGE)
        p.parts = direction ? &r->sums_parts : &r->stats_parts;
    else
        p.x = &r->x;
    if (op != NORMA_BATCH_NORM_MERGE || !direction)
        p.stats = &r->stats;
    if (direction)
        p.sums = &r->sums;
    if (direction && op != NORMA_BATCH_NORM_MERGE)
        p.dy = &r->x;
    if (!direction && op == NORMA_BATCH_NORM_APPLY)
        p.y = &r->x;
    return p;
}

static void taken(const norma_problem *p)
{
    struct norma_work work;
    if (norma_work_from_problem(p, NORMA_PLACE_NONE, &work) != NORMA_OK)
        fail_msg("%s", norma_last_error());
}

// The message begins with the name.
static void refused(const norma_problem *p, const char *name)
{
    struct norma_work work;
    assert_int_equal(norma_work_from_problem(p, NORMA_PLACE_NONE, &work), NORMA_ERROR_INVALID_ARGUMENT);
    if (strncmp(norma_last_error(), name, strlen(name)) != 0 || norma_last_error()[strlen(name)] != ':')
        fail_msg("\"%s\", not of %s", norma_last_error(), name);
}

static const norma_tensor **slot(norma_problem *p, norma_arg arg)
{
    return (const norma_tensor **)(void *)((char *)p + offsetof(norma_problem, x)) + arg;
}

#define BIT(arg) (UINT64_C(1) << NORMA_ARG_##arg)

// Beside the tensors that start() gives each of the others is asked for alone.
static void steps_have_their_tensors(void **state)
{
    static const uint64_t before = BIT(RESIDUAL) | BIT(GATE) | BIT(INPUT_BIAS) | BIT(Z);
    static const uint64_t behind = BIT(WEIGHT) | BIT(BIAS) | BIT(ADDEND);
    const struct {
        norma_op op;
        uint64_t has[2];
    } steps[] = {
        {NORMA_BATCH_NORM_STATS, {before | BIT(SUM), before | behind | BIT(DWEIGHT) | BIT(DBIAS)}},
        {NORMA_BATCH_NORM_MERGE, {0, 0}},
        {NORMA_BATCH_NORM_APPLY,
         {before | behind | BIT(SUM) | BIT(MEAN) | BIT(RSTD) | BIT(NONFINITE),
          before | behind | BIT(DSUM) | BIT(DX) | BIT(DRESIDUAL) | BIT(DGATE) | BIT(DINPUT_BIAS) | BIT(DZ) |
              BIT(DADDEND)}},
    };
    (void)state;
    struct room r;
    for (int i = 0; i < 3; i++)
        for (int direction = 0; direction < 2; direction++)
            for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
                norma_problem p = start(&r, steps[i].op, (norma_direction)direction);
                p.z_first = 1;
                taken(&p);
                if (*slot(&p, (norma_arg)arg)) { // each that start() gives is required
                    *slot(&p, (norma_arg)arg) = NULL;
                    refused(&p, norma_arg_name((norma_arg)arg));
                    continue;
                }
                const bool vector = arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_MEAN ||
                                    arg == NORMA_ARG_RSTD || arg == NORMA_ARG_DWEIGHT || arg == NORMA_ARG_DBIAS ||
                                    arg == NORMA_ARG_RUNNING_MEAN || arg == NORMA_ARG_RUNNING_VAR;
                *slot(&p, (norma_arg)arg) = arg == NORMA_ARG_NONFINITE ? &r.counts : vector ? &r.channels : &r.x;
                if (norma_arg_is_gradient((norma_arg)arg) && arg != NORMA_ARG_DX)
                    *slot(&p, norma_forward_of((norma_arg)arg)) = vector ? &r.channels : &r.x;
                const bool running = arg == NORMA_ARG_RUNNING_MEAN || arg == NORMA_ARG_RUNNING_VAR;
                if (running && steps[i].op == NORMA_BATCH_NORM_APPLY && !direction)
                    refused(&p, arg == NORMA_ARG_RUNNING_MEAN ? "running_var" : "running_mean");
                else if (steps[i].has[direction] >> arg & 1)
                    taken(&p);
                else
                    assert_int_not_equal(norma_work_from_problem(&p, NORMA_PLACE_NONE, &(struct norma_work){0}),
                                         NORMA_OK);
            }
}

static void other_operators_have_none(void **state)
{
    (void)state;
    struct room r;
    for (int arg = NORMA_ARG_STATS; arg <= NORMA_ARG_SUMS; arg++) {
        norma_problem p = start(&r, NORMA_BATCH_NORM_APPLY, NORMA_FORWARD);
        p.op = NORMA_BATCH_NORM;
        p.training = 1;
        p.stats = NULL;
        taken(&p);
        *slot(&p, (norma_arg)arg) = &r.stats;
        refused(&p, norma_arg_name((norma_arg)arg));
    }
}

static void shapes_and_types_are_checked(void **state)
{
    (void)state;
    static const norma_op ops[] = {NORMA_BATCH_NORM_STATS, NORMA_BATCH_NORM_MERGE, NORMA_BATCH_NORM_APPLY};
    struct room r;
    for (int i = 0; i < 6; i++) {
        const norma_direction direction = (norma_direction)(i % 2);
        norma_problem p = start(&r, ops[i / 2], direction);
        norma_tensor *const tensors[] = {&r.stats, &r.sums, direction ? &r.sums_parts : &r.stats_parts};
        const norma_tensor *const given[] = {p.stats, p.sums, p.parts};
        const char *const names[] = {"stats", "sums", "parts"};
        for (int t = 0; t < 3; t++) {
            if (!given[t])
                continue;
            const norma_tensor right = *tensors[t];
            tensors[t]->dtype = NORMA_FLOAT16;
            refused(&p, names[t]);
            *tensors[t] = right;
            tensors[t]->shape[right.rank - 2]++; // rows
            refused(&p, names[t]);
            *tensors[t] = right;
            tensors[t]->rank--;
            refused(&p, names[t]);
            *tensors[t] = right;
            tensors[t]->shape[right.rank - 1]++; // channels: of parts they tell how many there are
            refused(&p, t < 2 ? names[t] : direction ? "sums" : "stats");
            *tensors[t] = right;
            taken(&p);
        }
    }
    norma_problem p = start(&r, NORMA_BATCH_NORM_STATS, NORMA_FORWARD);
    r.x.rank = 1;
    refused(&p, "x");
    p = start(&r, NORMA_BATCH_NORM_STATS, NORMA_FORWARD);
    p.z = &r.x;
    refused(&p, "z"); // behind the statistics
    p.z_first = 1;
    taken(&p);
}

static uint64_t seed = 20261121;

static float uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(seed >> 40) * 0x1p-24f;
}

static void run(norma_context *context, const norma_problem *p)
{
    if (norma_run(context, p) != NORMA_OK)
        fail_msg("%s: %s", norma_op_name(p->op), norma_last_error());
}

// Channels of a batch, of a few kinds.
enum { SAMPLES = 7, CHANNELS = 5, SPACE = 900, ALL = SAMPLES * CHANNELS * SPACE };

struct batch {
    float x[ALL], dy[ALL], weight[CHANNELS], bias[CHANNELS];
    // Of batch norm, and of the steps.
    float y[2][ALL], dx[2][ALL], mean[2][CHANNELS], rstd[2][CHANNELS], running_mean[2][CHANNELS],
        running_var[2][CHANNELS], dweight[2][CHANNELS], dbias[2][CHANNELS];
    int8_t codes[2][ALL];
    float y_scale[2][CHANNELS];
    int32_t nonfinite[2][CHANNELS];
    float parts[5][CHANNELS], stats[5][CHANNELS], parts_of_sums[2][CHANNELS], sums[2][CHANNELS];
};

static void fill(struct batch *b)
{
    static const float mean[CHANNELS] = {0, 1e4f, 1e6f, 3e30f, -5}, deviation[CHANNELS] = {1, 1, 1, 1e30f, 0};
    for (int i = 0; i < ALL; i++) {
        const int c = i / SPACE % CHANNELS;
        b->x[i] = mean[c] + deviation[c] * (uniform() - 0.5f);
        b->dy[i] = uniform() - 0.4f;
    }
    for (int c = 0; c < CHANNELS; c++) {
        b->weight[c] = 1 + uniform();
        b->bias[c] = uniform();
        b->running_mean[0][c] = b->running_mean[1][c] = uniform();
        b->running_var[0][c] = b->running_var[1][c] = uniform();
    }
}

// The forward problem once more with a y of 8 bits, whose scales are found, and with counts.
static void quantise(norma_context *context, const norma_problem *forward, struct batch *b, int by)
{
    const norma_tensor codes = norma_tensor_host(NORMA_INT8, 3, forward->x->shape, b->codes[by]);
    const norma_tensor y_scale = norma_tensor_host(NORMA_FLOAT32, 1, forward->x->shape + 1, b->y_scale[by]);
    const norma_tensor nonfinite = norma_tensor_host(NORMA_INT32, 1, forward->x->shape + 1, b->nonfinite[by]);
    norma_problem p = *forward;
    p.running_mean = p.running_var = NULL;
    p.y = &codes;
    p.y_scale = &y_scale;
    p.nonfinite = &nonfinite;
    p.dynamic_scale = 1;
    run(context, &p);
}

// Both directions, by batch norm (0) or by the steps (1).
static void train(norma_context *context, struct batch *b, int by)
{
    static const int64_t shape[] = {SAMPLES, CHANNELS, SPACE}, rows5[] = {1, 5, CHANNELS}, rows2[] = {1, 2, CHANNELS};
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 3, shape, b->x),
                       dy = norma_tensor_host(NORMA_FLOAT32, 3, shape, b->dy);
    const norma_tensor y = norma_tensor_host(NORMA_FLOAT32, 3, shape, b->y[by]),
                       dx = norma_tensor_host(NORMA_FLOAT32, 3, shape, b->dx[by]);
    float *const vectors[] = {b->weight,          b->bias,        b->mean[by], b->rstd[by], b->running_mean[by],
                              b->running_var[by], b->dweight[by], b->dbias[by]};
    norma_tensor v[8];
    for (int i = 0; i < 8; i++)
        v[i] = norma_tensor_host(NORMA_FLOAT32, 1, shape + 1, vectors[i]);
    const norma_tensor part = norma_tensor_host(NORMA_FLOAT32, 2, rows5 + 1, b->parts),
                       parts = norma_tensor_host(NORMA_FLOAT32, 3, rows5, b->parts),
                       stats = norma_tensor_host(NORMA_FLOAT32, 2, rows5 + 1, b->stats),
                       part_of_sums = norma_tensor_host(NORMA_FLOAT32, 2, rows2 + 1, b->parts_of_sums),
                       parts_of_sums = norma_tensor_host(NORMA_FLOAT32, 3, rows2, b->parts_of_sums),
                       sums = norma_tensor_host(NORMA_FLOAT32, 2, rows2 + 1, b->sums);
    norma_problem p = norma_problem_defaults(by ? NORMA_BATCH_NORM_STATS : NORMA_BATCH_NORM);
    p.x = &x;
    if (by) {
        p.stats = &part;
        run(context, &p);
        p = norma_problem_defaults(NORMA_BATCH_NORM_MERGE);
        p.parts = &parts;
        p.stats = &stats;
        run(context, &p);
        p.op = NORMA_BATCH_NORM_APPLY;
        p.parts = NULL;
    }
    p.training = 1;
    p.x = &x;
    p.y = &y;
    p.weight = &v[0];
    p.bias = &v[1];
    p.mean = &v[2];
    p.rstd = &v[3];
    p.running_mean = &v[4];
    p.running_var = &v[5];
    p.activation = NORMA_SILU;
    run(context, &p);
    quantise(context, &p, b, by);
    p.direction = NORMA_BACKWARD;
    p.y = p.mean = p.rstd = p.running_mean = p.running_var = NULL;
    p.dy = &dy;
    p.dweight = &v[6];
    p.dbias = &v[7];
    if (by) {
        p.op = NORMA_BATCH_NORM_STATS;
        p.sums = &part_of_sums;
        run(context, &p);
        norma_problem merge = norma_problem_defaults(NORMA_BATCH_NORM_MERGE);
        merge.direction = NORMA_BACKWARD;
        merge.parts = &parts_of_sums;
        merge.sums = &sums;
        run(context, &merge);
        p.op = NORMA_BATCH_NORM_APPLY;
        p.sums = &sums;
        p.dweight = p.dbias = NULL;
    }
    p.dx = &dx;
    run(context, &p);
}

static void same(const char *device, const char *name, const float pair[2][CHANNELS])
{
    for (int c = 0; c < CHANNELS; c++)
        if (memcmp(&pair[0][c], &pair[1][c], sizeof(float)) != 0)
            fail_msg("%s: %s[%d] is %.9g by batch_norm, %.9g by its steps", device, name, c, (double)pair[0][c],
                     (double)pair[1][c]);
}

// The scalar path keeps its statistics in double, which stats of float32 cannot.
static void one_piece_has_the_bits_of_batch_norm(void **state)
{
    (void)state;
    struct batch *b = malloc(sizeof(*b));
    assert_non_null(b);
    for (int i = 1; i < TEST_DEVICES; i++) {
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        norma_context *context = NULL;
        params.device = test_devices[i];
        if (norma_context_create(&params, &context) != NORMA_OK)
            fail_msg("%s: %s", test_devices[i], norma_last_error());
        memset(b, 0xff, sizeof(*b));
        fill(b);
        train(context, b, 0);
        train(context, b, 1);
        for (int e = 0; e < ALL; e++)
            if (memcmp(&b->y[0][e], &b->y[1][e], sizeof(float)) != 0 ||
                memcmp(&b->dx[0][e], &b->dx[1][e], sizeof(float)) != 0 || isnan(b->y[0][e]) || isnan(b->dx[0][e]))
                fail_msg("%s: element %d: y %.9g and %.9g, dx %.9g and %.9g", test_devices[i], e, (double)b->y[0][e],
                         (double)b->y[1][e], (double)b->dx[0][e], (double)b->dx[1][e]);
        assert_memory_equal(b->codes[0], b->codes[1], ALL);
        for (int c = 0; c < CHANNELS; c++)
            assert_true(b->nonfinite[0][c] == 0 && b->nonfinite[1][c] == 0);
        same(test_devices[i], "y_scale", (const float(*)[CHANNELS])b->y_scale);
        same(test_devices[i], "mean", (const float(*)[CHANNELS])b->mean);
        same(test_devices[i], "rstd", (const float(*)[CHANNELS])b->rstd);
        same(test_devices[i], "running_mean", (const float(*)[CHANNELS])b->running_mean);
        same(test_devices[i], "running_var", (const float(*)[CHANNELS])b->running_var);
        same(test_devices[i], "dweight", (const float(*)[CHANNELS])b->dweight);
        same(test_devices[i], "dbias", (const float(*)[CHANNELS])b->dbias);
        norma_context_destroy(&context);
    }
    free(b);
}

// A device without a sample has stats of zeros, and learns as much as the others. A batch of one element teaches
// nothing.
static void pieces_may_be_empty(void **state)
{
    (void)state;
    static const int64_t nothing[] = {0, 2, 3}, rows[] = {2, 5, 2}, channels[] = {2};
    for (int i = 0; i < TEST_DEVICES; i++) {
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        norma_context *context = NULL;
        float parts[2][5][2] = {{{4, 1}, {10, 20}, {0, 0}, {12, 0}, {1, 1}}}, stats[5][2] = {{0}}, mean[2] = {0},
              rstd[2] = {0};
        float running_mean[2] = {1, 2}, running_var[2] = {3, 4}, scale[2] = {7, 7};
        int32_t counts[2] = {7, 7};
        const norma_tensor codes = norma_tensor_host(NORMA_INT8, 3, nothing, NULL),
                           scales = norma_tensor_host(NORMA_FLOAT32, 1, channels, scale),
                           nonfinite = norma_tensor_host(NORMA_INT32, 1, channels, counts);
        const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 3, nothing, NULL);
        const norma_tensor empty = norma_tensor_host(NORMA_FLOAT32, 2, rows + 1, parts[1]),
                           all = norma_tensor_host(NORMA_FLOAT32, 3, rows, parts),
                           merged = norma_tensor_host(NORMA_FLOAT32, 2, rows + 1, stats);
        float *const vectors[] = {mean, rstd, running_mean, running_var};
        norma_tensor v[4];
        for (int k = 0; k < 4; k++)
            v[k] = norma_tensor_host(NORMA_FLOAT32, 1, channels, vectors[k]);
        params.device = test_devices[i];
        if (norma_context_create(&params, &context) != NORMA_OK)
            fail_msg("%s: %s", test_devices[i], norma_last_error());
        memset(parts[1], 0xff, sizeof parts[1]);
        norma_problem p = norma_problem_defaults(NORMA_BATCH_NORM_STATS);
        p.x = &x;
        p.stats = &empty;
        run(context, &p);
        for (int k = 0; k < 10; k++)
            assert_true(parts[1][k / 2][k % 2] == 0);
        p = norma_problem_defaults(NORMA_BATCH_NORM_MERGE);
        p.parts = &all;
        p.stats = &merged;
        run(context, &p);
        assert_memory_equal(stats, parts[0], sizeof stats);
        p = norma_problem_defaults(NORMA_BATCH_NORM_APPLY);
        p.eps = 1;
        p.momentum = 0.5;
        p.x = &x;
        p.y = &codes;
        p.y_scale = &scales;
        p.dynamic_scale = 1;
        p.nonfinite = &nonfinite;
        p.stats = &merged;
        p.mean = &v[0];
        p.rstd = &v[1];
        p.running_mean = &v[2];
        p.running_var = &v[3];
        run(context, &p);
        assert_true(mean[0] == 10 && mean[1] == 20 && rstd[0] == 0.5f && rstd[1] == 1);
        assert_true(scale[0] == 1 && scale[1] == 1 && counts[0] == 0 && counts[1] == 0);
        assert_true(running_mean[0] == 5.5f && running_var[0] == 3.5f); // 12 / (4 - 1)
        assert_true(running_mean[1] == 2 && running_var[1] == 4);
        p.running_var_biased = 1; // the biased variance of one element is 0
        run(context, &p);
        assert_true(running_mean[1] == 11 && running_var[1] == 2);
        norma_context_destroy(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_have_their_tensors),     cmocka_unit_test(other_operators_have_none),
        cmocka_unit_test(shapes_and_types_are_checked), cmocka_unit_test(one_piece_has_the_bits_of_batch_norm),
        cmocka_unit_test(pieces_may_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
