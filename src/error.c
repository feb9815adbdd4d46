#include "backend.h"
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_error[512] = "no error";

norma_status norma_fail(norma_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof(last_error), format, args);
    va_end(args);
    return status;
}

const char *norma_last_error(void)
{
    return last_error;
}

const char *norma_status_name(norma_status status)
{
    static const char *const names[] = {
        [NORMA_OK] = "NORMA_OK",
        [NORMA_ERROR_INVALID_ARGUMENT] = "NORMA_ERROR_INVALID_ARGUMENT",
        [NORMA_ERROR_OUT_OF_MEMORY] = "NORMA_ERROR_OUT_OF_MEMORY",
        [NORMA_ERROR_UNSUPPORTED] = "NORMA_ERROR_UNSUPPORTED",
        [NORMA_ERROR_NO_DEVICE] = "NORMA_ERROR_NO_DEVICE",
        [NORMA_ERROR_DEVICE] = "NORMA_ERROR_DEVICE",
        [NORMA_ERROR_DEVICE_LOST] = "NORMA_ERROR_DEVICE_LOST",
        [NORMA_ERROR_FORKED] = "NORMA_ERROR_FORKED",
    };
    if ((unsigned)status >= sizeof(names) / sizeof(names[0]))
        return "unknown status";
    return names[status];
}
