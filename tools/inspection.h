// What `norma inspect` has found out, and how it is shown.
#ifndef NORMA_TOOLS_INSPECTION_H
#define NORMA_TOOLS_INSPECTION_H

#include "histogram.h"
#include "inputs.h"
#include "moments.h"

struct inspection {
    struct options options;
    struct inputs in;
    char device[16];       // that the norm ran on
    struct moments *group; // in.work.form.groups of them, in the order of mean's elements
    int32_t dimension;     // of x: its channels
    int64_t channels;
    struct channel *channel;
    struct histogram before, after; // x, y
};

// Prints to stdout. False after a message.
bool inspection_text(const struct inspection *inspection);
bool inspection_json(const struct inspection *inspection);

#endif
