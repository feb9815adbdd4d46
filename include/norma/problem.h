#ifndef NORMA_PROBLEM_H
#define NORMA_PROBLEM_H

#include <norma/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

// A statistics group is the set of elements that share a mean. x is [N, C, ...] where an operator has channels.
typedef enum norma_op {
    NORMA_OP_INVALID = 0,
    NORMA_LAYER_NORM,             // over the last normalized_dims dimensions, or axes (Ba et al., arXiv:1607.06450)
    NORMA_RMS_NORM,               // the same without a mean: h/sqrt(mean(h^2) + eps) (arXiv:1910.07467)
    NORMA_BATCH_NORM,             // a channel over N and space (arXiv:1502.03167); training or with running statistics
    NORMA_GROUP_NORM,             // a sample's num_groups groups of channels (arXiv:1803.08494)
    NORMA_INSTANCE_NORM,          // a sample's channel (arXiv:1607.08022)
    NORMA_WEIGHT_STANDARDIZATION, // an output channel of a convolution's weights (arXiv:1903.10520)
    NORMA_NORMALIZE,              // h/max(norm, eps) over axes, the norm of order norm_order
    // Over axes: (t - mean)/(sqrt(var) + eps), that of ONNX (the function body of MeanVarianceNormalization-13).
    // sqrt(var) has no gradient where all elements are equal: dt is then (g - mean(g))/eps.
    NORMA_MEAN_VARIANCE_NORMALIZATION,
    // xhat of the base, times 1 + scale plus shift, which differ from sample to sample (AdaLN of DiT, AdaGN, AdaIN).
    NORMA_ADA_LAYER_NORM,
    NORMA_ADA_RMS_NORM,
    NORMA_ADA_GROUP_NORM,
    NORMA_ADA_INSTANCE_NORM,
    // x / (k + alpha/local_size * sum of x^2 over a window of channels)^beta for xhat (Krizhevsky et al., "ImageNet
    // classification with deep convolutional neural networks", 2012, section 3.3), then z, addend, activation and a
    // given y_scale. It has no other tensors but nonfinite, no z_first, and is forward alone.
    NORMA_LOCAL_RESPONSE_NORM,
    NORMA_BATCH_RENORM,     // a batch norm for small batches (arXiv:1702.03275)
    NORMA_GHOST_BATCH_NORM, // in training a channel over space and virtual_batch samples (arXiv:1705.08741)
    // A softmax-weighted mix of the statistics of instance, layer and batch norm (Luo et al., arXiv:1806.10779).
    NORMA_SWITCHABLE_NORM,
    // Batch norm in training whose batch lies in several places, in three steps (synchronised batch norm).
    NORMA_BATCH_NORM_STATS, // x to stats; backward: dy to sums, dweight, dbias
    NORMA_BATCH_NORM_MERGE, // parts to stats; backward: parts to sums
    NORMA_BATCH_NORM_APPLY, // x and stats to y; backward: dy, stats and sums to dx and the other gradients
    NORMA_OP_COUNT
} norma_op;

// Where the window of an even local_size lies: one more channel before (PyTorch) or after (ONNX).
typedef enum norma_window {
    NORMA_WINDOW_BEFORE = 0, // channels c - size/2 to c + (size - 1)/2
    NORMA_WINDOW_AFTER,      // channels c - (size - 1)/2 to c + size/2
    NORMA_WINDOW_COUNT
} norma_window;

typedef enum norma_direction { NORMA_FORWARD = 0, NORMA_BACKWARD = 1 } norma_direction;

typedef enum norma_activation {
    NORMA_ACTIVATION_NONE = 0,
    NORMA_RELU,
    NORMA_LEAKY_RELU, // activation_slope below 0
    NORMA_GELU,       // v * Phi(v), by erf
    NORMA_GELU_TANH,  // its approximation 0.5*v*(1 + tanh(sqrt(2/pi)*(v + 0.044715*v^3)))
    NORMA_SILU,
    NORMA_SIGMOID,
    NORMA_ACTIVATION_COUNT
} norma_activation;

// How normalize keeps clear of a division by zero.
typedef enum norma_eps_mode {
    NORMA_EPS_MAX = 0, // max(norm, eps)
    NORMA_EPS_ADD,     // norm + eps
    NORMA_EPS_INSIDE,  // sqrt(sum of squares + eps); norm_order 2 alone
    NORMA_EPS_MODE_COUNT
} norma_eps_mode;

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
    NORMA_ARG_Z,
    NORMA_ARG_ADDEND,
    NORMA_ARG_SCALE,
    NORMA_ARG_SHIFT,
    NORMA_ARG_RUNNING_MEAN,
    NORMA_ARG_RUNNING_VAR,
    NORMA_ARG_NUM_BATCHES_TRACKED,
    NORMA_ARG_R,
    NORMA_ARG_D,
    NORMA_ARG_Y_SCALE,
    NORMA_ARG_NONFINITE,
    NORMA_ARG_MEAN_WEIGHTS,
    NORMA_ARG_VAR_WEIGHTS,
    NORMA_ARG_STATS,
    NORMA_ARG_PARTS,
    NORMA_ARG_SUMS,
    NORMA_ARG_DY,
    NORMA_ARG_DSUM,
    NORMA_ARG_DX,
    NORMA_ARG_DWEIGHT,
    NORMA_ARG_DBIAS,
    NORMA_ARG_DRESIDUAL,
    NORMA_ARG_DGATE,
    NORMA_ARG_DINPUT_BIAS,
    NORMA_ARG_DZ,
    NORMA_ARG_DADDEND,
    NORMA_ARG_DSCALE,
    NORMA_ARG_DSHIFT,
    NORMA_ARG_DMEAN_WEIGHTS,
    NORMA_ARG_DVAR_WEIGHTS,
    NORMA_ARG_COUNT,
    NORMA_ARG_ROW_COUNT = 62, // in descriptions: the uint32_t that says how many rows there are
    NORMA_ARG_WORKSPACE = 63  // in descriptions: scratch memory that the plan needs
} norma_arg;

// "layer_norm", "x", ...: the names that messages, programs and files use. Static storage; NULL for a value out of
// range.
NORMA_API const char *norma_op_name(norma_op op);
NORMA_API const char *norma_arg_name(norma_arg arg);
NORMA_API const char *norma_activation_name(norma_activation activation);

// One operator with its tensors. Required: op, x, and y (forward) or dy (backward), unless said. A NULL tensor is
// absent. The tensors' structs are read during the call only. In float32:
//   h = residual + gate * (x + input_bias)                absent parts left out; `sum` is h
//   t = h * act_z(z) where z_first, else h                statistics are those of t
//   xhat = (t - mean) * rstd                              (normalize: t / norm)
//   v = xhat * (weight_offset + weight) + bias            an absent weight leaves out the factor
//   v = v * act_z(z) where z is there and not z_first; then v + addend
//   y = activation(v), or where y is int8 or float8_e4m3fn quantise(activation(v) / y_scale)
// var is the biased variance and rstd = 1/sqrt(var + eps) unless said.
//
// Shapes. y, residual, sum, z, addend: as x. weight and bias: the normalised shape (layer_norm, rms_norm,
// mean_variance_normalization), [C] (batch norms, group, instance and switchable norm), [O] (weight_standardization,
// whose weight is its gain, of the dimensions that no group has; normalize has none), or a shape of x's rank with x's
// dimensions or ones, which are repeated. scale and shift: [N, D] (adaptive layer and RMS norm of x of rank 2 or more,
// D its last dimension, or the last of axes), [N, C] (group and instance norm), or a shape of x's rank as before.
// input_bias: as weight; normalize, which has none: as that of mean_variance_normalization, adaptive norms: as scale.
// gate: as input_bias, or a shape of x's rank as before. mean and rstd: x's shape without the dimensions of a group, or
// with ones in their place (mean is zeros of rms_norm, ada_rms_norm and normalize, which have none); group_norm: [N,
// num_groups], ghost_batch_norm in training: [N/virtual_batch, C]; of local_response_norm, which has neither, x's shape
// without C. running_mean and running_var: [C]. num_batches_tracked: one element, [] or [1]. mean_weights and
// var_weights: [3]. Types: float32, float16 or bfloat16, each on its own; float64 on the scalar path, then of every
// tensor; mean, rstd and running_* float32 (or float64); num_batches_tracked int64. Strides are free, and what has x's
// shape may have packed channels (norma_tensor), each tensor in blocks of its own size or in none. The row kernels,
// which are the fastest, want the normalised dimensions contiguous.
//
// Quantised y. quantise() rounds to nearest even and saturates (int8: -128..127, float8_e4m3fn: -448..448, infinities
// too); a NaN becomes 0 in int8 and NaN in float8_e4m3fn. y_scale, float32 (or float64), goes with such a y alone.
// Without dynamic_scale it is read: of one element (rank 0 or [1]), a shape of x's rank with x's dimensions or ones,
// which are repeated, or the shape of mean. With dynamic_scale it is written, in the shape of mean: the largest
// |activation(v)| of each statistics group / 127 (int8) or / 448 (float8_e4m3fn), NaN where the group has a NaN, 1 for
// a group of zeros, and never less than the smallest positive float32. y is what division by y_scale as stored makes of
// v; it may be one step off where the error that v may have reaches past the boundary of two steps. Not backward: a
// quantised y has no gradient. dynamic_scale: not local_response_norm, which has no statistics groups.
// nonfinite, int32, of the shape of mean: how many elements of x in each group are NaN or infinite (forward); of
// local_response_norm among the channels of each place.
//
// y, sum, dx, dresidual, dz and daddend may lie in an input's place, and be the same view then (y in place of x, sum of
// residual); not of local_response_norm in that of x, whose windows overlap. In backward one gradient at most does. No
// other output shares elements with another tensor. A group has 2^31 - 1 elements at most. x has 8 dimensions
// at most that do not fold into others in memory, the channels that are cut into groups (or the samples, into virtual
// batches) counting as two, a group of all of x or of single elements as one more, and packed channels as one more for
// each size of block that there is: more of either is NORMA_ERROR_UNSUPPORTED, and so is on OpenCL and Vulkan the
// gradient of a parameter that has all of 8 such dimensions, or none. Rows apart, these also need that a chunk of a
// group, or of what a parameter's gradient sums (up to 4096 elements, docs/reduction.md), with all that lies between
// its elements fits the memory budget and what a binding may span (Vulkan's maxStorageBufferRange: 128 MiB on the least
// of devices), and that the statistics of all groups, 16 to 64 bytes each, do. A dimension of 0 is no error: nothing is
// computed, outputs that are not empty are written: gradients of parameters 0, mean and rstd NaN, a dynamic y_scale 1,
// nonfinite 0.
//
// batch_renorm in training: mean_b and sd_b = sqrt(var + eps) are those of the batch, mean_run and sd_run =
// sqrt(running_var + eps) those of the running statistics before they are updated. xhat*r + d takes the place of xhat
// in v; r and d, which are outputs in the shape of mean and constants for gradients, need running_mean and running_var:
//   r = sd_b / sd_run, at least 1/r_max and at most r_max
//   d = (mean_b - mean_run) / sd_run, at least -d_max and at most d_max
// Backward of training must be given the r and d of forward. Otherwise batch_renorm is batch_norm.
//
// batch_norm, batch_renorm, ghost_batch_norm and instance_norm. training (batch norms) or use_input_stats
// (instance_norm): statistics are x's, and running_mean and running_var, where given, become (1 - momentum)*running +
// momentum*batch; the variance that goes in is the unbiased one unless running_var_biased (ONNX). Otherwise
// running_mean and running_var are the statistics. instance_norm's batch is the mean over the samples. ghost_batch_norm
// is batch_norm of each virtual_batch samples, one virtual batch after the other, and so are the running statistics
// updated (Hoffer et al., algorithm 1; TensorFlow's virtual_batch_size instead takes the mean of the virtual batches
// once). Where running_var takes an unbiased variance, one element to a channel (instance_norm: to a sample's channel)
// is NORMA_ERROR_INVALID_ARGUMENT; batch norms do not train on it at all. num_batches_tracked, where given, is the
// number of batches that running_mean and running_var have seen, not negative; it grows by 1 (by N/virtual_batch)
// wherever they are updated or would be. cumulative is PyTorch's momentum=None: momentum is 1/(num_batches_tracked +
// 1), that of the next virtual batch 1/(num_batches_tracked + 2), and so on.
//
// switchable_norm (arXiv:1806.10779, equations 3 to 5). With alpha = softmax(mean_weights) and beta =
// softmax(var_weights), both required and in the order instance, layer, batch, channel c of sample n has
//   mean = alpha_0*mean_instance[n,c] + alpha_1*mean_layer[n] + alpha_2*mean_batch[c]
//   var  = beta_0*var_instance[n,c] + beta_1*var_layer[n] + beta_2*var_batch[c]
// where layer is over a sample's channels and space, batch over a channel's samples and space; mean and rstd, [N, C],
// are those of the mix. training: batch is x's, and running_mean and running_var, where given, are updated as above.
// Otherwise they are required, stand in the batch's place, and have no gradient. Backward does not read a saved mean or
// rstd: it needs all three kinds of statistics again, from x. A NaN or infinity spoils what it is mixed into: a
// sample, and in training a channel; in backward what these are mixed into in turn.
//
// Backward. dy (of y) and, where it is given, dsum (of sum) are the gradients that come in; those of the tensors that
// are given as dx, dweight, ... go out, each of the shape of its tensor, summed over what the tensor repeats. x and the
// tensors that forward had are read again. mean and rstd are inputs, those that forward gave; what is not given is
// recomputed. A saved rstd is taken as it is: where there is no mean (rms_norm, normalize), t is then not reduced for
// its statistics again. A saved mean saves the second of two passes at most: rounded to float32, it is off by more than
// a small deviation, so that it is corrected by the mean of t - mean; without rstd it is not read. An rstd that float32
// does not hold (infinite, or a denormal) is better left out. Running statistics, where they are used, are read instead
// of saved ones, and have no gradient. A gradient that its type holds comes out whatever the size of dy, weight, z and
// rstd, but for these: with z_first t = h*act_z(z) is a float32, which may overflow, or round among the denormals; sums
// of batch norm over several devices are float32; and float64 has no more room than its own on the way, so that there
// dy*weight, and the sums of it, are to stay below 1.7e308.
//
// Batch norm over several devices. With a batch in pieces along N, of any sizes, each device takes batch_norm_stats of
// its piece; the stats of all, exchanged by whatever means, are the parts of batch_norm_merge, which every device runs;
// batch_norm_apply then normalises a piece with the statistics of the whole batch (PyTorch's batch_norm_stats,
// batch_norm_gather_stats_with_counts and batch_norm_elemt). Backward likewise: batch_norm_stats, batch_norm_merge,
// batch_norm_apply with direction NORMA_BACKWARD (batch_norm_backward_reduce, an all-reduce,
// batch_norm_backward_elemt).
//   batch_norm_stats   forward:  x (and residual, gate, input_bias, z with z_first) -> stats [5, C], sum
//                      backward: dy, x, stats (merged ones), what forward had -> sums [2, C], dweight, dbias (of the
//                      piece)
//   batch_norm_merge   forward:  parts [K, 5, C] -> stats [5, C];  backward: parts [K, 2, C] -> sums [2, C]
//   batch_norm_apply   forward:  x, stats, weight, bias, ... -> y, sum, mean, rstd, y_scale and nonfinite (of the
//                                piece alone); running_mean and running_var updated as batch_norm does in training,
//                                with the count in stats for n
//                      backward: dy, dsum, x, stats, sums, ... -> dx, dresidual, dgate, dinput_bias, dz, daddend
// Rows of stats: count, mean, mean_low, m2, scale. scale is a power of two, 1 unless squares of t overflow or vanish
// beside eps; of t*scale mean + mean_low is the mean to twice the digits of float32, and m2 the sum of squares about
// it, so that var = m2 / scale^2 / count. A piece of no elements has count 0 and zeros. Rows of sums: the sums over the
// piece of g, the gradient at xhat, and of g*xhat. stats, parts and sums are float32 (of float64: float64); strides are
// free. eps shall be the same in all three. The merge is that of Chan, Golub and LeVeque ("Updating formulae and a
// pairwise algorithm for computing sample variances", 1979) by pairs in the order of the parts: the same parts in the
// same order have the same bits. One piece that is the whole batch gives the bits of batch_norm in training, but on the
// scalar path, which keeps statistics in float64 there. Running statistics of a batch of one element, whose unbiased
// variance does not exist, stay as they are; batch_norm_apply of an empty piece writes mean, rstd and the running
// statistics, so that they stay alike on all devices; a dynamic y_scale is then 1, nonfinite 0.
typedef struct norma_problem {
    size_t size; // sizeof(norma_problem)
    norma_op op;
    norma_direction direction;
    int32_t normalized_dims; // layer_norm, rms_norm, adaptive ones: 1 to the rank of x
    // Bit d: dimension d belongs to a group. normalize, mean_variance_normalization; layer_norm, rms_norm, adaptive
    // ones (not dimension 0): 0, or in the place of the last normalized_dims; weight_standardization: 0, or in the
    // place of all but dimension 0. They need not be neighbours.
    uint32_t axes;
    int32_t num_groups;      // group_norm: divides C
    int32_t virtual_batch;   // ghost_batch_norm in training: divides N; there is no default
    int32_t training;        // batch norms, switchable_norm
    int32_t use_input_stats; // instance_norm
    int32_t running_var_biased;
    int32_t cumulative; // running statistics are the mean of all batches; momentum is not looked at
    int32_t norm_order; // normalize: 1 or 2
    norma_eps_mode eps_mode;
    norma_activation activation;
    norma_activation z_activation;
    int32_t z_first;
    int32_t dynamic_scale; // y_scale is an output
    int32_t local_size;    // local_response_norm: channels of the window
    norma_window window;
    double alpha;
    double beta;
    double k;
    double activation_slope;
    double momentum;
    double r_max;         // batch_renorm: 1 or more
    double d_max;         // batch_renorm: 0 or more
    double eps;           // not negative, not NaN
    double weight_offset; // 1 is Gemma's
    const norma_tensor *x;
    const norma_tensor *y;
    const norma_tensor *weight;
    const norma_tensor *bias;
    const norma_tensor *residual;
    const norma_tensor *gate;
    const norma_tensor *input_bias;
    const norma_tensor *sum;  // output: h
    const norma_tensor *mean; // output; backward: input
    const norma_tensor *rstd; // the same
    const norma_tensor *z;
    const norma_tensor *addend;
    const norma_tensor *scale; // adaptive norms: in the place of weight and bias
    const norma_tensor *shift;
    const norma_tensor *running_mean; // read; training: updated in place
    const norma_tensor *running_var;
    const norma_tensor *num_batches_tracked; // the same
    const norma_tensor *r;                   // batch_renorm in training: output; backward: input
    const norma_tensor *d;                   // the same
    const norma_tensor *y_scale;             // of a quantised y; output with dynamic_scale
    const norma_tensor *nonfinite;           // output
    const norma_tensor *mean_weights;        // switchable_norm: [3], before the softmax: of instance, layer, batch
    const norma_tensor *var_weights;
    const norma_tensor *stats; // batch_norm_stats, _merge, _apply
    const norma_tensor *parts; // batch_norm_merge
    const norma_tensor *sums;  // the three's backward
    const norma_tensor *dy;
    const norma_tensor *dsum;
    const norma_tensor *dx;
    const norma_tensor *dweight;
    const norma_tensor *dbias;
    const norma_tensor *dresidual;
    const norma_tensor *dgate;
    const norma_tensor *dinput_bias;
    const norma_tensor *dz;
    const norma_tensor *daddend;
    const norma_tensor *dscale;
    const norma_tensor *dshift;
    const norma_tensor *dmean_weights;
    const norma_tensor *dvar_weights;
} norma_problem;

// The operator's defaults, no tensors: eps 1e-5 (rms_norm 1e-6, weight_standardization 1e-10, normalize 1e-12, adaptive
// norms 1e-6, mean_variance_normalization 1e-9), normalized_dims 1, num_groups 1, momentum 0.1, r_max 3, d_max 5,
// norm_order 2, use_input_stats 1, activation_slope 0.01, z_activation silu, local_size 5, alpha 1e-4, beta 0.75, k 1.
// It is as large as the library's struct: for programs whose header is of the library's version.
NORMA_API norma_problem norma_problem_defaults(norma_op op);

// The same into *problem, whose size field the caller sets, whatever the version of his header.
// NORMA_ERROR_INVALID_ARGUMENT where the size is none of a norma_problem.
NORMA_API norma_status norma_problem_init(norma_problem *problem, norma_op op);

#ifdef __cplusplus // which has no initialisers by name before C++20
#define NORMA_LAYER_NORM_DEFAULTS norma_problem_defaults(NORMA_LAYER_NORM)
#define NORMA_RMS_NORM_DEFAULTS norma_problem_defaults(NORMA_RMS_NORM)
#else
#define NORMA_LAYER_NORM_DEFAULTS                                                                                     \
    {                                                                                                                 \
        .size = sizeof(norma_problem), .op = NORMA_LAYER_NORM, .normalized_dims = 1, .num_groups = 1,                 \
        .use_input_stats = 1, .norm_order = 2, .z_activation = NORMA_SILU, .activation_slope = 0.01, .local_size = 5, \
        .alpha = 1e-4, .beta = 0.75, .k = 1, .momentum = 0.1, .r_max = 3, .d_max = 5, .eps = 1e-5                     \
    }
#define NORMA_RMS_NORM_DEFAULTS                                                                                       \
    {                                                                                                                 \
        .size = sizeof(norma_problem), .op = NORMA_RMS_NORM, .normalized_dims = 1, .num_groups = 1,                   \
        .use_input_stats = 1, .norm_order = 2, .z_activation = NORMA_SILU, .activation_slope = 0.01, .local_size = 5, \
        .alpha = 1e-4, .beta = 0.75, .k = 1, .momentum = 0.1, .r_max = 3, .d_max = 5, .eps = 1e-6                     \
    }
#endif

#ifdef __cplusplus
}
#endif
#endif
