#include "commands.h"
#include "made.h"
#include "message.h"
#include "options.h"
#include "problem.h"
#include "tensors.h"
#include "values.h"
#include "written.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <norma/norma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { VERSION = 1, NAME = 96 }; // of the format in docs/describe.md; characters of a kernel's file name

struct describe {
    struct options options;
    struct made made;
    norma_context *context;
    norma_device *device;
    norma_device_info info;
    norma_description *plan;
    char *folder, *file; // where kernels go, and the JSON
    size_t kernels;      // files
};

// The first device that was asked for and has kernels.
static bool find_device(struct describe *d)
{
    bool scalar = false;
    for (size_t i = 0; i < norma_context_device_count(d->context); ++i) {
        d->device = norma_context_device(d->context, i);
        d->info = (norma_device_info){.size = sizeof d->info};
        if (!options_want(&d->options, d->device))
            continue;
        if (!succeeded(norma_device_get_info(d->device, &d->info)))
            return false;
        if (!d->info.usable)
            return complain("device: %s is not usable: %s", d->info.id, d->info.reason);
        if (strcmp(d->info.backend, "scalar") != 0)
            return true;
        scalar = true;
    }
    if (scalar)
        return complain("device: scalar has no kernels to describe: an OpenCL or a Vulkan device is needed");
    return complain("device: there is none of that name");
}

// DIR, which is made where it is missing, or FILE.json.
static bool find_place(struct describe *d)
{
    const char *to = d->options.description_file;
    const size_t length = strlen(to);
    const norma_problem *p = &d->made.problem;
    const char *slash = strrchr(to, '/');
    if (length > 5 && !strcmp(to + length - 5, ".json")) {
        d->file = strdup(to);
        d->folder = slash ? strndup(to, (size_t)(slash - to) + (slash == to)) : strdup(".");
        return (d->file && d->folder) || complain("output: no memory for a name");
    }
    struct stat status;
    if ((mkdir(to, 0777) && errno != EEXIST) || stat(to, &status))
        return complain("output: cannot make %s: %s", to, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return complain("output: %s is no folder; a file's name ends in .json", to);
    const char *op = norma_op_name(p->op), *backward = p->direction == NORMA_BACKWARD ? "-backward" : "";
    d->file = malloc(length + strlen(op) + 32);
    d->folder = strdup(to);
    if (!d->file || !d->folder)
        return complain("output: no memory for a name");
    sprintf(d->file, "%s/%s%s.json", to, op, backward);
    return true;
}

// By the contents: an older description beside this one keeps its kernels.
static void name_kernel(const norma_dispatch *dispatch, char name[NAME])
{
    const unsigned char *code = dispatch->code;
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    for (size_t i = 0; i < dispatch->code_size; ++i)
        hash = (hash ^ code[i]) * 0x100000001b3u;
    // A text of OpenCL C has many kernels.
    snprintf(name, NAME, "%s-%016llx.%s", dispatch->options ? "norma" : dispatch->kernel, (unsigned long long)hash,
             dispatch->options ? "cl" : "spv");
}

static bool write_kernels(struct describe *d)
{
    for (size_t i = 0; i < d->plan->dispatch_count; ++i) {
        const norma_dispatch *dispatch = &d->plan->dispatches[i];
        size_t before = 0;
        while (before < i && d->plan->dispatches[before].code != dispatch->code)
            ++before;
        if (before < i)
            continue;
        char name[NAME];
        name_kernel(dispatch, name);
        char *path = malloc(strlen(d->folder) + NAME + 1);
        if (!path)
            return complain("output: no memory for a name");
        sprintf(path, "%s/%s", d->folder, name);
        const bool good = written("output", path, dispatch->code, dispatch->code_size);
        free(path);
        if (!good)
            return false;
        ++d->kernels;
    }
    return true;
}

static cJSON *words_json(const uint32_t *words, uint32_t bytes)
{
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < bytes / 4; ++i)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(words[i]));
    return list;
}

static cJSON *integers_json(const int64_t *values, int32_t count)
{
    cJSON *list = cJSON_CreateArray();
    for (int32_t i = 0; i < count; ++i)
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)values[i]));
    return list;
}

static cJSON *tensors_json(const norma_problem *problem)
{
    cJSON *list = cJSON_CreateArray();
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        const norma_tensor *t = norma_problem_tensor(problem, arg);
        if (!t)
            continue;
        cJSON *tensor = cJSON_CreateObject();
        cJSON_AddStringToObject(tensor, "name", norma_arg_name(arg));
        cJSON_AddStringToObject(tensor, "dtype", dtype_name(t->dtype));
        cJSON_AddItemToObject(tensor, "shape", integers_json(t->shape, t->rank));
        cJSON_AddItemToObject(tensor, "strides", integers_json(t->strides, t->rank));
        if (t->channel_block > 1) {
            cJSON_AddNumberToObject(tensor, "channel_block", t->channel_block);
            cJSON_AddNumberToObject(tensor, "block_stride", (double)t->block_stride);
        }
        cJSON_AddNumberToObject(tensor, "bytes", (double)tensor_bytes(t));
        cJSON_AddBoolToObject(tensor, "read", !norma_arg_is_output(problem, arg) || tensor_is_updated(arg));
        cJSON_AddBoolToObject(tensor, "written", norma_arg_is_output(problem, arg));
        cJSON_AddItemToArray(list, tensor);
    }
    return list;
}

static cJSON *fills_json(const norma_description *plan)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < plan->fill_count; ++i) {
        const norma_fill *f = &plan->fills[i];
        cJSON *fill = cJSON_CreateObject(), *bytes = cJSON_CreateArray();
        for (uint32_t k = 0; k < f->size; ++k)
            cJSON_AddItemToArray(bytes, cJSON_CreateNumber(f->value[k]));
        cJSON_AddStringToObject(fill, "tensor", norma_arg_name(f->arg));
        cJSON_AddItemToObject(fill, "value", bytes);
        cJSON_AddItemToArray(list, fill);
    }
    return list;
}

static cJSON *bindings_json(const norma_dispatch *dispatch)
{
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < dispatch->binding_count; ++i) {
        const norma_bound *b = &dispatch->bindings[i];
        cJSON *binding = cJSON_CreateObject();
        cJSON_AddNumberToObject(binding, "slot", b->slot);
        cJSON_AddStringToObject(binding, "tensor", norma_arg_name(b->arg));
        cJSON_AddNumberToObject(binding, "offset", (double)b->offset);
        cJSON_AddNumberToObject(binding, "size", (double)b->size);
        cJSON_AddBoolToObject(binding, "written", b->written != 0);
        cJSON_AddItemToArray(list, binding);
    }
    return list;
}

static cJSON *constants_json(const norma_dispatch *dispatch)
{
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < dispatch->constant_count; ++i) {
        cJSON *constant = cJSON_CreateObject();
        cJSON_AddStringToObject(constant, "name", dispatch->constants[i].name);
        cJSON_AddNumberToObject(constant, "id", dispatch->constants[i].id);
        cJSON_AddNumberToObject(constant, "value", dispatch->constants[i].value);
        cJSON_AddItemToArray(list, constant);
    }
    return list;
}

static cJSON *dispatch_json(const norma_dispatch *dispatch)
{
    char name[NAME];
    cJSON *all = cJSON_CreateObject();
    name_kernel(dispatch, name);
    cJSON_AddStringToObject(all, "kernel", dispatch->kernel);
    cJSON_AddStringToObject(all, "file", name);
    cJSON_AddStringToObject(all, "entry", dispatch->options ? dispatch->kernel : "main");
    if (dispatch->options)
        cJSON_AddStringToObject(all, "options", dispatch->options);
    cJSON_AddItemToObject(all, "constants", constants_json(dispatch));
    cJSON_AddItemToObject(all, "bindings", bindings_json(dispatch));
    cJSON_AddItemToObject(all, dispatch->table ? "table" : "args",
                          dispatch->table ? words_json(dispatch->table, dispatch->table_size)
                                          : words_json(dispatch->args, dispatch->args_size));
    const int64_t groups[] = {dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]};
    const int64_t local[] = {dispatch->local[0], dispatch->local[1], dispatch->local[2]};
    cJSON_AddItemToObject(all, "groups", integers_json(groups, 3));
    cJSON_AddItemToObject(all, "local", integers_json(local, 3));
    if (dispatch->indirect)
        cJSON_AddNumberToObject(all, "groups_offset", (double)dispatch->groups_offset);
    cJSON_AddBoolToObject(all, "barrier", dispatch->barrier != 0);
    cJSON_AddNumberToObject(all, "tile", dispatch->tile);
    return all;
}

static cJSON *description_json(const struct describe *d)
{
    const norma_problem *p = &d->made.problem;
    cJSON *all = cJSON_CreateObject();
    cJSON_AddNumberToObject(all, "norma_description", VERSION);
    cJSON_AddStringToObject(all, "norma", norma_version());
    cJSON_AddStringToObject(all, "op", norma_op_name(p->op));
    cJSON_AddStringToObject(all, "direction", p->direction == NORMA_BACKWARD ? "backward" : "forward");
    cJSON *device = cJSON_AddObjectToObject(all, "device");
    cJSON_AddStringToObject(device, "backend", d->info.backend);
    cJSON_AddStringToObject(device, "name", d->info.name);
    cJSON_AddStringToObject(device, "driver", d->info.driver);
    cJSON_AddStringToObject(all, "variant", d->plan->variant);
    cJSON_AddNumberToObject(all, "alignment", (double)d->plan->alignment);
    cJSON_AddNumberToObject(all, "workspace", (double)d->plan->workspace);
    if (d->plan->counted && !strcmp(d->info.backend, "opencl"))
        cJSON_AddNumberToObject(all, "count_offset", (double)d->plan->count_offset);
    cJSON_AddItemToObject(all, "tensors", tensors_json(p));
    cJSON_AddItemToObject(all, "fills", fills_json(d->plan));
    cJSON *dispatches = cJSON_AddArrayToObject(all, "dispatches");
    for (size_t i = 0; i < d->plan->dispatch_count; ++i)
        cJSON_AddItemToArray(dispatches, dispatch_json(&d->plan->dispatches[i]));
    return all;
}

// The kernels first: a description has all that it names.
static bool write_description(struct describe *d)
{
    if (!find_place(d) || !write_kernels(d))
        return false;
    cJSON *all = description_json(d);
    char *text = cJSON_Print(all);
    cJSON_Delete(all);
    const bool good =
        text ? written("output", d->file, text, strlen(text)) : complain("output: no memory for the JSON");
    free(text);
    if (good)
        printf("%s: %s, variant %s; dispatches: %zu, files of kernels: %zu\n", d->file, d->info.id, d->plan->variant,
               d->plan->dispatch_count, d->kernels);
    return good;
}

static bool work(struct describe *d)
{
    const struct options *o = &d->options;
    if (!made_start(o, &d->made) || !options_context(o, &d->context) || !find_device(d))
        return false;
    return succeeded((o->counted ? norma_describe_counted : norma_describe)(d->device, &d->made.problem, o->variant,
                                                                            &d->plan)) &&
           write_description(d);
}

int cmd_describe(int argc, const char **argv)
{
    static const struct option_spec spec = {OPTIONS_DEVICE | OPTIONS_PROBLEM | OPTIONS_WHOLE | OPTIONS_SHAPE |
                                                OPTIONS_DESCRIBE,
                                            "--shape RxD -o DIR [options]", true, false};
    struct describe d;
    memset(&d, 0, sizeof d);
    int code = options_parse(argc, argv, &spec, &d.options);
    if (code == 0)
        code = work(&d) ? 0 : 1;
    norma_description_destroy(&d.plan);
    norma_context_destroy(&d.context);
    made_finish(&d.made);
    options_finish(&d.options);
    free(d.folder);
    free(d.file);
    return code;
}
