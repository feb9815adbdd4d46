// One OpenCL plan, enqueued by several threads at once on queues of their own, in order and out of order, and by two on
// one queue, while Norma runs it too: the bits are those of a run alone.
#include "external.h"
#include <norma/opencl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 60, KINDS = 3, SAMPLES = 8, CHANNELS = 12, SPACE = 48, N = CHANNELS * SPACE };
enum { FLOATS = SAMPLES * N, BYTES = FLOATS * 4, MOST = 1 << 20 }; // MOST: bytes of workspace

static struct {
    norma_opencl_objects objects;
    norma_context *context;
    norma_device *device;
    cl_mem memory;       // x, then y of each thread and of Norma's own runs
    norma_buffer *whole; // as Norma's
    norma_plan *plan[KINDS];
    float expected[KINDS][SAMPLES][FLOATS]; // of the first samples of x
} scene;
static atomic_int failures, differences;

struct problem {
    norma_problem problem;
    norma_tensor x, y;
};

// Rows, groups of channels, channels over all samples: y at the place of that number.
static void make_problem(struct problem *p, int kind, int samples, int place)
{
    static const norma_op ops[KINDS] = {NORMA_LAYER_NORM, NORMA_GROUP_NORM, NORMA_BATCH_NORM};
    const int64_t shape[] = {samples, CHANNELS, SPACE}, rows[] = {samples, N};
    p->x = norma_tensor_buffer(NORMA_FLOAT32, kind ? 3 : 2, kind ? shape : rows, scene.whole, 0);
    p->y = p->x;
    p->y.offset = (uint64_t)(1 + place) * BYTES;
    p->problem = norma_problem_defaults(ops[kind]);
    p->problem.x = &p->x;
    p->problem.y = &p->y;
    p->problem.num_groups = kind == 1 ? 3 : 0;
    p->problem.training = kind == 2;
}

static cl_command_queue open_queue(int out_of_order)
{
    cl_int code;
    const cl_command_queue queue = clCreateCommandQueue(
        scene.objects.context, scene.objects.device, out_of_order ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0, &code);
    assert_int_equal(code, CL_SUCCESS);
    return queue;
}

static void open_scene(void)
{
    static float x[FLOATS];
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_opencl_objects *o = &scene.objects;
    cl_platform_id platform;
    cl_int code;
    *o = (norma_opencl_objects)NORMA_OPENCL_OBJECTS_DEFAULTS;
    assert_int_equal(clGetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
    assert_int_equal(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &o->device, NULL), CL_SUCCESS);
    o->context = clCreateContext(NULL, 1, &o->device, NULL, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    for (int i = 0; i < FLOATS; i++)
        x[i] = (float)(i * 37 % 1009) / 128.0F - 3.0F;
    scene.memory = clCreateBuffer(o->context, CL_MEM_READ_WRITE, (2 + THREADS) * (size_t)BYTES, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    params.opencl = o;
    params.device = "opencl";
    params.cache_dir = "";
    take(norma_context_create(&params, &scene.context));
    scene.device = external_device(scene.context);
    take(norma_opencl_buffer_wrap(scene.device, scene.memory, &scene.whole));
    take(norma_buffer_write(scene.whole, 0, x, BYTES));
}

// Alone, by Norma's own queue.
static void run_alone(int kind)
{
    struct problem p;
    norma_needs needs = {.size = sizeof needs};
    make_problem(&p, kind, SAMPLES, THREADS);
    take(norma_plan_create(scene.device, &p.problem, NULL, &scene.plan[kind]));
    take(norma_plan_get_needs(scene.plan[kind], &p.problem, &needs));
    assert_true(needs.workspace <= MOST);
    for (int samples = 1; samples <= SAMPLES; samples++) {
        norma_event *event = NULL;
        make_problem(&p, kind, samples, THREADS);
        take(norma_plan_run(scene.plan[kind], &p.problem, &event));
        take(norma_event_wait(event));
        norma_event_destroy(&event);
        take(norma_buffer_read(scene.whole, p.y.offset, scene.expected[kind][samples - 1], (size_t)samples * N * 4));
    }
}

struct caller {
    pthread_t thread;
    int place;
    cl_command_queue queue;
};

// cmocka's checks are for its own thread.
static void *work(void *user)
{
    const struct caller *caller = user;
    const int place = caller->place;
    float y[FLOATS];
    cl_int code;
    norma_buffer *workspace = NULL;
    norma_opencl_enqueue_params params = NORMA_OPENCL_ENQUEUE_DEFAULTS;
    const cl_mem memory = clCreateBuffer(scene.objects.context, CL_MEM_READ_WRITE, MOST, NULL, &code);
    failures += code != CL_SUCCESS || norma_opencl_buffer_wrap(scene.device, memory, &workspace) != NORMA_OK ||
                norma_recorder_create(scene.device, NULL, &params.recorder) != NORMA_OK;
    params.queue = caller->queue;
    params.workspace = workspace;
    for (int i = 0; i < ROUNDS && failures == 0; i++) {
        const int kind = (i + place) % KINDS, samples = 1 + (i * 5 + place) % SAMPLES;
        struct problem p;
        cl_event done = NULL;
        make_problem(&p, kind, samples, place);
        params.event = &done;
        failures += norma_opencl_enqueue(scene.plan[kind], &p.problem, &params) != NORMA_OK ||
                    clEnqueueReadBuffer(params.queue, scene.memory, CL_TRUE, p.y.offset, (size_t)samples * N * 4, y, 1,
                                        &done, NULL) != CL_SUCCESS;
        differences += memcmp(y, scene.expected[kind][samples - 1], (size_t)samples * N * 4) != 0;
        if (done)
            clReleaseEvent(done);
    }
    norma_recorder_destroy(&params.recorder);
    norma_buffer_destroy(&workspace);
    clReleaseMemObject(memory);
    return NULL;
}

static void test_threads(void **state)
{
    struct caller callers[THREADS];
    (void)state;
    open_scene();
    for (int kind = 0; kind < KINDS; kind++)
        run_alone(kind);
    for (int i = 0; i < THREADS; i++) {
        callers[i].place = i;
        const bool shares = i == THREADS - 1;
        callers[i].queue = shares ? callers[1].queue : open_queue(i % 2);
        if (shares)
            clRetainCommandQueue(callers[i].queue); // out of order
        assert_int_equal(pthread_create(&callers[i].thread, NULL, work, &callers[i]), 0);
    }
    for (int i = 0; i < ROUNDS; i++) { // beside them
        struct problem p;
        norma_event *event = NULL;
        make_problem(&p, i % KINDS, 1 + i % SAMPLES, THREADS);
        take(norma_plan_run(scene.plan[i % KINDS], &p.problem, &event));
        take(norma_event_wait(event));
        norma_event_destroy(&event);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        clReleaseCommandQueue(callers[i].queue);
    }
    assert_int_equal(failures, 0);
    assert_int_equal(differences, 0);
    for (int kind = 0; kind < KINDS; kind++)
        norma_plan_destroy(&scene.plan[kind]);
    norma_buffer_destroy(&scene.whole);
    norma_context_destroy(&scene.context);
    clReleaseMemObject(scene.memory);
    clReleaseContext(scene.objects.context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
