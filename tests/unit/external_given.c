#include "external.h"
#include <norma/vulkan.h>
#include <stdlib.h>

// A caller's own device: what he lists counts, not what the driver could.
static void given(VkInstance instance, VkPhysicalDevice physical, VkDevice device, uint32_t listed)
{
    static const char *const names[] = {VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME};
    norma_vulkan_objects objects = NORMA_VULKAN_OBJECTS_DEFAULTS;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    norma_buffer *buffer = NULL, *twin = NULL;
    norma_memory_handle handle = NORMA_MEMORY_HANDLE_DEFAULTS;
    objects.get_instance_proc_addr = vkGetInstanceProcAddr;
    objects.instance = instance;
    objects.physical_device = physical;
    objects.device = device;
    vkGetDeviceQueue(device, 0, 0, &objects.queue);
    objects.extensions = names;
    objects.extension_count = listed;
    // A header that had no more members than these is as good.
    objects.size = offsetof(norma_vulkan_objects, features);
    void *earlier = malloc(objects.size);
    assert_non_null(earlier);
    params.vulkan = memcpy(earlier, &objects, objects.size);
    params.device = "vulkan";
    params.cache_dir = "";
    take(norma_context_create(&params, &context));
    free(earlier);
    norma_device *own = external_device(context);
    if (listed) {
        take(norma_buffer_create_shared(own, PAGE, NORMA_HANDLE_OPAQUE_FD, &buffer));
        take(norma_buffer_export(buffer, &handle));
        take(norma_buffer_import(own, &handle, &twin));
    } else {
        refused(norma_buffer_create_shared(own, PAGE, NORMA_HANDLE_OPAQUE_FD, &buffer), NORMA_ERROR_UNSUPPORTED,
                "type:", "VK_KHR_external_memory_fd");
    }
    norma_buffer_destroy(&twin);
    norma_buffer_destroy(&buffer);
    norma_context_destroy(&context);
}

void external_given(void **state)
{
    (void)state;
    static const char *const names[] = {VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME};
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    const VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                       .queueCreateInfoCount = 1,
                                       .pQueueCreateInfos = &queue,
                                       .enabledExtensionCount = 1,
                                       .ppEnabledExtensionNames = names};
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    uint32_t count = 1;
    assert_int_equal(vkCreateInstance(&info, NULL, &instance), VK_SUCCESS);
    assert_true(vkEnumeratePhysicalDevices(instance, &count, &physical) >= 0 && count == 1);
    assert_int_equal(vkCreateDevice(physical, &create, NULL, &device), VK_SUCCESS);
    given(instance, physical, device, 0);
    given(instance, physical, device, 1);
    vkDestroyDevice(device, NULL);
    vkDestroyInstance(instance, NULL);
}
