#include "programs.h"
#include "execute.h"
#include "problem.h"
#include "strided_case.h"
#include <string.h>

enum { MOST_PROGRAMS = 1024, CASES = 1064, SEED = 1 };

static norma_dispatch programs[MOST_PROGRAMS];
static size_t program_count;

static bool same(const norma_dispatch *a, const norma_dispatch *b)
{
    bool alike = !strcmp(a->kernel, b->kernel) && a->constant_count == b->constant_count;
    for (uint32_t i = 0; alike && i < a->constant_count; i++)
        alike = a->constants[i].id == b->constants[i].id && a->constants[i].value == b->constants[i].value;
    return alike;
}

static void add(norma_device *device, norma_dispatch dispatch)
{
    NORMA(device->backend->describe(device, &dispatch));
    for (size_t i = 0; i < program_count; i++)
        if (same(&programs[i], &dispatch))
            return;
    if (program_count == MOST_PROGRAMS)
        DIE("over %d programs", MOST_PROGRAMS);
    programs[program_count++] = dispatch;
}

// Rows of that length by each variant that takes them.
static void add_rows(norma_device *device, norma_op op, int64_t n, norma_dtype dtype, bool residual)
{
    const int64_t shape[] = {64, n};
    const norma_tensor x = norma_tensor_host(dtype, 2, shape, NULL);
    norma_problem p = norma_problem_defaults(op);
    struct norma_work work;
    p.x = p.y = &x;
    p.residual = residual ? &x : NULL;
    NORMA(norma_work_from_problem(&p, NORMA_PLACE_NONE, &work));
    const char *name;
    for (size_t i = 0; (name = norma_variant_name(&device->caps, i)) != NULL; i++) {
        const struct norma_plan_options options = norma_execute_options(device, name, NORMA_MEMORY_RESIDENT, 0);
        struct norma_schedule schedule = {0};
        const norma_status status = norma_schedule_programs(&work.rows, &device->caps, &options, &schedule);
        for (size_t k = 0; status == NORMA_OK && k < schedule.dispatch_count; k++)
            add(device, schedule.dispatches[k]);
        norma_schedule_finish(&schedule);
    }
}

// few: layer norm of float32 and float16, and of those that hold a row in registers the smallest and the largest team.
static void add_all_rows(norma_device *device, bool few)
{
    static const int64_t all[] = {64, 512, 768, 1024, 2048, 4096, 8192, 16384, 40000, 300000},
                         ends[] = {64, 16384, 40000};
    const int64_t *lengths = few ? ends : all;
    const size_t count = few ? sizeof ends / sizeof *ends : sizeof all / sizeof *all;
    static const norma_dtype dtypes[] = {NORMA_FLOAT32, NORMA_FLOAT16, NORMA_BFLOAT16};
    const size_t types = few ? 2 : sizeof dtypes / sizeof *dtypes;
    for (int op = 0; op < (few ? 1 : 2); op++)
        for (size_t i = 0; i < count; i++)
            for (size_t t = 0; t < types; t++)
                for (int residual = 0; residual < 2; residual++)
                    add_rows(device, op ? NORMA_RMS_NORM : NORMA_LAYER_NORM, lengths[i], dtypes[t], residual);
}

// Every operator in each direction, type and layout, as the check suite makes them.
static void add_strided(norma_device *device)
{
    for (uint64_t i = 0; i < CASES; i++) {
        static struct strided_case c;
        norma_tensor views[NORMA_ARG_COUNT];
        norma_dispatch needed[NORMA_FORM_PROGRAMS];
        struct norma_work work;
        strided_case_make(&c, SEED, i);
        for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
            views[arg] = strided_view(&c, (norma_arg)arg, NULL, NULL);
        const norma_problem problem = strided_problem(&c, views);
        if (norma_work_from_problem(&problem, NORMA_PLACE_NONE, &work) != NORMA_OK || !work.strided ||
            work.form.float64 || work.n == 0 || work.groups == 0)
            continue;
        const size_t count = norma_form_programs(&work.form, &device->caps, needed);
        for (size_t k = 0; k < count; k++)
            add(device, needed[k]);
    }
}

size_t static_programs(norma_device *device, bool few, const norma_dispatch **list)
{
    add_all_rows(device, few);
    add_strided(device);
    *list = programs;
    return program_count;
}
