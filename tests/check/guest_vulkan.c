#include "guest.h"
#include <norma/vulkan.h>
#include <stdlib.h>

// A buffer with memory of its own; freed with the guest.
struct memory {
    struct memory *next;
    VkBuffer buffer;
    VkDeviceMemory memory;
};

struct vulkan_guest {
    struct check_guest base;
    norma_vulkan_objects objects;
    struct memory *memories;
    VkCommandPool pool;
    VkCommandBuffer command;
};

static norma_status create_device(struct vulkan_guest *v)
{
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority}; // family 0 computes on all drivers we test
    const VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                       .queueCreateInfoCount = 1,
                                       .pQueueCreateInfos = &queue}; // no extensions, no features
    uint32_t count = 1;
    norma_vulkan_objects *o = &v->objects;
    if (vkCreateInstance(&info, NULL, &o->instance) != VK_SUCCESS ||
        vkEnumeratePhysicalDevices(o->instance, &count, &o->physical_device) < 0 || count == 0 ||
        vkCreateDevice(o->physical_device, &create, NULL, &o->device) != VK_SUCCESS)
        return NORMA_ERROR_NO_DEVICE;
    vkGetDeviceQueue(o->device, 0, 0, &o->queue);
    o->get_instance_proc_addr = vkGetInstanceProcAddr;
    return NORMA_OK;
}

static norma_status create_command(struct vulkan_guest *v)
{
    const VkDevice device = v->objects.device;
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandBufferCount = 1};
    if (vkCreateCommandPool(device, &pool, NULL, &v->pool) != VK_SUCCESS)
        return NORMA_ERROR_OUT_OF_MEMORY;
    info.commandPool = v->pool;
    return vkAllocateCommandBuffers(device, &info, &v->command) == VK_SUCCESS ? NORMA_OK : NORMA_ERROR_OUT_OF_MEMORY;
}

static uint32_t first_bit(uint32_t bits)
{
    uint32_t i = 0;
    while (!(bits >> i & 1))
        i++;
    return i;
}

static norma_status buffer(struct check_guest *guest, norma_device *device, uint64_t size, norma_buffer **out)
{
    struct vulkan_guest *v = (struct vulkan_guest *)guest;
    const VkDevice own = v->objects.device;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = (size + 3) / 4 * 4,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    struct memory *m = calloc(1, sizeof *m);
    VkMemoryRequirements needs;
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
    if (!m)
        return NORMA_ERROR_OUT_OF_MEMORY;
    m->next = v->memories;
    v->memories = m;
    if (vkCreateBuffer(own, &info, NULL, &m->buffer) != VK_SUCCESS)
        return NORMA_ERROR_OUT_OF_MEMORY;
    vkGetBufferMemoryRequirements(own, m->buffer, &needs);
    allocate.allocationSize = needs.size;
    allocate.memoryTypeIndex = first_bit(needs.memoryTypeBits);
    if (vkAllocateMemory(own, &allocate, NULL, &m->memory) != VK_SUCCESS ||
        vkBindBufferMemory(own, m->buffer, m->memory, 0) != VK_SUCCESS)
        return NORMA_ERROR_OUT_OF_MEMORY;
    return norma_vulkan_buffer_wrap(device, m->buffer, info.size, 0, out);
}

// The barriers of the caller's, before and behind: of everything, since buffers are written and read by copies.
static void barrier(const struct vulkan_guest *v)
{
    const VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                    .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
                                    .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT};
    vkCmdPipelineBarrier(v->command, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1,
                         &memory, 0, NULL, 0, NULL);
}

static norma_status submit(const struct vulkan_guest *v)
{
    const VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &v->command};
    if (vkQueueSubmit(v->objects.queue, 1, &info, VK_NULL_HANDLE) != VK_SUCCESS ||
        vkQueueWaitIdle(v->objects.queue) != VK_SUCCESS)
        return NORMA_ERROR_DEVICE;
    return NORMA_OK;
}

static norma_status run(struct check_guest *guest, norma_plan *plan, const norma_problem *problem,
                        norma_recorder *recorder, norma_buffer *workspace, uint64_t offset)
{
    struct vulkan_guest *v = (struct vulkan_guest *)guest;
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    const norma_vulkan_record_params params = {.size = sizeof params,
                                               .command_buffer = v->command,
                                               .recorder = recorder,
                                               .workspace = workspace,
                                               .workspace_offset = offset,
                                               .row_count = guest->row_count,
                                               .row_count_offset = guest->row_count_offset};
    if (!plan)
        return submit(v);
    if (vkResetCommandPool(v->objects.device, v->pool, 0) != VK_SUCCESS ||
        vkBeginCommandBuffer(v->command, &begin) != VK_SUCCESS)
        return NORMA_ERROR_OUT_OF_MEMORY;
    barrier(v);
    const norma_status status = norma_vulkan_record(plan, problem, &params);
    barrier(v);
    if (vkEndCommandBuffer(v->command) != VK_SUCCESS)
        return NORMA_ERROR_OUT_OF_MEMORY;
    return status == NORMA_OK ? submit(v) : status;
}

static void objects(struct check_guest *guest, norma_context_params *params)
{
    params->vulkan = &((struct vulkan_guest *)guest)->objects;
}

static void close_guest(struct check_guest *guest)
{
    struct vulkan_guest *v = (struct vulkan_guest *)guest;
    const VkDevice device = v->objects.device;
    while (v->memories) {
        struct memory *m = v->memories;
        v->memories = m->next;
        vkDestroyBuffer(device, m->buffer, NULL);
        vkFreeMemory(device, m->memory, NULL);
        free(m);
    }
    if (v->pool)
        vkDestroyCommandPool(device, v->pool, NULL);
    if (device)
        vkDestroyDevice(device, NULL);
    if (v->objects.instance)
        vkDestroyInstance(v->objects.instance, NULL);
    free(v);
}

norma_status check_guest_vulkan(struct check_guest **out)
{
    struct vulkan_guest *v = calloc(1, sizeof *v);
    if (!v)
        return NORMA_ERROR_OUT_OF_MEMORY;
    v->base = (struct check_guest){.objects = objects, .buffer = buffer, .run = run, .close = close_guest};
    v->objects.size = sizeof v->objects;
    norma_status status = create_device(v);
    if (status == NORMA_OK)
        status = create_command(v);
    if (status != NORMA_OK) {
        close_guest(&v->base);
        return status;
    }
    *out = &v->base;
    return NORMA_OK;
}
