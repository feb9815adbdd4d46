// Host memory as buffers on every device, and memory that goes between contexts and processes. The second process is
// forked before the first driver is opened.
#include "devices.h"
#include "external.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef NORMA_HAVE_VULKAN
static int peer; // the socket to the second process
static pid_t peer_pid;
#endif

static norma_buffer_info info_of(const norma_buffer *buffer)
{
    norma_buffer_info info = {.size = sizeof info};
    take(norma_buffer_get_info(buffer, &info));
    return info;
}

// x in one buffer and y in another, on host memory `skew` bytes behind a page's begin; whether both are in place.
static bool on_host(norma_device *device, size_t skew, float got[COUNT])
{
    enum { ROOM = 2 * PAGE };
    char *x = aligned_alloc(PAGE, ROOM), *y = aligned_alloc(PAGE, ROOM);
    float values[COUNT], once[COUNT];
    norma_buffer *from = NULL, *to = NULL;
    assert_non_null(x);
    assert_non_null(y);
    memset(y, 0x55, ROOM);
    take(norma_buffer_from_host(device, x + skew, PAGE, &from));
    take(norma_buffer_from_host(device, y + skew, PAGE, &to));
    const norma_buffer_info info = info_of(from);
    assert_ptr_equal(info.host, x + skew);
    assert_ptr_equal(info.device, device);
    assert_int_equal(info.bytes, PAGE);
    assert_int_equal(info.shared, 0);
    assert_int_equal(info.imported, 0);
    for (int turn = 0; turn < 3; turn++) { // the host writes, the device works, the host reads, and again
        external_fill(values, turn);
        memcpy(x + skew, values, PAGE);
        take(norma_buffer_acquire(from));
        take(norma_buffer_acquire(to));
        take(external_run(device, from, 0, to, 0));
        take(norma_buffer_release(to));
        take(norma_buffer_release(from));
        memcpy(got, y + skew, PAGE);
        external_norm(values, once);
        external_near(got, once);
        assert_memory_equal(x + skew, values, PAGE);
    }
    // What the device writes is in the caller's memory before a release if, and only if, that is the device's.
    external_fill(values, 9);
    take(norma_buffer_acquire(to));
    take(norma_buffer_write(to, 0, values, PAGE));
    const bool in_place = memcmp(y + skew, values, PAGE) == 0;
    assert_int_equal(info_of(to).zero_copy, in_place);
    assert_int_equal(info.zero_copy, in_place);
    take(norma_buffer_release(to));
    assert_memory_equal(y + skew, values, PAGE);
    norma_buffer_destroy(&from);
    norma_buffer_destroy(&to);
    for (size_t i = 0; i < ROOM; i++) // the neighbourhood, after the last driver's copy
        if (i < skew || i >= skew + PAGE)
            assert_int_equal(y[i], 0x55);
    free(x);
    free(y);
    return in_place;
}

static void test_host(void **state)
{
    (void)state;
    for (int i = 0; i < TEST_DEVICES; i++) {
        float whole[COUNT], askew[COUNT];
        norma_context *context = external_context(test_devices[i]);
        norma_device *device = external_device(context);
        norma_device_info info = {.size = sizeof info};
        take(norma_device_get_info(device, &info));
        assert_int_equal(on_host(device, 0, whole), info.host_alignment != 0);
        assert_int_equal(on_host(device, 8, askew), info.host_alignment == 8);
        assert_memory_equal(whole, askew, sizeof whole); // the bits do not depend on where the memory is
        norma_context_destroy(&context);
    }
}

static void test_host_refused(void **state)
{
    (void)state;
    float values[COUNT];
    norma_context *context = external_context("scalar");
    norma_device *device = external_device(context);
    norma_buffer *buffer = (norma_buffer *)values;
    norma_buffer_info info = {.size = 0};
    refused(norma_buffer_from_host(NULL, values, 8, &buffer), NORMA_ERROR_INVALID_ARGUMENT, "device:", "NULL");
    assert_null(buffer);
    refused(norma_buffer_from_host(device, NULL, 8, &buffer), NORMA_ERROR_INVALID_ARGUMENT, "host:", "NULL");
    refused(norma_buffer_from_host(device, values, 8, NULL), NORMA_ERROR_INVALID_ARGUMENT, "buffer:", "NULL");
    refused(norma_buffer_from_host(device, values, 0, &buffer), NORMA_ERROR_INVALID_ARGUMENT, "size:", "0");
    refused(norma_buffer_from_host(device, (char *)values + 2, 8, &buffer), NORMA_ERROR_INVALID_ARGUMENT, "host:", "8");
    refused(norma_buffer_from_host(device, values, UINT64_MAX / 2 + 1, &buffer), NORMA_ERROR_UNSUPPORTED,
            "size:", "largest");
    refused(norma_buffer_acquire(NULL), NORMA_ERROR_INVALID_ARGUMENT, "buffer:", "NULL");
    refused(norma_buffer_release(NULL), NORMA_ERROR_INVALID_ARGUMENT, "buffer:", "NULL");
    refused(norma_buffer_get_info(NULL, &info), NORMA_ERROR_INVALID_ARGUMENT, "buffer:", "NULL");
    take(norma_buffer_create(device, PAGE, &buffer));
    refused(norma_buffer_get_info(buffer, NULL), NORMA_ERROR_INVALID_ARGUMENT, "info:", "NULL");
    refused(norma_buffer_get_info(buffer, &info), NORMA_ERROR_INVALID_ARGUMENT, "size:", "norma_buffer_info");
    take(norma_buffer_acquire(buffer)); // turns of a buffer that nobody else has
    take(norma_buffer_release(buffer));
    assert_int_equal(info_of(buffer).zero_copy, 0);
    norma_buffer_destroy(&buffer);
    norma_context_destroy(&context);
}

// Which drivers have no handles says so, by the extension's name.
static void test_missing(void **state)
{
    (void)state;
    static const char *const names[] = {"VK_KHR_external_memory_fd", "VK_EXT_external_memory_dma_buf",
                                        "cl_khr_external_memory_opaque_fd", "cl_khr_external_memory_dma_buf"};
    for (int i = 0; i < TEST_DEVICES; i++) {
        norma_context *context = external_context(test_devices[i]);
        norma_device *device = external_device(context);
        norma_device_info info = {.size = sizeof info};
        take(norma_device_get_info(device, &info));
        for (int type = NORMA_HANDLE_OPAQUE_FD; type <= NORMA_HANDLE_DMA_BUF; type++) {
            norma_memory_handle handle = NORMA_MEMORY_HANDLE_DEFAULTS;
            norma_buffer *buffer = NULL;
            const bool vulkan = !strcmp(test_devices[i], "vulkan"), scalar = !strcmp(test_devices[i], "scalar");
            const char *lacks = scalar ? "scalar memory" : names[(vulkan ? 0 : 2) + type - 1];
            handle.type = (norma_handle_type)type;
            handle.bytes = PAGE;
            if (!(info.exports & (uint32_t)type))
                refused(norma_buffer_create_shared(device, PAGE, handle.type, &buffer), NORMA_ERROR_UNSUPPORTED,
                        "type:", vulkan || scalar ? lacks : "hands out none");
            if (!(info.imports & (uint32_t)type))
                refused(norma_buffer_import(device, &handle, &buffer), NORMA_ERROR_UNSUPPORTED, "type:", lacks);
            assert_null(buffer);
        }
        norma_context_destroy(&context);
    }
}

#ifdef NORMA_HAVE_VULKAN
static norma_memory_handle handle_of(norma_buffer *buffer)
{
    norma_memory_handle handle = NORMA_MEMORY_HANDLE_DEFAULTS;
    take(norma_buffer_export(buffer, &handle));
    assert_int_equal(handle.bytes, info_of(buffer).bytes);
    assert_true(handle.fd >= 0);
    assert_true(fcntl(handle.fd, F_GETFD) & FD_CLOEXEC);
    return handle;
}

// The Vulkan device that Norma finds here can export; the suite's machines have one (lavapipe 22.3 and later).
static norma_device *exporter(norma_context *context)
{
    norma_device *device = external_device(context);
    norma_device_info info = {.size = sizeof info};
    take(norma_device_get_info(device, &info));
    assert_true(info.exports & NORMA_HANDLE_OPAQUE_FD);
    assert_true(info.imports & NORMA_HANDLE_OPAQUE_FD);
    return device;
}

static void test_contexts(void **state)
{
    (void)state;
    norma_context *here = external_context("vulkan"), *there = external_context("vulkan");
    norma_device *device = exporter(here), *other = exporter(there);
    norma_buffer *buffer = NULL, *twin = NULL;
    float values[COUNT], wanted[COUNT], got[COUNT];
    const int before = external_fds();
    take(norma_buffer_create_shared(device, 2 * PAGE, NORMA_HANDLE_OPAQUE_FD, &buffer));
    norma_memory_handle handle = handle_of(buffer);
    assert_int_equal(handle.same_device, 1);
    take(norma_buffer_import(other, &handle, &twin));
    assert_int_equal(fcntl(handle.fd, F_GETFD), -1); // Norma's, which needs it no longer
    assert_int_equal(info_of(twin).imported, 1);
    assert_int_equal(info_of(twin).shared, NORMA_HANDLE_OPAQUE_FD);
    assert_int_equal(info_of(buffer).shared, NORMA_HANDLE_OPAQUE_FD);
    external_fill(values, 3);
    external_norm(values, wanted);
    take(norma_buffer_write(buffer, 0, values, PAGE));
    take(norma_buffer_release(buffer));
    take(norma_buffer_acquire(twin));
    take(external_run(other, twin, 0, twin, PAGE));
    take(norma_buffer_release(twin));
    norma_buffer_destroy(&twin);
    norma_context_destroy(&there);
    take(norma_buffer_acquire(buffer));
    take(norma_buffer_read(buffer, PAGE, got, PAGE));
    external_near(got, wanted);
    refused(norma_buffer_export(twin, &handle), NORMA_ERROR_INVALID_ARGUMENT, "buffer:", "NULL");
    norma_buffer_destroy(&buffer);
    assert_true(external_fds() <= before); // fewer where the driver closed its own with the other context
    norma_context_destroy(&here);
}

// After a refusal the descriptor is open and the caller's, and none is lost.
static void test_import_refused(void **state)
{
    (void)state;
    norma_context *context = external_context("vulkan");
    norma_device *device = exporter(context);
    norma_buffer *buffer = NULL, *twin = NULL, *plain = NULL;
    take(norma_buffer_create(device, PAGE, &plain));
    take(norma_buffer_create_shared(device, PAGE, NORMA_HANDLE_OPAQUE_FD, &buffer));
    const norma_memory_handle right = handle_of(buffer);
    norma_memory_handle wrong = right;
    const int before = external_fds();
    wrong.device_uuid[3] ^= 1;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_INVALID_ARGUMENT, "device_uuid:", "another");
    wrong = right;
    wrong.driver_uuid[15] ^= 1;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_INVALID_ARGUMENT, "driver_uuid:", "another");
    wrong = right;
    wrong.bytes = 64 * PAGE;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_INVALID_ARGUMENT, "allocation:", "less");
    wrong.bytes = 0;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_INVALID_ARGUMENT, "bytes:", "0");
    wrong = right;
    wrong.memory_types = 1u << 31;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_UNSUPPORTED, "memory_types:", "none");
    wrong = right;
    wrong.fd = -1;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_INVALID_ARGUMENT, "fd:", "-1");
    wrong.fd = 100000;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_INVALID_ARGUMENT, "fd:", "not open");
    wrong = right;
    wrong.type = (norma_handle_type)3;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_INVALID_ARGUMENT, "type:", "3");
    wrong = right;
    wrong.size--;
    refused(norma_buffer_import(device, &wrong, &twin), NORMA_ERROR_INVALID_ARGUMENT, "size:", "norma_memory_handle");
    assert_int_equal(external_fds(), before);
    refused(norma_buffer_export(plain, &wrong), NORMA_ERROR_INVALID_ARGUMENT, "size:", "norma_memory_handle");
    wrong.size++;
    refused(norma_buffer_export(plain, &wrong), NORMA_ERROR_INVALID_ARGUMENT, "buffer:", "create_shared");
    // A file that is no memory: what this driver does with the copy is its own affair, the original stays open.
    wrong.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(wrong.fd >= 0);
    assert_int_not_equal(norma_buffer_import(device, &wrong, &twin), NORMA_OK);
    assert_null(twin);
    assert_int_equal(external_fds(), before + 1);
    assert_int_equal(close(wrong.fd), 0);
    assert_null(twin);
    take(norma_buffer_import(device, &right, &twin));
    assert_int_equal(external_fds(), before - 1);
    norma_buffer_destroy(&twin);
    norma_buffer_destroy(&buffer);
    norma_buffer_destroy(&plain);
    norma_context_destroy(&context);
}

static bool send_handle(int socket, const norma_memory_handle *handle)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    norma_memory_handle data = *handle;
    struct iovec part = {&data, sizeof data};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &handle->fd, sizeof(int));
    return sendmsg(socket, &message, 0) == (ssize_t)sizeof data;
}

static bool receive_handle(int socket, norma_memory_handle *handle)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {handle, sizeof *handle};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *handle)
        return false;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS)
        return false;
    memcpy(&handle->fd, CMSG_DATA(header), sizeof(int));
    return true;
}

// The second process: normalises what is in the first half of the memory into the second, and says so.
static norma_status serve(norma_device *device, const norma_memory_handle *handle)
{
    norma_buffer *buffer = NULL;
    norma_status status = norma_buffer_import(device, handle, &buffer);
    if (status == NORMA_OK)
        status = norma_buffer_acquire(buffer);
    if (status == NORMA_OK)
        status = external_run(device, buffer, 0, buffer, PAGE);
    if (status == NORMA_OK)
        status = norma_buffer_release(buffer);
    norma_buffer_destroy(&buffer);
    return status;
}

static int serve_all(int socket)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    norma_device *device = NULL;
    norma_memory_handle handle;
    params.device = "vulkan";
    params.cache_dir = "";
    while (receive_handle(socket, &handle)) {
        norma_status status = context ? NORMA_OK : norma_context_create(&params, &context);
        if (status == NORMA_OK && !device)
            status = norma_context_find_device(context, "auto", &device);
        if (status == NORMA_OK)
            status = serve(device, &handle);
        if (status != NORMA_OK)
            fprintf(stderr, "second process: %s\n", norma_last_error());
        if (write(socket, &status, sizeof status) != (ssize_t)sizeof status)
            return 1;
    }
    norma_context_destroy(&context);
    return 0;
}

static void test_processes(void **state)
{
    (void)state;
    norma_context *context = external_context("vulkan");
    norma_device *device = exporter(context);
    for (int turn = 0; turn < 3; turn++) {
        norma_buffer *buffer = NULL;
        norma_status status = NORMA_ERROR_DEVICE;
        float values[COUNT], wanted[COUNT], got[COUNT] = {0};
        take(norma_buffer_create_shared(device, 2 * PAGE, NORMA_HANDLE_OPAQUE_FD, &buffer));
        external_fill(values, turn);
        external_norm(values, wanted);
        take(norma_buffer_write(buffer, 0, values, PAGE));
        take(norma_buffer_write(buffer, PAGE, got, PAGE));
        take(norma_buffer_release(buffer));
        const norma_memory_handle handle = handle_of(buffer);
        assert_true(send_handle(peer, &handle));
        assert_int_equal(close(handle.fd), 0); // the message has its own
        assert_int_equal(read(peer, &status, sizeof status), sizeof status);
        assert_int_equal(status, NORMA_OK);
        take(norma_buffer_acquire(buffer));
        take(norma_buffer_read(buffer, PAGE, got, PAGE));
        external_near(got, wanted);
        norma_buffer_destroy(&buffer);
    }
    norma_context_destroy(&context);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    int status = 0;
    assert_int_equal(waitpid(peer_pid, &status, 0), peer_pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void start_peer(void)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0 || (peer_pid = fork()) < 0) {
        perror("second process");
        exit(1);
    }
    if (peer_pid == 0) {
        close(ends[0]);
        alarm(120); // a hang is a failure
        _exit(serve_all(ends[1]));
    }
    close(ends[1]);
    peer = ends[0];
}
#endif

int main(void)
{
#ifdef NORMA_HAVE_VULKAN
    start_peer();
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),     cmocka_unit_test(test_host_refused),   cmocka_unit_test(test_missing),
#ifdef NORMA_HAVE_VULKAN
        cmocka_unit_test(test_contexts), cmocka_unit_test(test_import_refused), cmocka_unit_test(test_processes),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
