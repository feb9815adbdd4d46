// The shapes, strides and places of a strided case's tensors, and the views that the library gets of them.
#include "numbers.h"
#include "strided_walk.h"
#include "subject.h"
#include <string.h>

enum role { ROLE_WHOLE, ROLE_PARAMETER, ROLE_STATISTIC, ROLE_CHANNEL, ROLE_COUNT, ROLE_KINDS, ROLE_CELLS };

static bool chance(uint64_t *s, double p)
{
    return check_uniform(s) < p;
}

static enum role role_of(norma_arg arg)
{
    switch (arg) {
    case NORMA_ARG_MEAN:
    case NORMA_ARG_RSTD:
    case NORMA_ARG_R:
    case NORMA_ARG_D:
    case NORMA_ARG_Y_SCALE: // or, where it is given, another: set_scale
    case NORMA_ARG_NONFINITE:
        return ROLE_STATISTIC;
    case NORMA_ARG_RUNNING_MEAN:
    case NORMA_ARG_RUNNING_VAR:
        return ROLE_CHANNEL;
    case NORMA_ARG_NUM_BATCHES_TRACKED:
        return ROLE_COUNT;
    case NORMA_ARG_MEAN_WEIGHTS:
    case NORMA_ARG_VAR_WEIGHTS:
    case NORMA_ARG_DMEAN_WEIGHTS:
    case NORMA_ARG_DVAR_WEIGHTS:
        return ROLE_KINDS;
    case NORMA_ARG_STATS:
    case NORMA_ARG_PARTS:
    case NORMA_ARG_SUMS:
        return ROLE_CELLS;
    case NORMA_ARG_X:
    case NORMA_ARG_Y:
    case NORMA_ARG_RESIDUAL:
    case NORMA_ARG_SUM:
    case NORMA_ARG_Z:
    case NORMA_ARG_ADDEND:
    case NORMA_ARG_DY:
    case NORMA_ARG_DSUM:
    case NORMA_ARG_DX:
    case NORMA_ARG_DRESIDUAL:
    case NORMA_ARG_DZ:
    case NORMA_ARG_DADDEND:
        return ROLE_WHOLE;
    default:
        return ROLE_PARAMETER;
    }
}

// The parameter that this one is the gradient of; itself where it is none.
static norma_arg parameter_of(norma_arg arg)
{
    switch (arg) {
    case NORMA_ARG_DWEIGHT:
        return NORMA_ARG_WEIGHT;
    case NORMA_ARG_DBIAS:
        return NORMA_ARG_BIAS;
    case NORMA_ARG_DGATE:
        return NORMA_ARG_GATE;
    case NORMA_ARG_DINPUT_BIAS:
        return NORMA_ARG_INPUT_BIAS;
    case NORMA_ARG_DSCALE:
        return NORMA_ARG_SCALE;
    case NORMA_ARG_DSHIFT:
        return NORMA_ARG_SHIFT;
    default:
        return arg;
    }
}

// The dimensions of x that make up a parameter's own shape.
static int32_t natural_axes(const struct strided_case *c, int32_t axes[NORMA_MAX_RANK])
{
    int32_t count = 0;
    switch (c->problem.op) {
    case NORMA_BATCH_NORM:
    case NORMA_BATCH_RENORM:
    case NORMA_GHOST_BATCH_NORM:
    case NORMA_BATCH_NORM_STATS:
    case NORMA_BATCH_NORM_APPLY:
    case NORMA_GROUP_NORM:
    case NORMA_INSTANCE_NORM:
    case NORMA_SWITCHABLE_NORM:
        axes[count++] = 1;
        break;
    case NORMA_WEIGHT_STANDARDIZATION:
        for (int32_t d = 0; d < c->rank; d++)
            if (!c->element[d])
                axes[count++] = d;
        break;
    case NORMA_ADA_LAYER_NORM:
    case NORMA_ADA_RMS_NORM:
        axes[count++] = 0;
        axes[count++] = c->rank - 1;
        while (!c->element[axes[1]])
            axes[1]--;
        break;
    case NORMA_ADA_GROUP_NORM:
    case NORMA_ADA_INSTANCE_NORM:
        axes[count++] = 0;
        axes[count++] = 1;
        break;
    default:
        for (int32_t d = 0; d < c->rank; d++)
            if (c->element[d])
                axes[count++] = d;
    }
    return count;
}

static void add_dimension(struct strided_tensor *t, int32_t axis, int64_t extent)
{
    t->axis[t->rank] = axis;
    t->shape[t->rank++] = extent;
}

// x's dimensions, with ones for those that are not in `along`.
static void add_some_dimensions(const struct strided_case *c, struct strided_tensor *t, uint32_t along)
{
    for (int32_t d = 0; d < c->rank; d++) {
        const bool runs = along >> d & 1;
        add_dimension(t, runs ? d : -1, runs ? c->shape[d] : 1);
    }
}

static void set_parameter(struct strided_case *c, norma_arg arg, uint64_t *s)
{
    struct strided_tensor *t = &c->tensor[arg];
    int32_t axes[NORMA_MAX_RANK];
    const int32_t count = natural_axes(c, axes);
    uint32_t natural = 0;
    for (int32_t i = 0; i < count; i++)
        natural |= 1u << axes[i];
    const norma_arg base = parameter_of(arg);
    const uint32_t other = chance(s, 0.3) ? (uint32_t)check_pick(s, INT64_C(1) << c->rank) : natural;
    t->along = base == arg || !c->tensor[base].present ? other : c->tensor[base].along;
    if (t->along == natural && chance(s, 0.6)) {
        for (int32_t i = 0; i < count; i++)
            add_dimension(t, axes[i], c->shape[axes[i]]);
        return;
    }
    add_some_dimensions(c, t, t->along);
}

static void set_statistic(struct strided_case *c, norma_arg arg, uint64_t *s)
{
    struct strided_tensor *t = &c->tensor[arg];
    const bool ones = chance(s, 0.5);
    for (int32_t d = 0; d < c->rank; d++) {
        if (!c->element[d])
            add_dimension(t, d, d == strided_cut_axis(c) ? strided_cut_parts(c) : c->shape[d]);
        else if (ones)
            add_dimension(t, -1, 1);
    }
}

// A scale that is given: one element, the shape of mean, or any dimensions of x with ones.
static void set_scale(struct strided_case *c, uint64_t *s)
{
    struct strided_tensor *t = &c->tensor[NORMA_ARG_Y_SCALE];
    const int64_t kind = check_pick(s, 4);
    if (kind == 0)
        return;
    if (kind == 1)
        add_dimension(t, -1, 1);
    else if (kind == 2)
        set_statistic(c, NORMA_ARG_Y_SCALE, s);
    else
        add_some_dimensions(c, t, (uint32_t)check_pick(s, INT64_C(1) << c->rank));
}

// Parts, rows, channels.
static void set_cells(struct strided_case *c, norma_arg arg)
{
    struct strided_tensor *t = &c->tensor[arg];
    const bool sums = arg == NORMA_ARG_SUMS || (arg == NORMA_ARG_PARTS && c->problem.direction == NORMA_BACKWARD);
    if (arg == NORMA_ARG_PARTS)
        add_dimension(t, 0, c->shape[0]);
    add_dimension(t, -1, sums ? FORM_SUMS_ROWS : FORM_STATS_ROWS);
    add_dimension(t, 1, c->shape[1]);
}

static void set_shape(struct strided_case *c, norma_arg arg, uint64_t *s)
{
    struct strided_tensor *t = &c->tensor[arg];
    if (arg == NORMA_ARG_Y_SCALE && !c->problem.dynamic_scale) {
        set_scale(c, s);
        return;
    }
    switch (role_of(arg)) {
    case ROLE_WHOLE:
        for (int32_t d = 0; d < c->rank; d++)
            add_dimension(t, d, c->shape[d]);
        break;
    case ROLE_PARAMETER:
        set_parameter(c, arg, s);
        break;
    case ROLE_STATISTIC:
        set_statistic(c, arg, s);
        break;
    case ROLE_COUNT:
        if (chance(s, 0.5))
            add_dimension(&c->tensor[arg], -1, 1);
        break;
    case ROLE_KINDS:
        add_dimension(t, -1, 3);
        break;
    case ROLE_CELLS:
        set_cells(c, arg);
        break;
    default:
        add_dimension(t, 1, c->shape[1]);
    }
}

// Dimensions from the slowest to the fastest.
static void set_order(const struct strided_tensor *t, int32_t order[NORMA_MAX_RANK], uint64_t *s)
{
    for (int32_t i = 0; i < t->rank; i++)
        order[i] = i;
    const bool permuted = t->layout == STRIDED_PERMUTED || t->layout == STRIDED_PADDED;
    for (int32_t i = t->rank - 1; i > 0 && permuted; i--) {
        const int32_t k = (int32_t)check_pick(s, i + 1), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    if (t->layout != STRIDED_CHANNELS_LAST)
        return;
    int32_t count = 0, channels = -1;
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->axis[i] == 1)
            channels = i;
        else
            order[count++] = i;
    }
    if (channels >= 0)
        order[count] = channels;
}

// [N, blocks, ..., block] in memory, now and then with gaps. Blocks as those of x, or of any size.
static void pack(struct strided_case *c, norma_arg arg, uint64_t *s)
{
    static const int64_t blocks[] = {4, 4, 8, 16, 2};
    struct strided_tensor *t = &c->tensor[arg];
    const int64_t alike = c->tensor[NORMA_ARG_X].block, own = blocks[check_pick(s, 5)];
    const bool gaps = chance(s, 0.2);
    t->block = alike && arg != NORMA_ARG_X && (chance(s, 0.7) || c->rank > STRIDED_FEW) ? alike : own;
    t->strides[1] = gaps ? 1 + check_pick(s, 2) : 1;
    int64_t step = t->block * t->strides[1];
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        const int64_t extent = d == 1 ? (t->shape[1] + t->block - 1) / t->block : t->shape[d];
        *(d == 1 ? &t->block_stride : &t->strides[d]) = step;
        step = step * (extent > 0 ? extent : 1) + (gaps ? check_pick(s, 5) : 0);
    }
}

static void set_strides(struct strided_case *c, norma_arg arg, bool repeats, uint64_t *s)
{
    struct strided_tensor *t = &c->tensor[arg];
    int32_t order[NORMA_MAX_RANK];
    if (t->layout == STRIDED_PACKED && role_of(arg) == ROLE_WHOLE && t->rank >= 2) {
        pack(c, arg, s);
        return;
    }
    const bool padded = t->layout == STRIDED_PADDED;
    int64_t step = padded && chance(s, 0.4) ? 2 + check_pick(s, 2) : 1;
    set_order(t, order, s);
    for (int32_t i = t->rank - 1; i >= 0; i--) {
        const int64_t extent = t->shape[order[i]];
        t->strides[order[i]] = extent == 1 && chance(s, 0.2) ? check_pick(s, 100) : step;
        step = step * (extent > 0 ? extent : 1) + (padded ? check_pick(s, 5) : 0);
    }
    if (repeats && t->rank > 0 && !strided_is_output(c, arg) && chance(s, 0.08))
        t->strides[check_pick(s, t->rank)] = 0;
}

static enum strided_layout pick_layout(uint64_t *s)
{
    static const enum strided_layout layouts[] = {STRIDED_CONTIGUOUS, STRIDED_CONTIGUOUS, STRIDED_CHANNELS_LAST,
                                                  STRIDED_PERMUTED,   STRIDED_PADDED,     STRIDED_PADDED,
                                                  STRIDED_PACKED,     STRIDED_PACKED};
    return layouts[check_pick(s, 8)];
}

static void write_in_place(struct strided_case *c, norma_arg output, norma_arg input)
{
    c->tensor[output] = c->tensor[input];
    c->tensor[output].view = input;
}

static norma_arg pick_present(const struct strided_case *c, const norma_arg *among, int count, uint64_t *s)
{
    norma_arg found[8];
    int present = 0;
    for (int i = 0; i < count; i++)
        if (c->tensor[among[i]].present)
            found[present++] = among[i];
    return present ? found[check_pick(s, present)] : NORMA_ARG_COUNT;
}

static void put_in_place(struct strided_case *c, uint64_t *s)
{
    static const norma_arg inputs[] = {NORMA_ARG_X, NORMA_ARG_X, NORMA_ARG_RESIDUAL, NORMA_ARG_Z, NORMA_ARG_ADDEND};
    static const norma_arg summands[] = {NORMA_ARG_RESIDUAL, NORMA_ARG_RESIDUAL, NORMA_ARG_X};
    static const norma_arg gradients[] = {NORMA_ARG_DX, NORMA_ARG_DX, NORMA_ARG_DRESIDUAL, NORMA_ARG_DZ,
                                          NORMA_ARG_DADDEND};
    static const norma_arg places[] = {NORMA_ARG_DY, NORMA_ARG_DY, NORMA_ARG_X, NORMA_ARG_DSUM};
    if (c->problem.direction == NORMA_BACKWARD) {
        const norma_arg gradient = pick_present(c, gradients, 5, s), place = pick_present(c, places, 4, s);
        if (gradient != NORMA_ARG_COUNT)
            write_in_place(c, gradient, place);
        return;
    }
    const bool window = c->problem.op == NORMA_LOCAL_RESPONSE_NORM; // an element reads its neighbours
    const norma_arg input = window ? pick_present(c, inputs + 3, 2, s) : pick_present(c, inputs, 5, s),
                    summand = pick_present(c, summands, 3, s);
    // 8 bits are the size of no input.
    const bool quantised = c->tensor[NORMA_ARG_Y_SCALE].present;
    const bool both = c->tensor[NORMA_ARG_SUM].present && summand != input;
    if (c->tensor[NORMA_ARG_Y].present && input != NORMA_ARG_COUNT && (!both || chance(s, 0.8)) && !quantised)
        write_in_place(c, NORMA_ARG_Y, input);
    if (both)
        write_in_place(c, NORMA_ARG_SUM, summand);
}

static uint64_t span_of(const struct strided_tensor *t)
{
    uint64_t last = 0;
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->shape[i] == 0)
            return 0;
        // The last block is all there.
        const int64_t extent = i == 1 && t->block ? (t->shape[1] + t->block - 1) / t->block * t->block : t->shape[i];
        last += (uint64_t)strided_place(t, i, extent - 1);
    }
    return (last + 1) * norma_dtype_size(t->dtype);
}

static void place(struct strided_case *c, uint64_t *s)
{
    uint64_t at = STRIDED_CANARY;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        struct strided_tensor *t = &c->tensor[arg];
        if (!t->present || (int)t->view != arg)
            continue;
        const uint64_t shift = chance(s, 0.6) ? (uint64_t)check_pick(s, 8) : 0;
        t->span = span_of(t);
        t->begin = at + shift * norma_dtype_size(t->dtype);
        at = (t->begin + t->span + STRIDED_CANARY + 63) / 64 * 64;
    }
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        struct strided_tensor *t = &c->tensor[arg];
        t->begin = c->tensor[t->view].begin;
        t->span = c->tensor[t->view].span;
    }
    c->arena_size = at;
}

void strided_lay_out(struct strided_case *c, uint64_t *s)
{
    const bool merges = c->problem.op == NORMA_BATCH_NORM_MERGE;
    const bool alike = chance(s, 0.4), in_place = chance(s, 0.25) && !merges;
    const enum strided_layout all = c->x_layout;
    // A spoilt element that repeats would spoil more than one group, and an output may not repeat.
    const bool repeats = !in_place && c->values != STRIDED_NONFINITE;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const enum strided_layout drawn = pick_layout(s);
        const bool may_pack = c->rank <= STRIDED_FEW || all == STRIDED_PACKED;
        const enum strided_layout own = drawn == STRIDED_PACKED && !may_pack ? STRIDED_CONTIGUOUS : drawn;
        c->tensor[arg].layout = alike || arg == (merges ? NORMA_ARG_PARTS : NORMA_ARG_X) ? all : own;
        set_shape(c, (norma_arg)arg, s);
        // Groups that differ cannot have one saved mean.
        const enum role role = role_of((norma_arg)arg);
        set_strides(c, (norma_arg)arg, repeats && role != ROLE_STATISTIC && role != ROLE_CELLS, s);
    }
    if (in_place)
        put_in_place(c, s);
    place(c, s);
}

int32_t strided_slice_axis(const struct strided_case *c)
{
    if (c->problem.op == NORMA_SWITCHABLE_NORM) // samples share the channels' statistics, channels the sample's
        return !c->problem.training && c->shape[0] > 1 ? 0 : -1;
    for (int32_t d = 0; d < c->rank; d++)
        if (!c->element[d] && c->shape[d] > 1 && d != strided_cut_axis(c))
            return d;
    return -1;
}

struct strided_case strided_slice(const struct strided_case *c, int32_t axis, int64_t at)
{
    struct strided_case one = *c;
    one.sliced = axis;
    one.total /= c->shape[axis];
    one.shape[axis] = 1;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        struct strided_tensor *t = &one.tensor[arg];
        for (int32_t i = 0; i < t->rank; i++) {
            if (t->axis[i] != axis)
                continue;
            t->begin += (uint64_t)strided_place(t, i, at) * norma_dtype_size(t->dtype);
            t->shape[i] = 1;
            t->block = i == 1 ? 0 : t->block; // one channel lies in no block
        }
        t->span = span_of(t);
    }
    return one;
}

norma_tensor strided_view(const struct strided_case *c, norma_arg arg, unsigned char *arena, norma_buffer *buffer)
{
    const struct strided_tensor *t = &c->tensor[arg];
    norma_tensor v = {.dtype = t->dtype, .rank = t->rank, .buffer = buffer};
    memcpy(v.shape, t->shape, sizeof v.shape);
    memcpy(v.strides, t->strides, sizeof v.strides);
    v.data = arena ? arena + t->begin : NULL;
    v.offset = buffer ? t->begin : 0;
    v.channel_block = (int32_t)t->block;
    v.block_stride = t->block_stride;
    return v;
}

norma_problem strided_problem(const struct strided_case *c, const norma_tensor views[NORMA_ARG_COUNT])
{
    norma_problem p = c->problem;
    const norma_tensor **const members[NORMA_ARG_COUNT] = {
        [NORMA_ARG_X] = &p.x,
        [NORMA_ARG_Y] = &p.y,
        [NORMA_ARG_WEIGHT] = &p.weight,
        [NORMA_ARG_BIAS] = &p.bias,
        [NORMA_ARG_RESIDUAL] = &p.residual,
        [NORMA_ARG_GATE] = &p.gate,
        [NORMA_ARG_INPUT_BIAS] = &p.input_bias,
        [NORMA_ARG_SUM] = &p.sum,
        [NORMA_ARG_MEAN] = &p.mean,
        [NORMA_ARG_RSTD] = &p.rstd,
        [NORMA_ARG_Z] = &p.z,
        [NORMA_ARG_ADDEND] = &p.addend,
        [NORMA_ARG_SCALE] = &p.scale,
        [NORMA_ARG_SHIFT] = &p.shift,
        [NORMA_ARG_RUNNING_MEAN] = &p.running_mean,
        [NORMA_ARG_RUNNING_VAR] = &p.running_var,
        [NORMA_ARG_NUM_BATCHES_TRACKED] = &p.num_batches_tracked,
        [NORMA_ARG_R] = &p.r,
        [NORMA_ARG_D] = &p.d,
        [NORMA_ARG_Y_SCALE] = &p.y_scale,
        [NORMA_ARG_NONFINITE] = &p.nonfinite,
        [NORMA_ARG_MEAN_WEIGHTS] = &p.mean_weights,
        [NORMA_ARG_VAR_WEIGHTS] = &p.var_weights,
        [NORMA_ARG_STATS] = &p.stats,
        [NORMA_ARG_PARTS] = &p.parts,
        [NORMA_ARG_SUMS] = &p.sums,
        [NORMA_ARG_DY] = &p.dy,
        [NORMA_ARG_DSUM] = &p.dsum,
        [NORMA_ARG_DX] = &p.dx,
        [NORMA_ARG_DWEIGHT] = &p.dweight,
        [NORMA_ARG_DBIAS] = &p.dbias,
        [NORMA_ARG_DRESIDUAL] = &p.dresidual,
        [NORMA_ARG_DGATE] = &p.dgate,
        [NORMA_ARG_DINPUT_BIAS] = &p.dinput_bias,
        [NORMA_ARG_DZ] = &p.dz,
        [NORMA_ARG_DADDEND] = &p.daddend,
        [NORMA_ARG_DSCALE] = &p.dscale,
        [NORMA_ARG_DSHIFT] = &p.dshift,
        [NORMA_ARG_DMEAN_WEIGHTS] = &p.dmean_weights,
        [NORMA_ARG_DVAR_WEIGHTS] = &p.dvar_weights,
    };
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        *members[arg] = c->tensor[arg].present ? &views[arg] : NULL;
    return p;
}

norma_status strided_form(const struct strided_case *c, struct norma_form *form)
{
    norma_tensor views[NORMA_ARG_COUNT];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(c, (norma_arg)arg, c->arena, NULL);
    const norma_problem problem = strided_problem(c, views);
    struct norma_work work;
    const norma_status status = norma_work_from_problem(&problem, NORMA_PLACE_HOST, &work);
    if (status == NORMA_OK)
        *form = work.form;
    return status;
}

static size_t append_tensor(const struct strided_case *c, norma_arg arg, char *text, size_t size, size_t used)
{
    static const char *const types[] = {"?", "f32", "f16", "bf16", "f64", "i8", "f8", "i32", "i64"};
    const struct strided_tensor *t = &c->tensor[arg];
    used = check_append(text, size, used, " %s:%s[", norma_arg_name(arg), types[t->dtype]);
    for (int32_t i = 0; i < t->rank; i++)
        used = check_append(text, size, used, "%s%lld/%lld", i ? " " : "", (long long)t->shape[i],
                            (long long)t->strides[i]);
    used = check_append(text, size, used, "]");
    if (t->block)
        used = check_append(text, size, used, "p%lld/%lld", (long long)t->block, (long long)t->block_stride);
    return t->view == arg ? used : check_append(text, size, used, "=%s", norma_arg_name(t->view));
}

// The numbers that matter to the operator.
static size_t append_numbers(const struct strided_case *c, char *text, size_t size, size_t used)
{
    static const char *const modes[] = {"max", "add", "inside"};
    const norma_problem *p = &c->problem;
    if (strided_cut_axis(c) >= 0)
        used = check_append(text, size, used, " %lld parts", (long long)strided_cut_parts(c));
    if (p->dynamic_scale)
        used = check_append(text, size, used, " dynamic");
    if (p->op == NORMA_LOCAL_RESPONSE_NORM)
        return check_append(text, size, used, " %d channels %s alpha %g beta %g k %g", (int)p->local_size,
                            p->window == NORMA_WINDOW_BEFORE ? "before" : "after", p->alpha, p->beta, p->k);
    if (p->op == NORMA_NORMALIZE)
        used = check_append(text, size, used, " order %d eps %s", (int)p->norm_order, modes[p->eps_mode]);
    if (strided_is_given(c))
        used = check_append(text, size, used, " given");
    if (c->tensor[NORMA_ARG_RUNNING_MEAN].present)
        used = check_append(text, size, used, " momentum %g%s%s", p->momentum, p->cumulative ? " cumulative" : "",
                            p->running_var_biased ? " biased" : "");
    if (p->op == NORMA_BATCH_RENORM)
        used = check_append(text, size, used, " r_max %g d_max %g", p->r_max, p->d_max);
    if (p->activation != NORMA_ACTIVATION_NONE)
        used = check_append(text, size, used, " %s", norma_activation_name(p->activation));
    if (c->tensor[NORMA_ARG_Z].present)
        used = check_append(text, size, used, " z %s %s", norma_activation_name(p->z_activation),
                            p->z_first ? "before" : "after");
    if (p->activation == NORMA_LEAKY_RELU || p->z_activation == NORMA_LEAKY_RELU)
        used = check_append(text, size, used, " slope %g", p->activation_slope);
    return check_append(text, size, used, " eps %g%s", p->eps, p->weight_offset != 0 ? " weight_offset 1" : "");
}

void strided_describe(const struct strided_case *c, char *text, size_t size)
{
    size_t used = check_append(text, size, 0, "%s %s ", norma_op_name(c->problem.op),
                               c->problem.direction == NORMA_BACKWARD ? "backward" : "forward");
    for (int32_t d = 0; d < c->rank; d++)
        used =
            check_append(text, size, used, "%s%lld%s", d ? "x" : "", (long long)c->shape[d], c->element[d] ? "*" : "");
    used = check_append(text, size, used, " %s%s", strided_values_name(c->values), c->apart ? " apart" : "");
    used = append_numbers(c, text, size, used);
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        if (c->tensor[arg].present)
            used = append_tensor(c, (norma_arg)arg, text, size, used);
}
