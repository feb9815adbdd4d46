// Carries out a schedule on a device: the only caller of backend->submit for operators.
#ifndef NORMA_SRC_EXECUTE_H
#define NORMA_SRC_EXECUTE_H

#include "backend.h"
#include "place.h"

// Tensors of the caller in host memory; returns when the outputs are written. Where the device cannot bind the memory
// it is copied. tensors[a] is NULL where argument a is absent.
norma_status norma_execute_host(struct norma_device *device, const struct norma_work *work,
                                const norma_tensor *const tensors[NORMA_ARG_COUNT], const char *variant,
                                uint64_t budget);

// The schedule that norma_execute_host would begin with, and how it reaches the tensors, whose memory is not touched.
// An error where it would refuse them. The device is ready; the caller finishes the schedule in any case.
norma_status norma_execute_foresee(const struct norma_device *device, const struct norma_work *work,
                                   const norma_tensor *const tensors[NORMA_ARG_COUNT], uint64_t budget,
                                   enum norma_memory *memory, struct norma_schedule *schedule);

// Schedules the work and compiles what it needs. A variant that the driver does not compile is dropped for good, with
// one line in the log, and the next is tried: then options->left_out grows. Not so with options->variant.
norma_status norma_execute_schedule(struct norma_device *device, const struct norma_work *work,
                                    struct norma_plan_options *options, struct norma_schedule *schedule);
// After prepare had that status for a schedule of the variant, made with those options: true where the variant was
// dropped, so that another schedule is worth a try.
bool norma_execute_drop(struct norma_device *device, const struct norma_plan_options *options, const char *variant,
                        norma_status status);

// Submits a RESIDENT schedule of norma_execute_schedule and returns at once; event is filled (see norma_event). The
// schedule's dispatches are adjusted to the places. workspace is NULL where the schedule needs none.
norma_status norma_execute_resident(struct norma_device *device, struct norma_schedule *schedule,
                                    const struct norma_place_in_buffer places[NORMA_ARG_COUNT],
                                    struct norma_buffer *workspace, bool timestamps, struct norma_event *event);

// The options that every schedule of this device is made with.
struct norma_plan_options norma_execute_options(const struct norma_device *device, const char *variant,
                                                enum norma_memory memory, uint64_t budget);

#endif
