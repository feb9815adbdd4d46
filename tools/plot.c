#include "plot.h"
#include "message.h"
#include "written.h"
#include <cairo/cairo-svg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Points. Bars lie right of LEFT; a panel of a histogram between MARGIN and EDGE.
enum { WIDTH = 760, TOP = 40, LEFT = 250, RIGHT = 90, STEP = 30, BAR = 18 };
enum { LINE = 18, HEADING = 30 }; // rows of dots
enum { MARGIN = 76, EDGE = 24, PANEL = 200, BETWEEN = 64 };

struct bars {
    const char *unit;
    const struct plot_bar *bars;
    size_t count;
};

struct dots {
    const char *const *names;
    size_t series;
    const struct plot_row *rows;
    size_t count;
};

struct histograms {
    const struct plot_panel *panels;
    size_t count;
};

static cairo_status_t write_part(void *user, const unsigned char *data, unsigned int length)
{
    return fwrite(data, 1, length, user) == length ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static void draw_bar(cairo_t *c, const struct plot_bar *bar, double y, double scale, const char *unit, bool first)
{
    char value[64];
    cairo_text_extents_t extents;
    cairo_text_extents(c, bar->label, &extents);
    cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
    cairo_move_to(c, LEFT - 8 - extents.x_advance, y + BAR - 5);
    cairo_show_text(c, bar->label);
    cairo_set_source_rgb(c, first ? 0.1 : 0.65, first ? 0.45 : 0.7, first ? 0.75 : 0.75);
    cairo_rectangle(c, LEFT, y, bar->value * scale, BAR);
    cairo_fill(c);
    cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
    cairo_move_to(c, LEFT + bar->value * scale, y + BAR / 2.0);
    cairo_line_to(c, LEFT + bar->most * scale, y + BAR / 2.0);
    cairo_stroke(c);
    snprintf(value, sizeof value, "%.3g %s", bar->value, unit);
    cairo_move_to(c, LEFT + bar->most * scale + 6, y + BAR - 5);
    cairo_show_text(c, value);
}

static void draw_bars(cairo_t *c, const void *user)
{
    const struct bars *chart = user;
    double most = 0;
    for (size_t i = 0; i < chart->count; ++i)
        most = chart->bars[i].most > most ? chart->bars[i].most : most;
    for (size_t i = 0; i < chart->count; ++i)
        draw_bar(c, &chart->bars[i], TOP + STEP * (double)i, most > 0 ? (WIDTH - LEFT - RIGHT) / most : 0, chart->unit,
                 i == 0);
}

// Ends of ticks: a distance of 1, 2 or 5 times a power of ten that gives about five.
static double tick_distance(double span)
{
    const double power = pow(10, floor(log10(span / 5))), part = span / 5 / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void draw_text(cairo_t *c, double x, double y, double align, const char *text)
{
    cairo_text_extents_t extents;
    cairo_text_extents(c, text, &extents);
    cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
    cairo_move_to(c, x - align * extents.x_advance, y);
    cairo_show_text(c, text);
}

static void draw_line(cairo_t *c, double x, double y, double to_x, double to_y, double shade)
{
    cairo_set_source_rgb(c, shade, shade, shade);
    cairo_move_to(c, x, y);
    cairo_line_to(c, to_x, to_y);
    cairo_stroke(c);
}

// One decade up from a half, so that a single value shows; `decades` of them fill the panel's height.
static double height_of(double count, int decades)
{
    return count < 1 ? 0 : (log10(count) + 0.3) / (decades + 0.3) * PANEL;
}

static void draw_axes(cairo_t *c, const struct plot_panel *p, double bottom, int decades)
{
    char text[32];
    const double width = WIDTH - MARGIN - EDGE, span = p->high - p->low, step = tick_distance(span);
    for (int i = 0; i <= decades; ++i) {
        const double y = bottom - height_of(pow(10, i), decades);
        draw_line(c, MARGIN, y, MARGIN + width, y, 0.87);
        snprintf(text, sizeof text, "1e%d", i);
        if (i < 6)
            snprintf(text, sizeof text, "%.0f", pow(10, i));
        draw_text(c, MARGIN - 6, y + 4, 1, text);
    }
    draw_line(c, MARGIN, bottom, MARGIN + width, bottom, 0.4);
    for (double v = ceil(p->low / step) * step; v <= p->high + step * 1e-9; v += step) {
        const double x = MARGIN + (v - p->low) / span * width;
        draw_line(c, x, bottom, x, bottom + 5, 0.4);
        snprintf(text, sizeof text, "%.6g", fabs(v) < step / 2 ? 0 : v);
        draw_text(c, x, bottom + 19, 0.5, text);
        if (v + step <= v) // as fine as double gets
            break;
    }
}

static void draw_dot(cairo_t *c, double x, double y, size_t series)
{
    static const double colours[PLOT_MAX_SERIES][3] = {{0.12, 0.45, 0.75}, {0.85, 0.37, 0.1},  {0.45, 0.45, 0.45},
                                                       {0.17, 0.6, 0.3},   {0.58, 0.35, 0.72}, {0.75, 0.6, 0.1}};
    cairo_set_source_rgb(c, colours[series][0], colours[series][1], colours[series][2]);
    cairo_arc(c, x, y, 4, 0, 2 * 3.14159265358979);
    cairo_fill(c);
}

static double dots_end(const struct dots *chart)
{
    double end = 1;
    for (size_t i = 0; i < chart->count; ++i)
        for (size_t s = 0; s < chart->rows[i].count; ++s)
            end = chart->rows[i].value[s] > end ? chart->rows[i].value[s] : end;
    return ceil(end * 5) / 5;
}

static double dots_height(const struct plot_row *rows, size_t count)
{
    double height = 0;
    for (size_t i = 0; i < count; ++i)
        height += rows[i].count ? LINE : HEADING;
    return height;
}

// The names above; lines at every fifth from the first row to the last, their numbers at both ends.
static void draw_scale(cairo_t *c, const struct dots *chart, double top, double bottom, double end)
{
    char text[32];
    for (size_t s = 0; s < chart->series; ++s) {
        draw_dot(c, LEFT, TOP + LINE * (double)s, s);
        draw_text(c, LEFT + 10, TOP + LINE * (double)s + 4, 0, chart->names[s]);
    }
    for (int i = 0; i <= (int)(end * 5 + 0.5); ++i) {
        const double x = LEFT + (WIDTH - LEFT - EDGE) * i / (end * 5);
        draw_line(c, x, top, x, bottom, i % 5 ? 0.87 : 0.6);
        snprintf(text, sizeof text, "%.1f", i / 5.0);
        draw_text(c, x, top - 6, 0.5, text);
        draw_text(c, x, bottom + 16, 0.5, text);
    }
}

static void draw_dots(cairo_t *c, const void *user)
{
    const struct dots *chart = user;
    const double top = TOP + LINE * (double)chart->series + 16, end = dots_end(chart);
    draw_scale(c, chart, top, top + dots_height(chart->rows, chart->count), end);
    double y = top;
    for (size_t i = 0; i < chart->count; ++i) {
        const struct plot_row *row = &chart->rows[i];
        y += row->count ? LINE : HEADING;
        draw_text(c, row->count ? LEFT - 10 : 10, y - 4, row->count ? 1 : 0, row->label);
        for (size_t s = 0; s < row->count; ++s)
            if (row->value[s] >= 0)
                draw_dot(c, LEFT + (WIDTH - LEFT - EDGE) * row->value[s] / end, y - 8, s);
    }
}

static void draw_panel(cairo_t *c, const struct plot_panel *p, double top, bool last)
{
    uint64_t most = 1;
    for (size_t i = 0; i < p->bins; ++i)
        most = p->count[i] > most ? p->count[i] : most;
    const int decades = most > 1 ? (int)ceil(log10((double)most)) : 1;
    const double bottom = top + PANEL, width = (double)(WIDTH - MARGIN - EDGE) / (double)p->bins;
    draw_axes(c, p, bottom, decades);
    cairo_set_source_rgb(c, last ? 0.1 : 0.5, last ? 0.45 : 0.55, last ? 0.75 : 0.6);
    for (size_t i = 0; i < p->bins; ++i) {
        const double height = height_of((double)p->count[i], decades);
        cairo_rectangle(c, MARGIN + width * (double)i, bottom - height, width, height);
    }
    cairo_fill(c);
    draw_text(c, MARGIN, top - 12, 0, p->label);
}

static void draw_histograms(cairo_t *c, const void *user)
{
    const struct histograms *chart = user;
    for (size_t i = 0; i < chart->count; ++i)
        draw_panel(c, &chart->panels[i], TOP + 24 + (PANEL + BETWEEN) * (double)i, i + 1 == chart->count);
}

// The paper, white so that the chart is read on any page, the title, and what draw adds.
static cairo_status_t draw_chart(FILE *out, double height, const char *title,
                                 void (*draw)(cairo_t *c, const void *user), const void *user)
{
    cairo_surface_t *surface = cairo_svg_surface_create_for_stream(write_part, out, WIDTH, height);
    cairo_t *c = cairo_create(surface);
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, 13);
    cairo_set_line_width(c, 1);
    draw_text(c, 10, 22, 0, title);
    draw(c, user);
    cairo_destroy(c);
    cairo_surface_finish(surface);
    const cairo_status_t status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    return status;
}

static bool write_chart(const char *file, double height, const char *title, void (*draw)(cairo_t *c, const void *user),
                        const void *user)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool good = out && draw_chart(out, height, title, draw, user) == CAIRO_STATUS_SUCCESS;
    if (out)
        good = fclose(out) == 0 && good;
    good = good ? written("plot", file, text, size) : complain("plot: no memory for %s", file);
    free(text);
    return good;
}

bool plot_bars(const char *file, const char *title, const char *unit, const struct plot_bar *bars, size_t count)
{
    const struct bars chart = {unit, bars, count};
    return write_chart(file, TOP + STEP * (double)count + 10, title, draw_bars, &chart);
}

bool plot_dots(const char *file, const char *title, const char *const *names, size_t series,
               const struct plot_row *rows, size_t count)
{
    const struct dots chart = {names, series, rows, count};
    return write_chart(file, TOP + LINE * (double)series + 16 + dots_height(rows, count) + 30, title, draw_dots,
                       &chart);
}

bool plot_histograms(const char *file, const char *title, const struct plot_panel *panels, size_t count)
{
    const struct histograms chart = {panels, count};
    return write_chart(file, TOP + 24 + (PANEL + BETWEEN) * (double)count - 10, title, draw_histograms, &chart);
}
