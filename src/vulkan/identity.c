#include "nvk.h"

enum { VENDOR_NVIDIA = 0x10de };

// Vulkan leaves the layout of driverVersion to the driver. Most pack it as they pack versions of the API.
static void decode(uint32_t vendor, uint32_t id, uint32_t v, uint32_t version[3])
{
    if (id == VK_DRIVER_ID_NVIDIA_PROPRIETARY || (id == 0 && vendor == VENDOR_NVIDIA)) {
        version[0] = v >> 22;
        version[1] = v >> 14 & 0xff;
        version[2] = v >> 6 & 0xff;
    } else if (id == VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS) {
        version[0] = v >> 14;
        version[1] = v & 0x3fff;
    } else if (id == VK_DRIVER_ID_MOLTENVK) { // decimal
        version[0] = v / 10000;
        version[1] = v / 100 % 100;
        version[2] = v % 100;
    } else {
        version[0] = v >> 22; // ten bits: Qualcomm begins at 512
        version[1] = v >> 12 & 0x3ff;
        version[2] = v & 0xfff;
    }
}

void nvk_driver_key(const VkPhysicalDeviceProperties *properties, uint32_t id, struct norma_driver_key *key)
{
    *key = (struct norma_driver_key){.vendor = properties->vendorID, .id = id};
    decode(key->vendor, id, properties->driverVersion, key->version);
}
