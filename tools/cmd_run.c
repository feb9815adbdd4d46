#include "arguments.h"
#include "commands.h"
#include "inputs.h"
#include "message.h"
#include "overlap.h"
#include "progress.h"
#include "tensors.h"
#include "values.h"
#include "verify.h"
#include <norma/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    struct options options;
    norma_context *context, *scalar;
    struct inputs in;
    struct npy_output out[NORMA_ARG_COUNT];
    norma_tensor planned[NORMA_ARG_COUNT]; // outputs before they have memory; with it where there is no file for them
    norma_problem problem;                 // what runs: with outputs, and copies of running statistics that it updates
};

static norma_dtype output_dtype(const struct job *job, norma_arg arg)
{
    const norma_dtype x = problem_first(&job->in.problem)->dtype;
    const norma_arg of = tensor_of_gradient(arg);
    const norma_tensor *tensor = of == NORMA_ARG_COUNT ? NULL : norma_problem_tensor(&job->in.problem, of);
    const norma_dtype wanted = job->options.out_dtype;
    if (arg == NORMA_ARG_NONFINITE)
        return NORMA_INT32;
    const enum tensor_role role = tensor_role(arg);
    if (role == TENSOR_STATISTIC || role == TENSOR_CHANNEL || role == TENSOR_CELLS)
        return x == NORMA_FLOAT64 ? NORMA_FLOAT64 : NORMA_FLOAT32;
    if (role == TENSOR_COUNT)
        return NORMA_INT64;
    return wanted && (arg == NORMA_ARG_Y || !is_quantised(wanted)) ? wanted : tensor ? tensor->dtype : x;
}

// The tensors that the outputs will be, without memory: enough for every check.
static bool plan_outputs(struct job *job)
{
    const struct options *o = &job->options;
    norma_problem *p = &job->problem;
    bool any = !argument_has_tensor(job->in.problem.op, job->in.problem.direction, NORMA_ARG_DX);
    for (int arg = 0; arg < NORMA_ARG_COUNT; ++arg)
        any = any || o->out_file[arg];
    *p = job->in.problem;
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        const bool running = tensor_is_updated(arg), output = norma_arg_is_output(p, arg);
        int64_t shape[NORMA_MAX_RANK];
        if (running && o->out_file[arg] && !output)
            return complain("%s: nothing updates it: say --%s, or leave out its output", norma_arg_name(arg),
                            p->op == NORMA_INSTANCE_NORM ? "use-input-stats 1" : "training");
        if (running && o->out_file[arg] && !norma_problem_tensor(&job->in.problem, arg))
            return complain("%s: there is none to update: its input is missing", norma_arg_name(arg));
        // What --verify compares where no file is named.
        const bool unnamed = arg == NORMA_ARG_Y                 ? argument_has_tensor(p->op, p->direction, arg)
                             : running                          ? norma_problem_tensor(&job->in.problem, arg) != NULL
                             : tensor_role(arg) == TENSOR_CELLS ? true
                                                                : arg == NORMA_ARG_DX && !any;
        if (!output || !(o->out_file[arg] || unnamed))
            continue;
        const int32_t rank = natural_shape(&job->in.problem, arg, shape);
        job->planned[arg] = norma_tensor_host(output_dtype(job, arg), rank, shape, NULL);
        if (tensor_role(arg) == TENSOR_WHOLE)
            norma_tensor_pack(&job->planned[arg], problem_first(p)->channel_block);
        *problem_slot(p, arg) = &job->planned[arg];
    }
    return true;
}

static bool same_files(const struct job *job)
{
    for (int i = 0; i < NORMA_ARG_COUNT; ++i) {
        for (int j = 0; j < i; ++j) {
            const char *a = job->out[i].path, *b = job->out[j].path;
            if (a && b && !strcmp(a, b)) {
                complain("%s: %s is also where %s goes: name another file", norma_arg_name(i), a, norma_arg_name(j));
                return true;
            }
        }
    }
    return false;
}

static bool create_outputs(struct job *job)
{
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        const char *path = job->options.out_file[arg];
        norma_tensor *t = &job->planned[arg];
        const uint64_t bytes = tensor_bytes(t);
        if (!t->dtype)
            continue;
        if (path) {
            const norma_tensor blocks = norma_tensor_blocks(t);
            if (!npy_create(norma_arg_name(arg), path, t->dtype, blocks.rank, blocks.shape, &job->out[arg]))
                return false;
            t->data = job->out[arg].tensor.data;
            job->out[arg].tensor = *t;
            t->data = NULL;
            *problem_slot(&job->problem, arg) = t = &job->out[arg].tensor;
        } else if (!(t->data = malloc(bytes ? bytes : 1))) {
            return complain("%s: no memory for %llu bytes", norma_arg_name(arg), (unsigned long long)bytes);
        }
        if (tensor_is_updated(arg))
            memcpy(t->data, job->in.file[arg].tensor.data, bytes);
    }
    return !same_files(job);
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
    if (!device)
        return complain("verify: no device can do it");
    if (!succeeded(norma_device_get_info(device, &info)))
        return false;
    // A quantised y tells of the scalar path's y only to which step that belongs.
    bool scalar = !strcmp(info.backend, "scalar") || is_quantised(job->options.out_dtype);
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = "scalar";
    params.cache_dir = "";
    if (!scalar && !succeeded(norma_context_create(&params, &job->scalar)))
        return false;
    struct progress progress;
    struct verify_result result;
    progress_start(&progress, "verify", 0);
    bool good = verify_problem(&job->problem, &job->in.problem, job->scalar, &progress, &result);
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
    if (!inputs_open(&job->options, false, &job->in) || !plan_outputs(job))
        return false;
    norma_prediction chosen = {0};
    bool large = tensor_bytes(problem_first(&job->problem)) > (uint64_t)256 << 20;
    if (!options_context(&job->options, &job->context))
        return false;
    // Checks everything before a file is made.
    if ((job->options.verify || large) && !find_chosen(job, &chosen))
        return false;
    if (!create_outputs(job))
        return false;
    struct progress progress;
    progress_start(&progress, norma_op_name(job->problem.op), chosen.seconds);
    norma_status status = norma_run(job->context, &job->problem);
    progress_finish(&progress);
    if (!succeeded(status) || (job->options.verify && !compare(job, chosen.device)))
        return false;
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        if (job->out[arg].temporary && !npy_commit(norma_arg_name(arg), &job->out[arg]))
            return false;
    }
    return true;
}

int cmd_run(int argc, const char **argv)
{
    static const struct option_spec spec = {OPTIONS_DEVICE | OPTIONS_PROBLEM | OPTIONS_WHOLE | OPTIONS_FILES,
                                            "X.npy [options] -o Y.npy", true, true};
    struct job job;
    memset(&job, 0, sizeof job);
    int code = options_parse(argc, argv, &spec, &job.options);
    if (code == 0)
        code = work(&job) ? 0 : 1;
    norma_context_destroy(&job.scalar);
    norma_context_destroy(&job.context);
    inputs_close(&job.in);
    for (int i = 0; i < NORMA_ARG_COUNT; ++i) {
        npy_discard(&job.out[i]);
        free(job.planned[i].data);
    }
    options_finish(&job.options);
    return code;
}
