#include "loops.h"

#include "../half.h"

#define BODY static inline __attribute__((always_inline))
// Outputs may be the same memory as inputs, element by element: no iteration depends on another.
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

typedef double lanes __attribute__((vector_size(4 * sizeof(double))));
typedef float floats __attribute__((vector_size(4 * sizeof(float))));

// Through a pointer: a function that returned a wide vector would have another ABI on each set.
BODY void load_lanes(lanes *d, const float *h)
{
    floats f;
    memcpy(&f, h, sizeof f);
    *d = __builtin_convertvector(f, lanes);
}

BODY void load_sums(const double sums[NSC_SUMS], lanes *s0, lanes *s1, lanes *s2, lanes *s3)
{
    memcpy(s0, sums, sizeof *s0);
    memcpy(s1, sums + 4, sizeof *s1);
    memcpy(s2, sums + 8, sizeof *s2);
    memcpy(s3, sums + 12, sizeof *s3);
}

BODY void store_sums(double sums[NSC_SUMS], const lanes *s0, const lanes *s1, const lanes *s2, const lanes *s3)
{
    memcpy(sums, s0, sizeof *s0);
    memcpy(sums + 4, s1, sizeof *s1);
    memcpy(sums + 8, s2, sizeof *s2);
    memcpy(sums + 12, s3, sizeof *s3);
}

// The elements behind the last multiple of 16.
BODY void rest(double sums[NSC_SUMS], const float *h, size_t n, double mean, int square)
{
    for (size_t j = 0; j < n % NSC_SUMS; j++) {
        double d = h[n - n % NSC_SUMS + j] - mean;
        sums[j] += square ? d * d : d;
    }
}

BODY void sum_body(double sums[NSC_SUMS], const float *h, size_t n)
{
    // Four variables, not an array: gcc 12 keeps an array of vectors in memory.
    lanes s0, s1, s2, s3;
    load_sums(sums, &s0, &s1, &s2, &s3);
    for (size_t i = 0; i + NSC_SUMS <= n; i += NSC_SUMS) {
        lanes d0, d1, d2, d3;
        load_lanes(&d0, h + i);
        load_lanes(&d1, h + i + 4);
        load_lanes(&d2, h + i + 8);
        load_lanes(&d3, h + i + 12);
        s0 += d0;
        s1 += d1;
        s2 += d2;
        s3 += d3;
    }
    store_sums(sums, &s0, &s1, &s2, &s3);
    rest(sums, h, n, 0, 0);
}

BODY void squares_body(double sums[NSC_SUMS], const float *h, size_t n, double mean)
{
    lanes s0, s1, s2, s3;
    load_sums(sums, &s0, &s1, &s2, &s3);
    for (size_t i = 0; i + NSC_SUMS <= n; i += NSC_SUMS) {
        lanes d0, d1, d2, d3;
        load_lanes(&d0, h + i);
        load_lanes(&d1, h + i + 4);
        load_lanes(&d2, h + i + 8);
        load_lanes(&d3, h + i + 12);
        d0 -= mean;
        d1 -= mean;
        d2 -= mean;
        d3 -= mean;
        s0 += d0 * d0;
        s1 += d1 * d1;
        s2 += d2 * d2;
        s3 += d3 * d3;
    }
    store_sums(sums, &s0, &s1, &s2, &s3);
    rest(sums, h, n, mean, 1);
}

// To float32 by rounding to odd: what is then rounded to a 16-bit type is rounded as if once, from the double.
BODY float sticky_float(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t lost = bits & 0x1fffffff;
    bits = (bits ^ lost) | ((lost + 0x1fffffff) & 0x20000000);
    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

// type, weighted and biased are constants where this is inlined: one loop for each combination.
BODY void apply_loop(const struct nsc_apply *a, const float *h, size_t n, enum nsc_type type, int weighted, int biased)
{
    const double mean = a->mean, rstd = a->rstd, offset = a->weight_offset;
    const float *weight = a->weight, *bias = a->bias;
    float *y32 = a->y;
    uint16_t *y16 = a->y;
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        double y = (h[i] - mean) * rstd;
        if (weighted)
            y *= offset + weight[i];
        if (biased)
            y += bias[i];
        if (type == NSC_FLOAT32)
            y32[i] = (float)y;
        else if (type == NSC_FLOAT16)
            y16[i] = norma_float_to_half(sticky_float(y));
        else
            y16[i] = norma_float_to_bfloat(sticky_float(y));
    }
}

BODY void apply_type(const struct nsc_apply *a, const float *h, size_t n, enum nsc_type type)
{
    if (a->weight && a->bias)
        apply_loop(a, h, n, type, 1, 1);
    else if (a->weight)
        apply_loop(a, h, n, type, 1, 0);
    else if (a->bias)
        apply_loop(a, h, n, type, 0, 1);
    else
        apply_loop(a, h, n, type, 0, 0);
}

BODY void apply_body(const struct nsc_apply *a, const float *h, size_t n)
{
    if (a->y_type == NSC_FLOAT32)
        apply_type(a, h, n, NSC_FLOAT32);
    else if (a->y_type == NSC_FLOAT16)
        apply_type(a, h, n, NSC_FLOAT16);
    else
        apply_type(a, h, n, NSC_BFLOAT16);
}

BODY void load_body(float *out, const void *in, enum nsc_type type, size_t n)
{
    const uint16_t *in16 = in;
    if (type == NSC_FLOAT32) {
        memcpy(out, in, n * sizeof *out);
    } else if (type == NSC_FLOAT16) {
        for (size_t i = 0; i < n; i++)
            out[i] = norma_half_to_float(in16[i]);
    } else {
        for (size_t i = 0; i < n; i++)
            out[i] = norma_bfloat_to_float(in16[i]);
    }
}

BODY void store_body(void *out, enum nsc_type type, const float *in, size_t n)
{
    uint16_t *out16 = out;
    if (type == NSC_FLOAT32) {
        if (out != in) // sum in the memory of x, which nothing was added to
            memcpy(out, in, n * sizeof *in);
    } else if (type == NSC_FLOAT16) {
        for (size_t i = 0; i < n; i++)
            out16[i] = norma_float_to_half(in[i]);
    } else {
        for (size_t i = 0; i < n; i++)
            out16[i] = norma_float_to_bfloat(in[i]);
    }
}

BODY void add_body(float *h, const float *term, size_t n)
{
    INDEPENDENT
    for (size_t i = 0; i < n; i++)
        h[i] = h[i] + term[i];
}

BODY void multiply_body(float *h, const float *factor, size_t n)
{
    INDEPENDENT
    for (size_t i = 0; i < n; i++)
        h[i] = h[i] * factor[i];
}

// The bodies above, once more for an instruction set.
#define LOOPS(set, target)                                                                              \
    target static void sum_##set(double sums[NSC_SUMS], const float *h, size_t n)                       \
    {                                                                                                   \
        sum_body(sums, h, n);                                                                           \
    }                                                                                                   \
    target static void squares_##set(double sums[NSC_SUMS], const float *h, size_t n, double mean)      \
    {                                                                                                   \
        squares_body(sums, h, n, mean);                                                                 \
    }                                                                                                   \
    target static void apply_##set(const struct nsc_apply *a, const float *h, size_t n)                 \
    {                                                                                                   \
        apply_body(a, h, n);                                                                            \
    }                                                                                                   \
    target static void load_##set(float *out, const void *in, enum nsc_type type, size_t n)             \
    {                                                                                                   \
        load_body(out, in, type, n);                                                                    \
    }                                                                                                   \
    target static void store_##set(void *out, enum nsc_type type, const float *in, size_t n)            \
    {                                                                                                   \
        store_body(out, type, in, n);                                                                   \
    }                                                                                                   \
    target static void add_##set(float *h, const float *term, size_t n)                                 \
    {                                                                                                   \
        add_body(h, term, n);                                                                           \
    }                                                                                                   \
    target static void multiply_##set(float *h, const float *factor, size_t n)                          \
    {                                                                                                   \
        multiply_body(h, factor, n);                                                                    \
    }                                                                                                   \
    static const struct nsc_loops loops_##set = {sum_##set,   squares_##set, apply_##set,   load_##set, \
                                                 store_##set, add_##set,     multiply_##set};

LOOPS(base, )
#ifdef __x86_64__
// Without FMA: products and sums are rounded one by one on every set.
LOOPS(avx2, __attribute__((target("avx2"))))
#endif

const struct nsc_loops *nsc_loops_list(size_t index)
{
    const struct nsc_loops *list[2] = {&loops_base, NULL};
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        list[1] = &loops_avx2;
#endif
    return index < 2 ? list[index] : NULL;
}

const struct nsc_loops *nsc_loops_choose(void)
{
    const struct nsc_loops *last = nsc_loops_list(1);
    return last ? last : nsc_loops_list(0);
}
