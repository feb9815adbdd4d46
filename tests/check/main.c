// norma-check-suite: every device on the same cases, through the public functions alone, against long double
// arithmetic.
#include "bits.h"
#include "driver.h"
#include "expect.h"
#include "strided_check.h"
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DRIVERS = 8, SHOWN_FAILURES = 20 };

struct settings {
    const char *device[MAX_DRIVERS];
    int devices;
    uint64_t seed, cases, first;
    const char *filter, *variant, *table;
    uint32_t ops; // bit op: strided cases are of these operators
    bool time, bits, digest, allow_missing, strided;
};

// Buffers for one case, kept between cases.
struct scratch {
    unsigned char *arena, *outputs, *first;
};

static void report_failure(const struct settings *o, struct check_driver *driver, const struct check_case *c,
                           const char *way, const char *message)
{
    char text[512];
    if (++driver->failures > SHOWN_FAILURES)
        return;
    check_case_describe(c, text, sizeof text);
    printf("FAIL %s, %s, case %llu: %s\n     %s\n     repeat: norma-check-suite --device %s --seed %llu --only %llu\n",
           driver->name, way, (unsigned long long)c->index, message, text, driver->name, (unsigned long long)o->seed,
           (unsigned long long)c->index);
    fflush(stdout);
}

// After a run: its result against what is expected, and its bits against those of the case's first run.
static bool judge(const struct settings *o, struct check_driver *driver, const struct check_case *c,
                  const struct check_expected *expected, const char *way, struct scratch *room, bool is_first)
{
    driver->runs++;
    if (o->time)
        printf("%s\t%s\t%llu\t%.3f us\n", driver->name, way, (unsigned long long)c->index, driver->seconds * 1e6);
    unsigned char *outputs = is_first ? room->first : room->outputs;
    check_gather(c, room->arena, outputs);
    struct check_verdict verdict = check_judge(c, expected, room->arena, outputs);
    if (verdict.worst > driver->worst)
        driver->worst = verdict.worst;
    if (verdict.worst32 > driver->worst32) {
        driver->worst32 = verdict.worst32;
        snprintf(driver->worst_case, sizeof driver->worst_case, "case %llu, %s", (unsigned long long)c->index, way);
    }
    if (verdict.ok && !is_first) {
        char message[160];
        verdict.ok = check_same_bits(c, room->first, outputs, message, sizeof message);
        if (!verdict.ok)
            snprintf(verdict.message, sizeof verdict.message, "other bits than norma_run: %s", message);
    }
    if (!verdict.ok)
        report_failure(o, driver, c, way, verdict.message);
    return verdict.ok;
}

static bool run_variant(const struct settings *o, struct check_driver *driver, const struct check_case *c,
                        const struct check_expected *expected, const char *variant, struct scratch *room, bool *ran)
{
    const char *way = variant ? variant : "plan";
    const norma_status status = check_run_plan(driver, c, &(struct check_options){.variant = variant}, room->arena);
    *ran = status == NORMA_OK;
    if (status == NORMA_ERROR_UNSUPPORTED && variant)
        return true; // not every variant does every problem; main sees to it that each does some
    if (status == NORMA_OK)
        return judge(o, driver, c, expected, way, room, false);
    char message[256];
    snprintf(message, sizeof message, "%s: %s", norma_status_name(status), norma_last_error());
    report_failure(o, driver, c, way, message);
    return false;
}

// One case on one driver: by norma_run, by a plan, and by a plan for each variant. Stops at the first failure.
static void run_case(const struct settings *o, struct check_driver *driver, const struct check_case *c,
                     const struct check_expected *expected, struct scratch *room)
{
    driver->cases++;
    const norma_status status = check_run_host(driver, c, room->arena);
    if (status != NORMA_OK) {
        char message[256];
        snprintf(message, sizeof message, "%s: %s", norma_status_name(status), norma_last_error());
        report_failure(o, driver, c, "norma_run", message);
        return;
    }
    bool ran, ok = judge(o, driver, c, expected, "norma_run", room, true);
    ok = ok && run_variant(o, driver, c, expected, NULL, room, &ran);
    const char *variant;
    for (size_t i = 0; ok && (variant = check_driver_variant(driver, i)); i++) {
        if (o->variant && strcmp(o->variant, variant) != 0)
            continue;
        ok = run_variant(o, driver, c, expected, variant, room, &ran);
        driver->variant_runs[i] += ran;
    }
}

static bool do_case(const struct settings *o, struct check_driver *drivers, int count, uint64_t index)
{
    struct check_case c;
    check_case_make(&c, o->seed, index);
    char text[512];
    check_case_describe(&c, text, sizeof text);
    if (o->filter && !strstr(text, o->filter))
        return true;
    struct check_expected expected = {0};
    const uint64_t size = check_outputs_size(&c);
    struct scratch room = {malloc(c.arena_size), malloc(size + 1), malloc(size + 1)};
    const bool ok = check_case_fill(&c) && check_expect(&c, &expected) && room.arena && room.outputs && room.first;
    for (int i = 0; ok && i < count; i++)
        run_case(o, &drivers[i], &c, &expected, &room);
    free(room.arena);
    free(room.outputs);
    free(room.first);
    check_expected_finish(&expected);
    check_case_finish(&c);
    return ok;
}

// After the cases: figures, and the promises that hold over all of them.
static void summarise(const struct settings *o, struct check_driver *driver)
{
    printf("%s: %llu cases, %llu runs, %llu failed, largest error/bound %.3f, of float32 %.3f (%s)\n", driver->name,
           (unsigned long long)driver->cases, (unsigned long long)driver->runs, (unsigned long long)driver->failures,
           driver->worst, driver->worst32, driver->worst_case);
    const bool all = !o->filter && !o->variant && o->cases >= 1000;
    const char *variant;
    for (size_t i = 0; (variant = check_driver_variant(driver, i)); i++) {
        printf("%s: variant %s ran %llu cases\n", driver->name, variant, (unsigned long long)driver->variant_runs[i]);
        if (all && driver->variant_runs[i] == 0) {
            printf("FAIL %s: no case ran by variant %s\n", driver->name, variant);
            driver->failures++;
        }
    }
    for (int op = NORMA_LAYER_NORM; op <= NORMA_RMS_NORM; op++) {
        const uint32_t programs = check_driver_programs(driver, (norma_op)op, false);
        printf("%s: %s compiled %u programs; with every variant by name %u\n", driver->name,
               norma_op_name((norma_op)op), programs, check_driver_programs(driver, (norma_op)op, true));
        if (programs > CHECK_MAX_PROGRAMS) {
            printf("FAIL %s: more than %d programs\n", driver->name, CHECK_MAX_PROGRAMS);
            driver->failures++;
        }
    }
    if (driver->compiled_late > 0) {
        printf("FAIL %s: %llu runs of a plan compiled something\n", driver->name,
               (unsigned long long)driver->compiled_late);
        driver->failures++;
    }
}

static const struct option option_names[] = {
    {"device", required_argument, 0, 'd'}, {"seed", required_argument, 0, 's'},
    {"cases", required_argument, 0, 'n'},  {"only", required_argument, 0, 'o'},
    {"filter", required_argument, 0, 'f'}, {"variant", required_argument, 0, 'v'},
    {"time", no_argument, 0, 't'},         {"bits", no_argument, 0, 'b'},
    {"digest", no_argument, 0, 'g'},       {"allow-missing", no_argument, 0, 'm'},
    {"strided", no_argument, 0, 'r'},      {"table", required_argument, 0, 'T'},
    {"op", required_argument, 0, 'p'},     {0}};

// Names of operators, between commas.
static bool parse_ops(const char *text, uint32_t *ops)
{
    char copy[512], *rest = copy;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word; (word = strsep(&rest, ","));) {
        int op = NORMA_LAYER_NORM;
        while (op < NORMA_OP_COUNT && strcmp(word, norma_op_name((norma_op)op)) != 0)
            op++;
        if (op == NORMA_OP_COUNT) {
            fprintf(stderr, "--op: '%s' is no operator\n", word);
            return false;
        }
        *ops |= UINT32_C(1) << op;
    }
    return true;
}

static int parse(int argc, char **argv, struct settings *o)
{
    static const char usage[] =
        "usage: norma-check-suite [--device scalar|opencl|vulkan|...]... [--seed N] [--cases N] [--only CASE]\n"
        "                         [--filter TEXT] [--variant NAME] [--time] [--bits] [--allow-missing]\n"
        "                         [--strided [--op OP,OP,...] [--table FILE]]\n";
    for (int option; (option = getopt_long(argc, argv, "", option_names, NULL)) != -1;) {
        switch (option) {
        case 'd':
            if (o->devices < MAX_DRIVERS)
                o->device[o->devices++] = optarg;
            break;
        case 's':
            o->seed = strtoull(optarg, NULL, 0);
            break;
        case 'n':
            o->cases = strtoull(optarg, NULL, 0);
            break;
        case 'o':
            o->first = strtoull(optarg, NULL, 0);
            o->cases = 1;
            break;
        case 'f':
            o->filter = optarg;
            break;
        case 'v':
            o->variant = optarg;
            break;
        case 't':
            o->time = true;
            break;
        case 'b':
            o->bits = true;
            break;
        case 'g':
            o->digest = true;
            break;
        case 'm':
            o->allow_missing = true;
            break;
        case 'r':
            o->strided = true;
            break;
        case 'T':
            o->table = optarg;
            break;
        case 'p':
            if (!parse_ops(optarg, &o->ops))
                return 2;
            break;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    const bool wrong = optind < argc || (o->ops && (!o->strided || o->bits || o->digest));
    if (wrong)
        fputs(usage, stderr);
    return wrong ? 2 : 0;
}

// Opens the drivers that were asked for; a missing one is a failure unless the caller said that it may be.
static int open_drivers(const struct settings *o, struct check_driver *drivers, uint64_t *failures)
{
    int count = 0;
    for (int i = 0; i < o->devices; i++) {
        const norma_status status = check_driver_open(&drivers[count], o->device[i], 0, 0);
        if (status == NORMA_OK) {
            count++;
            continue;
        }
        *failures += !o->allow_missing;
        printf("%s %s: %s: %s\n", o->allow_missing ? "SKIP" : "FAIL", o->device[i], norma_status_name(status),
               norma_last_error());
    }
    return count;
}

static int run_bits(const struct settings *o)
{
    const uint64_t cases = o->cases < 1000 ? o->cases : 1000;
    if (o->strided)
        return strided_bits(o->device, o->devices, o->seed, o->first, cases, o->digest, o->allow_missing);
    return check_bits(o->device, o->devices, o->seed, cases, o->digest, o->allow_missing);
}

// The page that the table option asks for, with the command that makes it again.
static bool write_table(const struct settings *o, const struct strided_table *table, int count)
{
    char command[200];
    snprintf(command, sizeof command, "norma-check-suite --strided --cases %llu --seed %llu --table FILE",
             (unsigned long long)o->cases, (unsigned long long)o->seed);
    if (strided_table_write(table, o->device, count, command, o->table))
        return true;
    printf("FAIL the table cannot be written to %s\n", o->table);
    return false;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0); // progress shows, and survives a crash
    struct settings o = {.seed = 1, .cases = 3000};
    const int wrong = parse(argc, argv, &o);
    if (wrong)
        return wrong;
    if (o.devices == 0) {
        static const char *const expected[] = {"scalar", "opencl", "vulkan"};
        memcpy(o.device, expected, sizeof expected);
        o.devices = 3;
    }
    if (o.bits || o.digest)
        return run_bits(&o);
    struct check_driver drivers[MAX_DRIVERS];
    static struct strided_table table;
    const struct strided_settings strided = {
        .seed = o.seed, .ops = o.ops, .filter = o.filter, .time = o.time, .table = o.table ? &table : NULL};
    uint64_t failures = 0, passed = 0;
    const int count = open_drivers(&o, drivers, &failures);
    printf("seed %llu, %llu cases\n", (unsigned long long)o.seed, (unsigned long long)o.cases);
    for (uint64_t i = o.first, done = 0; done < o.cases; i++) {
        if (o.ops && !(o.ops >> strided_case_op(i) & 1))
            continue;
        done++;
        if (!(o.strided ? strided_check(&strided, drivers, count, i) : do_case(&o, drivers, count, i))) {
            printf("FAIL case %llu: out of memory\n", (unsigned long long)i);
            failures++;
        }
    }
    for (int i = 0; i < count; i++) {
        if (o.strided)
            strided_summarise(&strided, i, &drivers[i]);
        else
            summarise(&o, &drivers[i]);
        passed += drivers[i].cases - (drivers[i].failures < drivers[i].cases ? drivers[i].failures : drivers[i].cases);
        failures += drivers[i].failures;
        check_driver_close(&drivers[i]);
    }
    failures += o.table && !write_table(&o, &table, count);
    printf("check suite: %llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failures);
    return failures > 0;
}
