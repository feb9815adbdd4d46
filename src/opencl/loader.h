// libOpenCL, opened at run time: for each context one table of function pointers, through which every driver call goes,
// so that a test can replace any of them.
#ifndef NORMA_SRC_OPENCL_LOADER_H
#define NORMA_SRC_OPENCL_LOADER_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <norma/status.h>
#include <stdbool.h>

#define NCL_FUNCTIONS(F)                      \
    F(GetPlatformIDs)                         \
    F(GetPlatformInfo)                        \
    F(GetExtensionFunctionAddressForPlatform) \
    F(GetDeviceIDs)                           \
    F(GetDeviceInfo)                          \
    F(CreateContext)                          \
    F(GetContextInfo)                         \
    F(GetCommandQueueInfo)                    \
    F(GetMemObjectInfo)                       \
    F(ReleaseContext)                         \
    F(CreateCommandQueue)                     \
    F(ReleaseCommandQueue)                    \
    F(CreateBuffer)                           \
    F(ReleaseMemObject)                       \
    F(CreateProgramWithSource)                \
    F(BuildProgram)                           \
    F(GetProgramBuildInfo)                    \
    F(ReleaseProgram)                         \
    F(CreateKernel)                           \
    F(GetKernelWorkGroupInfo)                 \
    F(SetKernelArg)                           \
    F(ReleaseKernel)                          \
    F(EnqueueNDRangeKernel)                   \
    F(EnqueueReadBuffer)                      \
    F(EnqueueReadBufferRect)                  \
    F(EnqueueWriteBuffer)                     \
    F(EnqueueWriteBufferRect)                 \
    F(EnqueueFillBuffer)                      \
    F(EnqueueCopyBuffer)                      \
    F(EnqueueMapBuffer)                       \
    F(EnqueueUnmapMemObject)                  \
    F(EnqueueMarkerWithWaitList)              \
    F(Flush)                                  \
    F(Finish)                                 \
    F(WaitForEvents)                          \
    F(GetEventInfo)                           \
    F(GetEventProfilingInfo)                  \
    F(ReleaseEvent)

// Of OpenCL 3.0, which the headers of 1.2 do not declare.
typedef cl_ulong ncl_mem_properties;
typedef cl_mem(CL_API_CALL *ncl_create_with)(cl_context context, const ncl_mem_properties *properties,
                                             cl_mem_flags flags, size_t size, void *host, cl_int *code);

struct ncl_api {
#define NCL_DECLARE(name) __typeof__(cl##name) *name;
    NCL_FUNCTIONS(NCL_DECLARE)
#undef NCL_DECLARE
    ncl_create_with CreateBufferWithProperties; // NULL where the library has none
};

// Called whenever a table was filled. filled.c, which does nothing, is the library's; the tests' own (tests/filled)
// calls the hook, by which a test puts its own functions there: the library has no such variable.
void ncl_api_filled(struct ncl_api *api);
extern void (*ncl_api_hook)(struct ncl_api *api); // the tests' alone. NULL: none

// Fills the table of one context. False where the library or one of its functions is missing. Thread-safe.
bool ncl_load(struct ncl_api *api);

// NORMA_OK for CL_SUCCESS, else norma_fail with the call's name (call may have its arguments behind it) and code.
norma_status ncl_check(cl_int code, const char *call);

// A driver call of the table `api` that returns its code. Needs a `status` and an `error:` label.
#define CL(api, call)                                             \
    do {                                                          \
        if ((status = ncl_check((api)->call, #call)) != NORMA_OK) \
            goto error;                                           \
    } while (0)

#endif
