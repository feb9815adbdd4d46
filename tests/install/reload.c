// The library as a plugin: opened, used on each device and closed a hundred times, by threads that come and go.
//   reload [--stays] LIBRARY DEVICE...     --stays: what the sanitizers are run with keeps modules from being unmapped
#include "module.h"
#include <dirent.h>
#include <pthread.h>

// A device each round; each of them in the first and every so many, which are more than there are devices.
enum { ROUNDS = 100, ALL = 20, WARM = 20 };

static const char *library;
static char **devices;
static int device_count, round_number;

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

static void *open_and_use(void *unused)
{
    (void)unused;
    void *module = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        stop(library, dlerror());
    for (int i = 0; i < device_count; i++)
        if (round_number % ALL == 0 || round_number % device_count == i)
            module_use(module, devices[i]);
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
