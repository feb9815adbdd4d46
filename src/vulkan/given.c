// A device of the caller's: nothing of it is made here, and nothing destroyed.
#include "nvk.h"
#include "sized.h"
#include <string.h>

static norma_status check(const norma_vulkan_objects *o)
{
    const char *missing = !o->get_instance_proc_addr ? "get_instance_proc_addr"
                          : !o->instance             ? "instance"
                          : !o->physical_device      ? "physical_device"
                          : !o->device               ? "device"
                                                     : NULL;
    if (missing)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "vulkan: %s is NULL", missing);
    if (o->extension_count && !o->extensions)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "vulkan: extensions is NULL, extension_count %u",
                          o->extension_count);
    if (!o->lock_queue != !o->unlock_queue)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "vulkan: %s is NULL, the other is not",
                          o->lock_queue ? "unlock_queue" : "lock_queue");
    return NORMA_OK;
}

static norma_status check_family(const struct nvk_api *api, const norma_vulkan_objects *o)
{
    VkPhysicalDeviceProperties properties;
    VkQueueFamilyProperties families[NVK_FAMILIES];
    uint32_t count = NVK_FAMILIES;
    api->GetPhysicalDeviceProperties(o->physical_device, &properties);
    if (properties.apiVersion < VK_API_VERSION_1_1)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "vulkan: physical_device has Vulkan %u.%u; 1.1 is the least",
                          VK_API_VERSION_MAJOR(properties.apiVersion), VK_API_VERSION_MINOR(properties.apiVersion));
    api->GetPhysicalDeviceQueueFamilyProperties(o->physical_device, &count, families);
    if (o->queue_family >= count)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "vulkan: queue_family is %u, the device has %u",
                          o->queue_family, count);
    if (!(families[o->queue_family].queueFlags & VK_QUEUE_COMPUTE_BIT))
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "vulkan: queue_family %u does not compute", o->queue_family);
    return NORMA_OK;
}

norma_status nvk_enumerate_given(norma_context *context, const norma_vulkan_objects *given,
                                 void (*add)(void *user, struct norma_device *device), void *user, void **out)
{
    struct nvk_instance *instance = norma_zalloc(norma_context_allocator(context), 1, sizeof(*instance));
    if (!instance)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    const norma_vulkan_objects *o = &instance->objects;
    norma_status status = NORMA_READ_MEMBER(&instance->objects, given, "vulkan", norma_vulkan_objects);
    if (status == NORMA_OK)
        status = check(o);
    if (status != NORMA_OK) {
        norma_free(instance);
        return status;
    }
    *out = instance;
    instance->borrowed = true;
    instance->handle = o->instance;
    if (!nvk_load_instance(&instance->api, o->instance, o->get_instance_proc_addr))
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                          "vulkan: get_instance_proc_addr lacks functions of Vulkan 1.1 for this instance");
    status = check_family(&instance->api, o);
    return status == NORMA_OK ? nvk_add_device(context, instance, o->physical_device, 0, add, user) : status;
}

void nvk_take_given(struct nvk_device *d, const norma_vulkan_objects *o)
{
    d->given = (struct nvk_given){.device = o->device,
                                  .queue = o->queue,
                                  .lock_queue = o->lock_queue,
                                  .unlock_queue = o->unlock_queue,
                                  .user = o->user};
    d->family = o->queue_family;
    d->pipeline_cache = o->pipeline_cache;
    if (o->allocation) {
        d->given.allocation = *o->allocation;
        d->allocation = &d->given.allocation;
    }
}

bool nvk_given_extension(const norma_vulkan_objects *o, const char *name)
{
    for (uint32_t i = 0; i < o->extension_count; i++)
        if (o->extensions[i] && !strcmp(o->extensions[i], name))
            return true;
    return false;
}

// Waits for what was submitted here: the caller's own work on the device is not ours to wait for.
void nvk_given_idle(struct nvk_device *d)
{
    for (struct nvk_call *call = d->orphans; call; call = call->next)
        d->api->WaitForFences(d->handle, 1, &call->fence, VK_TRUE, UINT64_MAX);
}

static norma_status check_wrap(const norma_device *device, VkBuffer handle, VkDeviceSize size)
{
    if (!device || device->backend != &norma_backend_vulkan || !((struct nvk_device *)device->impl)->given.device)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                          "device: not one of a context that was made on Vulkan objects of the caller's");
    if (!handle)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "buffer: VK_NULL_HANDLE");
    if (size < 4) // storage buffers are read by words
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "size: %llu bytes; a buffer has at least 4",
                          (unsigned long long)size);
    return NORMA_OK;
}

norma_status norma_vulkan_buffer_wrap(norma_device *device, VkBuffer handle, VkDeviceSize size, VkDeviceAddress address,
                                      norma_buffer **out)
{
    if (!out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "out: NULL");
    *out = NULL;
    const norma_status status = check_wrap(device, handle, size);
    if (status != NORMA_OK)
        return status;
    norma_buffer *buffer = norma_zalloc(device->allocator, 1, sizeof(*buffer));
    struct nvk_buffer *b = norma_zalloc(device->allocator, 1, sizeof(*b));
    if (!buffer || !b) {
        norma_free(buffer);
        norma_free(b);
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    }
    const uint64_t words = size & ~(uint64_t)3;
    *b = (struct nvk_buffer){.handle = handle, .size = words, .address = address, .borrowed = true};
    *buffer = (struct norma_buffer){.device = device, .size = words, .impl = b};
    *out = buffer;
    return NORMA_OK;
}

norma_status norma_vulkan_tensor_at(norma_buffer *const *buffers, size_t count, VkDeviceAddress address,
                                    norma_tensor *tensor)
{
    if (!tensor || (count && !buffers))
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", tensor ? "buffers" : "tensor");
    for (size_t i = 0; i < count; i++) {
        if (!buffers[i] || buffers[i]->device->backend != &norma_backend_vulkan)
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "buffers: number %zu is not a wrapped VkBuffer", i);
        const struct nvk_buffer *b = buffers[i]->impl;
        if (b->address && address >= b->address && address - b->address < b->size) {
            tensor->data = NULL;
            tensor->buffer = buffers[i];
            tensor->offset = address - b->address;
            return NORMA_OK;
        }
    }
    return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "address: 0x%llx lies in none of %zu buffers",
                      (unsigned long long)address, count);
}
