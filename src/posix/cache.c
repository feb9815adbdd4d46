#include "cache.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool trustworthy(int fd, mode_t type)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() && (st.st_mode & 022) == 0;
}

// A hash would be no proof of origin; who may write to the directory is.
static int open_dir(const char *dir, const char **reason)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        *reason = errno == ENOTDIR || errno == ELOOP ? "it is a symbolic link or no directory" : "it cannot be opened";
        return -1;
    }
    if (trustworthy(fd, S_IFDIR))
        return fd;
    close(fd);
    *reason = "it belongs to someone else, or others may write to it";
    return -1;
}

static void make_dirs(const char *dir)
{
    char path[512];
    const size_t length = strlen(dir);
    if (length >= sizeof(path))
        return;
    memcpy(path, dir, length + 1);
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    mkdir(path, 0700); // failures show when it is opened
}

static bool read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    while (used < size - 1) {
        const ssize_t got = read(fd, text + used, size - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
    return true;
}

int norma_cache_default(char *dir, size_t size)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return snprintf(dir, size, "%s/norma", xdg);
    return home && home[0] == '/' ? snprintf(dir, size, "%s/.cache/norma", home) : snprintf(dir, size, "%s", "");
}

bool norma_cache_read(const char *dir, const char *name, char *text, size_t size)
{
    const char *reason;
    const int dir_fd = open_dir(dir, &reason);
    if (dir_fd < 0)
        return false;
    const int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    close(dir_fd);
    if (fd < 0)
        return false;
    const bool ok = trustworthy(fd, S_IFREG) && read_all(fd, text, size);
    close(fd);
    return ok;
}

static bool write_all(int fd, const char *text)
{
    size_t rest = strlen(text);
    while (rest > 0) {
        const ssize_t put = write(fd, text, rest);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        text += put;
        rest -= (size_t)put;
    }
    return fsync(fd) == 0;
}

bool norma_cache_write(const char *dir, const char *name, const char *text, const char **reason)
{
    char temporary[128];
    make_dirs(dir);
    const int dir_fd = open_dir(dir, reason);
    if (dir_fd < 0)
        return false;
    snprintf(temporary, sizeof(temporary), ".%.64s.%ld.tmp", name, (long)getpid());
    unlinkat(dir_fd, temporary, 0);
    const int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, text);
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    ok = ok && renameat(dir_fd, temporary, dir_fd, name) == 0;
    if (!ok) {
        *reason = strerror(errno);
        unlinkat(dir_fd, temporary, 0);
    }
    close(dir_fd);
    return ok;
}
