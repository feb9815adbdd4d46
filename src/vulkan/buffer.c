#include "nvk.h"

void nvk_buffer_release(struct nvk_device *d, struct nvk_buffer *b)
{
    if (!b)
        return;
    if (b->handle && !b->borrowed)
        d->api->DestroyBuffer(d->handle, b->handle, d->allocation);
    if (b->memory)
        d->api->FreeMemory(d->handle, b->memory, d->allocation);
    norma_free(b);
}

norma_status nvk_buffer_handle(struct nvk_device *d, struct nvk_buffer *b, const void *next)
{
    norma_status status = NORMA_OK;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .pNext = next,
                                     .size = b->size,
                                     .usage = NVK_BUFFER_USAGE,
                                     .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    NVK(d->api->CreateBuffer(d->handle, &info, d->allocation, &b->handle));
error:
    return status;
}

bool nvk_mappable(struct nvk_device *d, uint32_t type)
{
    VkPhysicalDeviceMemoryProperties memory;
    const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    d->api->GetPhysicalDeviceMemoryProperties(d->physical, &memory);
    return (memory.memoryTypes[type].propertyFlags & host) == host;
}

static norma_status create(struct norma_device *device, uint64_t size, uint32_t type, bool map,
                           struct norma_buffer *buffer)
{
    struct nvk_device *d = nvk_device_of(device);
    norma_status status = NORMA_OK;
    if (size > device->caps.max_alloc) // drivers do not check: lavapipe "allocates" three times its limit
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: %llu bytes are over its largest allocation, %llu", device->id,
                          (unsigned long long)size, (unsigned long long)device->caps.max_alloc);
    struct nvk_buffer *b = norma_zalloc(device->allocator, 1, sizeof(*b));
    if (!b)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    b->size = (size + 15) & ~(uint64_t)15; // whole words for 16-bit elements
    if ((status = nvk_buffer_handle(d, b, NULL)) != NORMA_OK)
        goto error;
    VkMemoryRequirements needs;
    d->api->GetBufferMemoryRequirements(d->handle, b->handle, &needs);
    if (!(needs.memoryTypeBits >> type & 1)) {
        status = norma_fail(NORMA_ERROR_DEVICE, "%s: no storage buffers in memory type %u", device->id, type);
        goto error;
    }
    const VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size, .memoryTypeIndex = type};
    NVK(d->api->AllocateMemory(d->handle, &info, d->allocation, &b->memory));
    NVK(d->api->BindBufferMemory(d->handle, b->handle, b->memory, 0));
    buffer->host = NULL;
    if (map && nvk_mappable(d, type))
        NVK(d->api->MapMemory(d->handle, b->memory, 0, VK_WHOLE_SIZE, 0, &buffer->host));
    buffer->device = device;
    buffer->size = size;
    buffer->impl = b;
    return NORMA_OK;
error:
    nvk_buffer_release(d, b);
    return status;
}

norma_status nvk_buffer_create(struct norma_device *device, uint64_t size, struct norma_buffer *buffer)
{
    const bool map = device->caps.kind != NORMA_DEVICE_DISCRETE;
    return create(device, size, nvk_device_of(device)->memory_type, map, buffer);
}

norma_status nvk_mapped_create(struct norma_device *device, uint64_t size, struct norma_buffer *buffer)
{
    return create(device, size, nvk_device_of(device)->staging_type, true, buffer);
}

norma_status nvk_staging(struct norma_device *device, uint64_t size)
{
    struct nvk_device *d = nvk_device_of(device);
    if (d->staging.impl && d->staging.size >= size)
        return NORMA_OK;
    nvk_buffer_finish(&d->staging);
    return create(device, size, d->staging_type, true, &d->staging);
}

static norma_status import_memory(struct norma_device *device, void *pages, uint64_t align, struct nvk_buffer *b)
{
    struct nvk_device *d = nvk_device_of(device);
    const VkExternalMemoryHandleTypeFlagBits handle = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
    const VkExternalMemoryBufferCreateInfo external = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
                                                       .handleTypes = handle};
    norma_status status = nvk_buffer_handle(d, b, &external);
    if (status != NORMA_OK)
        return status;
    VkMemoryRequirements needs;
    VkMemoryHostPointerPropertiesEXT types = {.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    d->api->GetBufferMemoryRequirements(d->handle, b->handle, &needs);
    NVK(d->api->GetMemoryHostPointerPropertiesEXT(d->handle, handle, pages, &types));
    uint32_t usable = types.memoryTypeBits & needs.memoryTypeBits, type = 0;
    for (uint32_t i = 0; i < VK_MAX_MEMORY_TYPES; i++) // nobody flushes it
        if (usable >> i & 1 && !nvk_mappable(d, i))
            usable &= ~((uint32_t)1 << i);
    if (!usable || needs.size > b->size || needs.alignment > align)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: cannot bind this host memory", device->id);
    while (!(usable >> type & 1))
        type++;
    if (usable >> d->staging_type & 1)
        type = d->staging_type;
    const VkImportMemoryHostPointerInfoEXT import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT, .handleType = handle, .pHostPointer = pages};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &import,
                                       .allocationSize = b->size,
                                       .memoryTypeIndex = type};
    NVK(d->api->AllocateMemory(d->handle, &info, d->allocation, &b->memory));
    NVK(d->api->BindBufferMemory(d->handle, b->handle, b->memory, 0));
error:
    return status;
}

norma_status nvk_buffer_import(struct norma_device *device, void *host, uint64_t size, struct norma_buffer *buffer)
{
    struct nvk_device *d = nvk_device_of(device);
    const uint64_t align = device->caps.import_align;
    if (!d->host_import || align == 0)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s does not bind host memory", device->id);
    const uint64_t shift = (uintptr_t)host % align;
    const uint64_t whole = (shift + size + align - 1) / align * align;
    // Bindings begin at multiples of offset_align from host; and what surrounds it may not be mapped beyond its pages.
    if (shift % device->caps.offset_align || (align > norma_page_size() && (shift || whole != size)))
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: host memory at a multiple of %u bytes alone can be bound",
                          device->id, device->caps.offset_align);
    if (whole > device->caps.max_alloc)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: %llu bytes are over its largest allocation", device->id,
                          (unsigned long long)size);
    struct nvk_buffer *b = norma_zalloc(device->allocator, 1, sizeof(*b));
    if (!b)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    b->size = whole;
    b->shift = shift;
    norma_status status = import_memory(device, (char *)host - shift, align, b);
    if (status != NORMA_OK) {
        nvk_buffer_release(d, b);
        // The driver may refuse memory for reasons of its own (read-only pages, files): the caller copies instead.
        return status == NORMA_ERROR_DEVICE ? NORMA_ERROR_UNSUPPORTED : status;
    }
    buffer->device = device;
    buffer->size = size;
    buffer->host = host;
    buffer->impl = b;
    return NORMA_OK;
}

void nvk_buffer_finish(struct norma_buffer *buffer)
{
    if (!buffer || !buffer->impl)
        return;
    nvk_buffer_release(nvk_device_of(buffer->device), buffer->impl);
    buffer->impl = NULL;
    buffer->host = NULL;
}
