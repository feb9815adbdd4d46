// Plans as plain data, run by the runner beside this file on the program's own Vulkan device, buffer, pipelines and
// command buffer, as an engine does that keeps its own. Exits 1 when a result differs in a bit from that of norma_run
// on the same device.
#include "runner.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// PLACE: bytes for a tensor, and for the workspace. COUNT: rows that are there, of ROWS that there may be.
enum { ROWS = 40, N = 500, COUNT = 23, PLACE = 1 << 17 };
enum { X, Y, WEIGHT, BIAS, MEAN, RSTD, ROW_COUNT, WORKSPACE, PLACES };

#define CHECK(call) ((call) == 0 ? (void)0 : (fprintf(stderr, "%s failed: %s\n", #call, norma_last_error()), exit(1)))

static norma_context *context;
static norma_device *device;
static uint64_t place[RUNNER_PLACES]; // bytes: where each tensor begins
static unsigned char memory[PLACES * PLACE], expected[PLACES * PLACE];

// A contiguous tensor where norma_run is to find it; a description needs its shape alone.
static norma_tensor tensor(norma_arg arg, int32_t rank, const int64_t *shape)
{
    return norma_tensor_host(NORMA_FLOAT32, rank, shape, expected + place[arg]);
}

static int compare(const char *what, const norma_problem *problem, const norma_tensor *tensors, int counted)
{
    norma_description *plan;
    for (uint64_t i = 0; i < sizeof(memory) / sizeof(float); i++) {
        const float value = sinf((float)i) + (float)(i % 7);
        memcpy(memory + i * sizeof(float), &value, sizeof(float));
    }
    memcpy(memory + place[NORMA_ARG_ROW_COUNT], &(uint32_t){COUNT}, sizeof(uint32_t));
    memcpy(expected, memory, sizeof(memory));
    CHECK(norma_run(context, problem));
    CHECK((counted ? norma_describe_counted : norma_describe)(device, problem, NULL, &plan));
    CHECK(plan->workspace > PLACE);
    const uint64_t size = (uint64_t)WORKSPACE * PLACE; // the workspace is behind all that is compared
    if (counted)                                       // rows behind the count stay as they are
        memcpy(expected + place[NORMA_ARG_Y] + COUNT * N * sizeof(float),
               memory + place[NORMA_ARG_Y] + COUNT * N * sizeof(float), (ROWS - COUNT) * N * sizeof(float));
    runner_fill(plan, tensors, memory, place);
    runner_run(plan, memory, sizeof(memory), place);
    const int differs = memcmp(memory, expected, size) != 0;
    printf("%s, %zu dispatches, %zu fills: %s\n", what, plan->dispatch_count, plan->fill_count,
           differs ? "other bits than norma_run" : "the bits of norma_run");
    norma_description_destroy(&plan);
    return differs;
}

static int layer_norm(int counted)
{
    const int64_t shape[] = {ROWS, N};
    norma_tensor tensors[NORMA_ARG_COUNT] = {0};
    norma_problem problem = norma_problem_defaults(NORMA_LAYER_NORM);
    tensors[NORMA_ARG_X] = tensor(NORMA_ARG_X, 2, shape);
    tensors[NORMA_ARG_Y] = tensor(NORMA_ARG_Y, 2, shape);
    tensors[NORMA_ARG_WEIGHT] = tensor(NORMA_ARG_WEIGHT, 1, shape + 1);
    problem.x = &tensors[NORMA_ARG_X], problem.y = &tensors[NORMA_ARG_Y], problem.weight = &tensors[NORMA_ARG_WEIGHT];
    return compare(counted ? "layer norm of rows that are counted on the device" : "layer norm", &problem, tensors,
                   counted);
}

static int batch_norm(void)
{
    const int64_t shape[] = {8, 16, 10, 10};
    norma_tensor tensors[NORMA_ARG_COUNT] = {0};
    norma_problem problem = norma_problem_defaults(NORMA_BATCH_NORM);
    tensors[NORMA_ARG_X] = tensor(NORMA_ARG_X, 4, shape);
    tensors[NORMA_ARG_Y] = tensor(NORMA_ARG_Y, 4, shape);
    tensors[NORMA_ARG_WEIGHT] = tensor(NORMA_ARG_WEIGHT, 1, shape + 1);
    tensors[NORMA_ARG_BIAS] = tensor(NORMA_ARG_BIAS, 1, shape + 1);
    problem.training = 1, problem.x = &tensors[NORMA_ARG_X], problem.y = &tensors[NORMA_ARG_Y];
    problem.weight = &tensors[NORMA_ARG_WEIGHT], problem.bias = &tensors[NORMA_ARG_BIAS];
    return compare("batch norm in training", &problem, tensors, 0);
}

// Rows without elements: y has none either, but each row has a mean and an rstd.
static int empty_rows(void)
{
    const int64_t shape[] = {ROWS, 0}, rows[] = {ROWS, 1};
    norma_tensor tensors[NORMA_ARG_COUNT] = {0};
    norma_problem problem = norma_problem_defaults(NORMA_LAYER_NORM);
    tensors[NORMA_ARG_X] = tensor(NORMA_ARG_X, 2, shape);
    tensors[NORMA_ARG_Y] = tensor(NORMA_ARG_Y, 2, shape);
    tensors[NORMA_ARG_MEAN] = tensor(NORMA_ARG_MEAN, 2, rows);
    tensors[NORMA_ARG_RSTD] = tensor(NORMA_ARG_RSTD, 2, rows);
    problem.x = &tensors[NORMA_ARG_X], problem.y = &tensors[NORMA_ARG_Y];
    problem.mean = &tensors[NORMA_ARG_MEAN], problem.rstd = &tensors[NORMA_ARG_RSTD];
    return compare("layer norm of empty rows", &problem, tensors, 0);
}

int main(void)
{
    static const struct {
        norma_arg arg;
        uint64_t place;
    } all[] = {{NORMA_ARG_X, X},
               {NORMA_ARG_Y, Y},
               {NORMA_ARG_WEIGHT, WEIGHT},
               {NORMA_ARG_BIAS, BIAS},
               {NORMA_ARG_MEAN, MEAN},
               {NORMA_ARG_RSTD, RSTD},
               {NORMA_ARG_ROW_COUNT, ROW_COUNT},
               {NORMA_ARG_WORKSPACE, WORKSPACE}};
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_device_info info = {.size = sizeof(info)};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        place[all[i].arg] = all[i].place * PLACE;
    params.device = "vulkan:0";
    CHECK(norma_context_create(&params, &context));
    CHECK(norma_context_find_device(context, params.device, &device));
    CHECK(norma_device_get_info(device, &info));
    runner_open(info.name);
    const int differ = layer_norm(0) + layer_norm(1) + batch_norm() + empty_rows();
    norma_context_destroy(&context);
    return differ > 0;
}
