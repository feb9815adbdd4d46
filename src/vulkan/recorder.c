// Recording into the caller's command buffers.
#include "recorder.h"
#include "nvk.h"
#include "sized.h"
#include <string.h>

struct nvk_recorder {
    struct nvk_tape tape;
    VkDescriptorSet *sets;                 // of both layouts
    const struct nvk_pipeline **pipelines; // of the dispatches of one call: tape.most
};

enum { WORD = 4 }; // bytes that vkCmdFillBuffer writes at a time

static norma_status create_pool(struct nvk_device *d, uint32_t most, VkDescriptorPool *out)
{
    norma_status status = NORMA_OK;
    const uint32_t slots = NVK_BINDINGS + (d->layouts[NVK_LAYOUT_STRIDED] ? NVK_STRIDED + 1 : 0);
    const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = slots * most};
    const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = 2 * most,
                                             .poolSizeCount = 1,
                                             .pPoolSizes = &size};
    NVK(d->api->CreateDescriptorPool(d->handle, &info, d->allocation, out));
error:
    return status;
}

static norma_status allocate_sets(struct nvk_device *d, struct nvk_recorder *r, enum nvk_layout layout, uint32_t most,
                                  VkDescriptorSet *sets)
{
    norma_status status = NORMA_OK;
    VkDescriptorSetLayout *layouts = d->layouts[layout] ? norma_alloc(d->allocator, most * sizeof(*layouts)) : NULL;
    if (!d->layouts[layout])
        return NORMA_OK; // its kernels do not run on this device
    if (!layouts)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    for (uint32_t i = 0; i < most; i++)
        layouts[i] = d->set_layouts[layout];
    const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                              .descriptorPool = r->tape.pool,
                                              .descriptorSetCount = most,
                                              .pSetLayouts = layouts};
    NVK(d->api->AllocateDescriptorSets(d->handle, &info, sets));
    r->tape.ready[layout] = sets;
error:
    norma_free(layouts);
    return status;
}

void nvk_recorder_prepare(struct norma_device *device)
{
    norma_dispatch count;
    norma_count_dispatch(&count);
    device->caps.counts_rows = nvk_prepare(device, &count) == NORMA_OK;
    if (!device->caps.counts_rows)
        norma_log(device->context, 1, "%s: rows are not counted on the device: %s", device->id, norma_last_error());
}

norma_status nvk_recorder_create(struct norma_device *device, uint32_t dispatches, void **out)
{
    struct nvk_device *d = nvk_device_of(device);
    if (!d->given.device)
        return norma_fail(NORMA_ERROR_UNSUPPORTED,
                          "device: %s is Norma's own; command buffers are recorded for a device of the caller's "
                          "(norma_context_params.vulkan)",
                          device->id);
    struct nvk_recorder *r = norma_zalloc(d->allocator, 1, sizeof(*r));
    if (!r)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    r->tape.most = dispatches;
    norma_status status = NORMA_OK;
    r->sets = norma_alloc(d->allocator, 2 * (size_t)dispatches * sizeof(*r->sets));
    r->pipelines = norma_alloc(d->allocator, (size_t)dispatches * sizeof(const struct nvk_pipeline *));
    if (!r->sets || !r->pipelines)
        status = norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    if (status == NORMA_OK)
        status = create_pool(d, dispatches, &r->tape.pool);
    if (status == NORMA_OK)
        status = allocate_sets(d, r, NVK_LAYOUT_ROWS, dispatches, r->sets);
    if (status == NORMA_OK)
        status = allocate_sets(d, r, NVK_LAYOUT_STRIDED, dispatches, r->sets + dispatches);
    if (status == NORMA_OK) // and zeros for fills
        status = nvk_mapped_create(device, (uint64_t)dispatches * NVK_TABLE_BYTES + WORD, &r->tape.tables);
    if (status == NORMA_OK)
        memset((char *)r->tape.tables.host + (uint64_t)dispatches * NVK_TABLE_BYTES, 0, WORD);
    if (status != NORMA_OK) {
        nvk_recorder_finish(device, r);
        return status;
    }
    *out = r;
    return NORMA_OK;
}

void nvk_recorder_reset(void *recorder)
{
    struct nvk_recorder *r = recorder;
    r->tape.used = r->tape.table_count = 0;
}

void nvk_recorder_finish(struct norma_device *device, void *recorder)
{
    struct nvk_device *d = nvk_device_of(device);
    struct nvk_recorder *r = recorder;
    nvk_buffer_finish(&r->tape.tables);
    if (r->tape.pool)
        d->api->DestroyDescriptorPool(d->handle, r->tape.pool, d->allocation);
    norma_free(r->sets);
    norma_free(r->pipelines);
    norma_free(r);
}

static void record_copy_of_zeros(struct nvk_device *d, struct nvk_tape *tape, VkBuffer to, uint64_t at, uint64_t end)
{
    const VkBufferCopy region = {
        .srcOffset = (uint64_t)tape->most * NVK_TABLE_BYTES, .dstOffset = at, .size = end - at};
    if (at < end)
        d->api->CmdCopyBuffer(tape->command, nvk_buffer_of(&tape->tables)->handle, to, 1, &region);
}

// Whole words by the driver's fill; what there is of smaller elements beside them, which are 0, by copies, which may
// begin anywhere.
static void record_fill(struct nvk_device *d, struct nvk_tape *tape, const struct norma_command *c)
{
    const struct nvk_buffer *b = nvk_buffer_of(c->buffer);
    const uint64_t begin = b->shift + c->offset, end = begin + c->row_bytes;
    const uint64_t first = (begin + WORD - 1) / WORD * WORD, last = end / WORD * WORD;
    uint32_t word = 0;
    if (c->value.size >= WORD)
        memcpy(&word, c->value.bytes, sizeof(word));
    if (first < last)
        d->api->CmdFillBuffer(tape->command, b->handle, first, last - first, word);
    record_copy_of_zeros(d, tape, b->handle, begin, first < end ? first : end);
    record_copy_of_zeros(d, tape, b->handle, first > last ? first : last, end);
}

// Between dispatches as far as the caller's barriers are concerned.
static void record_fills(struct nvk_device *d, struct nvk_tape *tape, const struct norma_command *commands,
                         size_t count)
{
    const VkMemoryBarrier before = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                    .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                    .dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT};
    const VkMemoryBarrier behind = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                    .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                    .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    d->api->CmdPipelineBarrier(tape->command, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0,
                               1, &before, 0, NULL, 0, NULL);
    for (size_t i = 0; i < count; i++)
        record_fill(d, tape, &commands[i]);
    d->api->CmdPipelineBarrier(tape->command, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0,
                               1, &behind, 0, NULL, 0, NULL);
}

norma_status nvk_record(struct norma_device *device, void *recorder, const struct norma_command *commands, size_t count,
                        const void *target)
{
    struct nvk_recorder *r = recorder;
    const norma_vulkan_record_params *params = target;
    if (count > r->tape.most - r->tape.used)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "recorder: room for %u dispatches, %zu more are needed",
                          r->tape.most - r->tape.used, count);
    norma_status status = NORMA_OK;
    if (count > 0 && commands[0].kind == NORMA_COMMAND_FILL) {
        r->tape.command = params->command_buffer;
        r->tape.used += (uint32_t)count; // a set each, which is not used: the recorder's room is in dispatches
        record_fills(nvk_device_of(device), &r->tape, commands, count);
        return status;
    }
    for (size_t i = 0; i < count && status == NORMA_OK; i++) // before anything is recorded
        status = nvk_pipeline_find(device, commands[i].dispatch, &r->pipelines[i]);
    r->tape.command = params->command_buffer;
    r->tape.range_count = 0;
    if (status == NORMA_OK && params->row_count && count > 0) // the dispatches of another run may still read its cells
        nvk_record_barrier(nvk_device_of(device), &r->tape, NVK_COUNTED_STAGES, VK_ACCESS_SHADER_WRITE_BIT,
                           VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
    for (size_t i = 0; i < count && status == NORMA_OK; i++)
        status = nvk_record_dispatch(device, &r->tape, &commands[i], r->pipelines[i]);
    return status;
}

norma_status norma_vulkan_record(norma_plan *plan, const norma_problem *problem,
                                 const norma_vulkan_record_params *given)
{
    norma_vulkan_record_params params;
    if (!given)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "params: NULL");
    const norma_status status = NORMA_READ(&params, given, norma_vulkan_record_params);
    if (status != NORMA_OK)
        return status;
    if (!params.command_buffer)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "command_buffer: NULL");
    const struct norma_record_target target = {.backend = &norma_backend_vulkan,
                                               .workspace = {params.workspace, params.workspace_offset},
                                               .row_count = {params.row_count, params.row_count_offset},
                                               .params = &params};
    return norma_recorder_record(params.recorder, plan, problem, &target);
}
