// Drivers do not survive a fork: a child that inherits a context gets an error at once, not a hang.
#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
// cmocka needs stdarg, stdbool and setjmp
#include <cmocka.h>

static float memory[2][32];

static norma_status run(norma_context *context)
{
    const int64_t shape[] = {4, 8};
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, memory[0]);
    norma_tensor y = norma_tensor_host(NORMA_FLOAT32, 2, shape, memory[1]);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    p.x = &x;
    p.y = &y;
    return norma_run(context, &p);
}

// The child's exit status is the number of its check that failed.
static int child(norma_context *context, norma_device *device, norma_buffer *buffer)
{
    norma_device_info info = {.size = sizeof info};
    norma_buffer *other = NULL;
    float word = 0;
    memory[1][0] = 42;
    if (run(context) != NORMA_ERROR_FORKED || memory[1][0] < 42 || memory[1][0] > 42)
        return 1;
    if (norma_device_get_info(device, &info) != NORMA_ERROR_FORKED)
        return 2;
    if (norma_buffer_create(device, 64, &other) != NORMA_ERROR_FORKED || other)
        return 3;
    if (norma_buffer_read(buffer, 0, &word, sizeof word) != NORMA_ERROR_FORKED)
        return 4;
    norma_buffer_destroy(&buffer);
    norma_context_destroy(&context); // lets go without touching the driver
    return context ? 5 : 0;
}

static void test_fork(const char *name)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = name;
    params.cache_dir = "";
    norma_context *context = NULL;
    if (norma_context_create(&params, &context) == NORMA_ERROR_NO_DEVICE)
        return; // the check suite fails where a driver is missing
    norma_device *device = NULL;
    norma_buffer *buffer = NULL;
    assert_int_equal(norma_context_find_device(context, name, &device), NORMA_OK);
    assert_int_equal(norma_buffer_create(device, 64, &buffer), NORMA_OK);
    assert_int_equal(run(context), NORMA_OK);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(60); // a hang is a failure
        _exit(child(context, device, buffer));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s: the child ended with status 0x%x", name, status);
    assert_int_equal(run(context), NORMA_OK); // the parent goes on
    norma_buffer_destroy(&buffer);
    norma_context_destroy(&context);
}

static void test_scalar(void **state)
{
    (void)state;
    test_fork("scalar");
}

static void test_opencl(void **state)
{
    (void)state;
    test_fork("opencl");
}

static void test_vulkan(void **state)
{
    (void)state;
    test_fork("vulkan");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scalar), cmocka_unit_test(test_opencl),
                                       cmocka_unit_test(test_vulkan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
