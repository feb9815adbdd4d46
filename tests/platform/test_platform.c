// The operating system's part, without a test library: so it also runs where a cross compiler has none. The argument is
// a directory to work in.
#include "cache.h"
#include "platform.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef _WIN32
#include <windows.h>

#include <sddl.h>
#else
#include <sys/stat.h>
#endif

static int failures;

static void check(bool ok, const char *what, int line)
{
    if (ok)
        return;
    printf("FAIL line %d: %s\n", line, what);
    failures++;
}
#define CHECK(condition) check(condition, #condition, __LINE__)

// Lets everybody write to a directory, or to a file.
static bool open_to_all(const char *path)
{
#ifdef _WIN32
    PSECURITY_DESCRIPTOR everybody;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorA("D:P(A;;GA;;;WD)", SDDL_REVISION_1, &everybody, NULL))
        return false;
    const bool ok = SetFileSecurityA(path, DACL_SECURITY_INFORMATION, everybody);
    LocalFree(everybody);
    return ok;
#else
    return chmod(path, 0777) == 0;
#endif
}

static void test_machine(void)
{
    char name[128] = "", tiny[4] = "";
    const uint64_t page = norma_page_size();
    CHECK(norma_cores() >= 1 && norma_cores() <= 65536);
    CHECK(page >= 1024 && (page & (page - 1)) == 0);
    CHECK(norma_memory_size() > UINT64_C(64) << 20);
    norma_processor_name(name, sizeof name);
    CHECK(*name && !strchr(name, '\n'));
    norma_processor_name(tiny, sizeof tiny);
    CHECK(strlen(tiny) == 3 && strncmp(tiny, name, 3) == 0);
}

// Where a driver's loader is, it has the function that everything else is asked of.
static void test_libraries(void)
{
    static const char *const functions[] = {"vkGetInstanceProcAddr", "clGetPlatformIDs"};
    void *libraries[] = {norma_open_vulkan(), norma_open_opencl()};
    for (size_t i = 0; i < 2; i++) {
        printf("%s: %s\n", functions[i], libraries[i] ? "there" : "no library");
        CHECK(!libraries[i] || norma_library_symbol(libraries[i], functions[i]));
        CHECK(!libraries[i] || !norma_library_symbol(libraries[i], "no function has this name"));
    }
}

static void test_cache(const char *room)
{
    char dir[512], deep[600], file[700], text[64] = "as before";
    const char *reason = NULL;
    snprintf(dir, sizeof dir, "%s/cache-%ld", room, (long)getpid());
    snprintf(deep, sizeof deep, "%s/deep", dir);
    snprintf(file, sizeof file, "%s/figures", deep);
    CHECK(!norma_cache_read(deep, "figures", text, sizeof text));
    CHECK(norma_cache_write(deep, "figures", "first\n", &reason));
    CHECK(norma_cache_read(deep, "figures", text, sizeof text) && !strcmp(text, "first\n"));
    CHECK(norma_cache_write(deep, "figures", "the second, longer", &reason));
    CHECK(norma_cache_read(deep, "figures", text, sizeof text) && !strcmp(text, "the second, longer"));
    CHECK(norma_cache_read(deep, "figures", text, 5) && !strcmp(text, "the "));
    CHECK(!norma_cache_read(deep, "other", text, sizeof text));
    CHECK(!norma_cache_read(file, "figures", text, sizeof text)); // no directory
    reason = NULL;
    CHECK(!norma_cache_write(file, "figures", "x", &reason) && reason);

    CHECK(open_to_all(file));
    CHECK(!norma_cache_read(deep, "figures", text, sizeof text));
    CHECK(norma_cache_write(deep, "figures", "replaced", &reason)); // by a new file, which is closed again
    CHECK(norma_cache_read(deep, "figures", text, sizeof text) && !strcmp(text, "replaced"));

    CHECK(open_to_all(deep));
    reason = NULL;
    CHECK(!norma_cache_read(deep, "figures", text, sizeof text));
    CHECK(!norma_cache_write(deep, "figures", "x", &reason) && reason);
    CHECK(remove(file) == 0 && rmdir(deep) == 0 && rmdir(dir) == 0); // and nothing else is there
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    char dir[8], path[512];
    CHECK(norma_cache_default(path, sizeof path) >= 0);
    CHECK(norma_cache_default(dir, sizeof dir) == (int)strlen(path) && strlen(dir) < sizeof dir);
    test_machine();
    test_libraries();
    test_cache(argv[1]);
    return failures > 0;
}
