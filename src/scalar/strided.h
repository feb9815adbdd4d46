// Private to strided*.c.
#ifndef NORMA_SRC_SCALAR_STRIDED_H
#define NORMA_SRC_SCALAR_STRIDED_H

#include "../form.h"
#include "scalar.h"

enum { STRIDED_STRETCH = 256 }; // elements of the last dimension that are worked on at a time

// A statistics group. The mean is a pair whose sum is closer to it than a double can be. Statistics are those of
// scale*t, scale a power of two: 1 but for float64 values whose squares are no double, see strided_scale.c. mean and
// rstd are of t itself, for outputs, and may overflow there.
struct strided_cell {
    double scale;
    double centre, centre_low, factor; // mean and rstd
    double norm;                       // of normalize
    long double spread;                // the sum of squares about the mean, or of absolutes
    double mean, mean_low, rstd;
    double variance;   // what running_var takes, but for scale^2
    double count;      // elements that the statistics are of
    double r, d;       // of batch renorm
    double y_scale;    // of a quantised y, where it is not given
    int64_t nonfinite; // elements of x
    double c0, c1, c2; // backward: dt = rstd*((g - c0) - xhat*c1 - sign(t)*c2)
};

// Mean, as a pair, and biased variance.
struct strided_moments {
    double mean, mean_low;
    long double var;
};

struct strided {
    const norma_allocator *allocator;
    const struct norma_form *form;
    char *base[NORMA_ARG_COUNT];
    double eps, weight_offset, momentum, slope;
    struct strided_cell *cells;      // of all groups, where something needs them after a group is done; may be NULL
    struct strided_moments *moments; // of a mix: of all groups, then of samples, then of channels
    double *sums[NORMA_ARG_COUNT];   // gradients of parameters, until they may be written
};

// Goes over the dimensions in `over` (bit d: dimension d), the last the fastest, a stretch of the last element
// dimension at a time where that one is among them. The other dimensions stay where they are.
struct strided_walk {
    const struct norma_form *form;
    uint32_t over;
    int64_t index[FORM_RANK];
    int64_t count; // elements of the last dimension, from index on
};

// What is known of a stretch, named as in the formulas of norma_problem.
struct strided_stretch {
    double u[STRIDED_STRETCH]; // x + input_bias
    double gate[STRIDED_STRETCH], h[STRIDED_STRETCH], z[STRIDED_STRETCH], act_z[STRIDED_STRETCH], t[STRIDED_STRETCH];
    double xhat[STRIDED_STRETCH];
    double normalised[STRIDED_STRETCH]; // xhat; of batch renorm xhat*r + d
    double factor[STRIDED_STRETCH];     // weight_offset + weight
    double v0[STRIDED_STRETCH];         // before act_z(z)
    double v2[STRIDED_STRETCH];         // before the activation
    double dv2[STRIDED_STRETCH], dv1[STRIDED_STRETCH];
    double g[STRIDED_STRETCH]; // of xhat
    double dt[STRIDED_STRETCH], dh[STRIDED_STRETCH];
    double term[STRIDED_STRETCH]; // scratch
};

static inline bool nsc_strided_has(const struct strided *s, norma_arg arg)
{
    return s->form->arg[arg].present;
}

static inline uint32_t nsc_strided_group_dims(const struct norma_form *f)
{
    return (1u << f->group_rank) - 1;
}

static inline uint32_t nsc_strided_element_dims(const struct norma_form *f)
{
    return ((1u << f->rank) - 1) & ~nsc_strided_group_dims(f);
}

// The dimensions along which a tensor has elements of its own; over the others it repeats.
uint32_t nsc_strided_own_dims(const struct norma_form *f, norma_arg arg);
// The product of the extents.
int64_t nsc_strided_size(const struct norma_form *f, uint32_t dims);
// Between an index and its number among those of some dimensions, the last the fastest.
void nsc_strided_set_index(const struct norma_form *f, uint32_t dims, int64_t number, int64_t index[FORM_RANK]);
int64_t nsc_strided_number(const struct norma_form *f, uint32_t dims, const int64_t index[FORM_RANK]);

// From where index stands. To be called only where none of the dimensions has extent 0.
struct strided_walk nsc_strided_walk(const struct norma_form *f, uint32_t over, const int64_t index[FORM_RANK]);
bool nsc_strided_next(struct strided_walk *walk);
// The elements of group number `group`.
struct strided_walk nsc_strided_group(const struct norma_form *f, int64_t group);

// Where the tensor's element at the walk's place lies.
char *nsc_strided_element(const struct strided *s, norma_arg arg, const struct strided_walk *at);
// count elements along the last dimension, as they are at the walk's place; store rounds each value once.
void nsc_strided_load(const struct strided *s, norma_arg arg, const struct strided_walk *at, double *out);
void nsc_strided_store(const struct strided *s, norma_arg arg, const struct strided_walk *at, const double *values);

static inline bool nsc_strided_quantises(const struct norma_form *f)
{
    return f->arg[NORMA_ARG_Y].dtype == NORMA_INT8 || f->arg[NORMA_ARG_Y].dtype == NORMA_FLOAT8_E4M3FN;
}

// Stores y, which of a quantised one is divided by the scale first: the given one, or scale. values are destroyed.
void nsc_strided_store_y(const struct strided *s, const struct strided_walk *at, double scale, double *values);

// Of a group whose statistics the cell has: its y_scale, its nonfinite (which begins as 0).
void nsc_strided_find_scale(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell,
                            struct strided_stretch *o);
void nsc_strided_count_nonfinite(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell,
                                 struct strided_stretch *o);
// The same for all elements of mean_weights and the like.
void nsc_strided_load_kinds(const struct strided *s, norma_arg arg, double out[FORM_KINDS]);
void nsc_strided_store_kinds(const struct strided *s, norma_arg arg, const double values[FORM_KINDS]);

// One element of a tensor that repeats over a group's elements.
double nsc_strided_load_one(const struct strided *s, norma_arg arg, const struct strided_walk *group);
void nsc_strided_store_one(const struct strided *s, norma_arg arg, const struct strided_walk *group, double value);

double nsc_activation(norma_activation activation, double slope, double v);
double nsc_activation_derivative(norma_activation activation, double slope, double v);

// Fills the cell but for the coefficients, which become 0.
void nsc_strided_statistics(const struct strided *s, int64_t group, struct strided_cell *cell,
                            struct strided_stretch *o);
// Of t.
void nsc_strided_moments(const struct strided *s, int64_t group, struct strided_moments *moments,
                         struct strided_stretch *o);
// Fills a stretch up to v2.
void nsc_strided_evaluate(const struct strided *s, const struct strided_walk *at, const struct strided_cell *cell,
                          struct strided_stretch *o);
// Goes on from v0 to v2; from v2 to y, which goes in its place.
void nsc_strided_go_behind(const struct strided *s, const struct strided_walk *at, struct strided_stretch *o);
void nsc_strided_activate(const struct strided *s, const struct strided_walk *at, struct strided_stretch *o);
// Fills a stretch up to y, which goes in the place of v2.
void nsc_strided_find_y(const struct strided *s, const struct strided_walk *at, const struct strided_cell *cell,
                        struct strided_stretch *o);

// The sums of g and of g*xhat.
void nsc_strided_group_sums(const struct strided *s, int64_t group, const struct strided_cell *cell,
                            struct strided_stretch *o, double *sum_g, double *sum_gx);
// After forward: from the cells of all groups into the running statistics, and their count.
void nsc_strided_running(const struct strided *s);
// r and d of a group whose other statistics are in the cell, or as they are given.
void nsc_strided_renorm(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell);

// Runs a job over all groups.
void nsc_strided_run(struct norma_device *device, struct strided *s,
                     void (*run)(void *user, uint64_t first, uint64_t count));

norma_status nsc_strided_backward(struct norma_device *device, struct strided *s);
// What a running statistic becomes with a batch, number `member` of those that share it.
double nsc_strided_blended(const struct strided *s, double running, long double batch, int64_t member);
norma_status nsc_strided_window(struct strided *s);

// switchable_norm: fills s->cells, to be freed with s->moments (also after an error), but for the coefficients.
norma_status nsc_switch_cells(struct norma_device *device, struct strided *s);
void nsc_switch_update_running(const struct strided *s);
// Fills in the coefficients, and writes the gradients of the weights of the mix.
norma_status nsc_switch_gradients(struct norma_device *device, struct strided *s);
// What follows from count, spread, centre and scale.
void nsc_strided_finish(const struct strided *s, struct strided_cell *cell);
// t of a stretch.
void nsc_strided_load_t(const struct strided *s, const struct strided_walk *at, struct strided_stretch *o);
// strided_scale.c: the scale of values up to 2^largest. True where the cell, made with the scale 1, asks for another,
// which is then in it.
double nsc_strided_scale_of(const struct strided *s, int largest);
bool nsc_strided_rescues(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell,
                         struct strided_stretch *o);

// strided_merge.c: batch norm over several devices. Between a cell and its rows of stats, a group's sums and the rows
// of them; batch_norm_merge.
void nsc_strided_load_stats(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell);
void nsc_strided_store_stats(const struct strided *s, const struct strided_walk *group,
                             const struct strided_cell *cell);
void nsc_strided_load_sums(const struct strided *s, const struct strided_walk *group, double sums[FORM_SUMS_ROWS]);
void nsc_strided_store_sums(const struct strided *s, const struct strided_walk *group,
                            const double sums[FORM_SUMS_ROWS]);
void nsc_strided_merge(struct norma_device *device, struct strided *s);

#endif
