#include "problem.h"
#include "overlap.h"
#include "try.h"
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset;
} arg_table[NORMA_ARG_COUNT] = {
#define ARG(index, member) [index] = {#member, offsetof(norma_problem, member)}
    ARG(NORMA_ARG_X, x),
    ARG(NORMA_ARG_Y, y),
    ARG(NORMA_ARG_WEIGHT, weight),
    ARG(NORMA_ARG_BIAS, bias),
    ARG(NORMA_ARG_RESIDUAL, residual),
    ARG(NORMA_ARG_GATE, gate),
    ARG(NORMA_ARG_INPUT_BIAS, input_bias),
    ARG(NORMA_ARG_SUM, sum),
    ARG(NORMA_ARG_MEAN, mean),
    ARG(NORMA_ARG_RSTD, rstd),
    ARG(NORMA_ARG_Z, z),
    ARG(NORMA_ARG_ADDEND, addend),
    ARG(NORMA_ARG_SCALE, scale),
    ARG(NORMA_ARG_SHIFT, shift),
    ARG(NORMA_ARG_RUNNING_MEAN, running_mean),
    ARG(NORMA_ARG_RUNNING_VAR, running_var),
    ARG(NORMA_ARG_NUM_BATCHES_TRACKED, num_batches_tracked),
    ARG(NORMA_ARG_R, r),
    ARG(NORMA_ARG_D, d),
    ARG(NORMA_ARG_Y_SCALE, y_scale),
    ARG(NORMA_ARG_NONFINITE, nonfinite),
    ARG(NORMA_ARG_MEAN_WEIGHTS, mean_weights),
    ARG(NORMA_ARG_VAR_WEIGHTS, var_weights),
    ARG(NORMA_ARG_STATS, stats),
    ARG(NORMA_ARG_PARTS, parts),
    ARG(NORMA_ARG_SUMS, sums),
    ARG(NORMA_ARG_DY, dy),
    ARG(NORMA_ARG_DSUM, dsum),
    ARG(NORMA_ARG_DX, dx),
    ARG(NORMA_ARG_DWEIGHT, dweight),
    ARG(NORMA_ARG_DBIAS, dbias),
    ARG(NORMA_ARG_DRESIDUAL, dresidual),
    ARG(NORMA_ARG_DGATE, dgate),
    ARG(NORMA_ARG_DINPUT_BIAS, dinput_bias),
    ARG(NORMA_ARG_DZ, dz),
    ARG(NORMA_ARG_DADDEND, daddend),
    ARG(NORMA_ARG_DSCALE, dscale),
    ARG(NORMA_ARG_DSHIFT, dshift),
    ARG(NORMA_ARG_DMEAN_WEIGHTS, dmean_weights),
    ARG(NORMA_ARG_DVAR_WEIGHTS, dvar_weights),
#undef ARG
};

static const struct {
    const char *name;
    double eps;
} op_table[NORMA_OP_COUNT] = {
    [NORMA_LAYER_NORM] = {"layer_norm", 1e-5},
    [NORMA_RMS_NORM] = {"rms_norm", 1e-6},
    [NORMA_BATCH_NORM] = {"batch_norm", 1e-5},
    [NORMA_GROUP_NORM] = {"group_norm", 1e-5},
    [NORMA_INSTANCE_NORM] = {"instance_norm", 1e-5},
    [NORMA_WEIGHT_STANDARDIZATION] = {"weight_standardization", 1e-10},
    [NORMA_NORMALIZE] = {"normalize", 1e-12},
    [NORMA_MEAN_VARIANCE_NORMALIZATION] = {"mean_variance_normalization", 1e-9},
    [NORMA_ADA_LAYER_NORM] = {"ada_layer_norm", 1e-6},
    [NORMA_ADA_RMS_NORM] = {"ada_rms_norm", 1e-6},
    [NORMA_ADA_GROUP_NORM] = {"ada_group_norm", 1e-6},
    [NORMA_ADA_INSTANCE_NORM] = {"ada_instance_norm", 1e-6},
    [NORMA_LOCAL_RESPONSE_NORM] = {"local_response_norm", 0},
    [NORMA_BATCH_RENORM] = {"batch_renorm", 1e-5},
    [NORMA_GHOST_BATCH_NORM] = {"ghost_batch_norm", 1e-5},
    [NORMA_SWITCHABLE_NORM] = {"switchable_norm", 1e-5},
    [NORMA_BATCH_NORM_STATS] = {"batch_norm_stats", 1e-5},
    [NORMA_BATCH_NORM_MERGE] = {"batch_norm_merge", 1e-5},
    [NORMA_BATCH_NORM_APPLY] = {"batch_norm_apply", 1e-5},
};

const char *norma_arg_name(norma_arg arg)
{
    if (arg == NORMA_ARG_WORKSPACE)
        return "workspace";
    if (arg == NORMA_ARG_ROW_COUNT)
        return "row_count";
    return (unsigned)arg < NORMA_ARG_COUNT ? arg_table[arg].name : NULL;
}

const char *norma_op_name(norma_op op)
{
    return (unsigned)op < NORMA_OP_COUNT ? op_table[op].name : NULL;
}

const char *norma_activation_name(norma_activation activation)
{
    static const char *const names[NORMA_ACTIVATION_COUNT] = {"none",      "relu", "leaky_relu", "gelu",
                                                              "gelu_tanh", "silu", "sigmoid"};
    return (unsigned)activation < NORMA_ACTIVATION_COUNT ? names[activation] : NULL;
}

norma_problem norma_problem_defaults(norma_op op)
{
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    p.op = op;
    p.eps = (unsigned)op < NORMA_OP_COUNT ? op_table[op].eps : 0;
    return p;
}

const norma_tensor *norma_problem_tensor(const norma_problem *problem, norma_arg arg)
{
    const norma_tensor *tensor;
    memcpy(&tensor, (const char *)problem + arg_table[arg].offset, sizeof(tensor));
    return tensor;
}

bool norma_arg_is_gradient(norma_arg arg)
{
    return arg >= NORMA_ARG_DX && arg < NORMA_ARG_COUNT;
}

bool norma_op_is_batch(norma_op op)
{
    return op == NORMA_BATCH_NORM || op == NORMA_BATCH_RENORM || op == NORMA_GHOST_BATCH_NORM;
}

bool norma_op_has_running(norma_op op)
{
    return norma_op_is_batch(op) || op == NORMA_INSTANCE_NORM || op == NORMA_SWITCHABLE_NORM;
}

bool norma_running_are_given(const norma_problem *p)
{
    return norma_op_has_running(p->op) && !(p->op == NORMA_INSTANCE_NORM ? p->use_input_stats : p->training);
}

static bool updates_running(const norma_problem *p)
{
    return p->direction == NORMA_FORWARD &&
           (p->op == NORMA_BATCH_NORM_APPLY || (norma_op_has_running(p->op) && !norma_running_are_given(p)));
}

// What updates_running() is about.
static bool is_running(norma_arg arg)
{
    return arg == NORMA_ARG_RUNNING_MEAN || arg == NORMA_ARG_RUNNING_VAR || arg == NORMA_ARG_NUM_BATCHES_TRACKED;
}

// Of a group; outputs of forward that backward reads.
static bool is_statistic(norma_arg arg)
{
    return arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD || arg == NORMA_ARG_R || arg == NORMA_ARG_D;
}

bool norma_arg_is_output(const norma_problem *p, norma_arg arg)
{
    if (arg == NORMA_ARG_STATS || arg == NORMA_ARG_SUMS)
        return (p->op == NORMA_BATCH_NORM_STATS || p->op == NORMA_BATCH_NORM_MERGE) &&
               p->direction == (arg == NORMA_ARG_STATS ? NORMA_FORWARD : NORMA_BACKWARD);
    if (is_running(arg))
        return updates_running(p);
    if (is_statistic(arg))
        return p->direction == NORMA_FORWARD;
    if (arg == NORMA_ARG_Y_SCALE)
        return p->dynamic_scale != 0;
    return arg == NORMA_ARG_NONFINITE || arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM || norma_arg_is_gradient(arg);
}

const void *norma_empty_value(const norma_problem *p, norma_arg arg)
{
    static const float nan32 = NAN;
    static const float one32 = 1;
    static const double nan64 = NAN, zero = 0, one64 = 1;
    const norma_tensor *t = norma_problem_tensor(p, arg);
    if (!t || !norma_arg_is_output(p, arg))
        return NULL;
    if (is_statistic(arg))
        return t->dtype == NORMA_FLOAT64 ? (const void *)&nan64 : (const void *)&nan32;
    if (arg == NORMA_ARG_Y_SCALE)
        return t->dtype == NORMA_FLOAT64 ? (const void *)&one64 : (const void *)&one32;
    return norma_arg_is_gradient(arg) || arg == NORMA_ARG_NONFINITE || arg == NORMA_ARG_STATS || arg == NORMA_ARG_SUMS
               ? &zero
               : NULL;
}

static bool has_elements(const norma_tensor *t)
{
    for (int32_t d = 0; d < t->rank; d++)
        if (t->shape[d] == 0)
            return false;
    return true;
}

uint64_t norma_tensor_span(const norma_tensor *tensor)
{
    const norma_tensor blocks = norma_tensor_blocks(tensor), *t = &blocks;
    uint64_t last = 0;
    if (!has_elements(t))
        return 0;
    for (int32_t d = 0; d < t->rank; d++)
        last += (uint64_t)(t->shape[d] - 1) * (uint64_t)t->strides[d];
    return (last + 1) * norma_dtype_size(t->dtype);
}

static norma_status check_block(const char *name, const norma_tensor *t)
{
    const int32_t block = t->channel_block;
    if (block < 0 || block > 64 || (block & (block - 1)))
        return BAD("%s: channel_block %d; 0, or a power of two up to 64, is right", name, (int)block);
    if (block <= 1)
        return NORMA_OK;
    if (t->rank < 2 || t->rank >= NORMA_MAX_RANK)
        return BAD("%s: rank %d; with channel_block 2..%d is right", name, (int)t->rank, NORMA_MAX_RANK - 1);
    if (t->block_stride < 1)
        return BAD("%s: block_stride %lld; with channel_block 1 or more is right", name, (long long)t->block_stride);
    if (t->strides[1] < 1)
        return BAD("%s: strides[1] %lld; with channel_block 1 or more is right", name, (long long)t->strides[1]);
    return NORMA_OK;
}

static norma_status check_sizes(const char *name, const norma_tensor *tensor, bool output)
{
    const norma_tensor blocks = norma_tensor_blocks(tensor), *t = &blocks;
    // 2^62 bytes keep every later sum of offsets in 64 bits.
    const uint64_t limit = (UINT64_C(1) << 62) / norma_dtype_size(t->dtype);
    uint64_t count = 1, last = 0;
    if (!has_elements(t))
        return NORMA_OK;
    for (int32_t d = 0; d < t->rank; d++) {
        uint64_t extent;
        if (__builtin_mul_overflow(count, (uint64_t)t->shape[d], &count) || count > limit)
            return BAD("%s: the shape has too many elements", name);
        if (__builtin_mul_overflow((uint64_t)(t->shape[d] - 1), (uint64_t)t->strides[d], &extent) ||
            __builtin_add_overflow(last, extent, &last) || last >= limit)
            return BAD("%s: shape and strides reach past what memory can hold", name);
    }
    if (output && norma_overlaps_itself(tensor))
        return BAD("%s: an output's elements may not share memory with one another (strides)", name);
    return NORMA_OK;
}

// Type, rank, shape and strides of one tensor on its own; sizes that could overflow later are refused here.
static norma_status check_form(const char *name, const norma_tensor *t, bool output)
{
    if (norma_dtype_size(t->dtype) == 0)
        return BAD("%s: unknown type %d; one of NORMA_FLOAT32, NORMA_FLOAT16, NORMA_BFLOAT16, NORMA_FLOAT64 is right",
                   name, (int)t->dtype);
    if (t->rank < 0 || t->rank > NORMA_MAX_RANK)
        return BAD("%s: rank %d is not in 0..%d", name, (int)t->rank, NORMA_MAX_RANK);
    for (int32_t d = 0; d < t->rank; d++) {
        if (t->shape[d] < 0)
            return BAD("%s: shape[%d] is negative (%lld)", name, (int)d, (long long)t->shape[d]);
        if (t->strides[d] < 0)
            return BAD("%s: strides[%d] is negative (%lld)", name, (int)d, (long long)t->strides[d]);
    }
    TRY(check_block(name, t));
    return check_sizes(name, t, output);
}

// Device memory is not looked at.
static norma_status check_count(const norma_problem *p, enum norma_place place)
{
    const norma_tensor *t = p->num_batches_tracked;
    int64_t count;
    if (!t || place != NORMA_PLACE_HOST || !norma_arg_is_output(p, NORMA_ARG_NUM_BATCHES_TRACKED))
        return NORMA_OK;
    memcpy(&count, t->data, sizeof(count));
    return count < 0 ? BAD("num_batches_tracked: %lld is negative", (long long)count) : NORMA_OK;
}

static norma_status check_memory(const char *name, const norma_tensor *t, enum norma_place place)
{
    const size_t size = norma_dtype_size(t->dtype);
    if (!has_elements(t) || place == NORMA_PLACE_NONE || place == NORMA_PLACE_VIEWS)
        return NORMA_OK;
    if (place == NORMA_PLACE_HOST) {
        if (t->buffer)
            return BAD("%s: lies in a device buffer; host memory (data) is expected here", name);
        if (!t->data)
            return BAD("%s: data is NULL", name);
        if ((uintptr_t)t->data % size)
            return BAD("%s: data is not a multiple of its element's size (%zu bytes)", name, size);
        if ((uintptr_t)t->data > UINTPTR_MAX - norma_tensor_span(t))
            return BAD("%s: reaches past the end of the address space", name);
        return NORMA_OK;
    }
    if (t->data)
        return BAD("%s: lies in host memory; a buffer of the plan's device is expected here", name);
    if (!t->buffer)
        return BAD("%s: buffer is NULL", name);
    if (t->offset % size)
        return BAD("%s: offset %llu is not a multiple of its element's size (%zu bytes)", name,
                   (unsigned long long)t->offset, size);
    const uint64_t span = norma_tensor_span(t);
    if (t->offset > t->buffer->size || span > t->buffer->size - t->offset)
        return BAD("%s: needs %llu bytes from offset %llu, the buffer has %llu", name, (unsigned long long)span,
                   (unsigned long long)t->offset, (unsigned long long)t->buffer->size);
    return NORMA_OK;
}

static norma_status check_normalize(const norma_problem *p)
{
    if (p->norm_order != 1 && p->norm_order != 2)
        return BAD("norm_order: %d; 1 or 2 is right", (int)p->norm_order);
    if ((unsigned)p->eps_mode >= NORMA_EPS_MODE_COUNT)
        return BAD("eps_mode: unknown mode %d", (int)p->eps_mode);
    if (p->eps_mode == NORMA_EPS_INSIDE && p->norm_order != 2)
        return BAD("eps_mode: inside a root is for norm_order 2");
    return NORMA_OK;
}

#define BIT(arg) (UINT64_C(1) << NORMA_ARG_##arg)

static norma_status check_window(const norma_problem *p)
{
    const uint64_t has = BIT(X) | BIT(Y) | BIT(Y_SCALE) | BIT(NONFINITE) | BIT(Z) | BIT(ADDEND);
    if (p->direction == NORMA_BACKWARD)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "direction: local_response_norm has no backward");
    if (p->local_size < 1)
        return BAD("local_size: %d; 1 or more is right", (int)p->local_size);
    if ((unsigned)p->window >= NORMA_WINDOW_COUNT)
        return BAD("window: unknown window %d", (int)p->window);
    if (!isfinite((float)p->alpha) || !isfinite((float)p->beta) || !isfinite((float)p->k))
        return BAD("%s: a finite float32 is right", !isfinite((float)p->alpha)  ? "alpha"
                                                    : !isfinite((float)p->beta) ? "beta"
                                                                                : "k");
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if (!(has >> a & 1) && norma_problem_tensor(p, a))
            return BAD("%s: local_response_norm has none", norma_arg_name(a));
    if (p->z && p->z_first)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "z_first: local_response_norm has z behind the norm alone");
    if (p->dynamic_scale)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "dynamic_scale: local_response_norm has no statistics groups");
    return NORMA_OK;
}

static norma_status check_numbers(const norma_problem *p)
{
    if (!(p->eps >= 0) || !isfinite((float)p->eps))
        return BAD("eps: %g; a finite float32 of 0 or more is right", p->eps);
    if (!isfinite((float)p->weight_offset))
        return BAD("weight_offset: %g; a finite float32 is right", p->weight_offset);
    if (p->weight_offset != 0 && p->op != NORMA_RMS_NORM)
        return BAD("weight_offset: %g; only rms_norm has one", p->weight_offset);
    if (!(p->momentum >= 0 && p->momentum <= 1))
        return BAD("momentum: %g is not in 0..1", p->momentum);
    if (!isfinite((float)p->activation_slope))
        return BAD("activation_slope: %g; a finite float32 is right", p->activation_slope);
    if (!norma_activation_name(p->activation))
        return BAD("activation: unknown activation %d", (int)p->activation);
    if (p->dynamic_scale != 0 && p->dynamic_scale != 1)
        return BAD("dynamic_scale: %d; 0 or 1 is right", (int)p->dynamic_scale);
    if (!norma_activation_name(p->z_activation))
        return BAD("z_activation: unknown activation %d", (int)p->z_activation);
    if (p->op == NORMA_BATCH_RENORM && (!(p->r_max >= 1) || !isfinite((float)p->r_max)))
        return BAD("r_max: %g; a finite float32 of 1 or more is right", p->r_max);
    if (p->op == NORMA_BATCH_RENORM && (!(p->d_max >= 0) || !isfinite((float)p->d_max)))
        return BAD("d_max: %g; a finite float32 of 0 or more is right", p->d_max);
    return p->op == NORMA_NORMALIZE             ? check_normalize(p)
           : p->op == NORMA_LOCAL_RESPONSE_NORM ? check_window(p)
                                                : NORMA_OK;
}

// Tensors that may not be absent.
static uint64_t required(const norma_problem *p)
{
    const bool backward = p->direction == NORMA_BACKWARD;
    switch (p->op) {
    case NORMA_BATCH_NORM_STATS:
        return BIT(X) | BIT(STATS) | (backward ? BIT(DY) | BIT(SUMS) : 0);
    case NORMA_BATCH_NORM_MERGE:
        return BIT(PARTS) | (backward ? BIT(SUMS) : BIT(STATS));
    case NORMA_BATCH_NORM_APPLY:
        return BIT(X) | BIT(STATS) | (backward ? BIT(DY) | BIT(SUMS) : BIT(Y));
    default:
        return BIT(X) | (backward ? BIT(DY) : BIT(Y));
    }
}

// Whether the operator is a step of batch norm over several devices; *has: the tensors that it may have.
static bool is_step(const norma_problem *p, uint64_t *has)
{
    const bool backward = p->direction == NORMA_BACKWARD;
    const uint64_t before = BIT(RESIDUAL) | BIT(GATE) | BIT(INPUT_BIAS) | BIT(Z);
    const uint64_t behind = before | BIT(WEIGHT) | BIT(BIAS) | BIT(ADDEND);
    *has = required(p);
    switch (p->op) {
    case NORMA_BATCH_NORM_STATS:
        *has |= backward ? behind | BIT(DWEIGHT) | BIT(DBIAS) : before | BIT(SUM);
        return true;
    case NORMA_BATCH_NORM_MERGE:
        return true;
    case NORMA_BATCH_NORM_APPLY:
        *has |= behind;
        *has |= backward ? BIT(DSUM) | BIT(DX) | BIT(DRESIDUAL) | BIT(DGATE) | BIT(DINPUT_BIAS) | BIT(DZ) | BIT(DADDEND)
                         : BIT(SUM) | BIT(MEAN) | BIT(RSTD) | BIT(RUNNING_MEAN) | BIT(RUNNING_VAR) |
                               BIT(NUM_BATCHES_TRACKED) | BIT(Y_SCALE) | BIT(NONFINITE);
        return true;
    default:
        return false;
    }
}

static norma_status check_scalars(const norma_problem *p)
{
    if (!p)
        return BAD("problem: NULL");
    if (p->size != sizeof(norma_problem))
        return BAD("size: %zu, not sizeof(norma_problem) (%zu)", p->size, sizeof(norma_problem));
    if (!norma_op_name(p->op))
        return BAD("op: unknown operator %d", (int)p->op);
    if (p->direction != NORMA_FORWARD && p->direction != NORMA_BACKWARD)
        return BAD("direction: %d; NORMA_FORWARD or NORMA_BACKWARD is right", (int)p->direction);
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if (required(p) >> a & 1 && !norma_problem_tensor(p, a))
            return BAD("%s: NULL", norma_arg_name(a));
    return check_numbers(p);
}

static bool is_adaptive(norma_op op)
{
    return op >= NORMA_ADA_LAYER_NORM && op <= NORMA_ADA_INSTANCE_NORM;
}

norma_arg norma_forward_of(norma_arg gradient)
{
    static const norma_arg forward[NORMA_ARG_COUNT] = {[NORMA_ARG_DWEIGHT] = NORMA_ARG_WEIGHT,
                                                       [NORMA_ARG_DBIAS] = NORMA_ARG_BIAS,
                                                       [NORMA_ARG_DRESIDUAL] = NORMA_ARG_RESIDUAL,
                                                       [NORMA_ARG_DGATE] = NORMA_ARG_GATE,
                                                       [NORMA_ARG_DINPUT_BIAS] = NORMA_ARG_INPUT_BIAS,
                                                       [NORMA_ARG_DZ] = NORMA_ARG_Z,
                                                       [NORMA_ARG_DADDEND] = NORMA_ARG_ADDEND,
                                                       [NORMA_ARG_DSCALE] = NORMA_ARG_SCALE,
                                                       [NORMA_ARG_DSHIFT] = NORMA_ARG_SHIFT,
                                                       [NORMA_ARG_DMEAN_WEIGHTS] = NORMA_ARG_MEAN_WEIGHTS,
                                                       [NORMA_ARG_DVAR_WEIGHTS] = NORMA_ARG_VAR_WEIGHTS};
    return forward[gradient];
}

// A gradient has its tensor. A bias adds nothing to what its gradient needs.
static norma_status check_gradient(const norma_problem *p, norma_arg arg)
{
    if (!norma_problem_tensor(p, norma_forward_of(arg)) && arg != NORMA_ARG_DBIAS && arg != NORMA_ARG_DSHIFT)
        return BAD("%s: there is no %s", norma_arg_name(arg), norma_arg_name(norma_forward_of(arg)));
    return NORMA_OK;
}

// Tensors that an operator or a direction does not have.
static norma_status check_presence(const norma_problem *p, norma_arg arg)
{
    const char *name = norma_arg_name(arg), *op = norma_op_name(p->op);
    uint64_t has;
    if (is_step(p, &has)) {
        if (p->op == NORMA_BATCH_NORM_STATS && p->direction == NORMA_FORWARD && arg == NORMA_ARG_Z && !p->z_first)
            return BAD("z: without z_first it has no part in the statistics");
        return has >> arg & 1
                   ? NORMA_OK
                   : BAD("%s: %s has none in %s", name, op, p->direction == NORMA_BACKWARD ? "backward" : "forward");
    }
    if (arg == NORMA_ARG_STATS || arg == NORMA_ARG_PARTS || arg == NORMA_ARG_SUMS)
        return BAD("%s: %s has none", name, op);
    const bool backward = arg == NORMA_ARG_DY || arg == NORMA_ARG_DSUM || norma_arg_is_gradient(arg);
    const bool forward =
        arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM || arg == NORMA_ARG_Y_SCALE || arg == NORMA_ARG_NONFINITE;
    if (backward != (p->direction == NORMA_BACKWARD) && (backward || forward))
        return BAD("%s: not in %s", name, backward ? "forward" : "backward");
    const bool scales =
        arg == NORMA_ARG_SCALE || arg == NORMA_ARG_SHIFT || arg == NORMA_ARG_DSCALE || arg == NORMA_ARG_DSHIFT;
    const bool weights =
        arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_DWEIGHT || arg == NORMA_ARG_DBIAS;
    if ((scales && !is_adaptive(p->op)) || (weights && (is_adaptive(p->op) || p->op == NORMA_NORMALIZE)))
        return BAD("%s: %s has none", name, op);
    const bool renorm = arg == NORMA_ARG_R || arg == NORMA_ARG_D;
    if (renorm && p->op == NORMA_BATCH_RENORM && !p->training)
        return BAD("%s: in training alone", name);
    if ((is_running(arg) && !norma_op_has_running(p->op)) || (renorm && p->op != NORMA_BATCH_RENORM))
        return BAD("%s: %s has none", name, op);
    const bool mixes = arg == NORMA_ARG_MEAN_WEIGHTS || arg == NORMA_ARG_VAR_WEIGHTS ||
                       arg == NORMA_ARG_DMEAN_WEIGHTS || arg == NORMA_ARG_DVAR_WEIGHTS;
    return mixes && p->op != NORMA_SWITCHABLE_NORM ? BAD("%s: %s has none", name, op) : NORMA_OK;
}

static bool is_quantised(norma_dtype dtype)
{
    return dtype == NORMA_INT8 || dtype == NORMA_FLOAT8_E4M3FN;
}

// Integers and 8-bit numbers are the types of one tensor each.
static norma_status check_type(const norma_problem *p, norma_arg arg)
{
    const norma_dtype dtype = norma_problem_tensor(p, arg)->dtype;
    const char *name = norma_arg_name(arg);
    if (arg == NORMA_ARG_NONFINITE)
        return dtype == NORMA_INT32 ? NORMA_OK : BAD("%s: the type must be int32", name);
    if (arg == NORMA_ARG_NUM_BATCHES_TRACKED)
        return dtype == NORMA_INT64 ? NORMA_OK : BAD("%s: the type must be int64", name);
    if (dtype == NORMA_INT32 || dtype == NORMA_INT64)
        return BAD("%s: %s alone", name,
                   dtype == NORMA_INT32 ? "int32 is the type of nonfinite"
                                        : "int64 is the type of num_batches_tracked");
    if (!is_quantised(dtype) || arg == NORMA_ARG_Y)
        return NORMA_OK;
    return BAD("%s: %s is the type of y alone%s", name, dtype == NORMA_INT8 ? "int8" : "float8_e4m3fn",
               p->direction == NORMA_BACKWARD ? "; a quantised y has no gradient" : "");
}

// A quantised y and its scale go together.
static norma_status check_scale(const norma_problem *p)
{
    if (p->y && is_quantised(p->y->dtype))
        return p->y_scale ? NORMA_OK : BAD("y_scale: NULL; a quantised y has one");
    if (p->y_scale)
        return BAD("y_scale: y is not quantised (int8 or float8_e4m3fn)");
    return p->dynamic_scale ? BAD("dynamic_scale: there is no quantised y (int8 or float8_e4m3fn)") : NORMA_OK;
}

// Outputs with an element for each of x, which is written once all else that needs its place has been read.
static bool may_lie_in_place(const norma_problem *p, norma_arg arg, norma_arg input)
{
    if (p->op == NORMA_LOCAL_RESPONSE_NORM && input == NORMA_ARG_X) // an element reads its neighbours
        return false;
    return arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM || arg == NORMA_ARG_DX || arg == NORMA_ARG_DRESIDUAL ||
           arg == NORMA_ARG_DZ || arg == NORMA_ARG_DADDEND;
}

// *in_place: the gradient that lies in the place of an input.
static norma_status check_overlaps(const norma_problem *p, norma_arg *in_place)
{
    for (int out = 0; out < NORMA_ARG_COUNT; out++) {
        const norma_tensor *t = norma_problem_tensor(p, out);
        if (!t || !norma_arg_is_output(p, out))
            continue;
        for (int other = 0; other < NORMA_ARG_COUNT; other++) {
            const norma_tensor *o = norma_problem_tensor(p, other);
            const bool input = o && !norma_arg_is_output(p, other);
            if (!o || other == out || (!input && other > out))
                continue; // two outputs are compared once
            if (!norma_shares_elements(t, o))
                continue;
            const bool same = input && norma_same_view(t, o);
            if (same && !may_lie_in_place(p, out, other))
                return BAD("%s: lies in the place of %s%s", norma_arg_name(out), norma_arg_name(other),
                           p->op == NORMA_LOCAL_RESPONSE_NORM ? ", of which whole windows are read"
                                                              : "; only outputs of x's shape may do so");
            if (!same)
                return BAD("%s: shares elements with %s; an output may do so only with an input that is the same view",
                           norma_arg_name(out), norma_arg_name(other));
            if (p->direction == NORMA_BACKWARD && *in_place != NORMA_ARG_COUNT && *in_place != (norma_arg)out)
                return BAD("%s: lies in the place of %s, %s in that of another input; one gradient at most may",
                           norma_arg_name(out), norma_arg_name(other), norma_arg_name(*in_place));
            if (p->direction == NORMA_BACKWARD)
                *in_place = out;
        }
    }
    return NORMA_OK;
}

// The tensors one by one, but for their shapes beside x.
static norma_status check_tensors(const norma_problem *problem)
{
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        if (!t)
            continue;
        TRY(check_presence(problem, a));
        TRY(check_form(norma_arg_name(a), t, norma_arg_is_output(problem, a)));
        TRY(check_type(problem, a));
    }
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if (norma_arg_is_gradient(a) && norma_problem_tensor(problem, a))
            TRY(check_gradient(problem, a));
    return check_scale(problem);
}

norma_status norma_work_from_problem(const norma_problem *problem, enum norma_place place, struct norma_work *work)
{
    TRY(check_scalars(problem));
    TRY(check_tensors(problem));
    TRY(norma_form_fill(problem, &work->form));
    TRY(norma_check_built(problem));
    work->groups = work->form.groups;
    work->n = work->form.n;
    work->strided = !norma_rows_suit(problem);
    if (!work->strided)
        norma_rows_fill(problem, &work->rows);
    if (work->n > INT32_MAX)
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "x: groups of %lld elements; at most %d are supported",
                          (long long)work->n, INT32_MAX);
    work->outputs = 0;
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        if (!t)
            continue;
        TRY(check_memory(norma_arg_name(a), t, place));
        work->outputs |= (uint64_t)norma_arg_is_output(problem, a) << a;
    }
    TRY(check_count(problem, place));
    return place == NORMA_PLACE_NONE ? NORMA_OK : check_overlaps(problem, &work->form.in_place);
}
