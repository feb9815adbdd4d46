// Vulkan objects of a caller's beside device and queue: the pipeline cache, the addresses of buffers, the features that
// were not enabled. Through the public headers alone; Norma's calls pass by this program, whose loader it was given.
#include "external.h"
#include <norma/vulkan.h>
#include <stddef.h>

// SPIR-V's specification: opcodes and capabilities, by number.
enum { HEADER = 5, CAPABILITY = 17, SHADER = 1, NON_UNIFORM = 61, SHUFFLE = 65 };
enum { BLOCK = 4 * PAGE }; // bytes of a buffer

static struct {
    uint32_t compiled, other_cache, destroyed_caches, modules, beyond;
    VkPipelineCache cache; // that every compilation has to name
} seen;

static VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                       const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *allocation, VkPipeline *pipelines)
{
    seen.compiled += count;
    seen.other_cache += cache != seen.cache;
    return vkCreateComputePipelines(device, cache, count, infos, allocation, pipelines);
}

static VKAPI_ATTR void VKAPI_CALL destroy_cache(VkDevice device, VkPipelineCache cache,
                                                const VkAllocationCallbacks *allocation)
{
    seen.destroyed_caches++;
    vkDestroyPipelineCache(device, cache, allocation);
}

// What a module demands that Vulkan 1.1 has without a feature: subgroups' operations are a property.
static VKAPI_ATTR VkResult VKAPI_CALL create_module(VkDevice device, const VkShaderModuleCreateInfo *info,
                                                    const VkAllocationCallbacks *allocation, VkShaderModule *module)
{
    const uint32_t *code = info->pCode;
    seen.modules++;
    for (size_t at = HEADER; at < info->codeSize / 4 && (code[at] & 0xffff) == CAPABILITY; at += code[at] >> 16)
        seen.beyond += code[at + 1] != SHADER && code[at + 1] != NON_UNIFORM && code[at + 1] != SHUFFLE;
    return vkCreateShaderModule(device, info, allocation, module);
}

#define SPY(function, name)    \
    if (!strcmp(wanted, name)) \
    return (PFN_vkVoidFunction)(function)

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_function(VkInstance instance, const char *wanted)
{
    SPY(create_pipelines, "vkCreateComputePipelines");
    SPY(destroy_cache, "vkDestroyPipelineCache");
    SPY(create_module, "vkCreateShaderModule");
    return vkGetInstanceProcAddr(instance, wanted);
}

struct engine {
    norma_vulkan_objects objects;
    norma_context *context;
    norma_device *device;
    VkDeviceMemory memory; // of both buffers, one behind the other
    VkBuffer buffers[2];
    VkDeviceAddress addresses[2];
    norma_buffer *wraps[2];
};

// A device without extensions, and without features but the one that addresses take.
static void create_device(struct engine *e, VkBool32 addresses)
{
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_2};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    VkPhysicalDeviceBufferDeviceAddressFeatures feature = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES, .bufferDeviceAddress = addresses};
    const VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                       .pNext = &feature,
                                       .queueCreateInfoCount = 1,
                                       .pQueueCreateInfos = &queue};
    uint32_t count = 1;
    norma_vulkan_objects *o = &e->objects;
    *e = (struct engine){.objects = NORMA_VULKAN_OBJECTS_DEFAULTS};
    memset(&seen, 0, sizeof seen);
    assert_int_equal(vkCreateInstance(&info, NULL, &o->instance), VK_SUCCESS);
    assert_true(vkEnumeratePhysicalDevices(o->instance, &count, &o->physical_device) >= 0 && count == 1);
    assert_int_equal(vkCreateDevice(o->physical_device, &create, NULL, &o->device), VK_SUCCESS);
    vkGetDeviceQueue(o->device, 0, 0, &o->queue);
    o->get_instance_proc_addr = get_function;
}

static void create_context(struct engine *e)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.vulkan = &e->objects;
    params.device = "vulkan";
    params.cache_dir = "";
    take(norma_context_create(&params, &e->context));
    e->device = external_device(e->context);
}

static void destroy(struct engine *e)
{
    const VkDevice device = e->objects.device;
    for (int i = 0; i < 2; i++) {
        norma_buffer_destroy(&e->wraps[i]);
        vkDestroyBuffer(device, e->buffers[i], NULL);
    }
    norma_context_destroy(&e->context);
    vkFreeMemory(device, e->memory, NULL);
    vkDestroyDevice(device, NULL);
    vkDestroyInstance(e->objects.instance, NULL);
}

// Programs of several kinds: rows, by each variant that compiles in seconds; the strided kernels of a backward.
static void compile_some(struct engine *e, bool variants)
{
    const int64_t shape[] = {ROWS, 4 * COLUMNS}, image[] = {ROWS, 4, COLUMNS}, channels[] = {4};
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT16, 2, shape, NULL);
    const norma_tensor planes = norma_tensor_host(NORMA_FLOAT32, 3, image, NULL);
    const norma_tensor stats = norma_tensor_host(NORMA_FLOAT32, 1, channels, NULL);
    norma_problem rows = NORMA_LAYER_NORM_DEFAULTS, batch = norma_problem_defaults(NORMA_BATCH_NORM);
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    norma_plan *plan = NULL;
    rows.x = rows.y = &x;
    batch.x = batch.dy = batch.dx = &planes;
    batch.mean = batch.rstd = &stats;
    batch.direction = NORMA_BACKWARD;
    batch.training = 1;
    for (size_t i = 0; variants && (params.variant = norma_device_variant(e->device, i)); i++)
        if (strncmp(params.variant, "registers", 9) != 0) { // a CPU driver compiles them for a minute
            const norma_status status = norma_plan_create(e->device, &rows, &params, &plan);
            if (status != NORMA_OK)
                assert_int_equal(status, NORMA_ERROR_UNSUPPORTED);
            norma_plan_destroy(&plan);
        }
    take(norma_plan_create(e->device, &rows, NULL, &plan));
    norma_plan_destroy(&plan);
    take(norma_plan_create(e->device, &batch, NULL, &plan));
    norma_plan_destroy(&plan);
}

static uint32_t programs(const struct engine *e)
{
    norma_device_info info = {.size = sizeof info};
    take(norma_device_get_info(e->device, &info));
    return info.programs;
}

// Every compilation has the caller's cache, or none where he has none; the cache is his, also afterwards. And no module
// is one that the device would have had to be made for, though the driver could: lavapipe has 64-bit integers, and
// Norma's own device uses them.
static void check_objects(bool has_cache)
{
    struct engine e;
    const VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    size_t size = 0;
    create_device(&e, VK_FALSE);
    if (has_cache)
        assert_int_equal(vkCreatePipelineCache(e.objects.device, &info, NULL, &seen.cache), VK_SUCCESS);
    e.objects.pipeline_cache = seen.cache;
    create_context(&e);
    compile_some(&e, has_cache);
    assert_true(programs(&e) > 2);
    assert_true(seen.modules >= programs(&e));
    assert_int_equal(seen.beyond, 0);
    assert_in_range(seen.compiled, programs(&e), 2 * programs(&e)); // as many, and what the driver refused
    assert_int_equal(seen.other_cache, 0);
    norma_context_destroy(&e.context);
    assert_int_equal(seen.destroyed_caches, 0);
    if (has_cache)
        assert_int_equal(vkGetPipelineCacheData(e.objects.device, seen.cache, &size, NULL), VK_SUCCESS);
    vkDestroyPipelineCache(e.objects.device, seen.cache, NULL);
    destroy(&e);
}

static void test_objects(void **state)
{
    (void)state;
    check_objects(true);
    check_objects(false);
}

static uint32_t memory_type(const struct engine *e, uint32_t bits)
{
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkPhysicalDeviceMemoryProperties types;
    uint32_t i = 0;
    vkGetPhysicalDeviceMemoryProperties(e->objects.physical_device, &types);
    while (!(bits >> i & 1) || (types.memoryTypes[i].propertyFlags & wanted) != wanted)
        assert_true(++i < types.memoryTypeCount);
    return i;
}

// Two buffers of one memory, with addresses; returns where the host sees them.
static void *create_buffers(struct engine *e)
{
    const VkDevice device = e->objects.device;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = BLOCK,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                              VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateFlagsInfo addresses = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                                 .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .pNext = &addresses};
    VkMemoryRequirements needs;
    void *mapped;
    for (int i = 0; i < 2; i++)
        assert_int_equal(vkCreateBuffer(device, &info, NULL, &e->buffers[i]), VK_SUCCESS);
    vkGetBufferMemoryRequirements(device, e->buffers[0], &needs);
    assert_int_equal(BLOCK % needs.alignment, 0);
    allocate.allocationSize = BLOCK + needs.size;
    allocate.memoryTypeIndex = memory_type(e, needs.memoryTypeBits);
    assert_int_equal(vkAllocateMemory(device, &allocate, NULL, &e->memory), VK_SUCCESS);
    assert_int_equal(vkMapMemory(device, e->memory, 0, VK_WHOLE_SIZE, 0, &mapped), VK_SUCCESS);
    for (int i = 0; i < 2; i++) {
        VkBufferDeviceAddressInfo of = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = e->buffers[i]};
        assert_int_equal(vkBindBufferMemory(device, e->buffers[i], e->memory, (VkDeviceSize)i * BLOCK), VK_SUCCESS);
        e->addresses[i] = vkGetBufferDeviceAddress(device, &of);
        assert_true(e->addresses[i] != 0);
        take(norma_vulkan_buffer_wrap(e->device, e->buffers[i], BLOCK, e->addresses[i], &e->wraps[i]));
    }
    return mapped;
}

// Records layer norm from the tensor at one address to that at another, submits and waits.
static void run(struct engine *e, norma_tensor *x, norma_tensor *y)
{
    const VkDevice device = e->objects.device;
    const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    const VkMemoryBarrier written = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    VkCommandBufferAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandBufferCount = 1};
    norma_vulkan_record_params record = NORMA_VULKAN_RECORD_DEFAULTS;
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_plan *plan = NULL;
    problem.x = x;
    problem.y = y;
    take(norma_plan_create(e->device, &problem, NULL, &plan));
    take(norma_recorder_create(e->device, NULL, &record.recorder));
    assert_int_equal(vkCreateCommandPool(device, &pool_info, NULL, &allocate.commandPool), VK_SUCCESS);
    assert_int_equal(vkAllocateCommandBuffers(device, &allocate, &record.command_buffer), VK_SUCCESS);
    assert_int_equal(vkBeginCommandBuffer(record.command_buffer, &begin), VK_SUCCESS);
    take(norma_vulkan_record(plan, &problem, &record));
    vkCmdPipelineBarrier(record.command_buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                         &written, 0, NULL, 0, NULL);
    assert_int_equal(vkEndCommandBuffer(record.command_buffer), VK_SUCCESS);
    const VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &record.command_buffer};
    assert_int_equal(vkQueueSubmit(e->objects.queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
    assert_int_equal(vkQueueWaitIdle(e->objects.queue), VK_SUCCESS);
    norma_recorder_destroy(&record.recorder);
    norma_plan_destroy(&plan);
    vkDestroyCommandPool(device, allocate.commandPool, NULL);
}

// Tensors by the driver's addresses: within a buffer, and at the first byte of the one that lies behind another.
static void test_addresses(void **state)
{
    static const int64_t shape[] = {ROWS, COLUMNS};
    static float before[2 * BLOCK / 4], wanted[2 * BLOCK / 4];
    const uint64_t from = PAGE / 2, to[] = {BLOCK, BLOCK - PAGE}; // bytes of the memory
    struct engine e;
    (void)state;
    create_device(&e, VK_TRUE);
    create_context(&e);
    float *memory = create_buffers(&e);
    norma_tensor x = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, NULL, 0), y = x;
    norma_buffer *unknown = NULL;
    for (int i = 0; i < 2; i++) {
        memset(before, 0xab, sizeof before);
        external_fill(before + from / 4, i);
        memcpy(wanted, before, sizeof wanted);
        external_norm(before + from / 4, wanted + to[i] / 4);
        memcpy(memory, before, sizeof before);
        const int target = to[i] >= BLOCK;
        take(norma_vulkan_tensor_at(e.wraps, 2, e.addresses[0] + from, &x));
        take(norma_vulkan_tensor_at(e.wraps, 2, e.addresses[target] + to[i] % BLOCK, &y));
        assert_ptr_equal(x.buffer, e.wraps[0]);
        assert_ptr_equal(y.buffer, e.wraps[target]);
        run(&e, &x, &y);
        external_near(memory + to[i] / 4, wanted + to[i] / 4);
        memcpy(wanted + to[i] / 4, memory + to[i] / 4, PAGE);
        assert_memory_equal(memory, wanted, sizeof wanted); // no byte beside it
    }
    const VkDeviceAddress end = e.addresses[e.addresses[1] > e.addresses[0]] + BLOCK;
    refused(norma_vulkan_tensor_at(e.wraps, 2, end, &x), NORMA_ERROR_INVALID_ARGUMENT, "address:", "2 buffers");
    refused(norma_vulkan_tensor_at(e.wraps, 1, e.addresses[1], &x), NORMA_ERROR_INVALID_ARGUMENT, "address:", "1 buf");
    take(norma_vulkan_buffer_wrap(e.device, e.buffers[0], BLOCK, 0, &unknown)); // its address was not told
    refused(norma_vulkan_tensor_at(&unknown, 1, 16, &x), NORMA_ERROR_INVALID_ARGUMENT, "address:", "0x10");
    norma_buffer_destroy(&unknown);
    destroy(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_objects), cmocka_unit_test(test_addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
