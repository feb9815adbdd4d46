#include "loader.h"
#include "backend.h"
#include <string.h>

// The library stays open: drivers keep threads and exit handlers that do not survive being unmapped.
bool ncl_load(struct ncl_api *api)
{
    void *library = norma_open_opencl();
    if (!library)
        return false;
    void *symbol;
// A function pointer does not convert from void * in ISO C; POSIX wants their representations the same.
#define NCL_LOOK_UP(name)                                      \
    if (!(symbol = norma_library_symbol(library, "cl" #name))) \
        return false;                                          \
    memcpy(&api->name, &symbol, sizeof(symbol));
    NCL_FUNCTIONS(NCL_LOOK_UP)
#undef NCL_LOOK_UP
    symbol = norma_library_symbol(library, "clCreateBufferWithProperties");
    memcpy(&api->CreateBufferWithProperties, &symbol, sizeof(symbol));
    ncl_api_filled(api);
    return true;
}

static const char *code_name(cl_int code)
{
    switch (code) {
#define NCL_CODE(name) \
    case name:         \
        return #name;
        NCL_CODE(CL_DEVICE_NOT_FOUND)
        NCL_CODE(CL_DEVICE_NOT_AVAILABLE)
        NCL_CODE(CL_COMPILER_NOT_AVAILABLE)
        NCL_CODE(CL_MEM_OBJECT_ALLOCATION_FAILURE)
        NCL_CODE(CL_OUT_OF_RESOURCES)
        NCL_CODE(CL_OUT_OF_HOST_MEMORY)
        NCL_CODE(CL_BUILD_PROGRAM_FAILURE)
        NCL_CODE(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
        NCL_CODE(CL_INVALID_VALUE)
        NCL_CODE(CL_INVALID_CONTEXT)
        NCL_CODE(CL_INVALID_COMMAND_QUEUE)
        NCL_CODE(CL_INVALID_MEM_OBJECT)
        NCL_CODE(CL_INVALID_KERNEL_ARGS)
        NCL_CODE(CL_INVALID_WORK_GROUP_SIZE)
        NCL_CODE(CL_INVALID_BUFFER_SIZE)
        NCL_CODE(CL_INVALID_HOST_PTR)
#undef NCL_CODE
    default:
        return "";
    }
}

static norma_status status_of(cl_int code)
{
    switch (code) {
    case CL_OUT_OF_RESOURCES:
    case CL_OUT_OF_HOST_MEMORY:
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
        return NORMA_ERROR_OUT_OF_MEMORY;
    case CL_DEVICE_NOT_AVAILABLE:
    case CL_INVALID_COMMAND_QUEUE: // NVIDIA's, after a fault on the device
    case -9999:                    // NVIDIA's, for an access outside a buffer
        return NORMA_ERROR_DEVICE_LOST;
    default:
        return NORMA_ERROR_DEVICE;
    }
}

norma_status ncl_check(cl_int code, const char *call)
{
    if (code == CL_SUCCESS)
        return NORMA_OK;
    return norma_fail(status_of(code), "cl%.*s: %d %s", (int)strcspn(call, "("), call, code, code_name(code));
}
