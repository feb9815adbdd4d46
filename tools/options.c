#include "options.h"
#include "arguments.h"
#include "context.h"
#include "message.h"
#include "problem.h"
#include "tensors.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELP = 1000 }; // what popt returns for --help

static bool wrong(const struct options *o, const char *name, const char *text, const char *format)
{
    char line[512];
    snprintf(line, sizeof line, format, text);
    return complain("%s: --%s: %s", o->command, name, line);
}

const char *dtype_name(norma_dtype dtype)
{
    switch (dtype) {
    case NORMA_FLOAT32:
        return "float32";
    case NORMA_FLOAT16:
        return "float16";
    case NORMA_BFLOAT16:
        return "bfloat16";
    case NORMA_FLOAT64:
        return "float64";
    case NORMA_INT8:
        return "int8";
    case NORMA_FLOAT8_E4M3FN:
        return "float8_e4m3fn";
    case NORMA_INT32:
        return "int32";
    case NORMA_INT64:
        return "int64";
    default:
        return "unknown";
    }
}

static bool parse_number(const struct options *o, const char *name, const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return (end != text && !*end) || wrong(o, name, text, "'%s' is no number");
}

static bool parse_integer(const struct options *o, const char *name, const char *text, int32_t *value)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno || number < INT32_MIN || number > INT32_MAX)
        return wrong(o, name, text, "'%s' is no integer of 32 bits");
    *value = (int32_t)number;
    return true;
}

// 256M, 1.5G, 4096: powers of 1024.
static bool parse_size(const struct options *o, const char *text, uint64_t *size)
{
    if (!text)
        return true;
    char *end;
    double value = strtod(text, &end);
    static const char units[] = "KMGT";
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit) {
        for (const char *u = units; u <= unit; ++u)
            value *= 1024;
        ++end;
        if (*end == 'i')
            ++end;
    }
    if (*end == 'B')
        ++end;
    if (end == text || *end || !(value >= 1 && value < 9e18))
        return wrong(o, "memory-budget", text, "'%s' is no size: write 256M or 2G");
    *size = (uint64_t)value;
    return true;
}

static bool parse_dtype(const struct options *o, const char *name, const char *text, norma_dtype *dtype)
{
    const bool output = !strcmp(name, "out-dtype");
    for (norma_dtype d = NORMA_FLOAT32; d <= (output ? NORMA_FLOAT8_E4M3FN : NORMA_FLOAT64); ++d) {
        if (!strcmp(text, dtype_name(d))) {
            *dtype = d;
            return true;
        }
    }
    return wrong(o, name, text,
                 output ? "'%s' is no type: write float32, float16, bfloat16, float64, int8 or float8_e4m3fn"
                        : "'%s' is no type: write float32, float16, bfloat16 or float64");
}

static bool parse_choice(const struct options *o, const struct argument *a, const char *text, int *value)
{
    for (int i = 0; a->choices[i]; ++i) {
        if (!strcmp(text, a->choices[i])) {
            *value = i;
            return true;
        }
    }
    char names[256];
    size_t used = 0;
    for (int i = 0; a->choices[i] && used < sizeof names; ++i)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", a->choices[i]);
    return complain("%s: --%s: '%s': write one of %s", o->command, a->name, text, names);
}

// One of the digits that a->value lists, such as 0|1.
static bool parse_switch(const struct options *o, const struct argument *a, const char *text, int32_t *value)
{
    if (!isdigit((unsigned char)text[0]) || text[1] || !strchr(a->value, text[0]))
        return complain("%s: --%s: '%s' is none of %s", o->command, a->name, text, a->value);
    *value = text[0] - '0';
    return true;
}

static bool parse_axes(struct options *o, const struct argument *a, const char *text)
{
    char copy[256], *rest = copy;
    const int32_t most = !strcmp(a->name, "dim") ? 1 : NORMA_MAX_RANK;
    if (o->axis_count)
        return wrong(o, a->name, text, "'%s' is one too many: --dim and --axes say the same");
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word; (word = strsep(&rest, ","));) {
        if (o->axis_count == most)
            return complain("%s: --%s: '%s' is more than %d", o->command, a->name, text, (int)most);
        if (!parse_integer(o, a->name, word, &o->axis[o->axis_count++]))
            return false;
    }
    return true;
}

static bool parse_shape(struct options *o, const char *text)
{
    if (!text)
        return complain("%s: --shape is missing: write --shape 4096x768", o->command);
    const char *at = text;
    for (o->rank = 0; o->rank < NORMA_MAX_RANK;) {
        char *end;
        errno = 0;
        long long value = isdigit((unsigned char)*at) ? strtoll(at, &end, 10) : -1;
        if (value < 0 || errno)
            break;
        o->shape[o->rank++] = value;
        if (!*end)
            return true;
        if (*end != 'x' && *end != ',')
            break;
        at = end + 1;
    }
    return wrong(o, "shape", text, "'%s' is no shape: write 4096x768, or up to 8 dimensions");
}

// The tensors that most callers have: the parameters, running statistics where they are used, their gradients.
static uint64_t usual_tensors(const norma_problem *p)
{
    uint64_t with = TENSOR_BIT(NORMA_ARG_WEIGHT) | TENSOR_BIT(NORMA_ARG_BIAS), gradients = 0;
    switch (p->op) {
    case NORMA_RMS_NORM:
    case NORMA_WEIGHT_STANDARDIZATION:
        with = TENSOR_BIT(NORMA_ARG_WEIGHT);
        break;
    case NORMA_BATCH_NORM_STATS:
        with = p->direction == NORMA_BACKWARD ? with : 0;
        break;
    case NORMA_NORMALIZE:
    case NORMA_MEAN_VARIANCE_NORMALIZATION:
    case NORMA_LOCAL_RESPONSE_NORM:
    case NORMA_BATCH_NORM_MERGE:
        with = 0;
        break;
    case NORMA_ADA_LAYER_NORM:
    case NORMA_ADA_RMS_NORM:
    case NORMA_ADA_GROUP_NORM:
    case NORMA_ADA_INSTANCE_NORM:
        with = TENSOR_BIT(NORMA_ARG_SCALE) | TENSOR_BIT(NORMA_ARG_SHIFT);
        break;
    case NORMA_SWITCHABLE_NORM:
        with |= TENSOR_BIT(NORMA_ARG_MEAN_WEIGHTS) | TENSOR_BIT(NORMA_ARG_VAR_WEIGHTS);
        break;
    default:
        break;
    }
    for (norma_arg arg = NORMA_ARG_DX; arg < NORMA_ARG_COUNT; ++arg)
        if (argument_has_tensor(p->op, p->direction, arg) &&
            (arg == NORMA_ARG_DX || with >> tensor_of_gradient(arg) & 1))
            gradients |= TENSOR_BIT(arg);
    if (p->op == NORMA_BATCH_RENORM && p->training && p->direction == NORMA_BACKWARD)
        with |= TENSOR_BIT(NORMA_ARG_R) | TENSOR_BIT(NORMA_ARG_D);
    if (norma_running_are_given(p) || p->op == NORMA_BATCH_RENORM)
        with |= TENSOR_BIT(NORMA_ARG_RUNNING_MEAN) | TENSOR_BIT(NORMA_ARG_RUNNING_VAR);
    return p->direction == NORMA_BACKWARD ? with | gradients : with;
}

static bool find_tensor(const char *word, norma_arg *arg)
{
    for (*arg = NORMA_ARG_X; *arg < NORMA_ARG_COUNT; ++*arg) {
        const char *name = norma_arg_name(*arg);
        size_t i = 0;
        while (name[i] && (word[i] == name[i] || (name[i] == '_' && word[i] == '-')))
            ++i;
        if (!name[i] && !word[i])
            return true;
    }
    return false;
}

static bool parse_with(struct options *o, const char *text)
{
    const norma_problem *p = &o->problem;
    char copy[512], *rest = copy;
    if (!text)
        o->with = usual_tensors(p);
    if (!text || !strcmp(text, "none"))
        return true;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word; (word = strsep(&rest, ","));) {
        norma_arg arg;
        if (!find_tensor(word, &arg))
            return wrong(o, "with", word, "'%s' is no tensor: write weight,bias or other names of norma run OP --help");
        if (arg != NORMA_ARG_X && !argument_has_tensor(p->op, p->direction, arg))
            return complain("%s: --with: %s has no %s %s", o->command, norma_op_name(p->op), word,
                            p->direction == NORMA_BACKWARD ? "in backward" : "in forward");
        o->with |= TENSOR_BIT(arg);
    }
    return true;
}

static bool parse_op(struct options *o)
{
    char names[512];
    norma_op op = NORMA_LAYER_NORM;
    while (op < NORMA_OP_COUNT && o->op_name && strcmp(o->op_name, norma_op_name(op)))
        ++op;
    if (!o->op_name)
        return complain("%s: the operator is missing: %s", o->command, argument_operators(names));
    if (op == NORMA_OP_COUNT)
        return complain("%s: '%s' is no operator: write %s", o->command, o->op_name, argument_operators(names));
    o->problem = norma_problem_defaults(op);
    return true;
}

// One argument from its text into the options.
static bool understand_argument(struct options *o, size_t i)
{
    const struct argument *a = &arguments[i];
    void *target = (char *)o + a->target;
    char *text = o->text[i];
    const int32_t flag = 1;
    double number;
    switch (a->kind) {
    case ARGUMENT_FLAG:
        memcpy(target, &flag, sizeof flag);
        return true;
    case ARGUMENT_NUMBER:
        return parse_number(o, a->name, text, target);
    case ARGUMENT_MOMENTUM:
        o->problem.cumulative = strcmp(text, "none") == 0;
        return o->problem.cumulative || parse_number(o, a->name, text, target);
    case ARGUMENT_INTEGER:
        return parse_integer(o, a->name, text, target);
    case ARGUMENT_SWITCH:
        return parse_switch(o, a, text, target);
    case ARGUMENT_CHOICE:
        return parse_choice(o, a, text, target);
    case ARGUMENT_DTYPE:
        return parse_dtype(o, a->name, text, target);
    case ARGUMENT_AXES:
        return parse_axes(o, a, text);
    case ARGUMENT_SEED:
        if (!parse_number(o, a->name, text, &number))
            return false;
        if (!(number >= 0 && number < 9e15))
            return wrong(o, a->name, text, "'%s' is not a number from 0 to 9e15");
        o->seed = (uint64_t)number;
        return true;
    default:
        if (*(char **)target)
            return wrong(o, a->name, text, "'%s' is one too many: it is given by another name too");
        memcpy(target, &text, sizeof text);
        return true;
    }
}

// Arguments that the operator or the direction does not have.
static bool check_belongs(const struct options *o, const struct argument *a)
{
    const norma_problem *p = &o->problem;
    const bool backward = p->direction == NORMA_BACKWARD;
    if (p->op != NORMA_OP_INVALID && !(a->ops >> p->op & 1))
        return complain("%s: --%s: %s has none", o->command, a->name, norma_op_name(p->op));
    const bool made = tensor_role(a->arg) == TENSOR_CELLS && norma_arg_is_output(p, a->arg);
    if (p->op != NORMA_OP_INVALID && a->kind == ARGUMENT_INPUT && made)
        return complain("%s: --%s: only with --backward", o->command, a->name);
    if (a->directions == (backward ? ARGUMENT_FORWARD : ARGUMENT_BACKWARD))
        return complain("%s: --%s: %s", o->command, a->name, backward ? "not with --backward" : "only with --backward");
    return true;
}

bool is_quantised(norma_dtype dtype)
{
    return dtype == NORMA_INT8 || dtype == NORMA_FLOAT8_E4M3FN;
}

// y's scale comes from a file, goes to one, or there is none.
static bool check_scale(struct options *o)
{
    const bool backward = o->problem.direction == NORMA_BACKWARD, out = o->out_file[NORMA_ARG_Y_SCALE];
    if (is_quantised(o->out_dtype) && backward)
        return complain("%s: --out-dtype: %s is for y, which has no gradient then", o->command,
                        dtype_name(o->out_dtype));
    if (out && o->file[NORMA_ARG_Y_SCALE])
        return complain("%s: --y-scale-out: the scale is given (--y-scale)", o->command);
    if ((out || o->file[NORMA_ARG_Y_SCALE] || o->problem.dynamic_scale) && !is_quantised(o->out_dtype))
        return complain("%s: --%s: it is for --out-dtype int8 or float8_e4m3fn", o->command,
                        out                          ? "y-scale-out"
                        : o->file[NORMA_ARG_Y_SCALE] ? "y-scale"
                                                     : "y-scale-dynamic");
    if (out)
        o->problem.dynamic_scale = 1;
    return true;
}

static bool check_inputs(const struct options *o)
{
    const bool backward = o->problem.direction == NORMA_BACKWARD;
    const bool stats = o->problem.op == NORMA_BATCH_NORM_APPLY || (o->problem.op == NORMA_BATCH_NORM_STATS && backward);
    if (stats && !o->file[NORMA_ARG_STATS])
        return complain("%s: --stats is missing: the .npy file with the merged statistics", o->command);
    if (o->problem.op == NORMA_BATCH_NORM_APPLY && backward && !o->file[NORMA_ARG_SUMS])
        return complain("%s: --sums is missing: the .npy file with the merged sums", o->command);
    if (o->problem.op != NORMA_BATCH_NORM_MERGE && backward && !o->file[NORMA_ARG_DY])
        return complain("%s: --dy is missing: the .npy file with the gradient of y", o->command);
    return true;
}

static bool check_files(const struct options *o)
{
    const norma_problem *p = &o->problem;
    bool any = o->verify;
    if (!check_inputs(o))
        return false;
    if (argument_has_tensor(p->op, p->direction, NORMA_ARG_Y))
        return any || o->out_file[NORMA_ARG_Y] ||
               complain("%s: -o Y.npy is missing: the .npy file to write (or --verify)", o->command);
    for (int a = 0; a < NORMA_ARG_COUNT; ++a)
        any = any || o->out_file[a];
    if (norma_arg_is_output(p, NORMA_ARG_STATS) || norma_arg_is_output(p, NORMA_ARG_SUMS))
        return any || complain("%s: --%s is missing: the .npy file to write (or --verify)", o->command,
                               p->direction == NORMA_BACKWARD ? "sums-out" : "stats-out");
    return any || complain("%s: --dx-out, or another gradient to write, is missing (or --verify)", o->command);
}

static bool understand(struct options *o, const struct option_spec *spec)
{
    if (spec->op && !parse_op(o))
        return false;
    if (spec->x && !o->x_file)
        return complain("%s: %s is missing: the .npy file to %s", o->command,
                        o->problem.op == NORMA_BATCH_NORM_MERGE ? "PARTS.npy" : "X.npy",
                        o->problem.op == NORMA_BATCH_NORM_MERGE ? "merge" : "normalise");
    o->seconds = spec->groups & OPTIONS_SUITE ? 0.5 : 3;
    o->repeat = 1;
    o->seed = 1;
    o->shown_groups = 16;
    for (size_t i = 0; i < argument_count; ++i)
        if ((o->text[i] || o->flag[i]) && !understand_argument(o, i))
            return false;
    for (size_t i = 0; i < argument_count; ++i)
        if ((o->text[i] || o->flag[i]) && !check_belongs(o, &arguments[i]))
            return false;
    if (spec->groups & OPTIONS_SHAPE && !(parse_shape(o, o->shape_text) && parse_with(o, o->with_text)))
        return false;
    if (spec->groups & OPTIONS_DESCRIBE && !o->description_file)
        return complain("%s: -o is missing: write -o DIR or -o FILE.json", o->command);
    if (!parse_size(o, o->budget_text, &o->memory_budget))
        return false;
    if (!(o->seconds > 0 && o->seconds <= 3600))
        return complain("%s: --seconds: %g is not above 0 and at most 3600", o->command, o->seconds);
    if (!check_scale(o))
        return false;
    if (o->repeat < 1)
        return complain("%s: --repeat: it must be at least 1", o->command);
    return !(spec->groups & OPTIONS_FILES) || check_files(o);
}

// The operator among the words, which --help does not read to their end. NORMA_OP_INVALID where there is none.
static norma_op find_op(int count, const char **words)
{
    for (int i = 0; i < count; ++i)
        for (norma_op op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; ++op)
            if (!strcmp(words[i], norma_op_name(op)))
                return op;
    return NORMA_OP_INVALID;
}

static int read_words(poptContext popt, const struct option_spec *spec, struct options *o)
{
    int code;
    while ((code = poptGetNextOpt(popt)) >= 0)
        if (code == HELP)
            return HELP;
    if (code < -1) {
        complain("%s: %s: %s", o->command, poptBadOption(popt, POPT_BADOPTION_NOALIAS), poptStrerror(code));
        return 2;
    }
    // X.npy alone where the operator may be left out.
    const char *words[3] = {NULL};
    int count = 0;
    while (count < 3 && (words[count] = poptGetArg(popt)))
        ++count;
    const bool by_default = spec->groups & OPTIONS_INSPECT && count < 2 && find_op(count, words) == NORMA_OP_INVALID;
    int at = 0;
    if (spec->op && at < count && !by_default)
        o->op_name = strdup(words[at++]);
    if (spec->x && at < count)
        o->x_file = strdup(words[at++]);
    if (at < count) {
        complain("%s: '%s' is one word too many", o->command, words[at]);
        return 2;
    }
    if (by_default)
        o->op_name = strdup(norma_op_name(NORMA_LAYER_NORM));
    return understand(o, spec) ? 0 : 2;
}

// Other operators' arguments are read as well, so that a message can say whose they are not.
static void fill_table(const struct option_spec *spec, struct options *o, struct poptOption *table)
{
    size_t used = 0;
    for (size_t i = 0; i < argument_count; ++i) {
        const struct argument *a = &arguments[i];
        const bool flag = a->kind == ARGUMENT_FLAG;
        if (a->groups & spec->groups)
            table[used++] = (struct poptOption){.longName = a->name,
                                                .shortName = a->letter,
                                                .argInfo = flag ? POPT_ARG_NONE : POPT_ARG_STRING,
                                                .arg = flag ? (void *)&o->flag[i] : (void *)&o->text[i]};
    }
    table[used++] = (struct poptOption){.longName = "help", .shortName = '?', .argInfo = POPT_ARG_NONE, .val = HELP};
    table[used++] = (struct poptOption){.shortName = 'h', .argInfo = POPT_ARG_NONE, .val = HELP};
}

int options_parse(int argc, const char **argv, const struct option_spec *spec, struct options *o)
{
    struct poptOption table[OPTIONS_MAX + 3];
    memset(table, 0, sizeof table);
    memset(o, 0, sizeof *o);
    o->command = argv[0];
    fill_table(spec, o, table);
    poptContext popt = poptGetContext(NULL, argc, argv, table, 0);
    int code = read_words(popt, spec, o);
    poptFreeContext(popt);
    if (code == HELP) {
        argument_print_help(spec, o->command, spec->op ? find_op(argc - 1, argv + 1) : NORMA_OP_INVALID);
        return -1;
    }
    return code ? 2 : 0;
}

void options_finish(struct options *o)
{
    free(o->op_name);
    free(o->x_file);
    for (size_t i = 0; i < OPTIONS_MAX; ++i)
        free(o->text[i]);
    memset(o, 0, sizeof *o);
}

bool options_problem(const struct options *o, int32_t rank, norma_problem *p)
{
    *p = o->problem;
    if (p->op == NORMA_NORMALIZE && !o->axis_count)
        p->axes = 2;
    if (p->op == NORMA_MEAN_VARIANCE_NORMALIZATION && !o->axis_count)
        p->axes = ((1u << rank) - 1) & ~2u;
    for (int32_t i = 0; i < o->axis_count; ++i) {
        const int32_t axis = o->axis[i] < 0 ? o->axis[i] + rank : o->axis[i];
        if (axis < 0 || axis >= rank)
            return complain("axes: %d is none of the %d dimensions of x", (int)o->axis[i], (int)rank);
        p->axes |= 1u << axis;
    }
    return true;
}

bool options_context(const struct options *o, norma_context **context)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = o->device;
    params.memory_budget = o->memory_budget;
    params.invariant = o->invariant;
    return succeeded(norma_context_create(&params, context));
}

bool options_want(const struct options *o, const norma_device *device)
{
    const char *name = o->device ? o->device : getenv("NORMA_DEVICE");
    return !name || !*name || norma_device_matches(device, name);
}
