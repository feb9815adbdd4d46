// A dispatch of row_whole made by hand, with its tensors in host memory, for tests of the scalar backend.
#ifndef NORMA_TESTS_SCALAR_JOB_H
#define NORMA_TESTS_SCALAR_JOB_H

#include "backend.h"
#include "rows.h"

// stride and offset in elements; type as in the kernel argument `types`.
struct job {
    norma_op op;
    uint32_t n, rows, gate_rows, gate_phase;
    float eps, weight_offset;
    struct {
        bool present;
        int type;
        uint32_t stride, offset;
        size_t elements;
        unsigned char *memory;
    } tensor[NORMA_ROW_ARGS];
};

// Rows without gaps, x and y alone present, all float32; no memory yet.
struct job job_dense(norma_op op, uint32_t rows, uint32_t n);
// Memory of exactly the elements that the tensors span, filled with NaN bytes.
void job_allocate(struct job *job);
void job_release(struct job *job);
// The same with memory of its own, of the same contents.
struct job job_copy(const struct job *job);

bool job_is_output(int arg);
size_t job_element_size(int type);
norma_dtype job_dtype(int type);
// Where an element of a row is in the tensor's memory.
size_t job_index(const struct job *job, norma_arg arg, uint32_t row, uint32_t i);
float job_get(const struct job *job, norma_arg arg, size_t index);
void job_set(struct job *job, norma_arg arg, size_t index, float value);

// Runs it on the open device and checks what its events say.
void job_run(const struct job *job, struct norma_device *device);

#endif
