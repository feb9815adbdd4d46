#include "made.h"
#include "message.h"
#include "values.h"
#include <stdlib.h>
#include <string.h>

// The elements repeat after this many, so that big tensors are made quickly; odd, so that rows differ.
enum { PERIOD = 1000003 };

bool made_start(const struct options *o, struct made *made)
{
    memset(made, 0, sizeof *made);
    made->problem = options_problem(o);
    if (o->normalized_dims < 1 || o->normalized_dims > o->rank)
        return complain("normalized_dims: %d is not from 1 to the %d dimensions of --shape", o->normalized_dims,
                        o->rank);
    norma_dtype x = o->dtype ? o->dtype : NORMA_FLOAT32;
    norma_dtype y = o->out_dtype ? o->out_dtype : x, parameters = o->param_dtype ? o->param_dtype : x;
    if (x == NORMA_FLOAT64 || y == NORMA_FLOAT64 || parameters == NORMA_FLOAT64)
        return complain("x: the operators do not take float64 yet: write --dtype float32, float16 or bfloat16");
    uint64_t elements = 1;
    for (int32_t i = 0; i < o->rank; ++i) {
        if (o->shape[i] && elements > ((uint64_t)1 << 50) / (uint64_t)o->shape[i])
            return complain("x: --shape %s is over 2^50 elements", o->shape_text);
        elements *= (uint64_t)o->shape[i];
    }
    int32_t outer = o->rank - o->normalized_dims;
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        if (arg > NORMA_ARG_Y && !(o->with & 1u << arg))
            continue;
        norma_tensor *t = &made->tensor[arg];
        if (arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD)
            *t = norma_tensor_host(NORMA_FLOAT32, outer, o->shape, NULL);
        else if (arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_INPUT_BIAS ||
                 arg == NORMA_ARG_GATE)
            *t = norma_tensor_host(parameters, o->normalized_dims, o->shape + outer, NULL);
        else
            *t = norma_tensor_host(arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM ? y : x, o->rank, o->shape, NULL);
        *problem_slot(&made->problem, arg) = t;
    }
    return true;
}

void made_fill(const norma_tensor *tensor, norma_arg arg, uint64_t seed, void *data)
{
    int64_t count = tensor_elements(tensor), first = count < PERIOD ? count : PERIOD;
    uint64_t state = seed * NORMA_ARG_COUNT + (uint64_t)arg;
    for (int64_t i = 0; i < first; ++i) {
        float value = random_normal(&state);
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
        if (!problem_tensor(&made->problem, arg))
            continue;
        uint64_t bytes = tensor_bytes(t);
        // Pages of their own, as an engine's big tensors have.
        if (posix_memalign(&t->data, 4096, bytes ? bytes : 1)) {
            t->data = NULL;
            return complain("%s: no memory for %llu bytes", norma_arg_name(arg), (unsigned long long)bytes);
        }
        if (arg_is_output(arg))
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
        if (problem_tensor(&made->problem, arg))
            total += tensor_bytes(&made->tensor[arg]);
    }
    return total;
}
