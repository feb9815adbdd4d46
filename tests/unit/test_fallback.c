// Kernels that a driver does not compile: the next variant takes their place with the same bits, and the log says so
// once. A variant that was asked for by name is an error instead.
#include "context.h"
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs stdarg and setjmp
#include <cmocka.h>

#ifdef NORMA_HAVE_OPENCL
#include "opencl/loader.h"
#endif
#ifdef NORMA_HAVE_VULKAN
#include "vulkan/nvk.h"
#endif

enum { ROWS = 96, LENGTH = 768, IMAGES = 4, CHANNELS = 8, SPACE = 36 };

static int dropped, texels; // lines of the log: variants, modules of a variant
static char last_line[256];

static void keep(void *user, int level, const char *message)
{
    (void)user;
    texels += strstr(message, "are no longer used") != NULL;
    if (level > 1 || !strstr(message, "is no longer used"))
        return;
    dropped++;
    snprintf(last_line, sizeof last_line, "%s", message);
}

static norma_context *open_driver(const char *driver, norma_device **device)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    params.device = driver;
    params.cache_dir = "";
    params.log = keep;
    assert_int_equal(norma_context_create(&params, &context), NORMA_OK);
    assert_int_equal(norma_context_find_device(context, driver, device), NORMA_OK);
    dropped = texels = 0;
    return context;
}

struct rows {
    uint16_t x[ROWS * LENGTH], y[ROWS * LENGTH]; // bfloat16, which the self-test has compiled nothing for
    norma_tensor tx, ty;
};

static norma_problem rows_problem(struct rows *r)
{
    static const int64_t shape[] = {ROWS, LENGTH};
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    for (int i = 0; i < ROWS * LENGTH; i++)
        r->x[i] = (uint16_t)(0x3f80 + i * 37 % 101); // 1 to 2
    memset(r->y, 0, sizeof r->y);
    r->tx = norma_tensor_host(NORMA_BFLOAT16, 2, shape, r->x);
    r->ty = norma_tensor_host(NORMA_BFLOAT16, 2, shape, r->y);
    p.x = &r->tx;
    p.y = &r->ty;
    return p;
}

struct images {
    float x[IMAGES * CHANNELS * SPACE], y[IMAGES * CHANNELS * SPACE];
    norma_tensor tx, ty;
};

static norma_problem images_problem(struct images *m)
{
    static const int64_t shape[] = {IMAGES, CHANNELS, SPACE};
    norma_problem p = norma_problem_defaults(NORMA_BATCH_NORM);
    for (int i = 0; i < IMAGES * CHANNELS * SPACE; i++)
        m->x[i] = (float)(i * 37 % 101) * 0.25f;
    memset(m->y, 0, sizeof m->y);
    m->tx = norma_tensor_host(NORMA_FLOAT32, 3, shape, m->x);
    m->ty = norma_tensor_host(NORMA_FLOAT32, 3, shape, m->y);
    p.training = 1;
    p.x = &m->tx;
    p.y = &m->ty;
    return p;
}

static void works(norma_context *context, const norma_problem *p)
{
    if (norma_run(context, p) != NORMA_OK)
        fail_msg("%s", norma_last_error());
}

// The bits of a driver that compiles everything.
static void want_bits(const char *driver, struct rows *r, struct images *m)
{
    norma_device *device;
    norma_context *context = open_driver(driver, &device);
    const norma_problem rows = rows_problem(r), images = images_problem(m);
    works(context, &rows);
    works(context, &images);
    assert_int_equal(dropped, 0);
    norma_context_destroy(&context);
}

static void expect_same(const struct rows *r, const struct rows *want)
{
    assert_memory_equal(r->y, want->y, sizeof r->y);
}

// A plan on buffers: what is dropped, is when it is made.
static void run_plan(norma_device *device, struct rows *r)
{
    norma_problem p = rows_problem(r);
    norma_buffer *buffer = NULL;
    norma_plan *plan = NULL;
    norma_event *event = NULL;
    assert_int_equal(norma_buffer_create(device, 2 * sizeof r->x, &buffer), NORMA_OK);
    assert_int_equal(norma_buffer_write(buffer, 0, r->x, sizeof r->x), NORMA_OK);
    r->tx = norma_tensor_buffer(NORMA_BFLOAT16, 2, r->tx.shape, buffer, 0);
    r->ty = norma_tensor_buffer(NORMA_BFLOAT16, 2, r->ty.shape, buffer, sizeof r->x);
    if (norma_plan_create(device, &p, NULL, &plan) != NORMA_OK)
        fail_msg("%s", norma_last_error());
    norma_device_info before = {.size = sizeof before}, after = before;
    assert_int_equal(norma_device_get_info(device, &before), NORMA_OK);
    assert_int_equal(norma_plan_run(plan, &p, &event), NORMA_OK);
    assert_int_equal(norma_event_wait(event), NORMA_OK);
    assert_int_equal(norma_device_get_info(device, &after), NORMA_OK);
    assert_int_equal(before.programs, after.programs); // a run compiles nothing
    norma_event_destroy(&event);
    norma_plan_destroy(&plan);
    assert_int_equal(norma_buffer_read(buffer, sizeof r->x, r->y, sizeof r->y), NORMA_OK);
    norma_buffer_destroy(&buffer);
}

static void expect_named_refused(norma_device *device, struct rows *r, const char *variant)
{
    const norma_problem p = rows_problem(r);
    norma_plan_params params = NORMA_PLAN_DEFAULTS;
    norma_plan *plan = NULL;
    params.variant = variant;
    assert_int_equal(norma_plan_create(device, &p, &params, &plan), NORMA_ERROR_UNSUPPORTED);
    assert_null(plan);
}

// What a driver's test changes: which kernels do not compile.
struct forbidding {
    void (*begin)(const char *what); // "rows": the first variant's; "quads", "all"; NULL: nothing
    const char *driver, *named;
};

static void check_rows(const struct forbidding *f, const struct rows *want)
{
    static struct rows r;
    norma_device *device;
    norma_context *context = open_driver(f->driver, &device);
    f->begin("rows");
    expect_named_refused(device, &r, f->named);
    assert_int_equal(dropped, 0); // nor does that say anything about the others
    norma_problem p = rows_problem(&r);
    works(context, &p);
    expect_same(&r, want);
    const int lines = dropped;
    assert_true(lines > 0);
    assert_non_null(strstr(last_line, f->driver)); // which device
    p = rows_problem(&r);
    works(context, &p);
    expect_same(&r, want);
    run_plan(device, &r);
    expect_same(&r, want);
    assert_int_equal(dropped, lines);
    assert_true(texels <= 1);
    f->begin(NULL);
    norma_context_destroy(&context);
    context = open_driver(f->driver, &device);
    f->begin("rows");
    run_plan(device, &r); // first of all
    expect_same(&r, want);
    assert_true(dropped > 0);
    f->begin(NULL);
    norma_context_destroy(&context);
}

static void check_quads(const struct forbidding *f, const struct images *want)
{
    static struct images m;
    norma_device *device;
    norma_plan *plan = NULL;
    for (int with_plan = 0; with_plan < 2; with_plan++) {
        norma_context *context = open_driver(f->driver, &device);
        f->begin("quads");
        const norma_problem p = images_problem(&m);
        if (with_plan) {
            assert_int_equal(norma_plan_create(device, &p, NULL, &plan), NORMA_OK);
            norma_plan_destroy(&plan);
            assert_int_equal(dropped, 1);
        }
        works(context, &p);
        works(context, &p);
        assert_memory_equal(m.y, want->y, sizeof m.y);
        assert_int_equal(dropped, 1);
        assert_non_null(strstr(last_line, "quads"));
        f->begin(NULL);
        norma_context_destroy(&context);
    }
}

static void check_nothing_left(const struct forbidding *f)
{
    static struct rows r;
    static struct images m;
    norma_device *device;
    norma_context *context = open_driver(f->driver, &device);
    norma_plan *plan = NULL;
    f->begin("all");
    const norma_problem rows = rows_problem(&r), images = images_problem(&m);
    assert_int_equal(norma_run(context, &rows), NORMA_ERROR_UNSUPPORTED);
    assert_int_equal(norma_run(context, &images), NORMA_ERROR_UNSUPPORTED);
    assert_int_equal(norma_plan_create(device, &rows, NULL, &plan), NORMA_ERROR_UNSUPPORTED);
    assert_int_equal(norma_plan_create(device, &images, NULL, &plan), NORMA_ERROR_UNSUPPORTED);
    f->begin(NULL);
    norma_context_destroy(&context);
}

static void check(const struct forbidding *f)
{
    static struct rows rows;
    static struct images images;
    want_bits(f->driver, &rows, &images);
    check_rows(f, &rows);
    check_quads(f, &images);
    check_nothing_left(f);
}

#ifdef NORMA_HAVE_VULKAN
// The modules, as the build names them.
// clang-format off
#define MODULES(X) \
    X(row_whole_subgroup) X(row_stats_subgroup) X(row_merge_subgroup) X(row_apply_subgroup) \
    X(row_whole_lean_subgroup) X(column_stats) X(column_apply) X(plane_stats) X(plane_apply)
// clang-format on
#define X(name)                         \
    extern const uint32_t nvk_##name[]; \
    extern const size_t nvk_##name##_size;
MODULES(X)
#undef X
static const struct {
    const char *name;
    const uint32_t *code;
    const size_t *size;
} modules[] = {
#define X(name) {#name, nvk_##name, &nvk_##name##_size},
    MODULES(X)
#undef X
};

static struct nvk_api real;
static const char *forbidden;
static bool null_handles, this_one;

// What the backend adds to a module for a driver stands near its beginning.
static bool has_code(const VkShaderModuleCreateInfo *info, const uint32_t *code, size_t size)
{
    const size_t half = size / 8 * 4;
    return info->codeSize >= size &&
           memcmp((const char *)info->pCode + info->codeSize - half, (const char *)code + size - half, half) == 0;
}

static bool is_forbidden(const VkShaderModuleCreateInfo *info)
{
    if (!forbidden)
        return false;
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (has_code(info, modules[i].code, *modules[i].size) &&
            !strcmp(forbidden, strncmp(modules[i].name, "row_", 4) ? "quads" : "rows"))
            return true;
    return !strcmp(forbidden, "all");
}

static VKAPI_ATTR VkResult VKAPI_CALL note_module(VkDevice device, const VkShaderModuleCreateInfo *info,
                                                  const VkAllocationCallbacks *callbacks, VkShaderModule *module)
{
    this_one = is_forbidden(info); // its pipeline is the next that is made
    return real.CreateShaderModule(device, info, callbacks, module);
}

static VKAPI_ATTR VkResult VKAPI_CALL make_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                     const VkComputePipelineCreateInfo *infos,
                                                     const VkAllocationCallbacks *callbacks, VkPipeline *pipelines)
{
    if (!this_one)
        return real.CreateComputePipelines(device, cache, count, infos, callbacks, pipelines);
    for (uint32_t i = 0; i < count; i++)
        pipelines[i] = VK_NULL_HANDLE;
    return null_handles ? VK_SUCCESS : VK_ERROR_UNKNOWN;
}

static void take_pipelines(struct nvk_api *api)
{
    if (!api->CreateShaderModule) // no instance yet
        return;
    real = *api;
    api->CreateShaderModule = note_module;
    api->CreateComputePipelines = make_pipelines;
}

static void forbid_modules(const char *what)
{
    forbidden = what;
    this_one = false;
}

static void test_vulkan(void **state)
{
    (void)state;
    const struct forbidding f = {forbid_modules, "vulkan", "team-subgroup"};
    nvk_api_hook = take_pipelines;
    for (int null = 0; null < 2; null++) {
        null_handles = null;
        check(&f);
    }
    nvk_api_hook = NULL;
}
#endif

#ifdef NORMA_HAVE_OPENCL
static struct ncl_api real_cl;
static const char *forbidden_cl;

static CL_API_ENTRY cl_int CL_API_CALL build(cl_program program, cl_uint count, const cl_device_id *ids,
                                             const char *options, void(CL_CALLBACK *notify)(cl_program, void *),
                                             void *user)
{
    const bool serial = strstr(options, "-DTEAM=1 ") != NULL,
               quad = strstr(options, "_ONLY_column_") || strstr(options, "_ONLY_plane_");
    if (forbidden_cl && (!strcmp(forbidden_cl, "all") || (!strcmp(forbidden_cl, "rows") && serial) ||
                         (!strcmp(forbidden_cl, "quads") && quad)))
        return CL_BUILD_PROGRAM_FAILURE;
    return real_cl.BuildProgram(program, count, ids, options, notify, user);
}

static void take_builds(struct ncl_api *api)
{
    real_cl = *api;
    api->BuildProgram = build;
}

static void forbid_programs(const char *what)
{
    forbidden_cl = what;
}

static void test_opencl(void **state)
{
    (void)state;
    const struct forbidding f = {forbid_programs, "opencl", "serial"};
    ncl_api_hook = take_builds;
    check(&f);
    ncl_api_hook = NULL;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef NORMA_HAVE_VULKAN
        cmocka_unit_test(test_vulkan),
#endif
#ifdef NORMA_HAVE_OPENCL
        cmocka_unit_test(test_opencl),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
