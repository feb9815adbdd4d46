// What a device can do, as plain data: the planner sees nothing else of a driver, so tests make devices up.
#ifndef NORMA_SRC_CAPS_H
#define NORMA_SRC_CAPS_H

#include <norma/context.h>
#include <stdbool.h>
#include <stdint.h>

enum norma_driver_api { NORMA_DRIVER_SCALAR, NORMA_DRIVER_OPENCL, NORMA_DRIVER_VULKAN };

enum { NORMA_HOST_ALIGN = 8 }; // bytes, of a buffer on the caller's memory at least: the largest element's

struct norma_caps {
    enum norma_driver_api api;
    norma_device_kind kind;
    uint32_t compute_units;  // cores or multiprocessors, at least 1
    uint64_t memory;         // bytes
    uint64_t max_alloc;      // bytes of one allocation
    uint64_t max_range;      // bytes that one binding may span
    uint32_t offset_align;   // bytes; a power of two; a bound range begins at a multiple of it
    uint32_t max_groups[3];  // workgroups
    uint32_t max_workgroup;  // work-items
    uint32_t local_memory;   // bytes a workgroup
    uint32_t subgroup_size;  // 0: none
    bool subgroup_shuffle;   // shuffles passed the self-test; sizes below 8 do not count
    uint32_t max_iterations; // loop iterations of one invocation, all loops together; 0: no limit
    bool host_memory;        // can bind the caller's memory
    uint64_t host_align;     // bytes; import begins at a multiple of it (the enclosing pages are imported); 1: anywhere
    uint64_t import_align;   // bytes, of address and size, for a buffer on the caller's memory to stay; 0: never
    uint32_t exports, imports;        // norma_handle_type bits
    uint8_t driver_uuid[16], luid[8]; // 0: not known
    bool has_luid;
    bool timestamps;
    uint32_t left_out; // variants (norma_variant_bit) that a known fault of the driver forbids
    bool counts_rows;  // records rows whose number is known on the device alone
    bool record_only;  // has no queue: nothing can be submitted, no self-test was run
};

// Measured on the device (src/figures.c), or made up by a test. A run from host memory takes
//   launch + bytes / rate(bytes), rate interpolated in log(bytes) between the points and constant outside them.
#define NORMA_FIGURE_POINTS 3
struct norma_figures {
    bool known;
    double copy_rate; // bytes read plus written a second, the fastest copy
    double launch;    // seconds
    struct {
        double bytes, rate; // of a layer norm, host memory to host memory, every input and output once
    } point[NORMA_FIGURE_POINTS];
};

#endif
