// Assumes FLT_EVAL_METHOD 0 and -ffp-contract=off: each C operation is one IEEE binary32 operation.
#include "tree.h"
#include "half.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(FLT_EVAL_METHOD == 0, "float arithmetic must be float32");

enum { BLOCK = 512, GROUP = 128, STEP = 32, THREADS = 8, QUAD = 4, BLOCKS = 8, CHUNK = BLOCK * BLOCKS, FAN = 64 };

struct sums {
    float s1, s2;
};

static float fold_threads(const float T[THREADS])
{
    float F[4], G[2];
    for (int t = 0; t < 4; t++)
        F[t] = T[t] + T[t + 4];
    for (int t = 0; t < 2; t++)
        G[t] = F[t] + F[t + 2];
    return G[0] + G[1];
}

static float quad(const float A[QUAD])
{
    return (A[0] + A[1]) + (A[2] + A[3]);
}

static struct sums sum_about(const float *h, int length, float a, float k)
{
    float T1[THREADS] = {0}, T2[THREADS] = {0};
    for (int b = 0; b * BLOCK < length; b++) {
        float A1[THREADS][QUAD] = {{0}}, A2[THREADS][QUAD] = {{0}};
        for (int g = b * BLOCK; g < (b + 1) * BLOCK && g < length; g += GROUP) {
            for (int lane = 0; lane < STEP; lane++) {
                float d[4], *a1 = &A1[lane / QUAD][lane % QUAD], *a2 = &A2[lane / QUAD][lane % QUAD];
                for (int s = 0; s < 4; s++) {
                    const int i = g + s * STEP + lane;
                    d[s] = i < length ? h[i] * a - k : 0;
                }
                *a1 = *a1 + ((d[0] + d[1]) + (d[2] + d[3]));
                *a2 = *a2 + ((d[0] * d[0] + d[1] * d[1]) + (d[2] * d[2] + d[3] * d[3]));
            }
        }
        for (int t = 0; t < THREADS; t++) {
            T1[t] = T1[t] + quad(A1[t]);
            T2[t] = T2[t] + quad(A2[t]);
        }
    }
    return (struct sums){fold_threads(T1), fold_threads(T2)};
}

static float pivot(const float *h, int length, float a)
{
    if (length < 16)
        return h[0] * a;
    float f[4];
    for (int t = 0; t < 4; t++) {
        float z[QUAD];
        for (int v = 0; v < QUAD; v++)
            z[v] = (h[t * QUAD + v] * a) * 0.0625f;
        f[t] = quad(z);
    }
    return (f[0] + f[2]) + (f[1] + f[3]);
}

static void two_sum(float a, float b, float *s, float *e)
{
    float sum = a + b, t = sum - a;
    *e = (a - (sum - t)) + (b - t);
    *s = sum;
}

// The factor of the rescue, or 1.
static float rescue(float s2, float k, float eps)
{
    if (!isfinite(s2))
        return 0x1p-96f;
    if (s2 < 0x1p-80f && eps < 0x1p-73f && fabsf(k) < 0x1p20f)
        return 0x1p100f;
    return 1;
}

struct tree_stats tree_chunk(bool rms, float eps, const float *h, int length, struct tree_counts *counts)
{
    float a = 1, k = rms ? 0 : pivot(h, length, a), c, q, M2;
    bool second = false;
    counts->chunks++;
    for (;;) {
        struct sums sums = sum_about(h, length, a, k);
        float next = a == 1 && !second ? rescue(sums.s2, k, eps) : 1;
        if (next != 1) {
            counts->rescues_large += next < 1;
            counts->rescues_small += next > 1;
            a = next;
            k = rms ? 0 : pivot(h, length, a);
            continue;
        }
        if (rms)
            return (struct tree_stats){0, 0, sums.s2, a};
        c = sums.s1 / (float)length;
        q = sums.s1 * c;
        M2 = sums.s2 - q;
        if (second || !(q > M2 * 0.25f))
            break;
        second = true;
        counts->second_passes++;
        k = k + c;
    }
    struct tree_stats stats = {0, 0, M2 < 0 ? 0 : M2, a};
    two_sum(k, c, &stats.m, &stats.r);
    return stats;
}

static float fold(float *w, int count)
{
    for (int stride = FAN / 2; stride > 0; stride /= 2)
        for (int i = 0; i < stride && i + stride < count; i++)
            w[i] = w[i] + w[i + stride];
    return w[0];
}

static struct tree_stats merge_scaled(bool rms, const struct tree_stats *input, const size_t *elements, int count,
                                      float a)
{
    float m[FAN] = {0}, r[FAN], M2[FAN], w[FAN], n[FAN];
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        float f = a == 0x1p-96f && input[i].a == 0x1p100f ? 0 : a / input[i].a;
        m[i] = input[i].m * f;
        r[i] = input[i].r * f;
        M2[i] = (input[i].M2 * f) * f;
        n[i] = (float)elements[i];
        total += elements[i];
    }
    if (rms)
        return (struct tree_stats){0, 0, fold(M2, count), a};
    float K = m[0];
    for (int i = 0; i < count; i++)
        w[i] = n[i] * ((m[i] - K) + r[i]);
    float c = fold(w, count) / (float)total;
    struct tree_stats out = {0, 0, 0, a};
    two_sum(K, c, &out.m, &out.r);
    for (int i = 0; i < count; i++) {
        float e = ((m[i] - out.m) - out.r) + r[i], ne = n[i] * e;
        w[i] = ne;
        M2[i] = M2[i] + ne * e;
    }
    out.M2 = fold(M2, count);
    two_sum(out.m, out.r + fold(w, count) / (float)total, &out.m, &out.r);
    return out;
}

struct tree_stats tree_merge(bool rms, const struct tree_stats *input, const size_t *elements, int count,
                             struct tree_counts *counts)
{
    assert(count >= 1 && count <= FAN);
    if (count == 1)
        return input[0];
    float a = 0x1p100f;
    for (int i = 0; i < count; i++)
        a = fminf(a, input[i].a);
    for (;;) {
        struct tree_stats out = merge_scaled(rms, input, elements, count, a);
        if (isfinite(out.M2) || a == 0x1p-96f)
            return out;
        a = a > 1 ? 1 : 0x1p-96f;
        counts->merge_retries++;
    }
}

// The kernels' own text, which test_root.c holds against double.
typedef float real;
#define REAL real
#define AS_REAL norma_bits_float
#define AS_BITS norma_float_bits
#define NAMED(name) name
#define INVERSE(w) (1 / (w))
#define sqrt sqrtf
#include "../../cl/root_body.cl"
#undef sqrt

struct tree_row tree_finish(struct tree_stats stats, float eps, size_t n)
{
    float var = stats.M2 / (float)n;
    float s = reciprocal_of(root_of(var + (eps * stats.a) * stats.a));
    return (struct tree_row){stats.m, stats.r, s, stats.a};
}

struct tree_row tree_row(bool rms, float eps, const float *h, size_t n, struct tree_counts *counts)
{
    struct tree_counts unused = {0, 0, 0, 0, 0};
    if (!counts)
        counts = &unused;
    size_t count = (n + CHUNK - 1) / CHUNK, unit = CHUNK;
    struct tree_stats *list = malloc(count * sizeof *list);
    if (!list)
        abort();
    for (size_t i = 0; i < count; i++) {
        size_t left = n - i * CHUNK;
        list[i] = tree_chunk(rms, eps, h + i * CHUNK, left < CHUNK ? (int)left : CHUNK, counts);
    }
    while (count > 1) {
        size_t outputs = (count + FAN - 1) / FAN;
        for (size_t o = 0; o < outputs; o++) {
            size_t elements[FAN];
            int inputs = 0;
            for (size_t i = o * FAN; i < count && inputs < FAN; i++) {
                size_t left = n - i * unit;
                elements[inputs++] = left < unit ? left : unit;
            }
            list[o] = tree_merge(rms, list + o * FAN, elements, inputs, counts);
        }
        count = outputs;
        unit *= FAN;
    }
    struct tree_row row = tree_finish(list[0], eps, n);
    free(list);
    return row;
}

float tree_xhat(bool rms, const struct tree_row *row, float h)
{
    float z = h * row->a;
    return rms ? z * row->s : ((z - row->m) - row->r) * row->s;
}
