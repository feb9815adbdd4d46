// What every OpenCL kernel of Norma shares: arguments, tensors of three types, loads and stores.
// Assumes OpenCL C 1.2 without extensions, IEEE binary32 rounding to nearest, and -D LOCAL_SIZE, RMS, X_TYPE, Y_TYPE,
// PROLOGUE, TEAM, SUBGROUP, REGISTERS. Arithmetic follows docs/reduction.md operation by operation.
#pragma OPENCL FP_CONTRACT OFF

// Argument 11.
struct row_args {
#define U32(name) uint name;
#define F32(name) float name;
#include "../src/kernel_args.h"
};

// Argument 12: where each binding begins, in bytes from its buffer's start. Buffers may begin anywhere so, without
// sub-buffers and their alignment.
struct row_offsets {
    ulong at[11];
};

// Binding slots.
#define X 0
#define Y 1
#define WEIGHT 2
#define BIAS 3
#define RESIDUAL 4
#define GATE 5
#define INPUT_BIAS 6
#define SUM 7
#define MEAN 8
#define RSTD 9
#define WORKSPACE 10
#define FINISH 17
#define STREAM 18
#define COUNTED 19

#define FLOAT32 0
#define FLOAT16 1
#define BFLOAT16 2
#define ABSENT 3

#define BLOCK 512u
#define CHUNK 4096u
#define FAN 64u

// Powers of two of the rescue: sums of squares that overflow (SHRINK) or vanish beside a tiny eps (GROW).
#define SHRINK 0x1p-96f
#define GROW 0x1p+100f

// With NORMA_ONLY and NORMA_ONLY_<kernel> defined a program holds that kernel alone, which builds faster.
#define BINDINGS                                                                                                       \
    __global uchar *b0, __global uchar *b1, __global uchar *b2, __global uchar *b3, __global uchar *b4,                \
        __global uchar *b5, __global uchar *b6, __global uchar *b7, __global uchar *b8, __global uchar *b9,            \
        __global uchar *b10, const struct row_args args, const struct row_offsets offsets

// One row's tensors, at the first element bound.
struct row {
    __global const uchar *x, *weight, *bias, *residual, *gate, *input_bias;
    __global uchar *y, *sum;
    uint flags, types;
    float weight_offset;
};

// What the team kernels call from many places. A CPU's compiler repeats every call for each work-item between barriers,
// and builds five times as long with the text of these in line.
#ifdef CPU
#define OUTLINE static __attribute__((noinline))
#else
#define OUTLINE static inline
#endif

// (m, r, M2, a) of a chunk, of a merge, or (m, r, s, a) of a finished row.
typedef float4 stat;

static inline bool has(uint flags, uint bit)
{
    return flags >> bit & 1;
}

static inline uint type_of(uint types, uint slot)
{
    return types >> 2 * slot & 3;
}

static inline uint element_bytes(uint type)
{
    return type == FLOAT32 ? 4 : 2;
}

static inline float load1(__global const uchar *p, uint type, uint i)
{
    if (type == FLOAT32)
        return ((__global const float *)p)[i];
    if (type == FLOAT16)
        return vload_half(i, (__global const half *)p);
    return as_float((uint)((__global const ushort *)p)[i] << 16);
}

// Round to nearest even on the bits; a NaN keeps its sign and becomes quiet.
static inline ushort to_bfloat16(float value)
{
    uint bits = as_uint(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (ushort)(bits >> 16 | 0x40);
    return (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline void store1(__global uchar *p, uint type, uint i, float value)
{
    if (type == FLOAT32)
        ((__global float *)p)[i] = value;
    else if (type == FLOAT16)
        vstore_half_rte(value, i, (__global half *)p);
    else
        ((__global ushort *)p)[i] = to_bfloat16(value);
}

// Of a tensor with rows. REGISTERS, whose loops are unrolled: it is that of x.
static inline uint rows_type(const struct row *row, uint slot)
{
#if REGISTERS
    return X_TYPE;
#else
    return type_of(row->types, slot);
#endif
}

// Of a parameter. REGISTERS: that of x, or float32.
static inline uint param_type(const struct row *row, uint slot)
{
#if REGISTERS
    return type_of(row->types, slot) == FLOAT32 ? FLOAT32 : X_TYPE;
#else
    return type_of(row->types, slot);
#endif
}

static inline uint y_type(const struct row *row)
{
#if Y_TYPE < 3
    return Y_TYPE;
#else
    return rows_type(row, Y);
#endif
}

// h of the page's "Units": the element after the prologue.
static inline float h1(const struct row *row, uint i)
{
    float u = load1(row->x, X_TYPE, i);
#if PROLOGUE
    if (has(row->flags, INPUT_BIAS))
        u = u + load1(row->input_bias, param_type(row, INPUT_BIAS), i);
    if (has(row->flags, GATE))
        u = load1(row->gate, rows_type(row, GATE), i) * u;
    if (has(row->flags, RESIDUAL))
        u = load1(row->residual, rows_type(row, RESIDUAL), i) + u;
#endif
    return u;
}

// z is h times the chunk's power of two. An in-place element is read before it is written: h comes in as a value.
static inline void apply1(const struct row *row, uint i, stat s)
{
    float h = h1(row, i);
    float z = h * s.w;
#if RMS
    float v = z * s.z;
#else
    float v = ((z - s.x) - s.y) * s.z;
#endif
    if (has(row->flags, WEIGHT))
        v = v * (row->weight_offset + load1(row->weight, param_type(row, WEIGHT), i));
    if (has(row->flags, BIAS))
        v = v + load1(row->bias, param_type(row, BIAS), i);
#if PROLOGUE
    if (has(row->flags, SUM))
        store1(row->sum, rows_type(row, SUM), i, h);
#endif
    store1(row->y, y_type(row), i, v);
}

// The tensors of row r of the dispatch, with the element offset `first` into the part.
static inline struct row row_at(BINDINGS, uint r, uint first)
{
    struct row row;
    uint types = args.types;
#define PLACE(slot, binding, off)                                                                                      \
    (binding + offsets.at[slot] + ((ulong)(off) + first) * element_bytes(type_of(types, slot)))
    row.x = PLACE(X, b0, args.off_x + (ulong)r * args.stride_x);
    row.y = PLACE(Y, b1, args.off_y + (ulong)r * args.stride_y);
    row.weight = PLACE(WEIGHT, b2, args.off_weight);
    row.bias = PLACE(BIAS, b3, args.off_bias);
    row.residual = PLACE(RESIDUAL, b4, args.off_residual + (ulong)r * args.stride_residual);
    uint gate_row = args.gate_rows > 1 ? (r + args.gate_phase) / args.gate_rows : r;
    row.gate = PLACE(GATE, b5, args.off_gate + (ulong)gate_row * args.stride_gate);
    row.input_bias = PLACE(INPUT_BIAS, b6, args.off_input_bias);
    row.sum = PLACE(SUM, b7, args.off_sum + (ulong)r * args.stride_sum);
    row.flags = args.flags;
    row.types = types;
    row.weight_offset = args.weight_offset;
    return row;
}
#define ROW_AT(r, first) row_at(b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, args, offsets, r, first)

static inline __global stat *workspace_at(__global uchar *b10, const struct row_offsets *offsets)
{
    return (__global stat *)(b10 + offsets->at[WORKSPACE]);
}

// Of the arguments, or what is known on the device alone: at the beginning of the workspace then.
static inline uint row_count(__global const uchar *b10, const struct row_args *args, const struct row_offsets *offsets)
{
    if (!has(args->flags, COUNTED))
        return args->rows;
    return min(((__global const uint *)(b10 + offsets->at[WORKSPACE]))[3], args->rows);
}

// A power of two's inverse, exactly.
static inline float inverse(float a)
{
    return a == 1.0f ? 1.0f : a == SHRINK ? 0x1p+96f : 0x1p-100f;
}

#define REAL float
#define AS_REAL as_float
#define AS_BITS as_uint
#define NAMED(name) name
#define INVERSE(w) (1.0f / (w))
#include "root_body.cl"
#undef REAL
#undef AS_REAL
#undef AS_BITS
#undef NAMED

// From a row's (m, r, M2, a) to (m, r, s, a).
static inline stat finish_row(stat s, uint n, float eps)
{
    float var = s.z / (float)n;
    s.z = reciprocal_of(root_of(var + (eps * s.w) * s.w));
    return s;
}

static inline void write_statistics(__global uchar *b8, __global uchar *b9, const struct row_args *args,
                                    const struct row_offsets *offsets, uint r, stat s)
{
    if (has(args->flags, MEAN)) {
        __global float *mean = (__global float *)(b8 + offsets->at[MEAN]);
        mean[(args->off_stats & 0xffff) + (ulong)r * args->stride_mean] = s.x * inverse(s.w);
    }
    if (has(args->flags, RSTD)) {
        __global float *rstd = (__global float *)(b9 + offsets->at[RSTD]);
        rstd[(args->off_stats >> 16) + (ulong)r * args->stride_rstd] = s.z * s.w;
    }
}

// The factor that takes a result scaled by `from` to the smaller or equal scale `to`.
static inline float rescale(float from, float to)
{
    if (from == to)
        return 1.0f;
    if (from == 1.0f)
        return to;
    return to == 1.0f ? 0x1p-100f : 0.0f;
}

// a + b without rounding: *s + *e.
static inline void two_sum(float a, float b, float *s, float *e)
{
    float sum = a + b, t = sum - a;
    *e = (a - (sum - t)) + (b - t);
    *s = sum;
}

// What follows a pass over a chunk. Steps: the state of docs/reduction.md's loop.
struct attempt {
    float k, a;
    bool second; // the second pass has been taken
    bool pivot;  // z was rescaled: take the pivot anew
};

// True where the chunk must be summed again, with *at changed; else *result is the chunk's.
static inline bool judge(float S1, float S2, uint length, float eps, struct attempt *at, stat *result)
{
    at->pivot = false;
    if (at->a == 1.0f && !at->second) {
        bool grow = S2 < 0x1p-80f && eps < 0x1p-73f && fabs(at->k) < 0x1p+20f;
        bool shrink = !isfinite(S2);
        if (grow || shrink) {
            at->a = shrink ? SHRINK : GROW;
            at->pivot = true;
            return true;
        }
    }
#if RMS
    *result = (stat)(0, 0, S2, at->a);
    return false;
#else
    float c = S1 / (float)length;
    float q = S1 * c;
    float M2 = S2 - q;
    if (q > M2 * 0.25f && !at->second) {
        at->second = true;
        at->k = at->k + c;
        return true;
    }
    if (M2 < 0)
        M2 = 0;
    float m, r;
    two_sum(at->k, c, &m, &r);
    *result = (stat)(m, r, M2, at->a);
    return false;
#endif
}
