#include "progress.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void draw(const struct progress *progress, double done)
{
    enum { WIDTH = 40 };
    char bar[WIDTH + 1];
    int filled = (int)(done * WIDTH);
    memset(bar, ' ', WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[WIDTH] = 0;
    fprintf(stderr, "\r%-10s [%s] %3.0f %%", progress->what, bar, done * 100);
}

// With the lock held.
static void wipe(struct progress *progress)
{
    if (progress->drawn)
        fprintf(stderr, "\r%60s\r", "");
    progress->drawn = false;
}

static void *watch(void *user)
{
    struct progress *progress = user;
    pthread_mutex_lock(&progress->lock);
    while (!progress->stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&progress->wake, &progress->lock, &until);
        double passed = now() - progress->started, done = progress->done;
        if (progress->expected > 0)
            done = passed / progress->expected;
        if (passed < 1 || progress->stop)
            continue;
        // A prediction that was too low must not claim the end.
        draw(progress, done < 0.99 || progress->expected <= 0 ? done : 0.99);
        progress->drawn = true;
    }
    wipe(progress);
    pthread_mutex_unlock(&progress->lock);
    return NULL;
}

void progress_start(struct progress *progress, const char *what, double expected)
{
    memset(progress, 0, sizeof *progress);
    progress->what = what;
    progress->expected = expected;
    progress->started = now();
    pthread_mutex_init(&progress->lock, NULL);
    pthread_cond_init(&progress->wake, NULL);
    progress->running = isatty(STDERR_FILENO) && !pthread_create(&progress->thread, NULL, watch, progress);
}

void progress_set(struct progress *progress, double done)
{
    pthread_mutex_lock(&progress->lock);
    progress->done = done < 0 ? 0 : done > 1 ? 1 : done;
    pthread_mutex_unlock(&progress->lock);
}

void progress_hold(struct progress *progress)
{
    pthread_mutex_lock(&progress->lock);
    wipe(progress);
}

void progress_release(struct progress *progress)
{
    pthread_mutex_unlock(&progress->lock);
}

void progress_finish(struct progress *progress)
{
    if (progress->running) {
        pthread_mutex_lock(&progress->lock);
        progress->stop = true;
        pthread_cond_signal(&progress->wake);
        pthread_mutex_unlock(&progress->lock);
        pthread_join(progress->thread, NULL);
    }
    pthread_cond_destroy(&progress->wake);
    pthread_mutex_destroy(&progress->lock);
}
