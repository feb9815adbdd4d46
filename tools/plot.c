#include "plot.h"
#include "message.h"
#include "temporary.h"
#include <cairo/cairo-svg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WIDTH = 760, LEFT = 250, RIGHT = 90, TOP = 40, STEP = 30, BAR = 18 }; // points

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

static cairo_status_t draw(FILE *out, const char *title, const char *unit, const struct plot_bar *bars, size_t count)
{
    const double height = TOP + STEP * (double)count + 10;
    double most = 0;
    for (size_t i = 0; i < count; ++i)
        most = bars[i].most > most ? bars[i].most : most;
    cairo_surface_t *surface = cairo_svg_surface_create_for_stream(write_part, out, WIDTH, height);
    cairo_t *c = cairo_create(surface);
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, 13);
    cairo_set_line_width(c, 1);
    cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
    cairo_move_to(c, 10, 22);
    cairo_show_text(c, title);
    for (size_t i = 0; i < count; ++i)
        draw_bar(c, &bars[i], TOP + STEP * (double)i, most > 0 ? (WIDTH - LEFT - RIGHT) / most : 0, unit, i == 0);
    cairo_destroy(c);
    cairo_surface_finish(surface);
    const cairo_status_t status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    return status;
}

bool plot_bars(const char *file, const char *title, const char *unit, const struct plot_bar *bars, size_t count)
{
    const size_t length = strlen(file);
    char *name = malloc(length + 8);
    if (!name)
        return complain("plot: no memory");
    memcpy(name, file, length);
    memcpy(name + length, ".XXXXXX", 8);
    const int fd = temporary_open(name);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    bool good = out != NULL && fchmod(fd, temporary_mode(file)) == 0 &&
                draw(out, title, unit, bars, count) == CAIRO_STATUS_SUCCESS;
    if (out)
        good = fclose(out) == 0 && good;
    else if (fd >= 0)
        close(fd);
    good = good && rename(name, file) == 0;
    if (!good)
        complain("plot: %s cannot be written: %s", file, strerror(errno));
    if (good)
        temporary_forget(name);
    else if (fd >= 0)
        temporary_remove(name);
    free(name);
    return good;
}
