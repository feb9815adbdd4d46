// The devices that this build has a backend for. A test fails where the driver of one is missing.
#ifndef NORMA_TEST_DEVICES_H
#define NORMA_TEST_DEVICES_H

static const char *const test_devices[] = {
    "scalar",
#ifdef NORMA_HAVE_OPENCL
    "opencl",
#endif
#ifdef NORMA_HAVE_VULKAN
    "vulkan",
#endif
};
enum { TEST_DEVICES = sizeof test_devices / sizeof *test_devices };

#endif
