// The canonical form of src/form.h from a problem, and the checks of shapes.
#include "form_axes.h"
#include "problem.h"
#include "try.h"
#include <stdlib.h>
#include <string.h>

// How a tensor's shape relates to that of x.
enum role { ROLE_WHOLE, ROLE_PARAMETER, ROLE_STATISTIC, ROLE_CHANNEL, ROLE_COUNT, ROLE_KINDS, ROLE_CELLS };

static bool is_row_op(norma_op op)
{
    return op == NORMA_LAYER_NORM || op == NORMA_RMS_NORM || op == NORMA_ADA_LAYER_NORM || op == NORMA_ADA_RMS_NORM;
}

static bool is_group_op(norma_op op)
{
    return op == NORMA_GROUP_NORM || op == NORMA_ADA_GROUP_NORM;
}

static bool has_virtual_batches(const norma_problem *p)
{
    return p->op == NORMA_GHOST_BATCH_NORM && p->training;
}

static norma_status check_axes(const norma_problem *p, struct axes *axes)
{
    const norma_tensor *x = axes->x;
    const int32_t rank = x->rank;
    const bool by_axes = p->op == NORMA_NORMALIZE || p->op == NORMA_MEAN_VARIANCE_NORMALIZATION;
    const bool may_have_axes = by_axes || is_row_op(p->op) || p->op == NORMA_WEIGHT_STANDARDIZATION;
    const bool adaptive = p->op == NORMA_ADA_LAYER_NORM || p->op == NORMA_ADA_RMS_NORM;
    if (is_row_op(p->op) && p->axes == 0 && (p->normalized_dims < 1 || p->normalized_dims > rank))
        return BAD("normalized_dims: %d is not in 1..%d (the rank of x)", (int)p->normalized_dims, (int)rank);
    // scale and shift differ from sample to sample: x has samples.
    if (adaptive && rank < 2)
        return BAD("x: rank %d; %s wants 2 or more", (int)rank, norma_op_name(p->op));
    if ((by_axes && p->axes == 0) || (may_have_axes && p->axes >> rank))
        return BAD("axes: 0x%x; bits of the %d dimensions of x are right, one at least", (unsigned)p->axes, (int)rank);
    if (adaptive && p->axes & 1)
        return BAD("axes: 0x%x; dimension 0 has the samples, from which scale and shift differ", (unsigned)p->axes);
    if (!is_row_op(p->op) && !by_axes && rank < 2)
        return BAD("x: rank %d; %s wants 2 or more", (int)rank, norma_op_name(p->op));
    if (is_group_op(p->op)) {
        if (p->num_groups < 1 || x->shape[1] % p->num_groups)
            return BAD("num_groups: %d does not divide the %lld channels", (int)p->num_groups, (long long)x->shape[1]);
        axes->cut = 1;
        axes->parts = p->num_groups;
        axes->inside = x->shape[1] / p->num_groups;
    }
    if (has_virtual_batches(p)) {
        if (p->virtual_batch < 1)
            return BAD("virtual_batch: %d; how many samples share statistics must be given", (int)p->virtual_batch);
        if (x->shape[0] % p->virtual_batch)
            return BAD("virtual_batch: %d does not divide the %lld samples", (int)p->virtual_batch,
                       (long long)x->shape[0]);
        axes->cut = 0;
        axes->parts = x->shape[0] / p->virtual_batch;
        axes->inside = p->virtual_batch;
    }
    return NORMA_OK;
}

static bool is_element(const norma_problem *p, int32_t axis)
{
    switch (p->op) {
    case NORMA_BATCH_NORM:
    case NORMA_BATCH_NORM_STATS:
    case NORMA_BATCH_NORM_MERGE:
    case NORMA_BATCH_NORM_APPLY:
    case NORMA_BATCH_RENORM:
        return axis != 1;
    case NORMA_GHOST_BATCH_NORM: // in training a part of axis 0
        return axis != 1 && !(axis == 0 && p->training);
    case NORMA_GROUP_NORM: // and a part of axis 1
    case NORMA_ADA_GROUP_NORM:
    case NORMA_INSTANCE_NORM:
    case NORMA_ADA_INSTANCE_NORM:
    case NORMA_SWITCHABLE_NORM:
        return axis >= 2;
    case NORMA_WEIGHT_STANDARDIZATION:
        return p->axes ? p->axes >> axis & 1 : axis >= 1;
    case NORMA_LOCAL_RESPONSE_NORM:
        return axis == 1;
    case NORMA_NORMALIZE:
    case NORMA_MEAN_VARIANCE_NORMALIZATION:
        return p->axes >> axis & 1;
    default:
        return p->axes ? p->axes >> axis & 1 : axis >= p->x->rank - p->normalized_dims;
    }
}

static int32_t last_element(const struct axes *axes)
{
    int32_t last = axes->x->rank - 1;
    while (last > 0 && !axes->element[last])
        last--;
    return last;
}

static void fill_axes(const norma_problem *p, struct axes *axes)
{
    const int32_t rank = axes->x->rank;
    for (int32_t d = 0; d < rank; d++) {
        axes->element[d] = is_element(p, d);
        axes->elements += axes->element[d];
    }
    switch (p->op) {
    case NORMA_BATCH_NORM:
    case NORMA_BATCH_RENORM:
    case NORMA_GHOST_BATCH_NORM:
    case NORMA_BATCH_NORM_STATS:
    case NORMA_BATCH_NORM_MERGE:
    case NORMA_BATCH_NORM_APPLY:
    case NORMA_GROUP_NORM:
    case NORMA_INSTANCE_NORM:
    case NORMA_SWITCHABLE_NORM:
        axes->natural[axes->naturals++] = 1;
        break;
    case NORMA_WEIGHT_STANDARDIZATION: // of a weight's outputs, which no group has
        for (int32_t d = 0; d < rank; d++)
            if (!axes->element[d])
                axes->natural[axes->naturals++] = d;
        break;
    case NORMA_ADA_LAYER_NORM:
    case NORMA_ADA_RMS_NORM:
    case NORMA_ADA_GROUP_NORM:
    case NORMA_ADA_INSTANCE_NORM:
        axes->natural[axes->naturals++] = 0;
        axes->natural[axes->naturals++] = is_row_op(p->op) ? last_element(axes) : 1;
        break;
    default:
        for (int32_t d = 0; d < rank; d++)
            if (axes->element[d])
                axes->natural[axes->naturals++] = d;
    }
}

static enum role role_of(norma_arg arg)
{
    if (form_arg_has_kinds(arg))
        return ROLE_KINDS;
    switch (arg) {
    case NORMA_ARG_WEIGHT:
    case NORMA_ARG_BIAS:
    case NORMA_ARG_SCALE:
    case NORMA_ARG_SHIFT:
    case NORMA_ARG_GATE:
    case NORMA_ARG_INPUT_BIAS:
    case NORMA_ARG_DWEIGHT:
    case NORMA_ARG_DBIAS:
    case NORMA_ARG_DSCALE:
    case NORMA_ARG_DSHIFT:
    case NORMA_ARG_DGATE:
    case NORMA_ARG_DINPUT_BIAS:
        return ROLE_PARAMETER;
    case NORMA_ARG_MEAN:
    case NORMA_ARG_RSTD:
    case NORMA_ARG_R:
    case NORMA_ARG_D:
    case NORMA_ARG_Y_SCALE: // or, where it is given, one that map_given_scale knows
    case NORMA_ARG_NONFINITE:
        return ROLE_STATISTIC;
    case NORMA_ARG_RUNNING_MEAN:
    case NORMA_ARG_RUNNING_VAR:
        return ROLE_CHANNEL;
    case NORMA_ARG_NUM_BATCHES_TRACKED:
        return ROLE_COUNT;
    case NORMA_ARG_STATS:
    case NORMA_ARG_PARTS:
    case NORMA_ARG_SUMS:
        return ROLE_CELLS;
    default:
        return ROLE_WHOLE;
    }
}

static norma_status check_extent(norma_arg arg, const norma_tensor *t, int32_t d, int64_t wanted)
{
    if (t->shape[d] != wanted)
        return BAD("%s: shape[%d] is %lld, that of x is %lld", norma_arg_name(arg), (int)d, (long long)t->shape[d],
                   (long long)wanted);
    return NORMA_OK;
}

// A parameter's gradient differs along the axes along which the parameter does.
static norma_status check_gradient_axes(const norma_problem *p, norma_arg gradient, const uint32_t *along)
{
    const norma_arg of = norma_forward_of(gradient);
    if (role_of(gradient) == ROLE_PARAMETER && norma_problem_tensor(p, of) && along[gradient] != along[of])
        return BAD("%s: differs along other dimensions than %s", norma_arg_name(gradient), norma_arg_name(of));
    return NORMA_OK;
}

// A vector parameter: its own few axes, or all of x's where an extent of 1 repeats.
static norma_status map_parameter(norma_arg arg, const norma_tensor *t, const struct axes *axes,
                                  int64_t stride[NORMA_MAX_RANK], uint32_t *along)
{
    const norma_tensor *x = axes->x;
    const bool own = t->rank == axes->naturals;
    bool matches = own;
    for (int32_t i = 0; own && i < t->rank; i++)
        matches = matches && t->shape[i] == x->shape[axes->natural[i]];
    if (own && (matches || t->rank != x->rank)) {
        for (int32_t i = 0; i < t->rank; i++) {
            TRY(check_extent(arg, t, i, x->shape[axes->natural[i]]));
            stride[axes->natural[i]] = t->strides[i];
            *along |= (t->shape[i] != 1 ? 1u : 0) << axes->natural[i];
        }
        return NORMA_OK;
    }
    if (t->rank != x->rank)
        return BAD("%s: rank %d; %d, or %d (that of x) with ones, is right", norma_arg_name(arg), (int)t->rank,
                   (int)axes->naturals, (int)x->rank);
    for (int32_t d = 0; d < x->rank; d++) {
        if (t->shape[d] != 1)
            TRY(check_extent(arg, t, d, x->shape[d]));
        stride[d] = t->shape[d] == 1 ? 0 : t->strides[d];
        *along |= (t->shape[d] != 1 ? 1u : 0) << d;
    }
    return NORMA_OK;
}

// x's shape without a group's axes, or with ones there; the axis that is cut counts parts.
static norma_status map_statistic(norma_arg arg, const norma_tensor *t, const struct axes *axes,
                                  int64_t stride[NORMA_MAX_RANK])
{
    const norma_tensor *x = axes->x;
    const bool ones = t->rank == x->rank;
    if (!ones && t->rank != x->rank - axes->elements)
        return BAD("%s: rank %d; %d, or %d with ones in a group's dimensions, is right", norma_arg_name(arg),
                   (int)t->rank, (int)(x->rank - axes->elements), (int)x->rank);
    int32_t at = 0;
    for (int32_t d = 0; d < x->rank; d++) {
        if (axes->element[d]) {
            if (ones && t->shape[at++] != 1)
                return BAD("%s: shape[%d] is %lld, not 1", norma_arg_name(arg), (int)d, (long long)t->shape[d]);
            continue;
        }
        TRY(check_extent(arg, t, at, d == axes->cut ? axes->parts : x->shape[d]));
        stride[d] = t->strides[at++];
    }
    return NORMA_OK;
}

static norma_status check_kinds(norma_arg arg, const norma_tensor *t)
{
    if (t->rank != 1)
        return BAD("%s: rank %d, not 1", norma_arg_name(arg), (int)t->rank);
    if (t->shape[0] != FORM_KINDS)
        return BAD("%s: shape[0] is %lld, not %d: instance, layer, batch", norma_arg_name(arg), (long long)t->shape[0],
                   FORM_KINDS);
    return NORMA_OK;
}

static int64_t rows_of(const norma_problem *p, norma_arg arg)
{
    if (role_of(arg) != ROLE_CELLS)
        return 1;
    const bool sums = arg == NORMA_ARG_SUMS || (arg == NORMA_ARG_PARTS && p->direction == NORMA_BACKWARD);
    return sums ? FORM_SUMS_ROWS : FORM_STATS_ROWS;
}

// The scale of a quantised y that is given: one element, as x with ones where it repeats, or an element a group.
static norma_status map_given_scale(const norma_tensor *t, struct axes *axes, int64_t stride[NORMA_MAX_RANK])
{
    const norma_tensor *x = axes->x;
    uint32_t along = 0;
    if (t->rank == 0 || (t->rank == 1 && t->shape[0] == 1))
        return NORMA_OK;
    const int32_t cut = axes->cut;
    const bool of_groups = cut >= 0 && t->rank == x->rank && t->shape[cut] == axes->parts &&
                           t->shape[cut] != x->shape[cut] && t->shape[cut] != 1;
    if (t->rank == x->rank && !of_groups)
        return map_parameter(NORMA_ARG_Y_SCALE, t, axes, stride, &along);
    if (!of_groups && t->rank != x->rank - axes->elements)
        return BAD(
            "y_scale: rank %d; one element, %d dimensions (those of mean), or %d (those of x) with ones, is right",
            (int)t->rank, (int)(x->rank - axes->elements), (int)x->rank);
    axes->statistics |= UINT64_C(1) << NORMA_ARG_Y_SCALE;
    return map_statistic(NORMA_ARG_Y_SCALE, t, axes, stride);
}

static norma_status check_dtype(norma_arg arg, const norma_tensor *t, const norma_tensor *x)
{
    const enum role role = role_of(arg);
    const norma_dtype fixed = x->dtype == NORMA_FLOAT64 ? NORMA_FLOAT64 : NORMA_FLOAT32;
    if (t->dtype == NORMA_INT8 || t->dtype == NORMA_FLOAT8_E4M3FN || t->dtype == NORMA_INT32 || role == ROLE_COUNT)
        return NORMA_OK; // of any x
    if ((role == ROLE_STATISTIC || role == ROLE_CHANNEL || role == ROLE_CELLS) && t->dtype != fixed)
        return BAD("%s: the type must be %s", norma_arg_name(arg), fixed == NORMA_FLOAT64 ? "float64" : "float32");
    if ((t->dtype == NORMA_FLOAT64) != (x->dtype == NORMA_FLOAT64))
        return BAD("%s: float64 goes with float64 alone (x, and every other tensor)", norma_arg_name(arg));
    return NORMA_OK;
}

// along: bit d: a parameter differs along axis d.
static norma_status map_axes(const norma_problem *p, norma_arg arg, struct axes *axes, int64_t stride[NORMA_MAX_RANK],
                             uint32_t *along)
{
    const norma_tensor *x = axes->x, *t = norma_problem_tensor(p, arg);
    const enum role role = role_of(arg);
    memset(stride, 0, NORMA_MAX_RANK * sizeof(*stride));
    TRY(check_dtype(arg, t, x));
    if (t->channel_block > 1 && role != ROLE_WHOLE)
        return BAD("%s: channel_block %d; only what has the shape of x has packed channels", norma_arg_name(arg),
                   (int)t->channel_block);
    if (arg == NORMA_ARG_Y_SCALE && !norma_arg_is_output(p, arg))
        return map_given_scale(t, axes, stride);
    if (role == ROLE_PARAMETER)
        return map_parameter(arg, t, axes, stride, along);
    if (role == ROLE_STATISTIC) {
        axes->statistics |= UINT64_C(1) << arg;
        return map_statistic(arg, t, axes, stride);
    }
    if (role == ROLE_KINDS)
        return check_kinds(arg, t);
    if (role == ROLE_CELLS)
        return norma_form_map_cells(arg, t, x->shape[1], rows_of(p, arg), stride);
    if (role == ROLE_CHANNEL) {
        if (t->rank != 1)
            return BAD("%s: rank %d, not 1", norma_arg_name(arg), (int)t->rank);
        stride[1] = t->strides[0];
        return check_extent(arg, t, 0, x->shape[1]);
    }
    if (role == ROLE_COUNT && (t->rank > 1 || (t->rank == 1 && t->shape[0] != 1)))
        return BAD("%s: one element, of rank 0 or 1, is right", norma_arg_name(arg));
    if (role == ROLE_COUNT)
        return NORMA_OK;
    if (t->rank != x->rank)
        return BAD("%s: rank %d, that of x is %d", norma_arg_name(arg), (int)t->rank, (int)x->rank);
    for (int32_t d = 0; d < x->rank; d++) {
        TRY(check_extent(arg, t, d, x->shape[d]));
        stride[d] = t->strides[d];
    }
    const bool blocks =
        t->channel_block > 1 && t->shape[1] > t->channel_block && t->block_stride != t->channel_block * t->strides[1];
    axes->block[arg] = blocks ? t->channel_block : 0; // such tensors are called in the form what the caller calls them
    axes->block_stride[arg] = t->block_stride;
    return NORMA_OK;
}

static norma_arg canonical_arg(norma_arg arg)
{
    switch (arg) {
    case NORMA_ARG_SCALE:
        return NORMA_ARG_WEIGHT;
    case NORMA_ARG_SHIFT:
        return NORMA_ARG_BIAS;
    case NORMA_ARG_DSCALE:
        return NORMA_ARG_DWEIGHT;
    case NORMA_ARG_DSHIFT:
        return NORMA_ARG_DBIAS;
    default:
        return arg;
    }
}

static void fill_statistic(const norma_problem *p, struct norma_form *f)
{
    const bool mixed = p->op == NORMA_SWITCHABLE_NORM; // which takes the given ones for one kind of three
    const bool merged =
        p->op == NORMA_BATCH_NORM_APPLY || (p->op == NORMA_BATCH_NORM_STATS && p->direction == NORMA_BACKWARD);
    f->statistic = norma_running_are_given(p) && !mixed                     ? FORM_GIVEN
                   : merged                                                 ? FORM_MERGED
                   : p->op == NORMA_BATCH_NORM_MERGE                        ? FORM_PARTS
                   : p->op == NORMA_LOCAL_RESPONSE_NORM                     ? FORM_WINDOW
                   : p->op == NORMA_RMS_NORM || p->op == NORMA_ADA_RMS_NORM ? FORM_SQUARES
                                                                            : FORM_MOMENTS;
    f->scale = p->op == NORMA_MEAN_VARIANCE_NORMALIZATION ? FORM_DEVIATION : FORM_VARIANCE;
    if (p->op == NORMA_LOCAL_RESPONSE_NORM) {
        const uint32_t less = (uint32_t)(p->local_size - 1) / 2, more = (uint32_t)p->local_size / 2;
        f->window_before = p->window == NORMA_WINDOW_BEFORE ? more : less;
        f->window_after = p->window == NORMA_WINDOW_BEFORE ? less : more;
        f->alpha = p->alpha / p->local_size;
        f->beta = p->beta;
        f->k = p->k;
    }
    if (p->op != NORMA_NORMALIZE)
        return;
    f->statistic = p->norm_order == 1 ? FORM_ABSOLUTES : FORM_SQUARES;
    f->scale = p->eps_mode == NORMA_EPS_MAX ? FORM_MAX : p->eps_mode == NORMA_EPS_ADD ? FORM_ADD : FORM_INSIDE;
}

// Groups are numbered along the dimension of x's larger stride first, as norma_form_arrange() sorts them, folded or
// not.
static norma_status fill_mix(const norma_problem *p, struct norma_form *f)
{
    const norma_tensor *x = p->x;
    if (p->op != NORMA_SWITCHABLE_NORM)
        return NORMA_OK;
    for (int a = NORMA_ARG_MEAN_WEIGHTS; a <= NORMA_ARG_VAR_WEIGHTS; a++)
        if (!norma_problem_tensor(p, a))
            return BAD("%s: NULL; switchable_norm needs it", norma_arg_name(a));
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if (form_arg_has_kinds(a) && norma_problem_tensor(p, a))
            f->arg[a].step = norma_problem_tensor(p, a)->strides[0];
    f->mix = p->training ? FORM_MIX_TRAINING : FORM_MIX_RUNNING;
    f->samples = x->shape[0];
    f->channels = x->shape[1];
    const bool by_channel = norma_form_order(x, 0) < norma_form_order(x, 1) && f->samples != 1 && f->channels != 1;
    f->sample_step = by_channel ? 1 : f->channels;
    f->channel_step = by_channel ? f->samples : 1;
    return NORMA_OK;
}

static norma_status check_running(const norma_problem *p, const struct norma_form *f)
{
    if (!p->running_mean != !p->running_var)
        return BAD("%s: NULL, though there is a %s", p->running_mean ? "running_var" : "running_mean",
                   p->running_mean ? "running_mean" : "running_var");
    if (p->cumulative && f->update_running && !p->num_batches_tracked)
        return BAD("num_batches_tracked: NULL; cumulative counts batches by it");
    if (f->renorm && (f->backward ? !(p->r && p->d) : !p->running_mean))
        return BAD("%s: NULL; batch_renorm needs it", !f->backward ? "running_mean" : p->r ? "d" : "r");
    if ((f->statistic == FORM_GIVEN || f->mix == FORM_MIX_RUNNING) && !p->running_mean)
        return BAD("running_mean: NULL; without %s it has the statistics",
                   p->op == NORMA_INSTANCE_NORM ? "use_input_stats" : "training");
    if (norma_op_is_batch(p->op) && p->training && f->n == 1 && f->groups > 0)
        return BAD("x: one element a channel has no variance to train with");
    if (p->op == NORMA_INSTANCE_NORM && f->update_running && !f->running_var_biased && f->n == 1 && f->groups > 0)
        return BAD("x: one element a group has no unbiased variance for running_var");
    if (f->mix && f->update_running && !f->running_var_biased && f->samples * f->n == 1 && f->channels > 0)
        return BAD("x: one element a channel has no unbiased variance for running_var");
    return NORMA_OK;
}

static void fill_numbers(const norma_problem *p, const norma_tensor *space, struct norma_form *f)
{
    const bool adaptive = p->scale != NULL;
    f->op = p->op;
    f->backward = p->direction == NORMA_BACKWARD;
    f->float64 = space->dtype == NORMA_FLOAT64;
    f->arg[NORMA_ARG_X].dtype = space->dtype; // also where there is none
    f->eps64 = p->eps;
    f->eps = (float)p->eps;
    f->weight_offset64 = adaptive ? 1 : p->weight_offset;
    f->weight_offset = (float)f->weight_offset64;
    f->momentum64 = p->momentum;
    f->momentum = (float)p->momentum;
    f->slope64 = p->activation_slope;
    f->slope = (float)p->activation_slope;
    f->activation = p->activation;
    f->z_activation = p->z_activation;
    f->z_first = p->z && p->z_first;
    f->in_place = NORMA_ARG_COUNT;
    f->dynamic_scale = p->dynamic_scale != 0;
    f->running_var_biased = p->running_var_biased != 0;
    f->update_running = p->running_mean && norma_arg_is_output(p, NORMA_ARG_RUNNING_MEAN);
    f->in_order = has_virtual_batches(p);
    f->renorm = p->op == NORMA_BATCH_RENORM && p->training;
    f->r_max64 = p->r_max;
    f->r_max = (float)p->r_max;
    f->d_max64 = p->d_max;
    f->d_max = (float)p->d_max;
    f->cumulative = f->update_running && p->cumulative;
    f->count_batches = p->num_batches_tracked && norma_arg_is_output(p, NORMA_ARG_NUM_BATCHES_TRACKED);
    f->batches = f->in_order ? p->x->shape[0] / p->virtual_batch : 1;
}

// batch_norm_apply of an empty x: what follows from stats alone.
static void drop_elements(struct norma_form *f)
{
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        f->arg[a].present = f->arg[a].present && (role_of(a) == ROLE_STATISTIC || role_of(a) == ROLE_CHANNEL ||
                                                  role_of(a) == ROLE_COUNT || role_of(a) == ROLE_CELLS);
    f->arg[NORMA_ARG_Y_SCALE].present = f->arg[NORMA_ARG_Y_SCALE].present && f->dynamic_scale;
    for (int32_t d = f->group_rank; d < f->rank; d++)
        f->extent[d] = 1;
    f->n = f->run = 1;
    f->no_elements = true;
}

norma_status norma_form_fill(const norma_problem *p, struct norma_form *f)
{
    struct axes axes = {.cut = -1};
    int64_t stride[NORMA_ARG_COUNT][NORMA_MAX_RANK] = {{0}};
    uint32_t along[NORMA_ARG_COUNT] = {0};
    norma_tensor space;
    *f = (struct norma_form){0};
    TRY(norma_form_space(p, &space));
    axes.x = &space;
    TRY(check_axes(p, &axes));
    fill_axes(p, &axes);
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(p, a);
        const norma_arg to = canonical_arg(a);
        if (!t)
            continue;
        TRY(map_axes(p, a, &axes, stride[to], &along[a]));
        f->arg[to].rows = rows_of(p, a);
        f->arg[to].row = f->arg[to].rows > 1 ? t->strides[t->rank - 2] : 0;
        f->arg[to].present = true;
        f->arg[to].source = a;
        f->arg[to].dtype = t->dtype;
    }
    for (int a = NORMA_ARG_DX; a < NORMA_ARG_COUNT; a++)
        if (norma_problem_tensor(p, a))
            TRY(check_gradient_axes(p, a, along));
    fill_numbers(p, &space, f);
    fill_statistic(p, f);
    axes.whole_channels = f->statistic == FORM_WINDOW || p->op == NORMA_SWITCHABLE_NORM;
    TRY(norma_form_arrange(f, &axes, stride));
    TRY(fill_mix(p, f));
    if (f->statistic == FORM_MERGED && !f->backward && f->n == 0)
        drop_elements(f);
    return check_running(p, f);
}
