// Memory that others have too: host memory of the caller's, and memory that goes from one context or process to another
// as a file descriptor.
//
// Such a buffer is used by turns, by its device or by the others, never by both at once:
//   norma_buffer_acquire  begins the device's turn: what the others wrote before is seen by what is submitted behind
//   it; norma_buffer_release  begins the others' turn: it waits for what the device was given, and they see what it
//   wrote.
// Contents are the last writer's. A buffer on host memory and an imported one begin with the others' turn, one that was
// made to be exported with the device's. norma_buffer_write and _read are the device's. Who waits for whom between
// processes is theirs to settle (a message behind a release is enough). Owning the memory and destroying the buffer are
// said for each function; all of them are thread-safe.
#ifndef NORMA_EXTERNAL_H
#define NORMA_EXTERNAL_H

#include <norma/buffer.h>

#ifdef __cplusplus
extern "C" {
#endif

// A buffer of `size` bytes (above 0) on host memory of the caller's, at a multiple of 8 bytes, which he keeps, and
// keeps mapped, until the buffer is destroyed; Norma never frees it. No two buffers of a device may overlap. Where the
// device can, its kernels work on the memory itself: on the scalar path always, else where
// norma_device_info.host_alignment is not 0 and host, and where it is above 8 also size, are multiples of it (OpenCL:
// CL_MEM_USE_HOST_PTR on devices that share the host's memory; Vulkan: VK_EXT_external_memory_host, which a caller with
// his own VkDevice has to enable and list), unless the driver refuses this very memory. Elsewhere the buffer is memory
// of the device, and acquire and release copy: what a caller writes is the same, norma_buffer_info.zero_copy says which
// it is.
NORMA_API norma_status norma_buffer_from_host(norma_device *device, void *host, uint64_t size, norma_buffer **buffer);

// Bits; of VkExternalMemoryHandleTypeFlagBits and cl_khr_external_memory. File descriptors are there on POSIX alone.
typedef enum norma_handle_type {
    // VK_KHR_external_memory_fd; cl_khr_external_memory_opaque_fd, import alone. For the same device and driver.
    NORMA_HANDLE_OPAQUE_FD = 1,
    // VK_EXT_external_memory_dma_buf (and the former); cl_khr_external_memory_dma_buf, import alone. For any driver.
    NORMA_HANDLE_DMA_BUF = 2
} norma_handle_type;

// What names the memory of a buffer elsewhere. Plain data: another process, of the same word size, gets the struct as
// bytes, and fd through a socket (SCM_RIGHTS), which gives it a number of its own there.
typedef struct norma_memory_handle {
    size_t size;            // sizeof(norma_memory_handle)
    norma_handle_type type; // one
    int32_t fd;
    uint64_t bytes;        // of the buffer
    uint64_t allocation;   // bytes of the memory behind it, from the buffer's first on; 0: as many as the buffer takes
    uint32_t memory_types; // Vulkan's memory type i will do where bit i is set; 0: any that the importer has for it
    int32_t dedicated;     // 1: the memory was allocated for one buffer alone (VkMemoryDedicatedAllocateInfo); 0 is
                           // NORMA_ERROR_INVALID_ARGUMENT where the driver takes in no other
    // 1: to be refused by a device whose UUIDs are others than these two, or whose LUID is another where both have one.
    // norma_buffer_export sets it for opaque descriptors, which mean nothing to another driver; an importer may set or
    // clear it. VkPhysicalDeviceIDProperties; cl_khr_device_uuid.
    int32_t same_device;
    int32_t has_luid;
    uint8_t device_uuid[16], driver_uuid[16], luid[8];
} norma_memory_handle;

#define NORMA_MEMORY_HANDLE_DEFAULTS                                                         \
    {                                                                                        \
        sizeof(norma_memory_handle), NORMA_HANDLE_OPAQUE_FD, -1, 0, 0, 0, 0, 0, 0, {0}, {0}, \
        {                                                                                    \
            0                                                                                \
        }                                                                                    \
    }

// As norma_buffer_create, in memory that norma_buffer_export can name by a handle of that type (one of
// norma_device_info.exports). NORMA_ERROR_UNSUPPORTED, with the name of the extension, where the driver has none for
// it.
NORMA_API norma_status norma_buffer_create_shared(norma_device *device, uint64_t size, norma_handle_type type,
                                                  norma_buffer **buffer);

// Fills *handle, whose size field the caller sets, for a buffer of norma_buffer_create_shared. fd is a new descriptor,
// the caller's to close or to hand on, closed on exec. The memory lives as long as any descriptor or buffer of it.
NORMA_API norma_status norma_buffer_export(norma_buffer *buffer, norma_memory_handle *handle);

// A buffer on the memory that the handle names (a type of norma_device_info.imports), the caller's to destroy. Where it
// succeeds handle->fd belongs to Norma; after an error it is still open and the caller's. bytes and allocation must be
// true: neither Norma nor most drivers can see how large the memory is. NORMA_ERROR_INVALID_ARGUMENT where same_device
// is set and the device is another; NORMA_ERROR_UNSUPPORTED, with the extension's name, where the driver has none.
NORMA_API norma_status norma_buffer_import(norma_device *device, const norma_memory_handle *handle,
                                           norma_buffer **buffer);

// The turns, see above. Both return when the turn has changed; on other buffers they wait for the device and do no
// more. A device without a queue (norma_vulkan_objects) has no turns: NORMA_ERROR_UNSUPPORTED; engines import memory
// themselves there and wrap their VkBuffer. What was enqueued on an OpenCL queue of the caller's, or submitted to
// another Vulkan queue than the objects', is the caller's to wait for before a release.
NORMA_API norma_status norma_buffer_acquire(norma_buffer *buffer);
NORMA_API norma_status norma_buffer_release(norma_buffer *buffer);

typedef struct norma_buffer_info {
    size_t size; // sizeof(norma_buffer_info)
    norma_device *device;
    uint64_t bytes;
    void *host;        // norma_buffer_from_host's; else NULL
    int32_t zero_copy; // 1: the device works on host itself, and a turn costs no copy
    int32_t imported;  // 1: of norma_buffer_import
    uint32_t shared;   // the norma_handle_type of memory that others may have; 0: Norma's alone
} norma_buffer_info;

// Fills *info, whose size field the caller sets.
NORMA_API norma_status norma_buffer_get_info(const norma_buffer *buffer, norma_buffer_info *info);

#ifdef __cplusplus
}
#endif
#endif
