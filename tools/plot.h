// A bar chart as an SVG file.
#ifndef NORMA_TOOLS_PLOT_H
#define NORMA_TOOLS_PLOT_H

#include <stdbool.h>
#include <stddef.h>

struct plot_bar {
    const char *label;
    double value, most; // the bar's length, and a whisker's: at least value
};

// Horizontal bars from 0, each with its value behind it. Writes the file whole or not at all; false after a message.
bool plot_bars(const char *file, const char *title, const char *unit, const struct plot_bar *bars, size_t count);

#endif
