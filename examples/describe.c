// A plan as plain data, run with the program's own Vulkan device, buffer, pipelines and command buffer, as an
// engine does that keeps its own: batch norm in training. Exits 1 when the result differs from that of norma_run.
#include "engine_vulkan.h"
#include <math.h>
#include <string.h>

// Bytes: PLACE for a tensor and the workspace each, in the order of norma_arg, then TABLE for each dispatch's table.
enum { COUNT = 8 * 16 * 10 * 10, PLACE = 1 << 17, TABLES = NORMA_ARG_WORKSPACE + 1, TABLE = 1 << 12, SLOTS = 13 };

#define STORAGE VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
#define COMPUTE VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT

static char *mapped; // the address of the engine's buffer
static VkDescriptorSetLayout set_layout;
static VkPipelineLayout layout;
static VkDescriptorPool pool;
static VkCommandBuffer command;

// One layout serves all kernels: binding i is a storage buffer, arguments are up to NORMA_ARGS_BYTES.
static void prepare_layouts(uint32_t dispatches)
{
    VkDescriptorSetLayoutBinding slots[SLOTS] = {{0}};
    for (uint32_t i = 0; i < SLOTS; i++)
        slots[i] = (VkDescriptorSetLayoutBinding){i, STORAGE, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkPushConstantRange args = {VK_SHADER_STAGE_COMPUTE_BIT, 0, NORMA_ARGS_BYTES};
    const VkDescriptorPoolSize all = {STORAGE, SLOTS * dispatches};
    const VkDescriptorSetLayoutCreateInfo set = {TYPE(DESCRIPTOR_SET_LAYOUT_CREATE_INFO), NULL, 0, SLOTS, slots};
    const VkPipelineLayoutCreateInfo both = {TYPE(PIPELINE_LAYOUT_CREATE_INFO), NULL, 0, 1, &set_layout, 1, &args};
    const VkDescriptorPoolCreateInfo pools = {TYPE(DESCRIPTOR_POOL_CREATE_INFO), NULL, 0, dispatches, 1, &all};
    CHECK(vkCreateDescriptorSetLayout(engine.device, &set, NULL, &set_layout));
    CHECK(vkCreatePipelineLayout(engine.device, &both, NULL, &layout));
    CHECK(vkCreateDescriptorPool(engine.device, &pools, NULL, &pool));
}

static VkPipeline create_pipeline(const norma_dispatch *d)
{
    VkSpecializationMapEntry entries[NORMA_MAX_CONSTANTS];
    const uint32_t step = sizeof(norma_constant), value = offsetof(norma_constant, value);
    for (uint32_t i = 0; i < d->constant_count; i++)
        entries[i] = (VkSpecializationMapEntry){d->constants[i].id, i * step + value, 4};
    const VkSpecializationInfo constants = {d->constant_count, entries, sizeof(d->constants), d->constants};
    const VkShaderModuleCreateInfo code = {TYPE(SHADER_MODULE_CREATE_INFO), NULL, 0, d->code_size, d->code};
    VkShaderModule module;
    VkPipeline pipeline;
    CHECK(vkCreateShaderModule(engine.device, &code, NULL, &module));
    const VkPipelineShaderStageCreateInfo stage = {
        TYPE(PIPELINE_SHADER_STAGE_CREATE_INFO), NULL, 0, VK_SHADER_STAGE_COMPUTE_BIT, module, "main", &constants};
    const VkComputePipelineCreateInfo info = {
        TYPE(COMPUTE_PIPELINE_CREATE_INFO), NULL, 0, stage, layout, VK_NULL_HANDLE, 0};
    CHECK(vkCreateComputePipelines(engine.device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
    return pipeline;
}

static void record(const norma_dispatch *d, uint64_t table)
{
    const VkMemoryBarrier written = {TYPE(MEMORY_BARRIER), NULL, VK_ACCESS_SHADER_WRITE_BIT,
                                     VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    const VkDescriptorSetAllocateInfo info = {TYPE(DESCRIPTOR_SET_ALLOCATE_INFO), NULL, pool, 1, &set_layout};
    VkDescriptorSet set;
    CHECK(vkAllocateDescriptorSets(engine.device, &info, &set));
    if (d->table)
        memcpy(mapped + table, d->table, d->table_size);
    for (uint32_t i = 0; i < d->binding_count + (d->table != NULL); i++) {
        const norma_bound *b = &d->bindings[i];
        const VkDescriptorBufferInfo range =
            i < d->binding_count ? (VkDescriptorBufferInfo){buffer, (uint64_t)b->arg * PLACE + b->offset, b->size}
                                 : (VkDescriptorBufferInfo){buffer, table, d->table_size};
        const VkWriteDescriptorSet to = {TYPE(WRITE_DESCRIPTOR_SET), NULL, set, i, 0, 1, STORAGE, NULL, &range};
        vkUpdateDescriptorSets(engine.device, 1, &to, 0, NULL);
    }
    if (d->barrier)
        vkCmdPipelineBarrier(command, COMPUTE, COMPUTE, 0, 1, &written, 0, NULL, 0, NULL);
    vkCmdBindPipeline(command, VK_PIPELINE_BIND_POINT_COMPUTE, create_pipeline(d));
    vkCmdBindDescriptorSets(command, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
    if (d->args_size)
        vkCmdPushConstants(command, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, d->args_size, d->args);
    vkCmdDispatch(command, d->groups[0], d->groups[1], d->groups[2]);
}

int main(void)
{
    static float expected[COUNT], worst;
    const int64_t shape[] = {8, 16, 10, 10};
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context;
    norma_device *vulkan;
    norma_description *plan;
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 4, shape, NULL), y = x; // a description needs shapes alone
    norma_problem problem = norma_problem_defaults(NORMA_BATCH_NORM);
    problem.training = 1, problem.x = &x, problem.y = &y;
    params.device = "vulkan:0";
    CHECK(norma_context_create(&params, &context));
    CHECK(norma_context_find_device(context, params.device, &vulkan));
    CHECK(norma_describe(vulkan, &problem, NULL, &plan));
    CHECK(plan->workspace > PLACE);
    mapped = prepare((uint64_t)TABLES * PLACE + plan->dispatch_count * TABLE);
    prepare_layouts((uint32_t)plan->dispatch_count);
    x.data = mapped + (size_t)NORMA_ARG_X * PLACE, y.data = expected;
    for (int i = 0; i < COUNT; i++)
        ((float *)x.data)[i] = sinf((float)i) + (float)(i % 7);
    const VkCommandPoolCreateInfo commands = {TYPE(COMMAND_POOL_CREATE_INFO)};
    const VkCommandBufferBeginInfo begin = {TYPE(COMMAND_BUFFER_BEGIN_INFO)};
    VkCommandBufferAllocateInfo allocate = {TYPE(COMMAND_BUFFER_ALLOCATE_INFO), .commandBufferCount = 1};
    CHECK(vkCreateCommandPool(engine.device, &commands, NULL, &allocate.commandPool));
    CHECK(vkAllocateCommandBuffers(engine.device, &allocate, &command));
    CHECK(vkBeginCommandBuffer(command, &begin));
    for (size_t i = 0; i < plan->dispatch_count; i++)
        record(&plan->dispatches[i], (uint64_t)TABLES * PLACE + i * TABLE);
    end_for_host(command);
    const VkSubmitInfo submit = {TYPE(SUBMIT_INFO), .commandBufferCount = 1, .pCommandBuffers = &command};
    CHECK(vkQueueSubmit(engine.queue, 1, &submit, VK_NULL_HANDLE));
    CHECK(vkQueueWaitIdle(engine.queue));
    CHECK(norma_run(context, &problem));
    norma_description_destroy(&plan);
    norma_context_destroy(&context);
    for (int i = 0; i < COUNT; i++)
        worst = fmaxf(worst, fabsf(((float *)(mapped + (size_t)NORMA_ARG_Y * PLACE))[i] - expected[i]));
    printf("largest difference from norma_run: %g\n", worst);
    return worst < 1e-5F ? 0 : 1;
}
