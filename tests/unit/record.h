// A device of a caller's, plans, and tensors that recordings of them run on.
#ifndef NORMA_TEST_RECORD_H
#define NORMA_TEST_RECORD_H

#include "check/guest.h"
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka needs the three above
#include <cmocka.h>

enum { KINDS = 3, C = 24, SPACE = 40, ROWS = 16, N = C * SPACE, COUNT = ROWS * N };

// A device of the caller's, three plans with their tensors in one buffer, and what recording takes.
struct scene {
    struct check_guest *guest;
    norma_context *context;
    norma_device *device;
    norma_buffer *buffer, *workspace;
    norma_recorder *recorder;
    norma_plan *plan[KINDS];
    norma_problem problem[KINDS];
    norma_tensor x[KINDS], y[KINDS], mean, var;
};

// Fails the test where the status is an error.
void take(norma_status status);
// Fails it where the status is not that one, or the message does not begin so.
void refused(norma_status status, norma_status wanted, const char *name);
void open_scene(struct scene *s, norma_status (*open)(struct check_guest **guest));
void close_scene(struct scene *s);
// Records and executes plan i % KINDS, another row count each time.
norma_status record(struct scene *s, int i);
// Of the scene's device.
uint32_t programs(const struct scene *s);

#endif
