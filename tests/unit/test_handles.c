// Memory by handles where no driver here does all of it: functions that a test puts into the tables say what they were
// asked, claim extensions, and fail. What they do not fake the driver does, with opaque descriptors for dma_bufs.
#include "external.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef NORMA_HAVE_OPENCL
#include "opencl/opencl.h"
#endif
#ifdef NORMA_HAVE_VULKAN
#include "vulkan/nvk.h"

static struct nvk_api real;
static struct {
    bool hide, dma_buf, dedicated; // what the driver claims
    uint32_t dma_types;            // and says of a dma_buf's memory types; 0: all
    bool fail_memory,
        fail_closing; // AllocateMemory; closing the descriptor as some drivers do, and the standard says not
    bool fail_bind, fail_export, fail_map;
    VkResult fail_allocation; // of memory that others have too
} fake;
static struct {
    uint32_t extensions; // enabled, of those that are for handles
    VkExternalMemoryHandleTypeFlags buffer, exported, imported, queried;
    VkBuffer dedicated;
    VkDeviceSize size;
    uint32_t type, from, to; // of the last barrier
    int fd, memories;
} seen;

static VKAPI_ATTR VkResult VKAPI_CALL list_extensions(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                                      VkExtensionProperties *list)
{
    static const char *const more[] = {VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
                                       VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME};
    uint32_t there = 0;
    const VkResult result = real.EnumerateDeviceExtensionProperties(physical, layer, &there, NULL);
    assert_int_equal(result, VK_SUCCESS);
    VkExtensionProperties *all = calloc(there + 2u, sizeof *all);
    assert_non_null(all);
    assert_int_equal(real.EnumerateDeviceExtensionProperties(physical, layer, &there, all), VK_SUCCESS);
    for (uint32_t i = 0; i < there; i++)
        if (fake.hide && !strcmp(all[i].extensionName, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME))
            all[i].extensionName[0] = 'x';
    for (int i = 0; i < 2 && fake.dma_buf; i++)
        strcpy(all[there++].extensionName, more[i]);
    if (list)
        memcpy(list, all, (*count < there ? *count : there) * sizeof *all);
    else
        *count = there;
    free(all);
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkDevice *device)
{
    static const char *const names[] = {VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
                                        VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
                                        VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME};
    const char *kept[8];
    VkDeviceCreateInfo plain = *info;
    plain.enabledExtensionCount = 0;
    plain.ppEnabledExtensionNames = kept;
    seen.extensions = 0;
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
        bool claimed = false;
        for (uint32_t k = 0; k < 3; k++)
            if (!strcmp(info->ppEnabledExtensionNames[i], names[k])) {
                seen.extensions |= 1u << k;
                claimed = k > 0;
            }
        if (!claimed)
            kept[plain.enabledExtensionCount++] = info->ppEnabledExtensionNames[i];
    }
    return real.CreateDevice(physical, &plain, allocator, device);
}

static VKAPI_ATTR void VKAPI_CALL buffer_properties(VkPhysicalDevice physical,
                                                    const VkPhysicalDeviceExternalBufferInfo *info,
                                                    VkExternalBufferProperties *properties)
{
    VkPhysicalDeviceExternalBufferInfo opaque = *info;
    assert_int_equal(info->usage, NVK_BUFFER_USAGE);
    opaque.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
    real.GetPhysicalDeviceExternalBufferProperties(physical, &opaque, properties);
    if (fake.dedicated)
        properties->externalMemoryProperties.externalMemoryFeatures |= VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_buffer(VkDevice device, const VkBufferCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkBuffer *buffer)
{
    const VkExternalMemoryBufferCreateInfo *external = info->pNext;
    VkExternalMemoryBufferCreateInfo opaque;
    VkBufferCreateInfo plain = *info;
    if (external && external->handleTypes != VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT) {
        assert_int_equal(external->sType, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
        seen.buffer = external->handleTypes;
        opaque = *external;
        opaque.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
        plain.pNext = &opaque;
    }
    return real.CreateBuffer(device, &plain, allocator, buffer);
}

// The chain is taken apart, and put together again for the driver.
static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice device, const VkMemoryAllocateInfo *info,
                                                      const VkAllocationCallbacks *allocator, VkDeviceMemory *memory)
{
    VkExportMemoryAllocateInfo export;
    VkImportMemoryFdInfoKHR import;
    VkMemoryAllocateInfo plain = *info;
    bool shared = false, of_host = false;
    plain.pNext = NULL;
    for (const VkBaseInStructure *at = info->pNext; at; at = at->pNext) {
        if (at->sType == VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO) {
            seen.dedicated = ((const VkMemoryDedicatedAllocateInfo *)at)->buffer;
        } else if (at->sType == VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO) {
            export = *(const VkExportMemoryAllocateInfo *)at;
            seen.exported = export.handleTypes;
            export.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
            export.pNext = NULL;
            plain.pNext = &export;
            shared = true;
        } else if (at->sType == VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR) {
            import = *(const VkImportMemoryFdInfoKHR *)at;
            seen.imported = import.handleType;
            seen.fd = import.fd;
            import.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
            import.pNext = NULL;
            plain.pNext = &import;
            shared = true;
        } else if (at->sType == VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT) {
            of_host = true;
        }
    }
    if (fake.fail_allocation && (shared || of_host))
        return fake.fail_allocation;
    if (!shared)
        return real.AllocateMemory(device, info, allocator, memory);
    seen.size = info->allocationSize;
    seen.type = info->memoryTypeIndex;
    if (fake.fail_closing)
        assert_int_equal(close(seen.fd), 0);
    if (fake.fail_memory || fake.fail_closing)
        return VK_ERROR_INVALID_EXTERNAL_HANDLE;
    const VkResult result = real.AllocateMemory(device, &plain, allocator, memory);
    seen.memories += result == VK_SUCCESS;
    return result;
}

static VKAPI_ATTR void VKAPI_CALL free_memory(VkDevice device, VkDeviceMemory memory,
                                              const VkAllocationCallbacks *allocator)
{
    seen.memories--;
    real.FreeMemory(device, memory, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_memory(VkDevice device, VkBuffer buffer, VkDeviceMemory memory,
                                                  VkDeviceSize offset)
{
    return fake.fail_bind ? VK_ERROR_OUT_OF_DEVICE_MEMORY : real.BindBufferMemory(device, buffer, memory, offset);
}

static VKAPI_ATTR VkResult VKAPI_CALL map_memory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset,
                                                 VkDeviceSize size, VkMemoryMapFlags flags, void **host)
{
    return fake.fail_map ? VK_ERROR_MEMORY_MAP_FAILED : real.MapMemory(device, memory, offset, size, flags, host);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_fd(VkDevice device, const VkMemoryGetFdInfoKHR *info, int *fd)
{
    VkMemoryGetFdInfoKHR opaque = *info;
    seen.queried = info->handleType;
    opaque.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
    return fake.fail_export ? VK_ERROR_TOO_MANY_OBJECTS : real.GetMemoryFdKHR(device, &opaque, fd);
}

static VKAPI_ATTR VkResult VKAPI_CALL fd_properties(VkDevice device, VkExternalMemoryHandleTypeFlagBits type, int fd,
                                                    VkMemoryFdPropertiesKHR *properties)
{
    (void)device;
    assert_int_equal(type, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT); // the standard forbids the other
    assert_true(fcntl(fd, F_GETFD) >= 0);
    properties->memoryTypeBits = fake.dma_types;
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL barrier(VkCommandBuffer command, VkPipelineStageFlags before,
                                          VkPipelineStageFlags behind, VkDependencyFlags flags, uint32_t memories,
                                          const VkMemoryBarrier *memory, uint32_t buffers,
                                          const VkBufferMemoryBarrier *buffer, uint32_t images,
                                          const VkImageMemoryBarrier *image)
{
    if (buffers) {
        seen.from = buffer->srcQueueFamilyIndex;
        seen.to = buffer->dstQueueFamilyIndex;
    }
    real.CmdPipelineBarrier(command, before, behind, flags, memories, memory, buffers, buffer, images, image);
}

static void stand_between(struct nvk_api *api)
{
    if (!api->CreateDevice)
        return; // the functions without an instance
    real = *api;
    api->EnumerateDeviceExtensionProperties = list_extensions;
    api->CreateDevice = create_device;
    api->GetPhysicalDeviceExternalBufferProperties = buffer_properties;
    api->CreateBuffer = create_buffer;
    api->AllocateMemory = allocate_memory;
    api->FreeMemory = free_memory;
    api->BindBufferMemory = bind_memory;
    api->MapMemory = map_memory;
    api->GetMemoryFdKHR = get_fd;
    api->GetMemoryFdPropertiesKHR = fd_properties;
    api->CmdPipelineBarrier = barrier;
}

static norma_device *open_fake(norma_context **context)
{
    memset(&seen, 0, sizeof seen);
    nvk_api_hook = stand_between;
    *context = external_context("vulkan");
    nvk_api_hook = NULL;
    return external_device(*context);
}

static void close_fake(norma_context **context)
{
    norma_context_destroy(context);
    memset(&fake, 0, sizeof fake);
}

// Types, dedicated memory and queue families go to the driver as the type of handle wants them.
static void round_trip(norma_handle_type type, VkExternalMemoryHandleTypeFlags bit, uint32_t others)
{
    norma_context *context;
    norma_device *device = open_fake(&context);
    norma_device_info info = {.size = sizeof info};
    norma_buffer *buffer = NULL, *twin = NULL;
    norma_memory_handle handle = NORMA_MEMORY_HANDLE_DEFAULTS;
    float values[COUNT], got[COUNT];
    take(norma_device_get_info(device, &info));
    assert_int_equal(info.exports, fake.dma_buf ? 3 : 1);
    assert_int_equal(info.imports, info.exports);
    assert_int_equal(seen.extensions, fake.dma_buf ? 7 : 1);
    take(norma_buffer_create_shared(device, PAGE, type, &buffer));
    assert_int_equal(seen.buffer, bit);
    assert_int_equal(seen.exported, bit);
    assert_int_equal(seen.dedicated != VK_NULL_HANDLE, fake.dedicated);
    take(norma_buffer_export(buffer, &handle));
    assert_int_equal(seen.queried, bit);
    assert_int_equal(handle.allocation, seen.size);
    assert_int_equal(handle.memory_types, 1u << seen.type);
    assert_int_equal(handle.dedicated, fake.dedicated);
    assert_int_equal(handle.same_device, type == NORMA_HANDLE_OPAQUE_FD);
    external_fill(values, 5);
    take(norma_buffer_write(buffer, 0, values, PAGE));
    take(norma_buffer_release(buffer));
    assert_int_equal(seen.to, others);
    assert_int_not_equal(seen.from, others);
    const VkBuffer first = seen.dedicated;
    norma_memory_handle undedicated = handle;
    undedicated.dedicated = 0;
    if (fake.dedicated)
        refused(norma_buffer_import(device, &undedicated, &twin), NORMA_ERROR_INVALID_ARGUMENT, "dedicated:", "alone");
    take(norma_buffer_import(device, &handle, &twin));
    assert_int_equal(seen.imported, bit);
    assert_int_equal(seen.size, handle.allocation);
    assert_int_equal(seen.dedicated != first, fake.dedicated);
    take(norma_buffer_acquire(twin));
    assert_int_equal(seen.from, others);
    assert_int_not_equal(seen.to, others);
    take(norma_buffer_read(twin, 0, got, PAGE));
    assert_memory_equal(got, values, sizeof got);
    norma_buffer_destroy(&twin);
    norma_buffer_destroy(&buffer);
    close_fake(&context);
}

static void test_types(void **state)
{
    (void)state;
    for (int dedicated = 0; dedicated < 2; dedicated++) {
        fake.dedicated = dedicated;
        round_trip(NORMA_HANDLE_OPAQUE_FD, VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT, VK_QUEUE_FAMILY_EXTERNAL);
        fake.dedicated = dedicated;
        fake.dma_buf = true;
        fake.dma_types = UINT32_MAX;
        round_trip(NORMA_HANDLE_DMA_BUF, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT, VK_QUEUE_FAMILY_FOREIGN_EXT);
    }
}

// After each failure as many descriptors and memories as before, and the caller's descriptor his own.
static void test_failures(void **state)
{
    (void)state;
    fake.dma_buf = true;
    fake.dma_types = UINT32_MAX;
    norma_context *context;
    norma_device *device = open_fake(&context);
    norma_buffer *buffer = NULL, *twin = NULL;
    norma_memory_handle handle = NORMA_MEMORY_HANDLE_DEFAULTS, no = handle;
    take(norma_buffer_create_shared(device, PAGE, NORMA_HANDLE_DMA_BUF, &buffer));
    take(norma_buffer_export(buffer, &handle));
    const int before = external_fds(), memories = seen.memories;
    fake.fail_export = true;
    refused(norma_buffer_export(buffer, &no), NORMA_ERROR_OUT_OF_MEMORY, "vkGetMemoryFdKHR", "out of memory");
    assert_int_equal(no.fd, -1);
    fake.fail_export = false;
    fake.dma_types = 0;
    refused(norma_buffer_import(device, &handle, &twin), NORMA_ERROR_UNSUPPORTED, "memory_types:", "none");
    fake.dma_types = UINT32_MAX;
    assert_int_equal(external_fds(), before);
    for (int closing = 0; closing < 2; closing++) {
        fake.fail_memory = !closing;
        fake.fail_closing = closing;
        refused(norma_buffer_import(device, &handle, &twin), NORMA_ERROR_INVALID_ARGUMENT, "fd:", "of that type");
        assert_int_not_equal(seen.fd, handle.fd); // a copy
        assert_int_equal(external_fds(), before);
    }
    fake.fail_closing = false;
    fake.fail_bind = true; // the driver has taken its descriptor by then, and drops it with the memory
    refused(norma_buffer_import(device, &handle, &twin), NORMA_ERROR_OUT_OF_MEMORY, "vkBindBufferMemory", "memory");
    assert_int_equal(external_fds(), before);
    assert_int_equal(seen.memories, memories);
    refused(norma_buffer_create_shared(device, PAGE, NORMA_HANDLE_DMA_BUF, &twin), NORMA_ERROR_OUT_OF_MEMORY,
            "vkBindBufferMemory", "memory");
    assert_int_equal(seen.memories, memories);
    fake.fail_bind = false;
    handle.allocation = 0; // not known: as many as the buffer takes
    take(norma_buffer_import(device, &handle, &twin));
    assert_true(seen.size >= PAGE);
    assert_int_equal(fcntl(handle.fd, F_GETFD), -1);
    norma_buffer_destroy(&twin);
    norma_buffer_destroy(&buffer);
    close_fake(&context);
}

// Memory of the caller's that the driver has no room to take in is copied; what it does not map is staged.
static void test_fallbacks(void **state)
{
    (void)state;
    norma_context *context;
    norma_device *device = open_fake(&context);
    norma_buffer *buffer = NULL, *twin = NULL, *copy = NULL;
    norma_buffer_info info = {.size = sizeof info};
    norma_memory_handle handle = NORMA_MEMORY_HANDLE_DEFAULTS;
    float got[COUNT];
    float *values = aligned_alloc(PAGE, PAGE);
    assert_non_null(values);
    external_fill(values, 6);
    fake.fail_allocation = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    refused(norma_buffer_create_shared(device, PAGE, NORMA_HANDLE_OPAQUE_FD, &buffer), NORMA_ERROR_OUT_OF_MEMORY,
            "vkAllocateMemory:", "out of memory");
    take(norma_buffer_from_host(device, values, PAGE, &copy));
    fake.fail_allocation = VK_SUCCESS;
    take(norma_buffer_get_info(copy, &info));
    assert_int_equal(info.zero_copy, 0);
    take(norma_buffer_acquire(copy));
    take(norma_buffer_read(copy, 0, got, PAGE));
    assert_memory_equal(got, values, sizeof got);
    take(norma_buffer_create_shared(device, PAGE, NORMA_HANDLE_OPAQUE_FD, &buffer));
    take(norma_buffer_export(buffer, &handle));
    take(norma_buffer_write(buffer, 0, values, PAGE));
    take(norma_buffer_release(buffer));
    fake.fail_map = true;
    take(norma_buffer_import(device, &handle, &twin));
    fake.fail_map = false;
    take(norma_buffer_acquire(twin));
    memset(got, 0, sizeof got);
    take(norma_buffer_read(twin, 0, got, PAGE));
    assert_memory_equal(got, values, sizeof got);
    norma_buffer_destroy(&twin);
    norma_buffer_destroy(&buffer);
    norma_buffer_destroy(&copy);
    free(values);
    close_fake(&context);
}

static void test_hidden(void **state)
{
    (void)state;
    fake.hide = fake.dma_buf = true; // the second is nothing without the first
    norma_context *context;
    norma_device *device = open_fake(&context);
    norma_buffer *buffer = NULL;
    assert_int_equal(seen.extensions, 0);
    refused(norma_buffer_create_shared(device, PAGE, NORMA_HANDLE_OPAQUE_FD, &buffer), NORMA_ERROR_UNSUPPORTED,
            "type:", "VK_KHR_external_memory_fd");
    refused(norma_buffer_create_shared(device, PAGE, NORMA_HANDLE_DMA_BUF, &buffer), NORMA_ERROR_UNSUPPORTED,
            "type:", "VK_EXT_external_memory_dma_buf");
    close_fake(&context);
}
#endif

#ifdef NORMA_HAVE_OPENCL
// PoCL's own memory stands for what the descriptor names.
static struct ncl_api cl;
static struct {
    cl_mem memory;
    cl_ulong type;
    int fd, acquired, released;
    bool fail;
} taken;

static cl_int CL_API_CALL claim_device(cl_device_id id, cl_device_info what, size_t size, void *value, size_t *bytes)
{
    static const char extension[] = " cl_khr_external_memory";
    const cl_uint types[] = {0x2060, 0x2067};
    if (what == 0x204F) { // CL_DEVICE_EXTERNAL_MEMORY_IMPORT_HANDLE_TYPES_KHR
        if (value)
            memcpy(value, types, sizeof types);
        if (bytes)
            *bytes = sizeof types;
        return CL_SUCCESS;
    }
    size_t own = 0;
    if (what != CL_DEVICE_EXTENSIONS)
        return cl.GetDeviceInfo(id, what, size, value, bytes);
    cl_int code = cl.GetDeviceInfo(id, what, 0, NULL, &own);
    if (bytes)
        *bytes = own + sizeof extension;
    if (value && code == CL_SUCCESS) {
        code = cl.GetDeviceInfo(id, what, size, value, NULL);
        strcat(value, extension);
    }
    return code;
}

static cl_mem CL_API_CALL create_with(cl_context context, const ncl_mem_properties *properties, cl_mem_flags flags,
                                      size_t size, void *host, cl_int *code)
{
    taken.type = properties[0];
    taken.fd = (int)properties[1];
    assert_int_equal(properties[2], 0x2051); // CL_MEM_DEVICE_HANDLE_LIST_KHR
    assert_int_equal(properties[4], 0);
    assert_int_equal(properties[5], 0);
    assert_int_equal(flags, CL_MEM_READ_WRITE);
    assert_true(fcntl(taken.fd, F_GETFD) >= 0);
    if (taken.fail) {
        *code = CL_INVALID_VALUE;
        return NULL;
    }
    close(taken.fd); // the driver's own by now
    taken.memory = cl.CreateBuffer(context, flags, size, host, code);
    return taken.memory;
}

static cl_int turn(cl_command_queue queue, cl_uint count, const cl_mem *memories, cl_uint wait_count,
                   const cl_event *waits, cl_event *event)
{
    assert_int_equal(count, 1);
    assert_ptr_equal(memories[0], taken.memory);
    return cl.EnqueueMarkerWithWaitList(queue, wait_count, waits, event);
}

static cl_int CL_API_CALL acquire(cl_command_queue queue, cl_uint count, const cl_mem *memories, cl_uint wait_count,
                                  const cl_event *waits, cl_event *event)
{
    taken.acquired++;
    return turn(queue, count, memories, wait_count, waits, event);
}

static cl_int CL_API_CALL release(cl_command_queue queue, cl_uint count, const cl_mem *memories, cl_uint wait_count,
                                  const cl_event *waits, cl_event *event)
{
    taken.released++;
    return turn(queue, count, memories, wait_count, waits, event);
}

static void *CL_API_CALL find(cl_platform_id platform, const char *name)
{
    void *function = NULL;
    const ncl_enqueue_external both[] = {acquire, release};
    if (!strcmp(name, "clEnqueueAcquireExternalMemObjectsKHR") ||
        !strcmp(name, "clEnqueueReleaseExternalMemObjectsKHR"))
        memcpy(&function, &both[name[9] == 'R'], sizeof function);
    return function ? function : cl.GetExtensionFunctionAddressForPlatform(platform, name);
}

static void take_in(norma_device *device, norma_handle_type type, cl_ulong number)
{
    norma_memory_handle handle = NORMA_MEMORY_HANDLE_DEFAULTS;
    norma_buffer *buffer = NULL;
    float values[COUNT], got[COUNT];
    const int before = external_fds();
    handle.type = type;
    handle.bytes = PAGE;
    handle.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(handle.fd >= 0);
    taken.fail = true;
    refused(norma_buffer_import(device, &handle, &buffer), NORMA_ERROR_DEVICE, "clCreateBufferWithProperties", "");
    assert_int_equal(external_fds(), before + 1);
    taken.fail = false;
    taken.acquired = taken.released = 0;
    take(norma_buffer_import(device, &handle, &buffer));
    assert_int_equal(external_fds(), before);
    assert_int_equal(taken.type, number);
    external_fill(values, 2);
    take(norma_buffer_acquire(buffer));
    take(norma_buffer_write(buffer, 0, values, PAGE));
    take(norma_buffer_read(buffer, 0, got, PAGE));
    take(norma_buffer_release(buffer));
    assert_memory_equal(got, values, sizeof got);
    assert_int_equal(taken.acquired, 1);
    assert_int_equal(taken.released, 1);
    refused(norma_buffer_export(buffer, &handle), NORMA_ERROR_INVALID_ARGUMENT, "buffer:", "create_shared");
    norma_buffer_destroy(&buffer);
    refused(norma_buffer_create_shared(device, PAGE, type, &buffer), NORMA_ERROR_UNSUPPORTED,
            "type:", "hands out none");
}

static void stand_in(struct ncl_api *api)
{
    cl = *api;
    api->GetDeviceInfo = claim_device;
    api->CreateBufferWithProperties = create_with;
    api->GetExtensionFunctionAddressForPlatform = find;
}

static void test_opencl(void **state)
{
    (void)state;
    ncl_api_hook = stand_in;
    norma_context *context = external_context("opencl");
    ncl_api_hook = NULL;
    norma_device *device = external_device(context);
    take_in(device, NORMA_HANDLE_OPAQUE_FD, 0x2060);
    take_in(device, NORMA_HANDLE_DMA_BUF, 0x2067);
    norma_context_destroy(&context);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef NORMA_HAVE_VULKAN
        cmocka_unit_test(test_types),     cmocka_unit_test(test_failures),  cmocka_unit_test(test_hidden),
        cmocka_unit_test(external_given), cmocka_unit_test(test_fallbacks),
#endif
#ifdef NORMA_HAVE_OPENCL
        cmocka_unit_test(test_opencl),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
