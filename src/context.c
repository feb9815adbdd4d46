#include "context.h"
#include "cache.h"
#include "sized.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const struct norma_backend *const backends[NORMA_BACKENDS] = {
#ifdef NORMA_HAVE_OPENCL
    &norma_backend_opencl,
#endif
#ifdef NORMA_HAVE_VULKAN
    &norma_backend_vulkan,
#endif
#ifndef NORMA_WITHOUT_SCALAR
    &norma_backend_scalar, // last: what remains where there is no driver
#endif
};

void norma_log(const norma_context *context, int level, const char *format, ...)
{
    char line[640];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (context->log)
        context->log(context->log_user, level, line);
    else if (getenv("NORMA_LOG") && level <= 1)
        fprintf(stderr, "norma: %s\n", line);
}

const struct norma_vulkan_objects *norma_context_vulkan(const norma_context *context)
{
    return context->params ? context->params->vulkan : NULL;
}

const struct norma_opencl_objects *norma_context_opencl(const norma_context *context)
{
    return context->params ? context->params->opencl : NULL;
}

const norma_allocator *norma_context_allocator(const norma_context *context)
{
    return context->allocator;
}

int norma_context_threads(const norma_context *context)
{
    return context->threads;
}

struct norma_device *norma_device_new(norma_context *context, const struct norma_backend *backend)
{
    struct norma_device *device = norma_zalloc(context->allocator, 1, sizeof(*device));
    if (!device)
        return NULL;
    device->context = context;
    device->allocator = context->allocator;
    device->backend = backend;
    pthread_mutex_init(&device->lock, NULL);
    return device;
}

static void add_device(void *user, struct norma_device *device)
{
    norma_context *context = user;
    if (context->device_count < NORMA_MAX_DEVICES) {
        context->devices[context->device_count++] = device;
        return;
    }
    norma_log(context, 1, "more than %d devices; %s is left out", NORMA_MAX_DEVICES, device->name);
    device->backend->close(device);
    pthread_mutex_destroy(&device->lock);
    norma_free(device);
}

static void uuid_text(const uint8_t *uuid, char text[37])
{
    char *at = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        at += sprintf(at, "%02x", uuid[i]);
    }
}

bool norma_device_matches(const struct norma_device *device, const char *name)
{
    char uuid[37];
    uuid_text(device->uuid, uuid);
    if (!strcasecmp(name, "auto") || !strcasecmp(name, device->id) || !strcasecmp(name, device->backend->name) ||
        !strcasecmp(name, uuid))
        return true;
    for (size_t i = 0; i < NORMA_BACKENDS && backends[i]; i++) {
        const size_t length = strlen(backends[i]->name);
        if (!strncasecmp(name, backends[i]->name, length) && (name[length] == '\0' || name[length] == ':'))
            return false; // "vulkan" or "opencl:1" name a driver, not a part of some device's name
    }
    return *name && norma_contains_caseless(device->name, name);
}

static void choose_cache_dir(norma_context *context, const char *wanted)
{
    const char *dir = wanted ? wanted : getenv("NORMA_CACHE_DIR");
    const int length = dir ? snprintf(context->cache_dir, sizeof(context->cache_dir), "%s", dir)
                           : norma_cache_default(context->cache_dir, sizeof(context->cache_dir));
    if (length < 0 || (size_t)length >= sizeof(context->cache_dir))
        context->cache_dir[0] = '\0';
}

static norma_status choose_threads(norma_context *context, int32_t wanted)
{
    const char *text = getenv("NORMA_THREADS");
    long threads = wanted;
    if (wanted < 0)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "threads: %d is negative", (int)wanted);
    if (threads == 0 && text && *text) {
        char *end;
        threads = strtol(text, &end, 10);
        if (*end || threads < 1 || threads > 4096)
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "NORMA_THREADS: \"%s\" is not a number from 1 to 4096",
                              text);
    }
    if (threads == 0)
        threads = norma_cores();
    context->threads = threads < 1 ? 1 : threads > 4096 ? 4096 : (int)threads;
    return NORMA_OK;
}

// On objects of the caller's.
static bool is_given(const norma_context_params *params)
{
    return params->vulkan || params->opencl;
}

// With objects of the caller's their backends alone are asked, and the scalar path.
static bool asks(const norma_context_params *params, const struct norma_backend *backend)
{
    if (!is_given(params) || !strcmp(backend->name, "scalar")) // which the build may have left out
        return true;
    return !strcmp(backend->name, "vulkan") ? params->vulkan != NULL : params->opencl != NULL;
}

static norma_status find_devices(norma_context *context)
{
    for (size_t i = 0; i < NORMA_BACKENDS && backends[i]; i++) {
        if (!asks(context->params, backends[i]))
            continue;
        const norma_status status = backends[i]->enumerate(context, add_device, context, &context->instance[i]);
        if (status != NORMA_OK && is_given(context->params))
            return status;
        if (status != NORMA_OK) // one broken driver must not take the others away
            norma_log(context, 1, "%s: %s", backends[i]->name, norma_last_error());
    }
    bool any = false;
    for (size_t i = 0; i < context->device_count; i++)
        any |= context->allowed[i] = norma_device_matches(context->devices[i], context->wanted);
    if (any)
        return NORMA_OK;
    return norma_fail(
        NORMA_ERROR_NO_DEVICE,
        "device: nothing matches \"%s\"; auto, scalar, opencl[:i], vulkan[:i], a UUID or part of a name is right",
        context->wanted);
}

static norma_status check_objects(const norma_context_params *params)
{
#ifndef NORMA_HAVE_VULKAN
    if (params->vulkan)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "vulkan: the library was built without Vulkan");
#endif
#ifndef NORMA_HAVE_OPENCL
    if (params->opencl)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "opencl: the library was built without OpenCL");
#endif
    (void)params;
    return NORMA_OK;
}

static norma_status check_allocator(const norma_allocator *a)
{
    if (!a || (a->allocate && a->reallocate && a->release))
        return NORMA_OK;
    return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "allocator: %s is NULL",
                      !a->allocate     ? "allocate"
                      : !a->reallocate ? "reallocate"
                                       : "release");
}

static norma_status create(const norma_context_params *params, norma_context **out)
{
    norma_status status = check_allocator(params->allocator);
    if (status == NORMA_OK)
        status = check_objects(params);
    if (status != NORMA_OK)
        return status;
    const char *wanted = params->device || is_given(params) ? params->device : getenv("NORMA_DEVICE");
    if (!wanted || !*wanted)
        wanted = "auto";
    norma_context *context = norma_zalloc(params->allocator, 1, sizeof(*context));
    if (!context)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "context: out of memory");
    pthread_mutex_init(&context->lock, NULL);
    context->pid = getpid();
    context->memory_budget = params->memory_budget;
    context->invariant = params->invariant != 0;
    context->log = params->log;
    context->log_user = params->log_user;
    context->params = params;
    context->allocator = params->allocator;
    if (strlen(wanted) >= sizeof(context->wanted))
        status = norma_fail(NORMA_ERROR_NO_DEVICE, "device: nothing matches a name of %zu characters", strlen(wanted));
    else
        strcpy(context->wanted, wanted);
    choose_cache_dir(context, params->cache_dir);
    if (status == NORMA_OK)
        status = choose_threads(context, params->threads);
    if (status == NORMA_OK)
        status = find_devices(context);
    context->params = NULL;
    if (status != NORMA_OK)
        norma_context_destroy(&context);
    *out = context;
    return status;
}

norma_status norma_context_create(const norma_context_params *given, norma_context **out)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    if (!out)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "context: NULL");
    *out = NULL;
    const norma_status status = given ? NORMA_READ(&params, given, norma_context_params) : NORMA_OK;
    return status == NORMA_OK ? create(&params, out) : status;
}

norma_status norma_context_check_fork(const norma_context *context)
{
    if (context->pid == getpid())
        return NORMA_OK;
    return norma_fail(NORMA_ERROR_FORKED, "context: made by the parent process; make one in the child");
}

void norma_context_destroy(norma_context **context)
{
    if (!context || !*context)
        return;
    norma_context *c = *context;
    // In a forked child the drivers' threads do not exist, and waiting for them would hang: leave their objects alone.
    const bool forked = c->pid != getpid();
    for (size_t i = 0; i < c->device_count; i++) {
        if (!forked)
            c->devices[i]->backend->close(c->devices[i]);
        pthread_mutex_destroy(&c->devices[i]->lock);
        norma_free(c->devices[i]);
    }
    for (size_t i = 0; i < NORMA_BACKENDS && backends[i] && !forked; i++)
        backends[i]->finish(c->instance[i]);
    pthread_mutex_destroy(&c->lock);
    norma_free(c);
    *context = NULL;
}

size_t norma_context_device_count(const norma_context *context)
{
    return context ? context->device_count : 0;
}

norma_device *norma_context_device(const norma_context *context, size_t index)
{
    return context && index < context->device_count ? context->devices[index] : NULL;
}

norma_status norma_context_find_device(norma_context *context, const char *name, norma_device **device)
{
    if (!context || !device)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%s: NULL", context ? "device" : "context");
    *device = NULL;
    if (!name)
        name = "auto";
    norma_status reason = norma_fail(NORMA_ERROR_NO_DEVICE, "name: no device matches \"%s\"", name);
    for (size_t i = 0; i < context->device_count; i++) {
        struct norma_device *d = context->devices[i];
        if (!context->allowed[i] || !norma_device_matches(d, name))
            continue;
        const norma_status status = norma_device_ready(d);
        if (status == NORMA_OK) {
            *device = d;
            return NORMA_OK;
        }
        reason = status; // with the message of the last one that matched
    }
    return reason;
}
