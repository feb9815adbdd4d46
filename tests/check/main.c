// norma-check-suite: every device on the same cases, through the public functions alone, against long double
// arithmetic.
#include "bits.h"
#include "report.h"
#include "row_check.h"
#include "strided_case.h"
#include "strided_check.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DRIVERS = 8, CHECK_MAX_PROGRAMS = 48 }; // programs that an operator may compile on a device, at most

struct settings {
    const char *device[MAX_DRIVERS];
    int devices;
    uint64_t seed, cases, first;
    const char *program, *filter, *variant, *table;
    uint32_t ops; // bit op: strided cases are of these operators
    bool time, bits, digest, allow_missing, strided, guest, programs;
};

static void report(void *user, const struct check_trial *t, const char *way, const char *message)
{
    (void)user;
    check_report(&t->subject, t->driver->name, "", way, message, t->driver->failures);
}

static void fail(struct check_driver *driver, const char *message)
{
    printf("FAIL %s: %s\n", driver->name, message);
    driver->failures++;
}

// What a device may compile, and what must have run.
static void summarise_programs(const struct settings *o, struct check_driver *driver)
{
    const bool all = !o->strided && !o->filter && !o->variant && o->cases >= 1000;
    char message[100];
    const char *variant;
    for (size_t i = 0; !o->strided && (variant = check_driver_variant(driver, i)); i++) {
        printf("%s: variant %s ran %llu cases\n", driver->name, variant, (unsigned long long)driver->variant_runs[i]);
        snprintf(message, sizeof message, "no case ran by variant %s", variant);
        if (all && driver->variant_runs[i] == 0)
            fail(driver, message);
    }
    for (int op = NORMA_LAYER_NORM; o->programs && op < NORMA_OP_COUNT; op++) {
        const uint32_t programs = check_driver_programs(driver, (norma_op)op, false);
        if (driver->op[op].cases == 0)
            continue;
        printf("%s: %s compiled %u programs; with every variant by name %u\n", driver->name,
               norma_op_name((norma_op)op), programs, check_driver_programs(driver, (norma_op)op, true));
        snprintf(message, sizeof message, "more than %d programs", CHECK_MAX_PROGRAMS);
        if (programs > CHECK_MAX_PROGRAMS)
            fail(driver, message);
    }
}

// After the cases: figures, and the promises that hold over all of them.
static void summarise(const struct settings *o, const struct strided_table *table, int index,
                      struct check_driver *driver)
{
    char message[100];
    printf("%s: %llu cases, %llu runs, %llu refused, %llu failed, largest error/bound %.3f, of float32 %.3f (%s)\n",
           driver->name, (unsigned long long)driver->cases, (unsigned long long)driver->runs,
           (unsigned long long)driver->refused, (unsigned long long)driver->failures, driver->worst, driver->worst32,
           driver->worst_case);
    summarise_programs(o, driver);
    const int empty = o->table ? strided_table_empty(table, index, driver->name, o->ops) : 0;
    snprintf(message, sizeof message, "%d cells of the table are empty", empty);
    if (empty > 0)
        fail(driver, message);
    snprintf(message, sizeof message, "%llu runs of a plan compiled something",
             (unsigned long long)driver->compiled_late);
    if (driver->compiled_late > 0)
        fail(driver, message);
}

static const struct option option_names[] = {{"device", required_argument, 0, 'd'},
                                             {"seed", required_argument, 0, 's'},
                                             {"cases", required_argument, 0, 'n'},
                                             {"only", required_argument, 0, 'o'},
                                             {"filter", required_argument, 0, 'f'},
                                             {"variant", required_argument, 0, 'v'},
                                             {"time", no_argument, 0, 't'},
                                             {"bits", no_argument, 0, 'b'},
                                             {"digest", no_argument, 0, 'g'},
                                             {"allow-missing", no_argument, 0, 'm'},
                                             {"strided", no_argument, 0, 'r'},
                                             {"guest", no_argument, 0, 'q'},
                                             {"programs", no_argument, 0, 'P'},
                                             {"table", required_argument, 0, 'T'},
                                             {"values", required_argument, 0, 'V'},
                                             {"op", required_argument, 0, 'p'},
                                             {"rounds", required_argument, 0, 'R'},
                                             {"driver-threads", required_argument, 0, 'D'},
                                             {0}};

// Names of operators, between commas.
static bool parse_ops(const char *text, uint32_t *ops)
{
    for (const char *word = text, *end; word; word = *end ? end + 1 : NULL) {
        end = word + strcspn(word, ",");
        const size_t length = (size_t)(end - word);
        int op = NORMA_LAYER_NORM;
        while (op < NORMA_OP_COUNT &&
               (strncmp(word, norma_op_name((norma_op)op), length) != 0 || norma_op_name((norma_op)op)[length]))
            op++;
        if (op == NORMA_OP_COUNT) {
            fprintf(stderr, "--op: '%.*s' is no operator\n", (int)length, word);
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
        "                         [--strided [--rounds N] [--op OP,OP,...] [--table FILE] [--values CLASS]]\n"
        "                         [--programs: those that each operator compiles are counted, in contexts of its own]\n"
        "                         [--guest: plans are recorded for a device of the caller's, opencl or vulkan]\n"
        "A round of strided cases has each operator in each direction, type and layout of x.\n";
    bool *const flags[] = {['t'] = &o->time,    ['b'] = &o->bits,  ['g'] = &o->digest,   ['m'] = &o->allow_missing,
                           ['r'] = &o->strided, ['q'] = &o->guest, ['P'] = &o->programs, ['z'] = NULL};
    const char **const texts[] = {['f'] = &o->filter, ['v'] = &o->variant, ['T'] = &o->table, ['z'] = NULL};
    for (int option; (option = getopt_long(argc, argv, "", option_names, NULL)) != -1;) {
        if (option < 'z' && flags[option]) {
            *flags[option] = true;
            continue;
        }
        if (option < 'z' && texts[option]) {
            *texts[option] = optarg;
            continue;
        }
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
        case 'R':
            o->cases = strtoull(optarg, NULL, 0) * STRIDED_ROUND;
            break;
        case 'o':
            o->first = strtoull(optarg, NULL, 0);
            o->cases = 1;
            break;
        case 'D':
            if (!bits_set_driver_threads(optarg))
                return 2;
            break;
        case 'V':
            if (!strided_force_values(optarg)) {
                fprintf(stderr, "--values: '%s' is no class of values\n", optarg);
                return 2;
            }
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
    const bool wrong =
        optind < argc || ((o->ops || strided_values_are_forced()) && (!o->strided || o->bits || o->digest));
    if (wrong)
        fputs(usage, stderr);
    return wrong ? 2 : 0;
}

static norma_status open_guest(struct check_driver *driver, const char *name)
{
    struct check_guest *guest = NULL;
    norma_status status = NORMA_ERROR_NO_DEVICE;
#ifdef CHECK_GUEST_VULKAN
    if (!strcmp(name, "vulkan"))
        status = check_guest_vulkan(&guest);
#endif
#ifdef CHECK_GUEST_OPENCL
    if (!strcmp(name, "opencl"))
        status = check_guest_opencl(&guest);
#endif
    return status == NORMA_OK ? check_driver_open_guest(driver, name, guest) : status;
}

// Opens the drivers that were asked for; a missing one is a failure unless the caller said that it may be.
static int open_drivers(const struct settings *o, struct check_driver *drivers, uint64_t *failures)
{
    int count = 0;
    for (int i = 0; i < o->devices; i++) {
        const norma_status status = o->guest      ? open_guest(&drivers[count], o->device[i])
                                    : o->programs ? check_driver_open_counting(&drivers[count], o->device[i])
                                                  : check_driver_open(&drivers[count], o->device[i], 0, 0);
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
    const struct bits_settings bits = {o->program, o->seed,         o->first, o->cases < 1000 ? o->cases : 1000,
                                       o->digest,  o->allow_missing};
    return check_bits(o->strided ? &strided_bits : &row_bits, o->device, o->devices, &bits);
}

// The page that the table option asks for. False after a message.
static bool write_table(const struct settings *o, const struct strided_table *table, const struct check_driver *drivers,
                        int count)
{
    const char *names[MAX_DRIVERS];
    char how[100];
    for (int i = 0; i < count; i++)
        names[i] = drivers[i].name;
    snprintf(how, sizeof how, "%llu cases a device, seed %llu", (unsigned long long)o->cases,
             (unsigned long long)o->seed);
    if (strided_table_write(table, names, count, how, o->table))
        return true;
    printf("FAIL the table cannot be written to %s\n", o->table);
    return false;
}

static int run_cases(const struct settings *o)
{
    struct check_driver drivers[MAX_DRIVERS];
    static struct strided_table table;
    const struct check_settings settings = {.seed = o->seed,
                                            .ops = o->ops,
                                            .filter = o->filter,
                                            .variant = o->variant,
                                            .time = o->time,
                                            .table = o->table ? &table : NULL,
                                            .report = report};
    uint64_t failures = 0, passed = 0;
    const int count = open_drivers(o, drivers, &failures);
    printf("seed %llu, %llu cases\n", (unsigned long long)o->seed, (unsigned long long)o->cases);
    for (uint64_t i = o->first, done = 0; done < o->cases; i++) {
        if (o->ops && !(o->ops >> strided_case_op(i) & 1))
            continue;
        done++;
        if (!(o->strided ? strided_check : row_check)(&settings, drivers, count, i)) {
            printf("FAIL case %llu: out of memory\n", (unsigned long long)i);
            failures++;
        }
    }
    for (int i = 0; i < count; i++) {
        summarise(o, &table, i, &drivers[i]);
        passed += drivers[i].cases - (drivers[i].failures < drivers[i].cases ? drivers[i].failures : drivers[i].cases);
        failures += drivers[i].failures;
        check_driver_close(&drivers[i]);
    }
    failures += o->table && !write_table(o, &table, drivers, count);
    printf("check suite: %llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failures);
    return failures > 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); // progress shows, and survives a crash
    struct settings o = {.program = argv[0], .seed = 1, .cases = 3000};
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
    return run_cases(&o);
}
