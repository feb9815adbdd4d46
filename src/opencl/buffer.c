#include "opencl.h"

// Drivers do not always enforce their own limit, and some change it while they run: ask, compare, then call.
static norma_status check_size(const struct ncl_device *cl, uint64_t size)
{
    cl_ulong limit = 0;
    norma_status status = NORMA_OK;
    CL(cl->api, GetDeviceInfo(cl->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(limit), &limit, NULL));
    if (size > limit)
        status =
            norma_fail(NORMA_ERROR_UNSUPPORTED, "size: %llu bytes are over the driver's largest allocation of %llu",
                       (unsigned long long)size, (unsigned long long)limit);
error:
    return status;
}

static norma_status make(struct norma_device *device, cl_mem_flags flags, void *host, uint64_t size,
                         struct norma_buffer *buffer)
{
    const struct ncl_device *cl = ncl_device(device);
    cl_int code = CL_SUCCESS;
    norma_status status = ncl_check_fork(device);
    if (status == NORMA_OK)
        status = check_size(cl, size);
    if (status != NORMA_OK)
        return status;
    struct ncl_buffer *impl = norma_zalloc(device->allocator, 1, sizeof(*impl));
    if (!impl)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "buffer: host memory");
    impl->memory = cl->api->CreateBuffer(cl->context, flags, size, host, &code);
    if (!impl->memory) {
        norma_free(impl);
        return ncl_check(code ? code : CL_OUT_OF_RESOURCES, "CreateBuffer");
    }
    *buffer = (struct norma_buffer){.device = device, .size = size, .impl = impl};
    return NORMA_OK;
}

norma_status ncl_buffer_create(struct norma_device *device, uint64_t size, struct norma_buffer *buffer)
{
    return make(device, CL_MEM_READ_WRITE, NULL, size, buffer);
}

norma_status ncl_buffer_import(struct norma_device *device, void *host, uint64_t size, struct norma_buffer *buffer)
{
    // Whole pages: GPUs that share the host's memory copy anything less.
    const uint64_t align = device->caps.host_align;
    const uint64_t before = (uintptr_t)host & (align - 1);
    const uint64_t whole = (before + size + align - 1) & ~(align - 1);
    norma_status status = make(device, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, (char *)host - before, whole, buffer);
    // Whatever the driver has against this memory, a copy of it will do.
    if (status == NORMA_ERROR_DEVICE)
        return NORMA_ERROR_UNSUPPORTED;
    if (status != NORMA_OK)
        return status;
    struct ncl_buffer *impl = ncl_buffer(buffer);
    impl->before = before;
    impl->imported = true;
    buffer->size = size;
    buffer->host = host;
    return NORMA_OK;
}

void ncl_buffer_finish(struct norma_buffer *buffer)
{
    struct ncl_buffer *impl = ncl_buffer(buffer);
    if (!impl)
        return;
    if (!ncl_forked(buffer->device) && !impl->borrowed)
        ncl_device(buffer->device)->api->ReleaseMemObject(impl->memory);
    norma_free(impl);
    buffer->impl = NULL;
}
