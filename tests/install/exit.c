// The library early and late: opened, used on each device and closed by a constructor, by main, and by a handler of
// exit; a context of each device outlives main, and goes there. At the very end, when the drivers' own handlers have
// run, the scalar path is left.
//   TEST_LIBRARY=FILE TEST_DEVICES="scalar opencl vulkan" exit
#include "module.h"

enum { MOST = 4 };

static const char *library;
static char names[64];
static const char *devices[MOST];
static norma_context *kept[MOST];
static int device_count, uses;

static void *open_module(void)
{
    void *module = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        stop(library, dlerror());
    return module;
}

static void close_module(void *module)
{
    if (dlclose(module) != 0)
        stop(library, dlerror());
}

static void use(int count)
{
    void *module = open_module();
    for (int i = 0; i < count; i++)
        module_use(module, devices[i]);
    uses += count;
    close_module(module);
}

// The module stays as long as they do.
static void keep_contexts(void)
{
    norma_status (*create)(const norma_context_params *, norma_context **);
    void *module = open_module();
    look_up(module, "norma_context_create", &create);
    for (int i = 0; i < device_count; i++) {
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        params.device = devices[i];
        if (create(&params, &kept[i]) != NORMA_OK)
            stop(devices[i], "cannot be opened early");
    }
}

static void drop_contexts(void)
{
    void (*destroy)(norma_context **);
    void *module = open_module();
    look_up(module, "norma_context_destroy", &destroy);
    for (int i = 0; i < device_count; i++)
        destroy(&kept[i]);
    close_module(module);
    close_module(module); // that of keep_contexts
}

static void late(void)
{
    use(device_count);
    drop_contexts();
}

__attribute__((constructor)) static void early(void)
{
    const char *file = getenv("TEST_LIBRARY"), *list = getenv("TEST_DEVICES");
    library = file ? file : "TEST_LIBRARY";
    snprintf(names, sizeof names, "%s", list ? list : "");
    for (char *name = strtok(names, " "); name && device_count < MOST; name = strtok(NULL, " "))
        devices[device_count++] = name;
    if (!device_count)
        stop("TEST_DEVICES", "is not set");
    use(device_count);
    keep_contexts();
}

__attribute__((destructor)) static void last(void)
{
    use(1);
    if (uses != 3 * device_count + 1)
        stop("uses", "are not those of before main, main, its exit and the end");
    puts("used early, in main, at its exit and at the end");
    fflush(stdout);
}

int main(void)
{
    use(device_count);
    return atexit(late);
}
