// Every argument of the program as a row of one table: its name, what it says, whose it is.
#ifndef NORMA_TOOLS_ARGUMENTS_H
#define NORMA_TOOLS_ARGUMENTS_H

#include "options.h"
#include <stddef.h>

enum argument_kind {
    ARGUMENT_TEXT,     // const char *
    ARGUMENT_NUMBER,   // double
    ARGUMENT_MOMENTUM, // double, or `none`
    ARGUMENT_INTEGER,  // int32_t
    ARGUMENT_SWITCH,   // int32_t, one of a few digits
    ARGUMENT_FLAG,     // int32_t, set to 1 by the name alone
    ARGUMENT_CHOICE,   // an enum, by name
    ARGUMENT_DTYPE,    // norma_dtype
    ARGUMENT_SEED,     // uint64_t
    ARGUMENT_AXES,     // a list of integers
    ARGUMENT_INPUT,    // a file with the tensor `arg`
    ARGUMENT_OUTPUT,   // a file for it
};

// Under which heading --help has it.
enum argument_section {
    SECTION_COMMAND,
    SECTION_OPERATOR,
    SECTION_INPUTS,
    SECTION_OUTPUTS,
    SECTION_BACKWARD,
    SECTION_DEVICE,
    SECTION_COUNT
};

enum { ARGUMENT_FORWARD = 1, ARGUMENT_BACKWARD = 2, ARGUMENT_BOTH = 3 };

struct argument {
    const char *name;
    char letter;
    enum argument_kind kind;
    enum argument_section section;
    unsigned groups;     // enum option_group
    unsigned ops;        // bit op: the operators that have it
    unsigned directions; // ARGUMENT_FORWARD, ARGUMENT_BACKWARD
    size_t target;       // where it goes in struct options
    norma_arg arg;
    const char *const *choices; // NULL behind the last
    const char *value, *help;   // help is NULL for a name that is understood and not shown
};

extern const struct argument arguments[];
extern const size_t argument_count; // at most OPTIONS_MAX

// Whether the operator has this tensor in this direction.
bool argument_has_tensor(norma_op op, norma_direction direction, norma_arg arg);
// --help: the arguments of a command, those that the operator has (NORMA_OP_INVALID: all), with the tensors' shapes.
void argument_print_help(const struct option_spec *spec, const char *command, norma_op op);
// Every operator in a line of its own; as "layer_norm, rms_norm, ..." (text holds 512 bytes).
void argument_print_operators(void);
const char *argument_operators(char *text);

#endif
