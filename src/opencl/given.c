// A context of the caller's: nothing of it is made here, and nothing released.
#include "opencl.h"
#include "sized.h"

static norma_status check(const norma_opencl_objects *o)
{
    if (!o->context || !o->device)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "opencl: %s is NULL", o->context ? "device" : "context");
    return NORMA_OK;
}

static norma_status check_device(const struct ncl_api *api, const norma_opencl_objects *o, cl_platform_id *platform)
{
    cl_device_id ids[64];
    size_t bytes = 0;
    norma_status status = NORMA_OK;
    CL(api, GetContextInfo(o->context, CL_CONTEXT_DEVICES, sizeof(ids), ids, &bytes));
    for (size_t i = 0; i < bytes / sizeof(ids[0]); i++)
        if (ids[i] == o->device) {
            CL(api, GetDeviceInfo(o->device, CL_DEVICE_PLATFORM, sizeof(*platform), platform, NULL));
            return NORMA_OK;
        }
    status = norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "opencl: device is not of the context");
error:
    return status;
}

norma_status ncl_enumerate_given(norma_context *context, const struct ncl_api *api, const norma_opencl_objects *given,
                                 void (*add)(void *user, struct norma_device *device), void *user)
{
    cl_platform_id platform = NULL;
    norma_opencl_objects objects;
    const norma_opencl_objects *o = &objects;
    norma_status status = NORMA_READ_MEMBER(&objects, given, "opencl", norma_opencl_objects);
    if (status == NORMA_OK)
        status = check(o);
    if (status == NORMA_OK)
        status = check_device(api, o, &platform);
    return status == NORMA_OK ? ncl_add_device(context, api, platform, o->device, 0, add, user) : status;
}

norma_status norma_opencl_buffer_wrap(norma_device *device, cl_mem memory, norma_buffer **out)
{
    cl_context context = NULL;
    size_t size = 0;
    norma_status status = NORMA_OK;
    struct ncl_buffer *impl = NULL;
    norma_buffer *buffer = NULL;
    if (!out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "out: NULL");
    *out = NULL;
    if (!device || device->backend != &norma_backend_opencl || !ncl_device(device)->given)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                          "device: not one of a context that was made on OpenCL objects of the caller's");
    if (!memory)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "memory: NULL");
    CL(ncl_device(device)->api, GetMemObjectInfo(memory, CL_MEM_CONTEXT, sizeof(context), &context, NULL));
    CL(ncl_device(device)->api, GetMemObjectInfo(memory, CL_MEM_SIZE, sizeof(size), &size, NULL));
    if (context != ncl_device(device)->given)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "memory: of another context than the device");
    impl = norma_zalloc(device->allocator, 1, sizeof(*impl));
    buffer = norma_zalloc(device->allocator, 1, sizeof(*buffer));
    if (!impl || !buffer) {
        status = norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "buffer: host memory");
        goto error;
    }
    *impl = (struct ncl_buffer){.memory = memory, .borrowed = true};
    *buffer = (norma_buffer){.device = device, .size = size, .impl = impl};
    *out = buffer;
    return NORMA_OK;
error:
    norma_free(impl);
    norma_free(buffer);
    return status;
}
