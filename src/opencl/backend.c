#include "opencl.h"

const struct norma_backend norma_backend_opencl = {
    .name = "opencl",
    .enumerate = ncl_enumerate,
    .finish = ncl_finish,
    .open = ncl_open,
    .close = ncl_close,
    .buffer_create = ncl_buffer_create,
    .buffer_import = ncl_buffer_import,
    .buffer_finish = ncl_buffer_finish,
    .buffer_take = ncl_buffer_take,
    .handle_extension = ncl_handle_extension,
    .prepare = ncl_prepare,
    .submit = ncl_submit,
    .event_wait = ncl_event_wait,
    .event_seconds = ncl_event_seconds,
    .event_finish = ncl_event_finish,
    .recorder_create = ncl_recorder_create,
    .recorder_reset = ncl_recorder_reset,
    .recorder_finish = ncl_recorder_finish,
    .record = ncl_record,
    .describe = ncl_describe,
};
