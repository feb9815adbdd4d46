// The planner on devices that are made up: schedules are replayed (replay.c), limits and counts compared.
#include "replay.h"
#include "schedule.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static const struct norma_caps phone = {
    .api = NORMA_DRIVER_VULKAN,
    .kind = NORMA_DEVICE_INTEGRATED,
    .compute_units = 4,
    .memory = 2048 * MIB,
    .max_alloc = 256 * MIB,
    .max_range = MIB,
    .offset_align = 256,
    .max_groups = {255, 255, 255},
    .max_workgroup = 128,
    .local_memory = 16384,
    .subgroup_size = 4,
    .subgroup_shuffle = true, // too small to count
};
static const struct norma_caps wide_phone = {
    .api = NORMA_DRIVER_VULKAN,
    .kind = NORMA_DEVICE_INTEGRATED,
    .compute_units = 2,
    .memory = 2048 * MIB,
    .max_alloc = 256 * MIB,
    .max_range = MIB,
    .offset_align = 256,
    .max_groups = {15, 17, 19},
    .max_workgroup = 128,
    .local_memory = 16384,
    .subgroup_size = 64,
    .subgroup_shuffle = true,
    .max_iterations = 4000,
};
static const struct norma_caps discrete = {
    .api = NORMA_DRIVER_OPENCL,
    .kind = NORMA_DEVICE_DISCRETE,
    .compute_units = 100,
    .memory = 16384 * MIB,
    .max_alloc = 4096 * MIB,
    .max_range = 4096 * MIB,
    .offset_align = 512,
    .max_groups = {INT32_MAX, 65535, 65535},
    .max_workgroup = 1024,
    .local_memory = 49152,
    .subgroup_size = 32,
    .subgroup_shuffle = true,
};
static const struct norma_caps software = {
    // as lavapipe
    .api = NORMA_DRIVER_VULKAN, .kind = NORMA_DEVICE_CPU, .compute_units = 2, .memory = 8192 * MIB,
    .max_alloc = 2048 * MIB,    .max_range = 128 * MIB,   .offset_align = 16, .max_groups = {65535, 65535, 65535},
    .max_workgroup = 1024,      .local_memory = 32768,    .subgroup_size = 8, .subgroup_shuffle = true,
    .max_iterations = 65535,    .host_memory = true,
};
static const struct norma_caps cpu = {
    // as PoCL
    .api = NORMA_DRIVER_OPENCL, .kind = NORMA_DEVICE_CPU,
    .compute_units = 2,         .memory = 8192 * MIB,
    .max_alloc = 2048 * MIB,    .max_range = 2048 * MIB,
    .offset_align = 1,          .max_groups = {UINT32_MAX, UINT32_MAX, UINT32_MAX},
    .max_workgroup = 4096,      .local_memory = 262144,
    .host_memory = true,
};
static const struct norma_caps scalar = {
    .api = NORMA_DRIVER_SCALAR,
    .kind = NORMA_DEVICE_CPU,
    .compute_units = 2,
    .offset_align = 1,
    .max_groups = {1, 1, 1},
    .max_workgroup = 1,
    .host_memory = true,
};
static const struct norma_caps *const devices[] = {&phone, &wide_phone, &discrete, &software, &cpu, &scalar};
enum { DEVICES = sizeof devices / sizeof *devices };

static uint64_t seed;

static uint64_t below(uint64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

static norma_dtype random_type(void)
{
    return (norma_dtype)(NORMA_FLOAT32 + below(3));
}

// rows x n, x and y alone, contiguous.
static struct row_problem simple(int64_t rows, int64_t n, norma_dtype dtype)
{
    struct row_problem p = {
        .op = NORMA_LAYER_NORM, .eps = 1e-5f, .n = n, .rows = rows, .outer_rank = 1, .gate_rows = 1};
    p.outer[0] = rows;
    for (int i = 0; i < NORMA_ARG_COUNT; i++) {
        bool stats = i == NORMA_ARG_MEAN || i == NORMA_ARG_RSTD;
        p.arg[i] = (struct row_arg){.present = i <= NORMA_ARG_Y, .dtype = stats ? NORMA_FLOAT32 : dtype};
        p.arg[i].stride[0] = row_arg_is_shared((norma_arg)i) ? 0 : stats ? 1 : n;
        p.arg[i].length = stats ? 1 : n;
    }
    return p;
}

// Nested strides, in any order of the dimensions, with gaps now and then.
static void random_strides(struct row_problem *p, int i)
{
    int64_t step = p->arg[i].length;
    bool done[NORMA_MAX_RANK] = {false}, ordered = below(3) > 0, gaps = below(2);
    for (int k = p->outer_rank - 1; k >= 0; k--) {
        int d = k;
        while (!ordered && done[d = (int)below((uint64_t)p->outer_rank)])
            ;
        done[d] = true;
        if (gaps)
            step += (int64_t)(below(2) ? below(7) : 4 * below(5));
        p->arg[i].stride[d] = step;
        int64_t extent = p->outer[d];
        if (i == NORMA_ARG_GATE && d == p->outer_rank - 1)
            extent = (extent + p->gate_rows - 1) / p->gate_rows;
        step *= extent;
    }
}

static struct row_problem random_problem(uint64_t elements)
{
    int64_t n = (int64_t)(1 + below(below(2) ? 300 : below(2) ? 9000 : 600000));
    int64_t rows = (int64_t)(1 + below(below(3) ? 1 + elements / (uint64_t)n : 9));
    struct row_problem p = simple(1, n, random_type());
    p.op = below(2) ? NORMA_LAYER_NORM : NORMA_RMS_NORM;
    p.weight_offset = (float)below(2);
    p.outer_rank = (int32_t)(1 + below(3));
    for (int d = 0; d < p.outer_rank; d++) {
        p.outer[d] = d == p.outer_rank - 1 ? rows : (int64_t)(1 + below(rows < 40 ? (uint64_t)rows : 40));
        rows = 1 + rows / (p.outer[d] + 1);
    }
    for (int d = 0; d < p.outer_rank; d++)
        p.rows *= p.outer[d];
    p.gate_rows = below(2) ? 1 : (int64_t)(1 + below((uint64_t)p.outer[p.outer_rank - 1]));
    for (int i = 0; i < NORMA_ARG_COUNT; i++) {
        p.arg[i].present = i <= NORMA_ARG_Y || below(3) == 0;
        if (p.arg[i].length > 1 || i < NORMA_ARG_MEAN)
            p.arg[i].dtype = random_type();
        if (row_arg_is_shared((norma_arg)i))
            continue;
        random_strides(&p, i);
        bool repeats = i == NORMA_ARG_GATE || (!row_arg_is_output((norma_arg)i) && below(4) == 0);
        for (int d = 0; repeats && d < p.outer_rank; d++)
            if (below(2))
                p.arg[i].stride[d] = 0;
    }
    return p;
}

static struct norma_plan_options random_options(const struct norma_caps *caps)
{
    struct norma_plan_options o = {.memory = (enum norma_memory)below(3)};
    if (caps->api == NORMA_DRIVER_SCALAR)
        o.memory = NORMA_MEMORY_RESIDENT;
    if (below(3) == 0)
        o.memory_budget = (uint64_t)1 << (16 + below(14));
    o.unaligned = below(4) == 0;
    if (below(3) == 0)
        o.rate = exp2((double)below(20) + 16);
    return o;
}

// Bytes with which every problem must succeed: two slots of one chunk of everything, parameters, workspace.
static uint64_t enough(const struct row_problem *p)
{
    return (uint64_t)p->n * 3 * 4 + (uint64_t)p->n / 4096 * 17 + 14 * (4096 * 4 + 512) + 256;
}

static void fail_with(const char *wrong, const struct row_problem *p, size_t device, const struct norma_plan_options *o,
                      const struct norma_schedule *s)
{
    fail_msg("%s: rows %lld (%lld) n %lld, device %zu, memory %d, budget %llu, rate %g, variant %s, %u tiles", wrong,
             (long long)p->rows, (long long)p->outer[p->outer_rank - 1], (long long)p->n, device, (int)o->memory,
             (unsigned long long)o->memory_budget, o->rate, s->variant, s->tiles);
}

// Makes and replays a schedule; false where the planner says that it cannot be done.
static bool same_program(const norma_dispatch *a, const norma_dispatch *b)
{
    bool same = a->kernel == b->kernel && memcmp(a->local, b->local, sizeof a->local) == 0;
    for (uint32_t i = 0; i < a->constant_count; i++)
        same = same && a->constants[i].value == b->constants[i].value;
    return same;
}

static bool covers(const struct norma_schedule *all, const struct norma_schedule *some)
{
    for (size_t i = 0; i < some->dispatch_count; i++) {
        bool found = false;
        for (size_t k = 0; k < all->dispatch_count && !found; k++)
            found = same_program(&all->dispatches[k], &some->dispatches[i]);
        if (!found)
            return false;
    }
    return true;
}

// norma_schedule_programs has the schedule's programs, all of them and no others.
static bool same_programs(const struct row_problem *p, size_t device, const struct norma_plan_options *o,
                          const struct norma_schedule *s)
{
    struct norma_schedule programs;
    const norma_status status = norma_schedule_programs(p, devices[device], o, &programs);
    const bool same =
        status == NORMA_OK && programs.dispatch_count <= 8 && covers(&programs, s) && covers(s, &programs);
    norma_schedule_finish(&programs);
    return same;
}

static bool try_one(const struct row_problem *p, size_t device, const struct norma_plan_options *o)
{
    struct norma_schedule s;
    norma_status status = norma_schedule_rows(p, devices[device], o, &s);
    const char *wrong = status == NORMA_OK ? replay(p, devices[device], o, &s) : NULL;
    if (status == NORMA_OK && p->rows > 0 && p->n > 0 && o->variant && strcmp(s.variant, o->variant) != 0)
        wrong = "another variant than was asked for";
    if (status == NORMA_OK && !wrong && !same_programs(p, device, o, &s))
        wrong = "norma_schedule_programs gives other programs";
    if (wrong)
        fail_with(wrong, p, device, o, &s);
    norma_schedule_finish(&s);
    assert_true(status == NORMA_OK || status == NORMA_ERROR_UNSUPPORTED);
    return status == NORMA_OK;
}

static void test_random(void **state)
{
    (void)state;
    const char *given = getenv("NORMA_TEST_SEED");
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("NORMA_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < 12000; i++) {
        size_t device = below(DEVICES);
        struct row_problem p = random_problem(below(40) ? 100000 : 4000000);
        struct norma_plan_options o = random_options(devices[device]);
        if (!try_one(&p, device, &o) && (o.memory_budget == 0 || o.memory_budget >= enough(&p))) {
            struct norma_schedule s = {.variant = "none"};
            fail_with("refused", &p, device, &o, &s);
        }
    }
}

static void test_edges(void **state)
{
    (void)state;
    static const int64_t rows[] = {0, 1, 2, 3, 5, 64, 255, 65535, 65536, 65537};
    static const int64_t lengths[] = {0,    1,    3,     4,     511,   512,    513,    4095,
                                      4096, 4097, 16384, 16385, 20000, 262144, 262145, (1 << 20) + 1};
    for (size_t device = 0; device < DEVICES; device++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
                for (int memory = 0; memory < 3; memory++) {
                    struct norma_plan_options o = {.memory = (enum norma_memory)memory};
                    struct row_problem p = simple(rows[r], lengths[l], NORMA_BFLOAT16);
                    p.arg[NORMA_ARG_MEAN].present = memory == 2;
                    if (rows[r] * lengths[l] > 1 << 26 || (devices[device] == &scalar && memory))
                        continue;
                    assert_true(try_one(&p, device, &o));
                }
}

static void test_large(void **state)
{
    (void)state;
    static const struct {
        int64_t rows, n;
    } shapes[] = {{1, 300000000}, {2200000, 1000}, {262144, 1024}, {3, 1 << 24}, {1 << 22, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t device = 0; device < DEVICES; device++) {
            struct norma_plan_options o = {.memory_budget = 512 * MIB};
            if (devices[device] != &scalar)
                o.memory = (enum norma_memory)((i + device) % 3);
            norma_dtype dtype = o.memory == NORMA_MEMORY_IMPORT ? NORMA_BFLOAT16 : NORMA_FLOAT32;
            struct row_problem p = simple(shapes[i].rows, shapes[i].n, dtype);
            // A phone's range of 1 MiB has no room for the results of 73243 chunks.
            bool possible = !(devices[device]->max_range == MIB && p.n == 300000000);
            assert_int_equal(try_one(&p, device, &o), possible);
        }
}

static void test_tiles(void **state)
{
    (void)state;
    struct norma_schedule s;
    struct row_problem p = simple(262144, 1024, NORMA_FLOAT32);
    struct norma_plan_options o = {.memory = NORMA_MEMORY_RESIDENT};
    assert_int_equal(norma_schedule_rows(&p, &software, &o, &s), NORMA_OK);
    assert_int_equal(s.tiles, 8); // 1 GiB in ranges of 128 MiB
    assert_int_equal(s.tile_rows, 32768);
    norma_schedule_finish(&s);
    o.unaligned = true;
    assert_int_equal(norma_schedule_rows(&p, &software, &o, &s), NORMA_OK);
    assert_int_equal(s.tiles, 9);
    norma_schedule_finish(&s);
    o.unaligned = false;
    p = simple(2200000, 1000, NORMA_BFLOAT16);
    o.memory_budget = 512 * MIB;
    assert_int_equal(norma_schedule_rows(&p, &cpu, &o, &s), NORMA_OK);
    assert_in_range(s.tiles, 17, 18); // 8.8 GB
    norma_schedule_finish(&s);
    o.memory = NORMA_MEMORY_STAGE;
    assert_int_equal(norma_schedule_rows(&p, &discrete, &o, &s), NORMA_OK);
    assert_in_range(s.tiles, 33, 34); // two slots
    assert_int_equal(s.slots, 2);
    norma_schedule_finish(&s);
    p = simple(4096, 768, NORMA_FLOAT32);
    assert_int_equal(norma_schedule_rows(&p, &scalar, &o, &s), NORMA_OK);
    assert_int_equal(s.dispatch_count, 1);
    norma_schedule_finish(&s);
}

// Parameters lie whole on the device when the rest is staged.
static void test_parameters(void **state)
{
    (void)state;
    struct norma_plan_options o = {.memory = NORMA_MEMORY_STAGE};
    struct row_problem p = simple(1, 64 * MIB, NORMA_FLOAT32);
    p.arg[NORMA_ARG_WEIGHT].present = true;
    assert_true(try_one(&p, 0, &o)); // exactly the largest allocation
    p = simple(1, 64 * MIB + 1, NORMA_FLOAT32);
    p.arg[NORMA_ARG_WEIGHT].present = true;
    assert_false(try_one(&p, 0, &o));
    o.memory = NORMA_MEMORY_RESIDENT;
    assert_true(try_one(&p, 0, &o));
}

// 32 heads in each of 4096 tokens of a fused projection: 32 dispatches, not 4096.
static void test_runs(void **state)
{
    (void)state;
    struct norma_schedule s;
    struct norma_plan_options o = {.memory = NORMA_MEMORY_RESIDENT};
    struct row_problem p = simple(4096 * 32, 128, NORMA_FLOAT32);
    p.outer_rank = 2;
    p.outer[0] = 4096;
    p.outer[1] = 32;
    for (int i = 0; i <= NORMA_ARG_Y; i++) {
        p.arg[i].stride[0] = (i == NORMA_ARG_X ? 3 : 1) * 32 * 128;
        p.arg[i].stride[1] = 128;
    }
    assert_int_equal(norma_schedule_rows(&p, &discrete, &o, &s), NORMA_OK);
    assert_int_equal(s.dispatch_count, 32);
    assert_null(replay(&p, &discrete, &o, &s));
    norma_schedule_finish(&s);
}

static const char *chosen(const struct norma_caps *caps, int64_t rows, int64_t n)
{
    struct norma_schedule s;
    struct row_problem p = simple(rows, n, NORMA_FLOAT32);
    struct norma_plan_options o = {.memory = NORMA_MEMORY_RESIDENT};
    assert_int_equal(norma_schedule_rows(&p, caps, &o, &s), NORMA_OK);
    const char *variant = s.variant;
    norma_schedule_finish(&s);
    return variant;
}

static void test_choice(void **state)
{
    (void)state;
    assert_string_equal(chosen(&scalar, 4, 1 << 24), "scalar");
    assert_string_equal(chosen(&cpu, 4096, 768), "serial");
    assert_string_equal(chosen(&cpu, 64, 262144), "serial");
    assert_string_equal(chosen(&cpu, 64, 262145), "serial-split");
    assert_string_equal(chosen(&cpu, 2, 32768), "serial-split");
    assert_string_equal(chosen(&cpu, 1, 8192), "serial");
    assert_string_equal(chosen(&discrete, 1, 16384), "registers-subgroup");
    assert_string_equal(chosen(&discrete, 262144, 64), "registers-subgroup");
    assert_string_equal(chosen(&discrete, 100000, 16385), "team-subgroup");
    assert_string_equal(chosen(&discrete, 64, 262144), "split-subgroup");
    assert_string_equal(chosen(&phone, 1, 8192), "registers-local");
    assert_string_equal(chosen(&phone, 1, 8193), "team-local");
    assert_string_equal(chosen(&phone, 1, 100000), "split-local");
    assert_string_equal(chosen(&wide_phone, 1, 8192), "registers-subgroup");
    assert_string_equal(chosen(&software, 16384, 768), "team-subgroup");
    assert_string_equal(chosen(&software, 2, 1 << 20), "split-subgroup");
}

// Each variant by its name, on every length that it can do; an error on the others.
static void test_forced(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 3, 64, 600, 4096, 4097, 8192, 8193, 16384, 16385, 262144, 262145, 1 << 21};
    for (size_t device = 0; device < DEVICES; device++) {
        const struct norma_caps *caps = devices[device];
        const char *name;
        for (size_t v = 0; (name = norma_variant_name(caps, v)); v++)
            for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
                int64_t n = lengths[i], most = 262144;
                struct row_problem p = simple(1 + (int64_t)i % 7, n, NORMA_FLOAT32);
                struct norma_plan_options o = {.variant = name, .rate = i % 2 ? 1e6 : 0};
                if (strstr(name, "registers"))
                    most = caps->max_workgroup >= 256 ? 16384 : 8192;
                if (strstr(name, "split") || strcmp(name, "scalar") == 0)
                    most = INT64_MAX;
                if (strstr(name, "team") && caps->max_iterations)
                    most = caps == &software ? 53 * 4096 : 12 * 4096; // what the loops of one work-item allow
                assert_int_equal(try_one(&p, device, &o), n <= most);
            }
        struct row_problem p = simple(1, 1, NORMA_FLOAT32);
        struct norma_plan_options o = {.variant = "fast"};
        assert_false(try_one(&p, device, &o));
    }
    for (size_t v = 0; norma_variant_name(&phone, v); v++)
        assert_null(strstr(norma_variant_name(&phone, v), "subgroup"));
}

// Each set of kernel and constants that schedules of one operator on a device need is a program to compile.
static void test_programs(void **state)
{
    (void)state;
    enum { MOST = 4096 };
    static struct program {
        const char *kernel;
        uint32_t value[NORMA_CONST_COUNT];
    } programs[MOST];
    static const int64_t lengths[] = {7, 64, 600, 768, 1024, 2000, 4096, 8192, 12000, 16384, 20000, 262144, 300000};
    static const int64_t rows[] = {1, 8, 5000};
    for (size_t device = 0; device < DEVICES; device++) {
        size_t count = 0;
        for (unsigned i = 0; i < 13 * 3 * 9 * 16; i++) {
            struct row_problem p = simple(rows[i / 13 % 3], lengths[i % 13], (norma_dtype)(NORMA_FLOAT32 + i / 39 % 3));
            p.arg[NORMA_ARG_Y].dtype = (norma_dtype)(NORMA_FLOAT32 + i / 117 % 3);
            for (int a = NORMA_ARG_WEIGHT; a < NORMA_ARG_COUNT; a++)
                p.arg[a].present = i / 351 >> (a % 4) & 1;
            struct norma_plan_options o = {.memory = (enum norma_memory)(device == DEVICES - 1 ? 0 : i % 3)};
            struct norma_schedule s;
            assert_int_equal(norma_schedule_rows(&p, devices[device], &o, &s), NORMA_OK);
            for (size_t d = 0; d < s.dispatch_count; d++) {
                struct program one = {.kernel = s.dispatches[d].kernel};
                for (int c = 0; c < NORMA_CONST_COUNT; c++)
                    one.value[c] = s.dispatches[d].constants[c].value;
                size_t at = 0;
                while (at < count && memcmp(&programs[at], &one, sizeof one) != 0)
                    at++;
                assert_true(at < MOST);
                programs[at] = one;
                count += at == count;
            }
            norma_schedule_finish(&s);
        }
        print_message("device %zu: %zu programs\n", device, count);
        assert_in_range(count, 1, 48);
    }
}

static void test_predict(void **state)
{
    (void)state;
    struct norma_figures figures = {
        .known = true, .launch = 1e-5, .point = {{1e4, 1e9}, {1e6, 3e9}, {1e8, 2e9}}, .copy_rate = 4e9};
    struct row_problem p = simple(1000, 125, NORMA_FLOAT32); // 10^6 bytes
    assert_int_equal(norma_rows_bytes(&p), 1000000);
    assert_true(fabs(norma_predict(&p, &figures) - (1e-5 + 1e6 / 3e9)) < 1e-12);
    p = simple(100, 125, NORMA_FLOAT32); // halfway in log(bytes)
    assert_true(fabs(norma_predict(&p, &figures) - (1e-5 + 1e5 / 2e9)) < 1e-12);
    p = simple(1, 1, NORMA_FLOAT32);
    assert_true(fabs(norma_predict(&p, &figures) - (1e-5 + 8 / 1e9)) < 1e-15);
    p = simple(1 << 20, 1000, NORMA_BFLOAT16);
    assert_true(fabs(norma_predict(&p, &figures) - (1e-5 + 4000.0 * (1 << 20) / 2e9)) < 1e-9);
    figures.known = false;
    assert_true(isinf(norma_predict(&p, &figures)));
    p = simple(100, 10, NORMA_FLOAT32);
    p.arg[NORMA_ARG_WEIGHT].present = p.arg[NORMA_ARG_GATE].present = p.arg[NORMA_ARG_MEAN].present = true;
    p.gate_rows = 30; // 4 rows of it
    assert_int_equal(norma_rows_bytes(&p), 4 * (2000 + 10 + 40 + 100));
    p.arg[NORMA_ARG_X].stride[0] = 0;
    assert_int_equal(norma_rows_bytes(&p), 4 * (1010 + 10 + 40 + 100));
}

// Windows of local response norm that are too long for an invocation's loops.
static void test_windows(void **state)
{
    (void)state;
    const int64_t shape[] = {1, 40000};
    const norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, NULL);
    const struct norma_plan_options options = {0};
    norma_problem problem = norma_problem_defaults(NORMA_LOCAL_RESPONSE_NORM);
    problem.x = problem.y = &x;
    for (int i = 0; i < DEVICES; i++)
        for (int size = 5; size < 100000; size += 29995) {
            struct norma_work work;
            struct norma_schedule schedule = {0};
            problem.local_size = size;
            assert_int_equal(norma_work_from_problem(&problem, NORMA_PLACE_NONE, &work), NORMA_OK);
            const norma_status status = norma_schedule_work(&work, devices[i], &options, &schedule);
            const bool is_long = devices[i]->max_iterations && size > 5;
            const bool is_large = devices[i] == &wide_phone; // 15 x 17 workgroups of 64 are too few for one sample
            assert_int_equal(status, is_long || is_large ? NORMA_ERROR_UNSUPPORTED : NORMA_OK);
            assert_true(!is_long || strncmp(norma_last_error(), "local_size:", 11) == 0);
            assert_true(is_long || !is_large || strncmp(norma_last_error(), "x:", 2) == 0);
            norma_schedule_finish(&schedule);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),   cmocka_unit_test(test_large),      cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_runs),    cmocka_unit_test(test_parameters), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_forced),  cmocka_unit_test(test_programs),   cmocka_unit_test(test_random),
        cmocka_unit_test(test_predict), cmocka_unit_test(test_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
