#include "nvk.h"

static void drop_views(struct nvk_device *d, struct nvk_call *call)
{
    while (call->tape.view_count > 0)
        d->api->DestroyBufferView(d->handle, call->tape.views[--call->tape.view_count], d->allocation);
}

static void destroy(struct nvk_device *d, struct nvk_call *call)
{
    drop_views(d, call);
    norma_free(call->tape.views);
    nvk_buffer_finish(&call->tape.tables);
    if (call->queries)
        d->api->DestroyQueryPool(d->handle, call->queries, d->allocation);
    if (call->tape.pool)
        d->api->DestroyDescriptorPool(d->handle, call->tape.pool, d->allocation);
    if (call->commands)
        d->api->DestroyCommandPool(d->handle, call->commands, d->allocation);
    if (call->fence)
        d->api->DestroyFence(d->handle, call->fence, d->allocation);
    norma_free(call);
}

static norma_status create(struct nvk_device *d, struct nvk_call **out)
{
    norma_status status = NORMA_OK;
    struct nvk_call *call = norma_zalloc(d->allocator, 1, sizeof(*call));
    if (!call)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                          .queueFamilyIndex = d->family};
    NVK(d->api->CreateFence(d->handle, &fence, d->allocation, &call->fence));
    NVK(d->api->CreateCommandPool(d->handle, &pool, d->allocation, &call->commands));
    const VkCommandBufferAllocateInfo command = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                 .commandPool = call->commands,
                                                 .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                 .commandBufferCount = 1};
    NVK(d->api->AllocateCommandBuffers(d->handle, &command, &call->tape.command));
    *out = call;
    return NORMA_OK;
error:
    destroy(d, call);
    return status;
}

// Descriptor sets for `count` dispatches.
static norma_status reserve_sets(struct nvk_device *d, struct nvk_call *call, uint32_t count)
{
    norma_status status = NORMA_OK;
    drop_views(d, call);
    if (count <= call->set_capacity) {
        if (call->tape.pool)
            NVK(d->api->ResetDescriptorPool(d->handle, call->tape.pool, 0));
        return NORMA_OK;
    }
    if (call->tape.pool)
        d->api->DestroyDescriptorPool(d->handle, call->tape.pool, d->allocation);
    call->tape.pool = VK_NULL_HANDLE;
    call->set_capacity = 0;
    const uint32_t capacity = count > NVK_CALL_SETS ? count : NVK_CALL_SETS;
    const uint32_t sets = d->lean ? 2 : 1;
    const VkDescriptorPoolSize sizes[2] = {
        {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = (NVK_STRIDED + 1) * capacity},
        {.type = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, .descriptorCount = NVK_TEXELS * capacity}};
    const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = sets * capacity,
                                             .poolSizeCount = sets,
                                             .pPoolSizes = sizes};
    VkBufferView *views =
        d->lean ? norma_resize(d->allocator, call->tape.views, (size_t)capacity * NVK_TEXELS * sizeof(*views)) : NULL;
    if (d->lean && !views)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    call->tape.views = views;
    NVK(d->api->CreateDescriptorPool(d->handle, &info, d->allocation, &call->tape.pool));
    call->set_capacity = capacity;
error:
    return status;
}

static norma_status reserve_queries(struct nvk_device *d, struct nvk_call *call)
{
    norma_status status = NORMA_OK;
    const VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = 2};
    if (!call->queries)
        NVK(d->api->CreateQueryPool(d->handle, &info, d->allocation, &call->queries));
error:
    return status;
}

// Moves orphans that have finished to the idle ones. queue_lock is held.
static void collect(struct nvk_device *d)
{
    for (struct nvk_call **at = &d->orphans; *at;) {
        struct nvk_call *call = *at;
        if (d->api->GetFenceStatus(d->handle, call->fence) != VK_SUCCESS) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        call->next = d->idle;
        d->idle = call;
    }
}

norma_status nvk_call_take(struct norma_device *device, uint32_t sets, bool timed, struct nvk_call **out)
{
    struct nvk_device *d = nvk_device_of(device);
    norma_status status = NORMA_OK;
    pthread_mutex_lock(&d->queue_lock);
    collect(d);
    struct nvk_call *call = d->idle;
    if (call)
        d->idle = call->next;
    pthread_mutex_unlock(&d->queue_lock);
    if (!call && (status = create(d, &call)) != NORMA_OK)
        return status;
    call->timed = timed;
    call->tape.table_count = 0;
    call->tape.range_count = 0;
    call->tape.most = sets;
    NVK(d->api->ResetFences(d->handle, 1, &call->fence));
    NVK(d->api->ResetCommandPool(d->handle, call->commands, 0));
    if ((status = reserve_sets(d, call, sets)) != NORMA_OK)
        goto error;
    if (timed && (status = reserve_queries(d, call)) != NORMA_OK)
        goto error;
    *out = call;
    return NORMA_OK;
error:
    destroy(d, call);
    return status;
}

void nvk_call_drop(struct nvk_device *d, struct nvk_call *call)
{
    destroy(d, call);
}

static void give(struct nvk_device *d, struct nvk_call *call)
{
    pthread_mutex_lock(&d->queue_lock);
    call->next = d->orphans;
    d->orphans = call;
    pthread_mutex_unlock(&d->queue_lock);
}

void nvk_calls_finish(struct nvk_device *d)
{
    struct nvk_call **lists[] = {&d->idle, &d->orphans};
    for (int i = 0; i < 2; i++) {
        while (*lists[i]) {
            struct nvk_call *call = *lists[i];
            *lists[i] = call->next;
            destroy(d, call);
        }
    }
}

norma_status nvk_event_wait(struct norma_event *event)
{
    struct nvk_device *d = nvk_device_of(event->device);
    struct nvk_call *call = event->impl;
    norma_status status = NORMA_OK;
    if (call)
        NVK(d->api->WaitForFences(d->handle, 1, &call->fence, VK_TRUE, UINT64_MAX));
error:
    return status;
}

norma_status nvk_event_seconds(struct norma_event *event, double *seconds)
{
    struct nvk_device *d = nvk_device_of(event->device);
    struct nvk_call *call = event->impl;
    norma_status status = NORMA_OK;
    uint64_t ticks[2];
    if (!call || !call->timed)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "event: was submitted without timestamps");
    NVK(d->api->GetQueryPoolResults(d->handle, call->queries, 0, 2, sizeof(ticks), ticks, sizeof(ticks[0]),
                                    VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT));
    *seconds = (double)((ticks[1] - ticks[0]) & d->timestamp_mask) * d->timestamp_period * 1e-9;
error:
    return status;
}

void nvk_event_finish(struct norma_event *event)
{
    if (!event || !event->impl)
        return;
    give(nvk_device_of(event->device), event->impl);
    event->impl = NULL;
}
