// A plan as plain data, run with the program's own Vulkan device, buffer, pipelines and command buffer, as an engine
// does that keeps its own. Exits 1 when the result differs from that of norma_run.
#include <math.h>
#include <norma/norma.h>
#include <stdio.h>
#include <stdlib.h>
#include <vulkan/vulkan.h>

enum { ROWS = 33, N = 768, COUNT = ROWS * N, SLOTS = 11, PLACE = 1 << 18 }; // PLACE: bytes for a tensor

#define TYPE(name) .sType = VK_STRUCTURE_TYPE_##name
// The driver takes back what this program has at its end: nothing is destroyed one by one.
#define CHECK(call) ((call) == 0 ? (void)0 : (fprintf(stderr, "%s failed: %s\n", #call, norma_last_error()), exit(1)))

static const VkDescriptorType storage = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
static VkDevice device;
static VkBuffer buffer; // x, y and the workspace, PLACE bytes apart
static VkDescriptorSetLayout set_layout;
static VkPipelineLayout layout;
static VkDescriptorPool pool;
static VkCommandBuffer command;

// A device of the first driver, layouts, and a buffer in memory that the host sees: returns its address.
static void *prepare(uint64_t size, uint32_t sets)
{
    const VkApplicationInfo application = {TYPE(APPLICATION_INFO), .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {TYPE(INSTANCE_CREATE_INFO), .pApplicationInfo = &application};
    const float priority = 1; // queue family 0 computes on every driver that we know
    const VkDeviceQueueCreateInfo queue = {TYPE(DEVICE_QUEUE_CREATE_INFO), NULL, 0, 0, 1, &priority};
    const VkDeviceCreateInfo create = {TYPE(DEVICE_CREATE_INFO), NULL, 0, 1, &queue, 0, NULL, 0, NULL, NULL};
    const VkBufferCreateInfo bytes = {TYPE(BUFFER_CREATE_INFO), NULL, 0, size, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    VkMemoryAllocateInfo allocate = {TYPE(MEMORY_ALLOCATE_INFO)};
    VkMemoryRequirements needs;
    VkPhysicalDeviceMemoryProperties types;
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDeviceMemory memory;
    uint32_t count = 1;
    CHECK(vkCreateInstance(&info, NULL, &instance));
    CHECK(vkEnumeratePhysicalDevices(instance, &count, &physical) < 0 || count == 0);
    CHECK(vkCreateDevice(physical, &create, NULL, &device));
    CHECK(vkCreateBuffer(device, &bytes, NULL, &buffer));
    vkGetBufferMemoryRequirements(device, buffer, &needs);
    vkGetPhysicalDeviceMemoryProperties(physical, &types);
    allocate.allocationSize = needs.size;
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    while ((types.memoryTypes[allocate.memoryTypeIndex].propertyFlags & wanted) != wanted ||
           !(needs.memoryTypeBits >> allocate.memoryTypeIndex & 1))
        allocate.memoryTypeIndex++;
    CHECK(vkAllocateMemory(device, &allocate, NULL, &memory));
    CHECK(vkBindBufferMemory(device, buffer, memory, 0));
    VkDescriptorSetLayoutBinding slots[SLOTS] = {{0}};
    for (uint32_t i = 0; i < SLOTS; i++)
        slots[i] = (VkDescriptorSetLayoutBinding){i, storage, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkPushConstantRange args = {VK_SHADER_STAGE_COMPUTE_BIT, 0, NORMA_ARGS_BYTES};
    const VkDescriptorPoolSize all = {storage, SLOTS * sets};
    const VkDescriptorSetLayoutCreateInfo set = {TYPE(DESCRIPTOR_SET_LAYOUT_CREATE_INFO), NULL, 0, SLOTS, slots};
    const VkPipelineLayoutCreateInfo both = {TYPE(PIPELINE_LAYOUT_CREATE_INFO), NULL, 0, 1, &set_layout, 1, &args};
    const VkDescriptorPoolCreateInfo pools = {TYPE(DESCRIPTOR_POOL_CREATE_INFO), NULL, 0, sets, 1, &all};
    CHECK(vkCreateDescriptorSetLayout(device, &set, NULL, &set_layout));
    CHECK(vkCreatePipelineLayout(device, &both, NULL, &layout));
    CHECK(vkCreateDescriptorPool(device, &pools, NULL, &pool));
    void *mapped;
    CHECK(vkMapMemory(device, memory, 0, VK_WHOLE_SIZE, 0, &mapped));
    return mapped;
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
    CHECK(vkCreateShaderModule(device, &code, NULL, &module));
    const VkPipelineShaderStageCreateInfo stage = {
        TYPE(PIPELINE_SHADER_STAGE_CREATE_INFO), NULL, 0, VK_SHADER_STAGE_COMPUTE_BIT, module, "main", &constants};
    const VkComputePipelineCreateInfo info = {TYPE(COMPUTE_PIPELINE_CREATE_INFO), NULL, 0, stage, layout, NULL, 0};
    CHECK(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
    return pipeline;
}

static const VkMemoryBarrier written = {TYPE(MEMORY_BARRIER), NULL, VK_ACCESS_SHADER_WRITE_BIT,
                                        VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};

static void record(const norma_dispatch *d)
{
    VkDescriptorSet set;
    VkDescriptorSetAllocateInfo info = {TYPE(DESCRIPTOR_SET_ALLOCATE_INFO), NULL, pool, 1, &set_layout};
    CHECK(vkAllocateDescriptorSets(device, &info, &set));
    for (const norma_bound *b = d->bindings; b < d->bindings + d->binding_count; b++) {
        const uint64_t place = b->arg == NORMA_ARG_WORKSPACE ? 2 : b->arg; // absent tensors are bound to x
        const VkDescriptorBufferInfo range = {buffer, place * PLACE + b->offset, b->size};
        const VkWriteDescriptorSet to = {TYPE(WRITE_DESCRIPTOR_SET), NULL, set, b->slot, 0, 1, storage, NULL, &range};
        vkUpdateDescriptorSets(device, 1, &to, 0, NULL);
    }
    const VkPipelineStageFlags compute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    if (d->barrier)
        vkCmdPipelineBarrier(command, compute, compute, 0, 1, &written, 0, NULL, 0, NULL);
    vkCmdBindPipeline(command, VK_PIPELINE_BIND_POINT_COMPUTE, create_pipeline(d));
    vkCmdBindDescriptorSets(command, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
    vkCmdPushConstants(command, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, d->args_size, d->args);
    vkCmdDispatch(command, d->groups[0], d->groups[1], d->groups[2]);
}

int main(void)
{
    static float expected[COUNT];
    const int64_t shape[] = {ROWS, N};
    norma_context *context;
    norma_device *vulkan;
    norma_description *plan;
    VkQueue queue;
    float worst = 0;
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, NULL), y = x; // no data: a plan needs shapes alone
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    problem.x = &x, problem.y = &y;
    CHECK(norma_context_create(NULL, &context));
    CHECK(norma_context_find_device(context, "vulkan:0", &vulkan));
    CHECK(norma_describe(vulkan, &problem, NULL, &plan));
    float *memory = x.data = prepare(2 * PLACE + plan->workspace, (uint32_t)plan->dispatch_count);
    for (int i = 0; i < COUNT; i++)
        memory[i] = sinf((float)i) + (float)(i % 7);

    const VkCommandPoolCreateInfo commands = {TYPE(COMMAND_POOL_CREATE_INFO)};
    const VkCommandBufferBeginInfo begin = {TYPE(COMMAND_BUFFER_BEGIN_INFO)};
    VkCommandBufferAllocateInfo allocate = {TYPE(COMMAND_BUFFER_ALLOCATE_INFO), .commandBufferCount = 1};
    CHECK(vkCreateCommandPool(device, &commands, NULL, &allocate.commandPool));
    CHECK(vkAllocateCommandBuffers(device, &allocate, &command));
    CHECK(vkBeginCommandBuffer(command, &begin));
    for (size_t i = 0; i < plan->dispatch_count; i++)
        record(&plan->dispatches[i]);
    CHECK(vkEndCommandBuffer(command));
    const VkSubmitInfo submit = {TYPE(SUBMIT_INFO), .commandBufferCount = 1, .pCommandBuffers = &command};
    vkGetDeviceQueue(device, 0, 0, &queue);
    CHECK(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE));
    CHECK(vkQueueWaitIdle(queue));

    y.data = expected;
    CHECK(norma_run(context, &problem));
    norma_description_destroy(&plan);
    norma_context_destroy(&context);
    for (int i = 0; i < COUNT; i++)
        worst = fmaxf(worst, fabsf(memory[PLACE / sizeof(float) + i] - expected[i]));
    printf("largest difference from norma_run: %g\n", worst);
    return worst < 1e-5F ? 0 : 1;
}
