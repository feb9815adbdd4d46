#include "platform.h"
#include <stdio.h>
#include <string.h>
// before what needs it
#include <windows.h>

// The program's folder, the system's, and what AddDllDirectory named; not the current one, where anyone may put a file.
static void *open_library(const char *name)
{
    return (void *)LoadLibraryExA(name, NULL, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
}

void *norma_open_opencl(void)
{
    return open_library("OpenCL.dll");
}

void *norma_open_vulkan(void)
{
    return open_library("vulkan-1.dll");
}

void *norma_library_symbol(void *library, const char *name)
{
    const FARPROC function = GetProcAddress((HMODULE)library, name);
    void *symbol = NULL;
    memcpy(&symbol, &function, sizeof symbol); // ISO C has no cast from a function to an object pointer
    return symbol;
}

// Memory has no descriptors here; the drivers' handles are of another kind.
int norma_fd_copy(int fd, bool *open)
{
    (void)fd;
    *open = false;
    return -1;
}

void norma_fd_own(int fd)
{
    (void)fd;
}

void norma_fd_close(int fd)
{
    (void)fd;
}

void norma_fd_drop(int copy, int fd)
{
    (void)copy;
    (void)fd;
}

int norma_cores(void)
{
    const DWORD cores = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return cores < 1 ? 1 : (int)cores;
}

uint64_t norma_page_size(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
}

uint64_t norma_memory_size(void)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    return GlobalMemoryStatusEx(&status) ? status.ullTotalPhys : 0;
}

void norma_processor_name(char *name, size_t size)
{
    char text[128];
    DWORD length = sizeof text;
    const LSTATUS status = RegGetValueA(HKEY_LOCAL_MACHINE, "HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0",
                                        "ProcessorNameString", RRF_RT_REG_SZ, NULL, text, &length);
    const char *start = text;
    if (status == ERROR_SUCCESS)
        start += strspn(text, " ");
    snprintf(name, size, "%s", status == ERROR_SUCCESS && *start ? start : "CPU");
}
