#include "temporary.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Read by the signal handler, hence plain pointers in static storage.
static const char *volatile names[8];
enum { CAPACITY = sizeof names / sizeof *names };

static void on_signal(int number)
{
    for (int i = 0; i < CAPACITY; ++i) {
        if (names[i])
            unlink(names[i]);
    }
    if (number == SIGBUS) {
        static const char text[] = "norma: a mapped .npy file was cut short, or its disk failed, while it was in use\n";
        ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
        (void)written;
        _exit(1);
    }
    signal(number, SIG_DFL);
    raise(number);
}

void temporary_watch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGBUS};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i)
        sigaction(numbers[i], &action, NULL);
}

int temporary_open(char *name)
{
    int free_slot = 0;
    while (free_slot < CAPACITY && names[free_slot])
        ++free_slot;
    if (free_slot == CAPACITY) {
        errno = EMFILE;
        return -1;
    }
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        names[free_slot] = name;
    return fd;
}

mode_t temporary_mode(const char *path)
{
    struct stat status;
    if (!stat(path, &status))
        return status.st_mode & 0777;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

void temporary_forget(const char *name)
{
    for (int i = 0; i < CAPACITY; ++i) {
        if (names[i] == name)
            names[i] = NULL;
    }
}

void temporary_remove(const char *name)
{
    unlink(name);
    temporary_forget(name);
}
