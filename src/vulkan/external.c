// Memory that file descriptors name: VK_KHR_external_memory_fd, VK_EXT_external_memory_dma_buf.
#include "nvk.h"

static const struct {
    norma_handle_type type;
    VkExternalMemoryHandleTypeFlagBits bit;
} types[] = {{NORMA_HANDLE_OPAQUE_FD, VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT},
             {NORMA_HANDLE_DMA_BUF, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT}};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static VkExternalMemoryHandleTypeFlagBits bit_of(norma_handle_type type)
{
    return types[type == NORMA_HANDLE_OPAQUE_FD ? 0 : 1].bit;
}

const char *nvk_handle_extension(norma_handle_type type)
{
    return type == NORMA_HANDLE_OPAQUE_FD ? VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME
                                          : VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME;
}

void nvk_external_caps(struct nvk_device *d, struct norma_caps *caps)
{
    const bool there[TYPES] = {d->memory_fd, d->memory_fd && d->dma_buf};
    caps->exports = caps->imports = d->dedicated_only = 0;
    for (int i = 0; i < TYPES; i++) {
        const VkPhysicalDeviceExternalBufferInfo info = {.sType =
                                                             VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
                                                         .usage = NVK_BUFFER_USAGE,
                                                         .handleType = types[i].bit};
        VkExternalBufferProperties properties = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES};
        if (!there[i])
            continue;
        d->api->GetPhysicalDeviceExternalBufferProperties(d->physical, &info, &properties);
        const VkExternalMemoryFeatureFlags can = properties.externalMemoryProperties.externalMemoryFeatures;
        caps->exports |= can & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT ? (uint32_t)types[i].type : 0;
        caps->imports |= can & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT ? (uint32_t)types[i].type : 0;
        d->dedicated_only |= can & VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT ? (uint32_t)types[i].type : 0;
    }
}

// A handle for `size` bytes that such memory can be bound to; and what that memory must be.
static norma_status begin(struct norma_device *device, uint64_t size, norma_handle_type type, struct nvk_buffer **out,
                          VkMemoryRequirements *needs)
{
    struct nvk_device *d = nvk_device_of(device);
    const VkExternalMemoryBufferCreateInfo external = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
                                                       .handleTypes = bit_of(type)};
    VkMemoryDedicatedRequirements dedicated = {.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS};
    VkMemoryRequirements2 requirements = {.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2, .pNext = &dedicated};
    struct nvk_buffer *b = norma_zalloc(device->allocator, 1, sizeof(*b));
    if (!b)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    b->size = (size + 15) & ~(uint64_t)15; // whole words for 16-bit elements
    const norma_status status = nvk_buffer_handle(d, b, &external);
    if (status != NORMA_OK) {
        nvk_buffer_release(d, b);
        return status;
    }
    const VkBufferMemoryRequirementsInfo2 info = {.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2,
                                                  .buffer = b->handle};
    d->api->GetBufferMemoryRequirements2(d->handle, &info, &requirements);
    b->dedicated = dedicated.requiresDedicatedAllocation || (d->dedicated_only & (uint32_t)type);
    *needs = requirements.memoryRequirements;
    *out = b;
    return NORMA_OK;
}

// The type of Norma's own buffers where it will do, else the first; false where none is left.
static bool choose_type(const struct nvk_device *d, uint32_t usable, uint32_t *type)
{
    *type = d->memory_type;
    if (usable >> *type & 1)
        return true;
    for (*type = 0; *type < VK_MAX_MEMORY_TYPES; ++*type)
        if (usable >> *type & 1)
            return true;
    return false;
}

static norma_status allocate(struct nvk_device *d, struct nvk_buffer *b, const void *next, uint64_t size, uint32_t type)
{
    const VkMemoryDedicatedAllocateInfo dedicated = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO, .pNext = next, .buffer = b->handle};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = b->dedicated ? &dedicated : next,
                                       .allocationSize = size,
                                       .memoryTypeIndex = type};
    const VkResult result = d->api->AllocateMemory(d->handle, &info, d->allocation, &b->memory);
    if (result == VK_ERROR_INVALID_EXTERNAL_HANDLE)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "fd: names no memory of that type and size");
    if (result != VK_SUCCESS)
        return nvk_fail("api->AllocateMemory", result);
    b->allocation = size;
    b->type = type;
    return NORMA_OK;
}

static norma_status finish(struct norma_device *device, struct nvk_buffer *b, uint64_t size,
                           struct norma_buffer *buffer)
{
    struct nvk_device *d = nvk_device_of(device);
    norma_status status = NORMA_OK;
    void *host = NULL;
    NVK(d->api->BindBufferMemory(d->handle, b->handle, b->memory, 0));
    if (device->caps.kind != NORMA_DEVICE_DISCRETE && nvk_mappable(d, b->type)) {
        const VkResult result = d->api->MapMemory(d->handle, b->memory, 0, VK_WHOLE_SIZE, 0, &host);
        if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
            status = nvk_fail("api->MapMemory", result);
        else if (result != VK_SUCCESS) // memory that a driver does not map is read and written by copies
            host = NULL;
    }
    *buffer = (struct norma_buffer){.device = device, .size = size, .host = host, .impl = b};
error:
    return status;
}

norma_status nvk_buffer_create_shared(struct norma_device *device, uint64_t size, norma_handle_type type,
                                      struct norma_buffer *buffer)
{
    struct nvk_device *d = nvk_device_of(device);
    const VkExportMemoryAllocateInfo export = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
                                               .handleTypes = bit_of(type)};
    struct nvk_buffer *b;
    VkMemoryRequirements needs;
    uint32_t index;
    norma_status status = begin(device, size, type, &b, &needs);
    if (status != NORMA_OK)
        return status;
    b->foreign = type == NORMA_HANDLE_DMA_BUF && d->queue_foreign;
    if (!choose_type(d, needs.memoryTypeBits, &index))
        status = norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: no memory type for shared buffers", device->id);
    if (status == NORMA_OK)
        status = allocate(d, b, &export, needs.size, index);
    if (status == NORMA_OK)
        status = finish(device, b, size, buffer);
    if (status != NORMA_OK)
        nvk_buffer_release(d, b);
    return status;
}

norma_status nvk_buffer_share(struct norma_buffer *buffer, norma_memory_handle *handle)
{
    struct nvk_device *d = nvk_device_of(buffer->device);
    const struct nvk_buffer *b = nvk_buffer_of(buffer);
    norma_status status = NORMA_OK;
    const VkMemoryGetFdInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR, .memory = b->memory, .handleType = bit_of(handle->type)};
    int fd = -1;
    NVK(d->api->GetMemoryFdKHR(d->handle, &info, &fd));
    handle->fd = fd;
    handle->allocation = b->allocation;
    handle->memory_types = (uint32_t)1 << b->type;
    handle->dedicated = b->dedicated;
error:
    return status;
}

// The memory types that the buffer, the handle and, for a dma_buf, the driver agree on.
static norma_status usable_types(struct nvk_device *d, const norma_memory_handle *handle, int fd, uint32_t *usable)
{
    if (handle->type == NORMA_HANDLE_DMA_BUF) { // of an opaque descriptor the driver must not be asked
        VkMemoryFdPropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR};
        const VkResult result = d->api->GetMemoryFdPropertiesKHR(d->handle, bit_of(handle->type), fd, &properties);
        if (result == VK_ERROR_INVALID_EXTERNAL_HANDLE)
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "fd: names no memory of that type");
        if (result != VK_SUCCESS)
            return nvk_fail("api->GetMemoryFdPropertiesKHR", result);
        *usable &= properties.memoryTypeBits;
    }
    if (handle->memory_types)
        *usable &= handle->memory_types;
    return NORMA_OK;
}

// The driver owns fd where b->memory is made.
static norma_status import(struct norma_device *device, const norma_memory_handle *handle, int fd,
                           const VkMemoryRequirements *needs, struct nvk_buffer *b)
{
    struct nvk_device *d = nvk_device_of(device);
    const VkImportMemoryFdInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR, .handleType = bit_of(handle->type), .fd = fd};
    const uint64_t size = handle->allocation ? handle->allocation : needs->size;
    uint32_t type, usable = needs->memoryTypeBits;
    const norma_status status = usable_types(d, handle, fd, &usable);
    if (status != NORMA_OK)
        return status;
    if (size < needs->size)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                          "allocation: %llu bytes; a buffer of %llu takes %llu on this device",
                          (unsigned long long)size, (unsigned long long)handle->bytes, (unsigned long long)needs->size);
    if (!choose_type(d, usable, &type))
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "memory_types: none of 0x%x is one for buffers of %s",
                          (unsigned)handle->memory_types, device->id);
    return allocate(d, b, &info, size, type);
}

norma_status nvk_buffer_take(struct norma_device *device, const norma_memory_handle *handle,
                             struct norma_buffer *buffer)
{
    struct nvk_device *d = nvk_device_of(device);
    struct nvk_buffer *b;
    VkMemoryRequirements needs;
    bool open;
    norma_status status = begin(device, handle->bytes, handle->type, &b, &needs);
    if (status != NORMA_OK)
        return status;
    if ((d->dedicated_only & (uint32_t)handle->type) && !handle->dedicated) {
        nvk_buffer_release(d, b);
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                          "dedicated: 0; %s takes in memory of that type that is one buffer's alone", device->id);
    }
    b->dedicated = handle->dedicated != 0; // the exporter's word: it must be as there
    b->foreign = handle->type == NORMA_HANDLE_DMA_BUF && d->queue_foreign;
    const int fd = norma_fd_copy(handle->fd, &open);
    if (fd < 0)
        status = open ? norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "fd: no descriptor is left for a copy")
                      : norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "fd: %d is not open", (int)handle->fd);
    else
        status = import(device, handle, fd, &needs, b);
    if (fd >= 0 && !b->memory)
        norma_fd_drop(fd, handle->fd);
    if (status == NORMA_OK)
        status = finish(device, b, handle->bytes, buffer);
    if (status != NORMA_OK)
        nvk_buffer_release(d, b);
    return status;
}

void nvk_record_turn(struct nvk_device *d, struct nvk_tape *tape, const struct norma_command *command,
                     VkPipelineStageFlags stages, VkAccessFlags used)
{
    const struct nvk_buffer *b = nvk_buffer_of(command->buffer);
    const bool acquire = command->kind == NORMA_COMMAND_ACQUIRE;
    const uint32_t others = b->foreign ? VK_QUEUE_FAMILY_FOREIGN_EXT : VK_QUEUE_FAMILY_EXTERNAL;
    const VkBufferMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
                                           .srcAccessMask = acquire ? 0 : used,
                                           .dstAccessMask = acquire ? used : 0,
                                           .srcQueueFamilyIndex = acquire ? others : d->family,
                                           .dstQueueFamilyIndex = acquire ? d->family : others,
                                           .buffer = b->handle,
                                           .size = VK_WHOLE_SIZE};
    d->api->CmdPipelineBarrier(tape->command, acquire ? VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT : stages,
                               acquire ? stages : VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 1, &barrier, 0,
                               NULL);
}
