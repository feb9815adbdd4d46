// The scalar path as a backend: its memory is the host's, and submit returns when the work is done.
#include "scalar.h"

const struct norma_backend norma_backend_scalar = {
    .name = "scalar",
    .enumerate = nsc_enumerate,
    .finish = nsc_finish,
    .open = nsc_open,
    .close = nsc_close,
    .buffer_create = nsc_buffer_create,
    .buffer_import = nsc_buffer_import,
    .buffer_finish = nsc_buffer_finish,
    .prepare = nsc_prepare,
    .submit = nsc_submit,
    .event_wait = nsc_event_wait,
    .event_seconds = nsc_event_seconds,
    .event_finish = nsc_event_finish,
};
