#include "nvk.h"
#include <stdio.h>
#include <string.h>

// The library stays open: drivers keep threads and exit handlers that do not survive being unmapped.
static PFN_vkGetInstanceProcAddr get_proc(void)
{
    void *library = norma_open_vulkan();
    PFN_vkGetInstanceProcAddr get = NULL;
    void *symbol = library ? norma_library_symbol(library, "vkGetInstanceProcAddr") : NULL;
    memcpy(&get, &symbol, sizeof(get)); // ISO C has no cast from an object to a function pointer
    return get;
}

bool nvk_load_library(struct nvk_api *api)
{
    const PFN_vkGetInstanceProcAddr get = get_proc();
    bool complete = get != NULL;
#define X(name) complete = complete && (api->name = (PFN_vk##name)(void (*)(void))get(NULL, "vk" #name)) != NULL;
    NVK_GLOBAL_FUNCTIONS(X)
#undef X
    if (complete)
        nvk_api_filled(api);
    return complete;
}

bool nvk_load_instance(struct nvk_api *api, VkInstance instance, PFN_vkGetInstanceProcAddr get)
{
    bool complete = get != NULL;
#define X(name) complete = complete && (api->name = (PFN_vk##name)(void (*)(void))get(instance, "vk" #name)) != NULL;
    NVK_INSTANCE_FUNCTIONS(X)
#undef X
#define X(name) api->name = complete ? (PFN_vk##name)(void (*)(void))get(instance, "vk" #name) : NULL;
    NVK_OPTIONAL_FUNCTIONS(X)
#undef X
    if (complete)
        nvk_api_filled(api);
    return complete;
}

// Whether the loader hides drivers that lack corners of Vulkan, as MoltenVK does, from those who do not ask for them.
static bool hides_portability(const norma_allocator *allocator, const struct nvk_api *api)
{
    uint32_t count = 0;
    if (api->EnumerateInstanceExtensionProperties(NULL, &count, NULL) != VK_SUCCESS || count == 0)
        return false;
    VkExtensionProperties *list = norma_zalloc(allocator, count, sizeof(*list));
    const VkResult result =
        list ? api->EnumerateInstanceExtensionProperties(NULL, &count, list) : VK_ERROR_OUT_OF_HOST_MEMORY;
    bool found = false;
    for (uint32_t i = 0; i < count && (result == VK_SUCCESS || result == VK_INCOMPLETE); i++)
        found |= !strcmp(list[i].extensionName, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    norma_free(list);
    return found;
}

static norma_status create_instance(const norma_allocator *allocator, struct nvk_instance *instance)
{
    norma_status status = NORMA_OK;
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pEngineName = "norma", .apiVersion = VK_API_VERSION_1_2};
    static const char *const extensions[] = {VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME};
    const bool portability = hides_portability(allocator, &instance->api);
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .flags = portability ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0,
                                       .pApplicationInfo = &application,
                                       .enabledExtensionCount = portability ? 1 : 0,
                                       .ppEnabledExtensionNames = extensions};
    NVK(instance->api.CreateInstance(&info, NULL, &instance->handle));
    if (!nvk_load_instance(&instance->api, instance->handle, get_proc()))
        status = norma_fail(NORMA_ERROR_DEVICE, "the Vulkan library lacks functions of Vulkan 1.1");
error:
    return status;
}

// Devices below Vulkan 1.1 and those without a compute queue are left out.
norma_status nvk_add_device(norma_context *context, struct nvk_instance *instance, VkPhysicalDevice physical,
                            uint32_t index, void (*add)(void *user, struct norma_device *device), void *user)
{
    struct nvk_device *d = norma_zalloc(norma_context_allocator(context), 1, sizeof(*d));
    struct norma_device *device = d ? norma_device_new(context, &norma_backend_vulkan) : NULL;
    if (!device) {
        norma_free(d);
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    }
    d->allocator = norma_context_allocator(context);
    d->instance = instance;
    d->api = &instance->api;
    d->physical = physical;
    if (instance->borrowed)
        nvk_take_given(d, &instance->objects);
    pthread_mutex_init(&d->pipeline_lock, NULL);
    pthread_mutex_init(&d->queue_lock, NULL);
    pthread_mutex_init(&d->staging_lock, NULL);
    device->impl = d;
    snprintf(device->id, sizeof(device->id), "vulkan:%u", index);
    const norma_status status = nvk_describe_device(d, device);
    if (status != NORMA_OK) { // what is not known cannot be opened
        device->state = NORMA_STATE_SET_ASIDE;
        snprintf(device->reason, sizeof(device->reason), "%s", norma_last_error());
    }
    add(user, device); // from here on the context frees it
    return status;
}

norma_status nvk_enumerate(norma_context *context, void (*add)(void *user, struct norma_device *device), void *user,
                           void **out)
{
    norma_status status = NORMA_OK;
    if (norma_context_vulkan(context))
        return nvk_enumerate_given(context, norma_context_vulkan(context), add, user, out);
    VkPhysicalDevice *physical = NULL;
    struct nvk_instance *instance = norma_zalloc(norma_context_allocator(context), 1, sizeof(*instance));
    if (!instance)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    if (!nvk_load_library(&instance->api)) {
        norma_free(instance);
        return NORMA_OK;
    }
    *out = instance;
    status = create_instance(norma_context_allocator(context), instance);
    if (status != NORMA_OK)
        return status;
    uint32_t count = 0;
    NVK(instance->api.EnumeratePhysicalDevices(instance->handle, &count, NULL));
    if (!(physical = norma_zalloc(norma_context_allocator(context), count + 1u, sizeof(VkPhysicalDevice)))) {
        status = norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
        goto error;
    }
    NVK(instance->api.EnumeratePhysicalDevices(instance->handle, &count, physical));
    for (uint32_t i = 0, index = 0; i < count && status == NORMA_OK; i++) {
        VkPhysicalDeviceProperties properties;
        instance->api.GetPhysicalDeviceProperties(physical[i], &properties);
        if (properties.apiVersion < VK_API_VERSION_1_1)
            continue;
        status = nvk_add_device(context, instance, physical[i], index++, add, user);
        if (status != NORMA_OK && status != NORMA_ERROR_OUT_OF_MEMORY) { // it is set aside: others may be well
            norma_log(context, 1, "vulkan:%u is set aside: %s", index - 1, norma_last_error());
            status = NORMA_OK;
        }
    }
error:
    norma_free(physical);
    return status;
}

void nvk_finish(void *user)
{
    struct nvk_instance *instance = user;
    if (!instance)
        return;
    if (instance->handle && instance->api.DestroyInstance && !instance->borrowed)
        instance->api.DestroyInstance(instance->handle, NULL);
    norma_free(instance);
}
