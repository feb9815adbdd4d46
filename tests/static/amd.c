// norma-static-amd: what the compiler of an AMD driver without a device (RADV with RADV_FORCE_FAMILY) makes of every
// Vulkan program: a line each with the kernel, its constants and the driver's figures, tab-separated. For tools/static.
//   norma-static-amd [--few]
#include "context.h"
#include "execute.h"
#include "problem.h"
#include "strided_case.h"
#include <norma/vulkan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROGRAMS = 1024, STATISTICS = 32, BINDINGS = 16, CASES = 1064, SEED = 1 };

#define TYPE(name) .sType = VK_STRUCTURE_TYPE_##name
#define DIE(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))
#define CHECK(call) ((call) == VK_SUCCESS ? (void)0 : DIE("%s failed", #call))
#define NORMA(call) ((call) == NORMA_OK ? (void)0 : DIE("%s: %s", #call, norma_last_error()))

static norma_vulkan_objects objects = NORMA_VULKAN_OBJECTS_DEFAULTS;
static norma_dispatch programs[MOST_PROGRAMS];
static size_t program_count;
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

static bool same(const norma_dispatch *a, const norma_dispatch *b)
{
    bool alike = !strcmp(a->kernel, b->kernel) && a->constant_count == b->constant_count;
    for (uint32_t i = 0; alike && i < a->constant_count; i++)
        alike = a->constants[i].id == b->constants[i].id && a->constants[i].value == b->constants[i].value;
    return alike;
}

static void add(norma_device *device, norma_dispatch dispatch)
{
    NORMA(device->backend->describe(device, &dispatch));
    for (size_t i = 0; i < program_count; i++)
        if (same(&programs[i], &dispatch))
            return;
    if (program_count == MOST_PROGRAMS)
        DIE("over %d programs", MOST_PROGRAMS);
    programs[program_count++] = dispatch;
}

// Rows of that length by each variant that takes them.
static void add_rows(norma_device *device, norma_op op, int64_t n, norma_dtype dtype, bool residual)
{
    const int64_t shape[] = {64, n};
    const norma_tensor x = norma_tensor_host(dtype, 2, shape, NULL);
    norma_problem p = norma_problem_defaults(op);
    struct norma_work work;
    p.x = p.y = &x;
    p.residual = residual ? &x : NULL;
    NORMA(norma_work_from_problem(&p, NORMA_PLACE_NONE, &work));
    const char *name;
    for (size_t i = 0; (name = norma_variant_name(&device->caps, i)) != NULL; i++) {
        const struct norma_plan_options options = norma_execute_options(device, name, NORMA_MEMORY_RESIDENT, 0);
        struct norma_schedule schedule = {0};
        const norma_status status = norma_schedule_programs(&work.rows, &device->caps, &options, &schedule);
        for (size_t k = 0; status == NORMA_OK && k < schedule.dispatch_count; k++)
            add(device, schedule.dispatches[k]);
        norma_schedule_finish(&schedule);
    }
}

// few: of those that hold a row in registers the smallest and the largest team.
static void add_all_rows(norma_device *device, bool few)
{
    static const int64_t all[] = {64, 512, 768, 1024, 2048, 4096, 8192, 16384, 40000, 300000},
                         ends[] = {64, 16384, 40000};
    const int64_t *lengths = few ? ends : all;
    const size_t count = few ? sizeof ends / sizeof *ends : sizeof all / sizeof *all;
    static const norma_dtype dtypes[] = {NORMA_FLOAT32, NORMA_FLOAT16, NORMA_BFLOAT16};
    for (int op = 0; op < 2; op++)
        for (size_t i = 0; i < count; i++)
            for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++)
                for (int residual = 0; residual < 2; residual++)
                    add_rows(device, op ? NORMA_RMS_NORM : NORMA_LAYER_NORM, lengths[i], dtypes[t], residual);
}

// Every operator in each direction, type and layout, as the check suite makes them.
static void add_strided(norma_device *device)
{
    for (uint64_t i = 0; i < CASES; i++) {
        static struct strided_case c;
        norma_tensor views[NORMA_ARG_COUNT];
        norma_dispatch needed[NORMA_FORM_PROGRAMS];
        struct norma_work work;
        strided_case_make(&c, SEED, i);
        for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
            views[arg] = strided_view(&c, (norma_arg)arg, NULL, NULL);
        const norma_problem problem = strided_problem(&c, views);
        if (norma_work_from_problem(&problem, NORMA_PLACE_NONE, &work) != NORMA_OK || !work.strided ||
            work.form.float64 || work.n == 0 || work.groups == 0)
            continue;
        const size_t count = norma_form_programs(&work.form, &device->caps, needed);
        for (size_t k = 0; k < count; k++)
            add(device, needed[k]);
    }
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
    add_all_rows(device, argc > 1 && !strcmp(argv[1], "--few"));
    add_strided(device);
    for (size_t i = 0; i < program_count; i++)
        compile(&programs[i]);
    norma_context_destroy(&context);
    return 0;
}
