// What a command buffer is recorded with, whoever it belongs to.
#include "../strided_table.h"
#include "nvk.h"
#include <assert.h>
#include <string.h>

void nvk_record_barrier(struct nvk_device *d, struct nvk_tape *tape, VkPipelineStageFlags stages, VkAccessFlags written,
                        VkAccessFlags used)
{
    const VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = written, .dstAccessMask = used};
    d->api->CmdPipelineBarrier(tape->command, stages, stages, 0, 1, &memory, 0, NULL, 0, NULL);
    tape->range_count = 0;
}

// The bytes that a dispatch binds. Slots without a tensor count too: the module may write them as far as Vulkan knows.
static uint32_t find_ranges(const struct norma_command *command, struct nvk_range ranges[NVK_STRIDED])
{
    const norma_dispatch *dispatch = command->dispatch;
    assert(dispatch->binding_count == (dispatch->table ? NVK_STRIDED : NVK_BINDINGS));
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        const struct nvk_buffer *b = nvk_buffer_of(command->bound[i]);
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
static bool meets(const struct nvk_tape *tape, const struct nvk_range ranges[NVK_STRIDED], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < tape->range_count; k++) {
            const struct nvk_range *a = &ranges[i], *b = &tape->ranges[k];
            if (a->buffer == b->buffer && a->begin < b->end && b->begin < a->end && (a->written || b->written))
                return true;
        }
    return false;
}

// A view of the range as texels of `bytes`; it lives as long as the tape's recording.
static norma_status view(struct nvk_device *d, struct nvk_tape *tape, const struct nvk_range *range, uint32_t bytes,
                         VkBufferView *out)
{
    norma_status status = NORMA_OK;
    const uint64_t size = (range->end - range->begin + 15) & ~(uint64_t)15; // buffers have whole texels
    const VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                         .buffer = range->buffer,
                                         .format = bytes == 16 ? VK_FORMAT_R32G32B32A32_UINT : VK_FORMAT_R32G32_UINT,
                                         .offset = range->begin,
                                         .range = size};
    NVK(d->api->CreateBufferView(d->handle, &info, d->allocation, out));
    tape->views[tape->view_count++] = *out;
error:
    return status;
}

static norma_status fill_texels(struct nvk_device *d, struct nvk_tape *tape, const norma_dispatch *dispatch,
                                const struct nvk_range ranges[NVK_BINDINGS], VkDescriptorSet set)
{
    VkBufferView views[NVK_TEXELS];
    VkWriteDescriptorSet writes[NVK_TEXELS];
    for (uint32_t i = 0; i < NVK_TEXELS; i++) {
        const uint32_t slot = nvk_texel_slots[i];
        assert(dispatch->bindings[slot].slot == slot);
        const norma_status status = view(d, tape, &ranges[slot], nvk_texel_bytes(dispatch, slot), &views[i]);
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

_Static_assert(ST_WORDS * sizeof(uint32_t) <= NVK_TABLE_BYTES, "NVK_TABLE_BYTES");

// Puts the dispatch's table into mapped memory of the tape's, which has room for as many as dispatches.
static norma_status put_table(struct norma_device *device, struct nvk_tape *tape, const norma_dispatch *dispatch,
                              struct nvk_range *range)
{
    const uint64_t size = (uint64_t)tape->most * NVK_TABLE_BYTES;
    assert(dispatch->table_size <= NVK_TABLE_BYTES && NVK_TABLE_BYTES % device->caps.offset_align == 0);
    if (tape->tables.impl && tape->tables.size < size && tape->table_count == 0)
        nvk_buffer_finish(&tape->tables);
    if (!tape->tables.impl) {
        const norma_status status = nvk_mapped_create(device, size, &tape->tables);
        if (status != NORMA_OK)
            return status;
    }
    const uint64_t begin = (uint64_t)tape->table_count++ * NVK_TABLE_BYTES;
    memcpy((char *)tape->tables.host + begin, dispatch->table, dispatch->table_size);
    *range = (struct nvk_range){
        .buffer = nvk_buffer_of(&tape->tables)->handle, .begin = begin, .end = begin + NVK_TABLE_BYTES};
    return NORMA_OK;
}

// Sets for one dispatch: those that are ready, or new ones. Only the latter come in twos.
static norma_status take_sets(struct nvk_device *d, struct nvk_tape *tape, enum nvk_layout layout,
                              VkDescriptorSet sets[2], uint32_t *count)
{
    norma_status status = NORMA_OK;
    *count = layout == NVK_LAYOUT_LEAN ? 2 : 1;
    if (tape->ready[layout]) {
        assert(*count == 1 && tape->used < tape->most);
        sets[0] = tape->ready[layout][tape->used++];
        return NORMA_OK;
    }
    const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                              .descriptorPool = tape->pool,
                                              .descriptorSetCount = *count,
                                              .pSetLayouts =
                                                  d->set_layouts + (layout == NVK_LAYOUT_STRIDED ? layout : 0)};
    NVK(d->api->AllocateDescriptorSets(d->handle, &info, sets));
error:
    return status;
}

static norma_status bind(struct nvk_device *d, struct nvk_tape *tape, const norma_dispatch *dispatch,
                         const struct nvk_range ranges[NVK_STRIDED], const struct nvk_range *table,
                         enum nvk_layout layout)
{
    VkDescriptorSet sets[2];
    uint32_t count;
    norma_status status = take_sets(d, tape, layout, sets, &count);
    if (status != NORMA_OK)
        return status;
    fill_buffers(d, dispatch, ranges, table, sets[0]);
    if (layout == NVK_LAYOUT_LEAN)
        status = fill_texels(d, tape, dispatch, ranges, sets[1]);
    if (status == NORMA_OK)
        d->api->CmdBindDescriptorSets(tape->command, VK_PIPELINE_BIND_POINT_COMPUTE, d->layouts[layout], 0, count, sets,
                                      0, NULL);
    return status;
}

static void dispatch_barrier(struct nvk_device *d, struct nvk_tape *tape, bool indirect)
{
    nvk_record_barrier(
        d, tape, indirect ? NVK_COUNTED_STAGES : VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
        VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | (indirect ? VK_ACCESS_INDIRECT_COMMAND_READ_BIT : 0));
}

norma_status nvk_record_dispatch(struct norma_device *device, struct nvk_tape *tape,
                                 const struct norma_command *command, const struct nvk_pipeline *pipeline)
{
    struct nvk_device *d = nvk_device_of(device);
    const norma_dispatch *dispatch = command->dispatch;
    struct nvk_range ranges[NVK_STRIDED], table;
    const uint32_t count = find_ranges(command, ranges);
    norma_status status = NORMA_OK;
    if (dispatch->table)
        status = put_table(device, tape, dispatch, &table);
    if (status == NORMA_OK)
        status = bind(d, tape, dispatch, ranges, dispatch->table ? &table : NULL, pipeline->layout);
    if (status != NORMA_OK)
        return status;
    if (dispatch->barrier || tape->range_count + count > NVK_MOST_RANGES || meets(tape, ranges, count))
        dispatch_barrier(d, tape, command->groups != NULL);
    memcpy(tape->ranges + tape->range_count, ranges, count * sizeof(ranges[0]));
    tape->range_count += count;
    d->api->CmdBindPipeline(tape->command, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
    if (!dispatch->table)
        d->api->CmdPushConstants(tape->command, d->layouts[pipeline->layout], VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                 dispatch->args_size, dispatch->args);
    const struct nvk_buffer *groups = command->groups ? nvk_buffer_of(command->groups) : NULL;
    if (groups)
        d->api->CmdDispatchIndirect(tape->command, groups->handle, groups->shift + command->groups_offset);
    else
        d->api->CmdDispatch(tape->command, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
    return NORMA_OK;
}
