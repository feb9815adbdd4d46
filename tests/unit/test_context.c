// Contexts: made and destroyed many times, on machines without drivers, with cache directories that cannot be trusted.
#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka needs stdarg, stdbool and setjmp
#include <cmocka.h>

#include "works.h"

static char room[64]; // a directory of this run
static int warnings;

static void count_warnings(void *user, int level, const char *message)
{
    (void)user;
    (void)message;
    warnings += level <= 1;
}

static norma_context *make_context(const char *device, const char *cache_dir)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = device;
    params.cache_dir = cache_dir;
    params.log = count_warnings;
    norma_context *context = NULL;
    if (norma_context_create(&params, &context) != NORMA_OK)
        fail_msg("%s: %s", device, norma_last_error());
    return context;
}

static void test_many(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        norma_context *context = make_context(i % 50 ? "scalar" : "auto", "");
        if (i % 50 == 0)
            expect_works(context);
        norma_context_destroy(&context);
        assert_null(context);
        norma_context_destroy(&context);
    }
    norma_context_destroy(NULL);
}

static void test_two_at_once(void **state)
{
    (void)state;
    norma_context *a = make_context("auto", ""), *b = make_context("auto", "");
    expect_works(a);
    expect_works(b);
    norma_context_destroy(&a);
    expect_works(b);
    norma_context_destroy(&b);
}

enum { MAX_PREDICTIONS = 16 };

// Exactly one prediction is marked where there shall be one, and it is that of a device that can do it.
static void expect_chosen(norma_context *context, const norma_problem *p, bool wanted)
{
    norma_prediction predictions[MAX_PREDICTIONS];
    size_t count, chosen = 0;
    assert_int_equal(norma_explain(context, p, predictions, MAX_PREDICTIONS, &count), NORMA_OK);
    assert_in_range(count, 1, MAX_PREDICTIONS);
    for (size_t i = 0; i < count; i++) {
        chosen += predictions[i].chosen != 0;
        if (predictions[i].chosen)
            assert_true(isfinite(predictions[i].seconds));
    }
    assert_int_equal(chosen, wanted);
}

// A row of 300,000 elements, which no driver does within a budget of 64 bytes and the scalar path does. What
// norma_explain says beforehand is what norma_run then does.
static norma_status run_tight(const char *device, int32_t invariant)
{
    enum { N = 300000 };
    const int64_t shape[] = {1, N};
    float *in = calloc(2 * N, sizeof(float));
    assert_non_null(in);
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, in),
                 y = norma_tensor_host(NORMA_FLOAT32, 2, shape, in + N);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    p.x = &x;
    p.y = &y;
    params.device = device;
    params.cache_dir = "";
    params.memory_budget = 64;
    params.invariant = invariant;
    assert_int_equal(norma_context_create(&params, &context), NORMA_OK);
    const norma_status status = norma_run(context, &p);
    expect_chosen(context, &p, status == NORMA_OK);
    norma_context_destroy(&context);
    free(in);
    return status;
}

// Another device has other bits: where `invariant` forbids that, a refusal stands.
static void test_invariant_device(void **state)
{
    (void)state;
    assert_int_equal(run_tight("auto", 0), NORMA_OK);
#ifdef NORMA_HAVE_OPENCL
    assert_int_equal(run_tight("auto", 1), NORMA_ERROR_UNSUPPORTED);
    assert_int_equal(run_tight("opencl", 0), NORMA_ERROR_UNSUPPORTED);
    assert_non_null(strstr(norma_last_error(), "memory_budget"));
#endif
#ifdef NORMA_HAVE_VULKAN
    assert_int_equal(run_tight("vulkan", 0), NORMA_ERROR_UNSUPPORTED);
    assert_non_null(strstr(norma_last_error(), "memory_budget"));
#endif
}

static void test_bad_params(void **state)
{
    (void)state;
    norma_context *context = NULL;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = "no such device";
    assert_int_equal(norma_context_create(&params, &context), NORMA_ERROR_NO_DEVICE);
    assert_null(context);
    params = (norma_context_params)NORMA_CONTEXT_DEFAULTS;
    params.size = 3;
    assert_int_equal(norma_context_create(&params, &context), NORMA_ERROR_INVALID_ARGUMENT);
    params = (norma_context_params)NORMA_CONTEXT_DEFAULTS;
    params.threads = -1;
    assert_int_equal(norma_context_create(&params, &context), NORMA_ERROR_INVALID_ARGUMENT);
    assert_int_equal(norma_context_create(NULL, NULL), NORMA_ERROR_INVALID_ARGUMENT);
}

// This program again, in another environment; it then runs on what devices it finds.
static void expect_child_works(const char *name1, const char *value1, const char *name2, const char *value2)
{
    const pid_t pid = fork();
    if (pid == 0) {
        setenv(name1, value1, 1);
        setenv(name2, value2, 1);
        unsetenv("NORMA_DEVICE");
        execl("/proc/self/exe", "test_context", "--child", (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("with %s=%s: status 0x%x", name1, value1, status);
}

static int child(void)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.cache_dir = "";
    norma_context *context = NULL;
    if (norma_context_create(&params, &context) != NORMA_OK)
        return 1;
    const bool alone = norma_context_device_count(context) == 1;
    expect_works(context);
    norma_context_destroy(&context);
    return alone ? 0 : 2;
}

static void test_no_driver(void **state)
{
    (void)state;
    char empty[96];
    snprintf(empty, sizeof empty, "%s/empty", room);
    assert_int_equal(mkdir(empty, 0700), 0);
    expect_child_works("OCL_ICD_VENDORS", empty, "VK_ICD_FILENAMES", "/nonexistent.json");
}

// dlopen itself fails: the first libraries found by these names are no libraries.
static void test_no_library(void **state)
{
    (void)state;
    static const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so", "libvulkan.so.1", "libvulkan.so"};
    for (int i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", room, names[i]);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs("no library", file);
        assert_int_equal(fclose(file), 0);
    }
    const char *before = getenv("LD_LIBRARY_PATH");
    char all[4096];
    snprintf(all, sizeof all, "%s:%s", room, before ? before : "");
    expect_child_works("LD_LIBRARY_PATH", all, "VK_ICD_FILENAMES", "/nonexistent.json");
}

static int count_files(const char *dir, char first[512])
{
    DIR *d = opendir(dir);
    int count = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && ++count == 1)
            snprintf(first, 512, "%s/%s", dir, e->d_name);
    if (d)
        closedir(d);
    return count;
}

static double measure(const char *cache_dir)
{
    norma_context *context = make_context("scalar", cache_dir);
    norma_device *device = NULL;
    norma_device_info info = {.size = sizeof info};
    assert_int_equal(norma_context_find_device(context, "scalar", &device), NORMA_OK);
    assert_int_equal(norma_device_measure(device), NORMA_OK);
    assert_int_equal(norma_device_get_info(device, &info), NORMA_OK);
    norma_context_destroy(&context);
    return info.copy_rate;
}

static void test_cache_refused(void **state)
{
    (void)state;
    char good[96], open_to_all[96], linked[96], file[512];
    snprintf(good, sizeof good, "%s/cache/deep", room); // made where it is missing
    warnings = 0;
    assert_true(measure(good) > 0);
    assert_int_equal(warnings, 0);
    assert_true(count_files(good, file) > 0);
    struct stat st;
    assert_int_equal(stat(good, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(open_to_all, sizeof open_to_all, "%s/open", room);
    assert_int_equal(mkdir(open_to_all, 0700), 0);
    assert_int_equal(chmod(open_to_all, 0770), 0);
    warnings = 0;
    assert_true(measure(open_to_all) > 0);
    assert_true(warnings > 0);
    assert_int_equal(count_files(open_to_all, file), 0);
    snprintf(linked, sizeof linked, "%s/link", room);
    snprintf(file, sizeof file, "%s/target", room);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(symlink(file, linked), 0);
    warnings = 0;
    assert_true(measure(linked) > 0);
    assert_true(warnings > 0);
    assert_int_equal(count_files(linked, file), 0);
}

// Whatever the file holds, a context works; what it measures replaces the file.
static void test_cache_corrupted(void **state)
{
    (void)state;
    static const char *const contents[] = {"", "{", "\0\0\0", "norma", "nan inf -1 1e999 0 0 0 0\n", "%s%s%n"};
    char dir[96], path[512];
    snprintf(dir, sizeof dir, "%s/corrupted", room);
    assert_true(measure(dir) > 0);
    assert_true(count_files(dir, path) > 0);
    for (size_t i = 0; i < sizeof contents / sizeof *contents + 8; i++) {
        FILE *file = fopen(path, i < 6 ? "w" : "r+");
        assert_non_null(file);
        if (i < 6) {
            fputs(contents[i], file);
        } else { // one byte of a good file
            fseek(file, (long)(i - 6) * 7, SEEK_SET);
            fputc(i % 2 ? 'x' : '-', file);
        }
        assert_int_equal(fclose(file), 0);
        norma_context *context = make_context("scalar", dir);
        expect_works(context);
        norma_context_destroy(&context);
        const double rate = measure(dir);
        assert_true(rate > 0 && rate < 1e15);
    }
}

static int make_room(void **state)
{
    (void)state;
    snprintf(room, sizeof room, "/tmp/norma-test-XXXXXX");
    return mkdtemp(room) ? 0 : -1;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int drop_room(void **state)
{
    (void)state;
    return nftw(room, drop, 8, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--child") == 0)
        return child();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_invariant_device),
        cmocka_unit_test(test_bad_params),
        cmocka_unit_test(test_no_driver),
        cmocka_unit_test(test_no_library),
        cmocka_unit_test(test_cache_refused),
        cmocka_unit_test(test_cache_corrupted),
    };
    return cmocka_run_group_tests(tests, make_room, drop_room);
}
