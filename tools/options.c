#include "options.h"
#include "context.h"
#include "message.h"
#include <ctype.h>
#include <errno.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END_OF_TABLE                    \
    {                                   \
        NULL, 0, 0, NULL, 0, NULL, NULL \
    }
#define TEXT(name, letter, where, help, value)               \
    {                                                        \
        name, letter, POPT_ARG_STRING, where, 0, help, value \
    }
#define FLAG(name, where, help)                      \
    {                                                \
        name, 0, POPT_ARG_NONE, where, 0, help, NULL \
    }

static bool wrong(const struct options *o, const char *format, const char *text)
{
    char line[512];
    snprintf(line, sizeof line, format, text);
    return complain("%s: %s", o->command, line);
}

static bool parse_number(const struct options *o, const char *name, const char *text, double *value)
{
    if (!text)
        return true;
    char *end;
    *value = strtod(text, &end);
    if (end != text && !*end)
        return true;
    return complain("%s: --%s: '%s' is no number", o->command, name, text);
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
        return wrong(o, "--memory-budget: '%s' is no size: write 256M or 2G", text);
    *size = (uint64_t)value;
    return true;
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
    default:
        return "unknown";
    }
}

static bool parse_dtype(const struct options *o, const char *name, const char *text, norma_dtype *dtype)
{
    if (!text)
        return true;
    for (norma_dtype d = NORMA_FLOAT32; d <= NORMA_FLOAT64; ++d) {
        if (!strcmp(text, dtype_name(d))) {
            *dtype = d;
            return true;
        }
    }
    return complain("%s: --%s: '%s' is no type: write float32, float16 or bfloat16", o->command, name, text);
}

static bool parse_shape(struct options *o, const char *text)
{
    if (!text)
        return wrong(o, "%s is missing: write --shape 4096x768", "--shape");
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
    return wrong(o, "--shape: '%s' is no shape: write 4096x768, or up to 8 dimensions", text);
}

static bool parse_with(struct options *o, const char *text)
{
    if (!text || !strcmp(text, "none"))
        return true;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
        norma_arg arg = NORMA_ARG_WEIGHT;
        while (arg < NORMA_ARG_COUNT) {
            char name[32];
            snprintf(name, sizeof name, "%s", norma_arg_name(arg));
            for (char *c = name; *c; ++c)
                *c = *c == '_' ? '-' : *c;
            if (!strcmp(word, name))
                break;
            ++arg;
        }
        if (arg == NORMA_ARG_COUNT)
            return wrong(o, "--with: '%s' is none of weight, bias, residual, gate, input-bias, sum, mean, rstd", word);
        o->with |= 1u << arg;
    }
    return true;
}

static bool parse_op(struct options *o)
{
    for (norma_op op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; ++op) {
        if (o->op_name && !strcmp(o->op_name, norma_op_name(op))) {
            o->op = op;
            return true;
        }
    }
    if (!o->op_name)
        return wrong(o, "%s is missing: layer_norm or rms_norm", "the operator");
    return wrong(o, "'%s' is no operator: write layer_norm or rms_norm", o->op_name);
}

static bool understand(struct options *o, const struct option_spec *spec)
{
    if (spec->op && !parse_op(o))
        return false;
    if (spec->x && !o->x_file)
        return wrong(o, "%s is missing: the .npy file to normalise", "X.npy");
    if (spec->groups & OPTIONS_SHAPE && !parse_shape(o, o->shape_text))
        return false;
    if (!o->with_text)
        o->with = 1u << NORMA_ARG_WEIGHT | (o->op == NORMA_LAYER_NORM ? 1u << NORMA_ARG_BIAS : 0);
    o->eps = o->op == NORMA_RMS_NORM ? 1e-6 : 1e-5;
    o->seconds = 3;
    double seed = 1;
    bool good = parse_size(o, o->budget_text, &o->memory_budget) && parse_number(o, "eps", o->eps_text, &o->eps) &&
                parse_number(o, "weight-offset", o->offset_text, &o->weight_offset) &&
                parse_number(o, "seconds", o->seconds_text, &o->seconds) &&
                parse_number(o, "seed", o->seed_text, &seed) && parse_dtype(o, "dtype", o->dtype_text, &o->dtype) &&
                parse_dtype(o, "out-dtype", o->out_dtype_text, &o->out_dtype) &&
                parse_dtype(o, "param-dtype", o->param_dtype_text, &o->param_dtype) && parse_with(o, o->with_text);
    if (!good)
        return false;
    if (!(o->seconds > 0 && o->seconds <= 3600))
        return wrong(o, "--seconds: '%s' is not above 0 and at most 3600", o->seconds_text);
    if (!(seed >= 0 && seed < 9e15))
        return wrong(o, "--seed: '%s' is not a number from 0 to 9e15", o->seed_text);
    if (o->repeat < 1)
        return wrong(o, "--repeat: %s", "it must be at least 1");
    if (o->verify && !o->file[NORMA_ARG_Y])
        return true;
    if (spec->x && !o->file[NORMA_ARG_Y])
        return wrong(o, "%s is missing: the .npy file to write (or --verify)", "-o Y.npy");
    o->seed = (uint64_t)seed;
    return true;
}

static int read_words(poptContext popt, const struct option_spec *spec, struct options *o)
{
    int code;
    while ((code = poptGetNextOpt(popt)) >= 0)
        ;
    if (code < -1) {
        complain("%s: %s: %s", o->command, poptBadOption(popt, POPT_BADOPTION_NOALIAS), poptStrerror(code));
        return 2;
    }
    const char *word;
    while ((word = poptGetArg(popt))) {
        if (spec->op && !o->op_name)
            o->op_name = strdup(word);
        else if (spec->x && !o->x_file)
            o->x_file = strdup(word);
        else {
            complain("%s: '%s' is one word too many", o->command, word);
            return 2;
        }
    }
    return understand(o, spec) ? 0 : 2;
}

int options_parse(int argc, const char **argv, const struct option_spec *spec, struct options *o)
{
    memset(o, 0, sizeof *o);
    o->command = argv[0];
    o->normalized_dims = 1;
    o->repeat = 1;
    struct poptOption device[] = {
        TEXT("device", 0, &o->device, "which device may do it", "auto|scalar|opencl[:i]|vulkan[:i]|UUID|NAME"),
        TEXT("memory-budget", 0, &o->budget_text, "memory that it may hold on the device at a time", "256M"),
        FLAG("invariant", &o->invariant, "device and bits follow from row length and type alone"), END_OF_TABLE};
    struct poptOption problem[] = {
        TEXT("eps", 0, &o->eps_text, "added to the variance (1e-5; rms_norm 1e-6)", "E"),
        {"normalized-dims", 0, POPT_ARG_INT, &o->normalized_dims, 0, "last dimensions normalised together (1)", "K"},
        TEXT("weight-offset", 0, &o->offset_text, "rms_norm: added to weight", "W"),
        TEXT("dtype", 0, &o->dtype_text, "type of x; bfloat16 reads uint16 files so", "float32|float16|bfloat16"),
        TEXT("out-dtype", 0, &o->out_dtype_text, "type of y and sum (x's)", "float32|float16|bfloat16"),
        END_OF_TABLE};
    struct poptOption files[] = {
        TEXT("output", 'o', &o->file[NORMA_ARG_Y], "where y goes", "Y.npy"),
        TEXT("weight", 0, &o->file[NORMA_ARG_WEIGHT], "factor of each element of a row", "W.npy"),
        TEXT("bias", 0, &o->file[NORMA_ARG_BIAS], "added to each element of a row", "B.npy"),
        TEXT("residual", 0, &o->file[NORMA_ARG_RESIDUAL], "added to x before the norm", "R.npy"),
        TEXT("gate", 0, &o->file[NORMA_ARG_GATE], "factor of x before the residual is added", "G.npy"),
        TEXT("input-bias", 0, &o->file[NORMA_ARG_INPUT_BIAS], "added to x before the gate", "I.npy"),
        TEXT("sum-out", 0, &o->file[NORMA_ARG_SUM], "where residual + gate * (x + input_bias) goes", "H.npy"),
        TEXT("mean-out", 0, &o->file[NORMA_ARG_MEAN], "where the rows' means go", "M.npy"),
        TEXT("rstd-out", 0, &o->file[NORMA_ARG_RSTD], "where the rows' 1/sqrt(var + eps) go", "S.npy"),
        FLAG("verify", &o->verify, "compare with the scalar path, print the largest error/bound"),
        END_OF_TABLE};
    struct poptOption shape[] = {
        TEXT("shape", 0, &o->shape_text, "shape of x", "RxD"),
        TEXT("with", 0, &o->with_text, "tensors beside x and y (weight,bias; rms_norm: weight)",
             "none|weight,bias,..."),
        TEXT("param-dtype", 0, &o->param_dtype_text, "type of weight, bias, input-bias and gate (x's)", "TYPE"),
        END_OF_TABLE};
    struct poptOption json[] = {FLAG("json", &o->json, "print JSON"), END_OF_TABLE};
    struct poptOption explain[] = {FLAG("no-measure", &o->no_measure, "do not run it beside the prediction"),
                                   END_OF_TABLE};
    struct poptOption bench[] = {TEXT("seconds", 0, &o->seconds_text, "how long to measure (3)", "S"),
                                 TEXT("variant", 0, &o->variant, "these kernels, not the planner's choice", "NAME"),
                                 TEXT("plot", 0, &o->plot_file, "where a bar chart of the rates goes", "FILE.svg"),
                                 END_OF_TABLE};
    struct poptOption check[] = {
        {"repeat", 0, POPT_ARG_INT, &o->repeat, 0, "how often to do it all, each time from another seed (1)", "N"},
        TEXT("seed", 0, &o->seed_text, "where the random numbers begin (1)", "N"),
        END_OF_TABLE};
    struct poptOption *tables[] = {device, problem, files, shape, json, explain, bench, check};
    struct poptOption all[sizeof tables / sizeof *tables + 2];
    memset(all, 0, sizeof all);
    // popt wants one array; groups that the command does not read are left out.
    struct poptOption help[] = {POPT_AUTOHELP END_OF_TABLE};
    size_t count = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; ++i) {
        if (spec->groups & 1u << i)
            all[count++] = (struct poptOption){NULL, 0, POPT_ARG_INCLUDE_TABLE, tables[i], 0, NULL, NULL};
    }
    all[count] = help[0];
    char name[64];
    snprintf(name, sizeof name, "norma %s", o->command);
    argv[0] = name;
    poptContext popt = poptGetContext(name, argc, argv, all, 0);
    poptSetOtherOptionHelp(popt, spec->words);
    int code = read_words(popt, spec, o);
    argv[0] = o->command;
    poptFreeContext(popt);
    return code;
}

void options_finish(struct options *o)
{
    char *texts[] = {o->device,         o->budget_text,      o->eps_text,   o->offset_text, o->dtype_text,
                     o->out_dtype_text, o->param_dtype_text, o->shape_text, o->with_text,   o->seconds_text,
                     o->seed_text,      o->variant,          o->plot_file};
    free(o->op_name);
    free(o->x_file);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i)
        free(texts[i]);
    for (int i = 0; i < NORMA_ARG_COUNT; ++i)
        free(o->file[i]);
    memset(o, 0, sizeof *o);
}

norma_problem options_problem(const struct options *o)
{
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    problem.op = o->op;
    problem.eps = o->eps;
    problem.weight_offset = o->weight_offset;
    problem.normalized_dims = o->normalized_dims;
    return problem;
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

const norma_tensor **problem_slot(norma_problem *p, norma_arg arg)
{
    const norma_tensor **slots[NORMA_ARG_COUNT] = {&p->x,    &p->y,          &p->weight, &p->bias, &p->residual,
                                                   &p->gate, &p->input_bias, &p->sum,    &p->mean, &p->rstd};
    return slots[arg];
}

const norma_tensor *problem_tensor(const norma_problem *p, norma_arg arg)
{
    const norma_tensor *const slots[NORMA_ARG_COUNT] = {p->x,    p->y,          p->weight, p->bias, p->residual,
                                                        p->gate, p->input_bias, p->sum,    p->mean, p->rstd};
    return slots[arg];
}
