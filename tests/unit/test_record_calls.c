// Which functions of the driver recording calls, what it allocates, and what becomes of a device that it finds lost.
#include "backend.h"
#include "record.h"
#include <stdatomic.h>

#ifdef NORMA_HAVE_VULKAN
#include "vulkan/nvk.h"
#endif
#ifdef NORMA_HAVE_OPENCL
#include "opencl/loader.h"
#endif

enum { RECORDS = 10000, WAYS = KINDS + 3, NO_ROWS = 33 };

// The library's objects are linked with this program by --wrap.
static atomic_ulong allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}

static unsigned long forbidden_calls;

// Stands for every function of a driver that recording has no use for.
static int forbidden(void)
{
    forbidden_calls++;
    return -1;
}

static void forbid(void *functions, size_t size)
{
    int (*const stub)(void) = forbidden;
    for (size_t i = 0; i + sizeof(stub) <= size; i += sizeof(stub))
        memcpy((char *)functions + i, &stub, sizeof(stub));
}

// What the scene's plans are not: rows counted on the device, by one kernel and by several, and no rows at all, whose
// gradients are filled.
struct more {
    norma_plan *split, *empty;
    norma_buffer *count, *workspace;
    norma_problem problem;
    norma_tensor x, weight, dweight, dbias;
};

static void open_more(struct scene *s, struct more *m)
{
    static const int64_t none[] = {0, NO_ROWS}, columns[] = {NO_ROWS};
    const norma_plan_params params = {.size = sizeof params, .variant = "split-local"};
    norma_needs needs = {.size = sizeof needs};
    take(check_guest_buffer(s->guest, s->device, 512, &m->count));
    take(norma_buffer_write(m->count, 0, &(uint32_t){5}, sizeof(uint32_t)));
    take(norma_plan_create(s->device, &s->problem[0], &params, &m->split));
    take(norma_plan_get_needs(m->split, &s->problem[0], &needs));
    assert_true(needs.counted_dispatches > 2);
    take(check_guest_buffer(s->guest, s->device, needs.counted_workspace, &m->workspace));
    m->x = norma_tensor_buffer(NORMA_FLOAT32, 2, none, m->count, 0);
    m->dweight = norma_tensor_buffer(NORMA_FLOAT16, 1, columns, m->count, 66); // begins and ends within a word
    m->dbias = norma_tensor_buffer(NORMA_FLOAT32, 1, columns, m->count, 256);
    m->problem = norma_problem_defaults(NORMA_LAYER_NORM);
    m->problem.direction = NORMA_BACKWARD;
    m->problem.x = m->problem.dy = &m->x;
    m->weight = m->dweight;
    m->weight.offset = 400;
    m->problem.weight = &m->weight;
    m->problem.dweight = &m->dweight;
    m->problem.dbias = &m->dbias;
    take(norma_plan_create(s->device, &m->problem, NULL, &m->empty));
    take(norma_plan_get_needs(m->empty, &m->problem, &needs));
    assert_int_equal(needs.dispatches, 2);
}

static void close_more(struct more *m)
{
    norma_plan_destroy(&m->split);
    norma_plan_destroy(&m->empty);
    norma_buffer_destroy(&m->count);
    norma_buffer_destroy(&m->workspace);
}

static norma_status record_way(struct scene *s, const struct more *m, int i)
{
    const int way = i % WAYS;
    if (way < KINDS)
        return record(s, i);
    const bool counted = way < WAYS - 1;
    s->x[0].shape[0] = s->y[0].shape[0] = 2 + i % (ROWS - 1);
    s->guest->row_count = counted ? m->count : NULL;
    norma_plan *const plan = way == KINDS ? s->plan[0] : counted ? m->split : m->empty;
    const norma_status status =
        s->guest->run(s->guest, plan, counted ? &s->problem[0] : &m->problem, s->recorder, m->workspace, 0);
    s->guest->row_count = NULL;
    return status == NORMA_OK ? norma_recorder_reset(s->recorder) : status;
}

static void record_many(struct scene *s, const struct more *m)
{
    const unsigned long before = allocations, kernels = programs(s);
    forbidden_calls = 0;
    for (int i = 0; i < RECORDS; i++)
        if (record_way(s, m, i) != NORMA_OK)
            fail_msg("record %d: %s", i, norma_last_error());
    assert_int_equal(allocations - before, 0);
    assert_int_equal(forbidden_calls, 0);
    assert_int_equal(programs(s), kernels);
}

#ifdef NORMA_HAVE_VULKAN
static struct nvk_api *vulkan_table;

static void keep_vulkan_table(struct nvk_api *api)
{
    vulkan_table = api;
}

static void test_vulkan_calls(void **state)
{
    struct scene s;
    struct more m;
    (void)state;
    nvk_api_hook = keep_vulkan_table;
    open_scene(&s, check_guest_vulkan);
    nvk_api_hook = NULL;
    open_more(&s, &m);
    struct nvk_api *table = vulkan_table;
    const struct nvk_api real = *table;
    forbid(table, sizeof(*table));
    table->UpdateDescriptorSets = real.UpdateDescriptorSets;
    table->CmdBindPipeline = real.CmdBindPipeline;
    table->CmdBindDescriptorSets = real.CmdBindDescriptorSets;
    table->CmdPushConstants = real.CmdPushConstants;
    table->CmdDispatch = real.CmdDispatch;
    table->CmdDispatchIndirect = real.CmdDispatchIndirect;
    table->CmdPipelineBarrier = real.CmdPipelineBarrier;
    table->CmdFillBuffer = real.CmdFillBuffer; // of what is empty
    table->CmdCopyBuffer = real.CmdCopyBuffer;
    record_many(&s, &m);
    *table = real;
    close_more(&m);
    close_scene(&s);
}
#endif

#ifdef NORMA_HAVE_OPENCL
static struct ncl_api *opencl_table;

static void keep_opencl_table(struct ncl_api *api)
{
    opencl_table = api;
}

static void test_opencl_calls(void **state)
{
    struct scene s;
    struct more m;
    (void)state;
    ncl_api_hook = keep_opencl_table;
    open_scene(&s, check_guest_opencl);
    ncl_api_hook = NULL;
    open_more(&s, &m);
    struct ncl_api *table = opencl_table;
    const struct ncl_api real = *table;
    forbid(table, sizeof(*table));
    table->GetCommandQueueInfo = real.GetCommandQueueInfo;
    table->SetKernelArg = real.SetKernelArg;
    table->EnqueueNDRangeKernel = real.EnqueueNDRangeKernel;
    table->EnqueueCopyBuffer = real.EnqueueCopyBuffer; // of the count
    table->EnqueueFillBuffer = real.EnqueueFillBuffer; // of what is empty
    table->ReleaseEvent = real.ReleaseEvent;
    record_many(&s, &m);
    *table = real;
    close_more(&m);
    close_scene(&s);
}
#endif

// A device that is lost stays lost, also where it was recording that noticed.
#ifdef NORMA_HAVE_VULKAN
static VkResult VKAPI_CALL lost_pool(VkDevice device, const VkDescriptorPoolCreateInfo *info,
                                     const VkAllocationCallbacks *allocation, VkDescriptorPool *pool)
{
    (void)device, (void)info, (void)allocation, (void)pool;
    return VK_ERROR_DEVICE_LOST;
}

static void test_vulkan_lost(void **state)
{
    struct scene s;
    norma_recorder *recorder = NULL;
    (void)state;
    nvk_api_hook = keep_vulkan_table;
    open_scene(&s, check_guest_vulkan);
    nvk_api_hook = NULL;
    take(record(&s, 0));
    const PFN_vkCreateDescriptorPool real = vulkan_table->CreateDescriptorPool;
    vulkan_table->CreateDescriptorPool = lost_pool;
    assert_int_equal(norma_recorder_create(s.device, NULL, &recorder), NORMA_ERROR_DEVICE_LOST);
    assert_null(recorder);
    vulkan_table->CreateDescriptorPool = real;
    refused(record(&s, 0), NORMA_ERROR_DEVICE_LOST, "device: vulkan:0 is lost");
    close_scene(&s);
}
#endif

#ifdef NORMA_HAVE_OPENCL
static cl_int CL_API_CALL lost_kernel(cl_command_queue queue, cl_kernel kernel, cl_uint rank, const size_t *first,
                                      const size_t *global, const size_t *local, cl_uint wait_count,
                                      const cl_event *waits, cl_event *event)
{
    (void)queue, (void)kernel, (void)rank, (void)first, (void)global, (void)local, (void)wait_count, (void)waits;
    (void)event;
    return -9999;
}

static void test_opencl_lost(void **state)
{
    struct scene s;
    (void)state;
    ncl_api_hook = keep_opencl_table;
    open_scene(&s, check_guest_opencl);
    ncl_api_hook = NULL;
    take(record(&s, 0));
    const struct ncl_api real = *opencl_table;
    opencl_table->EnqueueNDRangeKernel = lost_kernel;
    assert_int_equal(record(&s, 0), NORMA_ERROR_DEVICE_LOST);
    *opencl_table = real;
    refused(record(&s, 0), NORMA_ERROR_DEVICE_LOST, "device: opencl:0 is lost");
    close_scene(&s);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef NORMA_HAVE_VULKAN
        cmocka_unit_test(test_vulkan_calls),
        cmocka_unit_test(test_vulkan_lost),
#endif
#ifdef NORMA_HAVE_OPENCL
        cmocka_unit_test(test_opencl_calls),
        cmocka_unit_test(test_opencl_lost),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
