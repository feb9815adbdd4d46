#ifndef NORMA_PROBLEM_H
#define NORMA_PROBLEM_H

#include <norma/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum norma_op {
    NORMA_OP_INVALID = 0,
    NORMA_LAYER_NORM, // y = (h - mean)/sqrt(var + eps) * weight + bias, var the biased one (Ba et al.,
                      // arXiv:1607.06450)
    NORMA_RMS_NORM,   // y = h/sqrt(mean(h^2) + eps) * (weight_offset + weight) + bias (arXiv:1910.07467)
    NORMA_OP_COUNT
} norma_op;

// The tensors of a problem, as an index.
typedef enum norma_arg {
    NORMA_ARG_X,
    NORMA_ARG_Y,
    NORMA_ARG_WEIGHT,
    NORMA_ARG_BIAS,
    NORMA_ARG_RESIDUAL,
    NORMA_ARG_GATE,
    NORMA_ARG_INPUT_BIAS,
    NORMA_ARG_SUM,
    NORMA_ARG_MEAN,
    NORMA_ARG_RSTD,
    NORMA_ARG_COUNT,
    NORMA_ARG_WORKSPACE = 31 // in descriptions: scratch memory that the plan needs
} norma_arg;

// "layer_norm", "x", ...: the names that messages, programs and files use. Static storage; NULL for a value out of
// range.
NORMA_API const char *norma_op_name(norma_op op);
NORMA_API const char *norma_arg_name(norma_arg arg);

// One operator with its tensors: the last normalized_dims dimensions of x are normalised together.
// Required: op, x, y. A NULL tensor is absent. The tensors' structs are read during the call only.
//   h = residual + gate * (x + input_bias), in float32, absent parts left out; statistics are those of h
//   y = xhat * (weight_offset + weight) + bias; an absent weight leaves out the factor
// Shapes: y, residual and sum as x; weight, bias and input_bias the normalised shape; gate the normalised shape, or the
// shape of x with outer dimensions that may be 1 (repeated); mean and rstd the outer shape, or that with ones behind.
// The normalised dimensions of every tensor are contiguous; outer strides are free. Types: x, y and the rest float32,
// float16 or bfloat16, each on its own; mean and rstd float32.
// An output may share elements with another tensor only if both are the same view (y in place of x, sum of residual).
// A dimension of 0 is no error: nothing is computed, and mean and rstd of empty rows are NaN.
typedef struct norma_problem {
    size_t size; // sizeof(norma_problem)
    norma_op op;
    int32_t normalized_dims; // 1 to the rank of x
    double eps;              // not negative, not NaN
    double weight_offset;    // RMS norm; 1 is Gemma's
    const norma_tensor *x;
    const norma_tensor *y;
    const norma_tensor *weight;
    const norma_tensor *bias;
    const norma_tensor *residual;
    const norma_tensor *gate;
    const norma_tensor *input_bias;
    const norma_tensor *sum;  // output: h
    const norma_tensor *mean; // output
    const norma_tensor *rstd; // output: 1/sqrt(var + eps)
} norma_problem;

#define NORMA_LAYER_NORM_DEFAULTS                                                         \
    {                                                                                     \
        sizeof(norma_problem), NORMA_LAYER_NORM, 1, 1e-5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }
#define NORMA_RMS_NORM_DEFAULTS                                                         \
    {                                                                                   \
        sizeof(norma_problem), NORMA_RMS_NORM, 1, 1e-6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

#ifdef __cplusplus
}
#endif
#endif
