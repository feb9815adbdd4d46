#include "strided_case.h"
#include "numbers.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_ELEMENTS = 30000, MANY = 9000 };

static bool chance(uint64_t *s, double p)
{
    return check_uniform(s) < p;
}

static bool is_row_op(norma_op op)
{
    return op == NORMA_LAYER_NORM || op == NORMA_RMS_NORM || op == NORMA_ADA_LAYER_NORM || op == NORMA_ADA_RMS_NORM;
}

static bool is_adaptive(norma_op op)
{
    return op >= NORMA_ADA_LAYER_NORM && op <= NORMA_ADA_INSTANCE_NORM;
}

static bool is_group_op(norma_op op)
{
    return op == NORMA_GROUP_NORM || op == NORMA_ADA_GROUP_NORM;
}

bool strided_is_batch_op(norma_op op)
{
    return op == NORMA_BATCH_NORM || op == NORMA_BATCH_RENORM || op == NORMA_GHOST_BATCH_NORM;
}

static bool has_running(norma_op op)
{
    return strided_is_batch_op(op) || op == NORMA_INSTANCE_NORM || op == NORMA_SWITCHABLE_NORM;
}

bool strided_is_given(const struct strided_case *c)
{
    const norma_problem *p = &c->problem;
    return has_running(p->op) && !(p->op == NORMA_INSTANCE_NORM ? p->use_input_stats : p->training);
}

int32_t strided_cut_axis(const struct strided_case *c)
{
    const norma_problem *p = &c->problem;
    return is_group_op(p->op) ? 1 : p->op == NORMA_GHOST_BATCH_NORM && p->training ? 0 : -1;
}

int64_t strided_cut_parts(const struct strided_case *c)
{
    const norma_problem *p = &c->problem;
    return is_group_op(p->op) ? p->num_groups : c->shape[0] / p->virtual_batch;
}

static bool is_by_axes(norma_op op)
{
    return op == NORMA_NORMALIZE || op == NORMA_MEAN_VARIANCE_NORMALIZATION;
}

static bool may_have_axes(norma_op op)
{
    return is_by_axes(op) || is_row_op(op) || op == NORMA_WEIGHT_STANDARDIZATION;
}

// batch_norm_stats and batch_norm_merge have no y.
static bool has_y(norma_op op)
{
    return op != NORMA_BATCH_NORM_STATS && op != NORMA_BATCH_NORM_MERGE;
}

static bool is_step(norma_op op)
{
    return !has_y(op) || op == NORMA_BATCH_NORM_APPLY;
}

bool strided_is_output(const struct strided_case *c, norma_arg arg)
{
    const norma_problem *p = &c->problem;
    switch (arg) {
    case NORMA_ARG_STATS:
        return p->direction == NORMA_FORWARD && !has_y(p->op);
    case NORMA_ARG_SUMS:
        return p->direction == NORMA_BACKWARD && !has_y(p->op);
    case NORMA_ARG_Y:
    case NORMA_ARG_SUM:
        return true;
    case NORMA_ARG_MEAN:
    case NORMA_ARG_RSTD:
    case NORMA_ARG_R:
    case NORMA_ARG_D:
        return p->direction == NORMA_FORWARD;
    case NORMA_ARG_NONFINITE:
        return true;
    case NORMA_ARG_Y_SCALE:
        return p->dynamic_scale != 0;
    case NORMA_ARG_RUNNING_MEAN:
    case NORMA_ARG_RUNNING_VAR:
    case NORMA_ARG_NUM_BATCHES_TRACKED:
        return p->direction == NORMA_FORWARD && !strided_is_given(c);
    default:
        return arg >= NORMA_ARG_DX;
    }
}

// Shapes.

// Every sixteenth case has as many dimensions as there is room for where none of them fold, or up to two fewer; from
// numbers of their own. A cut of the channels or samples counts as one more, packed channels too; the gradient of a
// parameter that has all or none of them leaves room for one fewer.
static int32_t pick_many(const struct strided_case *c)
{
    const norma_problem *p = &c->problem;
    uint64_t s = c->seed * 0xe7037ed1a0b428dbu + c->index;
    const bool cuts = is_group_op(p->op) || p->op == NORMA_GHOST_BATCH_NORM;
    const bool packs = c->x_layout == STRIDED_PACKED, backward = p->direction == NORMA_BACKWARD;
    if (!chance(&s, 1.0 / 16) || p->op == NORMA_BATCH_NORM_MERGE)
        return 0;
    return NORMA_MAX_RANK - cuts - packs - backward - (int32_t)check_pick(&s, 3);
}

static void pick_axes(struct strided_case *c, uint64_t *s)
{
    norma_problem *p = &c->problem;
    const int32_t many = pick_many(c);
    const bool may_be_vector =
        (p->op == NORMA_LAYER_NORM || p->op == NORMA_RMS_NORM || is_by_axes(p->op)) && c->x_layout != STRIDED_PACKED;
    c->rank = may_be_vector && chance(s, 0.06) ? 1 : 2 + (int32_t)check_pick(s, 4);
    if (p->op == NORMA_BATCH_NORM_MERGE) // of the parts: how many, and channels
        c->rank = 2;
    c->rank = many ? many : c->rank;
    p->normalized_dims = 1;
    while (p->normalized_dims < c->rank - (many > 0) && chance(s, many ? 0.7 : 0.35))
        p->normalized_dims++;
    p->axes = 1 + (uint32_t)check_pick(s, (INT64_C(1) << c->rank) - 1 - (many > 0));
    // Others than normalize now and then have axes of their own; of adaptive ones dimension 0 has the samples.
    if (!is_by_axes(p->op) && (!may_have_axes(p->op) || (c->seed + c->index / 3) % 4 != 0))
        p->axes = 0;
    if (is_adaptive(p->op))
        p->axes &= ~1u;
    for (int32_t d = 0; d < c->rank; d++) {
        if (p->axes)
            c->element[d] = p->axes >> d & 1;
        else if (is_row_op(p->op))
            c->element[d] = d >= c->rank - p->normalized_dims;
        else if (p->op == NORMA_GHOST_BATCH_NORM && p->training)
            c->element[d] = d >= 2;
        else if (strided_is_batch_op(p->op) || is_step(p->op) || p->op == NORMA_LOCAL_RESPONSE_NORM)
            c->element[d] = (d == 1) == (p->op == NORMA_LOCAL_RESPONSE_NORM);
        else
            c->element[d] = d >= (p->op == NORMA_WEIGHT_STANDARDIZATION ? 1 : 2);
    }
}

static int64_t product(const struct strided_case *c, bool elements_alone)
{
    int64_t count = 1;
    for (int32_t d = 0; d < c->rank; d++)
        if (c->element[d] || !elements_alone)
            count *= c->shape[d];
    return count;
}

static void shrink(struct strided_case *c, int64_t most, int32_t kept)
{
    while (product(c, false) > most) {
        int32_t longest = kept == 0 && c->rank > 1 ? 1 : 0;
        for (int32_t d = 0; d < c->rank; d++)
            if (d != kept && c->shape[d] > c->shape[longest])
                longest = d;
        if (c->shape[longest] == 1)
            return;
        c->shape[longest] = (c->shape[longest] + 1) / 2;
    }
}

// One dimension is long, among a group's elements or among the groups, so that there are `wanted` of these.
static void stretch(struct strided_case *c, bool element, int64_t wanted, uint64_t *s)
{
    int32_t choices[NORMA_MAX_RANK], count = 0;
    for (int32_t d = 0; d < c->rank; d++) {
        c->shape[d] = 1 + check_pick(s, 3);
        if (c->element[d] == element)
            choices[count++] = d;
    }
    // Group norm of rank 2: dimension 1 has the elements.
    const int32_t at = count ? choices[check_pick(s, count)] : c->rank - 1;
    c->shape[at] = 1;
    int64_t others = 1;
    for (int32_t d = 0; d < c->rank; d++)
        if (c->element[d] == element)
            others *= c->shape[d];
    c->shape[at] = wanted / others > 0 ? wanted / others : 1;
    shrink(c, wanted > MOST_ELEMENTS / 3 ? 3 * wanted : MOST_ELEMENTS, at);
}

// A divisor, up to 40.
static int64_t pick_divisor(int64_t of, uint64_t *s)
{
    int64_t divisor = 1;
    if (of > 0)
        do
            divisor = 1 + check_pick(s, of < 40 ? of : 40);
        while (of % divisor);
    return divisor;
}

// Groups of channels, virtual batches. One element has no variance to train with.
static void cut(struct strided_case *c, uint64_t *s)
{
    norma_problem *p = &c->problem;
    const int64_t n = product(c, true), divisor = pick_divisor(c->shape[is_group_op(p->op) ? 1 : 0], s);
    p->num_groups = is_group_op(p->op) ? (int32_t)divisor : 1;
    // As often large batches as many; of one sample only where that has elements.
    p->virtual_batch = (int32_t)(chance(s, 0.5) || c->shape[0] == 0 ? divisor : c->shape[0] / divisor);
    if (p->virtual_batch * n <= 1 && c->shape[0] > 0)
        p->virtual_batch = (int32_t)c->shape[0];
    c->n = n;
    if (strided_cut_axis(c) >= 0)
        c->n = n * (is_group_op(p->op) ? c->shape[1] / divisor : p->virtual_batch);
    if (p->op == NORMA_SWITCHABLE_NORM && c->shape[0] * c->n == 1) // a channel has no unbiased one
        p->running_var_biased = 1;
    if (p->op == NORMA_INSTANCE_NORM && c->n == 1) // nor has a sample's channel
        p->running_var_biased = 1;
    if (c->n > 1 || !strided_is_batch_op(p->op))
        return;
    p->training = 0;
    c->element[0] = true;
    c->n = product(c, true);
}

static void pick_shape(struct strided_case *c, uint64_t *s)
{
    static const int64_t sizes[] = {1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 8, 9, 12, 16, 17, 20, 31, 32, 33, 64};
    static const int64_t lengths[] = {70, 300, 511, 1025, 4096, 4097, 5000, 12289};
    const double kind = check_uniform(s);
    for (int32_t d = 0; d < c->rank; d++)
        c->shape[d] = sizes[check_pick(s, c->rank > STRIDED_FEW ? 5 : c->rank > 3 ? 12 : 21)];
    if (is_group_op(c->problem.op))
        c->shape[1] = (1 + check_pick(s, 4)) * (1 + check_pick(s, 6));
    shrink(c, MOST_ELEMENTS, -1);
    if (kind < 0.22)
        stretch(c, true, lengths[check_pick(s, 8)], s);
    else if (kind < 0.235)
        stretch(c, true, 70001, s);
    else if (kind < 0.30)
        stretch(c, false, 300 + check_pick(s, MANY), s);
    else if (kind < 0.303)
        stretch(c, false, 70001, s);
    else if (kind < 0.34) // groups of one element
        for (int32_t d = 0; d < c->rank; d++)
            c->shape[d] = c->element[d] ? 1 : c->shape[d];
    else if (kind < 0.36)
        c->shape[check_pick(s, c->rank)] = 0;
    cut(c, s);
    c->total = product(c, false);
}

// Tensors.

static void set(struct strided_case *c, norma_arg arg, bool present)
{
    c->tensor[arg].present = present;
}

static bool has(const struct strided_case *c, norma_arg arg)
{
    return c->tensor[arg].present;
}

static void pick_step(struct strided_case *c, uint64_t *s)
{
    const norma_problem *p = &c->problem;
    const bool backward = p->direction == NORMA_BACKWARD, merges = p->op == NORMA_BATCH_NORM_MERGE;
    set(c, NORMA_ARG_X, !merges);
    set(c, NORMA_ARG_PARTS, merges);
    set(c, NORMA_ARG_STATS, !merges || !backward);
    set(c, NORMA_ARG_SUMS, backward);
    const bool affine = p->op == NORMA_BATCH_NORM_APPLY || (backward && !merges);
    set(c, NORMA_ARG_WEIGHT, affine && has(c, NORMA_ARG_WEIGHT));
    set(c, NORMA_ARG_BIAS, affine && has(c, NORMA_ARG_BIAS));
    set(c, NORMA_ARG_ADDEND, affine && has(c, NORMA_ARG_ADDEND));
    set(c, NORMA_ARG_Z, !merges && (affine || p->z_first) && has(c, NORMA_ARG_Z));
    for (int arg = NORMA_ARG_RESIDUAL; arg <= NORMA_ARG_INPUT_BIAS; arg++)
        set(c, (norma_arg)arg, !merges && has(c, (norma_arg)arg));
    set(c, NORMA_ARG_RUNNING_MEAN, p->op == NORMA_BATCH_NORM_APPLY && !backward && chance(s, 0.5));
    set(c, NORMA_ARG_RUNNING_VAR, has(c, NORMA_ARG_RUNNING_MEAN));
    set(c, NORMA_ARG_NUM_BATCHES_TRACKED, p->op == NORMA_BATCH_NORM_APPLY && !backward && chance(s, 0.4));
    c->problem.cumulative = has(c, NORMA_ARG_NUM_BATCHES_TRACKED) && chance(s, 0.6);
}

static void pick_inputs(struct strided_case *c, uint64_t *s)
{
    const norma_problem *p = &c->problem;
    set(c, NORMA_ARG_X, true);
    if (p->op == NORMA_LOCAL_RESPONSE_NORM) {
        set(c, NORMA_ARG_Z, chance(s, 0.4));
        set(c, NORMA_ARG_ADDEND, chance(s, 0.4));
        return;
    }
    const bool fused = chance(s, 0.6), adaptive = is_adaptive(p->op), has_weight = p->op != NORMA_NORMALIZE;
    const norma_arg weight = adaptive ? NORMA_ARG_SCALE : NORMA_ARG_WEIGHT;
    set(c, weight, has_weight && chance(s, 0.7));
    set(c, adaptive ? NORMA_ARG_SHIFT : NORMA_ARG_BIAS, has_weight && chance(s, 0.6));
    set(c, NORMA_ARG_RESIDUAL, fused && chance(s, 0.4));
    set(c, NORMA_ARG_GATE, fused && chance(s, 0.4));
    set(c, NORMA_ARG_INPUT_BIAS, fused && chance(s, 0.4));
    set(c, NORMA_ARG_Z, fused && chance(s, 0.4));
    set(c, NORMA_ARG_ADDEND, fused && chance(s, 0.35));
    const bool mixed = p->op == NORMA_SWITCHABLE_NORM;
    const bool running = strided_is_given(c) || p->op == NORMA_BATCH_RENORM || chance(s, 0.5);
    set(c, NORMA_ARG_RUNNING_MEAN, running && has_running(p->op));
    set(c, NORMA_ARG_MEAN_WEIGHTS, mixed);
    set(c, NORMA_ARG_VAR_WEIGHTS, mixed);
    set(c, NORMA_ARG_RUNNING_VAR, has(c, NORMA_ARG_RUNNING_MEAN));
    set(c, NORMA_ARG_NUM_BATCHES_TRACKED, has_running(p->op) && chance(s, 0.4));
    c->problem.cumulative = has(c, NORMA_ARG_NUM_BATCHES_TRACKED) && chance(s, 0.6);
    if (is_step(p->op))
        pick_step(c, s);
}

static void pick_outputs(struct strided_case *c, uint64_t *s)
{
    const bool applies = c->problem.op == NORMA_BATCH_NORM_APPLY, sums = c->problem.op == NORMA_BATCH_NORM_STATS;
    const bool backward = c->problem.direction == NORMA_BACKWARD, adaptive = is_adaptive(c->problem.op);
    const bool fused = chance(s, 0.5);
    set(c, NORMA_ARG_Y, !backward && has_y(c->problem.op));
    if (c->problem.op == NORMA_LOCAL_RESPONSE_NORM || c->problem.op == NORMA_BATCH_NORM_MERGE)
        return;
    const bool statistics = !is_step(c->problem.op) || (applies && !backward);
    set(c, NORMA_ARG_MEAN, statistics && chance(s, 0.5));
    set(c, NORMA_ARG_RSTD, statistics && (has(c, NORMA_ARG_MEAN) ? chance(s, 0.85) : chance(s, 0.15)));
    const bool renorm = c->problem.op == NORMA_BATCH_RENORM && c->problem.training;
    set(c, NORMA_ARG_R, renorm && (backward || chance(s, 0.6)));
    set(c, NORMA_ARG_D, renorm && (backward || chance(s, 0.6)));
    if (!backward) {
        set(c, NORMA_ARG_SUM, fused && chance(s, 0.6));
        return;
    }
    static const norma_arg gradients[][2] = {
        {NORMA_ARG_DWEIGHT, NORMA_ARG_WEIGHT},
        {NORMA_ARG_DRESIDUAL, NORMA_ARG_RESIDUAL},
        {NORMA_ARG_DGATE, NORMA_ARG_GATE},
        {NORMA_ARG_DINPUT_BIAS, NORMA_ARG_INPUT_BIAS},
        {NORMA_ARG_DZ, NORMA_ARG_Z},
        {NORMA_ARG_DADDEND, NORMA_ARG_ADDEND},
        {NORMA_ARG_DSCALE, NORMA_ARG_SCALE},
        {NORMA_ARG_DMEAN_WEIGHTS, NORMA_ARG_MEAN_WEIGHTS},
        {NORMA_ARG_DVAR_WEIGHTS, NORMA_ARG_VAR_WEIGHTS},
    };
    set(c, NORMA_ARG_DY, true);
    set(c, NORMA_ARG_DSUM, !sums && fused && chance(s, 0.5));
    for (size_t i = 0; i < sizeof gradients / sizeof *gradients; i++)
        if (gradients[i][0] == NORMA_ARG_DWEIGHT ? !applies : !sums)
            set(c, gradients[i][0], has(c, gradients[i][1]) && chance(s, 0.75));
    if (c->problem.op != NORMA_NORMALIZE && !applies) // the bias itself is of no use to its gradient
        set(c, adaptive ? NORMA_ARG_DSHIFT : NORMA_ARG_DBIAS, chance(s, 0.5));
    if (sums)
        return;
    bool any = false;
    for (int arg = NORMA_ARG_DX; arg < NORMA_ARG_COUNT; arg++)
        any = any || has(c, (norma_arg)arg);
    set(c, NORMA_ARG_DX, !any || chance(s, 0.85));
}

// x has the given type.
static void pick_types(struct strided_case *c, norma_dtype x, uint64_t *s)
{
    static const norma_dtype types[] = {NORMA_FLOAT32, NORMA_FLOAT32, NORMA_FLOAT16, NORMA_BFLOAT16};
    const bool alike = chance(s, 0.4);
    c->float64 = x == NORMA_FLOAT64;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const norma_dtype own = types[check_pick(s, 4)];
        const bool fixed = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD || arg == NORMA_ARG_R || arg == NORMA_ARG_D ||
                           (arg >= NORMA_ARG_RUNNING_MEAN && arg <= NORMA_ARG_SUMS && arg != NORMA_ARG_NONFINITE) ||
                           (arg == NORMA_ARG_X && c->problem.op == NORMA_BATCH_NORM_MERGE); // that of the parts
        c->tensor[arg].dtype = c->float64 ? NORMA_FLOAT64 : fixed ? NORMA_FLOAT32 : alike || arg == 0 ? x : own;
        c->tensor[arg].view = (norma_arg)arg;
    }
    c->tensor[NORMA_ARG_NUM_BATCHES_TRACKED].dtype = NORMA_INT64;
}

// Every third forward case has a y of 8 bits, every fourth a count. From numbers of their own: the rest of a case is as
// it would be without them.
static void pick_quantised(struct strided_case *c)
{
    uint64_t s = c->seed * 0xd1342543de82ef95u + c->index;
    norma_problem *p = &c->problem;
    if (p->direction == NORMA_BACKWARD || !has_y(p->op))
        return;
    const bool window = p->op == NORMA_LOCAL_RESPONSE_NORM, quantised = chance(&s, 0.33);
    const norma_dtype type = chance(&s, 0.5) ? NORMA_INT8 : NORMA_FLOAT8_E4M3FN;
    const bool dynamic = chance(&s, 0.5), counts = chance(&s, c->values == STRIDED_NONFINITE ? 0.6 : 0.25);
    c->tensor[NORMA_ARG_NONFINITE].dtype = NORMA_INT32;
    set(c, NORMA_ARG_NONFINITE, counts);
    if (!quantised)
        return;
    p->dynamic_scale = dynamic && !window;
    c->tensor[NORMA_ARG_Y].dtype = type;
    set(c, NORMA_ARG_Y_SCALE, true);
}

// Numbers.

static const char *const values_names[] = {"normal",   "offset1e4", "offset1e6", "large",    "largest",
                                           "denormal", "mixed",     "constant",  "nonfinite"};
static int forced = -1; // the class of all values

const char *strided_values_name(enum strided_values values)
{
    return values_names[values];
}

bool strided_force_values(const char *name)
{
    for (int v = 0; v < STRIDED_VALUES_COUNT; v++)
        if (!strcmp(values_names[v], name))
            forced = v;
    return forced >= 0;
}

bool strided_values_are_forced(void)
{
    return forced >= 0;
}

// Exponents of dy, of weight and scale, and of z: any that float32 has. From numbers of their own, as pick_quantised().
static void pick_exponents(struct strided_case *c)
{
    static const int exponents[] = {0, 0, 0, 127, 127, 100, 60, -60, -100, -126, -140};
    uint64_t s = c->seed * 0xa0761d6478bd642fu + c->index;
    const bool extreme = c->values >= STRIDED_LARGE && c->values <= STRIDED_MIXED;
    c->apart = c->problem.direction == NORMA_BACKWARD && !c->float64 && chance(&s, extreme ? 0.6 : 0.1);
    if (!c->apart)
        return;
    c->exponent_of_dy = exponents[check_pick(&s, 11)];
    c->exponent_of_weight = exponents[check_pick(&s, 11)];
    c->exponent_of_z = chance(&s, 0.3) ? exponents[check_pick(&s, 11)] : 0;
    if (c->problem.z_first && c->exponent_of_z > 0) // t = h*act_z(z) is a float32
        c->exponent_of_z = extreme ? 0 : c->exponent_of_z < 100 ? c->exponent_of_z : 100;
}

static void pick_values(struct strided_case *c, uint64_t *s)
{
    static const int weight[STRIDED_VALUES_COUNT] = {12, 2, 3, 2, 2, 2, 2, 1, 2};
    static const double eps[] = {1e-5, 1e-6, 1e-3, 1e-12, 0.1, 0};
    norma_problem *p = &c->problem;
    int64_t left = check_pick(s, 28);
    int v = 0;
    while ((left -= weight[v]) >= 0)
        v++;
    c->values = (enum strided_values)(forced >= 0 ? forced : v);
    if (chance(s, 0.6))
        p->eps = eps[check_pick(s, 6)];
    // float64 rounds the mean of equal elements: their variance is not 0 everywhere. In the other types it is, and
    // without eps what is normalised is NaN.
    if (c->values == STRIDED_CONSTANT && (c->float64 ? p->eps == 0 : chance(s, 0.3)))
        p->eps = c->float64 ? 1e-8 : 0;
    // The gradient has rstd^2 in it, which must stay a float32.
    if (c->values == STRIDED_DENORMAL && c->float64)
        p->eps = is_by_axes(p->op) && chance(s, 0.5) ? 0x1p-1050 : 0;
    else if (c->values == STRIDED_DENORMAL)
        p->eps = p->op == NORMA_NORMALIZE ? (chance(s, 0.5) ? 1e-12 : 1e-15) : chance(s, 0.5) ? 1e-37 : 1e-30;
}

static void pick_numbers(struct strided_case *c, uint64_t *s)
{
    static const double slopes[] = {0.01, 0.2, -0.5, 0, 1.5}, momenta[] = {0.1, 0.01, 0, 1, 0.7};
    static const double r_max[] = {1, 1.5, 3, 30, 1e30}, d_max[] = {0, 0.5, 5, 100, 1e30};
    norma_problem *p = &c->problem;
    p->training = chance(s, 0.7);
    p->use_input_stats = chance(s, 0.75);
    p->running_var_biased = chance(s, 0.4);
    p->norm_order = chance(s, 0.5) ? 2 : 1;
    p->eps_mode = (norma_eps_mode)check_pick(s, p->norm_order == 2 ? 3 : 2);
    p->activation = chance(s, 0.5) ? NORMA_ACTIVATION_NONE : (norma_activation)check_pick(s, NORMA_ACTIVATION_COUNT);
    p->z_activation = (norma_activation)check_pick(s, NORMA_ACTIVATION_COUNT);
    p->z_first = chance(s, 0.4);
    p->activation_slope = slopes[check_pick(s, 5)];
    p->momentum = momenta[check_pick(s, 5)];
    p->r_max = r_max[check_pick(s, 5)];
    p->d_max = d_max[check_pick(s, 5)];
    p->weight_offset = p->op == NORMA_RMS_NORM && chance(s, 0.3) ? 1 : 0;
}

static void pick_window(struct strided_case *c, uint64_t *s)
{
    static const double alphas[] = {1e-4, 0.02, 1, 5, 0, 50}, betas[] = {0.75, 0.75, 0.5, 1, 2.5, 0, 0.25},
                        ks[] = {1, 2, 0.1, 1e-5, 1000};
    norma_problem *p = &c->problem;
    p->direction = NORMA_FORWARD;
    p->z_first = 0;
    p->local_size = 1 + (int32_t)check_pick(s, chance(s, 0.2) ? 60 : 9);
    p->window = (norma_window)check_pick(s, NORMA_WINDOW_COUNT);
    p->alpha = alphas[check_pick(s, 6)];
    p->beta = betas[check_pick(s, 7)];
    p->k = ks[check_pick(s, 5)];
}

norma_op strided_case_op(uint64_t index)
{
    return (norma_op)(NORMA_LAYER_NORM + (int)(index % (NORMA_OP_COUNT - NORMA_LAYER_NORM)));
}

void strided_case_make(struct strided_case *c, uint64_t seed, uint64_t index)
{
    // Operator, direction, type and layout of x go round, so that any STRIDED_ROUND cases in a row have all of them.
    static const norma_dtype types[] = {NORMA_FLOAT32, NORMA_FLOAT16,  NORMA_BFLOAT16, NORMA_FLOAT32,
                                        NORMA_FLOAT16, NORMA_BFLOAT16, NORMA_FLOAT64};
    enum { OPS = NORMA_OP_COUNT - NORMA_LAYER_NORM, TYPES = sizeof types / sizeof *types };
    _Static_assert(OPS * 2 * TYPES * STRIDED_LAYOUT_COUNT == STRIDED_ROUND, "STRIDED_ROUND");
    const norma_op op = strided_case_op(index);
    *c = (struct strided_case){
        .seed = seed, .index = index, .sliced = -1, .spoilt = -1, .problem = norma_problem_defaults(op)};
    uint64_t s = seed * 0x9fb21c651e98df25u + index, turn = index / OPS;
    c->problem.direction = turn % 2 ? NORMA_BACKWARD : NORMA_FORWARD;
    c->x_layout = (enum strided_layout)(turn / 2 % STRIDED_LAYOUT_COUNT);
    const norma_dtype type = types[turn / (2 * STRIDED_LAYOUT_COUNT) % TYPES];
    pick_numbers(c, &s);
    if (op == NORMA_LOCAL_RESPONSE_NORM)
        pick_window(c, &s);
    pick_axes(c, &s);
    pick_shape(c, &s);
    pick_inputs(c, &s);
    pick_outputs(c, &s);
    pick_types(c, type, &s);
    pick_values(c, &s);
    pick_quantised(c);
    pick_exponents(c);
    strided_lay_out(c, &s);
    c->uploaded = chance(&s, 0.3);
    c->for_slice = chance(&s, 0.4);
}

void strided_case_finish(struct strided_case *c)
{
    free(c->arena);
    c->arena = NULL;
}
