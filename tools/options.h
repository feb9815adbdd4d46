// The command line, one struct for all commands.
#ifndef NORMA_TOOLS_OPTIONS_H
#define NORMA_TOOLS_OPTIONS_H

#include <norma/context.h>
#include <norma/problem.h>
#include <stdbool.h>

enum option_group {
    OPTIONS_DEVICE = 1,  // --device --memory-budget --invariant
    OPTIONS_PROBLEM = 2, // --eps --normalized-dims --weight-offset --dtype
    OPTIONS_FILES = 4,   // --weight ... --verify -o
    OPTIONS_SHAPE = 8,   // --shape --with --param-dtype --out-dtype
    OPTIONS_JSON = 16,
    OPTIONS_EXPLAIN = 32,
    OPTIONS_BENCH = 64,
    OPTIONS_CHECK = 128,
};

struct options {
    const char *command;
    char *op_name, *x_file; // the words that are no options
    // As written; NULL where not given.
    char *device, *budget_text, *eps_text, *offset_text, *dtype_text, *out_dtype_text, *param_dtype_text, *shape_text,
        *with_text, *seconds_text, *seed_text, *variant, *plot_file;
    char *file[NORMA_ARG_COUNT]; // outputs too
    int invariant, verify, json, no_measure, normalized_dims, repeat;
    // As understood.
    uint64_t memory_budget, seed;
    double eps, weight_offset, seconds;
    norma_op op;
    norma_dtype dtype, out_dtype, param_dtype; // NORMA_DTYPE_INVALID where not given
    int32_t rank;
    int64_t shape[NORMA_MAX_RANK];
    unsigned with; // bit a: tensor a is part of the problem (--with)
};

// What a command reads: its groups of options, and the words that it needs.
struct option_spec {
    unsigned groups;
    const char *words; // such as "OP X.npy -o Y.npy", for --help
    bool op, x;
};

// Reads argv, argv[0] being the command. 0, or the program's exit status after a message (2) or after --help (-1).
int options_parse(int argc, const char **argv, const struct option_spec *spec, struct options *options);
void options_finish(struct options *options);

// A problem with op, eps, weight_offset and normalized_dims of the options, and no tensors.
norma_problem options_problem(const struct options *options);
// A context for --device, --memory-budget and --invariant. False after a message.
bool options_context(const struct options *options, norma_context **context);
// Whether --device (or NORMA_DEVICE) means this one: a context lists all that there are.
bool options_want(const struct options *options, const norma_device *device);

// The tensor's slot in a problem (const norma_tensor **).
const norma_tensor **problem_slot(norma_problem *problem, norma_arg arg);
const norma_tensor *problem_tensor(const norma_problem *problem, norma_arg arg);
// "float32", ...: the names on the command line and in JSON.
const char *dtype_name(norma_dtype dtype);

#endif
