#include "made.h"
#include "arguments.h"
#include "message.h"
#include "overlap.h"
#include "problem.h"
#include "tensors.h"
#include "values.h"
#include <stdlib.h>
#include <string.h>

// The elements repeat after this many, so that big tensors are made quickly; odd, so that rows differ.
enum { PERIOD = 1000003 };

// Tensors without which there is no problem.
static uint64_t made_needed(const norma_problem *p)
{
    const bool backward = p->direction == NORMA_BACKWARD;
    const uint64_t y = TENSOR_BIT(backward ? NORMA_ARG_DY : NORMA_ARG_Y);
    const uint64_t stats = TENSOR_BIT(NORMA_ARG_STATS), sums = TENSOR_BIT(NORMA_ARG_SUMS);
    switch (p->op) {
    case NORMA_BATCH_NORM_STATS:
        return backward ? y | stats | sums : stats;
    case NORMA_BATCH_NORM_MERGE:
        return backward ? sums : stats;
    case NORMA_BATCH_NORM_APPLY:
        return y | stats | (backward ? sums : 0);
    default:
        return y;
    }
}

// The library's checks of x and the numbers, which the other tensors' shapes follow from.
static bool check_numbers(const norma_problem *problem)
{
    struct norma_work work;
    norma_problem probe = *problem;
    probe.dynamic_scale = 0; // of a y that is not quantised
    const norma_tensor *first = problem_first(problem);
    const norma_dtype wide = first->dtype == NORMA_FLOAT64 ? NORMA_FLOAT64 : NORMA_FLOAT32;
    const uint64_t needed = made_needed(problem);
    norma_tensor running = norma_tensor_host(wide, 1, first->shape + 1, NULL), cells[NORMA_ARG_COUNT];
    for (norma_arg arg = NORMA_ARG_Y; arg < NORMA_ARG_COUNT; ++arg) {
        int64_t shape[NORMA_MAX_RANK];
        if (!(needed >> arg & 1) || arg == first_tensor(problem->op))
            continue;
        cells[arg] = tensor_role(arg) == TENSOR_CELLS
                         ? norma_tensor_host(wide, natural_shape(problem, arg, shape), shape, NULL)
                         : *first;
        *problem_slot(&probe, arg) = &cells[arg];
    }
    const int64_t kind_count = 3;
    const norma_tensor kinds = norma_tensor_host(wide, 1, &kind_count, NULL);
    if (argument_has_tensor(probe.op, probe.direction, NORMA_ARG_RUNNING_MEAN) && !probe.stats && first->rank > 1)
        probe.running_mean = probe.running_var = &running;
    if (probe.op == NORMA_SWITCHABLE_NORM)
        probe.mean_weights = probe.var_weights = &kinds;
    if (probe.op == NORMA_BATCH_RENORM && probe.training && probe.x->rank > 1)
        probe.r = probe.d = &running;
    return succeeded(norma_work_from_problem(&probe, NORMA_PLACE_NONE, &work));
}

static norma_dtype made_dtype(const struct options *o, norma_arg arg)
{
    const norma_dtype x = o->dtype ? o->dtype : NORMA_FLOAT32;
    if (arg == NORMA_ARG_NONFINITE)
        return NORMA_INT32;
    switch (tensor_role(arg)) {
    case TENSOR_PARAMETER:
    case TENSOR_KINDS:
        return o->param_dtype ? o->param_dtype : x;
    case TENSOR_STATISTIC:
    case TENSOR_CHANNEL:
    case TENSOR_CELLS:
        return x == NORMA_FLOAT64 ? NORMA_FLOAT64 : NORMA_FLOAT32;
    case TENSOR_COUNT:
        return NORMA_INT64;
    default:
        break;
    }
    const bool output = arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM || tensor_of_gradient(arg) != NORMA_ARG_COUNT;
    return output && o->out_dtype && (arg == NORMA_ARG_Y || !is_quantised(o->out_dtype)) ? o->out_dtype : x;
}

// Dense, with dimension 1 the innermost.
static void lay_channels_last(norma_tensor *t)
{
    int64_t stride = t->shape[1];
    t->strides[1] = 1;
    for (int32_t d = t->rank - 1; d > 1; --d) {
        t->strides[d] = stride;
        stride *= t->shape[d];
    }
    t->strides[0] = stride;
}

bool made_start(const struct options *o, struct made *made)
{
    memset(made, 0, sizeof *made);
    uint64_t elements = 1;
    for (int32_t i = 0; i < o->rank; ++i) {
        if (o->shape[i] && elements > ((uint64_t)1 << 50) / (uint64_t)o->shape[i])
            return complain("x: --shape %s is over 2^50 elements", o->shape_text);
        elements *= (uint64_t)o->shape[i];
    }
    norma_problem *p = &made->problem;
    if (!options_problem(o, o->rank, p))
        return false;
    const norma_arg read = first_tensor(p->op);
    const uint64_t with = o->with | made_needed(p) | (is_quantised(o->out_dtype) ? TENSOR_BIT(NORMA_ARG_Y_SCALE) : 0);
    made->tensor[read] = norma_tensor_host(made_dtype(o, read), o->rank, o->shape, NULL);
    *problem_slot(p, read) = &made->tensor[read];
    if (o->channels_last && (read != NORMA_ARG_X || o->rank < 3))
        return complain("x: --channels-last is for [N, C, ...], not for --shape %s", o->shape_text);
    if (o->channel_block && (read != NORMA_ARG_X || o->rank < 2 || o->rank >= NORMA_MAX_RANK || o->channels_last))
        return complain("x: --channel-block is for [N, C, ...], not for --shape %s%s", o->shape_text,
                        o->channels_last ? " with --channels-last" : "");
    if (o->channel_block)
        norma_tensor_pack(&made->tensor[read], o->channel_block);
    if (!check_numbers(p))
        return false;
    for (norma_arg arg = NORMA_ARG_Y; arg < NORMA_ARG_COUNT; ++arg) {
        int64_t shape[NORMA_MAX_RANK];
        if (!(with >> arg & 1) || arg == read)
            continue;
        const int32_t rank = natural_shape(p, arg, shape);
        made->tensor[arg] = norma_tensor_host(made_dtype(o, arg), rank, shape, NULL);
        if (tensor_role(arg) == TENSOR_WHOLE)
            norma_tensor_pack(&made->tensor[arg], o->channel_block);
        *problem_slot(p, arg) = &made->tensor[arg];
    }
    for (norma_arg arg = NORMA_ARG_X; o->channels_last && arg < NORMA_ARG_COUNT; ++arg)
        if (norma_problem_tensor(p, arg) && tensor_role(arg) == TENSOR_WHOLE)
            lay_channels_last(&made->tensor[arg]);
    return true;
}

// Stats, or parts of them: of 1000 elements each.
static void fill_stats(const norma_tensor *tensor, uint64_t seed, void *data)
{
    const int64_t channels = tensor->shape[tensor->rank - 1], count = tensor_elements(tensor);
    uint64_t state = seed;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t row = i / channels % 5;
        const float normal = random_normal(&state);
        const float rows[5] = {1000, normal, 0, 1000 * (0.5f + normal * normal), 1};
        values_store(tensor->dtype, data, i, 1, &rows[row]);
    }
}

void made_fill(const norma_tensor *tensor, norma_arg arg, uint64_t seed, void *data)
{
    if (tensor_role(arg) == TENSOR_CELLS && tensor->shape[tensor->rank - 2] == 5) {
        fill_stats(tensor, seed, data);
        return;
    }
    const norma_tensor blocks = norma_tensor_blocks(tensor); // the padding too
    int64_t count = tensor_elements(&blocks), first = count < PERIOD ? count : PERIOD;
    uint64_t state = seed * NORMA_ARG_COUNT + (uint64_t)arg;
    for (int64_t i = 0; i < first; ++i) {
        float value = random_normal(&state);
        if (arg == NORMA_ARG_RUNNING_VAR || arg == NORMA_ARG_RSTD || arg == NORMA_ARG_NUM_BATCHES_TRACKED ||
            arg == NORMA_ARG_R)
            value = 0.5f + value * value;
        if (arg == NORMA_ARG_Y_SCALE)
            value = 0.02f + 0.01f * value * value;
        values_store(tensor->dtype, data, i, 1, &value);
    }
    size_t element = norma_dtype_size(tensor->dtype);
    for (int64_t i = first; i < count;) {
        int64_t piece = count - i < i ? count - i : i;
        memcpy((char *)data + (size_t)i * element, data, (size_t)piece * element);
        i += piece;
    }
}

bool made_allocate(struct made *made, uint64_t seed)
{
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        norma_tensor *t = &made->tensor[arg];
        if (!norma_problem_tensor(&made->problem, arg))
            continue;
        uint64_t bytes = tensor_bytes(t);
        // Pages of their own, as an engine's big tensors have.
        if (posix_memalign(&t->data, 4096, bytes ? bytes : 1)) {
            t->data = NULL;
            return complain("%s: no memory for %llu bytes", norma_arg_name(arg), (unsigned long long)bytes);
        }
        if (norma_arg_is_output(&made->problem, arg) && !tensor_is_updated(arg))
            memset(t->data, 0, bytes);
        else
            made_fill(t, arg, seed, t->data);
    }
    return true;
}

void made_finish(struct made *made)
{
    for (int i = 0; i < NORMA_ARG_COUNT; ++i)
        free(made->tensor[i].data);
    memset(made, 0, sizeof *made);
}

uint64_t made_bytes(const struct made *made)
{
    uint64_t total = 0;
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        if (norma_problem_tensor(&made->problem, arg))
            total += tensor_bytes(&made->tensor[arg]) *
                     (tensor_is_updated(arg) && norma_arg_is_output(&made->problem, arg) ? 2 : 1);
    }
    return total;
}
