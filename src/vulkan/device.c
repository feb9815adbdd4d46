#include "nvk.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

norma_status nvk_fail(const char *call, VkResult result)
{
    // "d->api->QueueSubmit(...)" -> "vkQueueSubmit"
    const char *name = strstr(call, "api");
    name = name ? name + strcspn(name, ">.") : call;
    name += strspn(name, ">.");
    const int length = (int)strcspn(name, "(");
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_TOO_MANY_OBJECTS:
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "vk%.*s: out of memory (%d)", length, name, (int)result);
    case VK_ERROR_DEVICE_LOST:
        return norma_fail(NORMA_ERROR_DEVICE_LOST, "vk%.*s: device lost", length, name);
    default:
        return norma_fail(NORMA_ERROR_DEVICE, "vk%.*s: error %d", length, name, (int)result);
    }
}

// Those that are for memory which others may have.
static void find_external(struct nvk_device *d, const char *name)
{
    if (!strcmp(name, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME))
        d->memory_fd = d->api->GetMemoryFdKHR && d->api->GetMemoryFdPropertiesKHR;
    if (!strcmp(name, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME))
        d->dma_buf = true;
    if (!strcmp(name, VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME))
        d->queue_foreign = true;
}

// The names of the device's extensions that Norma can use.
static norma_status find_extensions(struct nvk_device *d, const norma_vulkan_objects *given)
{
    norma_status status = NORMA_OK;
    uint32_t count = 0;
    VkExtensionProperties *list = NULL;
    NVK(d->api->EnumerateDeviceExtensionProperties(d->physical, NULL, &count, NULL));
    if (!(list = norma_zalloc(d->allocator, count + 1u, sizeof(*list))))
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    const VkResult result = d->api->EnumerateDeviceExtensionProperties(d->physical, NULL, &count, list);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
        status = nvk_fail("api->EnumerateDeviceExtensionProperties", result);
        goto error;
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *name = list[i].extensionName;
        // These two say something of the driver, whether or not the caller enabled them.
        if (!strcmp(name, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME))
            d->driver_properties = true;
        if (!strcmp(name, NVK_PORTABILITY_SUBSET))
            d->portability = true;
        if (given && !nvk_given_extension(given, name))
            continue;
        if (!strcmp(name, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME))
            d->host_import = d->api->GetMemoryHostPointerPropertiesEXT != NULL;
        if (!strcmp(name, VK_KHR_SHADER_FLOAT_CONTROLS_EXTENSION_NAME))
            d->has_float_controls = true;
        find_external(d, name);
    }
error:
    norma_free(list);
    return status;
}

// Rates the types: 0 unusable. A discrete device's own memory is not mapped: reading it through the bus is slow.
static uint32_t rate_memory(VkMemoryPropertyFlags flags, norma_device_kind kind, bool mapped)
{
    const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const bool visible = (flags & host) == host;
    const uint32_t local = (flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) ? 1 : 0;
    const uint32_t cached = (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) ? 1 : 0;
    if (flags & (VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT |
                 VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD))
        return 0;
    if (mapped && kind == NORMA_DEVICE_DISCRETE)
        return visible ? 1 + 2 * cached + (1 - local) : 0;
    if (mapped || kind != NORMA_DEVICE_DISCRETE)
        return visible ? 1 + 2 * local + cached : 0;
    return 1 + 4 * local + (visible ? 0 : 2);
}

static void choose_memory(struct nvk_device *d, struct norma_device *device)
{
    VkPhysicalDeviceMemoryProperties memory;
    d->api->GetPhysicalDeviceMemoryProperties(d->physical, &memory);
    uint32_t best = 0, best_mapped = 0;
    for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
        const VkMemoryPropertyFlags flags = memory.memoryTypes[i].propertyFlags;
        const uint32_t plain = rate_memory(flags, device->caps.kind, false);
        const uint32_t mapped = rate_memory(flags, device->caps.kind, true);
        if (plain > best) {
            best = plain;
            d->memory_type = i;
        }
        if (mapped > best_mapped) {
            best_mapped = mapped;
            d->staging_type = i;
        }
    }
    device->caps.memory = memory.memoryHeaps[memory.memoryTypes[d->memory_type].heapIndex].size;
}

// False where no queue family computes. A family that does not draw is preferred: the desktop is not on it.
static bool choose_family(struct nvk_device *d, struct norma_device *device)
{
    VkQueueFamilyProperties families[NVK_FAMILIES];
    uint32_t count = NVK_FAMILIES;
    d->api->GetPhysicalDeviceQueueFamilyProperties(d->physical, &count, families);
    uint32_t best = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (d->given.device && i != d->family)
            continue;
        const VkQueueFlags flags = families[i].queueFlags;
        const uint32_t rate = !(flags & VK_QUEUE_COMPUTE_BIT) || families[i].queueCount == 0 ? 0
                              : flags & VK_QUEUE_GRAPHICS_BIT                                ? 1
                                                                                             : 2;
        if (rate <= best)
            continue;
        best = rate;
        d->family = i;
        const uint32_t bits = families[i].timestampValidBits;
        device->caps.timestamps = bits > 0 && d->timestamp_period > 0;
        d->timestamp_mask = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    }
    return best > 0;
}

struct properties {
    VkPhysicalDeviceProperties2 base;
    VkPhysicalDeviceIDProperties id;
    VkPhysicalDeviceMaintenance3Properties maintenance;
    VkPhysicalDeviceSubgroupProperties subgroup;
    VkPhysicalDeviceDriverProperties driver;
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT import;
    VkPhysicalDeviceFloatControlsPropertiesKHR floats;
};

static void read_properties(struct nvk_device *d, struct properties *p)
{
    *p = (struct properties){
        .base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &p->id},
        .id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES, .pNext = &p->maintenance},
        .maintenance = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &p->subgroup},
        .subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES},
        .driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES},
        .import = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT},
        .floats = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES_KHR}};
    if (d->driver_properties) {
        p->driver.pNext = p->base.pNext;
        p->base.pNext = &p->driver;
    }
    if (d->host_import) {
        p->import.pNext = p->base.pNext;
        p->base.pNext = &p->import;
    }
    if (d->has_float_controls) {
        p->floats.pNext = p->base.pNext;
        p->base.pNext = &p->floats;
    }
    d->api->GetPhysicalDeviceProperties2(d->physical, &p->base);
}

// Of float32 alone: not where all widths have to be alike.
static uint32_t float_controls(const VkPhysicalDeviceFloatControlsPropertiesKHR *p)
{
    const VkShaderFloatControlsIndependenceKHR none = VK_SHADER_FLOAT_CONTROLS_INDEPENDENCE_NONE_KHR;
    const bool denormals = p->shaderDenormPreserveFloat32 && p->denormBehaviorIndependence != none,
               rounds = p->shaderRoundingModeRTEFloat32 && p->roundingModeIndependence != none;
    return (denormals ? NVK_KEEPS_DENORMALS : 0u) |
           (p->shaderSignedZeroInfNanPreserveFloat32 ? NVK_KEEPS_NONFINITE : 0u) | (rounds ? NVK_ROUNDS_TO_EVEN : 0u);
}

enum { LEAST_TEXEL = 8 }; // bytes

static void fill_caps(struct nvk_device *d, const struct properties *p, struct norma_device *device)
{
    const VkPhysicalDeviceLimits *limits = &p->base.properties.limits;
    struct norma_caps *caps = &device->caps;
    const VkSubgroupFeatureFlags wanted = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    caps->api = NORMA_DRIVER_VULKAN;
    caps->kind = device->caps.kind;
    // Vulkan has no such figure; for a device it only says "many".
    caps->compute_units = device->caps.kind != NORMA_DEVICE_CPU ? 32 : (uint32_t)norma_cores();
    caps->max_alloc = p->maintenance.maxMemoryAllocationSize;
    if (caps->max_alloc > caps->memory)
        caps->max_alloc = caps->memory;
    caps->max_range = limits->maxStorageBufferRange;
    caps->offset_align = (uint32_t)limits->minStorageBufferOffsetAlignment;
    if (caps->offset_align < 16)
        caps->offset_align = 16; // 128-bit loads
    for (int i = 0; i < 3; i++)
        caps->max_groups[i] = limits->maxComputeWorkGroupCount[i];
    caps->max_workgroup = limits->maxComputeWorkGroupInvocations;
    if (caps->max_workgroup > limits->maxComputeWorkGroupSize[0])
        caps->max_workgroup = limits->maxComputeWorkGroupSize[0];
    caps->local_memory = limits->maxComputeSharedMemorySize;
    caps->subgroup_size = p->subgroup.subgroupSize;
    caps->subgroup_shuffle = p->subgroup.subgroupSize >= 8 &&
                             (p->subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                             (p->subgroup.supportedOperations & wanted) == wanted;
    d->strided = limits->maxPerStageDescriptorStorageBuffers > NVK_STRIDED;
    VkPhysicalDeviceFeatures features;
    d->api->GetPhysicalDeviceFeatures(d->physical, &features);
    // Texel views are objects, which a recording may not make.
    d->lean = !d->given.device && caps->kind == NORMA_DEVICE_CPU && features.shaderInt64 &&
              limits->minTexelBufferOffsetAlignment <= caps->offset_align &&
              (uint64_t)limits->maxTexelBufferElements * LEAST_TEXEL >= caps->max_range;
#ifdef NORMA_WITHOUT_SUBGROUP
    caps->subgroup_shuffle = false;
#endif
#ifdef NORMA_WITHOUT_LEAN
    d->lean = false;
#endif
    caps->host_memory = d->host_import;
    caps->record_only = d->given.device && !d->given.queue;
    caps->host_align = caps->offset_align;
    caps->import_align = d->host_import ? p->import.minImportedHostPointerAlignment : 0;
    nvk_external_caps(d, caps);
}

norma_status nvk_describe_device(struct nvk_device *d, struct norma_device *device)
{
    const norma_status status = find_extensions(d, d->instance->borrowed ? &d->instance->objects : NULL);
    if (status != NORMA_OK)
        return status;
    struct properties p;
    read_properties(d, &p);
    const VkPhysicalDeviceProperties *base = &p.base.properties;
    snprintf(device->name, sizeof(device->name), "%.127s", base->deviceName);
    if (d->driver_properties)
        snprintf(device->driver, sizeof(device->driver), "%.60s %.60s", p.driver.driverName, p.driver.driverInfo);
    else
        snprintf(device->driver, sizeof(device->driver), "driver 0x%x of vendor 0x%x", base->driverVersion,
                 base->vendorID);
    memcpy(device->uuid, p.id.deviceUUID, sizeof(device->uuid));
    memcpy(device->caps.driver_uuid, p.id.driverUUID, sizeof(device->caps.driver_uuid));
    device->caps.has_luid = p.id.deviceLUIDValid;
    if (p.id.deviceLUIDValid)
        memcpy(device->caps.luid, p.id.deviceLUID, sizeof(device->caps.luid));
    const VkPhysicalDeviceType type = base->deviceType;
    device->caps.kind = type == VK_PHYSICAL_DEVICE_TYPE_CPU              ? NORMA_DEVICE_CPU
                        : type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ? NORMA_DEVICE_INTEGRATED
                                                                         : NORMA_DEVICE_DISCRETE;
    nvk_driver_key(base, d->driver_properties ? p.driver.driverID : 0, &device->key);
    d->timestamp_period = base->limits.timestampPeriod;
    choose_memory(d, device);
    if (d->has_float_controls)
        d->float_controls = float_controls(&p.floats);
    fill_caps(d, &p, device);
    return NORMA_OK;
}

static norma_status create_device(struct nvk_device *d)
{
    norma_status status = NORMA_OK;
    if (d->given.device) {
        d->handle = d->given.device;
        d->queue = d->given.queue;
        return NORMA_OK;
    }
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = d->family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const char *extensions[6];
    uint32_t extension_count = 0;
    if (d->memory_fd)
        extensions[extension_count++] = VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME;
    if (d->memory_fd && d->dma_buf)
        extensions[extension_count++] = VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME;
    if (d->memory_fd && d->queue_foreign)
        extensions[extension_count++] = VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME;
    if (d->host_import)
        extensions[extension_count++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    if (d->has_float_controls)
        extensions[extension_count++] = VK_KHR_SHADER_FLOAT_CONTROLS_EXTENSION_NAME;
    if (d->portability)
        extensions[extension_count++] = NVK_PORTABILITY_SUBSET;
    const VkPhysicalDeviceFeatures features = {.shaderInt64 = d->lean};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = extension_count,
                                     .ppEnabledExtensionNames = extensions,
                                     .pEnabledFeatures = &features};
    NVK(d->api->CreateDevice(d->physical, &info, d->allocation, &d->handle));
    d->api->GetDeviceQueue(d->handle, d->family, 0, &d->queue);
error:
    return status;
}

const uint32_t nvk_texel_slots[NVK_TEXELS] = {NORMA_ARG_X,        NORMA_ARG_WEIGHT, NORMA_ARG_BIAS,
                                              NORMA_ARG_RESIDUAL, NORMA_ARG_GATE,   NORMA_ARG_INPUT_BIAS};

static norma_status create_set_layout(struct nvk_device *d, VkDescriptorType type, uint32_t count,
                                      VkDescriptorSetLayout *out)
{
    norma_status status = NORMA_OK;
    const bool texels = type == VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
    VkDescriptorSetLayoutBinding bindings[NVK_STRIDED + 1];
    for (uint32_t i = 0; i < count; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){.binding = texels ? nvk_texel_slots[i] : i,
                                                     .descriptorType = type,
                                                     .descriptorCount = 1,
                                                     .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = count, .pBindings = bindings};
    NVK(d->api->CreateDescriptorSetLayout(d->handle, &set, d->allocation, out));
error:
    return status;
}

static norma_status create_layouts(struct nvk_device *d)
{
    static const VkDescriptorType types[NVK_LAYOUTS] = {
        VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER};
    static const uint32_t counts[NVK_LAYOUTS] = {NVK_BINDINGS, NVK_TEXELS, NVK_STRIDED + 1};
    norma_status status = NORMA_OK;
    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = NORMA_ARGS_BYTES};
    for (int i = 0; i < NVK_LAYOUTS; i++) {
        if ((i == NVK_LAYOUT_LEAN && !d->lean) || (i == NVK_LAYOUT_STRIDED && !d->strided))
            continue;
        status = create_set_layout(d, types[i], counts[i], &d->set_layouts[i]);
        if (status != NORMA_OK)
            return status;
        const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                   .setLayoutCount = i == NVK_LAYOUT_LEAN ? 2 : 1,
                                                   .pSetLayouts = d->set_layouts +
                                                                  (i == NVK_LAYOUT_STRIDED ? NVK_LAYOUT_STRIDED : 0),
                                                   .pushConstantRangeCount = i == NVK_LAYOUT_STRIDED ? 0 : 1,
                                                   .pPushConstantRanges = &range};
        NVK(d->api->CreatePipelineLayout(d->handle, &layout, d->allocation, &d->layouts[i]));
    }
error:
    return status;
}

// Destroys what nvk_open made; the device is as enumerated again.
static void shut(struct norma_device *device)
{
    struct nvk_device *d = nvk_device_of(device);
    if (!d->handle)
        return;
    if (d->given.device)
        nvk_given_idle(d);
    else
        d->api->DeviceWaitIdle(d->handle); // also of a lost device: what follows is allowed either way
    nvk_calls_finish(d);
    nvk_buffer_finish(&d->staging);
    nvk_pipelines_finish(d);
    for (int i = 0; i < NVK_LAYOUTS; i++) {
        if (d->layouts[i])
            d->api->DestroyPipelineLayout(d->handle, d->layouts[i], d->allocation);
        if (d->set_layouts[i])
            d->api->DestroyDescriptorSetLayout(d->handle, d->set_layouts[i], d->allocation);
        d->layouts[i] = VK_NULL_HANDLE;
        d->set_layouts[i] = VK_NULL_HANDLE;
    }
    if (!d->given.device)
        d->api->DestroyDevice(d->handle, d->allocation);
    d->handle = VK_NULL_HANDLE;
}

norma_status nvk_open(struct norma_device *device)
{
    struct nvk_device *d = nvk_device_of(device);
    assert(!d->handle);
    d->host_import = d->host_import && !(device->avoid.what & NORMA_AVOID_IMPORT);
    if (!choose_family(d, device))
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s has no compute queue", device->name);
    norma_status status = create_device(d);
    if (status == NORMA_OK)
        status = create_layouts(d);
    if (status != NORMA_OK)
        shut(device);
    if (status == NORMA_OK && d->given.device)
        nvk_recorder_prepare(device);
    return status;
}

void nvk_close(struct norma_device *device)
{
    struct nvk_device *d = device->impl;
    if (!d)
        return;
    shut(device);
    pthread_mutex_destroy(&d->pipeline_lock);
    pthread_mutex_destroy(&d->queue_lock);
    pthread_mutex_destroy(&d->staging_lock);
    norma_free(d);
    device->impl = NULL;
}
