// The part of a caller that has its own device: cases run on a context of the caller's objects, on the caller's
// buffers, recorded into the caller's command buffer or queue.
#ifndef NORMA_CHECK_GUEST_H
#define NORMA_CHECK_GUEST_H

#include <norma/norma.h>
#include <stdbool.h>

struct check_guest;

// NORMA_ERROR_NO_DEVICE where there is no driver.
norma_status check_guest_vulkan(struct check_guest **guest);
norma_status check_guest_opencl(struct check_guest **guest);
void check_guest_close(struct check_guest **guest);
// A wrapped buffer of the caller's; it lives as long as the guest.
norma_status check_guest_buffer(struct check_guest *guest, norma_device *device, uint64_t size, norma_buffer **buffer);
// To be called before the device's context goes.
void check_guest_forget(struct check_guest *guest, const norma_device *device);
// Records the run, executes what was recorded and waits for it.
norma_status check_guest_run(struct check_guest *guest, norma_device *device, norma_plan *plan,
                             const norma_problem *problem);

// What both kinds are made of.
struct check_guest {
    void (*objects)(struct check_guest *guest, norma_context_params *params); // puts them in, for a context
    norma_status (*buffer)(struct check_guest *guest, norma_device *device, uint64_t size, norma_buffer **buffer);
    // plan NULL: what was recorded last is submitted again (Vulkan)
    norma_status (*run)(struct check_guest *guest, norma_plan *plan, const norma_problem *problem,
                        norma_recorder *recorder, norma_buffer *workspace, uint64_t offset);
    void (*close)(struct check_guest *guest);
    norma_buffer *workspace; // of the last device, grows
    uint64_t workspace_size;
    norma_recorder *recorder; // of the last device
    norma_device *device;
    norma_buffer *row_count; // where the number of rows is, at the offset; NULL: the problem's
    uint64_t row_count_offset;
    uint32_t runs;
};

#endif
