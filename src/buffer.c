#include "buffer.h"
#include "context.h"

norma_status norma_buffer_check_size(const norma_device *device, const char *name, uint64_t size)
{
    if (size == 0)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: 0; a buffer has at least one byte", name);
    if (size > device->caps.max_alloc) // drivers do not enforce their own limits
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: %llu bytes, the driver's largest allocation is %llu", name,
                          (unsigned long long)size, (unsigned long long)device->caps.max_alloc);
    return NORMA_OK;
}

norma_buffer *norma_buffer_new(norma_device *device, uint64_t size)
{
    norma_buffer *buffer = norma_zalloc(device->allocator, 1, sizeof(*buffer));
    if (buffer)
        *buffer = (norma_buffer){.device = device, .size = size};
    else
        norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "buffer: out of memory");
    return buffer;
}

norma_status norma_buffer_hand_out(norma_status status, norma_buffer *buffer, norma_buffer **out)
{
    if (status == NORMA_OK) {
        *out = buffer;
    } else {
        norma_device_failed(buffer->device, status);
        norma_free(buffer);
    }
    return status;
}

norma_status norma_buffer_create(norma_device *device, uint64_t size, norma_buffer **out)
{
    if (!device || !out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", device ? "buffer" : "device");
    *out = NULL;
    norma_status status = size ? norma_device_ready(device) : NORMA_OK; // no bytes are refused of any device
    if (status == NORMA_OK)
        status = norma_buffer_check_size(device, "size", size);
    if (status != NORMA_OK)
        return status;
    norma_buffer *buffer = norma_buffer_new(device, size);
    if (!buffer)
        return NORMA_ERROR_OUT_OF_MEMORY;
    return norma_buffer_hand_out(device->backend->buffer_create(device, size, buffer), buffer, out);
}

void norma_buffer_destroy(norma_buffer **buffer)
{
    if (!buffer || !*buffer)
        return;
    (*buffer)->device->backend->buffer_finish(*buffer);
    norma_free(*buffer);
    *buffer = NULL;
}

// Transfers run on streams of their own, so what was computed before is waited for through an empty compute submission.
static norma_status transfer(norma_buffer *buffer, enum norma_command_kind kind, uint64_t offset, void *data,
                             uint64_t size)
{
    if (!buffer || !data)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", buffer ? "data" : "buffer");
    if (offset > buffer->size || size > buffer->size - offset)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "offset: %llu + %llu bytes reach past the buffer's %llu",
                          (unsigned long long)offset, (unsigned long long)size, (unsigned long long)buffer->size);
    struct norma_device *device = buffer->device;
    norma_status status = norma_device_ready(device);
    if (status != NORMA_OK || size == 0)
        return status;
    const struct norma_backend *be = device->backend;
    const struct norma_command command = {.kind = kind,
                                          .buffer = buffer,
                                          .offset = offset,
                                          .host = data,
                                          .host_pitch = size,
                                          .row_bytes = size,
                                          .rows = 1};
    struct norma_event before = {.device = device}, done = {.device = device};
    struct norma_event *waits[] = {&before};
    status = be->submit(device, NULL, 0, NULL, 0, false, &before);
    if (status == NORMA_OK) {
        status = be->submit(device, &command, 1, waits, 1, false, &done);
        if (status == NORMA_OK) {
            status = be->event_wait(&done);
            be->event_finish(&done);
        }
        be->event_finish(&before);
    }
    norma_device_failed(device, status);
    return status;
}

norma_status norma_buffer_write(norma_buffer *buffer, uint64_t offset, const void *data, uint64_t size)
{
    return transfer(buffer, NORMA_COMMAND_WRITE, offset, (void *)(uintptr_t)data, size);
}

norma_status norma_buffer_read(norma_buffer *buffer, uint64_t offset, void *data, uint64_t size)
{
    return transfer(buffer, NORMA_COMMAND_READ, offset, data, size);
}
