// norma-static-intel: the OpenCL programs that an Intel GPU is asked to compile, on a machine without one: writes the
// sources to a folder, and prints a line for each program: kernel, source and build options, tab-separated. For
// tools/static-intel.
//   norma-static-intel FOLDER [--few]
#include "opencl/opencl.h"
#include "programs.h"
#include <string.h>

// As NEO tells of such a device: subgroups of 16 can be demanded.
static struct ncl_device cl = {.options = "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt -DSUBGROUP_SIZE=16"};

static void describe_device(norma_device *device, norma_context *context)
{
    device->backend = &norma_backend_opencl;
    device->context = context;
    device->impl = &cl;
    device->caps = (struct norma_caps){.api = NORMA_DRIVER_OPENCL,
                                       .kind = NORMA_DEVICE_INTEGRATED,
                                       .compute_units = 96,
                                       .memory = UINT64_C(8) << 30,
                                       .max_alloc = UINT64_C(4) << 30,
                                       .max_range = UINT64_C(4) << 30,
                                       .offset_align = 1,
                                       .max_groups = {1u << 24, 1u << 16, 1},
                                       .max_workgroup = 256,
                                       .local_memory = 64 << 10,
                                       .subgroup_size = 16,
                                       .subgroup_shuffle = true,
                                       .host_memory = true,
                                       .host_align = 4096,
                                       .timestamps = true};
}

static void write_source(const char *folder, const char *name, const norma_dispatch *program)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        DIE("%s: too long", folder);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(program->code, 1, program->code_size, file) != program->code_size || fclose(file) != 0)
        DIE("%s cannot be written", path);
}

int main(int argc, char **argv)
{
    enum { MOST_SOURCES = 8 };
    static norma_device device;
    const norma_dispatch *programs;
    const void *sources[MOST_SOURCES] = {NULL};
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context;
    if (argc < 2)
        DIE("usage: norma-static-intel FOLDER [--few]");
    params.device = "scalar"; // for what a device asks of its context
    NORMA(norma_context_create(&params, &context));
    describe_device(&device, context);
    const size_t count = static_programs(&device, argc > 2 && !strcmp(argv[2], "--few"), &programs);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        int at = 0;
        while (at < MOST_SOURCES - 1 && sources[at] && sources[at] != programs[i].code)
            at++;
        snprintf(name, sizeof name, "kernels%d.cl", at);
        if (!sources[at])
            write_source(argv[1], name, &programs[i]);
        sources[at] = programs[i].code;
        printf("%s\t%s\t%s\n", programs[i].kernel, name, programs[i].options);
    }
    norma_context_destroy(&context);
    return 0;
}
