// A plan as plain data, run with a Vulkan device, buffers, pipelines and command buffer of the program's own: what an
// engine that keeps its own pipelines does. Exits 1 when the result differs from Norma's scalar path.
#include <math.h>
#include <norma/norma.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <vulkan/vulkan.h>

enum { ROWS = 33, N = 768, SLOTS = 11, PLACE = 1 << 18 }; // PLACE: bytes for each tensor, above 33 * 768 * 4

#define CHECK(call) check((call) == 0, #call)

static void check(bool right, const char *what)
{
    if (!right) {
        fprintf(stderr, "%s failed: %s\n", what, norma_last_error());
        exit(1); // the driver takes back what this program has: nothing is destroyed one by one
    }
}

static VkPhysicalDevice physical;
static VkDevice device;
static VkBuffer buffer; // x, y, weight and bias, PLACE bytes apart by their norma_arg, the workspace behind them
static VkDescriptorSetLayout set_layout;
static VkPipelineLayout layout;
static VkDescriptorPool pool;

static char *create_memory(uint64_t size)
{
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = size};
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    CHECK(vkCreateBuffer(device, &info, NULL, &buffer));
    VkMemoryRequirements needs;
    VkPhysicalDeviceMemoryProperties types;
    vkGetBufferMemoryRequirements(device, buffer, &needs);
    vkGetPhysicalDeviceMemoryProperties(physical, &types);
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while ((types.memoryTypes[type].propertyFlags & wanted) != wanted || !(needs.memoryTypeBits >> type & 1))
        type++;
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size};
    allocate.memoryTypeIndex = type;
    VkDeviceMemory memory;
    void *mapped;
    CHECK(vkAllocateMemory(device, &allocate, NULL, &memory));
    CHECK(vkBindBufferMemory(device, buffer, memory, 0));
    CHECK(vkMapMemory(device, memory, 0, VK_WHOLE_SIZE, 0, &mapped));
    return mapped;
}

static VkQueue create_device(void)
{
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    VkInstance instance;
    uint32_t count = 1;
    CHECK(vkCreateInstance(&info, NULL, &instance));
    check(vkEnumeratePhysicalDevices(instance, &count, &physical) >= 0 && count == 1, "vkEnumeratePhysicalDevices");
    const float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1};
    queue.pQueuePriorities = &priority; // family 0 computes on every driver that we know
    VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1};
    create.pQueueCreateInfos = &queue;
    CHECK(vkCreateDevice(physical, &create, NULL, &device));
    VkQueue result;
    vkGetDeviceQueue(device, 0, 0, &result);
    return result;
}

static void create_layouts(uint32_t sets)
{
    VkDescriptorSetLayoutBinding slots[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++)
        slots[i] =
            (VkDescriptorSetLayoutBinding){i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkDescriptorSetLayoutCreateInfo set = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, NULL, 0, SLOTS,
                                                 slots};
    CHECK(vkCreateDescriptorSetLayout(device, &set, NULL, &set_layout));
    const VkPushConstantRange args = {VK_SHADER_STAGE_COMPUTE_BIT, 0, NORMA_ARGS_BYTES};
    const VkPipelineLayoutCreateInfo info = {
        VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, NULL, 0, 1, &set_layout, 1, &args};
    CHECK(vkCreatePipelineLayout(device, &info, NULL, &layout));
    const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, SLOTS * sets};
    const VkDescriptorPoolCreateInfo pools = {VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, NULL, 0, sets, 1, &size};
    CHECK(vkCreateDescriptorPool(device, &pools, NULL, &pool));
}

static VkPipeline create_pipeline(const norma_dispatch *d)
{
    VkSpecializationMapEntry entries[NORMA_MAX_CONSTANTS];
    for (uint32_t i = 0; i < d->constant_count; i++)
        entries[i] = (VkSpecializationMapEntry){
            d->constants[i].id, (uint32_t)((const char *)&d->constants[i].value - (const char *)d->constants), 4};
    const VkSpecializationInfo constants = {d->constant_count, entries, sizeof(d->constants), d->constants};
    const VkShaderModuleCreateInfo code = {VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, NULL, 0, d->code_size, d->code};
    VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO, .layout = layout};
    info.stage = (VkPipelineShaderStageCreateInfo){.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                   .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                   .pName = "main",
                                                   .pSpecializationInfo = &constants};
    VkPipeline pipeline;
    CHECK(vkCreateShaderModule(device, &code, NULL, &info.stage.module));
    CHECK(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
    return pipeline;
}

static void record(VkCommandBuffer command, const norma_dispatch *d)
{
    VkDescriptorSet set;
    VkDescriptorSetAllocateInfo info = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, NULL, pool, 1, &set_layout};
    CHECK(vkAllocateDescriptorSets(device, &info, &set));
    for (uint32_t i = 0; i < d->binding_count; i++) {
        const uint64_t place = d->bindings[i].arg == NORMA_ARG_WORKSPACE ? NORMA_ARG_BIAS + 1 : d->bindings[i].arg;
        VkDescriptorBufferInfo range = {buffer, place * PLACE + d->bindings[i].offset, d->bindings[i].size};
        VkWriteDescriptorSet write = {
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = set, .descriptorCount = 1};
        write.dstBinding = d->bindings[i].slot;
        write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        write.pBufferInfo = &range;
        vkUpdateDescriptorSets(device, 1, &write, 0, NULL);
    }
    const VkMemoryBarrier memory = {VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL, VK_ACCESS_SHADER_WRITE_BIT,
                                    VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    if (d->barrier)
        vkCmdPipelineBarrier(command, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1,
                             &memory, 0, NULL, 0, NULL);
    vkCmdBindPipeline(command, VK_PIPELINE_BIND_POINT_COMPUTE, create_pipeline(d));
    vkCmdBindDescriptorSets(command, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
    vkCmdPushConstants(command, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, d->args_size, d->args);
    vkCmdDispatch(command, d->groups[0], d->groups[1], d->groups[2]);
}

static void run(VkQueue queue, const norma_description *plan)
{
    const VkCommandPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    VkCommandPool commands;
    VkCommandBuffer command;
    CHECK(vkCreateCommandPool(device, &info, NULL, &commands));
    const VkCommandBufferAllocateInfo allocate = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, NULL, commands,
                                                  VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
    CHECK(vkAllocateCommandBuffers(device, &allocate, &command));
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    CHECK(vkBeginCommandBuffer(command, &begin));
    for (size_t i = 0; i < plan->dispatch_count; i++)
        record(command, &plan->dispatches[i]);
    CHECK(vkEndCommandBuffer(command));
    const VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &command};
    CHECK(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE));
    CHECK(vkQueueWaitIdle(queue));
}

int main(void)
{
    static float expected[ROWS * N];
    const int64_t shape[] = {ROWS, N};
    norma_context *context;
    norma_device *vulkan;
    norma_description *plan;
    const norma_context_params scalar = {.size = sizeof(scalar), .device = "scalar"};
    const VkQueue queue = create_device();

    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, NULL), y = x; // no data: a plan needs shapes alone
    norma_tensor weight = norma_tensor_host(NORMA_FLOAT32, 1, &shape[1], NULL), bias = weight;
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    problem.x = &x, problem.y = &y, problem.weight = &weight, problem.bias = &bias;
    CHECK(norma_context_create(NULL, &context));
    CHECK(norma_context_find_device(context, "vulkan:0", &vulkan));
    CHECK(norma_describe(vulkan, &problem, NULL, &plan));

    char *memory = create_memory((uint64_t)PLACE * (NORMA_ARG_BIAS + 1) + plan->workspace);
    norma_tensor *const tensors[] = {&x, &y, &weight, &bias};
    for (int arg = NORMA_ARG_X; arg <= NORMA_ARG_BIAS; arg++) {
        tensors[arg]->data = memory + arg * PLACE;
        for (int i = 0; arg != NORMA_ARG_Y && i < (arg == NORMA_ARG_X ? ROWS * N : N); i++)
            ((float *)tensors[arg]->data)[i] = sinf((float)(i * (arg + 1))) + (float)(i % 7);
    }
    create_layouts((uint32_t)plan->dispatch_count);
    run(queue, plan);
    norma_description_destroy(&plan);
    norma_context_destroy(&context);

    const float *got = y.data;
    y.data = expected;
    CHECK(norma_context_create(&scalar, &context));
    CHECK(norma_run(context, &problem));
    norma_context_destroy(&context);
    float worst = 0;
    for (int i = 0; i < ROWS * N; i++)
        worst = fmaxf(worst, fabsf(got[i] - expected[i]));
    printf("largest difference from the scalar path: %g\n", worst);
    return worst < 1e-5F ? 0 : 1;
}
