// One element of a form, its group's statistics and the gradients through them, each value with a bound of its error:
// between the files of the form reference.
#ifndef NORMA_SRC_VERIFY_FORM_POINT_H
#define NORMA_SRC_VERIFY_FORM_POINT_H

#include "form_reference.h"

// Bounds. u is half a unit in the last place at 1. Names that begin with e_ are bounds of errors. The constants of the
// contract (8u, 16u) cover the rounding of a few operations and of the sums; what enters an operation with an error of
// its own is carried along by the operation's derivative: e_ of a product is |a|*e_b + |b|*e_a, and so on.
//
// Statistics start from h, which every kernel rounds alike, so float32 problems have e_h = 0. Two things make t itself
// inexact: act_z with z_first, and h in float64, which is not rounded here:
//   e_h = 3u*(|residual| + |gate|*(|x| + |input_bias|)) in float64,  e_t = |act_z(z)|*e_h + |h|*8u*(|z| + 1)
// The mean is then off by mean(e_t) at most. The denominator D of s = 1/D (a root of a mean of squares, a norm, each
// with eps) is Lipschitz in t: it moves by d = the same mean or norm of e_t at most, s by the fraction q/(1 - q) with
// q = d*s. So
//   e_xhat = (e_t + mean(e_t))*s + |xhat|*q/(1 - q)
// comes on top of the contract's 8u*(|xhat| + 1).

struct task {
    const struct norma_form *form;
    const void *const *data;
    struct form_reference_output *out;
    long double u, least; // least: the smallest denormal, by half of which a product may be off
    long double eps, weight_offset, momentum, slope;
};

struct statistics {
    long double n;                  // elements that they are of
    long double mean, mean_rest;    // their sum is the mean: float64 comes close to the rounding of one long double
    long double deviation, norm, s; // deviation and norm: roots of the mean and the sum of squares, or the sum A
    long double e_mean;             // what e_t adds, see above
    long double e_norm;             // of the root or sum that s follows from
    long double e_s;                // relative; 0 where s was saved
    long double r, e_r, d, e_d;     // of batch renorm; else 1 and 0
};

// All about one element. In the order of the formulas; unused parts are left as they are.
struct point {
    int64_t index[FORM_RANK];
    long double shifted, gate, sum, sum_terms, h, e_h; // shifted: x + input_bias; sum: h unrounded
    long double z, act_z, act_z_size, t, e_t;          // act_z_size: |z| + 1, a bound of |act_z| and of its error / 8u
    long double xhat, e_xhat, weight, v0, e_v0, v2, e_v2;
    long double normalised, e_normalised, normalised_size; // xhat*r + d; its size: what the contract's 8u are of
    long double dv2, e_dv2, dv1, e_dv1, g, e_g;
    long double dt, e_dt, dh, e_dh;
};

// Sums over a group for backward: of the terms, of their magnitudes, and of their errors.
struct sums {
    long double g, gx, gt, abs_g, abs_gx, abs_gt, e_g, e_gx, e_gt;
};

void point_locate(const struct norma_form *f, int64_t group, int64_t element, int64_t index[FORM_RANK]);
// The tensor's value at this place, `absent` where there is no tensor; at this offset in elements.
long double point_load(const struct task *k, norma_arg arg, const int64_t index[FORM_RANK], long double absent);
long double point_load_at(const struct task *k, norma_arg arg, int64_t offset);

long double point_activate(norma_activation activation, long double slope, long double v);
long double point_derivative(norma_activation activation, long double slope, long double v);
// |v| + 1: a bound of the activation's magnitude, and 8u times it of its error.
long double point_activation_size(norma_activation activation, long double slope, long double v);

bool point_z_is_last(const struct norma_form *f);
void point_begin(const struct task *k, int64_t group, int64_t element, struct point *p); // up to t
void point_forward(const struct task *k, const struct statistics *st, struct point *p);  // from xhat to v2
void point_backward(const struct task *k, const struct statistics *st, struct point *p); // from dy to g
void point_behind(const struct task *k, struct point *p);                                // from v0 to v2

struct sums gradient_sums(const struct task *k, const struct statistics *st, int64_t group);
// From g to dh.
void gradient_through_statistics(const struct task *k, const struct statistics *st, const struct sums *sums,
                                 struct point *p);

// form_merged.c: batch norm over several devices. The group's statistics from stats, but for s: returns the sum of
// squares. Its sums from sums.
long double merged_load(const struct task *k, int64_t group, struct statistics *st);
struct sums merged_sums(const struct task *k, int64_t group);
// To the outputs stats and sums, where they are outputs.
void merged_write_stats(const struct task *k, int64_t group, const struct statistics *st);
void merged_write_sums(const struct task *k, int64_t group, const struct sums *sums);
// batch_norm_merge.
void merged_do_parts(const struct task *k, int64_t group);
// Whether stats are of too few elements for running statistics to learn from.
bool merged_is_untrained(const struct task *k, int64_t group);

// Adds to the entry of an output at this place, which began as 0; nothing where there is no such output. Outputs that
// nothing is summed over are added to once.
void point_add(const struct task *k, norma_arg arg, const int64_t index[FORM_RANK], long double value,
               long double bound);
void gradient_to_h(const struct task *k, struct point *p); // from dt to dh
void gradient_write(const struct task *k, const struct point *p);
// Where the entry of an output at this place is.
int64_t point_entry(const struct norma_form *f, norma_arg arg, const int64_t index[FORM_RANK]);

// A group's mean or variance for a running statistic. Before the groups and after them: its entries begin, and end.
void running_write(const struct task *k, norma_arg arg, const int64_t index[FORM_RANK], long double batch,
                   long double e_batch);
void running_update(const struct task *k, norma_arg arg, bool before);
// r and d, and their errors, of the group at this place, whose other statistics are known.
void running_renorm(const struct task *k, const int64_t index[FORM_RANK], struct statistics *st);

// form_mix.c: statistics that are mixed from those of several groups. NULL: out of memory.
struct form_mixture *form_mix_create(const struct task *k);
void form_mix_destroy(struct form_mixture *mix);
struct statistics form_mix_statistics(const struct form_mixture *mix, int64_t group);
// Adds what the group puts into mean, rstd, the running statistics and the gradients of the weights.
void form_mix_write(const struct form_mixture *mix, int64_t group);
// From g to dh.
void form_mix_through(const struct form_mixture *mix, int64_t group, struct point *p);

#endif
