// What a tensor looks like to a norm: its groups' statistics, its largest channels, its values before and after.
#include "blocks.h"
#include "commands.h"
#include "inputs.h"
#include "inspection.h"
#include "message.h"
#include "plot.h"
#include "tensors.h"
#include "values.h"
#include <norma/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool allowed(const struct options *o)
{
    if (o->problem.op == NORMA_LOCAL_RESPONSE_NORM)
        return complain("inspect: local_response_norm has no statistics groups: name another operator");
    if (o->problem.op >= NORMA_BATCH_NORM_STATS && o->problem.op <= NORMA_BATCH_NORM_APPLY)
        return complain("inspect: %s is a step of batch_norm: name batch_norm, with --training",
                        norma_op_name(o->problem.op));
    if (o->problem.op == NORMA_SWITCHABLE_NORM)
        return complain("inspect: switchable_norm mixes three kinds of groups: name instance_norm, layer_norm or "
                        "batch_norm");
    if (o->out_dtype && norma_dtype_size(o->out_dtype) == 1)
        return complain("inspect: --out-dtype: it looks at y before it is quantised: leave out %s",
                        dtype_name(o->out_dtype));
    return o->shown_groups >= 0 || complain("inspect: --groups: it must not be negative");
}

// Dimension 1 where the operator has channels there, else the last.
static int32_t channel_dimension(const norma_problem *p)
{
    switch (p->op) {
    case NORMA_LAYER_NORM:
    case NORMA_RMS_NORM:
    case NORMA_ADA_LAYER_NORM:
    case NORMA_ADA_RMS_NORM:
        return p->x->rank - 1;
    default:
        return p->x->rank > 1 ? 1 : 0;
    }
}

static bool take_moments(struct inspection *i)
{
    const norma_tensor *x = i->in.problem.x;
    const struct norma_form *form = &i->in.work.form;
    struct progress progress;
    i->dimension = channel_dimension(&i->in.problem);
    i->channels = x->rank > 0 ? x->shape[i->dimension] : 0;
    i->group = malloc((size_t)form->groups * sizeof *i->group + 1);
    i->channel = malloc((size_t)i->channels * sizeof *i->channel + 1);
    if (!i->group || !i->channel)
        return complain("inspect: no memory for %lld groups", (long long)form->groups);
    progress_start(&progress, "statistics", 0);
    moments_of_groups(form, x, i->group, &progress);
    const bool good = i->channels == 0 || moments_of_channels(x, i->dimension, i->channel);
    progress_finish(&progress);
    return good || complain("inspect: no memory for %lld channels", (long long)i->channels);
}

// The device that the norm will run on, for the heading.
static bool name_device(struct inspection *i, norma_context *context, const struct blocks *b)
{
    norma_prediction predictions[32];
    norma_device_info info = {.size = sizeof info};
    norma_problem p = b->problem;
    const norma_tensor y = norma_tensor_host(b->dtype, p.x->rank, p.x->shape, NULL);
    size_t count;
    p.y = &y;
    if (!succeeded(norma_explain(context, &p, predictions, 32, &count)))
        return false;
    for (size_t j = 0; j < count && j < 32; ++j)
        if (predictions[j].chosen && norma_device_get_info(predictions[j].device, &info) == NORMA_OK)
            snprintf(i->device, sizeof i->device, "%s", info.id);
    return true;
}

// One round over y, block by block: its interval or its counts.
static bool look(struct inspection *i, struct blocks *b, void (*at)(struct histogram *h, const norma_tensor *dense))
{
    bool failed = false;
    while (blocks_next(b, &failed))
        at(&i->after, &b->y);
    return !failed;
}

static bool take_histograms(struct inspection *i, struct blocks *b)
{
    const norma_tensor *x = i->in.problem.x;
    histogram_start(&i->before);
    histogram_start(&i->after);
    histogram_widen(&i->before, x);
    histogram_settle(&i->before);
    histogram_count(&i->before, x);
    if (!look(i, b, histogram_widen))
        return false;
    histogram_settle(&i->after);
    if (blocks_single(b)) {
        histogram_count(&i->after, &b->y);
        return true;
    }
    blocks_rewind(b);
    return look(i, b, histogram_count);
}

// A dense tensor in memory of its own, NULL where there is none; *memory is the caller's to free.
static const norma_tensor *copy_tensor(const norma_tensor *t, norma_tensor *copy, void **memory)
{
    if (!t)
        return NULL;
    *copy = *t;
    copy->data = *memory = malloc(tensor_bytes(t) + 1);
    if (*memory)
        memcpy(*memory, t->data, tensor_bytes(t));
    return copy;
}

// The norm itself on the device. Running statistics that it would update are left out; batch renorm, which needs them,
// has copies.
static bool run_norm(struct inspection *i, norma_context *context)
{
    struct blocks blocks;
    norma_problem p = i->in.problem;
    norma_tensor running[2];
    void *memory[2] = {NULL, NULL};
    if (norma_arg_is_output(&p, NORMA_ARG_RUNNING_MEAN)) {
        const bool needed = p.op == NORMA_BATCH_RENORM;
        p.running_mean = needed ? copy_tensor(p.running_mean, &running[0], &memory[0]) : NULL;
        p.running_var = needed ? copy_tensor(p.running_var, &running[1], &memory[1]) : NULL;
    }
    const norma_dtype dtype = i->options.out_dtype ? i->options.out_dtype : p.x->dtype;
    const bool good =
        blocks_start(&blocks, context, &p, dtype) && name_device(i, context, &blocks) && take_histograms(i, &blocks);
    blocks_finish(&blocks);
    free(memory[0]);
    free(memory[1]);
    return good;
}

static bool plot(const struct inspection *i)
{
    char title[512], shape[192], before[128], after[128];
    const norma_tensor *x = i->in.problem.x;
    const struct plot_panel panels[] = {{before, i->before.low, i->before.high, HISTOGRAM_BINS, i->before.count},
                                        {after, i->after.low, i->after.high, HISTOGRAM_BINS, i->after.count}};
    if (!i->options.plot_file)
        return true;
    snprintf(title, sizeof title, "%s, %s %s", i->options.x_file, dtype_name(x->dtype), shape_text(x, shape));
    snprintf(before, sizeof before, "elements of x by value, %.6g to %.6g", i->before.least, i->before.most);
    snprintf(after, sizeof after, "elements of y = %s(x) by value, %.6g to %.6g", norma_op_name(i->in.problem.op),
             i->after.least, i->after.most);
    return plot_histograms(i->options.plot_file, title, panels, 2);
}

static bool work(struct inspection *i)
{
    norma_context *context = NULL;
    if (!allowed(&i->options) || !inputs_open(&i->options, true, &i->in))
        return false;
    if (tensor_elements(i->in.problem.x) == 0)
        return complain("x: %s has no elements to inspect", i->options.x_file);
    bool good = options_context(&i->options, &context) && run_norm(i, context) && take_moments(i) && plot(i);
    norma_context_destroy(&context);
    if (good && i->options.json)
        good = inspection_json(i);
    else if (good)
        good = inspection_text(i);
    return good;
}

int cmd_inspect(int argc, const char **argv)
{
    static const struct option_spec spec = {OPTIONS_DEVICE | OPTIONS_PROBLEM | OPTIONS_JSON | OPTIONS_INSPECT,
                                            "X.npy [options]", true, true};
    struct inspection *i = calloc(1, sizeof *i);
    if (!i)
        return complain("inspect: no memory") ? 0 : 1;
    int code = options_parse(argc, argv, &spec, &i->options);
    if (code == 0)
        code = work(i) ? 0 : 1;
    inputs_close(&i->in);
    free(i->group);
    free(i->channel);
    options_finish(&i->options);
    free(i);
    return code;
}
