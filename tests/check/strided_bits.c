// The strided family's promise that a problem has one result, however it is run.
#include "bits.h"
#include "strided_check.h"
#include "strided_judge.h"
#include "strided_numbers.h"
#include "strided_run.h"
#include <stdio.h>
#include <stdlib.h>

enum { DIGEST_CASES = 100, SHOWN_FAILURES = 20, SMALL_BUDGET = 256 << 10, TEXT = 2000 };

struct bits {
    struct check_driver usual, one_thread, two_threads; // two_threads has the small budget as well
    uint64_t seed, comparisons, tight, failures;        // tight: comparisons of runs that accepted a small budget
    // Of the case at hand: the arena after its first run, that of the run compared with it, outputs of both.
    unsigned char *first, *arena, *expected, *outputs;
};

static void report(struct bits *b, const struct strided_case *c, const char *way, const char *message)
{
    char text[TEXT];
    if (++b->failures > SHOWN_FAILURES)
        return;
    strided_describe(c, text, sizeof text);
    printf("FAIL bits, %s, %s, --strided --bits --seed %llu --only %llu: %s; %s\n", b->usual.name, way,
           (unsigned long long)c->seed, (unsigned long long)c->index, message, text);
    fflush(stdout);
}

// The outputs of c in b->arena against those in b->first. sliced: the axis along which c is a slice, or -1.
static void compare(struct bits *b, const struct strided_case *c, int32_t sliced, norma_status status, const char *way)
{
    char message[300];
    b->comparisons++;
    if (status != NORMA_OK) {
        snprintf(message, sizeof message, "%s: %s", norma_status_name(status), norma_last_error());
        report(b, c, way, message);
        return;
    }
    strided_gather(c, sliced, b->first, b->expected);
    strided_gather(c, sliced, b->arena, b->outputs);
    if (!strided_same_bits(c, sliced, b->expected, b->outputs, message, sizeof message))
        report(b, c, way, message);
}

// A budget may be too small for a problem.
static void compare_tight(struct bits *b, const struct strided_case *c, norma_status status, const char *way)
{
    if (status == NORMA_ERROR_UNSUPPORTED)
        return;
    b->tight++;
    compare(b, c, -1, status, way);
}

static void compare_ways(struct bits *b, const struct strided_case *c)
{
    for (int i = 0; i < 2; i++)
        compare(b, c, -1, strided_run_host(&b->usual, c, b->arena), "again");
    compare(b, c, -1, strided_run_host(&b->one_thread, c, b->arena), "1 thread");
    compare_tight(b, c, strided_run_host(&b->two_threads, c, b->arena), "2 threads, small budget");
    compare(b, c, -1, strided_run_plan(&b->usual, c, 0, b->arena), "plan");
    for (uint64_t part = 2; part <= 8; part *= 2)
        compare_tight(b, c, strided_run_plan(&b->usual, c, c->arena_size / part + 4096, b->arena),
                      "plan, small budget");
    const int32_t axis = strided_slice_axis(c);
    uint64_t s = c->seed + c->index;
    for (int i = 0; axis >= 0 && i < 4; i++) {
        const struct strided_case one = strided_slice(c, axis, check_pick(&s, c->shape[axis]));
        compare(b, &one, axis,
                i % 2 ? strided_run_host(&b->usual, &one, b->arena) : strided_run_plan(&b->usual, &one, 0, b->arena),
                i % 2 ? "sample alone" : "sample alone, plan");
    }
}

// FNV-1a over the outputs, any NaN counting as the same.
static uint64_t digest_of(const struct strided_case *c, const unsigned char *outputs, uint64_t hash)
{
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct strided_tensor *t = &c->tensor[arg];
        int64_t count = t->present && strided_is_output(c, (norma_arg)arg) ? 1 : 0;
        for (int32_t i = 0; i < t->rank; i++)
            count *= t->shape[i];
        for (int64_t i = 0; i < count; i++, outputs += norma_dtype_size(t->dtype)) {
            const double value = strided_load(t->dtype, outputs);
            uint64_t word = 1;
            if (value == value)
                memcpy(&word, &value, 8);
            hash = (hash ^ word) * 0x100000001b3u;
        }
    }
    return hash;
}

static void do_runs(struct bits *b, const struct strided_case *c, bool digest_only, uint64_t *digest)
{
    const norma_status status = strided_run_host(&b->usual, c, b->first);
    if (status == NORMA_ERROR_UNSUPPORTED && strided_may_refuse(&b->usual, c))
        return;
    if (status != NORMA_OK) {
        report(b, c, "first run", norma_last_error());
    } else if (digest_only) {
        strided_gather(c, -1, b->first, b->outputs);
        *digest = digest_of(c, b->outputs, *digest);
    } else {
        compare_ways(b, c);
    }
}

static bool do_case(struct bits *b, uint64_t index, bool digest_only, uint64_t *digest)
{
    struct strided_case c;
    strided_case_make(&c, b->seed, index);
    const uint64_t size = strided_outputs_size(&c, -1) + 1;
    b->first = malloc(c.arena_size);
    b->arena = malloc(c.arena_size);
    b->expected = malloc(size);
    b->outputs = malloc(size);
    const bool ok = strided_case_fill(&c) && b->first && b->arena && b->expected && b->outputs;
    if (ok)
        do_runs(b, &c, digest_only, digest);
    free(b->first);
    free(b->arena);
    free(b->expected);
    free(b->outputs);
    strided_case_finish(&c);
    return ok;
}

static norma_status open_all(struct bits *b, const char *device)
{
    norma_status status = check_driver_open(&b->usual, device, 0, 0);
    if (status == NORMA_OK)
        status = check_driver_open(&b->one_thread, device, 1, 0);
    if (status == NORMA_OK)
        status = check_driver_open(&b->two_threads, device, 2, SMALL_BUDGET);
    return status;
}

static void compare_processes(struct bits *b)
{
    char message[100];
    b->comparisons += DIGEST_CASES;
    if (check_bits_of_processes("--strided", b->usual.name, b->seed, DIGEST_CASES, message, sizeof message))
        return;
    printf("FAIL bits, %s: %s\n", b->usual.name, message);
    b->failures++;
}

int strided_bits(const char *const *devices, int device_count, uint64_t seed, uint64_t first, uint64_t cases,
                 bool digest, bool allow_missing)
{
    uint64_t failures = 0, passed = 0;
    for (int i = 0; i < device_count; i++) {
        struct bits b = {.seed = seed};
        const norma_status status = open_all(&b, devices[i]);
        if (status == NORMA_OK) {
            uint64_t hash = 0xcbf29ce484222325u;
            for (uint64_t index = first; index < first + cases; index++)
                b.failures += !do_case(&b, index, digest, &hash);
            if (digest)
                printf("%016llx\n", (unsigned long long)hash);
            else if (cases > 1)
                compare_processes(&b);
        } else if (!allow_missing) {
            printf("FAIL %s: %s: %s\n", devices[i], norma_status_name(status), norma_last_error());
            b.failures++;
        }
        check_driver_close(&b.usual);
        check_driver_close(&b.one_thread);
        check_driver_close(&b.two_threads);
        if (!digest)
            printf("strided bits, %s: %llu cases, %llu comparisons, %llu of them with a small budget, %llu failed\n",
                   devices[i], (unsigned long long)cases, (unsigned long long)b.comparisons,
                   (unsigned long long)b.tight, (unsigned long long)b.failures);
        failures += b.failures;
        passed += b.comparisons - (b.failures < b.comparisons ? b.failures : b.comparisons);
    }
    if (!digest)
        printf("check suite: %llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failures);
    return failures > 0;
}
