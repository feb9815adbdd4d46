#include "nvk.h"
#include <assert.h>
#include <string.h>

enum { STAGING = 16 << 20 }; // bytes of one transfer through mapped memory

static struct nvk_buffer *handle_of(struct norma_buffer *buffer)
{
    return buffer->impl;
}

static void barrier(struct nvk_device *d, VkCommandBuffer command, VkPipelineStageFlags from, VkAccessFlags written,
                    VkPipelineStageFlags to, VkAccessFlags used)
{
    const VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = written, .dstAccessMask = used};
    d->api->CmdPipelineBarrier(command, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

#define DEVICE_STAGES (VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT)
#define DEVICE_WRITES (VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT)
#define DEVICE_USES (DEVICE_WRITES | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT)

static void device_barrier(struct nvk_device *d, struct nvk_call *call)
{
    barrier(d, call->command, DEVICE_STAGES, DEVICE_WRITES, DEVICE_STAGES, DEVICE_USES);
    call->range_count = 0;
}

// Behind everything that the queue did before.
static norma_status begin(struct nvk_device *d, struct nvk_call *call)
{
    norma_status status = NORMA_OK;
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    NVK(d->api->BeginCommandBuffer(call->command, &info));
    if (call->timed) {
        d->api->CmdResetQueryPool(call->command, call->queries, 0, 2);
        d->api->CmdWriteTimestamp(call->command, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, call->queries, 0);
    }
    device_barrier(d, call);
error:
    return status;
}

static norma_status end(struct nvk_device *d, struct nvk_call *call)
{
    norma_status status = NORMA_OK;
    barrier(d, call->command, DEVICE_STAGES, DEVICE_WRITES, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    if (call->timed)
        d->api->CmdWriteTimestamp(call->command, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, call->queries, 1);
    NVK(d->api->EndCommandBuffer(call->command));
    const VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &call->command};
    pthread_mutex_lock(&d->queue_lock);
    const VkResult result = d->api->QueueSubmit(d->queue, 1, &info, call->fence);
    pthread_mutex_unlock(&d->queue_lock);
    if (result != VK_SUCCESS)
        status = nvk_fail("api->QueueSubmit", result);
error:
    return status;
}

// The bytes that a dispatch binds. Slots without a tensor count too: the module may write them as far as Vulkan knows.
static uint32_t find_ranges(const struct norma_command *command, struct nvk_range ranges[NVK_STRIDED])
{
    const norma_dispatch *dispatch = command->dispatch;
    assert(dispatch->binding_count == (dispatch->table ? NVK_STRIDED : NVK_BINDINGS));
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        const struct nvk_buffer *b = handle_of(command->bound[i]);
        const uint64_t offset = b->shift + command->bound_offset[i];
        // Whole words: an odd number of 16-bit elements ends within one.
        uint64_t size = (dispatch->bindings[i].size + 3) & ~(uint64_t)3;
        assert(offset % 16 == 0 && offset < b->size);
        if (size > b->size - offset)
            size = b->size - offset;
        ranges[i] = (struct nvk_range){
            .buffer = b->handle, .begin = offset, .end = offset + size, .written = dispatch->bindings[i].written};
    }
    return dispatch->binding_count;
}

// Whether a range meets one that a dispatch behind the last barrier writes, or writes what one of them uses. Tiles of
// nested rows bind ranges that overlap although their elements do not; Vulkan knows ranges alone.
static bool meets(const struct nvk_call *call, const struct nvk_range ranges[NVK_STRIDED], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < call->range_count; k++) {
            const struct nvk_range *a = &ranges[i], *b = &call->ranges[k];
            if (a->buffer == b->buffer && a->begin < b->end && b->begin < a->end && (a->written || b->written))
                return true;
        }
    return false;
}

// A view of the range as texels of `bytes`; it lives as long as the call.
static norma_status view(struct nvk_device *d, struct nvk_call *call, const struct nvk_range *range, uint32_t bytes,
                         VkBufferView *out)
{
    norma_status status = NORMA_OK;
    const uint64_t size = (range->end - range->begin + 15) & ~(uint64_t)15; // buffers have whole texels
    const VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                         .buffer = range->buffer,
                                         .format = bytes == 16 ? VK_FORMAT_R32G32B32A32_UINT : VK_FORMAT_R32G32_UINT,
                                         .offset = range->begin,
                                         .range = size};
    NVK(d->api->CreateBufferView(d->handle, &info, NULL, out));
    call->views[call->view_count++] = *out;
error:
    return status;
}

static norma_status fill_texels(struct nvk_device *d, struct nvk_call *call, const norma_dispatch *dispatch,
                                const struct nvk_range ranges[NVK_BINDINGS], VkDescriptorSet set)
{
    VkBufferView views[NVK_TEXELS];
    VkWriteDescriptorSet writes[NVK_TEXELS];
    for (uint32_t i = 0; i < NVK_TEXELS; i++) {
        const uint32_t slot = nvk_texel_slots[i];
        assert(dispatch->bindings[slot].slot == slot);
        const norma_status status = view(d, call, &ranges[slot], nvk_texel_bytes(dispatch, slot), &views[i]);
        if (status != NORMA_OK)
            return status;
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = slot,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
                                           .pTexelBufferView = &views[i]};
    }
    d->api->UpdateDescriptorSets(d->handle, NVK_TEXELS, writes, 0, NULL);
    return NORMA_OK;
}

static void fill_buffers(struct nvk_device *d, const norma_dispatch *dispatch,
                         const struct nvk_range ranges[NVK_STRIDED], const struct nvk_range *table, VkDescriptorSet set)
{
    VkDescriptorBufferInfo buffers[NVK_STRIDED + 1];
    VkWriteDescriptorSet writes[NVK_STRIDED + 1];
    const uint32_t count = dispatch->binding_count + (table != NULL);
    for (uint32_t i = 0; i < count; i++) {
        const struct nvk_range *r = i < dispatch->binding_count ? &ranges[i] : table;
        buffers[i] = (VkDescriptorBufferInfo){.buffer = r->buffer, .offset = r->begin, .range = r->end - r->begin};
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = i < dispatch->binding_count ? dispatch->bindings[i].slot : i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &buffers[i]};
    }
    d->api->UpdateDescriptorSets(d->handle, count, writes, 0, NULL);
}

// Puts the dispatch's table into mapped memory of the call's, which has room for `most` of them.
static norma_status put_table(struct norma_device *device, struct nvk_call *call, const norma_dispatch *dispatch,
                              uint32_t most, struct nvk_range *range)
{
    const uint64_t size = (uint64_t)most * NVK_TABLE_BYTES;
    assert(dispatch->table_size <= NVK_TABLE_BYTES && NVK_TABLE_BYTES % device->caps.offset_align == 0);
    if (call->tables.impl && call->tables.size < size && call->table_count == 0)
        nvk_buffer_finish(&call->tables);
    if (!call->tables.impl) {
        const norma_status status = nvk_mapped_create(device, size, &call->tables);
        if (status != NORMA_OK)
            return status;
    }
    const uint64_t begin = (uint64_t)call->table_count++ * NVK_TABLE_BYTES;
    memcpy((char *)call->tables.host + begin, dispatch->table, dispatch->table_size);
    *range =
        (struct nvk_range){.buffer = handle_of(&call->tables)->handle, .begin = begin, .end = begin + NVK_TABLE_BYTES};
    return NORMA_OK;
}

static norma_status bind(struct nvk_device *d, struct nvk_call *call, const norma_dispatch *dispatch,
                         const struct nvk_range ranges[NVK_STRIDED], const struct nvk_range *table,
                         enum nvk_layout layout)
{
    norma_status status = NORMA_OK;
    VkDescriptorSet sets[2];
    const bool lean = layout == NVK_LAYOUT_LEAN;
    const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                              .descriptorPool = call->sets,
                                              .descriptorSetCount = lean ? 2 : 1,
                                              .pSetLayouts = d->set_layouts + (table ? NVK_LAYOUT_STRIDED : 0)};
    NVK(d->api->AllocateDescriptorSets(d->handle, &info, sets));
    fill_buffers(d, dispatch, ranges, table, sets[0]);
    if (lean && (status = fill_texels(d, call, dispatch, ranges, sets[1])) != NORMA_OK)
        return status;
    d->api->CmdBindDescriptorSets(call->command, VK_PIPELINE_BIND_POINT_COMPUTE, d->layouts[layout], 0,
                                  info.descriptorSetCount, sets, 0, NULL);
error:
    return status;
}

static norma_status record_dispatch(struct norma_device *device, struct nvk_call *call,
                                    const struct norma_command *command, uint32_t most)
{
    struct nvk_device *d = nvk_device_of(device);
    const norma_dispatch *dispatch = command->dispatch;
    struct nvk_range ranges[NVK_STRIDED], table;
    const struct nvk_pipeline *pipeline;
    const uint32_t count = find_ranges(command, ranges);
    norma_status status = nvk_pipeline(device, dispatch, &pipeline);
    if (status == NORMA_OK && dispatch->table)
        status = put_table(device, call, dispatch, most, &table);
    if (status == NORMA_OK)
        status = bind(d, call, dispatch, ranges, dispatch->table ? &table : NULL, pipeline->layout);
    if (status != NORMA_OK)
        return status;
    if (dispatch->barrier || call->range_count + count > NVK_MOST_RANGES || meets(call, ranges, count))
        device_barrier(d, call);
    memcpy(call->ranges + call->range_count, ranges, count * sizeof(ranges[0]));
    call->range_count += count;
    d->api->CmdBindPipeline(call->command, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
    if (!dispatch->table)
        d->api->CmdPushConstants(call->command, d->layouts[pipeline->layout], VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                 dispatch->args_size, dispatch->args);
    d->api->CmdDispatch(call->command, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
    return NORMA_OK;
}

static void record_copy(struct nvk_device *d, struct nvk_call *call, struct norma_buffer *from, uint64_t from_offset,
                        struct norma_buffer *to, uint64_t to_offset, uint64_t size)
{
    const VkBufferCopy region = {
        .srcOffset = handle_of(from)->shift + from_offset, .dstOffset = handle_of(to)->shift + to_offset, .size = size};
    d->api->CmdCopyBuffer(call->command, handle_of(from)->handle, handle_of(to)->handle, 1, &region);
}

static norma_status compute(struct norma_device *device, const struct norma_command *commands, size_t count,
                            bool timestamps, struct norma_event *event)
{
    struct nvk_device *d = nvk_device_of(device);
    struct nvk_call *call;
    norma_status status = nvk_call_take(device, (uint32_t)count, timestamps && device->caps.timestamps, &call);
    if (status != NORMA_OK)
        return status;
    status = begin(d, call);
    for (size_t i = 0; i < count && status == NORMA_OK; i++) {
        const struct norma_command *c = &commands[i];
        if (c->kind == NORMA_COMMAND_DISPATCH) {
            status = record_dispatch(device, call, c, (uint32_t)count);
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
    if (count == 0 || commands[0].kind == NORMA_COMMAND_DISPATCH || commands[0].kind == NORMA_COMMAND_COPY)
        return compute(device, commands, count, timestamps, event);
    for (size_t i = 0; i < wait_count && status == NORMA_OK; i++)
        status = nvk_event_wait(waits[i]);
    for (size_t i = 0; i < count && status == NORMA_OK; i++)
        status = transfer(device, &commands[i]);
    return status;
}
