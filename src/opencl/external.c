// Memory that file descriptors name: cl_khr_external_memory. OpenCL takes such memory in and hands none out.
#include "opencl.h"
#include <string.h>

// The registry's numbers; older headers lack them.
enum {
    NCL_MEM_DEVICE_HANDLE_LIST = 0x2051,
    NCL_MEM_DEVICE_HANDLE_LIST_END = 0,
    NCL_HANDLE_OPAQUE_FD = 0x2060,
    NCL_HANDLE_DMA_BUF = 0x2067,
    NCL_DEVICE_IMPORT_HANDLE_TYPES = 0x204F,
};

const char *ncl_handle_extension(norma_handle_type type)
{
    return type == NORMA_HANDLE_OPAQUE_FD ? "cl_khr_external_memory_opaque_fd" : "cl_khr_external_memory_dma_buf";
}

// An extension's function; of the platform, since the loader knows none.
static bool find_function(const struct ncl_device *cl, const char *name, void *function)
{
    void *symbol = cl->api->GetExtensionFunctionAddressForPlatform(cl->platform, name);
    memcpy(function, &symbol, sizeof(symbol)); // ISO C has no cast from an object to a function pointer
    return symbol != NULL;
}

void ncl_external_caps(struct ncl_device *cl, struct norma_caps *caps)
{
    cl_uint types[16];
    size_t bytes = 0;
    caps->imports = 0;
    if (!ncl_has_extension(cl, "cl_khr_external_memory") || !cl->api->CreateBufferWithProperties ||
        !find_function(cl, "clEnqueueAcquireExternalMemObjectsKHR", &cl->acquire) ||
        !find_function(cl, "clEnqueueReleaseExternalMemObjectsKHR", &cl->release) ||
        cl->api->GetDeviceInfo(cl->id, NCL_DEVICE_IMPORT_HANDLE_TYPES, sizeof(types), types, &bytes) != CL_SUCCESS)
        return;
    for (size_t i = 0; i < bytes / sizeof(types[0]); i++)
        caps->imports |= types[i] == NCL_HANDLE_OPAQUE_FD ? NORMA_HANDLE_OPAQUE_FD
                         : types[i] == NCL_HANDLE_DMA_BUF ? NORMA_HANDLE_DMA_BUF
                                                          : 0;
}

norma_status ncl_buffer_take(struct norma_device *device, const norma_memory_handle *handle,
                             struct norma_buffer *buffer)
{
    const struct ncl_device *cl = ncl_device(device);
    bool open;
    cl_int code = CL_SUCCESS;
    norma_status status = ncl_check_fork(device);
    if (status != NORMA_OK)
        return status;
    struct ncl_buffer *impl = norma_zalloc(device->allocator, 1, sizeof(*impl));
    if (!impl)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "buffer: host memory");
    const int fd = norma_fd_copy(handle->fd, &open);
    if (fd < 0) {
        norma_free(impl);
        return open ? norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "fd: no descriptor is left for a copy")
                    : norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "fd: %d is not open", (int)handle->fd);
    }
    const ncl_mem_properties properties[] = {handle->type == NORMA_HANDLE_OPAQUE_FD ? NCL_HANDLE_OPAQUE_FD
                                                                                    : NCL_HANDLE_DMA_BUF,
                                             (ncl_mem_properties)fd,
                                             NCL_MEM_DEVICE_HANDLE_LIST,
                                             (ncl_mem_properties)(uintptr_t)cl->id,
                                             NCL_MEM_DEVICE_HANDLE_LIST_END,
                                             0};
    impl->memory =
        cl->api->CreateBufferWithProperties(cl->context, properties, CL_MEM_READ_WRITE, handle->bytes, NULL, &code);
    if (!impl->memory) {
        norma_fd_drop(fd, handle->fd);
        norma_free(impl);
        return ncl_check(code ? code : CL_OUT_OF_RESOURCES, "CreateBufferWithProperties");
    }
    *buffer = (struct norma_buffer){.device = device, .size = handle->bytes, .impl = impl};
    return NORMA_OK;
}

norma_status ncl_enqueue_turn(const struct ncl_device *cl, cl_command_queue queue, const struct norma_command *command,
                              cl_uint wait_count, const cl_event *waits, cl_event *event)
{
    const bool acquire = command->kind == NORMA_COMMAND_ACQUIRE;
    return ncl_check(
        (acquire ? cl->acquire : cl->release)(queue, 1, &ncl_buffer(command->buffer)->memory, wait_count, waits, event),
        acquire ? "EnqueueAcquireExternalMemObjectsKHR" : "EnqueueReleaseExternalMemObjectsKHR");
}
