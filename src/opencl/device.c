#include "opencl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Extensions' numbers, from the OpenCL registry.
enum {
    NCL_DEVICE_UUID = 0x106A, // cl_khr_device_uuid, and the four below
    NCL_DRIVER_UUID = 0x106B,
    NCL_DEVICE_LUID_VALID = 0x106C,
    NCL_DEVICE_LUID = 0x106D,
    NCL_DEVICE_WARP_SIZE = 0x4003,       // cl_nv_device_attribute_query
    NCL_DEVICE_WAVEFRONT_WIDTH = 0x4043, // cl_amd_device_attribute_query
    NCL_DEVICE_SUB_GROUP_SIZES = 0x4108, // cl_intel_required_subgroup_size
};

bool ncl_forked(const struct norma_device *device)
{
    const struct ncl_device *cl = ncl_device(device);
    return cl->opened && cl->pid != getpid();
}

norma_status ncl_check_fork(const struct norma_device *device)
{
    if (!ncl_forked(device))
        return NORMA_OK;
    return norma_fail(NORMA_ERROR_FORKED, "device: %s was opened by the parent process", device->id);
}

// A driver's string into a fixed field; "" where it has none.
static void device_string(const struct ncl_device *cl, cl_device_info what, char *text, size_t size)
{
    char buffer[1024] = "";
    if (cl->api->GetDeviceInfo(cl->id, what, sizeof(buffer) - 1, buffer, NULL) != CL_SUCCESS)
        buffer[0] = '\0';
    const char *begin = buffer + strspn(buffer, " ");
    snprintf(text, size, "%.*s", (int)size - 1, begin);
}

bool ncl_has_extension(const struct ncl_device *cl, const char *name)
{
    size_t size = 0;
    bool found = false;
    if (cl->api->GetDeviceInfo(cl->id, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS || size == 0)
        return false;
    char *list = norma_zalloc(cl->allocator, 1, size + 1);
    if (list && cl->api->GetDeviceInfo(cl->id, CL_DEVICE_EXTENSIONS, size, list, NULL) == CL_SUCCESS)
        for (char *rest = list, *word; !found && (word = strtok_r(rest, " ", &rest));)
            found = !strcmp(word, name);
    norma_free(list);
    return found;
}

// Where the driver has no UUID: two FNV-1a hashes of what names the device and its driver, and of its index among
// equals.
static void hashed_uuid(struct norma_device *device, uint32_t index)
{
    uint64_t half[2] = {14695981039346656037u, 0x9e3779b97f4a7c15u};
    for (int h = 0; h < 2; h++) {
        for (const char *c = device->name; *c; c++)
            half[h] = (half[h] ^ (unsigned char)*c) * 1099511628211u;
        for (const char *c = device->driver; *c; c++)
            half[h] = (half[h] ^ (unsigned char)*c) * 1099511628211u;
        half[h] = (half[h] ^ index) * 1099511628211u;
    }
    memcpy(device->uuid, half, sizeof(device->uuid));
}

static norma_device_kind kind_of(const struct ncl_device *cl)
{
    cl_device_type type = 0;
    cl_bool unified = CL_FALSE;
    cl->api->GetDeviceInfo(cl->id, CL_DEVICE_TYPE, sizeof(type), &type, NULL);
    cl->api->GetDeviceInfo(cl->id, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof(unified), &unified, NULL);
    if (type & CL_DEVICE_TYPE_CPU)
        return NORMA_DEVICE_CPU;
    return unified ? NORMA_DEVICE_INTEGRATED : NORMA_DEVICE_DISCRETE;
}

norma_status ncl_add_device(norma_context *context, const struct ncl_api *api, cl_platform_id platform, cl_device_id id,
                            uint32_t index, void (*add)(void *user, struct norma_device *device), void *user)
{
    char version[64], platform_name[48] = "";
    struct ncl_device *cl = norma_zalloc(norma_context_allocator(context), 1, sizeof(*cl));
    struct norma_device *device = cl ? norma_device_new(context, &norma_backend_opencl) : NULL;
    if (!device) {
        norma_free(cl);
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "device: host memory");
    }
    cl->allocator = norma_context_allocator(context);
    cl->api = api;
    cl->platform = platform;
    cl->id = id;
    pthread_mutex_init(&cl->submit, NULL);
    pthread_mutex_init(&cl->lock, NULL);
    device->impl = cl;
    if (norma_context_opencl(context))
        cl->given = norma_context_opencl(context)->context;
    snprintf(device->id, sizeof(device->id), "opencl:%u", index);
    device_string(cl, CL_DEVICE_NAME, device->name, sizeof(device->name));
    device_string(cl, CL_DRIVER_VERSION, version, sizeof(version));
    if (api->GetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof(platform_name) - 1, platform_name, NULL) != CL_SUCCESS)
        platform_name[0] = '\0';
    snprintf(device->driver, sizeof(device->driver), "%s %s", platform_name, version);
    sscanf(version, "%u.%u.%u", &device->key.version[0], &device->key.version[1], &device->key.version[2]);
    if (!ncl_has_extension(cl, "cl_khr_device_uuid") ||
        cl->api->GetDeviceInfo(cl->id, NCL_DEVICE_UUID, sizeof(device->uuid), device->uuid, NULL) != CL_SUCCESS)
        hashed_uuid(device, index);
    device->caps.api = NORMA_DRIVER_OPENCL;
    device->caps.kind = kind_of(cl);
    add(user, device);
    return NORMA_OK;
}

norma_status ncl_enumerate(norma_context *context, void (*add)(void *user, struct norma_device *device), void *user,
                           void **instance)
{
    cl_platform_id platforms[16];
    cl_uint platform_count = 0;
    uint32_t index = 0;
    norma_status status = NORMA_OK;
    const norma_opencl_objects *given = norma_context_opencl(context);
    struct ncl_api *api = norma_zalloc(norma_context_allocator(context), 1, sizeof(*api));
    *instance = NULL;
    if (!api)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    if (!ncl_load(api)) {
        norma_free(api);
        return given ? norma_fail(NORMA_ERROR_UNSUPPORTED, "opencl: libOpenCL is not found") : NORMA_OK;
    }
    *instance = api;
    if (given)
        return ncl_enumerate_given(context, api, given, add, user);
    // The loader's own code for "no driver" (cl_khr_icd) is no error here.
    if (api->GetPlatformIDs(16, platforms, &platform_count) != CL_SUCCESS)
        return NORMA_OK;
    for (cl_uint p = 0; p < platform_count && p < 16; p++) {
        cl_device_id ids[16];
        cl_uint count = 0;
        const cl_int code = api->GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 16, ids, &count);
        if (code != CL_SUCCESS) {
            if (code != CL_DEVICE_NOT_FOUND)
                norma_log(context, 1, "OpenCL platform %u lists no devices: clGetDeviceIDs: %d", p, code);
            continue;
        }
        for (cl_uint d = 0; d < count && d < 16 && status == NORMA_OK; d++)
            status = ncl_add_device(context, api, platforms[p], ids[d], index++, add, user);
    }
    return status;
}

void ncl_finish(void *instance)
{
    norma_free(instance); // platforms are the driver's
}

// Subgroups count where their size is known before a kernel is compiled, and is 8 or more.
static void fill_subgroups(const struct ncl_device *cl, struct norma_caps *caps)
{
    size_t sizes[16] = {0}, bytes = 0;
    cl_uint width = 0;
    if (ncl_has_extension(cl, "cl_intel_required_subgroup_size") &&
        cl->api->GetDeviceInfo(cl->id, NCL_DEVICE_SUB_GROUP_SIZES, sizeof(sizes), sizes, &bytes) == CL_SUCCESS) {
        for (size_t i = 0; i < bytes / sizeof(sizes[0]) && i < 16; i++)
            if (sizes[i] >= 8 && sizes[i] <= 64 && (caps->subgroup_size == 0 || sizes[i] == 16))
                caps->subgroup_size = (uint32_t)sizes[i];
    } else if (ncl_has_extension(cl, "cl_nv_device_attribute_query") &&
               cl->api->GetDeviceInfo(cl->id, NCL_DEVICE_WARP_SIZE, sizeof(width), &width, NULL) == CL_SUCCESS) {
        caps->subgroup_size = width;
    } else if (ncl_has_extension(cl, "cl_amd_device_attribute_query") &&
               cl->api->GetDeviceInfo(cl->id, NCL_DEVICE_WAVEFRONT_WIDTH, sizeof(width), &width, NULL) == CL_SUCCESS) {
        caps->subgroup_size = width;
    }
    const bool shuffles =
        ncl_has_extension(cl, "cl_intel_subgroups") ||
        (ncl_has_extension(cl, "cl_khr_subgroups") && ncl_has_extension(cl, "cl_khr_subgroup_shuffle"));
    caps->subgroup_shuffle = shuffles && caps->subgroup_size >= 8;
}

static void fill_identity(const struct ncl_device *cl, struct norma_caps *caps)
{
    cl_bool valid = CL_FALSE;
    if (!ncl_has_extension(cl, "cl_khr_device_uuid"))
        return;
    if (cl->api->GetDeviceInfo(cl->id, NCL_DRIVER_UUID, sizeof(caps->driver_uuid), caps->driver_uuid, NULL) !=
        CL_SUCCESS)
        memset(caps->driver_uuid, 0, sizeof(caps->driver_uuid));
    caps->has_luid =
        cl->api->GetDeviceInfo(cl->id, NCL_DEVICE_LUID_VALID, sizeof(valid), &valid, NULL) == CL_SUCCESS && valid &&
        cl->api->GetDeviceInfo(cl->id, NCL_DEVICE_LUID, sizeof(caps->luid), caps->luid, NULL) == CL_SUCCESS;
}

static norma_status fill_caps(struct norma_device *device, struct ncl_device *cl)
{
    struct norma_caps *caps = &device->caps;
    cl_ulong memory = 0, alloc = 0, local = 0;
    cl_uint units = 1;
    size_t group = 1;
    cl_device_fp_config config = 0;
    norma_status status = NORMA_OK;
    CL(cl->api, GetDeviceInfo(cl->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(memory), &memory, NULL));
    CL(cl->api, GetDeviceInfo(cl->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(alloc), &alloc, NULL));
    CL(cl->api, GetDeviceInfo(cl->id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof(local), &local, NULL));
    CL(cl->api, GetDeviceInfo(cl->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(units), &units, NULL));
    CL(cl->api, GetDeviceInfo(cl->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(group), &group, NULL));
    CL(cl->api, GetDeviceInfo(cl->id, CL_DEVICE_SINGLE_FP_CONFIG, sizeof(config), &config, NULL));
    *caps = (struct norma_caps){
        .api = NORMA_DRIVER_OPENCL,
        .kind = caps->kind,
        .compute_units = units > 0 ? units : 1,
        .memory = memory,
        .max_alloc = alloc,
        .max_range = alloc,
        .offset_align = 1, // kernels take byte offsets
        .max_groups = {1u << 24, 1u << 16, 1},
        .max_workgroup = group > 1024 ? 1024 : (uint32_t)group,
        .local_memory = local > UINT32_MAX ? UINT32_MAX : (uint32_t)local,
        .host_memory = caps->kind != NORMA_DEVICE_DISCRETE,
        .host_align = caps->kind == NORMA_DEVICE_CPU ? 1 : 4096,
        .timestamps = true,
        .counts_rows = true,
    };
    caps->import_align = !caps->host_memory                    ? 0
                         : caps->host_align > NORMA_HOST_ALIGN ? caps->host_align
                                                               : NORMA_HOST_ALIGN;
    fill_identity(cl, caps);
    ncl_external_caps(cl, caps);
    fill_subgroups(cl, caps);
    snprintf(cl->options, sizeof(cl->options), "-cl-std=%s%s%s",
             caps->subgroup_shuffle && !ncl_has_extension(cl, "cl_intel_subgroups") ? "CL2.0" : "CL1.2",
             config & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT ? " -cl-fp32-correctly-rounded-divide-sqrt" : "",
             caps->kind == NORMA_DEVICE_CPU ? " -DCPU" : "");
    if (caps->subgroup_size)
        snprintf(cl->options + strlen(cl->options), sizeof(cl->options) - strlen(cl->options), " -DSUBGROUP_SIZE=%u",
                 caps->subgroup_size);
error:
    return status;
}

norma_status ncl_open(struct norma_device *device)
{
    struct ncl_device *cl = ncl_device(device);
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)cl->platform, 0};
    cl_int code = CL_SUCCESS;
    norma_status status = fill_caps(device, cl);
    if (status != NORMA_OK)
        return status;
    cl->pid = getpid();
    cl->opened = true;
    cl->context = cl->given ? cl->given : cl->api->CreateContext(properties, 1, &cl->id, NULL, NULL, &code);
    if (!cl->context)
        return ncl_check(code ? code : CL_OUT_OF_RESOURCES, "CreateContext");
    for (int i = 0; i < NCL_STREAMS; i++) {
        cl->queue[i] = cl->api->CreateCommandQueue(cl->context, cl->id, CL_QUEUE_PROFILING_ENABLE, &code);
        if (!cl->queue[i])
            return ncl_check(code ? code : CL_OUT_OF_RESOURCES, "CreateCommandQueue");
    }
    return NORMA_OK;
}

void ncl_close(struct norma_device *device)
{
    struct ncl_device *cl = ncl_device(device);
    if (!cl)
        return;
    // In a forked child the driver's threads are gone and its calls would hang.
    if (!ncl_forked(device)) {
        for (int i = 0; i < NCL_STREAMS; i++)
            if (cl->queue[i])
                cl->api->Finish(cl->queue[i]);
        ncl_programs_finish(cl);
        for (int i = 0; i < NCL_STREAMS; i++)
            if (cl->queue[i])
                cl->api->ReleaseCommandQueue(cl->queue[i]);
        if (cl->context && !cl->given)
            cl->api->ReleaseContext(cl->context);
    }
    pthread_mutex_destroy(&cl->submit);
    pthread_mutex_destroy(&cl->lock);
    norma_free(cl);
    device->impl = NULL;
}
