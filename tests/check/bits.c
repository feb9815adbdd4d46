#include "bits.h"
#include "report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_BUDGET = 256 << 10 };

static void report(struct bits *b, const struct check_subject *s, const char *way, const char *message)
{
    check_report(s, b->usual.name, " --bits", way, message, ++b->failures);
}

bool bits_open(struct bits *b, const struct check_subject *s)
{
    const uint64_t size = check_outputs_size(s) + 1;
    b->first = malloc(s->arena_size);
    b->arena = malloc(s->arena_size);
    b->expected = malloc(size);
    b->outputs = malloc(size);
    return b->first && b->arena && b->expected && b->outputs;
}

void bits_close(struct bits *b)
{
    free(b->first);
    free(b->arena);
    free(b->expected);
    free(b->outputs);
}

static bool succeeded(struct bits *b, const struct check_subject *s, norma_status status, const char *way)
{
    char message[300];
    if (status == NORMA_OK)
        return true;
    snprintf(message, sizeof message, "%s: %s", norma_status_name(status), norma_last_error());
    report(b, s, way, message);
    return false;
}

bool bits_first(struct bits *b, const struct check_subject *s, norma_status status)
{
    if (!succeeded(b, s, status, "first run"))
        return false;
    if (b->digest) {
        check_gather(s, b->first, b->outputs);
        b->hash = check_digest(s, b->outputs, b->hash);
    }
    return !b->digest;
}

void bits_compare(struct bits *b, const struct check_subject *s, norma_status status, const char *way)
{
    char message[300];
    b->comparisons++;
    if (!succeeded(b, s, status, way))
        return;
    check_gather(s, b->first, b->expected);
    check_gather(s, b->arena, b->outputs);
    if (!check_same_bits(s, b->expected, b->outputs, message, sizeof message))
        report(b, s, way, message);
}

bool bits_set_driver_threads(const char *count)
{
    static const char *const names[] = {"NORMA_THREADS", "POCL_MAX_PTHREAD_COUNT", "LP_NUM_THREADS"};
    static char variables[sizeof names / sizeof *names][64]; // putenv keeps them
    bool ok = strlen(count) < 32;
    for (size_t i = 0; ok && i < sizeof names / sizeof *names; i++) {
        snprintf(variables[i], sizeof variables[i], "%s=%s", names[i], count);
        ok = putenv(variables[i]) == 0;
    }
    return ok;
}

#ifdef _WIN32
#define QUOTED "\"" // cmd.exe takes the outermost quotes away
#else
#define QUOTED ""
#endif

// The digest that another process prints, whose drivers use so many threads.
static bool digest_elsewhere(const struct bits *b, const struct bits_family *family, int threads, char text[32])
{
    char command[1024];
    const int length = snprintf(
        command, sizeof command,
        QUOTED "\"%s\"%s --digest --driver-threads %d --device \"%s\" --seed %llu --cases %llu" QUOTED, b->program,
        family->option, threads, b->usual.name, (unsigned long long)b->seed, (unsigned long long)family->digest_cases);
    if (length < 0 || (size_t)length >= sizeof command)
        return false;
    FILE *child = popen(command, "r");
    if (!child)
        return false;
    const bool read = fgets(text, 32, child) != NULL;
    return pclose(child) == 0 && read;
}

static void compare_processes(struct bits *b, const struct bits_family *family)
{
    char one[32] = "", two[32] = "";
    b->comparisons += family->digest_cases;
    if (!digest_elsewhere(b, family, 1, one) || !digest_elsewhere(b, family, 2, two))
        printf("FAIL bits, %s: a process with the driver's threads set failed\n", b->usual.name);
    else if (strcmp(one, two) != 0)
        printf("FAIL bits, %s: 1 thread of the driver gives digest %.16s, 2 give %.16s\n", b->usual.name, one, two);
    else
        return;
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

static void do_device(struct bits *b, const struct bits_family *family, const char *device,
                      const struct bits_settings *o)
{
    const norma_status status = open_all(b, device);
    if (status == NORMA_OK) {
        for (uint64_t index = o->first; index < o->first + o->cases; index++)
            b->failures += !family->do_case(b, index);
        if (o->digest)
            printf("%016llx\n", (unsigned long long)b->hash);
        else if (o->cases > 1)
            compare_processes(b, family);
    } else if (!o->allow_missing) {
        printf("FAIL %s: %s: %s\n", device, norma_status_name(status), norma_last_error());
        b->failures++;
    }
    check_driver_close(&b->usual);
    check_driver_close(&b->one_thread);
    check_driver_close(&b->two_threads);
}

int check_bits(const struct bits_family *family, const char *const *devices, int device_count,
               const struct bits_settings *o)
{
    uint64_t failures = 0, passed = 0;
    for (int i = 0; i < device_count; i++) {
        struct bits b = {.program = o->program, .seed = o->seed, .digest = o->digest, .hash = 0xcbf29ce484222325u};
        do_device(&b, family, devices[i], o);
        if (!o->digest)
            printf("%s bits, %s: %llu cases, %llu comparisons, %llu with a budget that may be refused, %llu failed\n",
                   family->name, devices[i], (unsigned long long)o->cases, (unsigned long long)b.comparisons,
                   (unsigned long long)b.tight, (unsigned long long)b.failures);
        failures += b.failures;
        passed += b.comparisons - (b.failures < b.comparisons ? b.failures : b.comparisons);
    }
    if (!o->digest)
        printf("check suite: %llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failures);
    return failures > 0;
}
