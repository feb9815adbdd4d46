// What a problem costs, from the figures measured on a device.
#include "schedule.h"
#include <math.h>

uint64_t norma_rows_bytes(const struct row_problem *problem)
{
    uint64_t bytes = 0;
    for (int i = 0; i < NORMA_ROW_ARGS; i++) {
        const struct row_arg *arg = &problem->arg[i];
        if (!arg->present)
            continue;
        uint64_t rows = problem->rows > 0;
        for (int d = 0; d < problem->outer_rank && !row_arg_is_shared((norma_arg)i); d++) {
            uint64_t extent = (uint64_t)problem->outer[d];
            if (i == NORMA_ARG_GATE && d == problem->outer_rank - 1)
                extent = (extent + (uint64_t)problem->gate_rows - 1) / (uint64_t)problem->gate_rows;
            if (arg->stride[d] != 0)
                rows *= extent;
        }
        bytes += rows * (uint64_t)arg->length * norma_dtype_size(arg->dtype);
    }
    return bytes;
}

static double rate_at(const struct norma_figures *figures, double bytes)
{
    double before = 0, rate = 0;
    for (int i = 0; i < NORMA_FIGURE_POINTS; i++) {
        double at = figures->point[i].bytes, here = figures->point[i].rate;
        if (!(at > 0 && here > 0))
            continue;
        if (bytes <= at)
            return rate > 0 ? rate + (here - rate) * log(bytes / before) / log(at / before) : here;
        before = at;
        rate = here;
    }
    return rate > 0 ? rate : figures->copy_rate;
}

static double seconds_of(double bytes, const struct norma_figures *figures)
{
    if (!figures->known)
        return INFINITY;
    if (bytes == 0)
        return 0;
    double rate = rate_at(figures, bytes);
    return rate > 0 ? figures->launch + bytes / rate : INFINITY;
}

double norma_predict(const struct row_problem *problem, const struct norma_figures *figures)
{
    return seconds_of((double)norma_rows_bytes(problem), figures);
}

uint64_t norma_form_bytes(const struct norma_form *form)
{
    uint64_t bytes = 0;
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        uint64_t elements = form->arg[a].present;
        for (int d = 0; d < form->rank; d++)
            elements *= form->arg[a].stride[d] ? (uint64_t)form->extent[d] : 1;
        if (elements)
            bytes += elements * norma_dtype_size(form->arg[a].dtype);
    }
    return bytes;
}

// As for rows: the caller knows how much slower the strided kernels are.
double norma_predict_form(const struct norma_form *form, const struct norma_figures *figures)
{
    return seconds_of((double)norma_form_bytes(form), figures);
}

uint64_t norma_work_bytes(const struct norma_work *work)
{
    return work->strided ? norma_form_bytes(&work->form) : norma_rows_bytes(&work->rows);
}
