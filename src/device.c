#include "context.h"
#include "schedule.h"
#include "sized.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static norma_status open_locked(struct norma_device *device)
{
    norma_status status = NORMA_OK;
    norma_faults_find(device); // before the driver gets any chance to fall over
    const struct norma_fault *fault = device->avoid.aside;
    if (fault)
        status = norma_fail(NORMA_ERROR_DEVICE, "known fault of the driver: %s (%s; NORMA_IGNORE_FAULTS=1 dares it)",
                            fault->what, fault->source);
    if (status == NORMA_OK)
        status = device->backend->open(device);
    if (status == NORMA_OK) {
        norma_faults_apply(device);
        device->state = NORMA_STATE_OPEN; // the self-test runs as any other work does
        device->pid = getpid();
        if (device->caps.record_only)
            device->caps.subgroup_shuffle = false; // it is the self-test that vouches for them
        else
            status = norma_device_self_test(device);
    }
    if (status != NORMA_OK) {
        device->state = NORMA_STATE_SET_ASIDE;
        snprintf(device->reason, sizeof(device->reason), "%s", norma_last_error());
        norma_log(device->context, 1, "%s (%s) is set aside: %s", device->id, device->name, device->reason);
    }
    return status;
}

norma_status norma_device_ready(struct norma_device *device)
{
    norma_status status = norma_context_check_fork(device->context);
    if (status != NORMA_OK)
        return status;
    // The lock is held while the device is opened or measured, which those who only record must not wait for.
    if (atomic_load(&device->ready))
        return NORMA_OK;
    pthread_mutex_lock(&device->lock);
    if (device->state == NORMA_STATE_FOUND) {
        status = open_locked(device);
        atomic_store(&device->ready, status == NORMA_OK);
    } else if (device->state == NORMA_STATE_SET_ASIDE)
        status = norma_fail(NORMA_ERROR_DEVICE, "device: %s is set aside: %s", device->id, device->reason);
    else if (device->state == NORMA_STATE_LOST)
        status = norma_fail(NORMA_ERROR_DEVICE_LOST, "device: %s is lost: %s", device->id, device->reason);
    pthread_mutex_unlock(&device->lock);
    return status;
}

void norma_device_failed(struct norma_device *device, norma_status status)
{
    if (status != NORMA_ERROR_DEVICE_LOST)
        return;
    pthread_mutex_lock(&device->lock);
    if (device->state == NORMA_STATE_OPEN) {
        device->state = NORMA_STATE_LOST;
        atomic_store(&device->ready, false);
        snprintf(device->reason, sizeof(device->reason), "%s", norma_last_error());
    }
    pthread_mutex_unlock(&device->lock);
}

norma_status norma_device_get_info(norma_device *device, norma_device_info *info)
{
    if (!device || !info)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", device ? "info" : "device");
    norma_status status = NORMA_WRITE(info, NULL, norma_device_info);
    if (status != NORMA_OK)
        return status;
    status = norma_device_ready(device);
    if (status == NORMA_ERROR_FORKED)
        return status;
    const struct norma_caps *caps = &device->caps;
    norma_device_info all = {
        .size = sizeof(all),
        .id = device->id,
        .name = device->name,
        .driver = device->driver,
        .backend = device->backend->name,
        .kind = caps->kind,
        .usable = status == NORMA_OK,
        .reason = device->reason,
        .reductions = caps->api == NORMA_DRIVER_SCALAR ? "serial"
                      : caps->subgroup_shuffle         ? "subgroup"
                                                       : "local memory",
        .memory = caps->memory,
        .max_range = caps->max_range,
        .subgroup_size = caps->subgroup_size,
        .max_workgroup = caps->max_workgroup,
        .host_memory = caps->host_memory,
        .timestamps = caps->timestamps,
        .programs = device->programs,
        .copy_rate = device->figures.copy_rate,
        .launch = device->figures.launch,
        .host_alignment = caps->import_align,
        .exports = caps->exports,
        .imports = caps->imports,
        .has_luid = caps->has_luid,
    };
    const char *variant = norma_variant_name(caps, 0);
    if (variant && !strcmp(variant, "serial"))
        all.reductions = "serial";
    memcpy(all.uuid, device->uuid, sizeof(all.uuid));
    memcpy(all.driver_uuid, caps->driver_uuid, sizeof(all.driver_uuid));
    memcpy(all.luid, caps->luid, sizeof(all.luid));
    return NORMA_WRITE(info, &all, norma_device_info);
}

norma_status norma_device_measure(norma_device *device)
{
    if (!device)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "device: NULL");
    const norma_status status = norma_device_ready(device);
    return status == NORMA_OK ? norma_figures_get(device, true) : status;
}

const char *norma_device_variant(norma_device *device, size_t index)
{
    return device && norma_device_ready(device) == NORMA_OK ? norma_variant_name(&device->caps, index) : NULL;
}
