#include "written.h"
#include "message.h"
#include "temporary.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, const char *path, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t count = write(fd, data, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        data += count;
        size -= (size_t)count;
    }
    return fchmod(fd, temporary_mode(path)) == 0;
}

bool written(const char *argument, const char *path, const void *data, size_t size)
{
    const size_t length = strlen(path);
    char *name = malloc(length + 8);
    if (!name)
        return complain("%s: no memory for a name", argument);
    memcpy(name, path, length);
    memcpy(name + length, ".XXXXXX", 8);
    const int fd = temporary_open(name);
    bool good = fd >= 0 && write_all(fd, path, data, size);
    int error = good ? 0 : errno;
    if (fd >= 0 && close(fd) && good) {
        good = false;
        error = errno;
    }
    if (good && rename(name, path)) {
        good = false;
        error = errno;
    }
    if (!good)
        complain("%s: cannot write %s: %s", argument, path, strerror(error));
    if (good)
        temporary_forget(name);
    else if (fd >= 0)
        temporary_remove(name);
    free(name);
    return good;
}
