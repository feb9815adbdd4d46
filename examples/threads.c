// One plan, recorded by several threads at once, each into a command buffer of its own with a recorder of its own; the
// engine submits what they made. Exits 1 when a result differs from that of norma_plan_run, in a single bit.
#include "engine_vulkan.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 20, ROWS = 40, N = 500, COUNT = ROWS * N };
// Bytes: for each thread x and y, and at the end those of norma_plan_run.
#define TENSOR (COUNT * sizeof(float))

static norma_device *device;
static norma_plan *plan;
static norma_buffer *tensors;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER; // Vulkan wants one submission at a time

// Norma submits as well (the self-test, norma_plan_run), under the same lock.
static void lock(void *user)
{
    pthread_mutex_lock(user);
}

static void unlock(void *user)
{
    pthread_mutex_unlock(user);
}

// The layer norm of part `part`: x at twice that many tensors, y behind it.
static norma_problem problem_of(uint64_t part, norma_tensor *x, norma_tensor *y)
{
    static const int64_t shape[] = {ROWS, N};
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    *x = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, tensors, 2 * part * TENSOR);
    *y = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, tensors, (2 * part + 1) * TENSOR);
    problem.x = x, problem.y = y;
    return problem;
}

static void submit_and_wait(VkCommandBuffer command, VkFence fence)
{
    const VkSubmitInfo submit = {TYPE(SUBMIT_INFO), .commandBufferCount = 1, .pCommandBuffers = &command};
    pthread_mutex_lock(&queue_lock);
    CHECK(vkQueueSubmit(engine.queue, 1, &submit, fence));
    pthread_mutex_unlock(&queue_lock);
    CHECK(vkWaitForFences(engine.device, 1, &fence, VK_TRUE, UINT64_MAX));
    CHECK(vkResetFences(engine.device, 1, &fence));
}

static void *work(void *part)
{
    norma_tensor x, y;
    const norma_problem problem = problem_of(*(uint64_t *)part, &x, &y);
    norma_vulkan_record_params record = NORMA_VULKAN_RECORD_DEFAULTS;
    const VkCommandPoolCreateInfo commands = {TYPE(COMMAND_POOL_CREATE_INFO)};
    const VkFenceCreateInfo unsignalled = {TYPE(FENCE_CREATE_INFO)};
    const VkCommandBufferBeginInfo begin = {TYPE(COMMAND_BUFFER_BEGIN_INFO)};
    VkCommandBufferAllocateInfo allocate = {TYPE(COMMAND_BUFFER_ALLOCATE_INFO), .commandBufferCount = 1};
    VkFence fence;
    CHECK(vkCreateCommandPool(engine.device, &commands, NULL, &allocate.commandPool));
    CHECK(vkAllocateCommandBuffers(engine.device, &allocate, &record.command_buffer));
    CHECK(vkCreateFence(engine.device, &unsignalled, NULL, &fence));
    CHECK(norma_recorder_create(device, NULL, &record.recorder));
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(vkResetCommandPool(engine.device, allocate.commandPool, 0));
        CHECK(vkBeginCommandBuffer(record.command_buffer, &begin));
        CHECK(norma_vulkan_record(plan, &problem, &record));
        end_for_host(record.command_buffer);
        submit_and_wait(record.command_buffer, fence);
        CHECK(norma_recorder_reset(record.recorder)); // the command buffer has executed
    }
    norma_recorder_destroy(&record.recorder);
    return NULL;
}

int main(void)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context;
    norma_event *event;
    norma_tensor x, y;
    pthread_t threads[THREADS];
    uint64_t part[THREADS];
    int wrong = 0;
    prepare_device(NULL);
    char *memory = make_buffer(2 * (THREADS + 1) * TENSOR);
    for (uint64_t p = 0; p <= THREADS; p++)
        for (int i = 0; i < COUNT; i++)
            ((float *)(void *)(memory + 2 * p * TENSOR))[i] = sinf((float)i * 0.7F) + (float)(i % 7);

    engine.lock_queue = lock, engine.unlock_queue = unlock, engine.user = &queue_lock;
    params.vulkan = &engine;
    CHECK(norma_context_create(&params, &context));
    device = norma_context_device(context, 0);
    CHECK(norma_vulkan_buffer_wrap(device, buffer, 2 * (THREADS + 1) * TENSOR, 0, &tensors));
    const norma_problem problem = problem_of(THREADS, &x, &y);
    CHECK(norma_plan_create(device, &problem, NULL, &plan));
    CHECK(norma_plan_run(plan, &problem, &event));
    for (uint64_t p = 0; p < THREADS; p++) {
        part[p] = p;
        CHECK(pthread_create(&threads[p], NULL, work, &part[p]));
    }
    for (int p = 0; p < THREADS; p++)
        CHECK(pthread_join(threads[p], NULL));
    CHECK(norma_event_wait(event));
    norma_event_destroy(&event);
    norma_plan_destroy(&plan);
    norma_buffer_destroy(&tensors);
    norma_context_destroy(&context);
    for (uint64_t p = 0; p < THREADS; p++)
        wrong += memcmp(memory + (2 * p + 1) * TENSOR, memory + (2 * THREADS + 1) * TENSOR, TENSOR) != 0;
    printf("%d threads, %d command buffers each: %d results differ\n", THREADS, ROUNDS, wrong);
    return wrong > 0;
}
