#include "platform.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__APPLE__)
// MoltenVK may stand in for a loader: it exports vkGetInstanceProcAddr as well.
static const char *const vulkan_names[] = {"libvulkan.1.dylib", "libvulkan.dylib", "libMoltenVK.dylib"};
static const char *const opencl_names[] = {"/System/Library/Frameworks/OpenCL.framework/OpenCL", "libOpenCL.dylib"};
#elif defined(__ANDROID__)
// The loader belongs to the system from Android 7 on. OpenCL is the vendor's, if it lets programs have it.
static const char *const vulkan_names[] = {"libvulkan.so"};
static const char *const opencl_names[] = {"libOpenCL.so"};
#else
static const char *const vulkan_names[] = {"libvulkan.so.1", "libvulkan.so"};
static const char *const opencl_names[] = {"libOpenCL.so.1", "libOpenCL.so"};
#endif

static void *open_first(const char *const *names, size_t count)
{
    void *library = NULL;
    for (size_t i = 0; i < count && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

void *norma_open_opencl(void)
{
    return open_first(opencl_names, sizeof opencl_names / sizeof *opencl_names);
}

void *norma_open_vulkan(void)
{
    return open_first(vulkan_names, sizeof vulkan_names / sizeof *vulkan_names);
}

void *norma_library_symbol(void *library, const char *name)
{
    return dlsym(library, name);
}

int norma_fd_copy(int fd, bool *open)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    *open = copy >= 0 || errno != EBADF;
    return copy;
}

void norma_fd_own(int fd)
{
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0)
        fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

void norma_fd_close(int fd)
{
    close(fd);
}

void norma_fd_drop(int copy, int fd)
{
    struct stat a, b;
    if (fstat(copy, &a) == 0 && fstat(fd, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        close(copy);
}

int norma_cores(void)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 65536 ? 65536 : (int)cores;
}

uint64_t norma_page_size(void)
{
    const long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (uint64_t)size : 4096;
}

uint64_t norma_memory_size(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES);
    return pages > 0 ? (uint64_t)pages * norma_page_size() : 0;
}

// "model name" of /proc/cpuinfo, where that exists and says it.
void norma_processor_name(char *name, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "CPU");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = 0;
        if (*colon)
            snprintf(name, size, "%s", colon);
        break;
    }
    fclose(file);
}
