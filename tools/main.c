// norma: the library from a shell. Exit status 0; 1 with one line on stderr; 2 for a wrong command line.
#include "arguments.h"
#include "commands.h"
#include "message.h"
#include "temporary.h"
#include <norma/version.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *words, *help;
    int (*run)(int argc, const char **argv);
} commands[] = {
    {"devices", "[--json]", "every device, what it can do, its self-test, its copy rate", cmd_devices},
    {"run", "OP X.npy -o Y.npy", "one operator on .npy files", cmd_run},
    {"inspect", "[OP] X.npy", "statistics by group, the largest channels, histograms before and after", cmd_inspect},
    {"explain", "OP --shape RxD", "every device's predicted and measured time, the choice and why", cmd_explain},
    {"describe", "OP --shape RxD -o DIR", "the plan as JSON and its kernels as files, for pipelines of one's own",
     cmd_describe},
    {"bench", "OP --shape RxD", "the operator's rate beside that of the device's copy; --suite: of every shape",
     cmd_bench},
    {"check", "[--device D]", "every operator on this machine's drivers against long double arithmetic", cmd_check},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(void)
{
    printf("norma %s: normalises neural-network tensors on any GPU or CPU driver\n\n", norma_version());
    for (int i = 0; i < COMMANDS; ++i)
        printf("  norma %-8s %-21s  %s\n", commands[i].name, commands[i].words, commands[i].help);
    printf("\n");
    argument_print_operators();
    printf("\nnorma COMMAND --help lists a command's options, norma COMMAND OP --help those of an operator.\n"
           "Environment: NORMA_DEVICE, NORMA_CACHE_DIR, NORMA_LOG, NORMA_THREADS; NORMA_IGNORE_FAULTS=1: use drivers "
           "whatever faults of "
           "theirs are known.\n");
}

int main(int argc, const char **argv)
{
    temporary_watch_signals();
    if (argc < 2) {
        complain(
            "a command is missing: devices, run, inspect, explain, describe, bench or check (norma --help says more)");
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "-?")) {
        help();
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("norma %s\n", norma_version());
        return 0;
    }
    for (int i = 0; i < COMMANDS; ++i) {
        if (strcmp(argv[1], commands[i].name))
            continue;
        int code = commands[i].run(argc - 1, argv + 1);
        code = code < 0 ? 0 : code; // --help
        // A full disk behind stdout shows only here.
        if (fflush(stdout) && !code) {
            complain("cannot write to standard output");
            code = 1;
        }
        return code;
    }
    complain("'%s' is no command: write devices, run, inspect, explain, describe, bench or check", argv[1]);
    return 2;
}
