// The runner of examples/describe.c, which ends the program with a message where a call of the driver's fails.
#include "runner.h"

static bool open_device(const char *name)
{
    runner_open(name);
    return true;
}

static bool run_plan(const norma_description *plan, unsigned char *memory, uint64_t size,
                     const uint64_t place[RUNNER_PLACES])
{
    runner_run(plan, memory, size, place);
    return true;
}

static void close_device(void)
{
    // The driver takes back what the program has at its end.
}

const struct runner runner_vulkan = {"vulkan", open_device, run_plan, close_device};
