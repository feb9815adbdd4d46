#include "scalar.h"
#include <norma/version.h>
#include <stdio.h>
#include <string.h>

// FNV-1a, twice with different starts: names the device, protects nothing.
static void hash_uuid(const char *text, uint8_t uuid[16])
{
    for (int half = 0; half < 2; half++) {
        uint64_t hash = 0xcbf29ce484222325u + (uint64_t)half;
        for (const char *c = text; *c; c++)
            hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
        memcpy(uuid + 8 * half, &hash, 8);
    }
}

norma_status nsc_enumerate(norma_context *context, void (*add)(void *user, struct norma_device *device), void *user,
                           void **instance)
{
    *instance = NULL;
    struct norma_device *device = norma_device_new(context, &norma_backend_scalar);
    if (!device)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
    char key[320];
    snprintf(device->id, sizeof device->id, "scalar");
    norma_processor_name(device->name, sizeof device->name);
    snprintf(device->driver, sizeof device->driver, "norma scalar %d.%d.%d", NORMA_VERSION_MAJOR, NORMA_VERSION_MINOR,
             NORMA_VERSION_PATCH);
    snprintf(key, sizeof key, "%s/%s", device->driver, device->name);
    hash_uuid(key, device->uuid);
    device->caps.api = NORMA_DRIVER_SCALAR;
    device->caps.kind = NORMA_DEVICE_CPU;
    add(user, device);
    return NORMA_OK;
}

void nsc_finish(void *instance)
{
    (void)instance;
}

norma_status nsc_open(struct norma_device *device)
{
    struct nsc_device *impl = norma_zalloc(device->allocator, 1, sizeof *impl);
    if (!impl)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: out of host memory");
    const uint64_t memory = norma_memory_size();
    impl->loops = nsc_loops_choose();
    impl->threads = norma_context_threads(device->context);
    pthread_mutex_init(&impl->lock, NULL);
    device->impl = impl;
    device->caps = (struct norma_caps){
        .api = NORMA_DRIVER_SCALAR,
        .kind = NORMA_DEVICE_CPU,
        .compute_units = impl->threads > 0 ? (uint32_t)impl->threads : 1,
        .memory = memory ? memory : (uint64_t)1 << 30,
        .max_alloc = SIZE_MAX / 2,
        .max_range = SIZE_MAX / 2,
        .offset_align = 1,
        .max_groups = {INT32_MAX, INT32_MAX, INT32_MAX},
        .max_workgroup = 1,
        .host_memory = true,
        .host_align = 1,
        .import_align = NORMA_HOST_ALIGN,
        .timestamps = true,
    };
    return NORMA_OK;
}

void nsc_close(struct norma_device *device)
{
    struct nsc_device *impl = device->impl;
    if (!impl)
        return;
    if (impl->pool && nsc_pool_is_ours(impl->pool))
        nsc_pool_destroy(impl->pool);
    pthread_mutex_destroy(&impl->lock);
    norma_free(impl);
    device->impl = NULL;
}

norma_status nsc_buffer_create(struct norma_device *device, uint64_t size, struct norma_buffer *buffer)
{
    enum { ALIGN = 64 };
    if (size > SIZE_MAX / 2)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: %llu bytes of host memory", (unsigned long long)size);
    void *memory = norma_alloc_aligned(device->allocator, ALIGN, ((size_t)size + ALIGN - 1) / ALIGN * ALIGN);
    if (!memory)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "scalar: %llu bytes of host memory", (unsigned long long)size);
    *buffer = (struct norma_buffer){.device = device, .size = size, .host = memory, .impl = memory};
    return NORMA_OK;
}

norma_status nsc_buffer_import(struct norma_device *device, void *host, uint64_t size, struct norma_buffer *buffer)
{
    *buffer = (struct norma_buffer){.device = device, .size = size, .host = host, .impl = NULL};
    return NORMA_OK;
}

void nsc_buffer_finish(struct norma_buffer *buffer)
{
    norma_free(buffer->impl); // NULL where the memory was imported
    buffer->impl = NULL;
    buffer->host = NULL;
}
