// A plugin's use of the library, through dlopen alone.
#ifndef NORMA_TEST_MODULE_H
#define NORMA_TEST_MODULE_H

#include <dlfcn.h>
#include <norma/norma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LENGTH = 64 };

// Also in a handler of exit, where exit is undefined.
static inline _Noreturn void stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    _exit(1);
}

// A function pointer does not convert from void * in ISO C.
static inline void look_up(void *module, const char *name, void *function)
{
    void *symbol = dlsym(module, name);
    if (!symbol)
        stop(name, "is not in the library");
    memcpy(function, &symbol, sizeof(symbol));
}

// Layer norm on the device, in a context of its own.
static inline void module_use(void *module, const char *device)
{
    norma_status (*create)(const norma_context_params *, norma_context **);
    void (*destroy)(norma_context **);
    norma_status (*run)(norma_context *, const norma_problem *);
    norma_tensor (*host)(norma_dtype, int32_t, const int64_t *, void *);
    const char *(*last_error)(void);
    look_up(module, "norma_context_create", &create);
    look_up(module, "norma_context_destroy", &destroy);
    look_up(module, "norma_run", &run);
    look_up(module, "norma_tensor_host", &host);
    look_up(module, "norma_last_error", &last_error);
    float x[LENGTH], y[LENGTH] = {0};
    const int64_t shape[] = {1, LENGTH};
    for (int i = 0; i < LENGTH; i++)
        x[i] = i % 2 ? 3.0f : -1.0f; // mean 1, deviation 2
    const norma_tensor tx = host(NORMA_FLOAT32, 2, shape, x), ty = host(NORMA_FLOAT32, 2, shape, y);
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_context *context = NULL;
    params.device = device;
    problem.x = &tx;
    problem.y = &ty;
    if (create(&params, &context) != NORMA_OK || run(context, &problem) != NORMA_OK)
        stop(device, last_error());
    destroy(&context);
    // 2/sqrt(4 + 1e-5) is 1 - 1.25e-6.
    for (int i = 0; i < LENGTH; i++)
        if (!(y[i] * (i % 2 ? 1 : -1) > 0.99999f && y[i] * (i % 2 ? 1 : -1) < 1.0f))
            stop(device, "gives wrong values");
    problem.op = NORMA_OP_INVALID; // the thread's message is thread-local: its memory goes with the module
    if (run(NULL, &problem) != NORMA_ERROR_INVALID_ARGUMENT || !*last_error())
        stop(device, "a call without a context succeeds");
}

#endif
