#include "commands.h"
#include "message.h"
#include "npy.h"
#include "options.h"
#include "progress.h"
#include "values.h"
#include "verify.h"
#include <norma/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    struct options options;
    norma_context *context, *scalar;
    struct npy in[NORMA_ARG_COUNT];
    struct npy_output out[NORMA_ARG_COUNT];
    norma_tensor y; // where there is no file for it
    norma_problem problem;
};

static const norma_arg inputs[] = {NORMA_ARG_X,        NORMA_ARG_WEIGHT, NORMA_ARG_BIAS,
                                   NORMA_ARG_RESIDUAL, NORMA_ARG_GATE,   NORMA_ARG_INPUT_BIAS};
static const norma_arg outputs[] = {NORMA_ARG_Y, NORMA_ARG_SUM, NORMA_ARG_MEAN, NORMA_ARG_RSTD};
enum { INPUTS = sizeof inputs / sizeof *inputs, OUTPUTS = sizeof outputs / sizeof *outputs };

static bool open_inputs(struct job *job)
{
    const struct options *o = &job->options;
    for (int i = 0; i < INPUTS; ++i) {
        norma_arg arg = inputs[i];
        const char *path = arg == NORMA_ARG_X ? o->x_file : o->file[arg];
        if (!path)
            continue;
        if (!npy_open(norma_arg_name(arg), path, o->dtype == NORMA_BFLOAT16, &job->in[arg]))
            return false;
        if (!npy_round(norma_arg_name(arg), &job->in[arg])) // the operators do not take float64
            return false;
        norma_dtype dtype = job->in[arg].tensor.dtype;
        // --dtype bfloat16 says what 16-bit words are; a float32 x beside bfloat16 parameters is fine.
        if (arg == NORMA_ARG_X && o->dtype && o->dtype != NORMA_BFLOAT16 && dtype != o->dtype)
            return complain("x: %s is %s: leave out --dtype %s or convert the file", path, dtype_name(dtype),
                            o->dtype_text);
        *problem_slot(&job->problem, arg) = &job->in[arg].tensor;
    }
    const norma_tensor *x = job->problem.x;
    if (o->normalized_dims < 1 || o->normalized_dims > x->rank)
        return complain("normalized_dims: %d is not from 1 to the %d dimensions of x", o->normalized_dims, x->rank);
    if (o->out_dtype == NORMA_FLOAT64)
        return complain("y: float64 is not possible: write --out-dtype float32, float16 or bfloat16");
    return true;
}

static bool same_files(const struct job *job)
{
    for (int i = 0; i < OUTPUTS; ++i) {
        for (int j = 0; j < i; ++j) {
            const char *a = job->out[outputs[i]].path, *b = job->out[outputs[j]].path;
            if (a && b && !strcmp(a, b)) {
                complain("%s: %s is also where %s goes: name another file", norma_arg_name(outputs[i]), a,
                         norma_arg_name(outputs[j]));
                return true;
            }
        }
    }
    return false;
}

// The tensors that the outputs will be, without memory: enough for every check.
static void plan_outputs(struct job *job, norma_tensor *planned)
{
    const struct options *o = &job->options;
    const norma_tensor *x = job->problem.x;
    for (int i = 0; i < OUTPUTS; ++i) {
        norma_arg arg = outputs[i];
        bool statistic = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
        norma_dtype dtype = statistic ? NORMA_FLOAT32 : o->out_dtype ? o->out_dtype : x->dtype;
        int32_t rank = statistic ? x->rank - o->normalized_dims : x->rank;
        planned[arg] = norma_tensor_host(dtype, rank, x->shape, NULL);
        *problem_slot(&job->problem, arg) = o->file[arg] || arg == NORMA_ARG_Y ? &planned[arg] : NULL;
    }
}

static bool create_outputs(struct job *job, const norma_tensor *planned)
{
    for (int i = 0; i < OUTPUTS; ++i) {
        norma_arg arg = outputs[i];
        const char *path = job->options.file[arg];
        const norma_tensor *t = &planned[arg];
        if (!path)
            continue;
        if (!npy_create(norma_arg_name(arg), path, t->dtype, t->rank, t->shape, &job->out[arg]))
            return false;
        *problem_slot(&job->problem, arg) = &job->out[arg].tensor;
    }
    if (same_files(job))
        return false;
    if (!job->options.file[NORMA_ARG_Y]) {
        job->y = planned[NORMA_ARG_Y];
        uint64_t bytes = tensor_bytes(&job->y);
        job->y.data = malloc(bytes ? bytes : 1);
        if (!job->y.data)
            return complain("y: no memory for %llu bytes", (unsigned long long)bytes);
        job->problem.y = &job->y;
    }
    return true;
}

// The device that norma_run will take; its prediction feeds the progress bar. False after a message.
static bool find_chosen(struct job *job, norma_prediction *chosen)
{
    norma_prediction predictions[32];
    size_t count;
    memset(chosen, 0, sizeof *chosen);
    if (!succeeded(norma_explain(job->context, &job->problem, predictions, 32, &count)))
        return false;
    for (size_t i = 0; i < count && i < 32; ++i) {
        if (predictions[i].chosen)
            *chosen = predictions[i];
    }
    return true;
}

static bool compare(struct job *job, norma_device *device)
{
    norma_device_info info = {.size = sizeof info};
    if (!device || !succeeded(norma_device_get_info(device, &info)))
        return false;
    bool scalar = !strcmp(info.backend, "scalar");
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = "scalar";
    params.cache_dir = "";
    if (!scalar && !succeeded(norma_context_create(&params, &job->scalar)))
        return false;
    struct progress progress;
    struct verify_result result;
    progress_start(&progress, "verify", 0);
    bool good = verify_problem(&job->problem, job->scalar, &progress, &result);
    progress_finish(&progress);
    if (!good)
        return false;
    char text[256];
    const char *against = scalar ? "long double arithmetic" : "the scalar path";
    if (!(result.worst <= 1))
        return complain("%s: %s (%s) against %s: %s; nothing was written", norma_arg_name(result.arg), info.id,
                        info.name, against, verify_text(&result, text));
    printf("%s (%s) against %s: %s\n", info.id, info.name, against, verify_text(&result, text));
    return true;
}

static bool work(struct job *job)
{
    if (!open_inputs(job))
        return false;
    norma_tensor planned[NORMA_ARG_COUNT];
    plan_outputs(job, planned);
    norma_prediction chosen = {0};
    bool large = tensor_bytes(job->problem.x) > (uint64_t)256 << 20;
    if (!options_context(&job->options, &job->context))
        return false;
    // Checks everything before a file is made.
    if ((job->options.verify || large) && !find_chosen(job, &chosen))
        return false;
    if (!create_outputs(job, planned))
        return false;
    struct progress progress;
    progress_start(&progress, norma_op_name(job->problem.op), chosen.seconds);
    norma_status status = norma_run(job->context, &job->problem);
    progress_finish(&progress);
    if (!succeeded(status) || (job->options.verify && !compare(job, chosen.device)))
        return false;
    for (int i = 0; i < OUTPUTS; ++i) {
        if (job->out[outputs[i]].temporary && !npy_commit(norma_arg_name(outputs[i]), &job->out[outputs[i]]))
            return false;
    }
    return true;
}

int cmd_run(int argc, const char **argv)
{
    static const struct option_spec spec = {OPTIONS_DEVICE | OPTIONS_PROBLEM | OPTIONS_FILES,
                                            "layer_norm|rms_norm X.npy [options] -o Y.npy", true, true};
    struct job job;
    memset(&job, 0, sizeof job);
    int code = options_parse(argc, argv, &spec, &job.options);
    if (code == 0) {
        job.problem = options_problem(&job.options);
        code = work(&job) ? 0 : 1;
    }
    norma_context_destroy(&job.scalar);
    norma_context_destroy(&job.context);
    for (int i = 0; i < NORMA_ARG_COUNT; ++i) {
        npy_close(&job.in[i]);
        npy_discard(&job.out[i]);
    }
    free(job.y.data);
    options_finish(&job.options);
    return code;
}
