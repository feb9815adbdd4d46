// A description on a Vulkan device, pipelines and a command buffer of the program's own.
#include "runner.h"
#include "engine_vulkan.h"
#include <stdbool.h>
#include <stddef.h>

enum { SLOTS = NORMA_MAX_BINDINGS + 1, PIPELINES = 512 };

#define STORAGE VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
#define COMPUTE VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT

// Kept: many dispatches, of other descriptions too, have the same.
static struct pipeline {
    const void *code;
    norma_constant constants[NORMA_MAX_CONSTANTS];
    uint32_t constant_count;
    VkDescriptorSetLayout set;
    VkPipelineLayout layout;
    VkPipeline handle;
} pipelines[PIPELINES];
static size_t pipeline_count;
static VkCommandPool commands;
static VkCommandBuffer command;
static unsigned char *mapped; // the buffer

void runner_open(const char *name)
{
    const VkCommandPoolCreateInfo info = {TYPE(COMMAND_POOL_CREATE_INFO)};
    prepare_device(name);
    CHECK(vkCreateCommandPool(engine.device, &info, NULL, &commands));
    const VkCommandBufferAllocateInfo allocate = {TYPE(COMMAND_BUFFER_ALLOCATE_INFO), NULL, commands, 0, 1};
    CHECK(vkAllocateCommandBuffers(engine.device, &allocate, &command));
}

static void make_layout(const norma_dispatch *d, struct pipeline *p)
{
    VkDescriptorSetLayoutBinding slots[SLOTS];
    const uint32_t count = d->binding_count + (d->table != NULL);
    for (uint32_t i = 0; i < count; i++)
        slots[i] = (VkDescriptorSetLayoutBinding){i, STORAGE, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkDescriptorSetLayoutCreateInfo set = {TYPE(DESCRIPTOR_SET_LAYOUT_CREATE_INFO), NULL, 0, count, slots};
    const VkPushConstantRange args = {VK_SHADER_STAGE_COMPUTE_BIT, 0, d->args_size};
    const VkPipelineLayoutCreateInfo layout = {
        TYPE(PIPELINE_LAYOUT_CREATE_INFO), NULL, 0, 1, &p->set, d->args_size > 0, &args};
    CHECK(vkCreateDescriptorSetLayout(engine.device, &set, NULL, &p->set));
    CHECK(vkCreatePipelineLayout(engine.device, &layout, NULL, &p->layout));
}

static void make_pipeline(const norma_dispatch *d, struct pipeline *p)
{
    VkSpecializationMapEntry entries[NORMA_MAX_CONSTANTS];
    const uint32_t step = sizeof(norma_constant), value = offsetof(norma_constant, value);
    *p = (struct pipeline){.code = d->code, .constant_count = d->constant_count};
    memcpy(p->constants, d->constants, sizeof(p->constants));
    for (uint32_t i = 0; i < d->constant_count; i++)
        entries[i] = (VkSpecializationMapEntry){d->constants[i].id, i * step + value, 4};
    const VkSpecializationInfo constants = {d->constant_count, entries, sizeof(d->constants), d->constants};
    const VkShaderModuleCreateInfo code = {TYPE(SHADER_MODULE_CREATE_INFO), NULL, 0, d->code_size, d->code};
    VkShaderModule module;
    make_layout(d, p);
    CHECK(vkCreateShaderModule(engine.device, &code, NULL, &module));
    const VkPipelineShaderStageCreateInfo stage = {
        TYPE(PIPELINE_SHADER_STAGE_CREATE_INFO), NULL, 0, VK_SHADER_STAGE_COMPUTE_BIT, module, "main", &constants};
    const VkComputePipelineCreateInfo info = {
        TYPE(COMPUTE_PIPELINE_CREATE_INFO), NULL, 0, stage, p->layout, VK_NULL_HANDLE, 0};
    CHECK(vkCreateComputePipelines(engine.device, VK_NULL_HANDLE, 1, &info, NULL, &p->handle));
    vkDestroyShaderModule(engine.device, module, NULL);
}

static const struct pipeline *find_pipeline(const norma_dispatch *d)
{
    for (struct pipeline *p = pipelines; p < pipelines + pipeline_count; p++)
        if (p->code == d->code && p->constant_count == d->constant_count &&
            !memcmp(p->constants, d->constants, d->constant_count * sizeof(*d->constants)))
            return p;
    if (pipeline_count == PIPELINES)
        exit((fprintf(stderr, "no room for another pipeline\n"), 1));
    make_pipeline(d, &pipelines[pipeline_count]);
    return &pipelines[pipeline_count++];
}

// The tensors, and behind them the table, which is copied to that byte of the buffer.
static void bind(const norma_dispatch *d, const uint64_t *place, uint64_t table, VkDescriptorSet set)
{
    if (d->table)
        memcpy(mapped + table, d->table, d->table_size);
    for (uint32_t i = 0; i < d->binding_count + (d->table != NULL); i++) {
        const bool is_table = i == d->binding_count;
        const norma_bound *b = &d->bindings[is_table ? 0 : i];
        const VkDescriptorBufferInfo range = is_table
                                                 ? (VkDescriptorBufferInfo){buffer, table, d->table_size}
                                                 : (VkDescriptorBufferInfo){buffer, place[b->arg] + b->offset, b->size};
        const VkWriteDescriptorSet to = {
            TYPE(WRITE_DESCRIPTOR_SET), NULL, set, is_table ? i : b->slot, 0, 1, STORAGE, NULL, &range};
        vkUpdateDescriptorSets(engine.device, 1, &to, 0, NULL);
    }
}

static void record(const norma_dispatch *d, const uint64_t *place, uint64_t table, VkDescriptorPool sets)
{
    const VkAccessFlags indirect = d->indirect ? VK_ACCESS_INDIRECT_COMMAND_READ_BIT : 0;
    const VkMemoryBarrier written = {TYPE(MEMORY_BARRIER), NULL, VK_ACCESS_SHADER_WRITE_BIT,
                                     VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | indirect};
    const VkPipelineStageFlags to = COMPUTE | (d->indirect ? VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT : 0);
    const struct pipeline *p = find_pipeline(d);
    const VkDescriptorSetAllocateInfo info = {TYPE(DESCRIPTOR_SET_ALLOCATE_INFO), NULL, sets, 1, &p->set};
    VkDescriptorSet set;
    CHECK(vkAllocateDescriptorSets(engine.device, &info, &set));
    bind(d, place, table, set);
    if (d->barrier)
        vkCmdPipelineBarrier(command, COMPUTE, to, 0, 1, &written, 0, NULL, 0, NULL);
    vkCmdBindPipeline(command, VK_PIPELINE_BIND_POINT_COMPUTE, p->handle);
    vkCmdBindDescriptorSets(command, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1, &set, 0, NULL);
    if (d->args_size)
        vkCmdPushConstants(command, p->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, d->args_size, d->args);
    if (d->indirect)
        vkCmdDispatchIndirect(command, buffer, place[NORMA_ARG_WORKSPACE] + d->groups_offset);
    else
        vkCmdDispatch(command, d->groups[0], d->groups[1], d->groups[2]);
}

void runner_run(const norma_description *plan, unsigned char *memory, uint64_t size,
                const uint64_t place[RUNNER_PLACES])
{
    const uint32_t count = (uint32_t)plan->dispatch_count; // 0 where all is fills
    const VkDescriptorPoolSize all = {STORAGE, SLOTS * count + 1};
    const VkDescriptorPoolCreateInfo pool = {TYPE(DESCRIPTOR_POOL_CREATE_INFO), NULL, 0, count + 1, 1, &all};
    const VkCommandBufferBeginInfo begin = {TYPE(COMMAND_BUFFER_BEGIN_INFO)};
    const VkSubmitInfo submit = {TYPE(SUBMIT_INFO), .commandBufferCount = 1, .pCommandBuffers = &command};
    const uint64_t align = plan->alignment, tables = (size + align - 1) / align * align;
    uint64_t step = 0; // bytes from one dispatch's table to the next one's
    VkDescriptorPool sets;
    for (uint32_t i = 0; i < count; i++)
        if (plan->dispatches[i].table_size > step)
            step = (plan->dispatches[i].table_size + align - 1) / align * align;
    mapped = make_buffer(tables + count * step);
    memcpy(mapped, memory, size);
    CHECK(vkCreateDescriptorPool(engine.device, &pool, NULL, &sets));
    CHECK(vkResetCommandPool(engine.device, commands, 0));
    CHECK(vkBeginCommandBuffer(command, &begin));
    for (uint32_t i = 0; i < count; i++)
        record(&plan->dispatches[i], place, tables + i * step, sets);
    end_for_host(command);
    CHECK(vkQueueSubmit(engine.queue, 1, &submit, VK_NULL_HANDLE));
    CHECK(vkQueueWaitIdle(engine.queue));
    memcpy(memory, mapped, size);
    vkDestroyDescriptorPool(engine.device, sets, NULL);
    vkDestroyBuffer(engine.device, buffer, NULL);
    vkFreeMemory(engine.device, buffer_memory, NULL);
}
