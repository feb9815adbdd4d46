// A program with its own Vulkan device and OpenCL context that has the library as two files: the interfaces for both
// are in norma.h, for those who ask for them before they include it.
#define NORMA_INTERFACE_VULKAN
#define NORMA_INTERFACE_OPENCL
#include <norma/norma.h>
#include <stdio.h>
#include <string.h>

// A context on the caller's objects has that device first, and records for it.
static int records(const norma_context_params *params, const char *id)
{
    norma_context *context = NULL;
    norma_recorder *recorder = NULL;
    norma_device_info info = {.size = sizeof info};
    if (norma_context_create(params, &context) != NORMA_OK ||
        norma_device_get_info(norma_context_device(context, 0), &info) != NORMA_OK || strcmp(info.id, id) != 0 ||
        norma_recorder_create(norma_context_device(context, 0), NULL, &recorder) != NORMA_OK) {
        fprintf(stderr, "%s: %s\n", id, norma_last_error());
        return 1;
    }
    norma_recorder_destroy(&recorder);
    norma_context_destroy(&context);
    return norma_vulkan_record(NULL, NULL, NULL) != NORMA_ERROR_INVALID_ARGUMENT ||
           norma_opencl_enqueue(NULL, NULL, NULL) != NORMA_ERROR_INVALID_ARGUMENT;
}

static int vulkan(void)
{
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    const VkDeviceCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue};
    norma_vulkan_objects objects = NORMA_VULKAN_OBJECTS_DEFAULTS;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    uint32_t count = 1;
    if (vkCreateInstance(&info, NULL, &objects.instance) != VK_SUCCESS ||
        vkEnumeratePhysicalDevices(objects.instance, &count, &objects.physical_device) < 0 || count == 0 ||
        vkCreateDevice(objects.physical_device, &create, NULL, &objects.device) != VK_SUCCESS)
        return 1;
    vkGetDeviceQueue(objects.device, 0, 0, &objects.queue);
    objects.get_instance_proc_addr = vkGetInstanceProcAddr;
    params.vulkan = &objects;
    const int failed = records(&params, "vulkan:0");
    vkDestroyDevice(objects.device, NULL);
    vkDestroyInstance(objects.instance, NULL);
    return failed;
}

static int opencl(void)
{
    norma_opencl_objects objects = NORMA_OPENCL_OBJECTS_DEFAULTS;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    cl_platform_id platform;
    if (clGetPlatformIDs(1, &platform, NULL) != CL_SUCCESS ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &objects.device, NULL) != CL_SUCCESS ||
        !(objects.context = clCreateContext(NULL, 1, &objects.device, NULL, NULL, NULL)))
        return 1;
    params.opencl = &objects;
    const int failed = records(&params, "opencl:0");
    clReleaseContext(objects.context);
    return failed;
}

int main(void)
{
    return vulkan() || opencl();
}
