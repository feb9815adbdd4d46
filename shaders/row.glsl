// The row family: statistics of chunks, their merge, and the outputs; docs/reduction.md step by step.
#include "prelude.glsl"

// The row in hand: where it begins in each tensor, in elements.
uint row_index, base_x, base_y, base_residual, base_gate, base_sum;

void take_row(const uint row)
{
    row_index = row;
    base_x = args.off_x + row * args.stride_x;
    base_y = args.off_y + row * args.stride_y;
    base_residual = args.off_residual + row * args.stride_residual;
    base_gate = args.off_gate + (row + args.gate_phase) / args.gate_rows * args.stride_gate;
    base_sum = args.off_sum + row * args.stride_sum;
}

// REGISTERS: the invocation's 16 quads of its block, after the prologue. The index of a loop that does not unroll is
// masked: a loop that goes through an array by its own counter is unrolled by Mesa whatever it costs, and lavapipe
// compiled such a pipeline for 5 s, 0.5 s with the mask.
vec4 held[16];

// h of elements i .. i+3 of the part; whole: as the loads take it.
vec4 load_h(const int i, const bool whole)
{
    precise vec4 u = load_x(base_x, i, args.part, X_TYPE, whole);
    if (PROLOGUE == 1u) {
        if (present(INPUT_BIAS))
            u = u + load_input_bias(args.off_input_bias, i, args.part, type_of(INPUT_BIAS), whole);
        if (present(GATE))
            u = load_gate(base_gate, i, args.part, type_of(GATE), whole) * u;
        if (present(RESIDUAL))
            u = load_residual(base_residual, i, args.part, type_of(RESIDUAL), whole) + u;
    }
    return u;
}

// The first block of the invocation; a team of 8 that holds nothing goes through all blocks of the chunk.
const uint BLOCK_STEP = TEAM == 8u && REGISTERS == 0u ? 1u : 8u;

uint first_block()
{
    return team_lane() / 8u % 8u;
}

// Rows of whole quads stay in registers, others are read again: they are rare, and both ways have the same bits.
bool in_registers()
{
    return REGISTERS == 1u && aligned() && args.n % 4u == 0u;
}

// Pairs of steps of a block that has `length` elements from its beginning on: whole groups of four steps.
uint pairs_of(const int length)
{
    return uint(clamp((length + 127) / 128, 0, 4)) * 2u;
}

void hold_row(const uint begin)
{
    uint at = begin + first_block() * BLOCK;
    uint steps = ROLLED == 1u ? 2u * pairs_of(int(args.n) - int(at)) : 16u;
    at += cluster_lane() * 4u;
    [[unroll]] for (uint s = 0u; s < steps; ++s, at += 32u)
        held[s & 15u] = at < args.n ? load_h(int(at), true) : vec4(0.0);
}

float quad_sum(const vec4 v)
{
    precise float total = (v.x + v.y) + (v.z + v.w);
    return total;
}

// T[t]: the cluster lane's quads of all blocks of the chunk, blocks in order.
vec2 sum_blocks(const vec2 q)
{
    if (TEAM == 8u)
        return q;
    uint at = exchange(q) + gl_LocalInvocationID.x - team_lane() % 64u + cluster_lane();
    precise vec2 t = vec2(0.0);
    [[unroll]] for (uint b = 0u; b < min(TEAM, 64u) / 8u; ++b)
        t = t + exchanged[at + 8u * b];
    return t;
}

// A1 and A2 of an invocation's quad of places, and the half of a group of four steps that waits for the other.
struct sums {
    vec4 a1, a2, half1, half2;
};

// Adds steps 2*pair and 2*pair + 1, which begin at elements `at` and `at` + 32 of the chunk.
void add_pair(inout sums total, const uint pair, const vec4 h0, const vec4 h1, const float a, const float k,
              const uint at, const uint length)
{
    uvec4 place = at + uvec4(0u, 1u, 2u, 3u);
    precise vec4 z0 = h0 * a, z1 = h1 * a;
    precise vec4 d0 = z0 - k, d1 = z1 - k;
    d0 = mix(vec4(0.0), d0, lessThan(place, uvec4(length)));
    d1 = mix(vec4(0.0), d1, lessThan(place + 32u, uvec4(length)));
    precise vec4 square0 = d0 * d0, square1 = d1 * d1;
    precise vec4 p1 = d0 + d1, p2 = square0 + square1;
    precise vec4 s1 = total.a1 + (total.half1 + p1), s2 = total.a2 + (total.half2 + p2);
    bool last = (pair & 1u) == 1u;
    if (RMS == 0u) {
        total.a1 = last ? s1 : total.a1;
        total.half1 = p1;
    }
    total.a2 = last ? s2 : total.a2;
    total.half2 = p2;
}

vec2 quad_sums(const sums total)
{
    return vec2(quad_sum(total.a1), quad_sum(total.a2));
}

#ifdef LEAN_MODULE
// Four steps of the invocation's lanes, d = 0 for quads that begin at or past `end`.
void add_group(inout vec4 a1, inout vec4 a2, const uint at, const uint end, const float a, const float k,
               const bool scaled, const bool cut)
{
    precise vec4 d[4], s1, s2;
    [[unroll]] for (uint s = 0u; s < 4u; ++s) {
        uint i = at + 32u * s;
        precise vec4 z = load_h(int(cut ? min(i, end - 4u) : i), true);
        if (scaled)
            z = z * a;
        d[s] = z - k;
        if (cut)
            d[s] = mix(vec4(0.0), d[s], bvec4(i < end));
    }
    s1 = a1 + ((d[0] + d[1]) + (d[2] + d[3]));
    s2 = a2 + ((d[0] * d[0] + d[1] * d[1]) + (d[2] * d[2] + d[3] * d[3]));
    if (RMS == 0u)
        a1 = s1;
    a2 = s2;
}

// As below, for whole quads that lie in one chunk; scaled: whether a can be other than 1.
vec2 chunk_sums(const uint begin, const uint length, const float a, const float k, const bool scaled)
{
    precise vec2 total = vec2(0.0);
    for (uint b = 0u; b < length; b += BLOCK) {
        vec4 a1 = vec4(0.0), a2 = vec4(0.0);
        uint end = min(b + BLOCK, length), at = b + cluster_lane() * 4u;
        for (; at < end + cluster_lane() * 4u; at += 128u)
            add_group(a1, a2, at, end, a, k, scaled, CUT == 1u);
        precise vec2 q = vec2(quad_sum(a1), quad_sum(a2));
        total = total + q;
    }
    return sum_cluster(total);
}
#else
// (S1, S2) of the chunk that begins at element `begin` of the part, about k.
vec2 chunk_sums(const uint begin, const uint length, const float a, const float k, const bool scaled)
{
    const sums none = sums(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    precise vec2 total = vec2(0.0);
    bool registers = in_registers();
    if (registers) {
        sums s = none;
        uint at = first_block() * BLOCK;
        uint pairs = ROLLED == 1u ? pairs_of(int(length) - int(at)) : 8u;
        at += cluster_lane() * 4u;
        [[unroll]] for (uint pair = 0u; pair < pairs; ++pair, at += 64u)
            add_pair(s, pair, held[2u * pair & 15u], held[(2u * pair + 1u) & 15u], a, k, at, length);
        precise vec2 q = quad_sums(s);
        total = total + q; // no -0
    }
    for (uint b = registers ? CHUNK : first_block(); b * BLOCK < length; b += BLOCK_STEP) {
        sums s = none;
        uint at = b * BLOCK + cluster_lane() * 4u;
        uint pairs = pairs_of(int(length - b * BLOCK));
        for (uint pair = 0u; pair < pairs; ++pair, at += 64u)
            add_pair(s, pair, load_h(int(begin + at), false), load_h(int(begin + at + 32u), false), a, k, at, length);
        precise vec2 q = quad_sums(s);
        total = total + q;
    }
    return sum_cluster(sum_blocks(total));
}
#endif

#ifdef SUBGROUP
vec4 first_quads;
#else
vec4 first_quads[4];
#endif

void load_first(const uint begin, const uint length)
{
#ifdef SUBGROUP
    first_quads = load_h(int(begin + (length < 16u ? 0u : (cluster_lane() & 3u) * 4u)), false);
#else
    for (uint i = 0u; i < 4u; ++i)
        first_quads[i] = load_h(int(begin + 4u * i), false);
#endif
}

// The mean of the first 16 elements times a (divided first: their sum may overflow), or the first element of fewer.
float pivot(const uint length, const float a)
{
#ifdef SUBGROUP
    precise vec4 z = first_quads * a;
    precise vec4 p = z * 0.0625;
    precise float f = quad_sum(p);
    precise float g = f + subgroupShuffleXor(f, 2u);
    precise float k = g + subgroupShuffleXor(g, 1u);
    return length < 16u ? z.x : k;
#else
    float f[4];
    for (uint i = 0u; i < 4u; ++i) {
        precise vec4 p = (first_quads[i] * a) * 0.0625;
        f[i] = quad_sum(p);
    }
    precise float z = first_quads[0].x * a;
    precise float k = (f[0] + f[2]) + (f[1] + f[3]);
    return length < 16u ? z : k;
#endif
}

vec2 two_sum(const float a, const float b)
{
    precise float s = a + b;
    precise float t = s - a;
    precise float e = (a - (s - t)) + (b - t);
    return vec2(s, e);
}

// What follows a pass over a chunk, and what the next one needs.
struct attempt {
    float a, k, c, m2;
    bool second, again;
};

void attempt_sums(inout attempt at, const uint begin, const uint length, bool scaled)
{
    vec2 sums = chunk_sums(begin, length, at.a, at.k, scaled);
    precise float c = sums.x / float(length);
    precise float q = sums.x * c;
    precise float m2 = sums.y - q;
    precise float moved = at.k + c;
    float rescue = 1.0;
    if (!finite(sums.y))
        rescue = TINY;
    else if (sums.y < 8.271806125530277e-25 && args.eps < 1.0587911840678754e-22 && abs(at.k) < 1048576.0)
        rescue = HUGE; // S2 < 2^-80, eps < 2^-73, |k| < 2^20
    // Never after a second pass: it would put the bad pivot back.
    bool rescued = at.a == 1.0 && !at.second && rescue != 1.0;
    bool repeated = RMS == 0u && !rescued && !at.second && q > m2 * 0.25;
    at.c = c;
    at.m2 = m2;
    at.again = rescued || repeated;
    at.second = at.second || repeated;
    at.a = rescued ? rescue : at.a;
    at.k = repeated ? moved : at.k;
    if (RMS == 0u) {
        float scaled = pivot(length, at.a);
        at.k = rescued ? scaled : at.k;
    }
}

// The chunk's (m, r, M2, a). Every repetition runs the same loop with another (a, k): code of its own for the rare
// ones would cost the usual one on drivers that execute both sides of a branch. Lean modules have the first pass before
// the loop, since what runs within one costs lavapipe more.
vec4 chunk_result(const uint begin, const uint length)
{
    attempt at = attempt(1.0, 0.0, 0.0, 0.0, false, true);
    if (RMS == 0u) {
        load_first(begin, length);
        at.k = pivot(length, 1.0);
    }
    if (LEAN == 1u)
        attempt_sums(at, begin, length, false);
    for (bool more = LEAN == 0u || any_team(at.again); more; more = any_team(at.again))
        attempt_sums(at, begin, length, true);
    if (RMS == 1u)
        return vec4(0.0, 0.0, at.m2, at.a);
    return vec4(two_sum(at.k, at.c), at.m2 < 0.0 ? 0.0 : at.m2, at.a);
}

// fold of both components where the lane has w[t], w[t+8], ..; -0 stands for what is not there, since v + -0 is v.
vec2 fold(vec2 w[8])
{
    precise vec2 a0 = w[0] + w[4], a1 = w[1] + w[5], a2 = w[2] + w[6], a3 = w[3] + w[7];
    precise vec2 b0 = a0 + a2, b1 = a1 + a3;
    precise vec2 c = b0 + b1;
    return sum_cluster(c);
}

// a / of, exactly, for the powers that chunks are scaled by; 0 for 2^-196.
float ratio(const float a, const float of)
{
    return a == of ? 1.0 : a == 1.0 ? 7.888609052210118e-31 : of == 1.0 ? TINY : 0.0;
}

// Merges `count` results, input i of the list being number first + i of the row's, each standing for `unit` elements.
// The cluster's lane t has inputs t, t+8, ...
vec4 merge(vec4 inputs[8], const uint first, const uint count, const uint unit)
{
    uint t = cluster_lane();
    float least = inputs[0].w;
    [[unroll]] for (uint j = 0u; j < 8u; ++j)
        least = t + 8u * j < count ? min(least, inputs[j].w) : least;
    vec2 shown = first_and_least(vec2(inputs[0].x, t < count ? least : HUGE));
    float a = shown.y;
    float first_a = first_and_least(vec2(inputs[0].w, 0.0)).x;
    float size_all = float(min(count * unit, args.n - first * unit));
    vec4 result = vec4(0.0);
    for (uint attempt = 0u; attempt < 3u; ++attempt) {
        vec2 w[8];
        precise float pivot_mean = shown.x * ratio(a, first_a);
        precise vec2 mean = vec2(0.0);
        if (RMS == 0u) {
            [[unroll]] for (uint j = 0u; j < 8u; ++j) {
                uint i = t + 8u * j;
                float size = float(min(unit, args.n - (first + i) * unit));
                precise vec2 mr = inputs[j].xy * ratio(a, inputs[j].w);
                precise float d = size * ((mr.x - pivot_mean) + mr.y);
                w[j] = vec2(i < count ? d : -0.0, -0.0);
            }
            precise float c = fold(w).x / size_all;
            mean = two_sum(pivot_mean, c);
        }
        [[unroll]] for (uint j = 0u; j < 8u; ++j) {
            uint i = t + 8u * j;
            float size = float(min(unit, args.n - (first + i) * unit));
            float f = ratio(a, inputs[j].w);
            precise vec2 mr = inputs[j].xy * f;
            precise float e = ((mr.x - mean.x) - mean.y) + mr.y;
            precise float spread = (inputs[j].z * f) * f;
            precise float offset = size * e;
            if (RMS == 0u)
                spread = spread + offset * e;
            w[j] = i < count ? vec2(spread, offset) : vec2(-0.0);
        }
        vec2 folded = fold(w);
        if (RMS == 0u) { // a first input many deviations off leaves a large c with a large rounding error
            precise float rest = mean.y + folded.y / size_all;
            mean = two_sum(mean.x, rest);
        }
        result = vec4(mean, folded.x, a);
        bool again = !finite(result.z) && a != TINY;
        if (again)
            a = a == 1.0 ? TINY : 1.0;
        if (!any_team(again))
            break;
    }
    return result;
}

// (m, r, s, a) of the row from its (m, r, M2, a); writes mean and rstd where they are wanted.
vec4 finish_row(const vec4 c, const bool live)
{
    precise float variance = c.z / float(args.n);
    precise float shifted = variance + (args.eps * c.w) * c.w;
    float s = reciprocal_of(root_of(shifted));
    if (live && team_lane() == 0u) {
        precise float mean = c.x / c.w;
        precise float rstd = s * c.w;
        if (present(MEAN))
            mean_words[(args.off_stats & 0xffffu) + row_index * args.stride_mean] = mean;
        if (present(RSTD))
            rstd_words[(args.off_stats >> 16u) + row_index * args.stride_rstd] = rstd;
    }
    return vec4(c.xy, s, c.w);
}

// y of elements i .. i+3 from their h; whole: as the loads take it.
vec4 normalise(const vec4 h, const int i, const vec4 stat, const bool scaled, const bool whole)
{
    precise vec4 z = h;
    if (scaled)
        z = z * stat.w;
    precise vec4 v;
    if (RMS == 1u)
        v = z * stat.z;
    else
        v = ((z - stat.x) - stat.y) * stat.z;
#ifdef LEAN_MODULE
    // Loaded whether they are there or not: a branch costs more.
    int weight_at = present(WEIGHT) ? i : 0, bias_at = present(BIAS) ? i : 0;
    precise vec4 factor = args.weight_offset + load_weight(args.off_weight, weight_at, args.n, PARAM_TYPE, whole);
    precise vec4 weighted = v * factor;
    v = mix(v, weighted, bvec4(present(WEIGHT)));
    precise vec4 shifted = v + load_bias(args.off_bias, bias_at, args.n, PARAM_TYPE, whole);
    return mix(v, shifted, bvec4(present(BIAS)));
#else
    if (present(WEIGHT)) {
        precise vec4 factor = args.weight_offset + load_weight(args.off_weight, i, args.part, type_of(WEIGHT), whole);
        v = v * factor;
    }
    if (present(BIAS))
        v = v + load_bias(args.off_bias, i, args.part, type_of(BIAS), whole);
    return v;
#endif
}

void put_quad(const uint i, const vec4 h, const vec4 stat, const bool scaled)
{
    if (PROLOGUE == 1u && present(SUM))
        store_quad_sum(base_sum, i, type_of(SUM), h);
    store_quad_y(base_y, i, type_of(Y), normalise(h, int(i), stat, scaled, WIDE));
}

void put(const int i, const uint begin, const uint end, const vec4 h, const vec4 stat)
{
    vec4 v = normalise(h, i, stat, true, false);
    if (PROLOGUE == 1u && present(SUM))
        store_sum(base_sum, i, begin, end, type_of(SUM), h);
    store_y(base_y, i, begin, end, type_of(Y), v);
}

// Writes elements from .. end-1 one quad at a time, whatever their offsets; begin is where this unit's elements begin.
void apply_any(const vec4 stat, const uint begin, const uint from, const uint end)
{
    // Moved by one where that makes the words of a 16-bit y whole.
    int moved = aligned() || type_of(Y) == 0u ? 0 : int(base_y & 1u);
    for (int i = int(from + team_lane() * 4u) - moved; i < int(end); i += int(4u * TEAM))
        put(i, begin, end, load_h(i, false), stat);
}

// Writes elements begin .. end-1 (begin a multiple of 4).
void apply(const vec4 stat, const uint begin, const uint end)
{
    uint full = aligned() ? end & ~3u : begin;
    uint i = begin + team_lane() * 4u;
    if (LEAN == 1u) {
        uint usual = stat.w == 1.0 ? full : begin;
        for (; i < usual; i += 4u * TEAM)
            put_quad(i, load_h(int(i), WIDE), stat, false);
    }
    for (; i < full; i += 4u * TEAM)
        put_quad(i, load_h(int(i), WIDE), stat, true);
    if (LEAN == 0u)
        apply_any(stat, begin, full, end);
}

// The same from the registers.
void apply_held(const vec4 stat, const uint begin, const uint end)
{
    uint at = begin + first_block() * BLOCK;
    uint steps = ROLLED == 1u ? 2u * pairs_of(int(end) - int(at)) : 16u;
    at += cluster_lane() * 4u;
    [[unroll]] for (uint s = 0u; s < steps; ++s, at += 32u)
        if (at < end)
            put_quad(at, held[s & 15u], stat, true);
}

uint team_index()
{
    uint group = gl_WorkGroupID.x + gl_NumWorkGroups.x * gl_WorkGroupID.y;
    return group * (gl_WorkGroupSize.x / TEAM) + gl_LocalInvocationID.x / TEAM;
}
