// Walks a schedule as an executor and its kernels would, on addresses instead of numbers.
#ifndef NORMA_TESTS_REPLAY_H
#define NORMA_TESTS_REPLAY_H

#include "schedule.h"

// NULL where the schedule does the problem: every chunk of every row summed once and written once from the right
// addresses, every limit of the device obeyed, everything ordered that must be. Else what is wrong; static storage.
const char *replay(const struct row_problem *problem, const struct norma_caps *caps,
                   const struct norma_plan_options *options, const struct norma_schedule *schedule);

#endif
