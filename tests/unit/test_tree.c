// The reduction tree of docs/reduction.md against long double arithmetic, within the numeric contract: the
// specification itself is on trial here, not a kernel.
#include "tree.h"
#include "verify/reference.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const size_t lengths[] = {1,   2,   3,    15,   16,   17,   31,    32,    33,     511,    512,
                                 513, 768, 4095, 4096, 4097, 8192, 20000, 65536, 262144, 262145, (1 << 20) + 1};
static const float epsilons[] = {0, 1e-38f, 1e-5f};

static struct {
    uint64_t random;
    float *h;
    double worst[3]; // mean, rstd, y: error/bound
    struct tree_counts counts;
} test;

static double uniform(void)
{
    test.random = test.random * 6364136223846793005u + 1442695040888963407u;
    return (double)(test.random >> 11) * 0x1p-53;
}

static double normal(void)
{
    double u = uniform() + 0x1p-60;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * uniform());
}

static double worst_y(const struct reference_row *row, const struct reference_stats *stats, const struct tree_row *tree)
{
    double worst = 0;
    for (int64_t i = 0; i < row->n; i++) {
        long double bound, y = reference_y(row, stats, i, NORMA_FLOAT32, &bound);
        float got = tree_xhat(row->op == NORMA_RMS_NORM, tree, row->h[i]);
        worst = fmax(worst, reference_error(y, bound, got, NORMA_FLOAT32));
    }
    return worst;
}

static void check_one(const char *what, bool rms, float eps, size_t n)
{
    const struct reference_row row = {
        .op = rms ? NORMA_RMS_NORM : NORMA_LAYER_NORM, (int64_t)n, eps, 0, test.h, NULL, NULL};
    const struct reference_stats stats = reference_statistics(&row);
    const struct tree_row tree = tree_row(rms, eps, test.h, n, &test.counts);
    double error[3] = {rms ? 0 : reference_error(stats.mean, stats.mean_bound, tree.m / tree.a, NORMA_FLOAT32),
                       reference_error(stats.rstd, stats.rstd_bound, tree.s * tree.a, NORMA_FLOAT32),
                       worst_y(&row, &stats, &tree)};
    for (int i = 0; i < 3; i++) {
        test.worst[i] = fmax(test.worst[i], error[i]);
        if (!(error[i] <= 1))
            fail_msg("%s, %s norm, %zu elements, eps %g: error/bound mean %.3f rstd %.3f y %.3f", what,
                     rms ? "RMS" : "layer", n, (double)eps, error[0], error[1], error[2]);
    }
}

// Long rows with one eps each: the rare paths are the same for all lengths, and the suite must be quick.
static void check(const char *what, size_t n)
{
    static size_t turn;
    const size_t count = sizeof epsilons / sizeof epsilons[0];
    for (size_t e = 0; e < count; e++) {
        if (n > 8192 && e != turn % count)
            continue;
        check_one(what, false, epsilons[e], n);
        check_one(what, true, epsilons[e], n);
    }
    turn++;
}

#define FOR_EACH_LENGTH(n) for (size_t l = 0, n; l < sizeof lengths / sizeof lengths[0] && (n = lengths[l], true); l++)

static void usual(void **state)
{
    static const double offsets[] = {0, 1, 1e4, -1e6};
    (void)state;
    FOR_EACH_LENGTH(n)
    for (int o = 0; o < 4; o++) {
        char what[32];
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(offsets[o] + normal());
        snprintf(what, sizeof what, "offset %g", offsets[o]);
        check(what, n);
    }
}

static const double scales[] = {65504, 1e30, 3e38, 1e-12, 1e-20, 1e-30, 1e-38, 1e-40, 1e-44};

static void extreme(void **state)
{
    (void)state;
    FOR_EACH_LENGTH(n)
    for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++) {
        char what[32];
        snprintf(what, sizeof what, "scale %g", scales[s]);
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(scales[s] * (2 * uniform() - 1));
        check(what, n);
        snprintf(what, sizeof what, "alternating %g", scales[s]);
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(i % 2 ? -scales[s] : scales[s]);
        check(what, n);
        snprintf(what, sizeof what, "one %g", scales[s]);
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(i == n / 2 ? scales[s] : 1e-3 * normal());
        check(what, n);
        snprintf(what, sizeof what, "16 of %g first", scales[s]);
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(i < 16 ? scales[s] : 1e-3 * normal());
        check(what, n);
        snprintf(what, sizeof what, "a chunk of %g first", scales[s]);
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(i < 4096 ? scales[s] : 1e-3 * normal());
        check(what, n);
    }
}

// Equal elements: the mean is exact, y is 0 with any eps above 0, NaN with eps = 0.
static void constant(void **state)
{
    (void)state;
    FOR_EACH_LENGTH(n)
    for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++) {
        float value = (float)(l % 2 ? -scales[s] : scales[s]);
        for (size_t i = 0; i < n; i++)
            test.h[i] = value;
        check("constant", n);
        for (int e = 0; e < 3; e++) {
            struct tree_row row = tree_row(false, epsilons[e], test.h, n, NULL);
            float mean = row.m / row.a, xhat = tree_xhat(false, &row, value);
            assert_true(mean >= value && mean <= value);
            assert_true(epsilons[e] > 0 ? xhat >= 0 && xhat <= 0 : isnan(xhat));
        }
    }
}

// Chunks that are far apart: the first one is the pivot of the merge, and may be far from the mean.
static void chunks_apart(void **state)
{
    (void)state;
    for (int k = 0; k < 60; k++) {
        size_t n = k % 2 ? 262144 : 4096 * (2 + (size_t)k / 2), first = 4096 * (1 + (size_t)k % 4);
        double value = 1 + uniform();
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(i < first ? value : 1e-3 * normal());
        check("first chunks apart", n);
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(((i >> 12) + (size_t)k) % 4 < 2 ? value : -value);
        check("chunks of two values", n);
    }
}

// Long runs of equal values: every lane makes the same roundings, so that nothing averages out.
static void steps(void **state)
{
    (void)state;
    for (int k = 0; k < 3000; k++) {
        static const size_t sizes[] = {4096, 512, 768, 1024};
        size_t n = sizes[k % 4], edge = (size_t)((double)n * (0.5 + 0.45 * uniform()));
        double height = 1 + uniform(), low[3] = {0, -height / 2, -height * (1 - (double)edge / (double)n)};
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)(low[k % 3] + (i < edge ? 0 : height));
        check("step", n);
    }
}

// Sums of squares around 2^-80, where the rescue begins, with the first 16 elements far from the rest.
static void edge_of_rescue(void **state)
{
    (void)state;
    for (int k = 0; k < 200; k++) {
        double offset = k % 2 ? 0 : 1e-10;
        for (size_t i = 0; i < 4096; i++)
            test.h[i] = (float)(offset + ldexp((i < 16 ? 1 : 0) + 1e-3 * normal(), -52 + k / 10));
        check("tiny, 16 elements apart", 4096);
        check("tiny, 16 elements apart", 100);
    }
}

// One NaN or infinity: layer norm makes all of y NaN, RMS norm what the formula makes.
static void spoilt(void **state)
{
    (void)state;
    FOR_EACH_LENGTH(n)
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < n; i++)
            test.h[i] = (float)normal();
        test.h[n / 3] = k == 0 ? NAN : k == 1 ? INFINITY : -INFINITY;
        const struct tree_row row = tree_row(false, 1e-5f, test.h, n, &test.counts);
        for (size_t i = 0; i < n; i++)
            assert_true(isnan(tree_xhat(false, &row, test.h[i])));
        check_one("not finite", true, 1e-5f, n);
    }
}

static void rare_paths_ran(void **state)
{
    (void)state;
    print_message(
        "error/bound: mean %.3f, rstd %.3f, y %.3f; %d chunks, %d second passes, %d + %d rescues, %d retries\n",
        test.worst[0], test.worst[1], test.worst[2], test.counts.chunks, test.counts.second_passes,
        test.counts.rescues_large, test.counts.rescues_small, test.counts.merge_retries);
    assert_true(test.counts.second_passes > 0 && test.counts.rescues_large > 0);
    assert_true(test.counts.rescues_small > 0 && test.counts.merge_retries > 0);
}

int main(int argc, char **argv)
{
    test.random = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    test.h = malloc(sizeof *test.h << 21);
    print_message("seed %llu\n", (unsigned long long)test.random);
    const struct CMUnitTest tests[] = {cmocka_unit_test(usual),    cmocka_unit_test(extreme),
                                       cmocka_unit_test(constant), cmocka_unit_test(chunks_apart),
                                       cmocka_unit_test(steps),    cmocka_unit_test(edge_of_rescue),
                                       cmocka_unit_test(spoilt),   cmocka_unit_test(rare_paths_ran)};
    int failed = test.h ? cmocka_run_group_tests_name("tree", tests, NULL, NULL) : 1;
    free(test.h);
    return failed;
}
