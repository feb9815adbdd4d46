#include "nvk.h"

const struct norma_backend norma_backend_vulkan = {
    .name = "vulkan",
    .enumerate = nvk_enumerate,
    .finish = nvk_finish,
    .open = nvk_open,
    .close = nvk_close,
    .buffer_create = nvk_buffer_create,
    .buffer_import = nvk_buffer_import,
    .buffer_finish = nvk_buffer_finish,
    .prepare = nvk_prepare,
    .submit = nvk_submit,
    .event_wait = nvk_event_wait,
    .event_seconds = nvk_event_seconds,
    .event_finish = nvk_event_finish,
    .recorder_create = nvk_recorder_create,
    .recorder_reset = nvk_recorder_reset,
    .recorder_finish = nvk_recorder_finish,
    .record = nvk_record,
    .describe = nvk_describe,
};
