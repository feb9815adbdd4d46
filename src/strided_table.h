// The arguments of the strided kernels: a table of 32-bit words, one list for C, OpenCL C and GLSL. A struct by value
// in OpenCL, a storage buffer (binding 12) in Vulkan. Offsets and strides are in elements and modulo 2^32: what they
// add up to is below 2^31.

// What one dispatch works on: groups [GROUP0, GROUP0 + GROUPS) and of each the elements [ELEMENT0, ELEMENT0 +
// ELEMENTS), which are the chunks [CHUNK0, CHUNK0 + CHUNKS).
#define ST_GROUP0 0
#define ST_GROUPS 1
#define ST_ELEMENT0 2
#define ST_ELEMENTS 3
#define ST_CHUNK0 4
#define ST_CHUNKS 5
#define ST_N 6           // elements of a whole group
#define ST_RUN 7         // of a run
#define ST_ALL_CHUNKS 8  // of a whole group
#define ST_GROUPS_FAST 9 // pointwise: 1: neighbouring invocations take neighbouring groups, 0: neighbouring elements
#define ST_RANK 10
#define ST_GROUP_RANK 11
// The operator.
#define ST_STATISTIC 12 // enum form_statistic
#define ST_SCALE 13     // enum form_scale
#define ST_ACTIVATION 14
#define ST_Z_ACTIVATION 15
#define ST_Z_FIRST 16
// Running: bit 0: the biased variance goes in, bit 1: the groups that share go in in order, bit 2: num_batches_tracked
// says with what momentum.
#define ST_UPDATE 17
// Backward: which gradient (ST_OUT_*) or which pair of sums (ST_SUM_*); ST_STATS_*; ST_SCAN_*; ST_FINISH_*.
#define ST_OUTPUT 18
#define ST_LEVEL 19 // merge, add: chunks that one input stands for: 1, 64, 4096, ...
// Places in the workspace, in cells of four floats: a list of INPUTS (of chunks, or of the level below) for each group
// of the whole problem, cell IN + group * INPUTS + i; the outputs likewise at OUT; the finished groups at CELLS: (m, r,
// s, a) of group g at CELLS + g; the coefficients (c0, c1, c2, w) of backward at COEFFICIENTS + g, w being 0, or
// WIDE_COEFFICIENTS and the exponent of all three; backward's two sums as (S1, S2, e1, e2), 2^e times each.
#define ST_IN 20
#define ST_INPUTS 21
#define ST_OUT 22
#define ST_OUTPUTS 23
#define ST_CELLS 24
#define ST_COEFFICIENTS 25
// Bits of float32.
#define ST_EPS 26
#define ST_WEIGHT_OFFSET 27
#define ST_MOMENTUM 28
#define ST_SLOPE 29
// Stride of the statistics' cells for each dimension (0 for those of an element): cell = the sum over dimensions.
#define ST_CELL_STRIDE 30
#define ST_EXTENT 38
// For each slot: type (0 float32 or int32, 1 float16, 2 bfloat16, 3 absent, 4 int8, 5 float8_e4m3fn), offset of group
// 0's element 0, a stride a dimension.
#define ST_TENSOR 46
#define ST_TENSOR_WORDS 10
#define ST_SLOTS 12
// Local response norm: the window's channels before and after an element's own; alpha/size, beta and k (float32's
// bits).
#define ST_BEFORE 166 // ST_TENSOR + ST_SLOTS * ST_TENSOR_WORDS
#define ST_AFTER 167
#define ST_ALPHA 168
#define ST_BETA 169
#define ST_K 170
// Running: which of the groups that share a running statistic go in, and how many. Count: how many batches there are.
#define ST_MEMBER 171
#define ST_MEMBERS 172
#define ST_STRETCH 173 // quads: elements of a unit of apply and grad
// merge, add: input i of group g lies at IN + g * GROUP_STEP + i * STEP. ALIKE: 0, or the elements of each first input.
#define ST_STEP 174
#define ST_GROUP_STEP 175
#define ST_ALIKE 176
// A mix (switchable_norm): enum form_mix, and struct norma_form's numbers. At MOMENTS and at SUMS there are cells of
// all groups, then of all samples, then of all channels: (m, r, M2, a), and the sums of backward.
#define ST_MIX 177
#define ST_SAMPLES 178
#define ST_CHANNELS 179
#define ST_SAMPLE_STEP 180
#define ST_CHANNEL_STEP 181
#define ST_MOMENTS 182
#define ST_SUMS 183
// stats, parts, sums: strides between the rows of stats or of parts (0: no such tensor), and of sums. The merge of
// parts: from a list's cell to the cell with its count; 0: counts follow from the chunks.
#define ST_ROW 184
#define ST_SUMS_ROW 185
#define ST_COUNTS 186
// Batch renorm: where the (r, d, 0, 0) of the groups are, as CELLS; all ones: nowhere. Float32's bits of the limits.
#define ST_RENORM 187
#define ST_R_MAX 188
#define ST_D_MAX 189
// Dimensions that tensors have strides for: the first ST_RANK, and behind them one for each size of the blocks of
// packed channels, if any. An element of channel c has there the index c >> shift, the shift in the place of the
// extent; c is the sum of its other indices times these:
#define ST_STRIDES 190
#define ST_CHANNEL_STRIDE 191
#define ST_WORDS 199

#define ST_KINDS 3 // instance, layer, batch

// Slots of stats, sums, apply and grad.
#define ST_X 0
#define ST_TO 1 // y, or a gradient that has x's shape
#define ST_WEIGHT 2
#define ST_BIAS 3
#define ST_RESIDUAL 4
#define ST_GATE 5
#define ST_INPUT_BIAS 6
#define ST_SUM 7 // forward: output h; backward: dsum
#define ST_Z 8
#define ST_ADDEND 9
#define ST_WORKSPACE 10
#define ST_DY 11
#define ST_Y_SCALE 11 // forward: the scale of a quantised y that is given; else it is at COEFFICIENTS + g
// Slots of finish, those of running, count and renorm among them. (The workspace as above.)
#define ST_MEAN 0
#define ST_RSTD 1
#define ST_RUNNING_MEAN 2
#define ST_RUNNING_VAR 3
#define ST_NUM_BATCHES_TRACKED 4 // two words, the low one first
#define ST_R 5
#define ST_D 6
// Slots of the mix: those of finish, and these, whose first stride is the step between the kinds.
#define ST_MEAN_WEIGHTS 4
#define ST_VAR_WEIGHTS 5
// Slots of finish, and ST_STATS of running.
#define ST_STATS 5
#define ST_MERGED_SUMS 6
// Slot of gather: ST_PARTS. Slot of write, to which parameter gradients and sums go, and of result: ST_TO.
#define ST_PARTS 0

// ST_OUTPUT of finish: where the statistics are.
#define ST_FINISH_LISTS 0 // in the workspace, or with FORM_GIVEN in the running statistics
#define ST_FINISH_SAVED 1 // in mean and rstd
#define ST_FINISH_STATS 2 // in stats
#define ST_FINISH_RSTD 3  // the mean in the workspace, the factor in rstd

// ST_OUTPUT of stats.
#define ST_STATS_ALL 0
#define ST_STATS_AGAIN 1 // only chunks whose cell has the scale 0
// ST_OUTPUT of grad.
#define ST_OUT_DX 0
#define ST_OUT_DRESIDUAL 1
#define ST_OUT_DGATE 2
#define ST_OUT_DZ 3
#define ST_OUT_DADDEND 4
// ST_OUTPUT of scan, fold and result.
#define ST_SCAN_NONFINITE 0 // how many of x are NaN or infinite
#define ST_SCAN_INT8 1      // the bits of the largest |y|, NaN being the largest of all; the scale of an int8 y
#define ST_SCAN_FLOAT8 2    // the same of a float8_e4m3fn y
// ST_OUTPUT of sums.
#define ST_SUM_STATISTICS 0  // (sum of g, sum of g*xhat)
#define ST_SUM_DWEIGHT 1     // (dv1*xhat, 0)
#define ST_SUM_DBIAS 2       // (dv1, 0)
#define ST_SUM_DINPUT_BIAS 3 // (dh*gate, 0)
#define ST_SUM_DGATE 4       // (dh*(x + input_bias), 0)
#define ST_SUM_ABOUT_MEAN 5  // (t - mean, 0), the saved mean in slot ST_TO
