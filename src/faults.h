// Known faults of drivers, as data: what a self-test cannot find out without danger (crashes, hangs), or not for sure
// (wrong results now and then). Every row cites who reported it; docs/faults.md is the same table to read.
#ifndef NORMA_SRC_FAULTS_H
#define NORMA_SRC_FAULTS_H

#include "caps.h"
#include <stddef.h>

struct norma_device;

// What the table goes by, besides the names in struct norma_device. Filled when a device is enumerated.
struct norma_driver_key {
    uint32_t vendor;     // Vulkan's vendorID; 0 in OpenCL
    uint32_t id;         // VkDriverId; 0 in OpenCL, and where a Vulkan driver does not tell
    uint32_t version[3]; // of the driver, as its maker counts
};

// What to leave out.
enum {
    NORMA_AVOID_DEVICE = 1,   // all of it: the device is set aside
    NORMA_AVOID_SHUFFLES = 2, // variants that reduce by shuffles
    NORMA_AVOID_IMPORT = 4,   // binding the caller's memory: tensors are copied
    NORMA_AVOID_TEAMS = 8,    // variants in which work-items meet at barriers
};

struct norma_fault {
    enum norma_driver_api api;
    uint32_t vendor, id;     // 0: any
    const char *name;        // in the device's name, whatever the case; NULL: any
    const char *driver;      // in norma_device_info.driver, likewise
    uint32_t from[3];        // the first version that has it; zeros: all before it is fixed
    uint32_t before[3];      // the first version without it; zeros: no fix is known
    uint32_t avoid;          // NORMA_AVOID_*
    uint32_t max_iterations; // 0, or a limit for norma_caps.max_iterations
    const char *what;        // what goes wrong
    const char *source;      // the address of the report
};

extern const struct norma_fault norma_faults[];
extern const size_t norma_fault_count;

// What is to be avoided on one device.
struct norma_avoid {
    uint32_t what; // NORMA_AVOID_*
    uint32_t max_iterations;
    const struct norma_fault *aside; // why the device is set aside; NULL where it is not
};

// Whether the row is about such a device.
bool norma_fault_matches(const struct norma_fault *fault, const struct norma_device *device);
// Looks the enumerated device up and fills device->avoid: nothing where NORMA_IGNORE_FAULTS is 1 in the environment.
void norma_faults_find(struct norma_device *device);
// Takes from the caps of an opened device what is to be avoided, before anything is compiled for it.
void norma_faults_apply(struct norma_device *device);

#endif
