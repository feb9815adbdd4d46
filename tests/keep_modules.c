// Preloaded under the sanitizers, beside the sanitizer's own library.
#include <stdlib.h>

// Programs that a driver starts are not under test: PoCL calls a linker, which leaks and would be said to have failed.
__attribute__((constructor)) static void preload_no_further(void)
{
    unsetenv("LD_PRELOAD");
}

// lavapipe leaks 128 bytes in a module that is unmapped by the time of the report, which then can't be told from a leak
// of Norma's. Modules that stay keep their names, and reach what they hold.
int dlclose(void *module);

int dlclose(void *module)
{
    (void)module;
    return 0;
}
