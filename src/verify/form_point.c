#include "form_point.h"

#include "half.h"
#include "reference.h"

#include <math.h>
#include <string.h>

// Inputs.

long double point_load_at(const struct task *k, norma_arg arg, int64_t offset)
{
    const norma_dtype dtype = k->form->arg[arg].dtype;
    const unsigned char *place = (const unsigned char *)k->data[arg] + offset * (int64_t)norma_dtype_size(dtype);
    uint16_t half;
    float single;
    double twice;
    int64_t whole;
    int32_t count;
    switch (dtype) {
    case NORMA_INT8:
        return *(const int8_t *)place;
    case NORMA_FLOAT8_E4M3FN:
        return norma_float8_to_float(*place);
    case NORMA_INT32:
        memcpy(&count, place, sizeof count);
        return count;
    case NORMA_FLOAT16:
        memcpy(&half, place, sizeof half);
        return norma_half_to_float(half);
    case NORMA_BFLOAT16:
        memcpy(&half, place, sizeof half);
        return norma_bfloat_to_float(half);
    case NORMA_INT64:
        memcpy(&whole, place, sizeof whole);
        return whole;
    case NORMA_FLOAT64:
        memcpy(&twice, place, sizeof twice);
        return twice;
    default:
        memcpy(&single, place, sizeof single);
        return single;
    }
}

long double point_load(const struct task *k, norma_arg arg, const int64_t index[FORM_RANK], long double absent)
{
    const struct norma_form *f = k->form;
    int64_t offset = 0;
    if (!f->arg[arg].present)
        return absent;
    for (int32_t d = 0; d < f->rank; d++)
        offset += index[d] * f->arg[arg].stride[d];
    return point_load_at(k, arg, offset + form_jump(f, &f->arg[arg], index));
}

void point_locate(const struct norma_form *f, int64_t group, int64_t element, int64_t index[FORM_RANK])
{
    for (int32_t d = f->rank - 1; d >= 0; d--) {
        int64_t *rest = d >= f->group_rank ? &element : &group;
        const int64_t extent = f->extent[d] > 0 ? f->extent[d] : 1; // a group may be empty
        index[d] = *rest % extent;
        *rest /= extent;
    }
}

// Activations.

static long double sigmoid(long double v)
{
    return 1 / (1 + expl(-v));
}

// The approximation is v*sigmoid(2a) with a = sqrt(2/pi)*(v + 0.044715*v^3).
static long double twice_tanh_argument(long double v)
{
    return 2 * 0.797884560802865355879892L * (v + 0.044715L * v * v * v);
}

long double point_activate(norma_activation activation, long double slope, long double v)
{
    switch (activation) {
    case NORMA_RELU:
        return v < 0 ? 0 : v; // a NaN stays
    case NORMA_LEAKY_RELU:
        return v < 0 ? slope * v : v;
    case NORMA_GELU:
        return v * 0.5L * erfcl(-v * 0.707106781186547524400844L);
    case NORMA_GELU_TANH:
        return v * sigmoid(twice_tanh_argument(v));
    case NORMA_SILU:
        return v * sigmoid(v);
    case NORMA_SIGMOID:
        return sigmoid(v);
    default:
        return v;
    }
}

long double point_derivative(norma_activation activation, long double slope, long double v)
{
    long double a;
    switch (activation) {
    case NORMA_RELU:
        return v > 0 ? 1 : v <= 0 ? 0 : v;
    case NORMA_LEAKY_RELU:
        return v > 0 ? 1 : v <= 0 ? slope : v;
    case NORMA_GELU:
        return 0.5L * erfcl(-v * 0.707106781186547524400844L) + v * 0.398942280401432677939946L * expl(-v * v / 2);
    case NORMA_GELU_TANH:
        a = twice_tanh_argument(v);
        return sigmoid(a) +
               v * sigmoid(a) * sigmoid(-a) * twice_tanh_argument(1) * (1 + 3 * 0.044715L * v * v) / (1 + 0.044715L);
    case NORMA_SILU:
        return sigmoid(v) * (1 + v * sigmoid(-v));
    case NORMA_SIGMOID:
        return sigmoid(v) * sigmoid(-v);
    default:
        return 1;
    }
}

long double point_activation_size(norma_activation activation, long double slope, long double v)
{
    return fabsl(v) * (activation == NORMA_LEAKY_RELU ? fmaxl(1, fabsl(slope)) : 1) + 1;
}

// How far the derivative moves where v moves by e_v at most.
static long double derivative_change(norma_activation activation, long double slope, long double v, long double e_v)
{
    switch (activation) {
    case NORMA_RELU:
        return fabsl(v) <= e_v ? 1 : 0;
    case NORMA_LEAKY_RELU:
        return fabsl(v) <= e_v ? fabsl(1 - slope) : 0;
    case NORMA_GELU:
    case NORMA_GELU_TANH:
        return 0.81L * e_v; // the largest second derivative
    case NORMA_SILU:
        return 0.5L * e_v;
    case NORMA_SIGMOID:
        return 0.0963L * e_v;
    default:
        return 0;
    }
}

// The formulas.

static void find_h(const struct task *k, struct point *p)
{
    const struct norma_form *f = k->form;
    const long double x = point_load(k, NORMA_ARG_X, p->index, 0),
                      bias = point_load(k, NORMA_ARG_INPUT_BIAS, p->index, 0);
    const long double residual = point_load(k, NORMA_ARG_RESIDUAL, p->index, 0);
    const bool has_bias = f->arg[NORMA_ARG_INPUT_BIAS].present, has_gate = f->arg[NORMA_ARG_GATE].present;
    const bool has_residual = f->arg[NORMA_ARG_RESIDUAL].present;
    p->gate = point_load(k, NORMA_ARG_GATE, p->index, 1);
    p->shifted = x + bias;
    p->sum = p->gate * p->shifted + residual;
    p->sum_terms = fabsl(p->gate) * (fabsl(x) + fabsl(bias)) + fabsl(residual);
    if (f->float64) {
        p->h = p->sum;
        p->e_h = has_bias || has_gate || has_residual ? 3 * k->u * p->sum_terms + k->least : 0;
        return;
    }
    const float x32 = (float)x, bias32 = (float)bias, gate32 = (float)p->gate, residual32 = (float)residual;
    const struct reference_prologue row = {.x = &x32,
                                           .input_bias = has_bias ? &bias32 : NULL,
                                           .gate = has_gate ? &gate32 : NULL,
                                           .residual = has_residual ? &residual32 : NULL};
    p->h = reference_h(&row, 0);
    p->e_h = 0;
}

void point_begin(const struct task *k, int64_t group, int64_t element, struct point *p)
{
    const struct norma_form *f = k->form;
    point_locate(f, group, element, p->index);
    find_h(k, p);
    p->z = 0;
    p->act_z = p->act_z_size = 1;
    if (f->arg[NORMA_ARG_Z].present) {
        p->z = point_load(k, NORMA_ARG_Z, p->index, 0);
        p->act_z = point_activate(f->z_activation, k->slope, p->z);
        p->act_z_size = point_activation_size(f->z_activation, k->slope, p->z);
    }
    p->t = p->h;
    p->e_t = p->e_h;
    if (f->arg[NORMA_ARG_Z].present && f->z_first) {
        p->t = p->h * p->act_z;
        p->e_t = p->e_h * fabsl(p->act_z) + fabsl(p->h) * 8 * k->u * p->act_z_size + k->least;
    }
}

bool point_z_is_last(const struct norma_form *f)
{
    return f->arg[NORMA_ARG_Z].present && !f->z_first;
}

void point_behind(const struct task *k, struct point *p)
{
    const bool z_is_last = point_z_is_last(k->form);
    const long double addend = point_load(k, NORMA_ARG_ADDEND, p->index, 0);
    p->v2 = (z_is_last ? p->v0 * p->act_z : p->v0) + addend;
    p->e_v2 = (z_is_last ? p->e_v0 * p->act_z_size : p->e_v0) + 8 * k->u * fabsl(addend);
}

void point_forward(const struct task *k, const struct statistics *st, struct point *p)
{
    const struct norma_form *f = k->form;
    const long double bias = point_load(k, NORMA_ARG_BIAS, p->index, 0);
    p->xhat = ((p->t - st->mean) - st->mean_rest) * st->s;
    p->e_xhat = (p->e_t + st->e_mean) * st->s + fabsl(p->xhat) * st->e_s;
    p->weight = f->arg[NORMA_ARG_WEIGHT].present ? k->weight_offset + point_load(k, NORMA_ARG_WEIGHT, p->index, 0) : 1;
    p->normalised = p->xhat * st->r + st->d;
    p->e_normalised = p->e_xhat * st->r + fabsl(p->xhat) * st->e_r + st->e_d;
    p->normalised_size = (fabsl(p->xhat) + 1) * st->r + fabsl(st->d);
    p->v0 = p->normalised * p->weight + bias;
    p->e_v0 = 8 * k->u * (p->normalised_size * fabsl(p->weight) + fabsl(bias));
    p->e_v0 += p->e_normalised * fabsl(p->weight);
    point_behind(k, p);
}

// No step has k->least: what is lost among the denormals on the way counts as any other error, so that only a result
// may lose it (where it is stored).
void point_backward(const struct task *k, const struct statistics *st, struct point *p)
{
    const struct norma_form *f = k->form;
    const long double dy = point_load(k, NORMA_ARG_DY, p->index, 0), u = k->u;
    p->dv2 = dy;
    p->e_dv2 = 0;
    if (f->activation != NORMA_ACTIVATION_NONE) {
        p->dv2 = dy * point_derivative(f->activation, k->slope, p->v2);
        p->e_dv2 = fabsl(dy) * (8 * u + derivative_change(f->activation, k->slope, p->v2, p->e_v2));
    }
    p->dv1 = p->dv2;
    p->e_dv1 = p->e_dv2;
    if (point_z_is_last(f)) {
        p->dv1 = p->dv2 * p->act_z;
        p->e_dv1 = p->e_dv2 * fabsl(p->act_z) + fabsl(p->dv2) * 8 * u * p->act_z_size;
    }
    p->g = p->dv1 * p->weight * st->r;
    p->e_g = p->e_dv1 * fabsl(p->weight) * st->r;
}
