// Recording a plan's run, as far as all backends have it in common.
#ifndef NORMA_SRC_RECORDER_H
#define NORMA_SRC_RECORDER_H

#include "place.h"
#include <norma/record.h>

struct norma_record_target {
    const struct norma_backend *backend;
    struct norma_place_in_buffer workspace;
    struct norma_place_in_buffer row_count; // a NULL buffer: the problem's rows
    const void *params;                     // the backend's own
};

// One run of the plan. Checks everything, then calls the backend's record once.
norma_status norma_recorder_record(norma_recorder *recorder, norma_plan *plan, const norma_problem *problem,
                                   const struct norma_record_target *target);

#endif
