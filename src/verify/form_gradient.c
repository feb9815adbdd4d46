#include "form_point.h"

#include <math.h>

struct sums gradient_sums(const struct task *k, const struct statistics *st, int64_t group)
{
    struct sums sums = {0};
    struct point p;
    for (int64_t j = 0; j < k->form->n; j++) {
        point_begin(k, group, j, &p);
        point_forward(k, st, &p);
        point_backward(k, st, &p);
        sums.g += p.g;
        sums.gx += p.g * p.xhat;
        sums.gt += p.g * p.t;
        sums.abs_g += fabsl(p.g);
        sums.abs_gx += fabsl(p.g * p.xhat);
        sums.abs_gt += fabsl(p.g * p.t);
        sums.e_g += p.e_g;
        sums.e_gx += p.e_g * fabsl(p.xhat) + fabsl(p.g) * p.e_xhat;
        sums.e_gt += p.e_g * fabsl(p.t) + fabsl(p.g) * p.e_t;
    }
    return sums;
}

// For max(norm, eps): whether rounding decides which one it is; the derivative jumps there.
static bool near_eps(const struct task *k, const struct statistics *st)
{
    return k->form->scale == FORM_MAX && fabsl(st->norm - k->eps) <= 16 * k->u * fmaxl(st->norm, k->eps) + st->e_norm;
}

// Mean and variance: dt = s*(g - mean(g) - xhat*mean(g*xhat)), without mean(g) where there is no mean. The mean within
// 2u of a deviation puts 2u on xhat beside its relative error: the second line of the bound.
static void through_variance(const struct task *k, const struct statistics *st, const struct sums *sums,
                             struct point *p)
{
    const bool centred = k->form->statistic == FORM_MOMENTS || k->form->statistic == FORM_MERGED;
    const long double n = st->n, u = k->u, xhat = fabsl(p->xhat), c1 = sums->gx / n;
    p->dt = st->s * ((p->g - (centred ? sums->g / n : 0)) - p->xhat * c1);
    p->e_dt = 16 * u * (fabsl(p->g) + sums->abs_g / n + xhat * (sums->abs_gx / n));
    p->e_dt += centred ? 2 * u * (xhat * (sums->abs_g / n) + sums->abs_gx / n) : 0;
    p->e_dt += p->e_g + (centred ? sums->e_g / n : 0) + xhat * (sums->e_gx / n) + p->e_xhat * fabsl(c1);
    p->e_dt = p->e_dt * st->s + fabsl(p->dt) * st->e_s;
}

// eps on the standard deviation: s = 1/(sd + eps) has the derivative -s^2 * d/(n*sd) = -s*xhat*ratio/n in the element
// at the distance d = xhat*(sd + eps) from the mean, with ratio = (sd + eps)/sd, so that
//   dt = s*(g - mean(g) - ratio*xhat*mean(g*xhat)),
// the last term 0 where sd is 0: of equal elements it is 0/0. The bound is that of through_variance (2u of a deviation
// are 2u/ratio of xhat), with the last term as in through_norm2: ratio may have been found as 1/(1 - eps*s), whose
// relative error is 8u*ratio where s is off by 8u, and an inexact t moves sd.
static void through_deviation(const struct task *k, const struct statistics *st, const struct sums *sums,
                              struct point *p)
{
    const long double n = st->n, u = k->u, xhat = fabsl(p->xhat), sd = st->deviation;
    const long double ratio = sd > 0 ? (sd + k->eps) / sd : sd, c1 = ratio * (sums->gx / n);
    p->dt = st->s * ((p->g - sums->g / n) - p->xhat * c1);
    p->e_dt = 16 * u * (fabsl(p->g) + sums->abs_g / n + xhat * ratio * ratio * (sums->abs_gx / n));
    p->e_dt += 2 * u * (xhat * (sums->abs_g / n) + sums->abs_gx / n);
    p->e_dt += p->e_g + sums->e_g / n + xhat * ratio * (sums->e_gx / n) + p->e_xhat * fabsl(c1);
    p->e_dt += sd > 0 ? fabsl(p->xhat * c1) * (st->e_norm / sd) : 0;
    p->e_dt = p->e_dt * st->s + fabsl(p->dt) * st->e_s;
}

// A norm of order 2: dt = s*(g - xhat*ratio*sum(g*xhat)). ratio is 1; for norm + eps (norm + eps)/norm, whose norm may
// have been found as 1/(1 - eps*s) with the relative error 8u*ratio; 0 where eps is the maximum.
static void through_norm2(const struct task *k, const struct statistics *st, const struct sums *sums, struct point *p)
{
    const enum form_scale scale = k->form->scale;
    const long double u = k->u, xhat = fabsl(p->xhat), largest = fabsl(p->xhat * sums->gx);
    long double ratio = 1;
    if (scale == FORM_ADD)
        ratio = st->norm > 0 ? (st->norm + k->eps) / st->norm : st->norm;
    else if (scale == FORM_MAX && st->norm <= k->eps)
        ratio = 0;
    p->dt = st->s * (p->g - p->xhat * (ratio * sums->gx));
    p->e_dt = 16 * u * (fabsl(p->g) + xhat * ratio * fmaxl(1, ratio) * sums->abs_gx);
    p->e_dt += p->e_g + ratio * (xhat * sums->e_gx + p->e_xhat * fabsl(sums->gx));
    p->e_dt += scale == FORM_ADD && ratio > 0 ? largest * ratio * (st->e_norm / st->norm) : 0;
    p->e_dt += near_eps(k, st) ? largest : 0;
    p->e_dt = p->e_dt * st->s + fabsl(p->dt) * st->e_s;
}

// A norm of order 1: dt = s*g - sign(t)*s*s*sum(g*t), the latter not where eps is the maximum. The sign is uncertain
// where t is.
static void through_norm1(const struct task *k, const struct statistics *st, const struct sums *sums, struct point *p)
{
    const bool moves = k->form->scale != FORM_MAX || !(st->norm <= k->eps);
    const long double u = k->u, sign = p->t > 0 ? 1 : p->t < 0 ? -1 : p->t, c2 = st->s * st->s * sums->gt;
    const long double square = st->s * st->s;
    p->dt = st->s * p->g - (moves ? sign * c2 : 0);
    p->e_dt = st->s * (16 * u * fabsl(p->g) + p->e_g + fabsl(p->g) * st->e_s);
    if (moves)
        p->e_dt += square * (16 * u * sums->abs_gt + sums->e_gt) + 2 * fabsl(c2) * st->e_s;
    if (moves && p->e_t > 0 && fabsl(p->t) <= p->e_t)
        p->e_dt += 2 * fabsl(c2);
    if (near_eps(k, st))
        p->e_dt += fabsl(c2);
}

void gradient_through_statistics(const struct task *k, const struct statistics *st, const struct sums *sums,
                                 struct point *p)
{
    const struct norma_form *f = k->form;
    if (f->statistic == FORM_GIVEN) {
        p->dt = st->s * p->g;
        p->e_dt = st->s * (16 * k->u * fabsl(p->g) + p->e_g);
    } else if (f->scale == FORM_VARIANCE) {
        through_variance(k, st, sums, p);
    } else if (f->scale == FORM_DEVIATION) {
        through_deviation(k, st, sums, p);
    } else if (f->statistic == FORM_ABSOLUTES) {
        through_norm1(k, st, sums, p);
    } else {
        through_norm2(k, st, sums, p);
    }
    gradient_to_h(k, p);
}

void gradient_to_h(const struct task *k, struct point *p)
{
    const struct norma_form *f = k->form;
    p->dh = p->dt;
    p->e_dh = p->e_dt;
    if (f->arg[NORMA_ARG_Z].present && f->z_first) {
        p->dh = p->dt * p->act_z;
        p->e_dh = p->e_dt * fabsl(p->act_z) + fabsl(p->dt) * 8 * k->u * p->act_z_size;
    }
    if (f->arg[NORMA_ARG_DSUM].present) {
        const long double dsum = point_load(k, NORMA_ARG_DSUM, p->index, 0);
        p->dh += dsum;
        p->e_dh += 16 * k->u * fabsl(dsum);
    }
}

// dz = (the gradient that reaches act_z) * (what act_z was multiplied with) * act_z'(z), the latter within 8u.
static void write_dz(const struct task *k, const struct point *p)
{
    const struct norma_form *f = k->form;
    const long double slope = point_derivative(f->z_activation, k->slope, p->z);
    const long double gradient = f->z_first ? p->dt : p->dv2, e_gradient = f->z_first ? p->e_dt : p->e_dv2;
    const long double factor = f->z_first ? p->h : p->v0, e_factor = f->z_first ? p->e_h : p->e_v0;
    const long double value = gradient * factor * slope;
    long double bound = fabsl(slope) * (e_gradient * fabsl(factor) + fabsl(gradient) * e_factor);
    bound += 16 * k->u * fabsl(value) + 8 * k->u * fabsl(gradient * factor);
    point_add(k, NORMA_ARG_DZ, p->index, value, bound);
}

void gradient_write(const struct task *k, const struct point *p)
{
    const long double u = k->u, dh_gate = p->dh * p->gate, dh_shifted = p->dh * p->shifted;
    point_add(k, NORMA_ARG_DX, p->index, dh_gate, p->e_dh * fabsl(p->gate));
    point_add(k, NORMA_ARG_DRESIDUAL, p->index, p->dh, p->e_dh);
    point_add(k, NORMA_ARG_DGATE, p->index, dh_shifted, 16 * u * fabsl(dh_shifted) + p->e_dh * fabsl(p->shifted));
    point_add(k, NORMA_ARG_DINPUT_BIAS, p->index, dh_gate, 16 * u * fabsl(dh_gate) + p->e_dh * fabsl(p->gate));
    point_add(k, NORMA_ARG_DADDEND, p->index, p->dv2, 16 * u * fabsl(p->dv2) + p->e_dv2);
    point_add(k, NORMA_ARG_DBIAS, p->index, p->dv1, 16 * u * fabsl(p->dv1) + p->e_dv1);
    // Where rounding decides on the derivative of relu, dv1 is off by as much as it is large: 16u are of either value.
    point_add(k, NORMA_ARG_DWEIGHT, p->index, p->dv1 * p->normalised,
              16 * u * (fabsl(p->dv1) + p->e_dv1) * p->normalised_size + p->e_dv1 * fabsl(p->normalised) +
                  (fabsl(p->dv1) + p->e_dv1) * p->e_normalised);
    if (k->out[NORMA_ARG_DZ].value)
        write_dz(k, p);
}
