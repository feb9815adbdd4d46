#include "commands.h"
#include "message.h"
#include "options.h"
#include <cjson/cJSON.h>
#include <norma/run.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const kinds[] = {"cpu", "integrated", "discrete"};

static const char *uuid_text(const uint8_t *uuid, char *text)
{
    int used = 0;
    for (int i = 0; i < 16; ++i)
        used += sprintf(text + used, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    return text;
}

static cJSON *device_json(const norma_device_info *info)
{
    char uuid[40];
    cJSON *d = cJSON_CreateObject();
    cJSON_AddStringToObject(d, "id", info->id);
    cJSON_AddStringToObject(d, "name", info->name);
    cJSON_AddStringToObject(d, "driver", info->driver);
    cJSON_AddStringToObject(d, "backend", info->backend);
    cJSON_AddStringToObject(d, "uuid", uuid_text(info->uuid, uuid));
    cJSON_AddStringToObject(d, "kind", kinds[info->kind]);
    cJSON_AddBoolToObject(d, "usable", info->usable);
    cJSON_AddStringToObject(d, "reason", info->reason);
    cJSON_AddStringToObject(d, "reductions", info->reductions);
    cJSON_AddNumberToObject(d, "memory", (double)info->memory);
    cJSON_AddNumberToObject(d, "max_range", (double)info->max_range);
    cJSON_AddNumberToObject(d, "subgroup_size", info->subgroup_size);
    cJSON_AddNumberToObject(d, "max_workgroup", info->max_workgroup);
    cJSON_AddBoolToObject(d, "host_memory", info->host_memory);
    cJSON_AddBoolToObject(d, "timestamps", info->timestamps);
    cJSON_AddNumberToObject(d, "copy_rate", info->copy_rate);
    cJSON_AddNumberToObject(d, "launch", info->launch);
    return d;
}

static void device_text(const norma_device_info *info)
{
    char uuid[40];
    printf("%s  %s\n", info->id, info->name);
    printf("  driver       %s (%s, %s)\n", info->driver, info->backend, kinds[info->kind]);
    printf("  uuid         %s\n", uuid_text(info->uuid, uuid));
    if (info->usable)
        printf("  self-test    passed; reduces by %s\n", info->reductions);
    else
        printf("  self-test    NOT USABLE: %s\n", info->reason);
    printf("  memory       %.1f GiB, %.0f MiB an argument, %s\n", (double)info->memory / 0x1p30,
           (double)info->max_range / 0x1p20,
           info->host_memory ? "reads the caller's memory in place" : "tensors are copied to it");
    if (info->max_workgroup > 1)
        printf("  workgroup    up to %u, subgroups of %u\n", info->max_workgroup, info->subgroup_size);
    printf("  timestamps   %s\n", info->timestamps ? "yes" : "no");
    if (info->copy_rate > 0)
        printf("  copy rate    %.1f GB/s; a tiny call takes %.1f us\n", info->copy_rate / 1e9, info->launch * 1e6);
}

// The figures come from the cache or are measured when the scheduler first needs them: let it need them. A device that
// cannot be measured shows none.
static void know_figures(norma_context *context)
{
    int64_t shape[2] = {1, 64};
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, NULL);
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_prediction predictions[32];
    size_t count;
    problem.x = problem.y = &x;
    norma_explain(context, &problem, predictions, 32, &count);
}

static bool work(const struct options *o)
{
    norma_context *context = NULL;
    if (!options_context(o, &context))
        return false;
    know_figures(context);
    cJSON *list = cJSON_CreateArray();
    size_t count = norma_context_device_count(context);
    bool good = true;
    for (size_t i = 0; i < count; ++i) {
        norma_device *device = norma_context_device(context, i);
        norma_device_info info = {.size = sizeof info};
        if (!options_want(o, device))
            continue;
        if (!succeeded(norma_device_get_info(device, &info))) {
            good = false;
            continue;
        }
        if (o->json)
            cJSON_AddItemToArray(list, device_json(&info));
        else
            device_text(&info);
    }
    if (o->json) {
        char *text = cJSON_Print(list);
        puts(text ? text : "[]");
        free(text);
    }
    cJSON_Delete(list);
    norma_context_destroy(&context);
    return good;
}

int cmd_devices(int argc, const char **argv)
{
    static const struct option_spec spec = {OPTIONS_DEVICE | OPTIONS_JSON, "[--json]", false, false};
    struct options options;
    int code = options_parse(argc, argv, &spec, &options);
    if (code == 0)
        code = work(&options) ? 0 : 1;
    options_finish(&options);
    return code;
}
