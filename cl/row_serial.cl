// The row kernels for CPU drivers: one work-item takes whole rows (or chunks) with vectors of 8, a workgroup has one.
// A chunk's second read comes from the first-level cache, so memory sees one read and one write.
#include "prelude.cl"

#define INLINE static inline __attribute__((always_inline))

#define GROUP 128u // four steps of the tree
#define SHORT 256u // rows up to this length are taken eight at a time

#ifdef __has_builtin
#if __has_builtin(__builtin_nontemporal_store)
#define STREAM_STORE(value, pointer) __builtin_nontemporal_store(value, pointer)
#endif
#endif

// Bytes from what the statistics read next to what is fetched meanwhile: what memory brings in the time that it takes to
// answer (docs/tuning.md).
#define AHEAD 6144

#ifdef __has_builtin
#if __has_builtin(__builtin_prefetch)
#define PREFETCH(pointer) __builtin_prefetch((const void *)(size_t)(pointer))
#endif
#endif
#ifndef PREFETCH
#define PREFETCH(pointer) (void)(pointer)
#endif

static inline float8 float8_from_half(ushort8 bits)
{
    // Exact, denormals included: the exponent is rebased by a multiplication; infinity and NaN by an addition.
    uint8 wide = convert_uint8(bits);
    uint8 magnitude = (wide & 0x7fff) << 13;
    float8 value = as_float8(magnitude) * 0x1p+112f;
    uint8 special = as_uint8(magnitude >= 0x0f800000) & 0x7f800000;
    return as_float8(as_uint8(value) | special | (wide & 0x8000) << 16);
}

static inline ushort8 half_from_float8(float8 value)
{
    uint8 bits = as_uint8(value), sign = bits & 0x80000000;
    uint8 magnitude = bits ^ sign;
    uint8 normal = (magnitude - 0x37fff001 + (magnitude >> 13 & 1)) >> 13;
    // Below 2^-14: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
    uint8 small = as_uint8(as_float8(magnitude) + 0.5f) - 0x3f000000;
    uint8 large = select((uint8)0x7c00, (uint8)0x7e00, magnitude > 0x7f800000);
    uint8 result = select(select(normal, small, magnitude < 0x38800000), large, magnitude >= 0x477ff000);
    return convert_ushort8(result | sign >> 16);
}

static inline ushort8 bfloat16_from_float8(float8 value)
{
    uint8 bits = as_uint8(value);
    uint8 rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return convert_ushort8(select(rounded, bits >> 16 | 0x40, (bits & 0x7fffffff) > 0x7f800000));
}

static inline float8 load8(__global const uchar *p, uint type, uint i)
{
    if (type == FLOAT32)
        return vload8(0, (__global const float *)p + i);
    ushort8 bits = vload8(0, (__global const ushort *)p + i);
    if (type == FLOAT16)
        return float8_from_half(bits);
    return as_float8(convert_uint8(bits) << 16);
}

// stream: the address is a multiple of the vector's size, and no cache should keep it.
static inline void store8(__global uchar *p, uint type, uint i, float8 value, bool stream)
{
    if (type == FLOAT32) {
        __global float *at = (__global float *)p + i;
#ifdef STREAM_STORE
        if (stream)
            STREAM_STORE(value, (__global float8 *)at);
        else
#endif
            vstore8(value, 0, at);
        return;
    }
    ushort8 bits = type == FLOAT16 ? half_from_float8(value) : bfloat16_from_float8(value);
    __global ushort *at = (__global ushort *)p + i;
#ifdef STREAM_STORE
    if (stream)
        STREAM_STORE(bits, (__global ushort8 *)at);
    else
#endif
        vstore8(bits, 0, at);
}

static inline float8 h8(const struct row *row, uint i)
{
    float8 u = load8(row->x, X_TYPE, i);
#if PROLOGUE
    if (has(row->flags, INPUT_BIAS))
        u = u + load8(row->input_bias, type_of(row->types, INPUT_BIAS), i);
    if (has(row->flags, GATE))
        u = load8(row->gate, type_of(row->types, GATE), i) * u;
    if (has(row->flags, RESIDUAL))
        u = load8(row->residual, type_of(row->types, RESIDUAL), i) + u;
#endif
    return u;
}

// One accumulator for each of the 32 lanes, for the sums of d (p) and of d*d (q).
struct lanes {
    float8 p0, p1, p2, p3, q0, q1, q2, q3;
};

static inline float8 centred(float8 z, float k)
{
#if RMS
    return z;
#else
    return z - k;
#endif
}

// Four steps of each lane: P of the tree is (d0 + d1) + (d2 + d3).
#define ADD_GROUP(p, q, d0, d1, d2, d3)                                                                                \
    do {                                                                                                               \
        if (!RMS)                                                                                                      \
            p += ((d0) + (d1)) + ((d2) + (d3));                                                                        \
        q += ((d0) * (d0) + (d1) * (d1)) + ((d2) * (d2) + (d3) * (d3));                                                \
    } while (0)

// The 8 lanes from element i on, four steps of 32 apart.
static inline void add_column(const struct row *row, uint i, float k, float8 *p, float8 *q)
{
    float8 d0 = centred(h8(row, i), k), d1 = centred(h8(row, i + 32), k);
    float8 d2 = centred(h8(row, i + 64), k), d3 = centred(h8(row, i + 96), k);
    ADD_GROUP(*p, *q, d0, d1, d2, d3);
}

// Step 1 of the tree: the eight quads' sums, in the order of their threads.
static inline float8 fold_quads(float8 a, float8 b, float8 c, float8 d)
{
    float16 low = (float16)(a, b), high = (float16)(c, d);
    float16 pairs = (float16)(low.even + low.odd, high.even + high.odd);
    return pairs.even + pairs.odd;
}

// Step 3.
static inline float fold_threads(float8 t)
{
    float4 f = t.lo + t.hi;
    float2 g = f.lo + f.hi;
    return g.x + g.y;
}

// A group that the chunk's end cuts, or that the rescue scales: through memory, with 0 for what is not there.
static inline void add_cut_group(struct lanes *lanes, const struct row *row, uint i, uint count, float k, float a)
{
    float d[GROUP];
    uint e = 0;
    for (; e + 8 <= count; e += 8)
        vstore8(centred(h8(row, i + e) * a, k), 0, d + e);
    for (; e % 8 != 0 || e < count; e++) {
        float z = e < count ? h1(row, i + e) * a : k;
        d[e] = RMS ? (e < count ? z : 0) : z - k;
    }
    for (; e < GROUP; e += 8)
        vstore8((float8)0, 0, d + e);
    ADD_GROUP(lanes->p0, lanes->q0, vload8(0, d), vload8(4, d), vload8(8, d), vload8(12, d));
    ADD_GROUP(lanes->p1, lanes->q1, vload8(1, d), vload8(5, d), vload8(9, d), vload8(13, d));
    ADD_GROUP(lanes->p2, lanes->q2, vload8(2, d), vload8(6, d), vload8(10, d), vload8(14, d));
    ADD_GROUP(lanes->p3, lanes->q3, vload8(3, d), vload8(7, d), vload8(11, d), vload8(15, d));
}

// Q of one block: step 1. z is h*a: with a = 1 (all but the rescue) whole groups stay in registers.
static inline void block_sums(const struct row *row, uint i, uint end, float k, float a, float8 *q1, float8 *q2)
{
    uint whole = a == 1.0f ? i + (end - i) / GROUP * GROUP : i;
    struct lanes lanes = {0, 0, 0, 0, 0, 0, 0, 0};
    for (; i < whole; i += GROUP) {
        add_column(row, i, k, &lanes.p0, &lanes.q0);
        add_column(row, i + 8, k, &lanes.p1, &lanes.q1);
        add_column(row, i + 16, k, &lanes.p2, &lanes.q2);
        add_column(row, i + 24, k, &lanes.p3, &lanes.q3);
    }
#pragma unroll 1
    for (; i < end; i += GROUP)
        add_cut_group(&lanes, row, i, min(GROUP, end - i), k, a);
    *q1 = fold_quads(lanes.p0, lanes.p1, lanes.p2, lanes.p3);
    *q2 = fold_quads(lanes.q0, lanes.q1, lanes.q2, lanes.q3);
}

// (S1, S2) of a chunk about k.
static inline float2 chunk_sums(const struct row *row, uint first, uint length, float k, float a)
{
    float8 t1 = 0, t2 = 0, q1, q2;
    for (uint block = 0; block < length; block += BLOCK) {
        block_sums(row, first + block, first + min(block + BLOCK, length), k, a, &q1, &q2);
        t1 += q1;
        t2 += q2;
    }
    return (float2)(fold_threads(t1), fold_threads(t2));
}

static inline float pivot(const struct row *row, uint first, uint length, float a)
{
#if RMS
    return 0;
#else
    if (length < 16)
        return h1(row, first) * a;
    float16 p = (float16)(h8(row, first), h8(row, first + 8)) * a * 0.0625f;
    float8 pairs = p.even + p.odd;
    float4 f = pairs.even + pairs.odd;
    return (f.x + f.z) + (f.y + f.w);
#endif
}

OUTLINE stat chunk_statistics(const struct row *row, uint first, uint length, float eps)
{
    struct attempt at = {0, 1.0f, false, true};
    stat result = 0;
    float2 s;
    do {
        if (at.pivot)
            at.k = pivot(row, first, length, at.a);
        s = chunk_sums(row, first, length, at.k, at.a);
    } while (judge(s.x, s.y, length, eps, &at, &result));
    return result;
}

// The sums of eight rows' threads: step 3 of the tree for all at once.
static inline float8 fold_rows(const float8 *t)
{
    float8 f01 = (float8)(t[0].lo, t[1].lo) + (float8)(t[0].hi, t[1].hi);
    float8 f23 = (float8)(t[2].lo, t[3].lo) + (float8)(t[2].hi, t[3].hi);
    float8 f45 = (float8)(t[4].lo, t[5].lo) + (float8)(t[4].hi, t[5].hi);
    float8 f67 = (float8)(t[6].lo, t[7].lo) + (float8)(t[6].hi, t[7].hi);
    float8 low = (float8)(f01.s01, f01.s45, f23.s01, f23.s45) + (float8)(f01.s23, f01.s67, f23.s23, f23.s67);
    float8 high = (float8)(f45.s01, f45.s45, f67.s01, f67.s45) + (float8)(f45.s23, f45.s67, f67.s23, f67.s67);
    return (float8)(low.even, high.even) + (float8)(low.odd, high.odd);
}

// Eight rows of one block each, side by side: what a row costs beyond its elements counts most in short rows.
struct rows8 {
    float8 k, t1[8], t2[8];
};

#define REAL float8
#define AS_REAL as_float8
#define AS_BITS as_uint8
#define NAMED(name) name##8
#include "root_body.cl"

// (m, r, s, 1) of the eight, s NaN in a row that needs more than one pass (or is not finite).
static inline void finish_rows8(const struct rows8 *rows, uint n, float eps, stat *out)
{
    float8 S2 = fold_rows(rows->t2), M2 = S2, m = 0, r = 0;
    int8 slow = !isfinite(S2) || (S2 < 0x1p-80f && (int8)(eps < 0x1p-73f ? -1 : 0));
#if !RMS
    float8 S1 = fold_rows(rows->t1), k = rows->k;
    float8 c = S1 / (float)n, q = S1 * c;
    M2 = S2 - q;
    slow = slow || q > M2 * 0.25f;
    M2 = select(M2, (float8)0, M2 < 0);
    m = k + c;
    float8 t = m - k;
    r = (k - (m - t)) + (c - t);
#endif
    float8 s = select(reciprocal_of8(root_of8(M2 / (float)n + eps)), (float8)NAN, slow);
    float parts[3][8];
    vstore8(m, 0, parts[0]);
    vstore8(r, 0, parts[1]);
    vstore8(s, 0, parts[2]);
    for (int b = 0; b < 8; b++)
        out[b] = (stat)(parts[0][b], parts[1][b], parts[2][b], 1.0f);
}

static inline float fold(float *w, uint count)
{
    for (uint stride = 32; stride > 0; stride /= 2)
        for (uint i = 0; i < stride && i + stride < count; i++)
            w[i] = w[i] + w[i + stride];
    return w[0];
}

// Merges 2 to 64 results, each of `unit` elements but for the last, whose elements end at `total`.
OUTLINE stat merge(const stat *in, uint count, uint unit, uint total)
{
    float v[FAN], w[FAN];
    float a = in[0].w;
    for (uint i = 1; i < count; i++)
        a = min(a, in[i].w);
    for (;;) {
        float m = 0, r = 0, M2;
#if RMS
        for (uint i = 0; i < count; i++) {
            float f = rescale(in[i].w, a);
            v[i] = (in[i].z * f) * f;
        }
#else
        float K = in[0].x * rescale(in[0].w, a);
        for (uint i = 0; i < count; i++) {
            float f = rescale(in[i].w, a), n = (float)min(unit, total - i * unit);
            w[i] = n * ((in[i].x * f - K) + in[i].y * f);
        }
        two_sum(K, fold(w, count) / (float)total, &m, &r);
        for (uint i = 0; i < count; i++) {
            float f = rescale(in[i].w, a), n = (float)min(unit, total - i * unit);
            float e = ((in[i].x * f - m) - r) + in[i].y * f;
            w[i] = n * e;
            v[i] = (in[i].z * f) * f + w[i] * e;
        }
        two_sum(m, r + fold(w, count) / (float)total, &m, &r);
#endif
        M2 = fold(v, count);
        if (isfinite(M2) || a == SHRINK)
            return (stat)(m, r, M2, a);
        a = a == GROW ? 1.0f : SHRINK;
    }
}

static inline void apply8(const struct row *row, uint i, stat s, uint weight_type, uint bias_type, bool scaled,
                          bool stream)
{
    float8 h = h8(row, i);
    float8 z = scaled ? h * s.w : h;
#if RMS
    float8 v = z * s.z;
#else
    float8 v = ((z - s.x) - s.y) * s.z;
#endif
    if (weight_type != ABSENT)
        v = v * (row->weight_offset + load8(row->weight, weight_type, i));
    if (bias_type != ABSENT)
        v = v + load8(row->bias, bias_type, i);
#if PROLOGUE
    if (has(row->flags, SUM))
        store8(row->sum, type_of(row->types, SUM), i, h, false);
#endif
    store8(row->y, y_type(row), i, v, stream);
}

// Elements until y's address is a multiple of a vector of 8; more than a vector where that never happens, 0 where it does
// not matter.
static inline uint unaligned_head(const struct row *row)
{
    if (!has(row->flags, STREAM))
        return 0;
    uint bytes = element_bytes(y_type(row));
    uint past = (uint)(size_t)row->y & (8 * bytes - 1);
    return past == 0 ? 0 : past % bytes != 0 ? 8 : 8 - past / bytes;
}

// The usual parameters, without branches. next: x of the row whose statistics come next.
INLINE void apply_usual(const struct row *usual, uint i, uint end, stat s, bool stream,
                        __global const uchar *next)
{
    const struct row own = *usual, *row = &own; // what is stored cannot change it
    const uint bias = RMS ? ABSENT : FLOAT32;
    for (; i + 16 <= end; i += 16) {
        PREFETCH(next + i * element_bytes(X_TYPE) + AHEAD);
        apply8(row, i, s, FLOAT32, bias, false, stream);
        apply8(row, i + 8, s, FLOAT32, bias, false, stream);
    }
    if (i < end)
        apply8(row, i, s, FLOAT32, bias, false, stream);
}

static inline bool is_usual(const struct row *row, uint n, stat s, uint head)
{
    bool weight = has(row->flags, WEIGHT) && type_of(row->types, WEIGHT) == FLOAT32;
    bool bias = has(row->flags, BIAS) && type_of(row->types, BIAS) == FLOAT32;
    return n % 8 == 0 && s.w == 1.0f && head == 0 && weight && (RMS ? !has(row->flags, BIAS) : bias);
}

// Elements begin .. end-1: vectors from `head` on, and what lies before and behind them one by one. begin is 0 or where a
// vector begins. next: as above.
OUTLINE void apply(const struct row *row, uint begin, uint end, uint head, stat s, __global const uchar *next)
{
    uint weight = has(row->flags, WEIGHT) ? type_of(row->types, WEIGHT) : ABSENT;
    uint bias = has(row->flags, BIAS) ? type_of(row->types, BIAS) : ABSENT;
    bool stream = has(row->flags, STREAM) && head < 8;
    uint first = begin > 0 ? begin : min(head % 8, end);
    uint full = first + (end - first) / 8 * 8, i = first;
#pragma unroll 1
    for (; i < full; i += 8) {
        PREFETCH(next + i * element_bytes(X_TYPE) + AHEAD);
        apply8(row, i, s, weight, bias, true, stream);
    }
#pragma unroll 1
    for (i = first > begin ? begin : full; i < end; i++) {
        apply1(row, i, s);
        if (i + 1 == first)
            i = full - 1;
    }
}

static inline uint unit_begin(const struct row_args *args)
{
    return (get_group_id(0) + get_num_groups(0) * get_group_id(1)) * args->per_group;
}

#define SERIAL __kernel __attribute__((reqd_work_group_size(1, 1, 1))) void

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_row_whole)
static inline stat row_statistics(const struct row *row, uint n, float eps)
{
    stat results[FAN];
    uint chunks = (n + CHUNK - 1) / CHUNK;
#pragma unroll 1
    for (uint j = 0; j < chunks; j++)
        results[j] = chunk_statistics(row, j * CHUNK, min(CHUNK, n - j * CHUNK), eps);
    return finish_row(chunks > 1 ? merge(results, chunks, CHUNK, n) : results[0], n, eps);
}

static inline void apply_row(const struct row *row, uint n, stat s, __global const uchar *next)
{
    uint head = unaligned_head(row);
    if (is_usual(row, n, s, head))
        apply_usual(row, 0, n, s, has(row->flags, STREAM), next);
    else
        apply(row, 0, n, head, s, next);
}

// Writes the row's outputs and takes the next one's statistics, a block of each in turn: memory would rest while there is
// only arithmetic, and its answers would be waited for while there are only loads. finish_row of the next row is left.
static inline stat apply_and_read(const struct row *row, const struct row *next, uint n, stat s, float eps)
{
    stat results[FAN];
    uint head = unaligned_head(row), from = 0, chunks = (n + CHUNK - 1) / CHUNK;
    bool usual = is_usual(row, n, s, head), stream = has(row->flags, STREAM);
    for (uint j = 0; j < chunks; j++) {
        uint begin = j * CHUNK, end = min(begin + CHUNK, n);
        struct attempt at = {pivot(next, begin, end - begin, 1.0f), 1.0f, false, true};
        float8 t1 = 0, t2 = 0, q1, q2;
        for (uint b = begin; b < end; b += BLOCK) {
            uint to = min(b + BLOCK, end), until = to == n ? n : min(to + head % 8, n);
            if (usual)
                apply_usual(row, from, until, s, stream, next->x);
            else
                apply(row, from, until, head, s, next->x);
            from = until;
            block_sums(next, b, to, at.k, 1.0f, &q1, &q2);
            t1 += q1;
            t2 += q2;
        }
        if (judge(fold_threads(t1), fold_threads(t2), end - begin, eps, &at, &results[j]))
            results[j] = chunk_statistics(next, begin, end - begin, eps);
    }
    return chunks > 1 ? merge(results, chunks, CHUNK, n) : results[0];
}

SERIAL row_whole(BINDINGS)
{
    uint r = unit_begin(&args), end = min(r + args.per_group, row_count(b10, &args, &offsets)), n = args.n;
    if (r >= end)
        return;
#pragma unroll 1
    for (; n >= 16 && n <= SHORT && end - r >= 8; r += 8) {
        struct rows8 rows;
        float k[8];
        stat early[8];
#pragma unroll 1
        for (uint b = 0; b < 8; b++) {
            struct row row = ROW_AT(r + b, 0);
            k[b] = pivot(&row, 0, n, 1.0f);
            block_sums(&row, 0, n, k[b], 1.0f, &rows.t1[b], &rows.t2[b]);
        }
        rows.k = vload8(0, k);
        finish_rows8(&rows, n, args.eps, early);
#pragma unroll 1
        for (uint b = 0; b < 8; b++) {
            struct row row = ROW_AT(r + b, 0);
            stat s = isnan(early[b].z) ? row_statistics(&row, n, args.eps) : early[b];
            write_statistics(b8, b9, &args, &offsets, r + b, s);
            apply_row(&row, n, s, row.x);
        }
    }
    if (r >= end)
        return;
    struct row row = ROW_AT(r, 0);
    stat s = row_statistics(&row, n, args.eps);
    for (; r + 1 < end; r++) {
        struct row next = ROW_AT(r + 1, 0);
        write_statistics(b8, b9, &args, &offsets, r, s);
        s = finish_row(apply_and_read(&row, &next, n, s, args.eps), n, args.eps);
        row = next;
    }
    write_statistics(b8, b9, &args, &offsets, r, s);
    apply_row(&row, n, s, row.x);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_row_stats)
SERIAL row_stats(BINDINGS)
{
    uint here = (args.part + CHUNK - 1) / CHUNK;
    uint u = unit_begin(&args), end = min(u + args.per_group, row_count(b10, &args, &offsets) * here);
    for (; u < end; u++) {
        uint r = u / here, j = u % here;
        struct row row = ROW_AT(r, j * CHUNK);
        uint out = args.stat_out + r * args.chunks + args.chunk0 + j;
        workspace_at(b10, &offsets)[out] = chunk_statistics(&row, 0, min(CHUNK, args.part - j * CHUNK), args.eps);
    }
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_row_merge)
SERIAL row_merge(BINDINGS)
{
    uint outputs = (args.chunks + FAN - 1) / FAN;
    uint u = unit_begin(&args), end = min(u + args.per_group, row_count(b10, &args, &offsets) * outputs);
    __global stat *work = workspace_at(b10, &offsets);
    for (; u < end; u++) {
        uint r = u / outputs, o = u % outputs;
        uint count = min(FAN, args.chunks - o * FAN);
        stat in[FAN];
        for (uint i = 0; i < count; i++)
            in[i] = work[args.stat_in + r * args.chunks + o * FAN + i];
        uint left = args.n - o * FAN * args.unit;
        uint total = (uint)min((ulong)left, (ulong)FAN * args.unit);
        stat s = count == 1 ? in[0] : merge(in, count, args.unit, total);
        if (has(args.flags, FINISH)) {
            s = finish_row(s, args.n, args.eps);
            work[args.row_stat + r] = s;
            write_statistics(b8, b9, &args, &offsets, r, s);
        } else {
            work[args.stat_out + u] = s;
        }
    }
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_row_apply)
SERIAL row_apply(BINDINGS)
{
    uint here = (args.part + CHUNK - 1) / CHUNK;
    uint u = unit_begin(&args), end = min(u + args.per_group, row_count(b10, &args, &offsets) * here);
    for (; u < end; u++) {
        uint r = u / here, j = u % here;
        struct row row = ROW_AT(r, j * CHUNK);
        uint length = min(CHUNK, args.part - j * CHUNK);
        apply(&row, 0, length, unaligned_head(&row), workspace_at(b10, &offsets)[args.row_stat + r], row.x);
    }
}
#endif
