#include "inputs.h"
#include "arguments.h"
#include "message.h"
#include "tensors.h"
#include <string.h>

// A file with packed channels, [N, blocks, ..., block].
static bool unpack(const char *name, int32_t channels, norma_tensor *t)
{
    const int64_t block = t->rank > 2 ? t->shape[t->rank - 1] : 0, blocks = t->rank > 2 ? t->shape[1] : 0;
    if (t->rank < 3)
        return complain("%s: %d dimensions; --channels is for [N, blocks, ..., channels of a block]", name,
                        (int)t->rank);
    if (channels < 0 || channels > blocks * block || (blocks > 0 && channels <= (blocks - 1) * block))
        return complain("%s: --channels %d: it holds %lld blocks of %lld", name, (int)channels, (long long)blocks,
                        (long long)block);
    t->rank--;
    t->channel_block = (int32_t)block;
    t->block_stride = t->strides[1];
    t->shape[1] = channels;
    t->strides[1] = block > 1 ? t->strides[t->rank] : t->strides[1];
    return true;
}

static bool open_input(const struct options *o, bool c_order, struct inputs *inputs, norma_arg arg, const char *path)
{
    const char *name = norma_arg_name(arg);
    if (!npy_open(name, path, o->dtype == NORMA_BFLOAT16, &inputs->file[arg]))
        return false;
    if (o->dtype != NORMA_FLOAT64 && !npy_round(name, &inputs->file[arg]))
        return false;
    if (c_order && !npy_rearrange(name, &inputs->file[arg]))
        return false;
    if ((inputs->file[arg].tensor.dtype == NORMA_INT64) != (tensor_role(arg) == TENSOR_COUNT))
        return complain("%s: %s holds %s: it must be %s", name, path, dtype_name(inputs->file[arg].tensor.dtype),
                        tensor_role(arg) == TENSOR_COUNT ? "int64 '<i8'" : "float32, float16 or bfloat16");
    // --dtype bfloat16 says what 16-bit words are; a float32 x beside bfloat16 parameters is fine.
    const norma_dtype dtype = inputs->file[arg].tensor.dtype;
    if (arg == first_tensor(o->problem.op) && o->dtype && o->dtype != NORMA_BFLOAT16 && dtype != o->dtype)
        return complain("%s: %s is %s: leave out --dtype %s or convert the file", name, path, dtype_name(dtype),
                        dtype_name(o->dtype));
    *problem_slot(&inputs->problem, arg) = &inputs->file[arg].tensor;
    return !o->channels || tensor_role(arg) != TENSOR_WHOLE || unpack(name, o->channels, &inputs->file[arg].tensor);
}

bool inputs_open(const struct options *o, bool c_order, struct inputs *inputs)
{
    const norma_arg first = first_tensor(o->problem.op);
    memset(inputs, 0, sizeof *inputs);
    if (!open_input(o, c_order, inputs, first, o->x_file))
        return false;
    const norma_tensor *x = &inputs->file[first].tensor;
    if (!options_problem(o, x->rank, &inputs->problem))
        return false;
    *problem_slot(&inputs->problem, first) = x;
    for (norma_arg arg = NORMA_ARG_Y; arg < NORMA_ARG_COUNT; ++arg)
        if (o->file[arg] && !open_input(o, c_order, inputs, arg, o->file[arg]))
            return false;
    // The library's checks, which the outputs' shapes follow from.
    norma_problem probe = inputs->problem;
    probe.y_scale = NULL; // of a y that is not quantised
    probe.dynamic_scale = 0;
    norma_tensor cells[NORMA_ARG_COUNT];
    if (argument_has_tensor(probe.op, probe.direction, NORMA_ARG_Y))
        probe.y = x;
    for (norma_arg arg = NORMA_ARG_STATS; arg <= NORMA_ARG_SUMS; ++arg) {
        int64_t shape[NORMA_MAX_RANK];
        if (!norma_arg_is_output(&probe, arg))
            continue;
        const norma_dtype dtype = x->dtype == NORMA_FLOAT64 ? NORMA_FLOAT64 : NORMA_FLOAT32;
        cells[arg] = norma_tensor_host(dtype, natural_shape(&probe, arg, shape), shape, NULL);
        *problem_slot(&probe, arg) = &cells[arg];
    }
    return succeeded(norma_work_from_problem(&probe, NORMA_PLACE_NONE, &inputs->work));
}

void inputs_close(struct inputs *inputs)
{
    for (int i = 0; i < NORMA_ARG_COUNT; ++i)
        npy_close(&inputs->file[i]);
}
