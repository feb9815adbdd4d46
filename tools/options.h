// The command line, one struct for all commands.
#ifndef NORMA_TOOLS_OPTIONS_H
#define NORMA_TOOLS_OPTIONS_H

#include <norma/context.h>
#include <norma/problem.h>
#include <stdbool.h>

enum option_group {
    OPTIONS_DEVICE = 1,  // --device --memory-budget --invariant
    OPTIONS_PROBLEM = 2, // the operator's numbers, --dtype
    OPTIONS_FILES = 4,   // --weight ... --verify -o
    OPTIONS_SHAPE = 8,   // --shape --with --param-dtype
    OPTIONS_JSON = 16,
    OPTIONS_EXPLAIN = 32,
    OPTIONS_BENCH = 64,
    OPTIONS_CHECK = 128,
    OPTIONS_WHOLE = 256,     // --backward, running statistics that are updated, z
    OPTIONS_INSPECT = 512,   // --plot --groups, parameters; the operator may be left out: layer_norm
    OPTIONS_DESCRIBE = 1024, // -o --variant
    OPTIONS_SUITE = 2048,    // --suite --filter --quick --seconds --plot
};

enum { OPTIONS_MAX = 112 }; // rows of the table of arguments

#define TENSOR_BIT(arg) (UINT64_C(1) << (arg))

struct options {
    const char *command;
    char *op_name, *x_file; // the words that are no options
    // As written, a row of the table of arguments each; NULL or 0 where not given.
    char *text[OPTIONS_MAX];
    int flag[OPTIONS_MAX];
    // As understood. What points to text is NULL where not given.
    const char *device, *budget_text, *shape_text, *with_text, *variant, *plot_file, *description_file, *filter;
    const char *file[NORMA_ARG_COUNT], *out_file[NORMA_ARG_COUNT]; // to read, to write
    int32_t invariant, verify, json, no_measure, repeat, shown_groups, channels_last, cold, suite, quick, counted;
    int32_t channel_block, channels; // packed channels; 0: none
    uint64_t memory_budget, seed;
    double seconds;
    norma_problem problem;                     // op, direction and numbers; no tensors, and no axes yet
    norma_dtype dtype, out_dtype, param_dtype; // NORMA_DTYPE_INVALID where not given
    int32_t rank;
    int64_t shape[NORMA_MAX_RANK];
    uint64_t with; // TENSOR_BIT(a): tensor a is part of the problem (--with)
    int32_t axis[NORMA_MAX_RANK], axis_count;
};

// What a command reads: its groups of options, and the words that it needs.
struct option_spec {
    unsigned groups;
    const char *words; // such as "X.npy -o Y.npy", behind the operator, for --help
    bool op, x;
};

// Reads argv, argv[0] being the command. 0, or the program's exit status after a message (2) or after --help (-1).
int options_parse(int argc, const char **argv, const struct option_spec *spec, struct options *options);
void options_finish(struct options *options);

// The options' problem, without tensors, for an x of that rank: --axes count from its end where negative. False after
// a message.
bool options_problem(const struct options *options, int32_t rank, norma_problem *problem);
// A context for --device, --memory-budget and --invariant. False after a message.
bool options_context(const struct options *options, norma_context **context);
// Whether --device (or NORMA_DEVICE) means this one: a context lists all that there are.
bool options_want(const struct options *options, const norma_device *device);

// Whether an output of that type is quantised, and has a scale.
bool is_quantised(norma_dtype dtype);

// "float32", ...: the names on the command line and in JSON.
const char *dtype_name(norma_dtype dtype);

#endif
