#include "scalar_job.h"

#include "half.h"
#include "schedule.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

size_t job_element_size(int type)
{
    return type ? 2 : 4;
}

norma_dtype job_dtype(int type)
{
    return type == 0 ? NORMA_FLOAT32 : type == 1 ? NORMA_FLOAT16 : NORMA_BFLOAT16;
}

float job_get(const struct job *job, norma_arg arg, size_t index)
{
    const unsigned char *at = job->tensor[arg].memory + index * job_element_size(job->tensor[arg].type);
    uint16_t half;
    float value;
    memcpy(&half, at, 2);
    if (job->tensor[arg].type == 0)
        memcpy(&value, at, 4);
    else
        value = job->tensor[arg].type == 1 ? norma_half_to_float(half) : norma_bfloat_to_float(half);
    return value;
}

void job_set(struct job *job, norma_arg arg, size_t index, float value)
{
    unsigned char *at = job->tensor[arg].memory + index * job_element_size(job->tensor[arg].type);
    uint16_t half = job->tensor[arg].type == 1 ? norma_float_to_half(value) : norma_float_to_bfloat(value);
    if (job->tensor[arg].type == 0)
        memcpy(at, &value, 4);
    else
        memcpy(at, &half, 2);
}

size_t job_index(const struct job *job, norma_arg arg, uint32_t row, uint32_t i)
{
    if (arg == NORMA_ARG_GATE)
        row = (row + job->gate_phase) / job->gate_rows;
    return job->tensor[arg].offset + (size_t)row * job->tensor[arg].stride + i;
}

bool job_is_output(int arg)
{
    return arg == NORMA_ARG_Y || arg == NORMA_ARG_SUM || arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
}

void job_allocate(struct job *job)
{
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        bool one = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
        size_t last = job_index(job, (norma_arg)arg, job->rows - 1, one ? 0 : job->n - 1);
        job->tensor[arg].elements = last + 1;
        job->tensor[arg].memory = malloc((last + 1) * job_element_size(job->tensor[arg].type));
        assert_non_null(job->tensor[arg].memory);
        memset(job->tensor[arg].memory, 0xff, (last + 1) * job_element_size(job->tensor[arg].type));
    }
}

void job_release(struct job *job)
{
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++)
        free(job->tensor[arg].memory);
}

static struct norma_row_args arguments(const struct job *job)
{
    struct norma_row_args args = {.n = job->n,
                                  .part = job->n,
                                  .rows = job->rows,
                                  .chunks = (job->n + NORMA_CHUNK - 1) / NORMA_CHUNK,
                                  .per_group = 1,
                                  .gate_rows = job->gate_rows,
                                  .gate_phase = job->gate_phase,
                                  .eps = job->eps,
                                  .weight_offset = job->weight_offset};
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        args.flags |= (uint32_t)job->tensor[arg].present << arg;
        args.types |= (uint32_t)job->tensor[arg].type << (2 * arg);
    }
    args.stride_x = job->tensor[NORMA_ARG_X].stride;
    args.stride_y = job->tensor[NORMA_ARG_Y].stride;
    args.stride_residual = job->tensor[NORMA_ARG_RESIDUAL].stride;
    args.stride_gate = job->tensor[NORMA_ARG_GATE].stride;
    args.stride_sum = job->tensor[NORMA_ARG_SUM].stride;
    args.stride_mean = job->tensor[NORMA_ARG_MEAN].stride;
    args.stride_rstd = job->tensor[NORMA_ARG_RSTD].stride;
    args.off_x = job->tensor[NORMA_ARG_X].offset;
    args.off_y = job->tensor[NORMA_ARG_Y].offset;
    args.off_weight = job->tensor[NORMA_ARG_WEIGHT].offset;
    args.off_bias = job->tensor[NORMA_ARG_BIAS].offset;
    args.off_residual = job->tensor[NORMA_ARG_RESIDUAL].offset;
    args.off_gate = job->tensor[NORMA_ARG_GATE].offset;
    args.off_input_bias = job->tensor[NORMA_ARG_INPUT_BIAS].offset;
    args.off_stats = job->tensor[NORMA_ARG_MEAN].offset | job->tensor[NORMA_ARG_RSTD].offset << 16;
    args.off_sum = job->tensor[NORMA_ARG_SUM].offset;
    return args;
}

void job_run(const struct job *job, struct norma_device *device)
{
    const struct norma_backend *backend = &norma_backend_scalar;
    const struct norma_row_args args = arguments(job);
    struct norma_buffer buffers[NORMA_ROW_ARGS];
    norma_dispatch dispatch = {.kernel = "row_whole",
                               .constants = {{"RMS", NORMA_CONST_RMS, job->op == NORMA_RMS_NORM}},
                               .constant_count = 1,
                               .binding_count = NORMA_ROW_ARGS};
    struct norma_command command = {.kind = NORMA_COMMAND_DISPATCH, .dispatch = &dispatch};
    struct norma_event event;
    double seconds = -1;
    memcpy(dispatch.args, &args, sizeof args);
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        const int bound = job->tensor[arg].present ? arg : NORMA_ARG_X;
        dispatch.bindings[arg].slot = (uint32_t)arg;
        dispatch.bindings[arg].arg = (norma_arg)bound;
        assert_int_equal(backend->buffer_import(device, job->tensor[bound].memory,
                                                job->tensor[bound].elements * job_element_size(job->tensor[bound].type),
                                                &buffers[arg]),
                         NORMA_OK);
        command.bound[arg] = &buffers[arg];
    }
    assert_int_equal(backend->prepare(device, &dispatch), NORMA_OK);
    assert_int_equal(backend->submit(device, &command, 1, NULL, 0, true, &event), NORMA_OK);
    assert_int_equal(backend->event_wait(&event), NORMA_OK);
    assert_int_equal(backend->event_seconds(&event, &seconds), NORMA_OK);
    assert_true(seconds >= 0);
    backend->event_finish(&event);
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++)
        backend->buffer_finish(&buffers[arg]);
}

struct job job_dense(norma_op op, uint32_t rows, uint32_t n)
{
    struct job job = {.op = op, .n = n, .rows = rows, .gate_rows = 1, .eps = 1e-5f};
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        const bool one = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
        job.tensor[arg].present = arg <= NORMA_ARG_Y;
        job.tensor[arg].stride = row_arg_is_shared((norma_arg)arg) ? 0 : one ? 1 : n;
    }
    return job;
}

struct job job_copy(const struct job *job)
{
    struct job copy = *job;
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        const size_t bytes = job->tensor[arg].elements * job_element_size(job->tensor[arg].type);
        copy.tensor[arg].memory = malloc(bytes);
        assert_non_null(copy.tensor[arg].memory);
        memcpy(copy.tensor[arg].memory, job->tensor[arg].memory, bytes);
    }
    return copy;
}
