#ifndef NORMA_STATUS_H
#define NORMA_STATUS_H

#include <norma/export.h>

#ifdef __cplusplus
extern "C" {
#endif

// Every function that can fail returns one of these; norma_last_error() has the sentence that goes with it.
typedef enum norma_status {
    NORMA_OK = 0,
    NORMA_ERROR_INVALID_ARGUMENT, // the caller's argument is wrong; the message names it; nothing was written
    NORMA_ERROR_OUT_OF_MEMORY,    // host or device memory
    NORMA_ERROR_UNSUPPORTED,      // right in itself, but this device or build cannot do it
    NORMA_ERROR_NO_DEVICE,        // no device matches what was asked for
    NORMA_ERROR_DEVICE,           // the driver reported a failure; outputs are undefined
    NORMA_ERROR_DEVICE_LOST,      // the device is gone until the context is made anew
    NORMA_ERROR_FORKED            // a child of a process that used a driver: drivers do not survive a fork
} norma_status;

// The name of a status, such as "NORMA_ERROR_DEVICE". Static storage. Thread-safe.
NORMA_API const char *norma_status_name(norma_status status);

// What went wrong in the last call of this thread that did not return NORMA_OK, in one line that names the argument.
// Owned by the library, valid until this thread's next failing call. Never NULL. Thread-safe (one message a thread).
NORMA_API const char *norma_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
