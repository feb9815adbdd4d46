// Vulkan drivers that lack corners of Vulkan, as MoltenVK: the loader shows them to those who ask alone, and their
// device wants its extension enabled, or that promise more or less about float32. Functions of the test stand between
// Norma and the driver.
#include "vulkan/nvk.h"
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs stdarg, stdbool and setjmp
#include <cmocka.h>

// What the loader and the device list, and what Norma asked for.
static bool loader_lists, device_lists, asked_loader, asked_device, set_flag;
static int instances, devices;
static PFN_vkCreateInstance create_instance;
static PFN_vkCreateDevice create_device;
static PFN_vkEnumerateDeviceExtensionProperties list_device;
static PFN_vkGetPhysicalDeviceProperties2 properties;
static PFN_vkCreateShaderModule create_module;
// What the device promises about float32 (NVK_KEEPS_DENORMALS and the like), and what all modules demanded: bits of the
// modes, which have to be those of their capabilities.
static uint32_t promised, demanded;

static VKAPI_ATTR VkResult VKAPI_CALL fake_list_instance(const char *layer, uint32_t *count,
                                                         VkExtensionProperties *list)
{
    (void)layer;
    const char *const names[] = {VK_KHR_SURFACE_EXTENSION_NAME, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME};
    const uint32_t all = loader_lists ? 2 : 1, room = *count;
    *count = list && room < all ? room : all;
    for (uint32_t i = 0; list && i < *count; i++)
        snprintf(list[i].extensionName, sizeof list[i].extensionName, "%s", names[i]);
    return list && room < all ? VK_INCOMPLETE : VK_SUCCESS;
}

static bool names_it(const char *const *names, uint32_t count, const char *name)
{
    bool found = false;
    for (uint32_t i = 0; i < count; i++)
        found |= !strcmp(names[i], name);
    return found;
}

// The real loader gets neither: whether it knows the extension must not matter.
static VKAPI_ATTR VkResult VKAPI_CALL fake_create_instance(const VkInstanceCreateInfo *info,
                                                           const VkAllocationCallbacks *allocator, VkInstance *instance)
{
    VkInstanceCreateInfo plain = *info;
    instances++;
    asked_loader = names_it(info->ppEnabledExtensionNames, info->enabledExtensionCount,
                            VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    set_flag = info->flags & VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    plain.flags = 0;
    plain.enabledExtensionCount = 0;
    return create_instance(&plain, allocator, instance);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_list_device(VkPhysicalDevice device, const char *layer, uint32_t *count,
                                                       VkExtensionProperties *list)
{
    uint32_t real = list && *count > 0 ? *count - 1 : 0; // the last place is for the test's own
    const VkResult result = list_device(device, layer, &real, list);
    if (result == VK_SUCCESS && list && device_lists)
        snprintf(list[real].extensionName, sizeof list[real].extensionName, "VK_KHR_portability_subset");
    *count = real + (device_lists || !list ? 1 : 0);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                         const VkAllocationCallbacks *allocator, VkDevice *device)
{
    const char *kept[8];
    VkDeviceCreateInfo plain = *info;
    devices++;
    assert_true(info->enabledExtensionCount <= 8);
    asked_device = names_it(info->ppEnabledExtensionNames, info->enabledExtensionCount, "VK_KHR_portability_subset");
    plain.enabledExtensionCount = 0;
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++)
        if (strcmp(info->ppEnabledExtensionNames[i], "VK_KHR_portability_subset") != 0)
            kept[plain.enabledExtensionCount++] = info->ppEnabledExtensionNames[i];
    plain.ppEnabledExtensionNames = kept;
    return create_device(physical, &plain, allocator, device);
}

static VKAPI_ATTR void VKAPI_CALL fake_properties(VkPhysicalDevice device, VkPhysicalDeviceProperties2 *p)
{
    properties(device, p);
    for (VkBaseOutStructure *s = p->pNext; s; s = s->pNext) {
        VkPhysicalDeviceFloatControlsProperties *floats = (void *)s;
        if (s->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES)
            continue;
        floats->shaderDenormPreserveFloat32 = (promised & NVK_KEEPS_DENORMALS) != 0;
        floats->shaderSignedZeroInfNanPreserveFloat32 = (promised & NVK_KEEPS_NONFINITE) != 0;
        floats->shaderRoundingModeRTEFloat32 = (promised & NVK_ROUNDS_TO_EVEN) != 0;
    }
}

static uint32_t bit_of(uint32_t word, uint32_t denormals)
{
    return word == denormals       ? NVK_KEEPS_DENORMALS
           : word == denormals + 2 ? NVK_KEEPS_NONFINITE
           : word == denormals + 3 ? NVK_ROUNDS_TO_EVEN
                                   : 0;
}

// Opcodes and operands are those of SPIR-V's specification: OpCapability 17 DenormPreserve 4464, OpExecutionMode 16
// DenormPreserve 4459; the others follow them.
static VKAPI_ATTR VkResult VKAPI_CALL fake_create_module(VkDevice device, const VkShaderModuleCreateInfo *info,
                                                         const VkAllocationCallbacks *allocator, VkShaderModule *module)
{
    const uint32_t *code = info->pCode;
    uint32_t capabilities = 0, modes = 0;
    for (size_t at = 5; at < info->codeSize / 4; at += code[at] >> 16) {
        if (code[at] == (2 << 16 | 17))
            capabilities |= bit_of(code[at + 1], 4464);
        if (code[at] == (4 << 16 | 16) && code[at + 3] == 32)
            modes |= bit_of(code[at + 2], 4459);
    }
    assert_int_equal(capabilities, modes);
    demanded &= modes;
    return create_module(device, info, allocator, module);
}

// Called after the functions without an instance were found, and again after those with one.
static void stand_between(struct nvk_api *api)
{
    if (api->CreateInstance != fake_create_instance)
        create_instance = api->CreateInstance;
    api->CreateInstance = fake_create_instance;
    api->EnumerateInstanceExtensionProperties = fake_list_instance;
    if (!api->CreateDevice)
        return;
    create_device = api->CreateDevice;
    list_device = api->EnumerateDeviceExtensionProperties;
    properties = api->GetPhysicalDeviceProperties2;
    create_module = api->CreateShaderModule;
    api->GetPhysicalDeviceProperties2 = fake_properties;
    api->CreateShaderModule = fake_create_module;
    api->CreateDevice = fake_create_device;
    api->EnumerateDeviceExtensionProperties = fake_list_device;
}

// Layer norm of a row with mean 1 and deviation 2, on a device opened anew.
static void run(void)
{
    const int64_t shape[] = {1, 4};
    float in[] = {-1, 3, -1, 3}, out[4] = {0};
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, in);
    norma_tensor y = norma_tensor_host(NORMA_FLOAT32, 2, shape, out);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    p.eps = 0;
    p.x = &x;
    p.y = &y;
    params.device = "vulkan";
    params.cache_dir = "";
    asked_loader = asked_device = set_flag = false;
    instances = devices = 0;
    demanded = UINT32_MAX; // no module yet
    nvk_api_hook = stand_between;
    norma_status status = norma_context_create(&params, &context);
    if (status == NORMA_OK)
        status = norma_run(context, &p);
    if (status != NORMA_OK)
        fail_msg("%s", norma_last_error());
    norma_context_destroy(&context);
    nvk_api_hook = NULL;
    for (int i = 0; i < 4; i++)
        assert_true(out[i] == (i % 2 ? 1 : -1));
    assert_int_equal(instances, 1);
    assert_true(devices >= 1);
}

static void test_asked_where_listed(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        loader_lists = i & 1;
        device_lists = i & 2;
        run();
        assert_int_equal(asked_loader, loader_lists);
        assert_int_equal(set_flag, loader_lists);
        assert_int_equal(asked_device, device_lists);
    }
}

// Denormals are kept, NaN and infinities honoured and results rounded to even where the driver can be told to.
static void test_float_controls(void **state)
{
    (void)state;
    for (promised = 0; promised < 8; promised++) {
        run();
        assert_int_equal(demanded, promised);
    }
    promised = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_asked_where_listed),
                                       cmocka_unit_test(test_float_controls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
