// An engine's own Vulkan device, command buffer and matmul, with a layer norm of Norma's between two of them: one
// command buffer, one submission, no copy. Exits 1 when the result differs from the same on the host.
#include "engine_vulkan.h"
#include <math.h>

enum { ROWS = 48, N = 64, COUNT = ROWS * N, PLACES = 6, PLACE = 1 << 16 }; // PLACE: bytes for a tensor
enum place { X, W1, A, Y, W2, OUT };                                       // out = layer_norm(x * w1) * w2

static const uint32_t matmul_code[] =
#include "matmul.inc"
    ;

static VkCommandBuffer command;
static VkPipelineLayout layout;
static VkPipeline matmul;
static VkDescriptorSet sets[2];

// The engine's own pipeline, with a descriptor set for each of its two uses.
static void prepare_matmul(void)
{
    const VkDescriptorType storage = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    static const uint32_t places[2][3] = {{X, W1, A}, {Y, W2, OUT}};
    VkDescriptorSetLayoutBinding slots[3];
    for (uint32_t i = 0; i < 3; i++)
        slots[i] = (VkDescriptorSetLayoutBinding){i, storage, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkDescriptorSetLayoutCreateInfo set = {TYPE(DESCRIPTOR_SET_LAYOUT_CREATE_INFO), NULL, 0, 3, slots};
    const VkDescriptorPoolSize size = {storage, 6};
    const VkDescriptorPoolCreateInfo pools = {TYPE(DESCRIPTOR_POOL_CREATE_INFO), NULL, 0, 2, 1, &size};
    const VkShaderModuleCreateInfo code = {TYPE(SHADER_MODULE_CREATE_INFO), NULL, 0, sizeof(matmul_code), matmul_code};
    VkDescriptorSetLayout both[2];
    VkDescriptorPool pool;
    VkShaderModule module;
    CHECK(vkCreateDescriptorSetLayout(engine.device, &set, NULL, &both[0]));
    both[1] = both[0];
    const VkPipelineLayoutCreateInfo of = {TYPE(PIPELINE_LAYOUT_CREATE_INFO), NULL, 0, 1, both, 0, NULL};
    CHECK(vkCreatePipelineLayout(engine.device, &of, NULL, &layout));
    CHECK(vkCreateShaderModule(engine.device, &code, NULL, &module));
    const VkPipelineShaderStageCreateInfo stage = {
        TYPE(PIPELINE_SHADER_STAGE_CREATE_INFO), NULL, 0, VK_SHADER_STAGE_COMPUTE_BIT, module, "main", NULL};
    const VkComputePipelineCreateInfo info = {
        TYPE(COMPUTE_PIPELINE_CREATE_INFO), NULL, 0, stage, layout, VK_NULL_HANDLE, 0};
    CHECK(vkCreateComputePipelines(engine.device, VK_NULL_HANDLE, 1, &info, NULL, &matmul));
    CHECK(vkCreateDescriptorPool(engine.device, &pools, NULL, &pool));
    const VkDescriptorSetAllocateInfo allocate = {TYPE(DESCRIPTOR_SET_ALLOCATE_INFO), NULL, pool, 2, both};
    CHECK(vkAllocateDescriptorSets(engine.device, &allocate, sets));
    for (uint32_t i = 0; i < 6; i++) {
        const VkDescriptorBufferInfo range = {buffer, places[i / 3][i % 3] * (VkDeviceSize)PLACE, PLACE};
        const VkWriteDescriptorSet to = {
            TYPE(WRITE_DESCRIPTOR_SET), NULL, sets[i / 3], i % 3, 0, 1, storage, NULL, &range};
        vkUpdateDescriptorSets(engine.device, 1, &to, 0, NULL);
    }
}

static void record_matmul(VkDescriptorSet set)
{
    vkCmdBindPipeline(command, VK_PIPELINE_BIND_POINT_COMPUTE, matmul);
    vkCmdBindDescriptorSets(command, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
    vkCmdDispatch(command, COUNT / 64, 1, 1);
}

// The barriers around Norma's commands are the engine's.
static void barrier(void)
{
    const VkMemoryBarrier memory = {TYPE(MEMORY_BARRIER), NULL, VK_ACCESS_SHADER_WRITE_BIT,
                                    VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    const VkPipelineStageFlags compute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    vkCmdPipelineBarrier(command, compute, compute, 0, 1, &memory, 0, NULL, 0, NULL);
}

// layer_norm(a) * w2 on the host, the largest difference from out.
static double compare(const float *a, const float *w2, const float *out)
{
    double y[N], worst = 0;
    for (const float *end = a + COUNT; a < end; a += N, out += N) {
        double mean = 0, var = 0;
        for (int i = 0; i < N; i++)
            mean += (double)a[i] / N;
        for (int i = 0; i < N; i++)
            var += (a[i] - mean) * (a[i] - mean) / N;
        for (int i = 0; i < N; i++)
            y[i] = (a[i] - mean) / sqrt(var + 1e-5);
        for (int i = 0; i < N; i++) {
            double sum = 0;
            for (int k = 0; k < N; k++)
                sum += y[k] * w2[k * N + i];
            worst = fmax(worst, fabs(sum - (double)out[i]));
        }
    }
    return worst;
}

int main(void)
{
    const int64_t shape[] = {ROWS, N};
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_vulkan_record_params record = NORMA_VULKAN_RECORD_DEFAULTS;
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_context *context;
    norma_buffer *tensors;
    norma_plan *plan;
    prepare_device(NULL);
    float *memory = make_buffer(PLACES * PLACE);
    for (int i = 0; i < PLACES * PLACE / 4; i++)
        memory[i] = sinf((float)i * 0.7F);
    prepare_matmul();

    params.vulkan = &engine;
    CHECK(norma_context_create(&params, &context));
    norma_device *device = norma_context_device(context, 0);
    CHECK(norma_vulkan_buffer_wrap(device, buffer, PLACES * PLACE, 0, &tensors));
    const norma_tensor a = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, tensors, A * PLACE);
    const norma_tensor y = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, tensors, Y * PLACE);
    problem.x = &a, problem.y = &y;
    CHECK(norma_plan_create(device, &problem, NULL, &plan)); // compiles; recording does not
    CHECK(norma_recorder_create(device, NULL, &record.recorder));

    const VkCommandPoolCreateInfo commands = {TYPE(COMMAND_POOL_CREATE_INFO)};
    const VkCommandBufferBeginInfo begin = {TYPE(COMMAND_BUFFER_BEGIN_INFO)};
    VkCommandBufferAllocateInfo allocate = {TYPE(COMMAND_BUFFER_ALLOCATE_INFO), .commandBufferCount = 1};
    CHECK(vkCreateCommandPool(engine.device, &commands, NULL, &allocate.commandPool));
    CHECK(vkAllocateCommandBuffers(engine.device, &allocate, &command));
    CHECK(vkBeginCommandBuffer(command, &begin));
    record_matmul(sets[0]);
    barrier();
    record.command_buffer = command; // rows this short need no workspace: norma_plan_get_needs says so
    CHECK(norma_vulkan_record(plan, &problem, &record));
    barrier();
    record_matmul(sets[1]);
    end_for_host(command);
    const VkSubmitInfo submit = {TYPE(SUBMIT_INFO), .commandBufferCount = 1, .pCommandBuffers = &command};
    CHECK(vkQueueSubmit(engine.queue, 1, &submit, VK_NULL_HANDLE));
    CHECK(vkQueueWaitIdle(engine.queue));
    norma_recorder_destroy(&record.recorder);
    norma_plan_destroy(&plan);
    norma_buffer_destroy(&tensors);
    norma_context_destroy(&context);

    const int step = PLACE / sizeof(float);
    const double worst = compare(memory + A * step, memory + W2 * step, memory + OUT * step);
    printf("largest difference: %g\n", worst);
    return worst < 1e-4 ? 0 : 1;
}
