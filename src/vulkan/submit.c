#include "nvk.h"
#include <assert.h>
#include <string.h>

enum { STAGING = 16 << 20 }; // bytes of one transfer through mapped memory

#define DEVICE_STAGES (VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT)
#define DEVICE_WRITES (VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT)
#define DEVICE_USES (DEVICE_WRITES | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT)

static void device_barrier(struct nvk_device *d, struct nvk_call *call)
{
    nvk_record_barrier(d, &call->tape, DEVICE_STAGES, DEVICE_WRITES, DEVICE_USES);
}

// Behind everything that the queue did before.
static norma_status begin(struct nvk_device *d, struct nvk_call *call)
{
    norma_status status = NORMA_OK;
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    NVK(d->api->BeginCommandBuffer(call->tape.command, &info));
    if (call->timed) {
        d->api->CmdResetQueryPool(call->tape.command, call->queries, 0, 2);
        d->api->CmdWriteTimestamp(call->tape.command, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, call->queries, 0);
    }
    device_barrier(d, call);
error:
    return status;
}

static norma_status end(struct nvk_device *d, struct nvk_call *call)
{
    norma_status status = NORMA_OK;
    const VkMemoryBarrier host = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                  .srcAccessMask = DEVICE_WRITES,
                                  .dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_SHADER_READ_BIT};
    // Shaders too: a caller's command buffer may read what was uploaded here.
    d->api->CmdPipelineBarrier(call->tape.command, DEVICE_STAGES,
                               VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &host, 0, NULL,
                               0, NULL);
    if (call->timed)
        d->api->CmdWriteTimestamp(call->tape.command, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, call->queries, 1);
    NVK(d->api->EndCommandBuffer(call->tape.command));
    const VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &call->tape.command};
    // The caller's lock first: it may be held by one who then destroys an event of ours.
    if (d->given.lock_queue)
        d->given.lock_queue(d->given.user);
    pthread_mutex_lock(&d->queue_lock);
    const VkResult result = d->api->QueueSubmit(d->queue, 1, &info, call->fence);
    pthread_mutex_unlock(&d->queue_lock);
    if (d->given.unlock_queue)
        d->given.unlock_queue(d->given.user);
    if (result != VK_SUCCESS)
        status = nvk_fail("api->QueueSubmit", result);
error:
    return status;
}

static void record_copy(struct nvk_device *d, struct nvk_call *call, struct norma_buffer *from, uint64_t from_offset,
                        struct norma_buffer *to, uint64_t to_offset, uint64_t size)
{
    const VkBufferCopy region = {.srcOffset = nvk_buffer_of(from)->shift + from_offset,
                                 .dstOffset = nvk_buffer_of(to)->shift + to_offset,
                                 .size = size};
    d->api->CmdCopyBuffer(call->tape.command, nvk_buffer_of(from)->handle, nvk_buffer_of(to)->handle, 1, &region);
}

static norma_status compute(struct norma_device *device, const struct norma_command *commands, size_t count,
                            bool timestamps, struct norma_event *event)
{
    struct nvk_device *d = nvk_device_of(device);
    struct nvk_call *call;
    if (!d->queue)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: its Vulkan objects came without a queue; it records alone",
                          device->id);
    norma_status status = nvk_call_take(device, (uint32_t)count, timestamps && device->caps.timestamps, &call);
    if (status != NORMA_OK)
        return status;
    status = begin(d, call);
    for (size_t i = 0; i < count && status == NORMA_OK; i++) {
        const struct norma_command *c = &commands[i];
        if (c->kind == NORMA_COMMAND_DISPATCH) {
            const struct nvk_pipeline *pipeline;
            status = nvk_pipeline(device, c->dispatch, &pipeline);
            if (status == NORMA_OK)
                status = nvk_record_dispatch(device, &call->tape, c, pipeline);
        } else if (c->kind == NORMA_COMMAND_ACQUIRE || c->kind == NORMA_COMMAND_RELEASE) {
            nvk_record_turn(d, &call->tape, c, DEVICE_STAGES, DEVICE_USES);
        } else {
            assert(c->kind == NORMA_COMMAND_COPY);
            if (i > 0)
                device_barrier(d, call);
            record_copy(d, call, c->buffer, c->offset, c->other, c->other_offset, c->row_bytes);
        }
    }
    if (status == NORMA_OK)
        status = end(d, call);
    if (status != NORMA_OK) {
        nvk_call_drop(d, call);
        return status;
    }
    event->device = device;
    event->impl = call;
    return NORMA_OK;
}

// Between the caller's rows and dense memory of ours.
static void copy_rows(const struct norma_command *c, char *mapped, uint64_t first, uint64_t rows)
{
    char *host = (char *)c->host + first * c->host_pitch;
    const bool write = c->kind == NORMA_COMMAND_WRITE;
    if (host == mapped) // the caller's memory and the device's are one
        return;
    if (c->host_pitch == c->row_bytes) {
        memcpy(write ? mapped : host, write ? host : mapped, rows * c->row_bytes);
        return;
    }
    for (uint64_t r = 0; r < rows; r++, host += c->host_pitch, mapped += c->row_bytes)
        memcpy(write ? mapped : host, write ? host : mapped, c->row_bytes);
}

static norma_status copy_and_wait(struct norma_device *device, struct norma_buffer *from, uint64_t from_offset,
                                  struct norma_buffer *to, uint64_t to_offset, uint64_t size)
{
    const struct norma_command command = {.kind = NORMA_COMMAND_COPY,
                                          .buffer = from,
                                          .offset = from_offset,
                                          .other = to,
                                          .other_offset = to_offset,
                                          .row_bytes = size};
    struct norma_event event = {.device = device};
    norma_status status = compute(device, &command, 1, false, &event);
    if (status == NORMA_OK)
        status = nvk_event_wait(&event);
    nvk_event_finish(&event);
    return status;
}

// Pieces of rows [first, first + rows) of a buffer that the host cannot map; staging_lock is held.
static norma_status stage(struct norma_device *device, const struct norma_command *c)
{
    struct nvk_device *d = nvk_device_of(device);
    struct norma_command piece = *c;
    // Rows longer than the staging memory are cut; many short ones go together.
    const uint64_t most = STAGING;
    for (uint64_t row = 0; row < c->rows;) {
        uint64_t rows = c->row_bytes ? most / c->row_bytes : c->rows;
        rows = rows == 0 ? 1 : rows > c->rows - row ? c->rows - row : rows;
        for (uint64_t at = 0; at < c->row_bytes; at += most) {
            piece.row_bytes = c->row_bytes - at > most ? most : c->row_bytes - at;
            piece.host = (char *)c->host + at;
            const uint64_t size = rows * piece.row_bytes, offset = c->offset + row * c->row_bytes + at;
            norma_status status = nvk_staging(device, size < most ? most : size);
            if (status != NORMA_OK)
                return status;
            if (c->kind == NORMA_COMMAND_WRITE) {
                copy_rows(&piece, d->staging.host, row, rows);
                status = copy_and_wait(device, &d->staging, 0, c->buffer, offset, size);
            } else {
                status = copy_and_wait(device, c->buffer, offset, &d->staging, 0, size);
                if (status == NORMA_OK)
                    copy_rows(&piece, d->staging.host, row, rows);
            }
            if (status != NORMA_OK)
                return status;
        }
        row += rows;
    }
    return NORMA_OK;
}

static norma_status transfer(struct norma_device *device, const struct norma_command *c)
{
    struct nvk_device *d = nvk_device_of(device);
    if (c->buffer->host) {
        copy_rows(c, (char *)c->buffer->host + c->offset, 0, c->rows);
        return NORMA_OK;
    }
    pthread_mutex_lock(&d->staging_lock);
    const norma_status status = stage(device, c);
    pthread_mutex_unlock(&d->staging_lock);
    return status;
}

// Transfers happen on the host, in this call. Compute submissions follow one another on the one queue, behind whatever
// the host has done by then, so they have nothing to wait for.
norma_status nvk_submit(struct norma_device *device, const struct norma_command *commands, size_t count,
                        struct norma_event *const *waits, size_t wait_count, bool timestamps, struct norma_event *event)
{
    norma_status status = NORMA_OK;
    event->device = device;
    event->impl = NULL;
    if (count == 0 || (commands[0].kind != NORMA_COMMAND_WRITE && commands[0].kind != NORMA_COMMAND_READ))
        return compute(device, commands, count, timestamps, event);
    for (size_t i = 0; i < wait_count && status == NORMA_OK; i++)
        status = nvk_event_wait(waits[i]);
    for (size_t i = 0; i < count && status == NORMA_OK; i++)
        status = transfer(device, &commands[i]);
    return status;
}
