// A description on a Vulkan device, pipelines and command buffers of the test's own.
#include "runner.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

enum { SLOTS = NORMA_MAX_BINDINGS + 1, PIPELINES = 512, NAMES = 16 };

#define TYPE(name) .sType = VK_STRUCTURE_TYPE_##name
#define CHECK(call)                                                       \
    do {                                                                  \
        const VkResult result = (call);                                   \
        if (result != VK_SUCCESS) {                                       \
            printf("vulkan runner: %s returns %d\n", #call, (int)result); \
            return false;                                                 \
        }                                                                 \
    } while (0)

static VkInstance instance;
static VkPhysicalDevice physical;
static VkDevice device;
static VkQueue queue;
static VkCommandPool commands;

struct pipeline {
    const void *code;
    norma_constant constants[NORMA_MAX_CONSTANTS];
    uint32_t constant_count;
    VkDescriptorSetLayout set;
    VkPipelineLayout layout;
    VkPipeline handle;
};
static struct pipeline pipelines[PIPELINES];
static size_t pipeline_count;

static bool find_physical(const char *name)
{
    VkPhysicalDevice all[NAMES];
    uint32_t count = NAMES;
    const VkResult result = vkEnumeratePhysicalDevices(instance, &count, all);
    for (uint32_t i = 0; result >= 0 && i < count; i++) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(all[i], &properties);
        physical = all[i];
        if (!strcmp(properties.deviceName, name))
            return true;
    }
    printf("vulkan runner: there is no device %s\n", name);
    return false;
}

static bool open_device(const char *name)
{
    const VkApplicationInfo application = {TYPE(APPLICATION_INFO), .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {TYPE(INSTANCE_CREATE_INFO), .pApplicationInfo = &application};
    const float priority = 1;
    VkDeviceQueueCreateInfo queues = {TYPE(DEVICE_QUEUE_CREATE_INFO), .queueCount = 1, .pQueuePriorities = &priority};
    const VkDeviceCreateInfo create = {TYPE(DEVICE_CREATE_INFO), .queueCreateInfoCount = 1,
                                       .pQueueCreateInfos = &queues};
    VkQueueFamilyProperties families[NAMES];
    uint32_t count = NAMES;
    CHECK(vkCreateInstance(&info, NULL, &instance));
    if (!find_physical(name))
        return false;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    while (queues.queueFamilyIndex + 1 < count &&
           !(families[queues.queueFamilyIndex].queueFlags & VK_QUEUE_COMPUTE_BIT))
        queues.queueFamilyIndex++;
    CHECK(vkCreateDevice(physical, &create, NULL, &device));
    vkGetDeviceQueue(device, queues.queueFamilyIndex, 0, &queue);
    const VkCommandPoolCreateInfo pool = {TYPE(COMMAND_POOL_CREATE_INFO), .queueFamilyIndex = queues.queueFamilyIndex};
    CHECK(vkCreateCommandPool(device, &pool, NULL, &commands));
    return true;
}

static void close_device(void)
{
    for (size_t i = 0; i < pipeline_count; i++) {
        vkDestroyPipeline(device, pipelines[i].handle, NULL);
        vkDestroyPipelineLayout(device, pipelines[i].layout, NULL);
        vkDestroyDescriptorSetLayout(device, pipelines[i].set, NULL);
    }
    pipeline_count = 0;
    vkDestroyCommandPool(device, commands, NULL);
    vkDestroyDevice(device, NULL);
    vkDestroyInstance(instance, NULL);
}

static bool make_layout(const norma_dispatch *d, struct pipeline *p)
{
    VkDescriptorSetLayoutBinding slots[SLOTS];
    const uint32_t count = d->binding_count + (d->table != NULL);
    for (uint32_t i = 0; i < count; i++)
        slots[i] =
            (VkDescriptorSetLayoutBinding){i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkDescriptorSetLayoutCreateInfo set = {TYPE(DESCRIPTOR_SET_LAYOUT_CREATE_INFO), .bindingCount = count,
                                                 .pBindings = slots};
    CHECK(vkCreateDescriptorSetLayout(device, &set, NULL, &p->set));
    const VkPushConstantRange args = {VK_SHADER_STAGE_COMPUTE_BIT, 0, d->args_size};
    const VkPipelineLayoutCreateInfo layout = {TYPE(PIPELINE_LAYOUT_CREATE_INFO), .setLayoutCount = 1,
                                               .pSetLayouts = &p->set, .pushConstantRangeCount = d->args_size > 0,
                                               .pPushConstantRanges = &args};
    CHECK(vkCreatePipelineLayout(device, &layout, NULL, &p->layout));
    return true;
}

static bool make_pipeline(const norma_dispatch *d, struct pipeline *p)
{
    VkSpecializationMapEntry entries[NORMA_MAX_CONSTANTS];
    const uint32_t step = sizeof(norma_constant), value = offsetof(norma_constant, value);
    *p = (struct pipeline){.code = d->code, .constant_count = d->constant_count};
    memcpy(p->constants, d->constants, sizeof(p->constants));
    for (uint32_t i = 0; i < d->constant_count; i++)
        entries[i] = (VkSpecializationMapEntry){d->constants[i].id, i * step + value, 4};
    const VkSpecializationInfo constants = {d->constant_count, entries, sizeof(d->constants), d->constants};
    const VkShaderModuleCreateInfo code = {TYPE(SHADER_MODULE_CREATE_INFO), .codeSize = d->code_size, .pCode = d->code};
    VkShaderModule module;
    if (!make_layout(d, p))
        return false;
    CHECK(vkCreateShaderModule(device, &code, NULL, &module));
    const VkComputePipelineCreateInfo info = {TYPE(COMPUTE_PIPELINE_CREATE_INFO),
                                              .stage = {TYPE(PIPELINE_SHADER_STAGE_CREATE_INFO),
                                                        .stage = VK_SHADER_STAGE_COMPUTE_BIT, .module = module,
                                                        .pName = "main", .pSpecializationInfo = &constants},
                                              .layout = p->layout};
    CHECK(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &p->handle));
    vkDestroyShaderModule(device, module, NULL);
    return true;
}

static const struct pipeline *find_pipeline(const norma_dispatch *d)
{
    for (struct pipeline *p = pipelines; p < pipelines + pipeline_count; p++) {
        bool same = p->code == d->code && p->constant_count == d->constant_count;
        for (uint32_t i = 0; same && i < d->constant_count; i++)
            same = p->constants[i].id == d->constants[i].id && p->constants[i].value == d->constants[i].value;
        if (same)
            return p;
    }
    if (pipeline_count == PIPELINES || !make_pipeline(d, &pipelines[pipeline_count]))
        return NULL;
    return &pipelines[pipeline_count++];
}

struct run {
    const norma_description *plan;
    const uint64_t *place;
    uint64_t tables, table_step; // bytes: where the first table lies, from one to the next
    VkBuffer buffer;
    VkDeviceMemory memory;
    unsigned char *mapped;
    VkDescriptorPool sets;
    VkCommandBuffer command;
};

static bool make_buffer(struct run *run, uint64_t size)
{
    const VkBufferCreateInfo info = {TYPE(BUFFER_CREATE_INFO), .size = size,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT};
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkMemoryRequirements needs;
    VkPhysicalDeviceMemoryProperties types;
    CHECK(vkCreateBuffer(device, &info, NULL, &run->buffer));
    vkGetBufferMemoryRequirements(device, run->buffer, &needs);
    vkGetPhysicalDeviceMemoryProperties(physical, &types);
    VkMemoryAllocateInfo allocate = {TYPE(MEMORY_ALLOCATE_INFO), .allocationSize = needs.size};
    while (allocate.memoryTypeIndex < types.memoryTypeCount &&
           ((types.memoryTypes[allocate.memoryTypeIndex].propertyFlags & wanted) != wanted ||
            !(needs.memoryTypeBits >> allocate.memoryTypeIndex & 1)))
        allocate.memoryTypeIndex++;
    CHECK(vkAllocateMemory(device, &allocate, NULL, &run->memory));
    CHECK(vkBindBufferMemory(device, run->buffer, run->memory, 0));
    void *mapped;
    CHECK(vkMapMemory(device, run->memory, 0, VK_WHOLE_SIZE, 0, &mapped));
    run->mapped = mapped;
    return true;
}

static bool bind(struct run *run, const norma_dispatch *d, uint64_t table, const struct pipeline *p,
                 VkDescriptorSet *set)
{
    VkDescriptorBufferInfo ranges[SLOTS];
    VkWriteDescriptorSet writes[SLOTS];
    const VkDescriptorSetAllocateInfo info = {TYPE(DESCRIPTOR_SET_ALLOCATE_INFO), .descriptorPool = run->sets,
                                              .descriptorSetCount = 1, .pSetLayouts = &p->set};
    CHECK(vkAllocateDescriptorSets(device, &info, set));
    uint32_t count = 0;
    for (; count < d->binding_count; count++) {
        const norma_bound *b = &d->bindings[count];
        ranges[count] = (VkDescriptorBufferInfo){run->buffer, run->place[b->arg] + b->offset, b->size};
    }
    if (d->table) {
        memcpy(run->mapped + table, d->table, d->table_size);
        ranges[count++] = (VkDescriptorBufferInfo){run->buffer, table, d->table_size};
    }
    for (uint32_t i = 0; i < count; i++)
        writes[i] = (VkWriteDescriptorSet){TYPE(WRITE_DESCRIPTOR_SET),
                                           .dstSet = *set,
                                           .dstBinding = i < d->binding_count ? d->bindings[i].slot : i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &ranges[i]};
    vkUpdateDescriptorSets(device, count, writes, 0, NULL);
    return true;
}

static bool record_dispatch(struct run *run, const norma_dispatch *d, uint64_t table)
{
    const VkMemoryBarrier written = {TYPE(MEMORY_BARRIER), .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                                                      (d->indirect ? VK_ACCESS_INDIRECT_COMMAND_READ_BIT : 0)};
    const VkPipelineStageFlags compute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    const VkPipelineStageFlags indirect = VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT;
    const struct pipeline *p = find_pipeline(d);
    VkDescriptorSet set;
    if (!p || !bind(run, d, table, p, &set))
        return false;
    if (d->barrier)
        vkCmdPipelineBarrier(run->command, compute, compute | (d->indirect ? indirect : 0), 0, 1, &written, 0, NULL, 0,
                             NULL);
    vkCmdBindPipeline(run->command, VK_PIPELINE_BIND_POINT_COMPUTE, p->handle);
    vkCmdBindDescriptorSets(run->command, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1, &set, 0, NULL);
    if (d->args_size)
        vkCmdPushConstants(run->command, p->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, d->args_size, d->args);
    if (d->indirect)
        vkCmdDispatchIndirect(run->command, run->buffer, run->place[NORMA_ARG_WORKSPACE] + d->groups_offset);
    else
        vkCmdDispatch(run->command, d->groups[0], d->groups[1], d->groups[2]);
    return true;
}

static bool record(struct run *run)
{
    const uint32_t count = (uint32_t)run->plan->dispatch_count;
    const VkDescriptorPoolSize descriptors = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, SLOTS * count};
    const VkDescriptorPoolCreateInfo pool = {TYPE(DESCRIPTOR_POOL_CREATE_INFO), .maxSets = count, .poolSizeCount = 1,
                                             .pPoolSizes = &descriptors};
    CHECK(vkCreateDescriptorPool(device, &pool, NULL, &run->sets));
    const VkCommandBufferAllocateInfo allocate = {TYPE(COMMAND_BUFFER_ALLOCATE_INFO), .commandPool = commands,
                                                  .commandBufferCount = 1};
    CHECK(vkAllocateCommandBuffers(device, &allocate, &run->command));
    const VkCommandBufferBeginInfo begin = {TYPE(COMMAND_BUFFER_BEGIN_INFO)};
    CHECK(vkBeginCommandBuffer(run->command, &begin));
    for (uint32_t i = 0; i < count; i++)
        if (!record_dispatch(run, &run->plan->dispatches[i], run->tables + i * run->table_step))
            return false;
    const VkMemoryBarrier done = {TYPE(MEMORY_BARRIER), .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                  .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(run->command, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &done, 0,
                         NULL, 0, NULL);
    CHECK(vkEndCommandBuffer(run->command));
    return true;
}

static bool run_in(struct run *run, unsigned char *memory, uint64_t size)
{
    const VkSubmitInfo submit = {TYPE(SUBMIT_INFO), .commandBufferCount = 1, .pCommandBuffers = &run->command};
    const uint64_t align = run->plan->alignment;
    for (size_t i = 0; i < run->plan->dispatch_count; i++)
        if (run->plan->dispatches[i].table_size > run->table_step)
            run->table_step = run->plan->dispatches[i].table_size;
    run->table_step = (run->table_step + align - 1) / align * align;
    run->tables = (size + align - 1) / align * align;
    if (!make_buffer(run, run->tables + run->plan->dispatch_count * run->table_step))
        return false;
    memcpy(run->mapped, memory, size);
    if (!record(run))
        return false;
    CHECK(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE));
    CHECK(vkQueueWaitIdle(queue));
    memcpy(memory, run->mapped, size);
    return true;
}

static bool run_plan(const norma_description *plan, unsigned char *memory, uint64_t size,
                     const uint64_t place[RUNNER_PLACES])
{
    struct run run = {.plan = plan, .place = place};
    const bool good = run_in(&run, memory, size);
    if (run.command)
        vkFreeCommandBuffers(device, commands, 1, &run.command);
    vkDestroyDescriptorPool(device, run.sets, NULL);
    vkDestroyBuffer(device, run.buffer, NULL);
    vkFreeMemory(device, run.memory, NULL);
    return good;
}

const struct runner runner_vulkan = {"vulkan", open_device, run_plan, close_device};
