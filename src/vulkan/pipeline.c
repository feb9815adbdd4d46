#include "nvk.h"
#include <assert.h>
#include <string.h>

// Made by the build from shaders/*.comp: ROW modules without and with subgroup operations, those of
// strided_modules.h once. Those that the build leaves out have no words.
#define ROW_MODULES(X) X(row_whole) X(row_stats) X(row_merge) X(row_apply) X(copy) X(row_whole_lean) X(copy_lean)
#define MODULE(name)                    \
    extern const uint32_t nvk_##name[]; \
    extern const size_t nvk_##name##_size;
#define X(name) MODULE(name##_local) MODULE(name##_subgroup)
ROW_MODULES(X)
#undef X
MODULE(row_count_local)
#define X(name) MODULE(name)
#include "strided_modules.h"
#undef X

static const struct module {
    const char *kernel, *kind; // kind: "_local", "_subgroup", "_lean_local", "_lean_subgroup" or ""
    const uint32_t *code;
    const size_t *size;
} modules[] = {
#define KIND(name, suffix) {#name, #suffix, nvk_##name##suffix, &nvk_##name##suffix##_size},
#define X(name) KIND(name, _local) KIND(name, _subgroup)
    X(row_whole) X(row_stats) X(row_merge) X(row_apply) X(copy) KIND(row_count, _local)
#undef X
#define X(name) KIND(name, _lean_local) KIND(name, _lean_subgroup)
        X(row_whole) X(copy)
#undef X
#define X(name) {#name, "", nvk_##name, &nvk_##name##_size},
#include "strided_modules.h"
#undef X
};

static const struct module *module_of(const norma_dispatch *dispatch, bool lean)
{
    bool subgroup = false;
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        if (dispatch->constants[i].id == NORMA_CONST_SUBGROUP)
            subgroup = dispatch->constants[i].value != 0;
    const char *kind = dispatch->table ? ""
                       : lean          ? subgroup ? "_lean_subgroup" : "_lean_local"
                       : subgroup      ? "_subgroup"
                                       : "_local";
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        if (*modules[i].size > 0 && !strcmp(modules[i].kernel, dispatch->kernel) && !strcmp(modules[i].kind, kind))
            return &modules[i];
    return NULL;
}

// Of the lean modules' pipelines nothing is told: they want texel buffers, and give the same bits.
norma_status nvk_describe(struct norma_device *device, norma_dispatch *dispatch)
{
    const struct module *module = module_of(dispatch, false);
    if (!module)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s has no kernel %s", device->id, dispatch->kernel);
    dispatch->code = module->code;
    dispatch->code_size = *module->size;
    assert(dispatch->constant_count < NORMA_MAX_CONSTANTS);
    dispatch->constants[dispatch->constant_count++] =
        (norma_constant){"ROLLED", NVK_CONST_ROLLED, device->caps.kind == NORMA_DEVICE_CPU};
    for (uint32_t i = 0; i < dispatch->binding_count; i++) // kernels take words
        dispatch->bindings[i].size = (dispatch->bindings[i].size + 3) & ~(uint64_t)3;
    return NORMA_OK;
}

static norma_status create_module(struct nvk_device *d, const struct module *module, VkShaderModule *out)
{
    norma_status status = NORMA_OK;
    uint32_t *controlled = NULL;
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = *module->size, .pCode = module->code};
    if (d->float_controls) {
        status = nvk_control_floats(d, module->code, code.codeSize, &controlled, &code.codeSize);
        code.pCode = controlled;
    }
    if (status == NORMA_OK)
        NVK(d->api->CreateShaderModule(d->handle, &code, d->allocation, out));
error:
    norma_free(controlled);
    return status;
}

static norma_status compile(struct norma_device *device, struct nvk_pipeline *pipeline, const norma_dispatch *dispatch)
{
    struct nvk_device *d = nvk_device_of(device);
    norma_status status = NORMA_OK;
    VkShaderModule module = VK_NULL_HANDLE;
    VkSpecializationMapEntry entries[NVK_CONST_COUNT];
    uint32_t count = 0;
    for (uint32_t i = 0; i < NVK_CONST_COUNT; i++)
        if (i != NORMA_CONST_SUBGROUP) // chose the module
            entries[count++] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkSpecializationInfo constants = {.mapEntryCount = count,
                                            .pMapEntries = entries,
                                            .dataSize = sizeof(pipeline->constants),
                                            .pData = pipeline->constants};
    status = create_module(d, pipeline->module, &module);
    if (status != NORMA_OK)
        goto error;
    const VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                              .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                        .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                        .module = module,
                                                        .pName = "main",
                                                        .pSpecializationInfo = &constants},
                                              .layout = d->layouts[pipeline->layout]};
    NVK(d->api->CreateComputePipelines(d->handle, d->pipeline_cache, 1, &info, d->allocation, &pipeline->handle));
    // Some drivers report success without a pipeline, which crashes once it is bound:
    // https://github.com/IGCIT/Intel-GPU-Community-Issue-Tracker-IGCIT/issues/1222
    if (!pipeline->handle)
        status = norma_fail(NORMA_ERROR_DEVICE, "vkCreateComputePipelines: no pipeline");
error:
    if (module)
        d->api->DestroyShaderModule(d->handle, module, d->allocation);
    if (status == NORMA_ERROR_DEVICE)
        status = norma_fail(NORMA_ERROR_UNSUPPORTED, "%s does not compile %s", device->id, dispatch->kernel);
    return status;
}

enum { FLOAT32 = 0 }; // in norma_row_args.types

static bool is_parameter(uint32_t slot)
{
    return slot == NORMA_ARG_WEIGHT || slot == NORMA_ARG_BIAS || slot == NORMA_ARG_INPUT_BIAS;
}

// The type that all parameters share as far as a lean module is concerned: that of the first.
static uint32_t parameter_type(const struct norma_row_args *args)
{
    for (uint32_t slot = 0; slot < NORMA_ARG_MEAN; slot++)
        if (is_parameter(slot) && (args->flags >> slot & 1))
            return args->types >> 2 * slot & 3;
    return FLOAT32;
}

// Types that a lean module knows: that of x for what has rows, one for the parameters, which is float32 or that of x.
static bool has_usual_types(const struct norma_row_args *args)
{
    const uint32_t x = args->types & 3, parameters = parameter_type(args);
    for (uint32_t slot = 0; slot < NORMA_ARG_MEAN; slot++)
        if ((args->flags >> slot & 1) && (args->types >> 2 * slot & 3) != (is_parameter(slot) ? parameters : x))
            return false;
    return parameters == FLOAT32 || parameters == x;
}

// Whether the usual case's code is enough: rows of one chunk and whole quads, of the usual types. Drivers that execute
// both sides of a branch would pay for the rest, so they get a module without it; the bits are the same.
static bool is_lean(struct norma_device *device, const norma_dispatch *dispatch, const struct norma_row_args *args)
{
    if (!nvk_device_of(device)->lean || nvk_device_of(device)->lean_dropped)
        return false;
    if (!strcmp(dispatch->kernel, "copy"))
        return true;
    if (strcmp(dispatch->kernel, "row_whole") != 0)
        return false;
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        if (dispatch->constants[i].id == NORMA_CONST_REGISTERS && dispatch->constants[i].value)
            return false;
    return args->n <= NORMA_CHUNK && args->n % 4 == 0 && (args->flags & NORMA_FLAG_ALIGNED) && has_usual_types(args);
}

uint32_t nvk_texel_bytes(const norma_dispatch *dispatch, uint32_t slot)
{
    struct norma_row_args args;
    memcpy(&args, dispatch->args, sizeof(args));
    return (args.types >> 2 * slot & 3) == FLOAT32 ? 16 : 8;
}

// What the dispatch's pipeline is made of. pipeline_lock is held.
static norma_status make_key(struct norma_device *device, const norma_dispatch *dispatch, struct nvk_pipeline *key)
{
    struct nvk_device *d = nvk_device_of(device);
    struct norma_row_args args;
    memcpy(&args, dispatch->args, sizeof(args));
    const bool lean = is_lean(device, dispatch, &args);
    *key = (struct nvk_pipeline){.module = module_of(dispatch, lean)};
    key->layout = dispatch->table ? NVK_LAYOUT_STRIDED : lean ? NVK_LAYOUT_LEAN : NVK_LAYOUT_ROWS;
    if (!d->layouts[key->layout])
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: a shader may not have as many buffers as %s", device->id,
                          dispatch->kernel);
    if (!key->module)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s has no kernel %s", device->id, dispatch->kernel);
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        if (dispatch->constants[i].id < NORMA_CONST_COUNT)
            key->constants[dispatch->constants[i].id] = dispatch->constants[i].value;
    if (lean) {
        key->constants[NVK_CONST_CUT] = args.n % 128 != 0;
        key->constants[NVK_CONST_PARAM_TYPE] = parameter_type(&args);
    }
    key->constants[NVK_CONST_ROLLED] = device->caps.kind == NORMA_DEVICE_CPU;
    return NORMA_OK;
}

// pipeline_lock is held.
static const struct nvk_pipeline *find(const struct nvk_device *d, const struct nvk_pipeline *key)
{
    const struct nvk_pipeline *p = d->pipelines;
    while (p && (p->module != key->module || memcmp(p->constants, key->constants, sizeof(key->constants)) != 0))
        p = p->next;
    return p;
}

static norma_status look_up(struct norma_device *device, const norma_dispatch *dispatch, struct nvk_pipeline *key,
                            const struct nvk_pipeline **found)
{
    struct nvk_device *d = nvk_device_of(device);
    pthread_mutex_lock(&d->pipeline_lock);
    const norma_status status = make_key(device, dispatch, key);
    *found = status == NORMA_OK ? find(d, key) : NULL;
    pthread_mutex_unlock(&d->pipeline_lock);
    return status;
}

// Where another thread compiled the same meanwhile its pipeline stays.
static const struct nvk_pipeline *keep(struct norma_device *device, struct nvk_pipeline *made)
{
    struct nvk_device *d = nvk_device_of(device);
    pthread_mutex_lock(&d->pipeline_lock);
    const struct nvk_pipeline *kept = find(d, made);
    if (!kept) {
        made->next = d->pipelines;
        kept = d->pipelines = made;
        device->programs++;
    }
    pthread_mutex_unlock(&d->pipeline_lock);
    if (kept != made) {
        d->api->DestroyPipeline(d->handle, made->handle, d->allocation);
        norma_free(made);
    }
    return kept;
}

// The module that suits every dispatch is used instead of lean ones that the driver does not compile.
static void drop_lean(struct norma_device *device)
{
    struct nvk_device *d = nvk_device_of(device);
    pthread_mutex_lock(&d->pipeline_lock);
    const bool first = !d->lean_dropped;
    d->lean_dropped = true;
    pthread_mutex_unlock(&d->pipeline_lock);
    if (first)
        norma_log(device->context, 1, "%s: modules with texel buffers are no longer used: %s", device->id,
                  norma_last_error());
}

// Compiles without the lock, which every recording takes.
norma_status nvk_pipeline(struct norma_device *device, const norma_dispatch *dispatch,
                          const struct nvk_pipeline **pipeline)
{
    struct nvk_pipeline key;
    for (;;) {
        norma_status status = look_up(device, dispatch, &key, pipeline);
        if (status != NORMA_OK || *pipeline)
            return status;
        struct nvk_pipeline *made = norma_alloc(device->allocator, sizeof(*made));
        if (!made)
            return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
        *made = key;
        status = compile(device, made, dispatch);
        if (status == NORMA_OK) {
            *pipeline = keep(device, made);
            return NORMA_OK;
        }
        norma_free(made);
        if (status != NORMA_ERROR_UNSUPPORTED || key.layout != NVK_LAYOUT_LEAN)
            return status;
        drop_lean(device);
    }
}

norma_status nvk_pipeline_find(struct norma_device *device, const norma_dispatch *dispatch,
                               const struct nvk_pipeline **pipeline)
{
    struct nvk_pipeline key;
    const norma_status status = look_up(device, dispatch, &key, pipeline);
    if (status == NORMA_OK && !*pipeline)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "plan: %s was not compiled for this problem", dispatch->kernel);
    return status;
}

norma_status nvk_prepare(struct norma_device *device, const norma_dispatch *dispatch)
{
    const struct nvk_pipeline *pipeline;
    return nvk_pipeline(device, dispatch, &pipeline);
}

void nvk_pipelines_finish(struct nvk_device *d)
{
    while (d->pipelines) {
        struct nvk_pipeline *p = d->pipelines;
        d->pipelines = p->next;
        d->api->DestroyPipeline(d->handle, p->handle, d->allocation);
        norma_free(p);
    }
}
