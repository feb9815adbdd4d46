// A description on an OpenCL context, programs and queue of the test's own.
#include "runner.h"
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAMS = 1024, NAMES = 16 };

// Opened at run time: a machine that tests need not have what one links with.
#define FUNCTIONS(F)           \
    F(GetPlatformIDs)          \
    F(GetDeviceIDs)            \
    F(GetDeviceInfo)           \
    F(CreateContext)           \
    F(ReleaseContext)          \
    F(CreateCommandQueue)      \
    F(ReleaseCommandQueue)     \
    F(CreateBuffer)            \
    F(ReleaseMemObject)        \
    F(CreateProgramWithSource) \
    F(BuildProgram)            \
    F(ReleaseProgram)          \
    F(CreateKernel)            \
    F(ReleaseKernel)           \
    F(SetKernelArg)            \
    F(EnqueueCopyBuffer)       \
    F(EnqueueNDRangeKernel)    \
    F(EnqueueReadBuffer)
static struct {
#define DECLARE(name) __typeof__(cl##name) *name;
    FUNCTIONS(DECLARE)
} cl;

#define CHECK(call)                                                \
    do {                                                           \
        const cl_int result = cl.call;                             \
        if (result != CL_SUCCESS) {                                \
            printf("opencl runner: %s: %d\n", #call, (int)result); \
            return false;                                          \
        }                                                          \
    } while (0)

static cl_device_id device;
static cl_context context;
static cl_command_queue queue;

static struct program {
    const void *code;
    char *kernel_name, *options;
    cl_program handle;
    cl_kernel kernel;
} programs[PROGRAMS];
static size_t program_count;

static bool load(void)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    bool all = library != NULL;
#define LOAD(name)                                              \
    {                                                           \
        void *symbol = all ? dlsym(library, "cl" #name) : NULL; \
        memcpy(&cl.name, &symbol, sizeof(symbol));              \
        all = all && symbol;                                    \
    }
    FUNCTIONS(LOAD)
    if (!all)
        printf("opencl runner: libOpenCL.so.1 is missing, or functions of it\n");
    return all;
}

static bool find_device(const char *name)
{
    cl_platform_id platforms[NAMES];
    cl_device_id devices[NAMES];
    cl_uint platform_count = 0, device_count = 0;
    char text[256];
    CHECK(GetPlatformIDs(NAMES, platforms, &platform_count));
    for (cl_uint p = 0; p < platform_count; p++) {
        if (cl.GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, NAMES, devices, &device_count) != CL_SUCCESS)
            continue;
        for (cl_uint i = 0; i < device_count; i++) {
            CHECK(GetDeviceInfo(devices[i], CL_DEVICE_NAME, sizeof(text), text, NULL));
            device = devices[i];
            if (!strcmp(text, name))
                return true;
        }
    }
    printf("opencl runner: there is no device %s\n", name);
    return false;
}

static bool open_device(const char *name)
{
    cl_int code = CL_SUCCESS;
    if (!load() || !find_device(name))
        return false;
    context = cl.CreateContext(NULL, 1, &device, NULL, NULL, &code);
    if (context)
        queue = cl.CreateCommandQueue(context, device, 0, &code); // in order
    if (!queue)
        printf("opencl runner: context and queue: %d\n", (int)code);
    return queue != NULL;
}

static void close_device(void)
{
    for (size_t i = 0; i < program_count; i++) {
        cl.ReleaseKernel(programs[i].kernel);
        cl.ReleaseProgram(programs[i].handle);
        free(programs[i].kernel_name);
        free(programs[i].options);
    }
    program_count = 0;
    cl.ReleaseCommandQueue(queue);
    cl.ReleaseContext(context);
}

static bool make_program(const norma_dispatch *d, struct program *p)
{
    cl_int code = CL_SUCCESS;
    const char *text = d->code;
    *p = (struct program){d->code, strdup(d->kernel), strdup(d->options), NULL, NULL};
    if (!p->kernel_name || !p->options)
        return false;
    p->handle = cl.CreateProgramWithSource(context, 1, &text, &d->code_size, &code);
    CHECK(BuildProgram(p->handle, 1, &device, d->options, NULL, NULL));
    p->kernel = cl.CreateKernel(p->handle, d->kernel, &code);
    if (!p->kernel)
        printf("opencl runner: %s: %d\n", d->kernel, (int)code);
    return p->kernel != NULL;
}

static const struct program *find_program(const norma_dispatch *d)
{
    for (struct program *p = programs; p < programs + program_count; p++)
        if (p->code == d->code && !strcmp(p->kernel_name, d->kernel) && !strcmp(p->options, d->options))
            return p;
    if (program_count == PROGRAMS || !make_program(d, &programs[program_count]))
        return NULL;
    return &programs[program_count++];
}

static bool enqueue(const norma_dispatch *d, cl_mem buffer, const uint64_t place[RUNNER_PLACES])
{
    cl_ulong begins[NORMA_MAX_BINDINGS];
    size_t global[3], local[3];
    const struct program *p = find_program(d);
    cl_uint index = 0;
    if (!p)
        return false;
    for (; index < d->binding_count; index++) {
        begins[index] = place[d->bindings[index].arg] + d->bindings[index].offset;
        CHECK(SetKernelArg(p->kernel, d->bindings[index].slot, sizeof(cl_mem), &buffer));
    }
    CHECK(SetKernelArg(p->kernel, index, d->table ? d->table_size : d->args_size, d->table ? d->table : d->args));
    CHECK(SetKernelArg(p->kernel, index + 1, d->binding_count * sizeof(cl_ulong), begins));
    for (int i = 0; i < 3; i++) {
        local[i] = d->local[i];
        global[i] = (size_t)d->groups[i] * d->local[i];
    }
    CHECK(EnqueueNDRangeKernel(queue, p->kernel, 3, NULL, global, local, 0, NULL, NULL));
    return true;
}

static bool run_in(cl_mem buffer, const norma_description *plan, unsigned char *memory, uint64_t size,
                   const uint64_t place[RUNNER_PLACES])
{
    if (plan->counted)
        CHECK(EnqueueCopyBuffer(queue, buffer, buffer, place[NORMA_ARG_ROW_COUNT],
                                place[NORMA_ARG_WORKSPACE] + plan->count_offset, sizeof(cl_uint), 0, NULL, NULL));
    for (size_t i = 0; i < plan->dispatch_count; i++)
        if (!enqueue(&plan->dispatches[i], buffer, place))
            return false;
    CHECK(EnqueueReadBuffer(queue, buffer, CL_TRUE, 0, size, memory, 0, NULL, NULL));
    return true;
}

static bool run_plan(const norma_description *plan, unsigned char *memory, uint64_t size,
                     const uint64_t place[RUNNER_PLACES])
{
    cl_int code = CL_SUCCESS;
    cl_mem buffer = cl.CreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, size, memory, &code);
    if (!buffer) {
        printf("opencl runner: a buffer: %d\n", (int)code);
        return false;
    }
    const bool good = run_in(buffer, plan, memory, size, place);
    cl.ReleaseMemObject(buffer);
    return good;
}

const struct runner runner_opencl = {"opencl", open_device, run_plan, close_device};
