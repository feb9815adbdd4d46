// What the parts of the replay share.
#ifndef NORMA_TESTS_REPLAY_STATE_H
#define NORMA_TESTS_REPLAY_STATE_H

#include "schedule.h"

// A float4 of the workspace: which chunks of which row it stands for. A row is known by the addresses of its inputs.
struct cell {
    int64_t x, residual, gate, mean, rstd;
    uint32_t first, behind; // chunks
    uint32_t written, read; // epochs, counted from 1 by barriers
    bool finished;
};

struct replay {
    const struct row_problem *problem;
    const struct norma_caps *caps;
    const struct norma_plan_options *options;
    const struct norma_schedule *schedule;
    int64_t chunks;
    bool stage;
    struct cell *cells;
    uint64_t cell_count, sums;
    uint8_t *written, *stats; // times, of each chunk's outputs, of each row's mean and rstd
    uint32_t *transfer;       // step of each tile and tensor, in STAGE
    uint32_t epoch;
    // The dispatch at hand:
    const norma_dispatch *dispatch;
    struct norma_row_args args;
};

extern char replay_message[256];

// Leaves the function with a message.
#define want(condition, ...)                                              \
    do {                                                                  \
        if (!(condition)) {                                               \
            snprintf(replay_message, sizeof replay_message, __VA_ARGS__); \
            return false;                                                 \
        }                                                                 \
    } while (0)

static inline size_t element_size(const struct replay *state, norma_arg arg)
{
    return norma_dtype_size(state->problem->arg[arg].dtype);
}

static inline bool is_statistic(norma_arg arg)
{
    return arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
}

bool replay_limits(const struct replay *state);    // of the dispatch at hand
bool replay_budget(const struct replay *state);    // of the dispatch at hand
bool replay_order(const struct replay *state);     // of the steps
bool replay_dispatch(struct replay *state);        // addresses and workspace of the dispatch at hand
uint64_t replay_units(const struct replay *state); // of the dispatch at hand

#endif
