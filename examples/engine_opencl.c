// An engine's own OpenCL context, out-of-order queue and matmul, with a layer norm of Norma's between two of them:
// events order the three, and nothing waits until the end. Exits 1 when the result differs from the same on the host.
#define CL_TARGET_OPENCL_VERSION 120
#include <math.h>
#include <norma/norma.h>
#include <norma/opencl.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 48, N = 64, COUNT = ROWS * N, SQUARE = N * N };

// The driver takes back what this program has at its end: nothing of OpenCL is released one by one.
#define CHECK(call) ((call) == 0 ? (void)0 : (fprintf(stderr, "%s failed: %s\n", #call, norma_last_error()), exit(1)))

static const char matmul_source[] =
    "kernel void matmul(global const float *a, global const float *b, global float *c)\n"
    "{\n"
    "    const size_t i = get_global_id(0), n = 64;\n"
    "    float sum = 0;\n"
    "    for (size_t k = 0; k < n; k++)\n"
    "        sum += a[i / n * n + k] * b[k * n + i % n];\n"
    "    c[i] = sum;\n"
    "}\n";

static norma_opencl_objects engine = NORMA_OPENCL_OBJECTS_DEFAULTS;
static cl_command_queue queue;
static cl_kernel matmul;

static void prepare(void)
{
    const char *source = matmul_source;
    cl_platform_id platform;
    cl_int code;
    CHECK(clGetPlatformIDs(1, &platform, NULL));
    CHECK(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &engine.device, NULL));
    engine.context = clCreateContext(NULL, 1, &engine.device, NULL, NULL, &code);
    CHECK(code);
    queue = clCreateCommandQueue(engine.context, engine.device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    CHECK(code);
    const cl_program program = clCreateProgramWithSource(engine.context, 1, &source, NULL, &code);
    CHECK(code);
    CHECK(clBuildProgram(program, 1, &engine.device, "", NULL, NULL));
    matmul = clCreateKernel(program, "matmul", &code);
    CHECK(code);
}

// With those values where there are any.
static cl_mem create(size_t floats, float *values)
{
    cl_int code;
    const cl_mem_flags flags = CL_MEM_READ_WRITE | (values ? CL_MEM_COPY_HOST_PTR : 0);
    const cl_mem memory = clCreateBuffer(engine.context, flags, floats * sizeof(float), values, &code);
    CHECK(code);
    return memory;
}

static cl_event multiply(cl_mem a, cl_mem b, cl_mem c, const cl_event *before)
{
    const size_t size = COUNT;
    cl_event done;
    CHECK(clSetKernelArg(matmul, 0, sizeof(a), &a));
    CHECK(clSetKernelArg(matmul, 1, sizeof(b), &b));
    CHECK(clSetKernelArg(matmul, 2, sizeof(c), &c));
    CHECK(clEnqueueNDRangeKernel(queue, matmul, 1, NULL, &size, NULL, before ? 1 : 0, before, &done));
    return done;
}

// out = layer_norm(x * w1) * w2 for one row; the largest difference from what the device made of it.
static double compare(const float *x, const float *w1, const float *w2, const float *out)
{
    double a[N] = {0}, mean = 0, var = 0, worst = 0;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            a[i] += (double)x[k] * w1[k * N + i];
    for (int i = 0; i < N; i++)
        mean += a[i] / N;
    for (int i = 0; i < N; i++)
        var += (a[i] - mean) * (a[i] - mean) / N;
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < N; k++)
            sum += (a[k] - mean) / sqrt(var + 1e-5) * w2[k * N + i];
        worst = fmax(worst, fabs(sum - (double)out[i]));
    }
    return worst;
}

int main(void)
{
    static float x[COUNT], w1[SQUARE], w2[SQUARE], out[COUNT];
    const int64_t shape[] = {ROWS, N};
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_opencl_enqueue_params enqueue = NORMA_OPENCL_ENQUEUE_DEFAULTS;
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_context *context;
    norma_buffer *a, *y;
    norma_plan *plan;
    cl_event normalised;
    double worst = 0;
    for (int i = 0; i < COUNT; i++)
        x[i] = sinf((float)i * 0.7F);
    for (int i = 0; i < SQUARE; i++)
        w1[i] = sinf((float)i * 0.3F), w2[i] = cosf((float)i * 0.9F);
    prepare();
    const cl_mem memory[] = {create(COUNT, x),    create(SQUARE, w1), create(COUNT, NULL),
                             create(COUNT, NULL), create(SQUARE, w2), create(COUNT, NULL)};

    params.opencl = &engine;
    CHECK(norma_context_create(&params, &context));
    norma_device *device = norma_context_device(context, 0);
    CHECK(norma_opencl_buffer_wrap(device, memory[2], &a));
    CHECK(norma_opencl_buffer_wrap(device, memory[3], &y));
    const norma_tensor ta = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, a, 0);
    const norma_tensor ty = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, y, 0);
    problem.x = &ta, problem.y = &ty;
    CHECK(norma_plan_create(device, &problem, NULL, &plan)); // builds; enqueueing does not
    CHECK(norma_recorder_create(device, NULL, &enqueue.recorder));

    const cl_event first = multiply(memory[0], memory[1], memory[2], NULL);
    enqueue.queue = queue; // rows this short need no workspace: norma_plan_get_needs says so
    enqueue.wait_list = &first, enqueue.wait_count = 1, enqueue.event = &normalised;
    CHECK(norma_opencl_enqueue(plan, &problem, &enqueue));
    const cl_event last = multiply(memory[3], memory[4], memory[5], &normalised);
    CHECK(clEnqueueReadBuffer(queue, memory[5], CL_TRUE, 0, sizeof(out), out, 1, &last, NULL));
    norma_recorder_destroy(&enqueue.recorder);
    norma_plan_destroy(&plan);
    norma_buffer_destroy(&a);
    norma_buffer_destroy(&y);
    norma_context_destroy(&context);

    for (int row = 0; row < ROWS; row++)
        worst = fmax(worst, compare(x + row * N, w1, w2, out + row * N));
    printf("largest difference: %g\n", worst);
    return worst < 1e-3 ? 0 : 1;
}
