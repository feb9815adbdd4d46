// What a plan knows of a run of it, for those who submit or record it.
#ifndef NORMA_SRC_PLANNED_H
#define NORMA_SRC_PLANNED_H

#include "place.h"
#include "problem.h"
#include <norma/plan.h>

// The run's problem with the parameters that the plan holds, and what is to be computed. memory:
// NORMA_PLACE_BUFFER, or NORMA_PLACE_NONE where the shapes alone count.
struct norma_planned {
    norma_problem problem;
    struct norma_work work;
};
norma_status norma_plan_resolve(norma_plan *plan, const norma_problem *problem, enum norma_place memory,
                                struct norma_planned *run);
// Where its tensors lie. NORMA_ERROR_INVALID_ARGUMENT where one is another device's.
norma_status norma_plan_places(const norma_plan *plan, const norma_problem *problem,
                               struct norma_place_in_buffer places[NORMA_ARG_COUNT]);
struct norma_plan_options norma_plan_schedule_options(const norma_plan *plan);
struct norma_device *norma_plan_device(const norma_plan *plan);

#endif
