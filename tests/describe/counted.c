// Descriptions of rows whose number is known on the device alone, by every variant: as many rows as the count says have
// the bits of the plan's run of all rows, and no other byte changes.
#include "counted.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Rows of several chunks, and of one; PLACE: bytes for each tensor and the workspace.
enum { ROWS = 7, LONG = 5001, SHORT = 96, MOST = ROWS * LONG, PLACE = 1 << 20, CANARY = 0xA5 };
enum { COUNT, X, Y, WORKSPACE, PLACES };

struct counted {
    const struct runner *runner;
    norma_context *context;
    norma_device *device;
    norma_tensor x, y;
    norma_problem problem;
    float values[MOST], expected[MOST];
    int passed, failures;
};

static void fail(struct counted *c, const char *variant, const char *what)
{
    printf("FAIL %s: counted rows of %s, variant %s: %s\n", c->runner->device, norma_op_name(c->problem.op), variant,
           what);
    c->failures++;
}

// Bits of a variant do not depend on the number of rows, and those of all variants are the same.
static bool make_problem(struct counted *c, norma_op op, int64_t n)
{
    const int64_t shape[] = {ROWS, n};
    for (int i = 0; i < ROWS * n; i++)
        c->values[i] = (float)(i * 37 % 1009) / 64.0F - 5.0F;
    c->x = norma_tensor_host(NORMA_FLOAT32, 2, shape, c->values);
    c->y = norma_tensor_host(NORMA_FLOAT32, 2, shape, c->expected);
    c->problem = norma_problem_defaults(op);
    c->problem.x = &c->x;
    c->problem.y = &c->y;
    return norma_run(c->context, &c->problem) == NORMA_OK;
}

// What a dispatch has written for the indirect ones: of all rows it is what they have where the number is known.
static bool has_groups(const norma_description *plan, const unsigned char *workspace)
{
    for (size_t i = 0; i < plan->dispatch_count; i++) {
        const norma_dispatch *d = &plan->dispatches[i];
        if (d->indirect && memcmp(workspace + d->groups_offset, d->groups, sizeof d->groups) != 0)
            return false;
    }
    return true;
}

// NULL, or what is wrong. The memory's bytes are CANARY where nothing was put.
static const char *run(const struct counted *c, const norma_description *plan, unsigned char *memory, uint32_t count)
{
    uint64_t place[RUNNER_PLACES] = {0};
    const size_t row = (size_t)c->x.shape[1] * sizeof(float), rows = count < ROWS ? count : ROWS;
    place[NORMA_ARG_X] = (uint64_t)X * PLACE;
    place[NORMA_ARG_Y] = (uint64_t)Y * PLACE;
    place[NORMA_ARG_WORKSPACE] = (uint64_t)WORKSPACE * PLACE;
    memset(memory, CANARY, (size_t)PLACES * PLACE);
    memcpy(memory, &count, sizeof count);
    memcpy(memory + (size_t)X * PLACE, c->values, ROWS * row);
    if (!c->runner->run(plan, memory, (uint64_t)PLACES * PLACE, place))
        return "it did not run";
    if (memcmp(memory + (size_t)Y * PLACE, c->expected, rows * row) != 0)
        return "other bits than those of all rows";
    for (size_t i = (size_t)Y * PLACE + rows * row; i < (size_t)WORKSPACE * PLACE; i++)
        if (memory[i] != CANARY)
            return "a byte behind the rows was changed";
    if (rows == ROWS && !has_groups(plan, memory + (size_t)WORKSPACE * PLACE))
        return "other workgroups than those of all rows";
    return memcmp(memory + (size_t)X * PLACE, c->values, ROWS * row) ? "x was changed" : NULL;
}

static void test_variant(struct counted *c, const char *variant, unsigned char *memory)
{
    static const uint32_t counts[] = {3, 0, ROWS, 1, 1000};
    norma_description *plan = NULL;
    const norma_status status = norma_describe_counted(c->device, &c->problem, variant, &plan);
    const char *name = variant ? variant : "by the planner", *wrong = NULL;
    if (status == NORMA_ERROR_UNSUPPORTED && variant)
        return;
    if (status != NORMA_OK)
        wrong = norma_last_error();
    else if (!plan->counted || plan->workspace == 0 || plan->workspace > PLACE)
        wrong = "no room for the count";
    for (size_t i = 0; i < sizeof counts / sizeof *counts && !wrong; i++)
        wrong = run(c, plan, memory, counts[i]);
    if (wrong)
        fail(c, name, wrong);
    else
        c->passed++;
    norma_description_destroy(&plan);
}

// What is not counted has no such description.
static void test_refusal(struct counted *c, norma_op op, int64_t rows)
{
    norma_description *plan = NULL;
    const int64_t shape[] = {rows, 8, 8};
    norma_problem problem = norma_problem_defaults(op);
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 3, shape, NULL);
    problem.x = problem.y = &x;
    problem.num_groups = op == NORMA_GROUP_NORM ? 2 : 0;
    if (norma_describe_counted(c->device, &problem, NULL, &plan) != NORMA_ERROR_UNSUPPORTED || plan ||
        strncmp(norma_last_error(), "problem: rows are", 17) != 0)
        fail(c, "by the planner", "described although its rows are not counted");
    norma_description_destroy(&plan);
}

void counted_test(const struct runner *runner, norma_context *context, norma_device *device, bool variants, int *passed,
                  int *failures)
{
    struct counted *c = calloc(1, sizeof *c);
    unsigned char *memory = malloc((size_t)PLACES * PLACE);
    const char *variant;
    if (!c || !memory) {
        puts("FAIL: out of memory");
        ++*failures;
    } else {
        c->runner = runner;
        c->context = context;
        c->device = device;
        for (int i = 0; i < 4; i++) {
            if (!make_problem(c, i % 2 ? NORMA_RMS_NORM : NORMA_LAYER_NORM, i < 2 ? LONG : SHORT))
                fail(c, "none", norma_last_error());
            test_variant(c, NULL, memory);
            for (size_t v = 0; variants && i % 2 == 0 && (variant = norma_device_variant(device, v)); v++)
                if (strncmp(variant, "registers", 9) != 0) // a CPU driver compiles them for a minute
                    test_variant(c, variant, memory);
        }
        test_refusal(c, NORMA_GROUP_NORM, 3);
        test_refusal(c, NORMA_LAYER_NORM, 0);
        *passed += c->passed;
        *failures += c->failures;
    }
    free(memory);
    free(c);
}
