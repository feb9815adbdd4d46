// norma-static-amd: what the compiler of an AMD driver without a device (RADV with RADV_FORCE_FAMILY) makes of every
// Vulkan program: a line each with the kernel, its constants and the driver's figures, tab-separated. For tools/static.
//   norma-static-amd [--few]
#include "programs.h"
#include <norma/vulkan.h>
#include <string.h>

enum { STATISTICS = 32, BINDINGS = 16 };

#define TYPE(name) .sType = VK_STRUCTURE_TYPE_##name
#define CHECK(call) ((call) == VK_SUCCESS ? (void)0 : DIE("%s failed", #call))

static norma_vulkan_objects objects = NORMA_VULKAN_OBJECTS_DEFAULTS;
static VkDescriptorSetLayout set;
static VkPipelineLayout layout;

static void open_device(void)
{
    const VkApplicationInfo application = {TYPE(APPLICATION_INFO), .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {TYPE(INSTANCE_CREATE_INFO), .pApplicationInfo = &application};
    static const char *const extensions[] = {VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME,
                                             VK_KHR_SHADER_FLOAT_CONTROLS_EXTENSION_NAME};
    const VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR told = {
        TYPE(PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR), .pipelineExecutableInfo = VK_TRUE};
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {TYPE(DEVICE_QUEUE_CREATE_INFO), .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo create = {TYPE(DEVICE_CREATE_INFO),   .pNext = &told,
                                       .queueCreateInfoCount = 1,  .pQueueCreateInfos = &queue,
                                       .enabledExtensionCount = 2, .ppEnabledExtensionNames = extensions};
    uint32_t one = 1;
    CHECK(vkCreateInstance(&info, NULL, &objects.instance));
    if (vkEnumeratePhysicalDevices(objects.instance, &one, &objects.physical_device) < 0 || one == 0)
        DIE("no Vulkan device: RADV_FORCE_FAMILY and VK_ICD_FILENAMES say which");
    CHECK(vkCreateDevice(objects.physical_device, &create, NULL, &objects.device));
    objects.get_instance_proc_addr = vkGetInstanceProcAddr;
    objects.extensions = extensions;
    objects.extension_count = 2;
}

static void create_layout(void)
{
    VkDescriptorSetLayoutBinding bindings[BINDINGS];
    for (uint32_t i = 0; i < BINDINGS; i++)
        bindings[i] =
            (VkDescriptorSetLayoutBinding){i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkDescriptorSetLayoutCreateInfo info = {TYPE(DESCRIPTOR_SET_LAYOUT_CREATE_INFO), .bindingCount = BINDINGS,
                                                  .pBindings = bindings};
    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, NORMA_ARGS_BYTES};
    CHECK(vkCreateDescriptorSetLayout(objects.device, &info, NULL, &set));
    const VkPipelineLayoutCreateInfo all = {TYPE(PIPELINE_LAYOUT_CREATE_INFO), .setLayoutCount = 1, .pSetLayouts = &set,
                                            .pushConstantRangeCount = 1, .pPushConstantRanges = &range};
    CHECK(vkCreatePipelineLayout(objects.device, &all, NULL, &layout));
}

static void print_figures(VkPipeline pipeline)
{
    PFN_vkGetPipelineExecutableStatisticsKHR get = (PFN_vkGetPipelineExecutableStatisticsKHR)vkGetDeviceProcAddr(
        objects.device, "vkGetPipelineExecutableStatisticsKHR");
    VkPipelineExecutableStatisticKHR list[STATISTICS];
    const VkPipelineExecutableInfoKHR info = {TYPE(PIPELINE_EXECUTABLE_INFO_KHR), .pipeline = pipeline};
    uint32_t count = STATISTICS;
    for (uint32_t i = 0; i < STATISTICS; i++)
        list[i] = (VkPipelineExecutableStatisticKHR){TYPE(PIPELINE_EXECUTABLE_STATISTIC_KHR)};
    if (!get || get(objects.device, &info, &count, list) < 0)
        DIE("the driver tells no figures");
    for (uint32_t i = 0; i < count; i++)
        if (list[i].format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR)
            printf("\t%s=%llu", list[i].name, (unsigned long long)list[i].value.u64);
    putchar('\n');
}

static void compile(const norma_dispatch *d)
{
    const VkShaderModuleCreateInfo code = {TYPE(SHADER_MODULE_CREATE_INFO), .codeSize = d->code_size, .pCode = d->code};
    VkSpecializationMapEntry entries[NORMA_MAX_CONSTANTS];
    uint32_t values[NORMA_MAX_CONSTANTS];
    for (uint32_t i = 0; i < d->constant_count; i++) {
        entries[i] = (VkSpecializationMapEntry){d->constants[i].id, 4 * i, 4};
        values[i] = d->constants[i].value;
    }
    const VkSpecializationInfo constants = {d->constant_count, entries, sizeof values, values};
    VkShaderModule module;
    VkPipeline pipeline;
    CHECK(vkCreateShaderModule(objects.device, &code, NULL, &module));
    const VkComputePipelineCreateInfo info = {
        TYPE(COMPUTE_PIPELINE_CREATE_INFO), .flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR,
        .stage = {TYPE(PIPELINE_SHADER_STAGE_CREATE_INFO), .stage = VK_SHADER_STAGE_COMPUTE_BIT, .module = module,
                  .pName = "main", .pSpecializationInfo = &constants},
        .layout = layout};
    CHECK(vkCreateComputePipelines(objects.device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
    printf("%s\t", d->kernel);
    for (uint32_t i = 0; i < d->constant_count; i++)
        printf("%s%s=%u", i ? " " : "", d->constants[i].name, values[i]);
    print_figures(pipeline);
    vkDestroyPipeline(objects.device, pipeline, NULL);
    vkDestroyShaderModule(objects.device, module, NULL);
}

int main(int argc, char **argv)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context;
    open_device();
    create_layout();
    params.device = "vulkan";
    params.vulkan = &objects;
    params.cache_dir = "";
    NORMA(norma_context_create(&params, &context));
    norma_device *device = norma_context_device(context, 0);
    NORMA(norma_device_ready(device));
    device->caps.subgroup_shuffle = true; // only a self-test could vouch for it, which takes a device that runs
    const norma_dispatch *programs;
    const size_t count = static_programs(device, argc > 1 && !strcmp(argv[1], "--few"), &programs);
    for (size_t i = 0; i < count; i++)
        compile(&programs[i]);
    norma_context_destroy(&context);
    return 0;
}
