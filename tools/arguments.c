#include "arguments.h"
#include "tensors.h"
#include <stdio.h>
#include <string.h>

#define OP(name) (1u << NORMA_##name)
enum {
    ALL = (1 << NORMA_OP_COUNT) - 1,
    WINDOW = OP(LOCAL_RESPONSE_NORM),
    GROUPS = ALL & ~WINDOW, // have statistics groups
    STEP_STATS = OP(BATCH_NORM_STATS),
    STEP_MERGE = OP(BATCH_NORM_MERGE),
    STEP_APPLY = OP(BATCH_NORM_APPLY),
    STEPS = STEP_STATS | STEP_MERGE | STEP_APPLY,
    ELEMENTS = GROUPS & ~STEP_MERGE,            // and an x
    OUTPUTS = ALL & ~(STEP_STATS | STEP_MERGE), // a y
    BEHIND = ELEMENTS | WINDOW,                 // what comes behind the norm
    ADAPTIVE = OP(ADA_LAYER_NORM) | OP(ADA_RMS_NORM) | OP(ADA_GROUP_NORM) | OP(ADA_INSTANCE_NORM),
    WEIGHTED = ELEMENTS & ~(ADAPTIVE | OP(NORMALIZE)),
    ROWS = OP(LAYER_NORM) | OP(RMS_NORM) | OP(ADA_LAYER_NORM) | OP(ADA_RMS_NORM),
    GROUPED = OP(GROUP_NORM) | OP(ADA_GROUP_NORM),
    BATCH = OP(BATCH_NORM) | OP(BATCH_RENORM) | OP(GHOST_BATCH_NORM),
    SWITCHABLE = OP(SWITCHABLE_NORM),
    TRAINED = BATCH | SWITCHABLE,
    RUNNING = TRAINED | OP(INSTANCE_NORM) | STEP_APPLY,
    BY_AXES = OP(NORMALIZE) | OP(MEAN_VARIANCE_NORMALIZATION) | ROWS | OP(WEIGHT_STANDARDIZATION),
    NORMALIZE = OP(NORMALIZE),
    GAINED = OP(WEIGHT_STANDARDIZATION), // its weight is called gain
};

static const char *const eps_modes[] = {"max", "add", "inside", NULL};
static const char *const windows[] = {"before", "after", NULL};
// As the values of running_var_biased.
static const char *const variance_kinds[] = {"unbiased", "biased", NULL};
// In the order of norma_activation.
static const char *const activations[] = {"none", "relu", "leaky_relu", "gelu", "gelu_tanh", "silu", "sigmoid", NULL};
#define ACTIVATIONS "none, relu, leaky_relu, gelu, gelu_tanh, silu, sigmoid"

#define AT(member) offsetof(struct options, member)
#define COMMAND(name, kind, groups, member, value, help)                                                          \
    {                                                                                                             \
        name, 0, ARGUMENT_##kind, SECTION_COMMAND, groups, ALL, ARGUMENT_BOTH, AT(member), NORMA_ARG_COUNT, NULL, \
            value, help                                                                                           \
    }
#define DEVICE(name, kind, member, value, help)                                                                    \
    {                                                                                                              \
        name, 0, ARGUMENT_##kind, SECTION_DEVICE, OPTIONS_DEVICE, ALL, ARGUMENT_BOTH, AT(member), NORMA_ARG_COUNT, \
            NULL, value, help                                                                                      \
    }
#define NUMBER(name, kind, ops, directions, member, choices, value, help)                                    \
    {                                                                                                        \
        name, 0, ARGUMENT_##kind, SECTION_OPERATOR, OPTIONS_PROBLEM, ops, ARGUMENT_##directions, AT(member), \
            NORMA_ARG_COUNT, choices, value, help                                                            \
    }
#define WHOLE(name, kind, ops, directions, member, choices, value, help)                                   \
    {                                                                                                      \
        name, 0, ARGUMENT_##kind, SECTION_OPERATOR, OPTIONS_WHOLE, ops, ARGUMENT_##directions, AT(member), \
            NORMA_ARG_COUNT, choices, value, help                                                          \
    }
#define INPUT(name, arg, ops, value, help)                                                                     \
    {                                                                                                          \
        name, 0, ARGUMENT_INPUT, SECTION_INPUTS, OPTIONS_FILES, ops, ARGUMENT_BOTH, AT(file[NORMA_ARG_##arg]), \
            NORMA_ARG_##arg, NULL, value, help                                                                 \
    }
#define PARAMETER(name, arg, ops, value, help)                                                        \
    {                                                                                                 \
        name, 0, ARGUMENT_INPUT, SECTION_INPUTS, OPTIONS_FILES | OPTIONS_INSPECT, ops, ARGUMENT_BOTH, \
            AT(file[NORMA_ARG_##arg]), NORMA_ARG_##arg, NULL, value, help                             \
    }
#define OUTPUT(name, letter, arg, ops, value, help)                                           \
    {                                                                                         \
        name, letter, ARGUMENT_OUTPUT, SECTION_OUTPUTS, OPTIONS_FILES, ops, ARGUMENT_FORWARD, \
            AT(out_file[NORMA_ARG_##arg]), NORMA_ARG_##arg, NULL, value, help                 \
    }
#define SAVED(name, arg, ops, value, help)                                                                           \
    {                                                                                                                \
        name, 0, ARGUMENT_INPUT, SECTION_BACKWARD, OPTIONS_FILES, ops, ARGUMENT_BACKWARD, AT(file[NORMA_ARG_##arg]), \
            NORMA_ARG_##arg, NULL, value, help                                                                       \
    }
#define GRADIENT(name, arg, ops, value, help)                                              \
    {                                                                                      \
        name, 0, ARGUMENT_OUTPUT, SECTION_BACKWARD, OPTIONS_FILES, ops, ARGUMENT_BACKWARD, \
            AT(out_file[NORMA_ARG_##arg]), NORMA_ARG_##arg, NULL, value, help              \
    }

// --help shows them in this order.
const struct argument arguments[] = {
    COMMAND("shape", TEXT, OPTIONS_SHAPE, shape_text, "4096x768", "shape of x"),
    COMMAND("with", TEXT, OPTIONS_SHAPE, with_text, "LIST",
            "tensors beside x and y: none, or weight,bias,... (the parameters that are usual)"),
    COMMAND("param-dtype", DTYPE, OPTIONS_SHAPE, param_dtype, "TYPE", "type of parameters such as weight (x's)"),
    COMMAND("channels-last", FLAG, OPTIONS_SHAPE, channels_last, NULL,
            "tensors of x's shape [N, C, ...] lie as [N, ..., C]"),
    COMMAND("channel-block", INTEGER, OPTIONS_SHAPE, channel_block, "P",
            "they lie as [N, C/P rounded up, ..., P]: packed channels"),
    {"channels", 0, ARGUMENT_INTEGER, SECTION_COMMAND, OPTIONS_FILES, BEHIND, ARGUMENT_BOTH, AT(channels),
     NORMA_ARG_COUNT, NULL, "C", "files of x's shape hold [N, C/P rounded up, ..., P]: packed channels, C of them"},
    COMMAND("y-scale-dynamic", FLAG, OPTIONS_SHAPE, problem.dynamic_scale, NULL,
            "a quantised y has a scale of each group's own, not one that is given"),
    COMMAND("verify", FLAG, OPTIONS_FILES, verify, NULL, "compare with the scalar path, print the largest error/bound"),
    COMMAND("json", FLAG, OPTIONS_JSON, json, NULL, "print JSON"),
    COMMAND("no-measure", FLAG, OPTIONS_EXPLAIN, no_measure, NULL, "do not run it beside the prediction"),
    COMMAND("seconds", NUMBER, OPTIONS_BENCH, seconds, "S", "how long to measure (3)"),
    COMMAND("cold", FLAG, OPTIONS_BENCH, cold, NULL, "empty the caches before each run"),
    COMMAND("suite", FLAG, OPTIONS_BENCH | OPTIONS_SUITE, suite, NULL,
            "without OP: every shape that Norma is measured by, see norma bench --suite --help"),
    COMMAND("seconds", NUMBER, OPTIONS_SUITE, seconds, "S", "how long to measure each (0.5)"),
    COMMAND("filter", TEXT, OPTIONS_SUITE, filter, "WORDS",
            "only cases with all of these words; a,b is a or b, as in 'rms_norm float16,bfloat16 backward cold'"),
    COMMAND("quick", FLAG, OPTIONS_SUITE, quick, NULL,
            "to see that it works: float32, warm, fewer rows, next to no time each"),
    COMMAND("plot", TEXT, OPTIONS_SUITE, plot_file, "FILE.svg", "where a chart of the fractions of the copy goes"),
    {"output", 'o', ARGUMENT_TEXT, SECTION_COMMAND, OPTIONS_DESCRIBE, ALL, ARGUMENT_BOTH, AT(description_file),
     NORMA_ARG_COUNT, NULL, "DIR",
     "where the description goes and its kernels; or a file F.json, with the kernels beside it"},
    COMMAND("variant", TEXT, OPTIONS_BENCH | OPTIONS_DESCRIBE, variant, "NAME",
            "these kernels, not the planner's choice"),
    COMMAND("counted", FLAG, OPTIONS_DESCRIBE, counted, NULL,
            "the number of rows is known on the device alone, and at most that of --shape"),
    COMMAND("plot", TEXT, OPTIONS_BENCH, plot_file, "FILE.svg", "where a bar chart of the rates goes"),
    COMMAND("plot", TEXT, OPTIONS_INSPECT, plot_file, "FILE.svg", "where histograms of x and y go"),
    COMMAND("groups", INTEGER, OPTIONS_INSPECT, shown_groups, "N", "groups that are listed one by one (16)"),
    COMMAND("repeat", INTEGER, OPTIONS_CHECK, repeat, "N", "how often to do it all, each time from another seed (1)"),
    COMMAND("seed", SEED, OPTIONS_CHECK, seed, "N", "where the random numbers begin (1)"),

    NUMBER("normalized-dims", INTEGER, ROWS, BOTH, problem.normalized_dims, NULL, "K",
           "last dimensions normalised together"),
    NUMBER("axes", AXES, BY_AXES, BOTH, axis, NULL, "0,2,3",
           "dimensions of x normalised together (normalize 1, mean_variance_normalization all others, else the "
           "operator's)"),
    NUMBER("dim", AXES, NORMALIZE, BOTH, axis, NULL, "D", "the same, one dimension"),
    NUMBER("num-groups", INTEGER, GROUPED, BOTH, problem.num_groups, NULL, "G", "groups of channels"),
    NUMBER("virtual-batch", INTEGER, OP(GHOST_BATCH_NORM), BOTH, problem.virtual_batch, NULL, "V",
           "samples that share statistics with --training; it must be given"),
    NUMBER("training", FLAG, TRAINED, BOTH, problem.training, NULL, NULL, "statistics of x, not running ones"),
    NUMBER("use-input-stats", SWITCH, OP(INSTANCE_NORM), BOTH, problem.use_input_stats, NULL, "0|1",
           "1: statistics of x, 0: running ones"),
    WHOLE("momentum", MOMENTUM, RUNNING, FORWARD, problem.momentum, NULL, "M|none",
          "share of x in the updated running statistics; none: the mean of all batches, see --num-batches-tracked"),
    WHOLE("r-max", NUMBER, OP(BATCH_RENORM), FORWARD, problem.r_max, NULL, "R", "r is at most this, at least 1/R"),
    WHOLE("d-max", NUMBER, OP(BATCH_RENORM), FORWARD, problem.d_max, NULL, "D", "d is at most this either way"),
    WHOLE("running-var-kind", CHOICE, RUNNING, FORWARD, problem.running_var_biased, variance_kinds, "KIND",
          "which variance goes into running_var: unbiased (PyTorch) or biased (ONNX)"),
    WHOLE("running-var-biased", FLAG, RUNNING, FORWARD, problem.running_var_biased, NULL, NULL, NULL),
    NUMBER("p", SWITCH, NORMALIZE, BOTH, problem.norm_order, NULL, "1|2", "order of the norm"),
    NUMBER("eps-mode", CHOICE, NORMALIZE, BOTH, problem.eps_mode, eps_modes, "MODE",
           "max: max(norm, eps), add: norm + eps, inside: eps inside the root"),
    NUMBER("size", INTEGER, WINDOW, FORWARD, problem.local_size, NULL, "N", "channels of the window"),
    NUMBER("alpha", NUMBER, WINDOW, FORWARD, problem.alpha, NULL, "A", "factor of the squares' mean over the window"),
    NUMBER("beta", NUMBER, WINDOW, FORWARD, problem.beta, NULL, "B", "exponent"),
    NUMBER("k", NUMBER, WINDOW, FORWARD, problem.k, NULL, "K", "added to the squares' part"),
    NUMBER("window", CHOICE, WINDOW, FORWARD, problem.window, windows, "SIDE",
           "before (PyTorch) or after (ONNX): where an even window has one channel more"),
    NUMBER("eps", NUMBER, GROUPS, BOTH, problem.eps, NULL, "E", "keeps clear of a division by 0"),
    NUMBER("weight-offset", NUMBER, OP(RMS_NORM), BOTH, problem.weight_offset, NULL, "W",
           "added to weight; 1 is Gemma's"),
    NUMBER("activation", CHOICE, BEHIND, BOTH, problem.activation, activations, "NAME", "applied last: " ACTIVATIONS),
    NUMBER("activation-slope", NUMBER, BEHIND, BOTH, problem.activation_slope, NULL, "S", "of leaky_relu below 0"),
    WHOLE("z-activation", CHOICE, BEHIND, BOTH, problem.z_activation, activations, "NAME", "the same of --z"),
    WHOLE("z-first", FLAG, ELEMENTS, BOTH, problem.z_first, NULL, NULL,
          "--z is a factor before the norm, not behind it"),
    WHOLE("backward", FLAG, GROUPS, BOTH, problem.direction, NULL, NULL, "gradients, not y"),
    NUMBER("dtype", DTYPE, ALL, BOTH, dtype, NULL, "TYPE",
           "float32, float16, bfloat16 or float64: type of x; 16-bit words are bfloat16, float64 stays so (scalar "
           "device alone)"),
    NUMBER("out-dtype", DTYPE, ALL, BOTH, out_dtype, NULL, "TYPE",
           "type of y and sum (x's), of gradients (their tensors'); of y alone also int8 and float8_e4m3fn, with a "
           "scale"),

    PARAMETER("weight", WEIGHT, WEIGHTED, "W.npy", "factor behind the norm"),
    PARAMETER("gain", WEIGHT, GAINED, "G.npy", "factor behind the norm; --weight is the same"),
    PARAMETER("bias", BIAS, WEIGHTED, "B.npy", "added behind the norm"),
    PARAMETER("scale", SCALE, ADAPTIVE, "S.npy", "1 + scale is the factor behind the norm"),
    PARAMETER("shift", SHIFT, ADAPTIVE, "T.npy", "added behind the norm"),
    INPUT("residual", RESIDUAL, ELEMENTS, "R.npy", "added to x before the norm"),
    INPUT("gate", GATE, ELEMENTS, "G.npy", "factor of x before the residual is added"),
    INPUT("input-bias", INPUT_BIAS, ELEMENTS, "I.npy", "added to x before the gate"),
    INPUT("z", Z, BEHIND, "Z.npy", "its activation is a factor behind the norm"),
    INPUT("addend", ADDEND, BEHIND, "A.npy", "added before the activation"),
    PARAMETER("mean-weights", MEAN_WEIGHTS, SWITCHABLE, "W.npy",
              "their softmax weighs the means of instance, layer, batch"),
    PARAMETER("var-weights", VAR_WEIGHTS, SWITCHABLE, "W.npy", "the same of the variances"),
    PARAMETER("running-mean", RUNNING_MEAN, RUNNING, "M.npy", "statistics where they are not x's own"),
    PARAMETER("running-var", RUNNING_VAR, RUNNING, "V.npy", "the same"),
    INPUT("num-batches-tracked", NUM_BATCHES_TRACKED, RUNNING, "K.npy",
          "how many batches they have seen, int64; grows where they are updated"),
    INPUT("stats", STATS, STEP_STATS | STEP_APPLY, "S.npy", "merged statistics of the whole batch"),

    {"y-scale", 0, ARGUMENT_INPUT, SECTION_INPUTS, OPTIONS_FILES, OUTPUTS, ARGUMENT_FORWARD,
     AT(file[NORMA_ARG_Y_SCALE]), NORMA_ARG_Y_SCALE, NULL, "S.npy",
     "what y is divided by with --out-dtype int8 or float8_e4m3fn; or one element"},

    OUTPUT("output", 'o', Y, OUTPUTS, "Y.npy", "where y goes"),
    OUTPUT("sum-out", 0, SUM, ELEMENTS, "H.npy", "where residual + gate * (x + input_bias) goes"),
    OUTPUT("mean-out", 0, MEAN, ELEMENTS & ~STEP_STATS, "M.npy",
           "where the groups' means go (of a norm without a mean: zeros)"),
    OUTPUT("rstd-out", 0, RSTD, ELEMENTS & ~STEP_STATS, "S.npy", "where the groups' 1/sqrt(var + eps) go"),
    OUTPUT("y-scale-out", 0, Y_SCALE, OUTPUTS & ~WINDOW, "S.npy",
           "where the scales go that take each group's largest |y| to 127 (--out-dtype int8) or 448 (float8_e4m3fn)"),
    OUTPUT("nonfinite-out", 0, NONFINITE, OUTPUTS, "N.npy", "where the counts of x's NaN and infinities go (int32)"),
    OUTPUT("r-out", 0, R, OP(BATCH_RENORM), "R.npy", "where r goes, with --training: sd of x / running sd, clipped"),
    OUTPUT("d-out", 0, D, OP(BATCH_RENORM), "D.npy", "where d goes: (mean - running_mean) / running sd, clipped"),
    OUTPUT("running-mean-out", 0, RUNNING_MEAN, RUNNING, "M.npy", "where the updated running_mean goes"),
    OUTPUT("running-var-out", 0, RUNNING_VAR, RUNNING, "V.npy", "where the updated running_var goes"),
    OUTPUT("num-batches-tracked-out", 0, NUM_BATCHES_TRACKED, RUNNING, "K.npy",
           "where the new num_batches_tracked goes"),

    OUTPUT("stats-out", 0, STATS, STEP_STATS | STEP_MERGE, "S.npy", "where count, mean, mean_low, m2 and scale go"),

    SAVED("r", R, OP(BATCH_RENORM), "R.npy", "as forward wrote it, with --training"),
    SAVED("d", D, OP(BATCH_RENORM), "D.npy", "the same"),
    SAVED("dy", DY, ELEMENTS, "DY.npy", "gradient of y"),
    SAVED("dsum", DSUM, ELEMENTS & ~STEP_STATS, "DH.npy", "gradient of sum"),
    SAVED("mean", MEAN, GROUPS & ~STEPS, "M.npy", "as forward wrote it; else it is computed again"),
    SAVED("rstd", RSTD, GROUPS & ~STEPS, "S.npy", "the same"),
    SAVED("sums", SUMS, STEP_APPLY, "G.npy", "merged sums of the whole batch"),
    GRADIENT("sums-out", SUMS, STEP_STATS | STEP_MERGE, "G.npy", "where the sums of g and of g*xhat go"),
    GRADIENT("dx-out", DX, ELEMENTS & ~STEP_STATS, "DX.npy", "where the gradient of x goes"),
    GRADIENT("dweight-out", DWEIGHT, WEIGHTED & ~STEP_APPLY, "DW.npy", "of weight"),
    GRADIENT("dgain-out", DWEIGHT, GAINED, "DG.npy", "of gain"),
    GRADIENT("dbias-out", DBIAS, WEIGHTED & ~STEP_APPLY, "DB.npy", "of bias"),
    GRADIENT("dscale-out", DSCALE, ADAPTIVE, "DS.npy", "of scale"),
    GRADIENT("dshift-out", DSHIFT, ADAPTIVE, "DT.npy", "of shift"),
    GRADIENT("dmean-weights-out", DMEAN_WEIGHTS, SWITCHABLE, "DM.npy", "of mean_weights"),
    GRADIENT("dvar-weights-out", DVAR_WEIGHTS, SWITCHABLE, "DV.npy", "of var_weights"),
    GRADIENT("dresidual-out", DRESIDUAL, ELEMENTS & ~STEP_STATS, "DR.npy", "of residual"),
    GRADIENT("dgate-out", DGATE, ELEMENTS & ~STEP_STATS, "DG.npy", "of gate"),
    GRADIENT("dinput-bias-out", DINPUT_BIAS, ELEMENTS & ~STEP_STATS, "DI.npy", "of input_bias"),
    GRADIENT("dz-out", DZ, ELEMENTS & ~STEP_STATS, "DZ.npy", "of z"),
    GRADIENT("daddend-out", DADDEND, ELEMENTS & ~STEP_STATS, "DA.npy", "of addend"),

    DEVICE("device", TEXT, device, "D",
           "which may do it: auto, scalar, opencl[:i], vulkan[:i], a UUID, part of a name"),
    DEVICE("memory-budget", TEXT, budget_text, "256M", "memory that it may hold on the device at a time"),
    DEVICE("invariant", FLAG, invariant, NULL, "device and bits follow from row length and type alone"),
};
const size_t argument_count = sizeof arguments / sizeof *arguments;
_Static_assert(sizeof arguments / sizeof *arguments <= OPTIONS_MAX, "OPTIONS_MAX is too small");

// What each normalises; the shapes of x, of a parameter such as weight, and of mean and rstd.
static const struct {
    const char *what, *x, *parameter, *statistic;
    const char *words; // the words behind it where they are not X.npy -o Y.npy
} operators[NORMA_OP_COUNT] = {
    [NORMA_LAYER_NORM] = {"the last --normalized-dims dimensions", "[..., D]", "[D]", "[...]"},
    [NORMA_RMS_NORM] = {"the same without a mean", "[..., D]", "[D]", "[...]"},
    [NORMA_BATCH_NORM] = {"a channel of the batch; --training, or with running statistics", "[N, C, ...]", "[C]",
                          "[C]"},
    [NORMA_BATCH_RENORM] = {"as batch_norm; --training goes by the running statistics too", "[N, C, ...]", "[C]",
                            "[C]"},
    [NORMA_GHOST_BATCH_NORM] = {"a channel of --virtual-batch samples with --training, else as batch_norm",
                                "[N, C, ...]", "[C]", "[N/V, C]"},
    [NORMA_GROUP_NORM] = {"a sample's group of channels", "[N, C, ...]", "[C]", "[N, num_groups]"},
    [NORMA_INSTANCE_NORM] = {"a sample's channel", "[N, C, ...]", "[C]", "[N, C]"},
    [NORMA_WEIGHT_STANDARDIZATION] = {"an output channel of a convolution's weights", "[O, I, ...]", "[O]", "[O]"},
    [NORMA_NORMALIZE] = {"the --axes, divided by their norm", "[...]", "[axes]", "[other axes]"},
    [NORMA_MEAN_VARIANCE_NORMALIZATION] = {"the --axes", "[...]", "[axes]", "[other axes]"},
    [NORMA_ADA_LAYER_NORM] = {"as layer_norm, scale and shift differ from sample to sample", "[N, ..., D]", "[N, D]",
                              "[N, ...]"},
    [NORMA_ADA_RMS_NORM] = {"as rms_norm, likewise", "[N, ..., D]", "[N, D]", "[N, ...]"},
    [NORMA_ADA_GROUP_NORM] = {"as group_norm, likewise", "[N, C, ...]", "[N, C]", "[N, num_groups]"},
    [NORMA_LOCAL_RESPONSE_NORM] = {"a window of channels around each, see --size", "[N, C, ...]", "", "[N, ...]"},
    [NORMA_BATCH_NORM_STATS] = {"one piece of a batch: its channels' statistics", "[N, C, ...]", "[C]", "[C]",
                                "X.npy [options] --stats-out S.npy"},
    [NORMA_BATCH_NORM_MERGE] = {"the stats of the pieces of a batch (with --backward: sums)", "[K, 5|2, C]", "", "",
                                "PARTS.npy [options] --stats-out S.npy"},
    [NORMA_BATCH_NORM_APPLY] = {"batch_norm --training of a piece, with merged --stats", "[N, C, ...]", "[C]", "[C]",
                                "X.npy --stats S.npy [options] -o Y.npy"},
    [NORMA_ADA_INSTANCE_NORM] = {"as instance_norm, likewise", "[N, C, ...]", "[N, C]", "[N, C]"},
    [NORMA_SWITCHABLE_NORM] = {"a mix of instance, layer and batch; --training, or with running statistics",
                               "[N, C, ...]", "[C]", "[N, C]"},
};

bool argument_has_tensor(norma_op op, norma_direction direction, norma_arg arg)
{
    const unsigned wanted = direction == NORMA_BACKWARD ? ARGUMENT_BACKWARD : ARGUMENT_FORWARD;
    for (size_t i = 0; i < argument_count; ++i)
        if (arguments[i].arg == arg && arguments[i].ops >> op & 1 && arguments[i].directions & wanted)
            return true;
    return false;
}

const char *argument_operators(char *text)
{
    size_t used = 0;
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT && used < 512; ++op)
        used += (size_t)snprintf(text + used, 512 - used, "%s%s", op > NORMA_LAYER_NORM ? ", " : "", norma_op_name(op));
    return text;
}

void argument_print_operators(void)
{
    printf("OP, and what it normalises:\n");
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; ++op)
        printf("  %-28s %-12s %s\n", norma_op_name(op), operators[op].x, operators[op].what);
}

static const char *shape_of(const struct argument *a, norma_op op)
{
    if (a->arg == NORMA_ARG_COUNT || op == NORMA_OP_INVALID)
        return "";
    switch (tensor_role(a->arg)) {
    case TENSOR_PARAMETER:
        return operators[op].parameter;
    case TENSOR_STATISTIC:
        return operators[op].statistic;
    case TENSOR_CHANNEL:
        return "[C]";
    case TENSOR_COUNT:
        return "[]";
    case TENSOR_KINDS:
        return "[3]";
    case TENSOR_CELLS:
        return a->arg == NORMA_ARG_SUMS ? "[2, C]" : "[5, C]";
    default:
        return operators[op].x;
    }
}

// " (0.1)", the operator's default; nothing where there is none to name.
static void print_default(const struct argument *a, norma_op op)
{
    const struct options o = {.problem = norma_problem_defaults(op)};
    const char *target = (const char *)&o + a->target;
    int32_t integer;
    double number;
    memcpy(&integer, target, sizeof integer);
    if (a->section != SECTION_OPERATOR || op == NORMA_OP_INVALID)
        return;
    if (a->kind == ARGUMENT_NUMBER || a->kind == ARGUMENT_MOMENTUM) {
        memcpy(&number, target, sizeof number);
        printf(" (%g)", number);
    } else if (a->kind == ARGUMENT_INTEGER || a->kind == ARGUMENT_SWITCH) {
        printf(" (%d)", (int)integer);
    } else if (a->kind == ARGUMENT_CHOICE) {
        printf(" (%s)", a->choices[integer]);
    }
}

static void print_argument(const struct argument *a, norma_op op)
{
    char name[64];
    const bool tensor = a->arg != NORMA_ARG_COUNT && op != NORMA_OP_INVALID;
    const int length = snprintf(name, sizeof name, "%s%.1s%s--%s%s%s", a->letter ? "-" : "", &a->letter,
                                a->letter ? ", " : "", a->name, a->value ? " " : "", a->value ? a->value : "");
    printf("  %-24s  ", name);
    if (length > 24)
        printf("\n%28s", "");
    if (tensor)
        printf("%-16s  ", shape_of(a, op));
    printf("%s", a->help);
    print_default(a, op);
    printf("\n");
}

static void print_heading(enum argument_section section, norma_op op)
{
    static const char *const headings[SECTION_COUNT] = {
        [SECTION_COMMAND] = "The command", [SECTION_OPERATOR] = "The operator",    [SECTION_INPUTS] = "Tensors",
        [SECTION_OUTPUTS] = "Outputs",     [SECTION_BACKWARD] = "With --backward", [SECTION_DEVICE] = "The device",
    };
    printf("\n%s:\n", headings[section]);
    if (section == SECTION_INPUTS && op != NORMA_OP_INVALID)
        printf("  %-24s  %-16s  %s\n", op == NORMA_BATCH_NORM_MERGE ? "PARTS.npy" : "X.npy", operators[op].x,
               operators[op].what);
}

// Another name for what an argument of the operator's own terms says.
static bool is_alias(const struct argument *a, norma_op op)
{
    const bool weight = a->arg == NORMA_ARG_WEIGHT || a->arg == NORMA_ARG_DWEIGHT;
    return !a->help || (weight && op != NORMA_OP_INVALID && a->ops != GAINED && GAINED >> op & 1);
}

void argument_print_help(const struct option_spec *spec, const char *command, norma_op op)
{
    const bool any = spec->op && op == NORMA_OP_INVALID;
    printf("Usage: norma %s %s%s%s\n", command,
           any        ? (spec->groups & OPTIONS_INSPECT ? "[OP]" : "OP")
           : spec->op ? norma_op_name(op)
                      : "",
           spec->op ? " " : "", spec->x && operators[op].words ? operators[op].words : spec->words);
    for (enum argument_section section = SECTION_COMMAND; section < SECTION_COUNT; ++section) {
        bool headed = false;
        for (size_t i = 0; i < argument_count; ++i) {
            const struct argument *a = &arguments[i];
            if (is_alias(a, op) || a->section != section || !(a->groups & spec->groups) ||
                !(any || !spec->op || a->ops >> op & 1))
                continue;
            if (!headed)
                print_heading(section, op);
            headed = true;
            print_argument(a, op);
        }
        if (section == SECTION_INPUTS && !headed && spec->x && !any) // parts alone
            print_heading(section, op);
    }
    if (spec->op && !any && spec->groups & OPTIONS_FILES && operators[op].parameter[0])
        printf("\nParameters may also have x's rank, with ones where they repeat.\n");
    if (any) {
        printf("\n");
        argument_print_operators();
        printf("\nnorma %s OP --help shows an operator's own arguments with their shapes.\n", command);
    }
}
