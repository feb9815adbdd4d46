// The problem of a command that reads .npy files: x and the tensors that the options name.
#ifndef NORMA_TOOLS_INPUTS_H
#define NORMA_TOOLS_INPUTS_H

#include "npy.h"
#include "options.h"
#include "problem.h"

struct inputs {
    struct npy file[NORMA_ARG_COUNT];
    norma_problem problem;  // views the files; without outputs
    struct norma_work work; // its canonical form, y as x in forward
};

// float64 files are rounded to float32 unless --dtype float64. inputs must not move afterwards, and are to be closed in
// any case. With c_order files in Fortran order are copied into C order. False after a message.
bool inputs_open(const struct options *options, bool c_order, struct inputs *inputs);
void inputs_close(struct inputs *inputs);

#endif
