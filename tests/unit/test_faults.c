// The table of known faults: that it is well formed and what docs/faults.md says, and that devices made up in the
// drivers' names are treated as it says before their drivers are asked for anything dangerous.
// With --table it prints docs/faults.md.
#include "context.h"
#include "schedule.h"
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs stdarg and setjmp
#include <cmocka.h>

#include "works.h"

#ifdef NORMA_HAVE_OPENCL
#include "opencl/loader.h"
#endif
#ifdef NORMA_HAVE_VULKAN
#include "vulkan/nvk.h"
#endif

// What the table's ids stand for in the documentation.
static const char *maker(uint32_t id)
{
    switch (id) {
    case 7:
        return "Imagination's own";
    case 8:
        return "Qualcomm's own";
    case 13:
        return "Mesa llvmpipe (lavapipe)";
    case 14:
        return "MoltenVK";
    case 18:
        return "Mesa Turnip";
    default:
        return NULL;
    }
}

static size_t print_version(char *text, size_t size, const char *before, const uint32_t v[3])
{
    if (v[0] == 0)
        return 0;
    return (size_t)snprintf(text, size, "%s%u.%u.%u", before, v[0], v[1], v[2]);
}

static size_t print_avoid(char *text, size_t size, const struct norma_fault *f)
{
    size_t used = 0;
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{NORMA_AVOID_DEVICE, "the device"},
                 {NORMA_AVOID_SHUFFLES, "shuffles"},
                 {NORMA_AVOID_IMPORT, "binding the caller's memory"},
                 {NORMA_AVOID_TEAMS, "barriers"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (f->avoid & names[i].bit)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", names[i].name);
    if (f->max_iterations)
        used += (size_t)snprintf(text + used, size - used, "%sover %u iterations of loops an invocation",
                                 used ? ", " : "", f->max_iterations);
    return used;
}

static size_t print_row(char *text, size_t size, const struct norma_fault *f)
{
    const char *by = f->id ? maker(f->id) : f->driver ? f->driver : "any";
    size_t used =
        (size_t)snprintf(text, size, "| %s | %s%s%s%s |", f->api == NORMA_DRIVER_VULKAN ? "Vulkan" : "OpenCL", by,
                         f->name ? ": " : "", f->name ? f->name : "", f->vendor == 0x1002 ? ", of AMD's devices" : "");
    char versions[64] = "";
    const size_t from = print_version(versions, sizeof versions, "from ", f->from);
    print_version(versions + from, sizeof versions - from, from ? " to before " : "before ", f->before);
    used += (size_t)snprintf(text + used, size - used, " %s | %s | ", *versions ? versions : "all", f->what);
    used += print_avoid(text + used, size - used, f);
    return used + (size_t)snprintf(text + used, size - used, " | <%s> |\n", f->source);
}

static size_t print_table(char *text, size_t size)
{
    size_t used = (size_t)snprintf(
        text, size,
        "# Known faults of drivers\n\n"
        "What can fail safely is found out by the self-test when a device is opened, and a kernel that a driver does "
        "not\n"
        "compile gives way to the next. What crashes or hangs, or is wrong now and then alone, is known from others:\n"
        "`src/faults.c` has this table, which is applied before a driver is asked to make a device. A device of the "
        "table\n"
        "that is set aside says so in `norma devices` and in `norma_device_info.reason`. `NORMA_IGNORE_FAULTS=1` in "
        "the\n"
        "environment makes Norma ignore the table, limits included: for those who test whether a fault still "
        "exists.\n\n"
        "Made from the table (`test-faults --table`), and held against it by the tests.\n\n"
        "| API | driver, device | versions | what goes wrong | left out | reported in |\n"
        "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < norma_fault_count; i++)
        used += print_row(text + used, size - used, &norma_faults[i]);
    return used;
}

static void test_rows(void **state)
{
    (void)state;
    assert_true(norma_fault_count >= 10);
    for (size_t i = 0; i < norma_fault_count; i++) {
        const struct norma_fault *f = &norma_faults[i];
        assert_true(f->what && *f->what && strchr(f->what, '|') == NULL);
        assert_true(f->source && !strncmp(f->source, "https://", 8));
        assert_true(f->avoid || f->max_iterations);
        assert_true(f->id || f->vendor || f->name || f->driver); // not every driver of the API
        assert_true(!f->id || maker(f->id));
        assert_true(f->api == NORMA_DRIVER_VULKAN || (f->api == NORMA_DRIVER_OPENCL && !f->id && !f->vendor));
        // The reason that a device is set aside with is of 255 characters.
        assert_true(strlen(f->what) + strlen(f->source) < 190);
    }
}

static void test_documented(void **state)
{
    (void)state;
    static char want[16384], have[16384];
    const size_t length = print_table(want, sizeof want);
    assert_true(length < sizeof want);
    FILE *file = fopen(NORMA_TESTS "/../docs/faults.md", "r");
    assert_non_null(file);
    const size_t got = fread(have, 1, sizeof have, file);
    fclose(file);
    if (got != length || memcmp(want, have, length) != 0)
        fail_msg("docs/faults.md is not what test-faults --table prints");
}

static struct norma_device made_up(enum norma_driver_api api, uint32_t id, const char *name, const char *driver,
                                   uint32_t major, uint32_t minor, uint32_t patch)
{
    struct norma_device d = {.caps.api = api, .key = {.id = id, .version = {major, minor, patch}}};
    snprintf(d.name, sizeof d.name, "%s", name);
    snprintf(d.driver, sizeof d.driver, "%s", driver);
    return d;
}

static uint32_t avoided(const struct norma_device *device)
{
    uint32_t avoid = 0;
    for (size_t i = 0; i < norma_fault_count; i++)
        if (norma_fault_matches(&norma_faults[i], device))
            avoid |= norma_faults[i].avoid;
    return avoid;
}

static void test_matches(void **state)
{
    (void)state;
    static const struct {
        enum norma_driver_api api;
        uint32_t id;
        const char *name, *driver;
        uint32_t version[3], avoid;
    } cases[] = {
        {NORMA_DRIVER_VULKAN, 8, "Adreno (TM) 640", "Qualcomm", {512, 501, 9}, 0},
        {NORMA_DRIVER_VULKAN, 8, "Adreno (TM) 640", "Qualcomm", {512, 502, 0}, NORMA_AVOID_SHUFFLES},
        {NORMA_DRIVER_VULKAN, 8, "Adreno (TM) 640", "Qualcomm", {512, 502, 4095}, NORMA_AVOID_SHUFFLES},
        {NORMA_DRIVER_VULKAN, 8, "Adreno (TM) 640", "Qualcomm", {512, 503, 0}, 0},
        {NORMA_DRIVER_VULKAN, 8, "Adreno (TM) 750", "Qualcomm", {512, 700, 0}, NORMA_AVOID_SHUFFLES},
        {NORMA_DRIVER_VULKAN, 18, "Turnip Adreno (TM) 640", "turnip", {26, 1, 2}, NORMA_AVOID_SHUFFLES},
        {NORMA_DRIVER_VULKAN, 18, "Turnip Adreno (TM) 830", "turnip", {26, 1, 2}, 0},
        {NORMA_DRIVER_VULKAN, 7, "PowerVR C-Series cxtp-48-1536 MC1", "", {1, 0, 0}, 3},
        {NORMA_DRIVER_VULKAN, 3, "AMD Radeon RX 6800 (RADV NAVI21)", "radv", {26, 1, 2}, 0},
        {NORMA_DRIVER_OPENCL, 0, "AMD HAWAII", "Clover 22.3.6", {22, 3, 6}, NORMA_AVOID_DEVICE},
        {NORMA_DRIVER_VULKAN, 0, "AMD HAWAII", "Clover 22.3.6", {22, 3, 6}, 0},
        {NORMA_DRIVER_OPENCL, 0, "GeForce GTX 1080", "NVIDIA CUDA 440.33.1", {440, 33, 1}, NORMA_AVOID_DEVICE},
        {NORMA_DRIVER_OPENCL, 0, "GeForce GTX 1080", "NVIDIA CUDA 440.64.0", {440, 64, 0}, 0},
        {NORMA_DRIVER_OPENCL, 0, "NVIDIA GB10", "NVIDIA CUDA 580.95.5", {580, 95, 5}, NORMA_AVOID_IMPORT},
        {NORMA_DRIVER_OPENCL, 0, "pthread", "Portable Computing Language 3.1+debian", {3, 1, 0}, 0},
        {NORMA_DRIVER_OPENCL, 0, "cpu", "Portable Computing Language 7.1", {7, 1, 0}, NORMA_AVOID_TEAMS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct norma_device d = made_up(cases[i].api, cases[i].id, cases[i].name, cases[i].driver,
                                              cases[i].version[0], cases[i].version[1], cases[i].version[2]);
        if (avoided(&d) != cases[i].avoid)
            fail_msg("%s %u.%u: 0x%x, not 0x%x", d.name, d.key.version[0], d.key.version[1], avoided(&d),
                     cases[i].avoid);
    }
}

#if defined(NORMA_HAVE_OPENCL) || defined(NORMA_HAVE_VULKAN)
static norma_context *make_context(const char *driver)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    params.device = driver;
    params.cache_dir = "";
    assert_int_equal(norma_context_create(&params, &context), NORMA_OK);
    return context;
}

// The context's first device of the backend, opened as far as its driver goes.
static norma_device *first_device(norma_context *context, const char *backend, norma_device_info *info)
{
    for (size_t i = 0; i < norma_context_device_count(context); i++) {
        norma_device *device = norma_context_device(context, i);
        *info = (norma_device_info){.size = sizeof *info};
        if (strcmp(device->backend->name, backend) != 0)
            continue;
        assert_int_equal(norma_device_get_info(device, info), NORMA_OK);
        return device;
    }
    fail_msg("no device of %s", backend);
    return NULL;
}

static void expect_set_aside(const char *backend, const char *part)
{
    norma_device_info info;
    norma_device *found = NULL;
    norma_context *context = make_context(backend);
    first_device(context, backend, &info);
    assert_int_equal(info.usable, 0);
    assert_non_null(strstr(info.reason, part));
    assert_non_null(strstr(info.reason, "https://")); // whole: with who says so
    assert_non_null(strstr(info.reason, "NORMA_IGNORE_FAULTS=1"));
    assert_int_equal(norma_context_find_device(context, backend, &found), NORMA_ERROR_DEVICE);
    norma_context_destroy(&context);
}

static bool has_variant(norma_device *device, const char *part)
{
    const char *name;
    for (size_t i = 0; (name = norma_device_variant(device, i)) != NULL; i++)
        if (strstr(name, part))
            return true;
    return false;
}
#endif

#ifdef NORMA_HAVE_VULKAN
static struct nvk_api real;
static int devices_made;
static struct {
    VkDriverId id;
    uint32_t vendor, version;
    const char *name;
} claim;

static VKAPI_ATTR void VKAPI_CALL claim_properties(VkPhysicalDevice device, VkPhysicalDeviceProperties2 *properties)
{
    real.GetPhysicalDeviceProperties2(device, properties);
    properties->properties.vendorID = claim.vendor;
    properties->properties.driverVersion = claim.version;
    snprintf(properties->properties.deviceName, sizeof properties->properties.deviceName, "%s", claim.name);
    for (VkBaseOutStructure *s = properties->pNext; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES)
            ((VkPhysicalDeviceDriverProperties *)(void *)s)->driverID = claim.id;
}

static VKAPI_ATTR VkResult VKAPI_CALL count_device(VkPhysicalDevice device, const VkDeviceCreateInfo *info,
                                                   const VkAllocationCallbacks *callbacks, VkDevice *made)
{
    devices_made++;
    return real.CreateDevice(device, info, callbacks, made);
}

static void take_properties(struct nvk_api *api)
{
    if (!api->GetPhysicalDeviceProperties2) // no instance yet
        return;
    real = *api;
    api->GetPhysicalDeviceProperties2 = claim_properties;
    api->CreateDevice = count_device;
}

static void claim_to_be(VkDriverId id, uint32_t vendor, uint32_t version, const char *name)
{
    devices_made = 0;
    claim.id = id;
    claim.vendor = vendor;
    claim.version = version;
    claim.name = name;
    nvk_api_hook = take_properties;
}

static void test_vulkan_set_aside(void **state)
{
    (void)state;
    claim_to_be(VK_DRIVER_ID_IMAGINATION_PROPRIETARY, 0x1010, 1, "PowerVR C-Series CXTP-48-1536 MC1");
    expect_set_aside("vulkan", "firmware");
    assert_int_equal(devices_made, 0); // and so no pipeline
    setenv("NORMA_IGNORE_FAULTS", "1", 1);
    norma_device_info info;
    norma_context *context = make_context("vulkan");
    first_device(context, "vulkan", &info);
    assert_int_equal(info.usable, 1);
    assert_true(devices_made > 0);
    norma_context_destroy(&context);
    unsetenv("NORMA_IGNORE_FAULTS");
    nvk_api_hook = NULL;
}

static void expect_shuffles(bool wanted)
{
    norma_device_info info;
    norma_context *context = make_context("vulkan");
    norma_device *device = first_device(context, "vulkan", &info);
    assert_int_equal(info.usable, 1);
    assert_string_equal(info.reductions, wanted ? "subgroup" : "local memory");
    assert_int_equal(has_variant(device, "-subgroup"), wanted);
    assert_true(has_variant(device, "-local"));
    expect_works(context);
    norma_context_destroy(&context);
}

static void test_vulkan_without_shuffles(void **state)
{
    (void)state;
    claim_to_be(VK_DRIVER_ID_QUALCOMM_PROPRIETARY, 0x5143, VK_MAKE_VERSION(512, 502, 0), "Adreno (TM) 640");
    expect_shuffles(false);
    claim_to_be(VK_DRIVER_ID_QUALCOMM_PROPRIETARY, 0x5143, VK_MAKE_VERSION(512, 503, 0), "Adreno (TM) 640");
    expect_shuffles(true);
    claim_to_be(VK_DRIVER_ID_MOLTENVK, 0x1002, 10401, "AMD Radeon RX 570");
    expect_shuffles(false);
    claim_to_be(VK_DRIVER_ID_MOLTENVK, 0x1002, 10402, "AMD Radeon RX 570");
    expect_shuffles(true);
    claim_to_be(VK_DRIVER_ID_MOLTENVK, 0x106b, 10401, "Apple M1"); // of another vendor
    expect_shuffles(true);
    nvk_api_hook = NULL;
}

// Vulkan's makers count in their own ways.
static void test_vulkan_versions(void **state)
{
    (void)state;
    static const struct {
        uint32_t vendor, id, value, version[3];
    } cases[] = {{0x10de, VK_DRIVER_ID_NVIDIA_PROPRIETARY, 440u << 22 | 64u << 14 | 2u << 6, {440, 64, 2}},
                 {0x10de, 0, 440u << 22 | 64u << 14, {440, 64, 0}},
                 {0x8086, VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS, 101u << 14 | 8626, {101, 8626, 0}},
                 {0x8086, VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, VK_MAKE_VERSION(24, 3, 1), {24, 3, 1}},
                 {0x5143, VK_DRIVER_ID_QUALCOMM_PROPRIETARY, VK_MAKE_VERSION(512, 842, 19), {512, 842, 19}},
                 {0x106b, VK_DRIVER_ID_MOLTENVK, 10203, {1, 2, 3}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct norma_driver_key key;
        const VkPhysicalDeviceProperties properties = {.vendorID = cases[i].vendor, .driverVersion = cases[i].value};
        nvk_driver_key(&properties, cases[i].id, &key);
        assert_int_equal(key.vendor, cases[i].vendor);
        assert_memory_equal(key.version, cases[i].version, sizeof key.version);
    }
}

// The one device stands for two, of which the first does not say what extensions it has.
static int extension_queries;

static VKAPI_ATTR VkResult VKAPI_CALL list_twice(VkInstance instance, uint32_t *count, VkPhysicalDevice *devices)
{
    uint32_t one = 1;
    *count = 2;
    if (!devices)
        return VK_SUCCESS;
    const VkResult result = real.EnumeratePhysicalDevices(instance, &one, devices);
    devices[1] = devices[0];
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fail_first(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                                 VkExtensionProperties *list)
{
    return extension_queries++ ? real.EnumerateDeviceExtensionProperties(physical, layer, count, list)
                               : VK_ERROR_INITIALIZATION_FAILED;
}

static void take_lists(struct nvk_api *api)
{
    if (!api->EnumeratePhysicalDevices)
        return;
    real = *api;
    api->EnumeratePhysicalDevices = list_twice;
    api->EnumerateDeviceExtensionProperties = fail_first;
}

static void test_vulkan_beside_broken(void **state)
{
    (void)state;
    norma_device_info info = {.size = sizeof info};
    extension_queries = 0;
    nvk_api_hook = take_lists;
    norma_context *context = make_context("vulkan:1");
    nvk_api_hook = NULL;
    assert_true(extension_queries > 1);
    int usable[2] = {-1, -1};
    for (size_t i = 0; i < norma_context_device_count(context); i++) {
        assert_int_equal(norma_device_get_info(norma_context_device(context, i), &info), NORMA_OK);
        if (!strncmp(info.id, "vulkan:", 7))
            usable[info.id[7] == '1'] = info.usable;
    }
    assert_int_equal(usable[0], 0);
    assert_int_equal(usable[1], 1);
    norma_context_destroy(&context);
}

// lavapipe's limit comes from the table alone.
static void test_vulkan_iterations(void **state)
{
    (void)state;
    norma_device_info info;
    claim_to_be(VK_DRIVER_ID_MESA_LLVMPIPE, 0x10005, 1, "llvmpipe");
    norma_context *context = make_context("vulkan");
    assert_int_equal(first_device(context, "vulkan", &info)->caps.max_iterations, 65535);
    norma_context_destroy(&context);
    claim_to_be(VK_DRIVER_ID_MESA_RADV, 0x1002, 1, "AMD");
    context = make_context("vulkan");
    assert_int_equal(first_device(context, "vulkan", &info)->caps.max_iterations, 0);
    norma_context_destroy(&context);
    nvk_api_hook = NULL;
}
#endif

#ifdef NORMA_HAVE_OPENCL
static struct ncl_api real_cl;
static int contexts_made;
static const char *platform_claim, *name_claim, *version_claim;

static cl_int put(const char *text, size_t size, void *value, size_t *length)
{
    if (length)
        *length = strlen(text) + 1;
    if (value && size <= strlen(text))
        return CL_INVALID_VALUE;
    if (value)
        memcpy(value, text, strlen(text) + 1);
    return CL_SUCCESS;
}

static CL_API_ENTRY cl_int CL_API_CALL claim_platform(cl_platform_id id, cl_platform_info what, size_t size,
                                                      void *value, size_t *length)
{
    return what == CL_PLATFORM_NAME ? put(platform_claim, size, value, length)
                                    : real_cl.GetPlatformInfo(id, what, size, value, length);
}

static CL_API_ENTRY cl_int CL_API_CALL claim_device(cl_device_id id, cl_device_info what, size_t size, void *value,
                                                    size_t *length)
{
    if (what == CL_DEVICE_NAME && name_claim)
        return put(name_claim, size, value, length);
    return what == CL_DRIVER_VERSION ? put(version_claim, size, value, length)
                                     : real_cl.GetDeviceInfo(id, what, size, value, length);
}

static CL_API_ENTRY cl_context CL_API_CALL
count_context(const cl_context_properties *properties, cl_uint count, const cl_device_id *ids,
              void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user, cl_int *code)
{
    contexts_made++;
    return real_cl.CreateContext(properties, count, ids, notify, user, code);
}

static void take_claims(struct ncl_api *api)
{
    real_cl = *api;
    api->GetPlatformInfo = claim_platform;
    api->GetDeviceInfo = claim_device;
    api->CreateContext = count_context;
}

static void claim_opencl(const char *platform, const char *name, const char *version)
{
    platform_claim = platform;
    name_claim = name;
    version_claim = version;
    contexts_made = 0;
    ncl_api_hook = take_claims;
}

static void test_opencl_set_aside(void **state)
{
    (void)state;
    claim_opencl("Clover", NULL, "22.3.6");
    expect_set_aside("opencl", "Clover");
    assert_int_equal(contexts_made, 0);
    claim_opencl("NVIDIA CUDA", NULL, "440.33.01");
    expect_set_aside("opencl", "440");
    assert_int_equal(contexts_made, 0);
    claim_opencl("NVIDIA CUDA", NULL, "440.64");
    norma_context *context = make_context("opencl");
    expect_works(context);
    assert_true(contexts_made > 0);
    norma_context_destroy(&context);
    ncl_api_hook = NULL;
}

// A context calls the driver through a table of its own: what another's holds is nothing to it.
static void test_opencl_tables(void **state)
{
    (void)state;
    norma_context *before = make_context("opencl");
    claim_opencl("NVIDIA CUDA", NULL, "440.64");
    norma_context *claimed = make_context("opencl");
    ncl_api_hook = NULL;
    norma_context *behind = make_context("opencl");
    expect_works(before);
    expect_works(behind);
    assert_int_equal(contexts_made, 0);
    norma_context_destroy(&before);
    expect_works(claimed);
    assert_int_equal(contexts_made, 1);
    norma_context_destroy(&claimed);
    expect_works(behind);
    norma_context_destroy(&behind);
}

static void test_opencl_without_import(void **state)
{
    (void)state;
    norma_device_info info;
    claim_opencl("NVIDIA CUDA", "NVIDIA GB10", "580.95.05");
    norma_context *context = make_context("opencl");
    first_device(context, "opencl", &info);
    assert_int_equal(info.host_memory, 0);
    expect_works(context);
    norma_context_destroy(&context);
    claim_opencl("NVIDIA CUDA", "NVIDIA GB20", "580.95.05");
    context = make_context("opencl");
    first_device(context, "opencl", &info);
    assert_int_equal(info.host_memory, 1);
    norma_context_destroy(&context);
    ncl_api_hook = NULL;
}

static void test_opencl_without_barriers(void **state)
{
    (void)state;
    norma_device_info info;
    claim_opencl("Portable Computing Language", NULL, "7.1");
    norma_context *context = make_context("opencl");
    norma_device *device = first_device(context, "opencl", &info);
    assert_int_equal(info.usable, 1);
    assert_false(has_variant(device, "-local"));
    assert_true(has_variant(device, "serial"));
    expect_works(context);
    norma_context_destroy(&context);
    ncl_api_hook = NULL;
}
#endif

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--table")) {
        static char text[16384];
        print_table(text, sizeof text);
        fputs(text, stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_documented),
        cmocka_unit_test(test_matches),
#ifdef NORMA_HAVE_VULKAN
        cmocka_unit_test(test_vulkan_set_aside),
        cmocka_unit_test(test_vulkan_without_shuffles),
        cmocka_unit_test(test_vulkan_versions),
        cmocka_unit_test(test_vulkan_beside_broken),
        cmocka_unit_test(test_vulkan_iterations),
#endif
#ifdef NORMA_HAVE_OPENCL
        cmocka_unit_test(test_opencl_set_aside),
        cmocka_unit_test(test_opencl_tables),
        cmocka_unit_test(test_opencl_without_import),
        cmocka_unit_test(test_opencl_without_barriers),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
