#include "faults.h"
#include "backend.h"
#include "schedule.h"
#include <stdlib.h>
#include <string.h>

// Of VkDriverId, which a build without Vulkan has no header for.
enum {
    IMAGINATION_PROPRIETARY = 7,
    QUALCOMM_PROPRIETARY = 8,
    MESA_LLVMPIPE = 13,
    MOLTENVK = 14,
    MESA_TURNIP = 18,
};
enum { VENDOR_AMD = 0x1002 };

#define VULKAN .api = NORMA_DRIVER_VULKAN
#define OPENCL .api = NORMA_DRIVER_OPENCL

// A fault that makes a call fail needs no row: a variant that does not compile, and memory that is not bound, give way
// to the next by themselves.
const struct norma_fault norma_faults[] = {
    {VULKAN, .id = MESA_LLVMPIPE, .max_iterations = 65535,
     .what = "all loops of an invocation end after 65535 iterations in all, silently",
     .source = "https://gitlab.freedesktop.org/mesa/mesa/-/blob/main/src/gallium/auxiliary/gallivm/lp_bld_limits.h"},
    {VULKAN, .id = QUALCOMM_PROPRIETARY, .from = {512, 502, 0}, .before = {512, 503, 0}, .avoid = NORMA_AVOID_SHUFFLES,
     .what = "shuffles give wrong values (Snapdragon 855+)", .source = "https://github.com/Tencent/ncnn/issues/6778"},
    {VULKAN, .id = QUALCOMM_PROPRIETARY, .from = {512, 842, 0}, .before = {512, 843, 0}, .avoid = NORMA_AVOID_SHUFFLES,
     .what = "shuffles give wrong values (Snapdragon 8 Elite Gen 5)",
     .source = "https://github.com/Tencent/ncnn/issues/6778"},
    {VULKAN, .id = MESA_TURNIP, .name = "Adreno (TM) 640", .avoid = NORMA_AVOID_SHUFFLES,
     .what = "shuffles give wrong values (seen with 26.1.2, Snapdragon 855+)",
     .source = "https://github.com/Tencent/ncnn/issues/6778"},
    {VULKAN, .id = QUALCOMM_PROPRIETARY, .name = "Adreno (TM) 750", .avoid = NORMA_AVOID_SHUFFLES,
     .what = "the process crashes while a kernel that reduces by subgroups is compiled",
     .source = "https://github.com/ggml-org/llama.cpp/pull/29165"},
    {VULKAN, .id = IMAGINATION_PROPRIETARY, .name = "CXTP-48-1536", .avoid = NORMA_AVOID_DEVICE,
     .what = "compute work makes the GPU's firmware crash and the machine restart",
     .source = "https://github.com/ggml-org/llama.cpp/issues/28214"},
    {VULKAN, .id = IMAGINATION_PROPRIETARY, .avoid = NORMA_AVOID_SHUFFLES,
     .what = "the compiler crashes on kernels that reduce by subgroups (Tensor G5)",
     .source = "https://github.com/ggml-org/llama.cpp/pull/20565"},
    {VULKAN, .vendor = VENDOR_AMD, .id = MOLTENVK, .before = {1, 4, 2}, .avoid = NORMA_AVOID_SHUFFLES,
     .what = "shuffles give wrong values in subgroups of 64",
     .source = "https://github.com/KhronosGroup/MoltenVK/issues/2756"},
    {OPENCL, .driver = "Intel Gen OCL Driver", .avoid = NORMA_AVOID_DEVICE,
     .what = "Beignet: its compiler ends the process by failed assertions, or makes kernels that are wrong",
     .source = "https://github.com/openwall/john/issues/3749"},
    {OPENCL, .driver = "Clover", .avoid = NORMA_AVOID_DEVICE,
     .what = "Mesa's Clover: kernels do not compile, or crash the process",
     .source = "https://github.com/openwall/john/issues/2204"},
    {OPENCL, .driver = "AMD Accelerated Parallel Processing", .from = {2236, 0, 0}, .before = {2237, 0, 0},
     .avoid = NORMA_AVOID_DEVICE, .what = "AMDGPU-PRO 16.50: known to be broken",
     .source = "https://github.com/hashcat/hashcat/blob/master/src/backend.c"},
    {OPENCL, .driver = "AMD Accelerated Parallel Processing", .from = {2264, 0, 0}, .before = {2265, 0, 0},
     .avoid = NORMA_AVOID_DEVICE, .what = "AMDGPU-PRO 16.60: known to be broken",
     .source = "https://github.com/hashcat/hashcat/blob/master/src/backend.c"},
    {OPENCL, .driver = "AMD Accelerated Parallel Processing", .from = {2348, 0, 0}, .before = {2349, 0, 0},
     .avoid = NORMA_AVOID_DEVICE, .what = "AMDGPU-PRO 17.10: known to be broken",
     .source = "https://github.com/hashcat/hashcat/blob/master/src/backend.c"},
    {OPENCL, .driver = "NVIDIA CUDA", .from = {440, 0, 0}, .before = {440, 64, 0}, .avoid = NORMA_AVOID_DEVICE,
     .what = "early drivers of the series 440: known to be broken",
     .source = "https://github.com/hashcat/hashcat/blob/master/src/backend.c"},
    {OPENCL, .name = "GB10", .driver = "NVIDIA CUDA", .avoid = NORMA_AVOID_IMPORT,
     .what = "memory of the caller's that is bound is not coherent: wrong results",
     .source = "https://github.com/ProjectPhysX/FluidX3D/issues/351"},
    {OPENCL, .name = "Gen9", .driver = "Intel(R) OpenCL", .from = {19, 34, 13959}, .before = {19, 34, 13960},
     .avoid = NORMA_AVOID_DEVICE, .what = "reductions between barriers give wrong results now and then",
     .source = "https://github.com/intel/compute-runtime/issues/221"},
    {OPENCL, .driver = "Portable Computing Language", .from = {7, 0, 0}, .avoid = NORMA_AVOID_TEAMS,
     .what = "PoCL 7: kernels whose work-items meet at barriers give wrong results",
     .source = "https://github.com/pocl/pocl/issues/2069"},
};
const size_t norma_fault_count = sizeof(norma_faults) / sizeof(norma_faults[0]);

static int compare(const uint32_t a[3], const uint32_t b[3])
{
    for (int i = 0; i < 3; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static bool contains(const char *text, const char *part)
{
    return !part || norma_contains_caseless(text, part);
}

bool norma_fault_matches(const struct norma_fault *fault, const struct norma_device *device)
{
    static const uint32_t never[3];
    const struct norma_driver_key *key = &device->key;
    if (fault->api != device->caps.api || (fault->vendor && fault->vendor != key->vendor) ||
        (fault->id && fault->id != key->id))
        return false;
    if (!contains(device->name, fault->name) || !contains(device->driver, fault->driver))
        return false;
    return compare(key->version, fault->from) >= 0 &&
           (!compare(fault->before, never) || compare(key->version, fault->before) < 0);
}

static bool ignored(void)
{
    const char *text = getenv("NORMA_IGNORE_FAULTS");
    return text && !strcmp(text, "1");
}

void norma_faults_find(struct norma_device *device)
{
    struct norma_avoid *avoid = &device->avoid;
    *avoid = (struct norma_avoid){0};
    for (size_t i = 0; i < norma_fault_count && !ignored(); i++) {
        const struct norma_fault *f = &norma_faults[i];
        if (!norma_fault_matches(f, device))
            continue;
        norma_log(device->context, 2, "%s: known fault: %s (%s)", device->id, f->what, f->source);
        avoid->what |= f->avoid;
        if (f->max_iterations && (!avoid->max_iterations || f->max_iterations < avoid->max_iterations))
            avoid->max_iterations = f->max_iterations;
        if ((f->avoid & NORMA_AVOID_DEVICE) && !avoid->aside)
            avoid->aside = f;
    }
}

void norma_faults_apply(struct norma_device *device)
{
    struct norma_caps *caps = &device->caps;
    const struct norma_avoid *avoid = &device->avoid;
    if (avoid->what & NORMA_AVOID_SHUFFLES)
        caps->subgroup_shuffle = false;
    if (avoid->what & NORMA_AVOID_IMPORT)
        caps->host_memory = false, caps->import_align = 0;
    if (avoid->what & NORMA_AVOID_TEAMS)
        caps->left_out |= norma_variants_with_barriers();
    if (avoid->max_iterations)
        caps->max_iterations = avoid->max_iterations;
}
