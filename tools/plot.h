// Charts as SVG files, written whole or not at all; false after a message.
#ifndef NORMA_TOOLS_PLOT_H
#define NORMA_TOOLS_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plot_bar {
    const char *label;
    double value, most; // the bar's length, and a whisker's: at least value
};

// Horizontal bars from 0, each with its value behind it.
bool plot_bars(const char *file, const char *title, const char *unit, const struct plot_bar *bars, size_t count);

enum { PLOT_MAX_SERIES = 6, PLOT_LABEL = 96 };

struct plot_row {
    char label[PLOT_LABEL];
    double value[PLOT_MAX_SERIES]; // one a series, negative where there is none
    size_t count;                  // of them; 0: the row is a heading
};

// Rows of dots on an axis from 0 to 1, or as far as they reach; series: how many names there are, at most
// PLOT_MAX_SERIES.
bool plot_dots(const char *file, const char *title, const char *const *names, size_t series,
               const struct plot_row *rows, size_t count);

struct plot_panel {
    const char *label;
    double low, high; // what the counts lie evenly between; high > low
    size_t bins;
    const uint64_t *count;
};

// Histograms one below the other, each with an axis of its own; counts on a logarithmic one.
bool plot_histograms(const char *file, const char *title, const struct plot_panel *panels, size_t count);

#endif
