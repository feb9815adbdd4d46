// Whether the library takes a problem, or refuses it with the name of the argument at fault.
#ifndef NORMA_TEST_REFUSAL_H
#define NORMA_TEST_REFUSAL_H

#include "problem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static inline norma_status status_of(const norma_problem *p)
{
    struct norma_work work;
    return norma_work_from_problem(p, NORMA_PLACE_NONE, &work);
}

static inline void taken(const norma_problem *p)
{
    if (status_of(p) != NORMA_OK)
        fail_msg("%s", norma_last_error());
}

// The message begins with the name.
static inline void refused(const norma_problem *p, const char *name)
{
    assert_int_equal(status_of(p), NORMA_ERROR_INVALID_ARGUMENT);
    if (strncmp(norma_last_error(), name, strlen(name)) != 0 || norma_last_error()[strlen(name)] != ':')
        fail_msg("\"%s\", not of %s", norma_last_error(), name);
}

#endif
