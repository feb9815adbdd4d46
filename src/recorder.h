// Recording a plan's run, as far as all backends have it in common.
#ifndef NORMA_SRC_RECORDER_H
#define NORMA_SRC_RECORDER_H

#include "place.h"
#include <norma/record.h>

// One run of the plan into target (struct norma_backend, record). Checks everything, then calls the backend once.
norma_status norma_recorder_record(norma_recorder *recorder, const struct norma_backend *backend, norma_plan *plan,
                                   const norma_problem *problem, const struct norma_place_in_buffer *workspace,
                                   const void *target);

#endif
