#include "bits.h"
#include "driver.h"
#include "expect.h"
#include "numbers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIGEST_CASES = 200, SHOWN_FAILURES = 20, SMALL_BUDGET = 256 << 10 };

struct bits {
    struct check_driver usual, one_thread, two_threads; // two_threads has the small budget as well
    uint64_t seed, comparisons, failures;
    // Of the case at hand: the arena after its first run, that of the run compared with it, outputs of both.
    unsigned char *first, *arena, *expected, *outputs;
};

static void make_case(struct check_case *c, uint64_t seed, uint64_t index)
{
    static const int64_t shapes[][2] = {{1000, 64}, {100, 600}, {20, 9000}, {3, 40000}};
    uint64_t s = seed * 7919 + index;
    const int64_t *shape = shapes[index / 2 % 4];
    int64_t n = 1 + check_pick(&s, shape[1]);
    if (index % 64 == 6)
        n += 262144; // more than 64 chunks
    check_case_make_shape(c, seed, index, shape[0], n);
}

static void report(struct bits *b, const struct check_case *c, const char *way, const char *message)
{
    char text[512];
    if (++b->failures > SHOWN_FAILURES)
        return;
    check_case_describe(c, text, sizeof text);
    printf("FAIL bits, %s, %s, case %llu: %s\n     %s\n", b->usual.name, way, (unsigned long long)c->index, message,
           text);
    fflush(stdout);
}

// The outputs of c in b->arena against those in b->first. c may be a part of the case that b->first was made by.
static void compare(struct bits *b, const struct check_case *c, norma_status status, const char *way)
{
    char message[300];
    b->comparisons++;
    if (status != NORMA_OK) {
        snprintf(message, sizeof message, "%s: %s", norma_status_name(status), norma_last_error());
        report(b, c, way, message);
        return;
    }
    check_gather(c, b->first, b->expected);
    check_gather(c, b->arena, b->outputs);
    if (!check_same_bits(c, b->expected, b->outputs, message, sizeof message))
        report(b, c, way, message);
}

// The case with one row of the outer dimensions alone, in the same arena.
static struct check_case one_row(const struct check_case *c, int64_t row)
{
    struct check_case one = *c;
    one.rows = 1;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        struct check_tensor *t = &one.tensor[arg];
        const uint64_t size = norma_dtype_size(t->dtype);
        t->begin += (uint64_t)check_row_offset(c, (norma_arg)arg, row) * size;
        const bool statistic = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
        for (int i = 0; i < c->outer_rank; i++)
            if (statistic || t->rank > c->normalized_dims)
                t->shape[i] = 1;
        t->span = (statistic ? 1 : (uint64_t)c->n) * size;
    }
    for (int i = 0; i < c->outer_rank; i++)
        one.shape[i] = 1;
    return one;
}

static void compare_ways(struct bits *b, const struct check_case *c)
{
    for (int i = 0; i < 2; i++)
        compare(b, c, check_run_host(&b->usual, c, b->arena), "again");
    compare(b, c, check_run_host(&b->one_thread, c, b->arena), "1 thread");
    compare(b, c, check_run_host(&b->two_threads, c, b->arena), "2 threads, small budget");
    compare(b, c, check_run_plan(&b->usual, c, &(struct check_options){0}, b->arena), "plan");
    const struct check_options tight = {.memory_budget = c->arena_size / 3 + 4096};
    compare(b, c, check_run_plan(&b->usual, c, &tight, b->arena), "plan, small budget");
    const char *variant;
    for (size_t i = 0; (variant = check_driver_variant(&b->usual, i)); i++) {
        const norma_status status = check_run_plan(&b->usual, c, &(struct check_options){.variant = variant}, b->arena);
        if (status != NORMA_ERROR_UNSUPPORTED)
            compare(b, c, status, variant);
    }
    // The first two cases, of 1000 rows each, every row; the others some.
    uint64_t s = c->seed + c->index;
    const int64_t alone = c->index < 2 ? c->rows : 4;
    for (int64_t i = 0; i < alone; i++) {
        const struct check_case one = one_row(c, c->index < 2 ? i : check_pick(&s, c->rows));
        const bool host = i % 2;
        compare(b, &one,
                host ? check_run_host(&b->usual, &one, b->arena)
                     : check_run_plan(&b->usual, &one, &(struct check_options){0}, b->arena),
                host ? "row alone" : "row alone, plan");
    }
}

// FNV-1a over the outputs, any NaN counting as the same.
static uint64_t digest_of(const struct check_case *c, const unsigned char *outputs, uint64_t hash)
{
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct check_tensor *t = &c->tensor[arg];
        if (!t->present || !check_is_output((norma_arg)arg))
            continue;
        for (int64_t i = 0; i < c->rows * t->row_length; i++, outputs += norma_dtype_size(t->dtype)) {
            double value = check_load(t->dtype, outputs);
            uint64_t word = 1;
            if (value == value)
                memcpy(&word, &value, 8);
            hash = (hash ^ word) * 0x100000001b3u;
        }
    }
    return hash;
}

static bool do_case(struct bits *b, uint64_t index, bool digest_only, uint64_t *digest)
{
    struct check_case c;
    make_case(&c, b->seed, index);
    const uint64_t size = check_outputs_size(&c) + 1;
    b->first = malloc(c.arena_size);
    b->arena = malloc(c.arena_size);
    b->expected = malloc(size);
    b->outputs = malloc(size);
    const bool ok = check_case_fill(&c) && b->first && b->arena && b->expected && b->outputs;
    if (ok) {
        const norma_status status = check_run_host(&b->usual, &c, b->first);
        if (status != NORMA_OK) {
            report(b, &c, "first run", norma_last_error());
        } else if (digest_only) {
            check_gather(&c, b->first, b->outputs);
            *digest = digest_of(&c, b->outputs, *digest);
        } else {
            compare_ways(b, &c);
        }
    }
    free(b->first);
    free(b->arena);
    free(b->expected);
    free(b->outputs);
    check_case_finish(&c);
    return ok;
}

// The digest that another process prints, whose drivers are told by the environment how many threads to use.
static bool digest_elsewhere(const char *family, const char *device, uint64_t seed, uint64_t cases, int threads,
                             char text[32])
{
    char path[512], command[1024];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0)
        return false;
    path[length] = 0;
    snprintf(command, sizeof command,
             "NORMA_THREADS=%d POCL_MAX_PTHREAD_COUNT=%d LP_NUM_THREADS=%d '%s' %s --digest --device '%s' --seed %llu "
             "--cases %llu",
             threads, threads, threads, path, family, device, (unsigned long long)seed, (unsigned long long)cases);
    FILE *child = popen(command, "r");
    if (!child)
        return false;
    const bool read = fgets(text, 32, child) != NULL;
    return pclose(child) == 0 && read;
}

bool check_bits_of_processes(const char *family, const char *device, uint64_t seed, uint64_t cases, char *message,
                             size_t size)
{
    char one[32] = "", two[32] = "";
    if (!digest_elsewhere(family, device, seed, cases, 1, one) ||
        !digest_elsewhere(family, device, seed, cases, 2, two)) {
        snprintf(message, size, "a process with the driver's threads set failed");
        return false;
    }
    snprintf(message, size, "1 thread of the driver gives digest %.16s, 2 give %.16s", one, two);
    return strcmp(one, two) == 0;
}

static void compare_processes(struct bits *b, const char *device)
{
    char message[100];
    b->comparisons += DIGEST_CASES;
    if (check_bits_of_processes("", device, b->seed, DIGEST_CASES, message, sizeof message))
        return;
    printf("FAIL bits, %s: %s\n", device, message);
    b->failures++;
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

int check_bits(const char *const *devices, int device_count, uint64_t seed, uint64_t cases, bool digest,
               bool allow_missing)
{
    uint64_t failures = 0, passed = 0;
    for (int i = 0; i < device_count; i++) {
        struct bits b = {.seed = seed};
        const norma_status status = open_all(&b, devices[i]);
        if (status == NORMA_OK) {
            uint64_t hash = 0xcbf29ce484222325u;
            for (uint64_t index = 0; index < cases; index++)
                b.failures += !do_case(&b, index, digest, &hash);
            if (digest)
                printf("%016llx\n", (unsigned long long)hash);
            else
                compare_processes(&b, devices[i]);
        } else if (!allow_missing) {
            printf("FAIL %s: %s: %s\n", devices[i], norma_status_name(status), norma_last_error());
            b.failures++;
        }
        check_driver_close(&b.usual);
        check_driver_close(&b.one_thread);
        check_driver_close(&b.two_threads);
        if (!digest)
            printf("bits, %s: %llu cases, %llu comparisons, %llu failed\n", devices[i], (unsigned long long)cases,
                   (unsigned long long)b.comparisons, (unsigned long long)b.failures);
        failures += b.failures;
        passed += b.comparisons - (b.failures < b.comparisons ? b.failures : b.comparisons);
    }
    if (!digest)
        printf("check suite: %llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failures);
    return failures > 0;
}
