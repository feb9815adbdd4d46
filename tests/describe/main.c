// norma-describe-suite: the description of every operator in each direction, run on the test's own Vulkan and OpenCL
// objects, against a run of Norma's plan on the same tensors: the bits are the same. The cases are those of the check
// suite, which holds the plan against long double arithmetic.
//   norma-describe-suite [DEVICE [counted]]     counted: rows with a count alone, by the planner's variants
//   norma-describe-suite DEVICE outside         a dispatch that reads behind a buffer, for validation to find
#include "counted.h"
#include "outside.h"
#include "strided_case.h"
#include "strided_judge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// CASES of a kind: of an operator in one direction, those with rows for the row kernels, all others, and empty ones.
enum kind { STRIDED, ROWS, EMPTY, KINDS };
enum { ROUNDS = 8, CASES = 2, MOST_ELEMENTS = 8000, GAP = 512, CANARY = 0xA5 };

static const struct runner *const runners[] = {
#ifdef RUN_OPENCL
    &runner_opencl,
#endif
#ifdef RUN_VULKAN
    &runner_vulkan,
#endif
};

// Each has to run.
static const char *const kernels[] = {
    "row_whole",
    "row_stats",
    "row_merge",
    "row_apply",
#define X(name) #name,
#include "vulkan/strided_modules.h"
#undef X
};
enum { KERNELS = sizeof(kernels) / sizeof(*kernels) };

struct tester {
    const struct runner *runner;
    norma_device *device;
    bool ran[KERNELS + 1]; // the last one: a kernel that is not in the list
    int descriptions, passed, failures;
    bool seen[NORMA_OP_COUNT][2];
};

// The memory that a description runs on: the tensors and the workspace, each between canaries.
struct memory {
    unsigned char *bytes;
    bool *free; // bytes that somebody may write
    uint64_t size, place[RUNNER_PLACES];
};

static bool is_viewed(const struct strided_case *c, int arg)
{
    return c->tensor[arg].present && (int)c->tensor[arg].view == arg;
}

static bool lay_out(const struct strided_case *c, const norma_description *plan, struct memory *m)
{
    uint64_t at = 0;
    for (int arg = 0; arg < RUNNER_PLACES; arg++) {
        const bool workspace = arg == NORMA_ARG_WORKSPACE;
        if (!workspace && (arg >= NORMA_ARG_COUNT || !is_viewed(c, arg)))
            continue;
        m->place[arg] = (at + GAP + plan->alignment - 1) / plan->alignment * plan->alignment;
        at = m->place[arg] + (workspace ? plan->workspace : c->tensor[arg].span);
    }
    m->size = at + GAP;
    m->bytes = malloc(m->size);
    m->free = calloc(m->size, sizeof(*m->free));
    if (!m->bytes || !m->free)
        return false;
    memset(m->bytes, CANARY, m->size);
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct strided_tensor *t = &c->tensor[arg];
        m->place[arg] = m->place[t->view];
        if (!is_viewed(c, arg))
            continue;
        memcpy(m->bytes + m->place[arg], c->arena + t->begin, t->span);
        memset(m->free + m->place[arg], 1, t->span);
    }
    memset(m->free + m->place[NORMA_ARG_WORKSPACE], 1, plan->workspace);
    return true;
}

static void write_fills(const struct strided_case *c, const norma_description *plan, struct memory *m)
{
    norma_tensor views[NORMA_ARG_COUNT];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(c, (norma_arg)arg, NULL, NULL);
    runner_fill(plan, views, m->bytes, m->place);
}

// What the description makes of the case's arena. False after a message.
static bool run_description(struct tester *t, const struct strided_case *c, const norma_description *plan,
                            unsigned char *arena)
{
    struct memory m = {0};
    bool good = lay_out(c, plan, &m);
    if (good)
        write_fills(c, plan, &m);
    if (good && plan->dispatch_count > 0)
        good = t->runner->run(plan, m.bytes, m.size, m.place);
    memcpy(arena, c->arena, c->arena_size);
    for (int arg = 0; good && arg < NORMA_ARG_COUNT; arg++)
        if (is_viewed(c, arg))
            memcpy(arena + c->tensor[arg].begin, m.bytes + m.place[arg], c->tensor[arg].span);
    for (uint64_t i = 0; good && i < m.size; i++)
        if (!m.free[i] && m.bytes[i] != CANARY) {
            printf("byte %llu of the memory, which is no tensor's, was changed\n", (unsigned long long)i);
            good = false;
        }
    free(m.free);
    free(m.bytes);
    return good;
}

static norma_status run_plan(struct tester *t, const struct strided_case *c, unsigned char *arena)
{
    norma_tensor views[NORMA_ARG_COUNT];
    norma_buffer *buffer = NULL;
    norma_plan *plan = NULL;
    norma_event *event = NULL;
    norma_status status = norma_buffer_create(t->device, c->arena_size, &buffer);
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(c, (norma_arg)arg, NULL, buffer);
    const norma_problem problem = strided_problem(c, views);
    if (status == NORMA_OK)
        status = norma_buffer_write(buffer, 0, c->arena, c->arena_size);
    if (status == NORMA_OK)
        status = norma_plan_create(t->device, &problem, NULL, &plan);
    if (status == NORMA_OK)
        status = norma_plan_run(plan, &problem, &event);
    if (status == NORMA_OK)
        status = norma_event_wait(event);
    if (status == NORMA_OK)
        status = norma_buffer_read(buffer, 0, arena, c->arena_size);
    norma_event_destroy(&event);
    norma_plan_destroy(&plan);
    norma_buffer_destroy(&buffer);
    return status;
}

static int find_kernel(const char *name)
{
    int k = 0;
    while (k < KERNELS && strcmp(kernels[k], name) != 0)
        k++;
    return k;
}

// Marks the description's kernels as run. Returns how many have not run before.
static int count_kernels(bool ran[KERNELS + 1], const norma_description *plan)
{
    int fresh = 0;
    for (size_t i = 0; i < plan->dispatch_count; i++) {
        bool *it = &ran[find_kernel(plan->dispatches[i].kernel)];
        fresh += !*it;
        *it = true;
    }
    return fresh;
}

// Whether both arenas hold the same, but for the bits of NaNs, which variants need not have in common.
static bool is_same(const struct strided_case *c, unsigned char *arena, const unsigned char *expected)
{
    const struct check_subject subject = strided_subject(c);
    const uint64_t size = check_outputs_size(&subject) + 1;
    unsigned char *outputs = malloc(size), *right = malloc(size);
    char message[200] = "out of memory";
    bool same = outputs && right;
    if (same) {
        check_gather(&subject, arena, outputs);
        check_gather(&subject, expected, right);
        same = check_same_bits(&subject, outputs, right, message, sizeof(message));
    }
    if (same) { // what lies around and between the outputs' elements
        subject.family->copy(c, arena, right, true);
        same = memcmp(arena, expected, c->arena_size) == 0;
        snprintf(message, sizeof(message), "bytes that are no output's differ");
    }
    if (!same)
        printf("%s\n", message);
    free(right);
    free(outputs);
    return same;
}

// The case by one variant. A variant by name may not suit it.
static void compare(struct tester *t, const struct strided_case *c, const char *variant, const unsigned char *expected,
                    unsigned char *arena)
{
    norma_tensor views[NORMA_ARG_COUNT];
    norma_description *plan = NULL;
    char text[1000];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(c, (norma_arg)arg, c->arena, NULL); // says which tensors are the same
    const norma_problem problem = strided_problem(c, views);
    const norma_status status = norma_describe(t->device, &problem, variant, &plan);
    if (status == NORMA_ERROR_UNSUPPORTED && variant)
        return;
    t->descriptions++;
    t->seen[c->problem.op][c->problem.direction] = true;
    const bool good = status == NORMA_OK && run_description(t, c, plan, arena);
    if (good && is_same(c, arena, expected)) {
        t->passed++;
        count_kernels(t->ran, plan);
    } else {
        t->failures++;
        strided_describe(c, text, sizeof(text));
        printf("FAIL %s: case %llu, variant %s: %s: %s\n", t->runner->device, (unsigned long long)c->index,
               variant ? variant : "by the planner",
               status != NORMA_OK ? norma_last_error()
               : good             ? "other bits than the plan's run"
                                  : "it did not run",
               text);
    }
    norma_description_destroy(&plan);
}

static void test_case(struct tester *t, const struct strided_case *c, enum kind kind)
{
    unsigned char *expected = malloc(c->arena_size), *arena = malloc(c->arena_size);
    const norma_status status = expected && arena ? run_plan(t, c, expected) : NORMA_ERROR_OUT_OF_MEMORY;
    if (status != NORMA_OK) {
        printf("FAIL %s: case %llu: the plan: %s\n", t->runner->device, (unsigned long long)c->index,
               norma_last_error());
        t->failures++;
    } else {
        compare(t, c, NULL, expected, arena);
        if (kind == STRIDED)
            compare(t, c, "strided", expected, arena);
        for (size_t i = 0; kind == ROWS && norma_device_variant(t->device, i); i++)
            compare(t, c, norma_device_variant(t->device, i), expected, arena);
    }
    free(arena);
    free(expected);
}

static bool find_kind(const struct strided_case *c, enum kind *kind)
{
    norma_tensor views[NORMA_ARG_COUNT];
    struct norma_work work;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(c, (norma_arg)arg, NULL, NULL);
    const norma_problem problem = strided_problem(c, views);
    if (c->float64 || c->total > MOST_ELEMENTS ||
        norma_work_from_problem(&problem, NORMA_PLACE_NONE, &work) != NORMA_OK)
        return false;
    *kind = work.groups == 0 || work.n == 0 ? EMPTY : work.strided ? STRIDED : ROWS;
    return true;
}

static bool has_new_kernel(const struct tester *t, const struct strided_case *c)
{
    norma_tensor views[NORMA_ARG_COUNT];
    norma_description *plan = NULL;
    bool ran[KERNELS + 1];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        views[arg] = strided_view(c, (norma_arg)arg, NULL, NULL);
    const norma_problem problem = strided_problem(c, views);
    memcpy(ran, t->ran, sizeof(ran));
    const bool is_new = norma_describe(t->device, &problem, NULL, &plan) == NORMA_OK && count_kernels(ran, plan) > 0;
    norma_description_destroy(&plan);
    return is_new;
}

// The first cases of each kind in a round of the check suite, which has every operator in each direction and layout,
// and those that bring a kernel. Few cases are small and for the row kernels: they come from further rounds, too.
static void test_cases(struct tester *t)
{
    int done[NORMA_OP_COUNT][2][KINDS] = {{{0}}};
    for (uint64_t index = 0; index < ROUNDS * STRIDED_ROUND; index++) {
        struct strided_case c;
        enum kind kind;
        strided_case_make(&c, 1, index);
        if (!find_kind(&c, &kind) || (index >= STRIDED_ROUND && kind != ROWS))
            continue;
        int *count = &done[c.problem.op][c.problem.direction][kind];
        if (*count >= CASES && !has_new_kernel(t, &c))
            continue;
        ++*count;
        if (strided_case_fill(&c)) {
            test_case(t, &c, kind);
        } else {
            printf("FAIL case %llu: out of memory\n", (unsigned long long)index);
            t->failures++;
        }
        strided_case_finish(&c);
    }
}

static void fail_missing(struct tester *t, const char *what, const char *more)
{
    printf("FAIL %s: no case of %s%s\n", t->runner->device, what, more);
    t->failures++;
}

// Every operator in each direction that it has, and every kernel.
static void check_seen(struct tester *t)
{
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; op++)
        for (int backward = 0; backward < 2; backward++)
            if (!t->seen[op][backward] && !(op == NORMA_LOCAL_RESPONSE_NORM && backward))
                fail_missing(t, norma_op_name((norma_op)op), backward ? " backward" : "");
    for (int k = 0; k < KERNELS; k++)
        if (!t->ran[k])
            fail_missing(t, kernels[k], "");
    if (t->ran[KERNELS])
        fail_missing(t, "kernels", " that are in no list");
}

static void test_device(struct tester *t, const char *part)
{
    const bool all = !strcmp(part, "all");
    int counted = 0;
    norma_context *context = NULL;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_device_info info = {.size = sizeof(info)};
    params.device = t->runner->device;
    if (norma_context_create(&params, &context) != NORMA_OK ||
        norma_context_find_device(context, t->runner->device, &t->device) != NORMA_OK ||
        norma_device_get_info(t->device, &info) != NORMA_OK) {
        printf("FAIL %s: %s\n", t->runner->device, norma_last_error());
        t->failures++;
    } else if (!t->runner->open(info.name)) {
        t->failures++;
    } else if (!strcmp(part, "outside")) {
        *(outside_run(t->runner, t->device) ? &t->passed : &t->failures) += 1;
        t->runner->close();
    } else {
        counted_test(t->runner, context, t->device, all, &counted, &t->failures);
        if (all) {
            test_cases(t);
            check_seen(t);
        }
        t->runner->close();
    }
    norma_context_destroy(&context);
    printf("%s: %d of %d descriptions gave the plan's bits, %d of rows with a count\n", t->runner->device, t->passed,
           t->descriptions, counted);
    t->passed += counted;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(runners) / sizeof(*runners); i++) {
        struct tester t = {.runner = runners[i]};
        if (argc > 1 && strcmp(argv[1], t.runner->device) != 0)
            continue;
        test_device(&t, argc > 2 ? argv[2] : "all");
        passed += t.passed;
        failed += t.failures;
    }
    printf("describe suite: %d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
