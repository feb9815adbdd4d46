#include "opencl.h"
#include <stdio.h>
#include <string.h>

// Generated from cl/ (meson.build): each with its includes resolved.
extern const char ncl_row_serial[], ncl_row_team[], ncl_strided[], ncl_quads[], ncl_copy[];
extern const size_t ncl_row_serial_size, ncl_row_team_size, ncl_strided_size, ncl_quads_size, ncl_copy_size;

static uint32_t constant(const norma_dispatch *dispatch, const char *name)
{
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        if (!strcmp(dispatch->constants[i].name, name))
            return dispatch->constants[i].value;
    return 0;
}

static const void *code_of(const norma_dispatch *dispatch, size_t *size)
{
    if (!strcmp(dispatch->kernel, "copy")) {
        *size = ncl_copy_size;
        return ncl_copy;
    }
    if (dispatch->table && strncmp(dispatch->kernel, "strided_", 8) != 0) {
        *size = ncl_quads_size;
        return ncl_quads;
    }
    if (dispatch->table) {
        *size = ncl_strided_size;
        return ncl_strided;
    }
    const bool serial = constant(dispatch, "TEAM") <= 1;
    *size = serial ? ncl_row_serial_size : ncl_row_team_size;
    return serial ? ncl_row_serial : ncl_row_team;
}

static size_t bucket(const norma_dispatch *dispatch)
{
    uint32_t hash = 2166136261u; // FNV-1a
    for (const char *c = dispatch->kernel; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        hash = (hash ^ dispatch->constants[i].value) * 16777619u;
    return (hash ^ hash >> 16) % NCL_PROGRAM_BUCKETS;
}

static bool same(const struct ncl_program *program, const norma_dispatch *dispatch)
{
    if (program->constant_count != dispatch->constant_count || strcmp(program->name, dispatch->kernel))
        return false;
    for (uint32_t i = 0; i < program->constant_count; i++)
        if (program->constants[i].value != dispatch->constants[i].value ||
            strcmp(program->constants[i].name, dispatch->constants[i].name))
            return false;
    return true;
}

// Under cl->lock.
static struct ncl_program *find(struct ncl_device *cl, const norma_dispatch *dispatch)
{
    for (struct ncl_program *p = cl->programs[bucket(dispatch)]; p; p = p->next)
        if (same(p, dispatch))
            return p;
    return NULL;
}

static void program_destroy(const struct ncl_device *cl, struct ncl_program *program)
{
    if (!program)
        return;
    if (program->kernel)
        cl->api->ReleaseKernel(program->kernel);
    if (program->program)
        cl->api->ReleaseProgram(program->program);
    norma_free(program);
}

// A kernel that this driver cannot build loses its variant, no more: the message has the log's first line.
static norma_status build_failed(const struct ncl_device *cl, const struct ncl_program *program, cl_int code)
{
    char log[400] = "";
    size_t size = 0;
    char *text = NULL;
    if (cl->api->GetProgramBuildInfo(program->program, cl->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) == CL_SUCCESS &&
        size)
        text = norma_zalloc(cl->allocator, 1, size + 1);
    if (text &&
        cl->api->GetProgramBuildInfo(program->program, cl->id, CL_PROGRAM_BUILD_LOG, size, text, NULL) == CL_SUCCESS) {
        const char *line = text + strspn(text, " \r\n\t");
        snprintf(log, sizeof(log), "%.*s", (int)strcspn(line, "\r\n"), line);
    }
    norma_free(text);
    const norma_status status = ncl_check(code, "BuildProgram");
    if (status != NORMA_ERROR_DEVICE)
        return status;
    return norma_fail(NORMA_ERROR_UNSUPPORTED, "clBuildProgram of %s: %d %s", program->name, code, log);
}

enum { OPTIONS = 512 }; // characters of build options

static norma_status make_options(const struct ncl_device *cl, const norma_dispatch *dispatch, char options[OPTIONS])
{
    int used = snprintf(options, OPTIONS, "%s -DNORMA_ONLY -DNORMA_ONLY_%s", cl->options, dispatch->kernel);
    for (uint32_t i = 0; i < dispatch->constant_count && used < OPTIONS; i++)
        used += snprintf(options + used, (size_t)(OPTIONS - used), " -D%s=%u", dispatch->constants[i].name,
                         dispatch->constants[i].value);
    if (used >= OPTIONS)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: build options of %d characters", dispatch->kernel, used);
    return NORMA_OK;
}

norma_status ncl_describe(struct norma_device *device, norma_dispatch *dispatch)
{
    char options[OPTIONS];
    const norma_status status = make_options(ncl_device(device), dispatch, options);
    if (status != NORMA_OK)
        return status;
    const size_t length = strlen(options) + 1;
    char *copy = norma_alloc(device->allocator, length);
    dispatch->options = copy ? memcpy(copy, options, length) : NULL;
    if (!dispatch->options)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "description: out of memory");
    dispatch->code = code_of(dispatch, &dispatch->code_size);
    return NORMA_OK;
}

static norma_status build(const struct ncl_device *cl, const norma_dispatch *dispatch, struct ncl_program *program)
{
    char options[OPTIONS];
    size_t source_size, limit = 0;
    const char *source = code_of(dispatch, &source_size);
    const norma_status made = make_options(cl, dispatch, options);
    if (made != NORMA_OK)
        return made;
    cl_int code = CL_SUCCESS;
    program->program = cl->api->CreateProgramWithSource(cl->context, 1, &source, &source_size, &code);
    if (!program->program)
        return ncl_check(code ? code : CL_OUT_OF_RESOURCES, "CreateProgramWithSource");
    code = cl->api->BuildProgram(program->program, 1, &cl->id, options, NULL, NULL);
    if (code != CL_SUCCESS)
        return build_failed(cl, program, code);
    program->kernel = cl->api->CreateKernel(program->program, dispatch->kernel, &code);
    if (!program->kernel) {
        const norma_status status = ncl_check(code ? code : CL_OUT_OF_RESOURCES, "CreateKernel");
        if (status != NORMA_ERROR_DEVICE)
            return status;
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "clCreateKernel of %s: %d", dispatch->kernel, code);
    }
    // Registers may leave room for fewer work-items than the device allows.
    code = cl->api->GetKernelWorkGroupInfo(program->kernel, cl->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof(limit), &limit,
                                           NULL);
    const size_t local = (size_t)dispatch->local[0] * dispatch->local[1] * dispatch->local[2];
    if (code == CL_SUCCESS && local > limit)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "%s: workgroups of %zu, the driver allows %zu", dispatch->kernel,
                          local, limit);
    return ncl_check(code, "GetKernelWorkGroupInfo");
}

norma_status ncl_program_get(struct norma_device *device, const norma_dispatch *dispatch, struct ncl_program **program)
{
    struct ncl_device *cl = ncl_device(device);
    pthread_mutex_lock(&cl->lock);
    struct ncl_program *found = find(cl, dispatch);
    pthread_mutex_unlock(&cl->lock);
    if (!found) {
        // Built without the lock, which every submission takes; a thread that built the same keeps the first.
        struct ncl_program *made = norma_zalloc(device->allocator, 1, sizeof(*made));
        if (!made)
            return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "%s: host memory", dispatch->kernel);
        made->name = dispatch->kernel;
        made->constant_count = dispatch->constant_count;
        memcpy(made->constants, dispatch->constants, sizeof(made->constants));
        const norma_status status = build(cl, dispatch, made);
        if (status != NORMA_OK) {
            program_destroy(cl, made);
            return status;
        }
        pthread_mutex_lock(&cl->lock);
        found = find(cl, dispatch);
        if (!found) {
            struct ncl_program **head = &cl->programs[bucket(dispatch)];
            made->next = *head;
            *head = found = made;
            made = NULL;
            device->programs++;
        }
        pthread_mutex_unlock(&cl->lock);
        program_destroy(cl, made);
    }
    if (program)
        *program = found;
    return NORMA_OK;
}

norma_status ncl_program_find(struct norma_device *device, const norma_dispatch *dispatch)
{
    struct ncl_device *cl = ncl_device(device);
    pthread_mutex_lock(&cl->lock);
    const bool found = find(cl, dispatch) != NULL;
    pthread_mutex_unlock(&cl->lock);
    return found ? NORMA_OK
                 : norma_fail(NORMA_ERROR_UNSUPPORTED, "plan: %s was not built for this problem", dispatch->kernel);
}

norma_status ncl_prepare(struct norma_device *device, const norma_dispatch *dispatch)
{
    const norma_status status = ncl_check_fork(device);
    return status == NORMA_OK ? ncl_program_get(device, dispatch, NULL) : status;
}

void ncl_programs_finish(struct ncl_device *cl)
{
    for (size_t i = 0; i < NCL_PROGRAM_BUCKETS; i++) {
        while (cl->programs[i]) {
            struct ncl_program *program = cl->programs[i];
            cl->programs[i] = program->next;
            program_destroy(cl, program);
        }
    }
}
