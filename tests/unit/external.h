// What the tests of memory that others have share.
#ifndef NORMA_TEST_EXTERNAL_H
#define NORMA_TEST_EXTERNAL_H

#include <norma/norma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
// cmocka needs the three above
#include <cmocka.h>

// ROWS rows of COLUMNS float32 are a page, at which device memory may be bound.
enum { ROWS = 16, COLUMNS = 64, COUNT = ROWS * COLUMNS, PAGE = COUNT * 4 };

#define take(call)                              \
    do {                                        \
        if ((call) != NORMA_OK)                 \
            fail_msg("%s", norma_last_error()); \
    } while (0)

static inline void refused(norma_status status, norma_status wanted, const char *begin, const char *part)
{
    if (status != wanted || strncmp(norma_last_error(), begin, strlen(begin)) != 0 || !strstr(norma_last_error(), part))
        fail_msg("%s \"%s\", not %s of %s with %s", norma_status_name(status), norma_last_error(),
                 norma_status_name(wanted), begin, part);
}

norma_context *external_context(const char *device);
// Its device; usable.
norma_device *external_device(norma_context *context);
// Values that differ by seed.
void external_fill(float values[COUNT], int seed);
// What layer norm makes of them on the scalar path, with the double arithmetic that this has.
void external_norm(const float values[COUNT], float out[COUNT]);
// Layer norm on the buffers' device, from `from` at byte from_at to `to` at to_at; float32.
norma_status external_run(norma_device *device, norma_buffer *from, uint64_t from_at, norma_buffer *to, uint64_t to_at);
// |mean| < 1 and deviations near 1: the outputs lie below 4, a few roundings of float32 from the exact ones, and the
// scalar path's own one more.
void external_near(const float got[COUNT], const float wanted[COUNT]);
// Open descriptors of this process.
int external_fds(void);
// A test, of a device of the caller's; apart from those that know Norma's own Vulkan, which has no prototypes.
void external_given(void **state);

#endif
