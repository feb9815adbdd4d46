// An operator measured beside the copies that its device can do: what `norma bench` and its suite share.
#ifndef NORMA_TOOLS_BENCH_H
#define NORMA_TOOLS_BENCH_H

#include "copies.h"
#include "options.h"

// What empties a device's caches: a copy larger than they are.
struct sweep {
    norma_buffer *from, *to;
    struct copies copies;
};

// False after a message; sweep_finish in either case.
bool sweep_start(struct sweep *sweep, norma_device *device);
void sweep_finish(struct sweep *sweep);

struct bench_copy {
    const char *name;
    bool empty;             // no copy: a kernel that does nothing
    double minimum, median; // seconds
    // Median over the pairs of the operator's speed to that of what ran just before it.
    double fraction;
    size_t pairs; // 0: it was not measured
};

struct bench_outcome {
    norma_op op;
    norma_direction direction;
    norma_dtype dtype;
    char shape[192];
    bool channels_last, cold, device_clock;
    int32_t channel_block;
    norma_device *device;
    uint64_t bytes;         // each input and each output once
    double minimum, median; // seconds of a run
    int repeats;            // runs in flight a sample
    struct bench_copy copy[COPY_MAX_KINDS];
    size_t copies, fastest;
};

// Runs the options' operator on the device for about options->seconds, after every kind of copy in turn. With a sweep,
// each run begins with cold caches. bar: shows a progress bar. False after a message.
bool bench_measure(norma_device *device, const struct options *options, struct sweep *sweep, bool bar,
                   struct bench_outcome *outcome);

const char *bench_direction(const struct bench_outcome *outcome);
const char *bench_layout(const struct bench_outcome *outcome);
const char *bench_cache(const struct bench_outcome *outcome);

// One JSON object on stdout; on one line, or indented. suite_shape: the shape that the suite lists, or NULL.
void bench_print_json(const struct bench_outcome *outcome, bool one_line, const char *suite_shape);
void bench_print_text(const struct bench_outcome *outcome);
// A bar a copy. False after a message.
bool bench_plot(const struct bench_outcome *outcome, const char *file);

// `norma bench --suite`: the shapes that Norma is measured by. The program's exit status.
int bench_suite(const struct options *options);

#endif
