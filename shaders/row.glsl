// The row family: statistics of chunks, their merge, and the outputs; docs/reduction.md step by step.
#include "prelude.glsl"

// The row in hand: where it begins in each tensor, in elements.
uint row_index, base_x, base_y, base_residual, base_gate, base_sum;

void take_row(uint row)
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

// h of elements i .. i+3 of the part.
vec4 load_h(int i)
{
    precise vec4 u = load_x(base_x, i, args.part, X_TYPE);
    if (PROLOGUE == 1u) {
        if (present(INPUT_BIAS))
            u = u + load_input_bias(args.off_input_bias, i, args.part, type_of(INPUT_BIAS));
        if (present(GATE))
            u = load_gate(base_gate, i, args.part, type_of(GATE)) * u;
        if (present(RESIDUAL))
            u = load_residual(base_residual, i, args.part, type_of(RESIDUAL)) + u;
    }
    return u;
}

// The first block of the invocation; a team of 8 that holds nothing goes through all blocks of the chunk.
const uint BLOCK_STEP = TEAM == 8u && REGISTERS == 0u ? 1u : 8u;

uint first_block()
{
    return team_lane() / 8u % 8u;
}

// LEAN: the invocation's quads of the row, and of weight_offset + weight and bias, which all its rows share. lavapipe
// reads a private array several times as fast as a storage buffer.
const uint KEPT = LEAN == 1u ? CHUNK / 32u : 1u;
vec4 kept_h[KEPT], kept_weight[KEPT], kept_bias[KEPT];

uint kept_at(uint i)
{
    return i / 32u & (KEPT - 1u);
}

void keep_parameters()
{
    for (uint i = cluster_lane() * 4u; i < args.n; i += 32u) {
        if (present(WEIGHT)) {
            precise vec4 factor = args.weight_offset + load_weight(args.off_weight, int(i), args.n, 0u);
            kept_weight[kept_at(i)] = factor;
        }
        if (present(BIAS))
            kept_bias[kept_at(i)] = load_bias(args.off_bias, int(i), args.n, 0u);
    }
}

void keep_row()
{
    for (uint i = cluster_lane() * 4u; i < args.n; i += 32u)
        kept_h[kept_at(i)] = load_h(int(i));
}

vec4 h_at(uint i)
{
    return LEAN == 1u ? kept_h[kept_at(i)] : load_h(int(i));
}

// Rows of whole quads stay in registers, others are read again: they are rare, and both ways have the same bits.
bool in_registers()
{
    return REGISTERS == 1u && (LEAN == 1u || (aligned() && args.n % 4u == 0u));
}

// Pairs of steps of a block that has `length` elements from its beginning on: whole groups of four steps.
uint pairs_of(int length)
{
    return uint(clamp((length + 127) / 128, 0, 4)) * 2u;
}

void hold_row(uint begin)
{
    uint at = begin + first_block() * BLOCK;
    uint steps = ROLLED == 1u ? 2u * pairs_of(int(args.n) - int(at)) : 16u;
    at += cluster_lane() * 4u;
    [[unroll]] for (uint s = 0u; s < steps; ++s, at += 32u)
        held[s & 15u] = at < args.n ? load_h(int(at)) : vec4(0.0);
}

float quad_sum(vec4 v)
{
    precise float total = (v.x + v.y) + (v.z + v.w);
    return total;
}

// T[t]: the cluster lane's quads of all blocks of the chunk, blocks in order.
vec2 sum_blocks(vec2 q)
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
void add_pair(inout sums total, uint pair, vec4 h0, vec4 h1, float a, float k, uint at, uint length)
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

vec2 quad_sums(sums total)
{
    return vec2(quad_sum(total.a1), quad_sum(total.a2));
}

// (S1, S2) of the chunk that begins at element `begin` of the part, about k.
vec2 chunk_sums(uint begin, uint length, float a, float k)
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
            add_pair(s, pair, h_at(begin + at), h_at(begin + at + 32u), a, k, at, length);
        precise vec2 q = quad_sums(s);
        total = total + q;
    }
    return sum_cluster(sum_blocks(total));
}

#ifdef SUBGROUP
vec4 first_quads;
#else
vec4 first_quads[4];
#endif

void load_first(uint begin, uint length)
{
#ifdef SUBGROUP
    first_quads = load_h(int(begin + (length < 16u ? 0u : (cluster_lane() & 3u) * 4u)));
#else
    for (uint i = 0u; i < 4u; ++i)
        first_quads[i] = load_h(int(begin + 4u * i));
#endif
}

// The mean of the first 16 elements times a (divided first: their sum may overflow), or the first element of fewer.
float pivot(uint length, float a)
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

vec2 two_sum(float a, float b)
{
    precise float s = a + b;
    precise float t = s - a;
    precise float e = (a - (s - t)) + (b - t);
    return vec2(s, e);
}

// The chunk's (m, r, M2, a). Every repetition runs the same loop with another (a, k): code of its own for the rare
// ones would cost the usual one on drivers that execute both sides of a branch.
vec4 chunk_result(uint begin, uint length)
{
    precise float a = 1.0, k = 0.0, c = 0.0, m2 = 0.0;
    if (RMS == 0u) {
        load_first(begin, length);
        k = pivot(length, 1.0);
    }
    bool second = false;
    for (uint pass = 0u; pass < 3u; ++pass) {
        vec2 sums = chunk_sums(begin, length, a, k);
        c = sums.x / float(length);
        precise float q = sums.x * c;
        m2 = sums.y - q;
        float rescue = 1.0;
        if (!finite(sums.y))
            rescue = TINY;
        else if (sums.y < 8.271806125530277e-25 && args.eps < 1.0587911840678754e-22 && abs(k) < 1048576.0)
            rescue = HUGE; // S2 < 2^-80, eps < 2^-73, |k| < 2^20
        // Never after a second pass: it would put the bad pivot back.
        bool rescued = a == 1.0 && !second && rescue != 1.0;
        bool again = rescued;
        if (rescued) {
            a = rescue;
        } else if (RMS == 0u && !second && q > m2 * 0.25) {
            k = k + c;
            second = true;
            again = true;
        }
        if (RMS == 0u) {
            float scaled = pivot(length, a);
            k = rescued ? scaled : k;
        }
        if (!any_team(again))
            break;
    }
    if (RMS == 1u)
        return vec4(0.0, 0.0, m2, a);
    return vec4(two_sum(k, c), m2 < 0.0 ? 0.0 : m2, a);
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
float ratio(float a, float of)
{
    return a == of ? 1.0 : a == 1.0 ? 7.888609052210118e-31 : of == 1.0 ? TINY : 0.0;
}

// Merges `count` results, input i of the list being number first + i of the row's, each standing for `unit` elements.
// The cluster's lane t has inputs t, t+8, ...
vec4 merge(vec4 inputs[8], uint first, uint count, uint unit)
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
vec4 finish_row(vec4 c, bool live)
{
    precise float variance = c.z / float(args.n);
    precise float shifted = variance + (args.eps * c.w) * c.w;
    precise float s = 1.0 / sqrt(shifted);
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

// y of elements i .. i+3 from their h.
vec4 normalise(vec4 h, int i, vec4 stat)
{
    precise vec4 z = h * stat.w;
    precise vec4 v;
    if (RMS == 1u)
        v = z * stat.z;
    else
        v = ((z - stat.x) - stat.y) * stat.z;
    if (present(WEIGHT)) {
        if (LEAN == 1u)
            v = v * kept_weight[kept_at(uint(i))];
        else
            v = v * (args.weight_offset + load_weight(args.off_weight, i, args.part, type_of(WEIGHT)));
    }
    if (present(BIAS)) {
        if (LEAN == 1u)
            v = v + kept_bias[kept_at(uint(i))];
        else
            v = v + load_bias(args.off_bias, i, args.part, type_of(BIAS));
    }
    return v;
}

void put_quad(uint i, vec4 h, vec4 stat)
{
    if (PROLOGUE == 1u && present(SUM))
        store_quad_sum(base_sum, i, type_of(SUM), h);
    store_quad_y(base_y, i, type_of(Y), normalise(h, int(i), stat));
}

void put(int i, uint begin, uint end, vec4 h, vec4 stat)
{
    vec4 v = normalise(h, i, stat);
    if (PROLOGUE == 1u && present(SUM))
        store_sum(base_sum, i, begin, end, type_of(SUM), h);
    store_y(base_y, i, begin, end, type_of(Y), v);
}

// Writes elements from .. end-1 one quad at a time, whatever their offsets; begin is where this unit's elements begin.
void apply_any(vec4 stat, uint begin, uint from, uint end)
{
    // Moved by one where that makes the words of a 16-bit y whole.
    int moved = aligned() || type_of(Y) == 0u ? 0 : int(base_y & 1u);
    for (int i = int(from + team_lane() * 4u) - moved; i < int(end); i += int(4u * TEAM))
        put(i, begin, end, load_h(i), stat);
}

// Writes elements begin .. end-1 (begin a multiple of 4).
void apply(vec4 stat, uint begin, uint end)
{
    uint full = aligned() ? end & ~3u : begin;
    for (uint i = begin + team_lane() * 4u; i < full; i += 4u * TEAM)
        put_quad(i, h_at(i), stat);
    if (LEAN == 0u)
        apply_any(stat, begin, full, end);
}

// The same from the registers.
void apply_held(vec4 stat, uint begin, uint end)
{
    uint at = begin + first_block() * BLOCK;
    uint steps = ROLLED == 1u ? 2u * pairs_of(int(end) - int(at)) : 16u;
    at += cluster_lane() * 4u;
    [[unroll]] for (uint s = 0u; s < steps; ++s, at += 32u)
        if (at < end)
            put_quad(at, held[s & 15u], stat);
}

uint team_index()
{
    uint group = gl_WorkGroupID.x + gl_NumWorkGroups.x * gl_WorkGroupID.y;
    return group * (gl_WorkGroupSize.x / TEAM) + gl_LocalInvocationID.x / TEAM;
}
