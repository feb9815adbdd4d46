#include "sized.h"
#include "backend.h"
#include "problem.h"
#include <string.h>

enum { MOST_BEYOND = 4096 }; // bytes that a later version may have more; a size above is no size but garbage

static norma_status check(const void *from, size_t size, const char *member, const char *name, size_t *given)
{
    memcpy(given, from, sizeof(*given));
    // There is no struct of a size alone, and all have pointers or other whole words.
    if (*given < 2 * sizeof(*given) || *given % sizeof(void *) || *given > size + MOST_BEYOND)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "%ssize: %zu, not sizeof(%s) (%zu)", member, *given, name,
                          size);
    return NORMA_OK;
}

norma_status norma_sized_read(void *to, size_t size, const void *from, const char *member, const char *name)
{
    size_t given;
    const norma_status status = check(from, size, member, name, &given);
    if (status != NORMA_OK)
        return status;
    for (size_t i = size; i < given; i++)
        if (((const unsigned char *)from)[i])
            return norma_fail(NORMA_ERROR_INVALID_ARGUMENT,
                              "%ssize: %zu, and this library knows %zu bytes of %s; those behind are not 0", member,
                              given, size, name);
    memset(to, 0, size);
    memcpy(to, from, given < size ? given : size);
    memcpy(to, &size, sizeof(size));
    return NORMA_OK;
}

norma_status norma_sized_write(void *to, const void *from, size_t size, const char *name)
{
    size_t given;
    const norma_status status = check(to, size, "", name, &given);
    if (status != NORMA_OK || !from)
        return status;
    memcpy(to, from, given < size ? given : size);
    if (given > size)
        memset((char *)to + size, 0, given - size);
    memcpy(to, &given, sizeof(given));
    return NORMA_OK;
}

norma_status norma_problem_init(norma_problem *problem, norma_op op)
{
    if (!problem)
        return norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "problem: NULL");
    const norma_problem defaults = norma_problem_defaults(op);
    return NORMA_WRITE(problem, &defaults, norma_problem);
}

norma_status norma_problem_read(norma_problem *to, const norma_problem *from)
{
    return from ? NORMA_READ(to, from, norma_problem) : norma_fail(NORMA_ERROR_INVALID_ARGUMENT, "problem: NULL");
}
