// A bar on stderr for work that takes longer than a second, where stderr is a terminal.
#ifndef NORMA_TOOLS_PROGRESS_H
#define NORMA_TOOLS_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>

struct progress {
    const char *what;
    double started, expected; // seconds on the monotonic clock; expected: how long the work should take, or 0
    double done;              // 0 to 1, guarded by lock
    bool running, stop, drawn;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

// Shows what. With expected seconds above 0 the bar follows the clock; else progress_set moves it.
void progress_start(struct progress *progress, const char *what, double expected);
// Thread-safe.
void progress_set(struct progress *progress, double done);
// Wipes the bar, which stays away until progress_release, so that something else can be printed. Both thread-safe.
void progress_hold(struct progress *progress);
void progress_release(struct progress *progress);
// Wipes the bar.
void progress_finish(struct progress *progress);

// Seconds on the monotonic clock.
double now(void);

#endif
