// Memory that others have too (norma/external.h): what all backends have in common.
#include "buffer.h"
#include "context.h"
#include "sized.h"
#include "try.h"
#include <string.h>

static const struct {
    norma_handle_type type;
    const char *name;
} types[] = {{NORMA_HANDLE_OPAQUE_FD, "NORMA_HANDLE_OPAQUE_FD"}, {NORMA_HANDLE_DMA_BUF, "NORMA_HANDLE_DMA_BUF"}};

static const char *type_name(norma_handle_type type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].type == type)
            return types[i].name;
    return NULL;
}

// `there`: the device's types. The refusal says what the driver lacks.
static norma_status check_type(const norma_device *device, norma_handle_type type, uint32_t there, const char *does)
{
    const char *name = type_name(type);
    if (!name)
        return BAD("type: %d is no norma_handle_type", (int)type);
    if (there & (uint32_t)type)
        return NORMA_OK;
    const char *extension = device->backend->handle_extension ? device->backend->handle_extension(type) : NULL;
    if (!extension)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "type: %s does not %s %s: %s memory has no handles", device->id,
                          does, name, device->backend->name);
    return norma_fail(NORMA_ERROR_UNSUPPORTED, "type: %s does not %s %s: it lacks %s, or that on buffers", device->id,
                      does, name, extension);
}

static norma_status check_new(norma_device *device, const void *memory, const char *name, norma_buffer **out)
{
    if (!out)
        return BAD("buffer: NULL");
    *out = NULL;
    if (!device)
        return BAD("device: NULL");
    if (!memory)
        return BAD("%s: NULL", name);
    return norma_device_ready(device);
}

norma_status norma_buffer_from_host(norma_device *device, void *host, uint64_t size, norma_buffer **out)
{
    TRY(check_new(device, host, "host", out));
    TRY(norma_buffer_check_size(device, "size", size));
    if ((uintptr_t)host % NORMA_HOST_ALIGN)
        return BAD("host: %p is no multiple of %d bytes", host, NORMA_HOST_ALIGN);
    if (size > UINTPTR_MAX - (uintptr_t)host)
        return BAD("size: %llu bytes reach past the end of memory", (unsigned long long)size);
    norma_buffer *buffer = norma_buffer_new(device, size);
    if (!buffer)
        return NORMA_ERROR_OUT_OF_MEMORY;
    const uint64_t align = device->caps.import_align;
    // Whole blocks alone: what lies beside the caller's bytes may be another buffer's, which must not overlap.
    const bool may = align && (uintptr_t)host % align == 0 && (align <= NORMA_HOST_ALIGN || size % align == 0);
    norma_status status =
        may ? device->backend->buffer_import(device, host, size, buffer) : (norma_status)NORMA_ERROR_UNSUPPORTED;
    // The memory is the caller's, so what there is not enough of is the driver's to take it in: a copy may do.
    if (status == NORMA_ERROR_UNSUPPORTED || status == NORMA_ERROR_OUT_OF_MEMORY)
        status = device->backend->buffer_create(device, size, buffer);
    buffer->mirror = host;
    return norma_buffer_hand_out(status, buffer, out);
}

norma_status norma_buffer_create_shared(norma_device *device, uint64_t size, norma_handle_type type, norma_buffer **out)
{
    TRY(check_new(device, device, "device", out));
    if (device->backend->handle_extension && !device->backend->buffer_create_shared)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "type: %s takes memory in and hands out none",
                          device->backend->name);
    TRY(check_type(device, type, device->caps.exports, "export"));
    TRY(norma_buffer_check_size(device, "size", size));
    norma_buffer *buffer = norma_buffer_new(device, size);
    if (!buffer)
        return NORMA_ERROR_OUT_OF_MEMORY;
    const norma_status status = device->backend->buffer_create_shared(device, size, type, buffer);
    buffer->shared = (uint32_t)type;
    return norma_buffer_hand_out(status, buffer, out);
}

norma_status norma_buffer_export(norma_buffer *buffer, norma_memory_handle *out)
{
    if (!buffer || !out)
        return BAD("%s: NULL", buffer ? "handle" : "buffer");
    TRY(NORMA_WRITE(out, NULL, norma_memory_handle));
    norma_device *device = buffer->device;
    TRY(norma_device_ready(device));
    if (!buffer->shared || buffer->imported)
        return BAD("buffer: was not made by norma_buffer_create_shared");
    norma_memory_handle handle = {.size = sizeof(handle),
                                  .type = (norma_handle_type)buffer->shared,
                                  .fd = -1,
                                  .bytes = buffer->size,
                                  .same_device = buffer->shared == NORMA_HANDLE_OPAQUE_FD,
                                  .has_luid = device->caps.has_luid};
    memcpy(handle.device_uuid, device->uuid, sizeof(handle.device_uuid));
    memcpy(handle.driver_uuid, device->caps.driver_uuid, sizeof(handle.driver_uuid));
    memcpy(handle.luid, device->caps.luid, sizeof(handle.luid));
    const norma_status status = device->backend->buffer_share(buffer, &handle);
    norma_device_failed(device, status);
    if (status == NORMA_OK) {
        norma_fd_own(handle.fd);
        return NORMA_WRITE(out, &handle, norma_memory_handle);
    }
    return status;
}

static norma_status check_identity(const norma_device *device, const norma_memory_handle *handle)
{
    const struct norma_caps *caps = &device->caps;
    const char *other = NULL;
    if (memcmp(handle->device_uuid, device->uuid, sizeof(handle->device_uuid)) != 0)
        other = "device_uuid";
    else if (memcmp(handle->driver_uuid, caps->driver_uuid, sizeof(handle->driver_uuid)) != 0)
        other = "driver_uuid";
    else if (handle->has_luid && caps->has_luid && memcmp(handle->luid, caps->luid, sizeof(handle->luid)) != 0)
        other = "luid";
    if (handle->same_device && other)
        return BAD("%s: the memory is of another device or driver than %s", other, device->id);
    return NORMA_OK;
}

norma_status norma_buffer_import(norma_device *device, const norma_memory_handle *given, norma_buffer **out)
{
    norma_memory_handle of_now;
    const norma_memory_handle *handle = &of_now;
    TRY(check_new(device, given, "handle", out));
    TRY(NORMA_READ(&of_now, given, norma_memory_handle));
    TRY(check_type(device, handle->type, device->caps.imports, "import"));
    TRY(norma_buffer_check_size(device, "bytes", handle->bytes));
    if (handle->allocation)
        TRY(norma_buffer_check_size(device, "allocation", handle->allocation));
    if (handle->allocation && handle->allocation < handle->bytes)
        return BAD("allocation: %llu bytes are less than the buffer's %llu", (unsigned long long)handle->allocation,
                   (unsigned long long)handle->bytes);
    TRY(check_identity(device, handle));
    if (handle->fd < 0)
        return BAD("fd: %d is no file descriptor", (int)handle->fd);
    norma_buffer *buffer = norma_buffer_new(device, handle->bytes);
    if (!buffer)
        return NORMA_ERROR_OUT_OF_MEMORY;
    const norma_status status = device->backend->buffer_take(device, handle, buffer);
    if (status == NORMA_OK)
        norma_fd_close(handle->fd); // the driver has its copy
    buffer->shared = (uint32_t)handle->type;
    buffer->imported = true;
    return norma_buffer_hand_out(status, buffer, out);
}

// Host memory changes hands by a transfer from or to itself, which copies where the device has memory of its own and is
// the driver's own rule where it has not (clEnqueueWriteBuffer and clEnqueueReadBuffer, of CL_MEM_USE_HOST_PTR).
static norma_status turn(norma_buffer *buffer, bool acquire)
{
    if (!buffer)
        return BAD("buffer: NULL");
    if (buffer->mirror)
        return acquire ? norma_buffer_write(buffer, 0, buffer->mirror, buffer->size)
                       : norma_buffer_read(buffer, 0, buffer->mirror, buffer->size);
    norma_device *device = buffer->device;
    TRY(norma_device_ready(device));
    const struct norma_command command = {.kind = acquire ? NORMA_COMMAND_ACQUIRE : NORMA_COMMAND_RELEASE,
                                          .buffer = buffer};
    struct norma_event done = {.device = device};
    norma_status status = device->backend->submit(device, &command, buffer->shared ? 1 : 0, NULL, 0, false, &done);
    if (status == NORMA_OK) {
        status = device->backend->event_wait(&done);
        device->backend->event_finish(&done);
    }
    norma_device_failed(device, status);
    return status;
}

norma_status norma_buffer_acquire(norma_buffer *buffer)
{
    return turn(buffer, true);
}

norma_status norma_buffer_release(norma_buffer *buffer)
{
    return turn(buffer, false);
}

norma_status norma_buffer_get_info(const norma_buffer *buffer, norma_buffer_info *info)
{
    if (!buffer || !info)
        return BAD("%s: NULL", buffer ? "info" : "buffer");
    const norma_buffer_info all = {.device = buffer->device,
                                   .bytes = buffer->size,
                                   .host = buffer->mirror,
                                   .zero_copy = buffer->mirror && buffer->host == buffer->mirror,
                                   .imported = buffer->imported,
                                   .shared = buffer->shared};
    return NORMA_WRITE(info, &all, norma_buffer_info);
}
