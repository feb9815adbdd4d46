// What an engine has before Norma comes: a Vulkan device with a queue, and a buffer for its tensors.
#include <norma/norma.h>
#include <norma/vulkan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE(name) .sType = VK_STRUCTURE_TYPE_##name
// The driver takes back what this program has at its end: nothing of Vulkan is destroyed one by one.
#define CHECK(call) ((call) == 0 ? (void)0 : (fprintf(stderr, "%s failed: %s\n", #call, norma_last_error()), exit(1)))

static norma_vulkan_objects engine = NORMA_VULKAN_OBJECTS_DEFAULTS;
static VkBuffer buffer;
static VkDeviceMemory buffer_memory;

// Device and queue of the driver's device of that name. NULL: of the first one.
static void prepare_device(const char *name)
{
    const VkApplicationInfo application = {TYPE(APPLICATION_INFO), .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {TYPE(INSTANCE_CREATE_INFO), .pApplicationInfo = &application};
    const float priority = 1; // queue family 0 computes on every driver that we know
    const VkDeviceQueueCreateInfo queue = {TYPE(DEVICE_QUEUE_CREATE_INFO), NULL, 0, 0, 1, &priority};
    const VkDeviceCreateInfo create = {TYPE(DEVICE_CREATE_INFO), NULL, 0, 1, &queue, 0, NULL, 0, NULL, NULL};
    VkPhysicalDevice all[16];
    VkPhysicalDeviceProperties properties;
    uint32_t count = 16, i = 0;
    CHECK(vkCreateInstance(&info, NULL, &engine.instance));
    if (vkEnumeratePhysicalDevices(engine.instance, &count, all) < 0)
        count = 0;
    for (; name && i < count; i++) {
        vkGetPhysicalDeviceProperties(all[i], &properties);
        if (!strcmp(properties.deviceName, name))
            break;
    }
    if (i == count)
        exit((fprintf(stderr, "no Vulkan driver%s%s\n", name ? " of " : "", name ? name : ""), 1));
    engine.physical_device = all[i];
    CHECK(vkCreateDevice(engine.physical_device, &create, NULL, &engine.device));
    vkGetDeviceQueue(engine.device, 0, 0, &engine.queue);
    engine.get_instance_proc_addr = vkGetInstanceProcAddr;
}

// The buffer, for dispatches' arguments too: returns where the host sees it.
static void *make_buffer(VkDeviceSize size)
{
    const VkBufferCreateInfo bytes = {TYPE(BUFFER_CREATE_INFO), .size = size,
                                      .usage =
                                          VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT};
    VkMemoryAllocateInfo allocate = {TYPE(MEMORY_ALLOCATE_INFO)};
    VkMemoryRequirements needs;
    VkPhysicalDeviceMemoryProperties types;
    void *mapped;
    CHECK(vkCreateBuffer(engine.device, &bytes, NULL, &buffer));
    vkGetBufferMemoryRequirements(engine.device, buffer, &needs);
    vkGetPhysicalDeviceMemoryProperties(engine.physical_device, &types);
    allocate.allocationSize = needs.size;
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    while ((types.memoryTypes[allocate.memoryTypeIndex].propertyFlags & wanted) != wanted ||
           !(needs.memoryTypeBits >> allocate.memoryTypeIndex & 1))
        allocate.memoryTypeIndex++;
    CHECK(vkAllocateMemory(engine.device, &allocate, NULL, &buffer_memory));
    CHECK(vkBindBufferMemory(engine.device, buffer, buffer_memory, 0));
    CHECK(vkMapMemory(engine.device, buffer_memory, 0, VK_WHOLE_SIZE, 0, &mapped));
    return mapped;
}

// What shaders wrote becomes visible to the host, once the fence or the queue has been waited for.
static void end_for_host(VkCommandBuffer command)
{
    const VkMemoryBarrier written = {TYPE(MEMORY_BARRIER), NULL, VK_ACCESS_SHADER_WRITE_BIT, VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(command, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &written, 0,
                         NULL, 0, NULL);
    CHECK(vkEndCommandBuffer(command));
}
