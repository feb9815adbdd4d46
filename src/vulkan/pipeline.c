#include "nvk.h"
#include <stdlib.h>
#include <string.h>

// Made by the build from shaders/*.comp, each with and without subgroup operations.
#define MODULES(X) X(row_whole) X(row_stats) X(row_merge) X(row_apply) X(copy)
#define X(name)                                    \
    extern const uint32_t nvk_##name##_local[];    \
    extern const size_t nvk_##name##_local_size;   \
    extern const uint32_t nvk_##name##_subgroup[]; \
    extern const size_t nvk_##name##_subgroup_size;
MODULES(X)
#undef X

static const struct {
    const char *kernel;
    const uint32_t *code[2]; // by NORMA_CONST_SUBGROUP
    const size_t *size[2];
} modules[] = {
#define X(name) \
    {#name, {nvk_##name##_local, nvk_##name##_subgroup}, {&nvk_##name##_local_size, &nvk_##name##_subgroup_size}},
    MODULES(X)
#undef X
};

enum { MODULE_COUNT = sizeof(modules) / sizeof(modules[0]) };

// Index of the dispatch's module: 2 * kernel + subgroup; 2 * MODULE_COUNT where there is none.
static uint32_t module_of(const norma_dispatch *dispatch)
{
    uint32_t subgroup = 0;
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        if (dispatch->constants[i].id == NORMA_CONST_SUBGROUP)
            subgroup = dispatch->constants[i].value ? 1 : 0;
    for (uint32_t i = 0; i < MODULE_COUNT; i++)
        if (!strcmp(modules[i].kernel, dispatch->kernel))
            return 2 * i + subgroup;
    return 2 * MODULE_COUNT;
}

const void *nvk_code(const norma_dispatch *dispatch, size_t *size)
{
    const uint32_t module = module_of(dispatch);
    if (module == 2 * MODULE_COUNT)
        return NULL;
    *size = *modules[module / 2].size[module % 2];
    return modules[module / 2].code[module % 2];
}

static norma_status compile(struct norma_device *device, struct nvk_pipeline *pipeline, const norma_dispatch *dispatch)
{
    struct nvk_device *d = nvk_device_of(device);
    norma_status status = NORMA_OK;
    VkShaderModule module = VK_NULL_HANDLE;
    const VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                           .codeSize = *modules[pipeline->module / 2].size[pipeline->module % 2],
                                           .pCode = modules[pipeline->module / 2].code[pipeline->module % 2]};
    VkSpecializationMapEntry entries[NVK_CONST_COUNT];
    uint32_t count = 0;
    for (uint32_t i = 0; i < NVK_CONST_COUNT; i++)
        if (i != NORMA_CONST_SUBGROUP) // chose the module
            entries[count++] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkSpecializationInfo constants = {.mapEntryCount = count,
                                            .pMapEntries = entries,
                                            .dataSize = sizeof(pipeline->constants),
                                            .pData = pipeline->constants};
    NVK(d->api->CreateShaderModule(d->handle, &code, NULL, &module));
    const VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                              .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                        .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                        .module = module,
                                                        .pName = "main",
                                                        .pSpecializationInfo = &constants},
                                              .layout = d->layout};
    NVK(d->api->CreateComputePipelines(d->handle, VK_NULL_HANDLE, 1, &info, NULL, &pipeline->handle));
error:
    if (module)
        d->api->DestroyShaderModule(d->handle, module, NULL);
    if (status == NORMA_ERROR_DEVICE)
        status = norma_fail(NORMA_ERROR_UNSUPPORTED, "%s does not compile %s", device->id, dispatch->kernel);
    return status;
}

// Types that a lean pipeline knows: those of x for what has rows, float32 for what lies beside every row.
static bool has_usual_types(const struct norma_row_args *args)
{
    static const uint32_t with_rows =
        1u << NORMA_ARG_Y | 1u << NORMA_ARG_RESIDUAL | 1u << NORMA_ARG_GATE | 1u << NORMA_ARG_SUM;
    for (uint32_t slot = NORMA_ARG_Y; slot < NORMA_ARG_MEAN; slot++) {
        const uint32_t wanted = with_rows >> slot & 1 ? args->types & 3 : 0;
        if ((args->flags >> slot & 1) && (args->types >> 2 * slot & 3) != wanted)
            return false;
    }
    return true;
}

// Whether the usual case's code is enough: rows of one chunk and whole quads, of the usual types. Drivers that execute
// both sides of a branch would pay for the rest, so they get a pipeline without it; the bits are the same.
static uint32_t is_lean(const struct norma_device *device, const norma_dispatch *dispatch)
{
    struct norma_row_args args;
    if (device->caps.kind != NORMA_DEVICE_CPU || strcmp(dispatch->kernel, "row_whole") != 0)
        return 0;
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        if (dispatch->constants[i].id == NORMA_CONST_REGISTERS && dispatch->constants[i].value)
            return 0;
    memcpy(&args, dispatch->args, sizeof(args));
    return args.n <= NORMA_CHUNK && args.n % 4 == 0 && (args.flags & NORMA_FLAG_ALIGNED) && has_usual_types(&args);
}

// pipeline_lock is held.
static norma_status find_or_compile(struct norma_device *device, const norma_dispatch *dispatch, VkPipeline *out)
{
    struct nvk_device *d = nvk_device_of(device);
    struct nvk_pipeline key = {.module = module_of(dispatch)};
    if (key.module == 2 * MODULE_COUNT)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s has no kernel %s", device->id, dispatch->kernel);
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        if (dispatch->constants[i].id < NORMA_CONST_COUNT)
            key.constants[dispatch->constants[i].id] = dispatch->constants[i].value;
    key.constants[NVK_CONST_LEAN] = is_lean(device, dispatch);
    key.constants[NVK_CONST_ROLLED] = device->caps.kind == NORMA_DEVICE_CPU;
    for (struct nvk_pipeline *p = d->pipelines; p; p = p->next) {
        if (p->module == key.module && !memcmp(p->constants, key.constants, sizeof(key.constants))) {
            *out = p->handle;
            return NORMA_OK;
        }
    }
    struct nvk_pipeline *made = malloc(sizeof(*made));
    if (!made)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    *made = key;
    const norma_status status = compile(device, made, dispatch);
    if (status != NORMA_OK) {
        free(made);
        return status;
    }
    made->next = d->pipelines;
    d->pipelines = made;
    device->programs++;
    *out = made->handle;
    return NORMA_OK;
}

norma_status nvk_pipeline(struct norma_device *device, const norma_dispatch *dispatch, VkPipeline *pipeline)
{
    struct nvk_device *d = nvk_device_of(device);
    pthread_mutex_lock(&d->pipeline_lock);
    const norma_status status = find_or_compile(device, dispatch, pipeline);
    pthread_mutex_unlock(&d->pipeline_lock);
    return status;
}

norma_status nvk_prepare(struct norma_device *device, const norma_dispatch *dispatch)
{
    VkPipeline pipeline;
    return nvk_pipeline(device, dispatch, &pipeline);
}

void nvk_pipelines_finish(struct nvk_device *d)
{
    while (d->pipelines) {
        struct nvk_pipeline *p = d->pipelines;
        d->pipelines = p->next;
        d->api->DestroyPipeline(d->handle, p->handle, NULL);
        free(p);
    }
}
