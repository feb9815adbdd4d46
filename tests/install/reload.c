// The library as a plugin: opened, used on each device and closed a hundred times, by threads that come and go.
//   reload [--stays] LIBRARY DEVICE...     --stays: what the sanitizers are run with keeps modules from being unmapped
#include <dirent.h>
#include <dlfcn.h>
#include <norma/norma.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A device each round; each of them in the first and every so many, which are more than there are devices.
enum { ROUNDS = 100, ALL = 20, WARM = 20, LENGTH = 64 };

static const char *library;
static char **devices;
static int device_count, round_number;

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static int entries(const char *folder)
{
    DIR *d = opendir(folder);
    int count = 0;
    while (d && readdir(d))
        count++;
    if (!d)
        stop(folder, "cannot be read");
    closedir(d);
    return count;
}

// A function pointer does not convert from void * in ISO C.
static void look_up(void *module, const char *name, void *function)
{
    void *symbol = dlsym(module, name);
    if (!symbol)
        stop(name, "is not in the library");
    memcpy(function, &symbol, sizeof(symbol));
}

static void use(void *module, const char *device)
{
    norma_status (*create)(const norma_context_params *, norma_context **);
    void (*destroy)(norma_context **);
    norma_status (*run)(norma_context *, const norma_problem *);
    norma_tensor (*host)(norma_dtype, int32_t, const int64_t *, void *);
    const char *(*last_error)(void);
    look_up(module, "norma_context_create", &create);
    look_up(module, "norma_context_destroy", &destroy);
    look_up(module, "norma_run", &run);
    look_up(module, "norma_tensor_host", &host);
    look_up(module, "norma_last_error", &last_error);
    float x[LENGTH], y[LENGTH] = {0};
    const int64_t shape[] = {1, LENGTH};
    for (int i = 0; i < LENGTH; i++)
        x[i] = i % 2 ? 3.0f : -1.0f; // mean 1, deviation 2
    const norma_tensor tx = host(NORMA_FLOAT32, 2, shape, x), ty = host(NORMA_FLOAT32, 2, shape, y);
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_context *context = NULL;
    params.device = device;
    problem.x = &tx;
    problem.y = &ty;
    if (create(&params, &context) != NORMA_OK || run(context, &problem) != NORMA_OK)
        stop(device, last_error());
    destroy(&context);
    // 2/sqrt(4 + 1e-5) is 1 - 1.25e-6.
    for (int i = 0; i < LENGTH; i++)
        if (!(y[i] * (i % 2 ? 1 : -1) > 0.99999f && y[i] * (i % 2 ? 1 : -1) < 1.0f))
            stop(device, "gives wrong values");
    problem.op = NORMA_OP_INVALID; // the thread's message is thread-local: its memory goes with the module
    if (run(NULL, &problem) != NORMA_ERROR_INVALID_ARGUMENT || !*last_error())
        stop(device, "a call without a context succeeds");
}

static void *open_and_use(void *unused)
{
    (void)unused;
    void *module = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        stop(library, dlerror());
    for (int i = 0; i < device_count; i++)
        if (round_number % ALL == 0 || round_number % device_count == i)
            use(module, devices[i]);
    return module;
}

static void *close_module(void *module)
{
    if (dlclose(module) != 0)
        stop(library, dlerror());
    return NULL;
}

// By the thread itself, or by one that ends.
static void *call(int by_thread, void *(*function)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    if (!by_thread)
        return function(argument);
    if (pthread_create(&thread, NULL, function, argument) != 0 || pthread_join(thread, &result) != 0)
        stop("thread", "cannot be started");
    return result;
}

int main(int argc, char **argv)
{
    const int stays = argc > 1 && !strcmp(argv[1], "--stays");
    int files = 0, threads = 0;
    if (argc < 3 + stays)
        stop("usage", "reload [--stays] LIBRARY DEVICE...");
    library = argv[1 + stays];
    devices = argv + 2 + stays;
    device_count = argc - 2 - stays;
    for (int i = 0; i < ROUNDS; i++) {
        round_number = i;
        void *first = call(i & 1, open_and_use, NULL), *module = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
        if (module != first)
            stop(library, "is another library when it is opened twice");
        call(i & 2, close_module, module);
        if (dlopen(library, RTLD_NOW | RTLD_NOLOAD) != first)
            stop(library, "is gone while it is open");
        call(i & 4, close_module, first);
        call(i & 8, close_module, first);
        module = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
        if (module && !stays)
            stop(library, "is still there after the last dlclose");
        if (module)
            dlclose(module);
        if (i == WARM) { // drivers stay, with threads and files of their own
            files = entries("/proc/self/fd");
            threads = entries("/proc/self/task");
        }
    }
    printf("%d rounds, files %d then %d, threads %d then %d\n", ROUNDS, files, entries("/proc/self/fd"), threads,
           entries("/proc/self/task"));
    if (entries("/proc/self/fd") > files || entries("/proc/self/task") > threads)
        stop(library, "leaves files or threads behind");
    return 0;
}
