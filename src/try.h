// For functions that only pass a status on.
#ifndef NORMA_SRC_TRY_H
#define NORMA_SRC_TRY_H

#include "backend.h"

#define BAD(...) norma_fail(NORMA_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

#define TRY(call)                      \
    do {                               \
        norma_status status_ = (call); \
        if (status_ != NORMA_OK)       \
            return status_;            \
    } while (0)

#endif
