// The row kernels for GPUs: a team of work-items takes a row (or a chunk), each item quads of four neighbouring
// elements. REGISTERS: the row stays in registers between its statistics and its output; else it is read again.
// Assumes that LOCAL_SIZE is a multiple of TEAM, and of the subgroup's size where SUBGROUP is 1; TEAM is 8, 16, 32 or
// 64, with REGISTERS also 128 or 256. Barriers are reached by the whole workgroup: what a unit's data decides (a
// rescue, a second pass) is decided for all teams of the workgroup; those that did not need it compute the same again.
#include "prelude.cl"

#if SUBGROUP
#ifdef cl_intel_subgroups
#pragma OPENCL EXTENSION cl_intel_subgroups : enable
#define SHUFFLE_XOR intel_sub_group_shuffle_xor
#else
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
#pragma OPENCL EXTENSION cl_khr_subgroup_shuffle : enable
#define SHUFFLE_XOR sub_group_shuffle_xor
#endif
#endif
#if SUBGROUP && defined(cl_intel_required_subgroup_size)
#pragma OPENCL EXTENSION cl_intel_required_subgroup_size : enable
#define TEAM_KERNEL                                                                                                    \
    __kernel __attribute__((reqd_work_group_size(LOCAL_SIZE, 1, 1)))                                                   \
    __attribute__((intel_reqd_sub_group_size(SUBGROUP_SIZE))) void
#else
#define TEAM_KERNEL __kernel __attribute__((reqd_work_group_size(LOCAL_SIZE, 1, 1))) void
#endif

#define CHUNK_TEAM (TEAM < 64 ? TEAM : 64) // work-items that share a chunk
#define BLOCKS (CHUNK_TEAM / 8)            // blocks of a chunk that are summed side by side
#define TEAMS (LOCAL_SIZE / TEAM)
#define STEPS 16
// Results that a team may have to merge.
#if REGISTERS
#define MOST (TEAM / CHUNK_TEAM)
#else
#define MOST FAN
#endif

// This work-item's place, and the workgroup's local memory.
struct team {
    uint lane;           // in the team
    uint thread, block;  // t and the first b of the tree
    uint index;          // of the team in its workgroup
    uint toggle, asking; // halves of `exchange` and of `again` that the next use takes
    __local float2 *exchange; // 2 * LOCAL_SIZE: two halves in turn, so that one barrier a use is enough
    __local int *again;       // 2
    __local stat *results;    // MOST of this team
    __local float2 *folds;     // MOST of this team
};

#define TEAM_MEMORY                                                                                                    \
    __local float2 exchange[2 * LOCAL_SIZE];                                                                           \
    __local int again[2];                                                                                              \
    __local stat results[TEAMS * MOST];                                                                                 \
    __local float2 folds[TEAMS * MOST];                                                                                  \
    struct team team = team_begin(exchange, again, results, folds);

static inline struct team team_begin(__local float2 *exchange, __local int *again, __local stat *results,
                                     __local float2 *folds)
{
    struct team team;
    uint id = get_local_id(0);
    team.lane = id % TEAM;
    team.thread = id % 8;
    team.block = id / 8 % BLOCKS;
    team.index = id / TEAM;
    team.toggle = team.asking = 0;
    team.exchange = exchange;
    team.again = again;
    team.results = results + team.index * MOST;
    team.folds = folds + team.index * MOST;
    if (id < 2)
        again[id] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    return team;
}

// True for all work-items of the workgroup where it is for one. Between two uses lies another barrier.
static inline bool anywhere(struct team *team, bool value)
{
    __local int *again = team->again;
    uint turn = team->asking;
    team->asking ^= 1;
    if (value)
        again[turn] = 1;
    if (get_local_id(0) == 0)
        again[turn ^ 1] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    return again[turn];
}

// Whether any chunk that shares a barrier (or a shuffle) with this one is to be summed again.
static inline bool any_chunk(struct team *team, bool value)
{
#if LOCAL_SIZE == CHUNK_TEAM
    return value;
#elif SUBGROUP && BLOCKS == 1
    return sub_group_any(value);
#else
    return anywhere(team, value);
#endif
}

// Steps 2 and 3 of the tree, for S1 and S2 together. In: sums so far of each thread (T) and Q of this item's block.
#if BLOCKS > 1
static inline float2 add_blocks(struct team *team, float2 sums, float2 quad)
{
    __local float2 *exchange = team->exchange + team->toggle * LOCAL_SIZE;
    team->toggle ^= 1;
    exchange[get_local_id(0)] = quad;
    barrier(CLK_LOCAL_MEM_FENCE);
    __local const float2 *column = exchange + get_local_id(0) / CHUNK_TEAM * CHUNK_TEAM + team->thread;
    for (uint b = 0; b < BLOCKS; b++)
        sums += column[b * 8];
    return sums;
}
#endif

static inline float2 add_threads(struct team *team, float2 t)
{
#if SUBGROUP
    t = (float2)(t.x + SHUFFLE_XOR(t.x, 4u), t.y + SHUFFLE_XOR(t.y, 4u));
    t = (float2)(t.x + SHUFFLE_XOR(t.x, 2u), t.y + SHUFFLE_XOR(t.y, 2u));
    return (float2)(t.x + SHUFFLE_XOR(t.x, 1u), t.y + SHUFFLE_XOR(t.y, 1u));
#else
    __local float2 *exchange = team->exchange + team->toggle * LOCAL_SIZE;
    team->toggle ^= 1;
    exchange[get_local_id(0)] = t;
    barrier(CLK_LOCAL_MEM_FENCE);
    __local const float2 *e = exchange + get_local_id(0) / 8 * 8;
    float2 f0 = e[0] + e[4], f1 = e[1] + e[5], f2 = e[2] + e[6], f3 = e[3] + e[7];
    return (f0 + f2) + (f1 + f3);
#endif
}

// Whether the element at p begins a whole vector of 4: the caller's memory may begin anywhere.
static inline bool aligned4(__global const uchar *p, uint type)
{
    return ((size_t)p & (4 * element_bytes(type) - 1)) == 0;
}

OUTLINE float4 load4(__global const uchar *p, uint type, uint i)
{
    p += (size_t)i * element_bytes(type);
    bool aligned = aligned4(p, type);
    if (type == FLOAT32)
        return aligned ? *(__global const float4 *)p : vload4(0, (__global const float *)p);
    if (type == FLOAT16)
        return aligned ? vloada_half4(0, (__global const half *)p) : vload_half4(0, (__global const half *)p);
    ushort4 bits = aligned ? *(__global const ushort4 *)p : vload4(0, (__global const ushort *)p);
    return as_float4(convert_uint4(bits) << 16);
}

OUTLINE void store4(__global uchar *p, uint type, uint i, float4 value)
{
    p += (size_t)i * element_bytes(type);
    bool aligned = aligned4(p, type);
    if (type == FLOAT32) {
        if (aligned)
            *(__global float4 *)p = value;
        else
            vstore4(value, 0, (__global float *)p);
    } else if (type == FLOAT16) {
        if (aligned)
            vstorea_half4_rte(value, 0, (__global half *)p);
        else
            vstore_half4_rte(value, 0, (__global half *)p);
    } else {
        ushort4 bits = (ushort4)(to_bfloat16(value.x), to_bfloat16(value.y), to_bfloat16(value.z),
                                 to_bfloat16(value.w));
        if (aligned)
            *(__global ushort4 *)p = bits;
        else
            vstore4(bits, 0, (__global ushort *)p);
    }
}

// h of elements i..i+3.
static inline float4 h4(const struct row *row, uint i)
{
    float4 u = load4(row->x, X_TYPE, i);
#if PROLOGUE
    if (has(row->flags, INPUT_BIAS))
        u = u + load4(row->input_bias, param_type(row, INPUT_BIAS), i);
    if (has(row->flags, GATE))
        u = load4(row->gate, rows_type(row, GATE), i) * u;
    if (has(row->flags, RESIDUAL))
        u = load4(row->residual, rows_type(row, RESIDUAL), i) + u;
#endif
    return u;
}

// Those of the 1 to 3 elements from i on that the row has; 0 beyond.
OUTLINE float4 h_tail(const struct row *row, uint i, uint end)
{
    float4 u = 0;
#pragma unroll 1
    for (uint v = 0; i + v < end; v++)
        u = select(u, (float4)h1(row, i + v), (uint4)v == (uint4)(0, 1, 2, 3));
    return u;
}

// The last 0 to 3 elements of a row (or a chunk) that ends at `end`: the work of the item whose quad they are, as what it
// read before may be overwritten in place.
OUTLINE void apply_tail(const struct row *row, uint end, stat s)
{
#pragma unroll 1
    for (uint i = end & ~3u; i < end; i++)
        apply1(row, i, s);
}

OUTLINE void apply4(const struct row *row, uint i, float4 h, stat s)
{
    float4 z = h * s.w;
#if RMS
    float4 v = z * s.z;
#else
    float4 v = ((z - s.x) - s.y) * s.z;
#endif
    if (has(row->flags, WEIGHT))
        v = v * (row->weight_offset + load4(row->weight, param_type(row, WEIGHT), i));
    if (has(row->flags, BIAS))
        v = v + load4(row->bias, param_type(row, BIAS), i);
#if PROLOGUE
    if (has(row->flags, SUM))
        store4(row->sum, rows_type(row, SUM), i, h);
#endif
    store4(row->y, y_type(row), i, v);
}

// Whether the row's end cuts one of the item's quads, the first of which is at `mine`.
static inline bool cut(uint mine, uint end)
{
    uint at = end & ~3u;
    return at < end && at >= mine && (at - mine) % 32 == 0 && (at - mine) / 32 < STEPS;
}

#if REGISTERS
// This item's quads of its block into registers; 0 beyond the row.
static inline void hold(const struct row *row, uint mine, uint end, float4 *held)
{
#pragma unroll
    for (uint s = 0; s < STEPS; s++)
        held[s] = mine + s * 32 + 4 <= end ? h4(row, mine + s * 32) : (float4)0;
    // One quad of one item is cut by the row's end.
    if (!cut(mine, end))
        return;
    float4 rest = h_tail(row, end & ~3u, end);
#pragma unroll
    for (uint s = 0; s < STEPS; s++)
        if (mine + s * 32 == (end & ~3u))
            held[s] = rest;
}
#endif

// One block's sums of this item's quads: (Q of d, Q of d*d). first: the chunk's first element in the row. held: the
// block's quads, with REGISTERS.
OUTLINE float2 block_sums(const struct row *row, uint first, uint length, uint block, uint thread, float k,
                                float a, const float4 *held)
{
    uint mine = block * BLOCK + thread * 4;
    float4 p = 0, q = 0;
#if REGISTERS
#pragma unroll
#else
    float4 rest = cut(mine, length) ? h_tail(row, first + (length & ~3u), first + length) : (float4)0;
#pragma unroll 1
#endif
    for (uint g = 0; g < STEPS; g += 4) {
        float4 d[4];
#pragma unroll
        for (uint s = 0; s < 4; s++) {
            uint i = mine + (g + s) * 32;
#if REGISTERS
            float4 h = held[g + s];
#else
            float4 h = i + 4 <= length ? h4(row, first + i) : rest;
#endif
            d[s] = RMS ? h * a : h * a - k;
            if (i + 4 > length)
                d[s] = select((float4)0, d[s], (uint4)(i, i + 1, i + 2, i + 3) < length);
        }
        p += (d[0] + d[1]) + (d[2] + d[3]);
        q += (d[0] * d[0] + d[1] * d[1]) + (d[2] * d[2] + d[3] * d[3]);
    }
    return (float2)((p.x + p.y) + (p.z + p.w), (q.x + q.y) + (q.z + q.w));
}

static inline float2 chunk_sums(struct team *team, const struct row *row, uint first, uint length, float k, float a,
                                const float4 *held)
{
    float2 sums = 0;
#if BLOCKS == 1
    for (uint block = 0; block * BLOCK < length; block++)
        sums += block_sums(row, first, length, block, team->thread, k, a, held);
#elif REGISTERS
    sums = add_blocks(team, sums, block_sums(row, first, length, team->block, team->thread, k, a, held));
#else
    for (uint base = 0; base < 8; base += BLOCKS)
        sums = add_blocks(team, sums,
                          block_sums(row, first, length, base + team->block, team->thread, k, a, held));
#endif
    return add_threads(team, sums);
}

// Every item reads the pivot's 16 elements for itself: they are in a cache, and no exchange is needed.
OUTLINE float pivot(const struct row *row, uint first, uint length, float a)
{
    if (RMS || length == 0)
        return 0;
    if (length < 16)
        return h1(row, first) * a;
    float4 f = 0;
#pragma unroll 1
    for (uint t = 0; t < 4; t++) {
        float4 z = h4(row, first + 4 * t) * a * 0.0625f;
        f = select(f, (float4)((z.x + z.y) + (z.z + z.w)), (uint4)t == (uint4)(0, 1, 2, 3));
    }
    return (f.x + f.z) + (f.y + f.w);
}

static inline stat chunk_statistics(struct team *team, const struct row *row, uint first, uint length, float eps,
                                    const float4 *held)
{
    struct attempt at = {0, 1.0f, false, true};
    stat result = 0;
    bool again = length > 0, more;
    do {
        if (again && at.pivot)
            at.k = pivot(row, first, length, at.a);
        float2 s = chunk_sums(team, row, first, length, at.k, at.a, held);
        if (again)
            again = judge(s.x, s.y, length, eps, &at, &result);
        more = any_chunk(team, again);
    } while (more);
    return result;
}

// The tree's fold of `count` pairs of values in team->folds; all of a workgroup come with the same `most` >= count. Barriers
// before and behind. Strides that find no value to add are left out, which is one loop, not branches with barriers: PoCL
// copies all that follows such a branch.
static inline float2 fold(struct team *team, uint count, uint most)
{
    __local float2 *w = team->folds;
    uint stride = 1;
    while (stride * 2 < most)
        stride *= 2;
#pragma unroll 1
    for (; stride > 0; stride /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = team->lane; i < stride && i + stride < count; i += TEAM)
            w[i] = w[i] + w[i + stride];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float2 sum = w[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

// (m, r, M2, a) of team->results at scale a; merge of row_serial.cl has the same formulas in a plainer form.
static inline stat merge_at(struct team *team, uint count, uint most, uint unit, uint total, float a)
{
    __local const stat *in = team->results;
    __local float2 *w = team->folds;
#if RMS
    for (uint i = team->lane; i < count; i += TEAM) {
        float f = rescale(in[i].w, a);
        w[i] = (float2)(0, (in[i].z * f) * f);
    }
    return (stat)(0, 0, fold(team, count, most).y, a);
#else
    float m, r, K = count > 0 ? in[0].x * rescale(in[0].w, a) : 0;
    for (uint i = team->lane; i < count; i += TEAM) {
        float f = rescale(in[i].w, a), n = (float)min(unit, total - i * unit);
        w[i] = (float2)(n * ((in[i].x * f - K) + in[i].y * f), 0);
    }
    two_sum(K, fold(team, count, most).x / (float)total, &m, &r);
    for (uint i = team->lane; i < count; i += TEAM) {
        float f = rescale(in[i].w, a), n = (float)min(unit, total - i * unit);
        float e = ((in[i].x * f - m) - r) + in[i].y * f, ne = n * e;
        w[i] = (float2)(ne, (in[i].z * f) * f + ne * e);
    }
    float2 sums = fold(team, count, most);
    two_sum(m, r + sums.x / (float)total, &m, &r);
    return (stat)(m, r, sums.y, a);
#endif
}

// Merges team->results, which a barrier has made visible; one result stays as it is. count is 0 in a team without work.
static inline stat merge(struct team *team, uint count, uint most, uint unit, uint total)
{
    float a = GROW;
    stat s;
    bool again, more;
    for (uint i = 0; i < count; i++)
        a = min(a, team->results[i].w);
    do {
        s = merge_at(team, count, most, unit, total, a);
        again = count > 1 && !isfinite(s.z) && a != SHRINK;
        if (again)
            a = a == GROW ? 1.0f : SHRINK;
#if TEAMS > 1
        more = anywhere(team, again);
#else
        more = again;
#endif
    } while (more);
    return count == 1 ? team->results[0] : s;
}

static inline uint team_unit(const struct team *team, const struct row_args *args, uint step)
{
    uint workgroup = get_group_id(0) + get_num_groups(0) * get_group_id(1);
    return (workgroup * TEAMS + team->index) * args->per_group + step;
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_row_whole)
#if REGISTERS
TEAM_KERNEL row_whole(BINDINGS)
{
    TEAM_MEMORY
    uint n = args.n, chunks = (n + CHUNK - 1) / CHUNK, rows = row_count(b10, &args, &offsets);
    uint first = team.lane / CHUNK_TEAM * CHUNK, mine = first + team.block * BLOCK + team.thread * 4;
    for (uint step = 0; step < args.per_group; step++) {
        uint r = team_unit(&team, &args, step);
        bool active = r < rows;
        struct row row = ROW_AT(active ? r : 0, 0);
        uint end = active ? n : 0;
        uint length = end > first ? min(CHUNK, end - first) : 0;
        float4 held[STEPS];
        hold(&row, mine, end, held);
        stat s = chunk_statistics(&team, &row, first, length, args.eps, held);
#if MOST > 1
        if (team.lane % CHUNK_TEAM == 0)
            team.results[team.lane / CHUNK_TEAM] = s;
        barrier(CLK_LOCAL_MEM_FENCE);
        s = merge(&team, active ? chunks : 0, chunks, CHUNK, n);
#endif
        s = finish_row(s, n, args.eps);
        if (active && team.lane == 0)
            write_statistics(b8, b9, &args, &offsets, r, s);
#pragma unroll
        for (uint i = 0; i < STEPS; i++)
            if (mine + i * 32 + 4 <= end)
                apply4(&row, mine + i * 32, held[i], s);
        if (cut(mine, end))
            apply_tail(&row, end, s);
    }
}
#else
TEAM_KERNEL row_whole(BINDINGS)
{
    TEAM_MEMORY
    uint n = args.n, chunks = (n + CHUNK - 1) / CHUNK, rows = row_count(b10, &args, &offsets);
    for (uint step = 0; step < args.per_group; step++) {
        uint r = team_unit(&team, &args, step);
        bool active = r < rows;
        struct row row = ROW_AT(active ? r : 0, 0);
        stat s = 0;
        for (uint j = 0; j < chunks; j++) {
            uint length = active ? min(CHUNK, n - j * CHUNK) : 0;
            s = chunk_statistics(&team, &row, j * CHUNK, length, args.eps, 0);
            if (team.lane == 0)
                team.results[j] = s;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        s = merge(&team, active ? chunks : 0, chunks, CHUNK, n);
        s = finish_row(s, n, args.eps);
        if (active && team.lane == 0)
            write_statistics(b8, b9, &args, &offsets, r, s);
        uint end = active ? n : 0;
        for (uint i = team.lane * 4; i + 4 <= end; i += TEAM * 4)
            apply4(&row, i, h4(&row, i), s);
        if (end / 4 % TEAM == team.lane)
            apply_tail(&row, end, s);
    }
}
#endif
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_row_stats)
TEAM_KERNEL row_stats(BINDINGS)
{
    TEAM_MEMORY
    uint here = (args.part + CHUNK - 1) / CHUNK, rows = row_count(b10, &args, &offsets);
    for (uint step = 0; step < args.per_group; step++) {
        uint u = team_unit(&team, &args, step);
        bool active = u < rows * here;
        uint r = active ? u / here : 0, j = active ? u % here : 0;
        struct row row = ROW_AT(r, j * CHUNK);
        uint length = active ? min(CHUNK, args.part - j * CHUNK) : 0;
        stat s = chunk_statistics(&team, &row, 0, length, args.eps, 0);
        if (active && team.lane == 0)
            workspace_at(b10, &offsets)[args.stat_out + r * args.chunks + args.chunk0 + j] = s;
    }
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_row_merge)
TEAM_KERNEL row_merge(BINDINGS)
{
    TEAM_MEMORY
    __global stat *work = workspace_at(b10, &offsets);
    uint outputs = (args.chunks + FAN - 1) / FAN, most = min(FAN, args.chunks);
    uint rows = row_count(b10, &args, &offsets);
    for (uint step = 0; step < args.per_group; step++) {
        uint u = team_unit(&team, &args, step);
        bool active = u < rows * outputs;
        uint r = u / outputs, o = u % outputs;
        uint count = active ? min(FAN, args.chunks - o * FAN) : 0;
        uint total = (uint)min((ulong)(args.n - o * FAN * args.unit), (ulong)FAN * args.unit);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = team.lane; i < count; i += TEAM)
            team.results[i] = work[args.stat_in + r * args.chunks + o * FAN + i];
        barrier(CLK_LOCAL_MEM_FENCE);
        stat s = merge(&team, count, most, args.unit, total);
        if (!active || team.lane != 0)
            continue;
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
TEAM_KERNEL row_apply(BINDINGS)
{
    uint here = (args.part + CHUNK - 1) / CHUNK, rows = row_count(b10, &args, &offsets);
    uint team = (get_group_id(0) + get_num_groups(0) * get_group_id(1)) * TEAMS + get_local_id(0) / TEAM;
    for (uint step = 0; step < args.per_group; step++) {
        uint u = team * args.per_group + step;
        if (u >= rows * here)
            return;
        uint r = u / here, j = u % here;
        struct row row = ROW_AT(r, j * CHUNK);
        stat s = workspace_at(b10, &offsets)[args.row_stat + r];
        uint length = min(CHUNK, args.part - j * CHUNK);
        for (uint i = get_local_id(0) % TEAM * 4; i + 4 <= length; i += TEAM * 4)
            apply4(&row, i, h4(&row, i), s);
        if (length / 4 % TEAM == get_local_id(0) % TEAM)
            apply_tail(&row, length, s);
    }
}
#endif
