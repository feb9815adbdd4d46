// switchable_norm: the mix of a group's own statistics (kind 0), its sample's (1) and its channel's (2), and the way back.
// Included by strided.cl. The cells of ST_MOMENTS are (m, r, M2, a): a mean and a sum of squares about it. The kinds may
// lie further apart than float32 reaches, and so may the weights of a softmax: all in wide floats.

struct kinds {
    uint sample, channel;
    struct wide alpha[ST_KINDS], beta[ST_KINDS];
    struct wide m[ST_KINDS], r[ST_KINDS], var[ST_KINDS], count[ST_KINDS]; // m + r: the mean
};

struct mix {
    struct wide m, r, var, s;                      // s = 1 / sqrt(var + eps); NaN where the mean or var is not finite
    struct wide part[ST_KINDS];                    // beta * var of the kind
    struct wide apart[ST_KINDS], moved[ST_KINDS], shift; // the kind's mean less the group's own, times alpha, and their sum
};

// e^(x + tail), x <= 0. Where float has too little room: 2^n times the power of the rest, n*ln(2) taken from x in two
// parts as in exp_pair().
static inline struct wide wide_exp(float x, float tail)
{
    if (!(x < -87.0f && x > -4000.0f))
        return wide_of(exp_pair(x, tail));
    float n = rint(x * 1.44269504088896f);
    return wide_scaled(exp_pair(x - n * 0.693359375f, n * 2.12194440054691e-4f + tail), (int)n);
}

// The softmax of three weights. Their differences from the largest are exact pairs.
static inline void softmax(const struct view *view, uint slot, struct wide out[ST_KINDS])
{
    uint at = word(view, tensor(slot) + 1), step = word(view, tensor(slot) + 2), type = word(view, tensor(slot));
    float w[ST_KINDS], x, tail;
    for (uint k = 0; k < ST_KINDS; k++)
        w[k] = load1(view->at[slot], type, at + k * step);
    float most = fmax(w[0], fmax(w[1], w[2]));
    for (uint k = 0; k < ST_KINDS; k++) {
        two_sum(w[k], -most, &x, &tail);
        out[k] = wide_exp(x, tail);
    }
    struct wide sum = wide_add(wide_add(out[0], out[1]), out[2]);
    for (uint k = 0; k < ST_KINDS; k++)
        out[k] = wide_div(out[k], sum);
}

// The list of cells at `base`: groups, samples, channels.
static inline uint kind_at(const struct view *view, uint base, uint group, uint kind, const struct kinds *kinds)
{
    uint samples = word(view, ST_SAMPLES), groups = samples * word(view, ST_CHANNELS);
    return base + (kind == 0 ? group : kind == 1 ? groups + kinds->sample : groups + samples + kinds->channel);
}

static inline struct kinds kinds_of(const struct view *view, const struct index *index, uint group)
{
    struct kinds kinds;
    float n = (float)word(view, ST_N), samples = (float)word(view, ST_SAMPLES), channels = (float)word(view, ST_CHANNELS);
    kinds.sample = group / word(view, ST_SAMPLE_STEP) % word(view, ST_SAMPLES);
    kinds.channel = group / word(view, ST_CHANNEL_STEP) % word(view, ST_CHANNELS);
    softmax(view, ST_MEAN_WEIGHTS, kinds.alpha);
    softmax(view, ST_VAR_WEIGHTS, kinds.beta);
    for (uint k = 0; k < ST_KINDS; k++) {
        kinds.count[k] = wide_of(k == 0 ? n : n * (k == 1 ? channels : samples));
        if (k == 2 && word(view, ST_MIX) == MIX_RUNNING) {
            kinds.m[k] = wide_of(load_at(view, ST_RUNNING_MEAN, word(view, ST_GROUP_RANK), index));
            kinds.r[k] = wide_of(0);
            kinds.var[k] = wide_of(load_at(view, ST_RUNNING_VAR, word(view, ST_GROUP_RANK), index));
            continue;
        }
        stat cell = cells(view)[kind_at(view, word(view, ST_MOMENTS), group, k, &kinds)];
        int scale = wide_of(cell.w).e;
        kinds.m[k] = wide_scaled(cell.x, -scale);
        kinds.r[k] = wide_scaled(cell.y, -scale);
        kinds.var[k] = wide_div(wide_scaled(cell.z, -2 * scale), kinds.count[k]);
    }
    return kinds;
}

// a + b without rounding: *s + *e.
static inline void wide_two_sum(struct wide a, struct wide b, struct wide *s, struct wide *e)
{
    int most = max(a.e, b.e);
    if (min(a.e, b.e) < most - 60) {
        *s = a.e < b.e ? b : a;
        *e = a.e < b.e ? a : b;
        return;
    }
    float sum, rest;
    two_sum(a.m * power_of_two(a.e - most), b.m * power_of_two(b.e - most), &sum, &rest);
    *s = wide_scaled(sum, most);
    *e = wide_scaled(rest, most);
}

// 1 / sqrt(v): an even exponent is halved.
static inline struct wide wide_reciprocal_root(struct wide v)
{
    int odd = v.e & 1;
    return wide_scaled(reciprocal_of(root_of(v.m * (odd ? 2.0f : 1.0f))), (odd - v.e) / 2);
}

// The means are mixed by their distances from the group's own: a mean far from 0 costs no digits.
static inline struct mix mix_of(const struct kinds *kinds, float eps)
{
    struct mix mix;
    for (uint k = 0; k < ST_KINDS; k++) {
        mix.part[k] = wide_mul(kinds->beta[k], kinds->var[k]);
        mix.apart[k] = wide_add(wide_sub(kinds->m[k], kinds->m[0]), wide_sub(kinds->r[k], kinds->r[0]));
        mix.moved[k] = wide_mul(kinds->alpha[k], mix.apart[k]);
    }
    mix.shift = wide_add(mix.moved[1], mix.moved[2]);
    mix.var = wide_add(wide_add(mix.part[0], mix.part[1]), mix.part[2]);
    struct wide shifted = wide_add(mix.var, wide_of(eps));
    wide_two_sum(kinds->m[0], wide_add(kinds->r[0], mix.shift), &mix.m, &mix.r);
    mix.s = isfinite(mix.m.m) && isfinite(shifted.m) ? wide_reciprocal_root(shifted) : wide_of(NAN);
    return mix;
}

// (m, r, s, a) at the scale 1, or at one at which an element, m and s have room: elements are as large as the mean and
// 2^16 deviations of the group's own. Where they are 2^240 times as large as the mixed deviation s stays the largest float.
static inline stat mix_cell(const struct kinds *kinds, const struct mix *mix)
{
    int most = max(max(kinds->m[0].e, mix->m.e), kinds->var[0].e / 2 + 17), s = mix->s.e;
    int a = min(s > 60 ? min(s, 126) : 0, 120 - max(min(most, 128), -s));
    struct wide m = mix->m, r = mix->r, factor = mix->s;
    m.e = m.e + a;
    r.e = r.e + a;
    factor.e = factor.e - a;
    float f = wide_float(factor);
    return (stat)(wide_float(m), wide_float(r), isinf(factor.m) ? f : f > FLT_MAX ? FLT_MAX : f, power_of_two(a));
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_switch_mix)
STRIDED(strided_switch_mix)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), group = word(&view, ST_GROUP0) + unit, rank = word(&view, ST_GROUP_RANK);
    if (unit >= word(&view, ST_GROUPS))
        return;
    set_group(&view, group, &index);
    struct kinds kinds = kinds_of(&view, &index, group);
    struct mix mix = mix_of(&kinds, real(&view, ST_EPS));
    cells(&view)[word(&view, ST_CELLS) + group] = mix_cell(&kinds, &mix);
    if (present(&view, ST_MEAN))
        store_at(&view, ST_MEAN, rank, &index, wide_float(mix.m));
    if (present(&view, ST_RSTD))
        store_at(&view, ST_RSTD, rank, &index, wide_float(mix.s));
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_switch_add) ||                                                    \
    defined(NORMA_ONLY_strided_switch_coefficients)
// What groups send to a sample's or a channel's statistics: P a sum of S * (sum of g), Q one of S^2 * (sum of g*xhat), in
// units of S and S^2, S = rstd: the largest among the terms.
struct sent {
    struct wide p, q, s;
};

// In a cell: three floats with the low 7 bits of their exponents, and the others' sum, at 8 bits each.
static inline float packed(struct wide v, float *high)
{
    int low = v.m == 0 || !isfinite(v.m) ? 0 : ((v.e + 64) & 127) - 64;
    *high = *high * 256.0f + (float)clamp((v.e - low) / 128 + 128, 0, 255);
    v.e = low;
    return wide_float(v);
}

static inline stat sent_cell(const struct sent *sent)
{
    float high = 0, p = packed(sent->p, &high), q = packed(sent->q, &high), s = packed(sent->s, &high);
    return (stat)(p, q, s, high);
}

static inline struct sent sent_of(stat cell)
{
    uint high = (uint)cell.w;
    return (struct sent){wide_scaled(cell.x, ((int)(high >> 16) - 128) * 128),
                         wide_scaled(cell.y, ((int)(high >> 8 & 255u) - 128) * 128),
                         wide_scaled(cell.z, ((int)(high & 255u) - 128) * 128)};
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_switch_add)
// Input i of a list: a group's own sums, whose cell has the rstd, or what has been added already.
static inline struct sent input_of(const struct view *view, const struct merge *merge, uint i)
{
    __global const stat *in = merge->in + i * merge->step;
    if (word(view, ST_LEVEL) != 1)
        return sent_of(*in);
    stat cell = cells(view)[word(view, ST_CELLS) + (uint)(in - cells(view)) - word(view, ST_SUMS)];
    return (struct sent){wide_first(*in), wide_second(*in), wide_mul(wide_of(cell.z), wide_of(cell.w))};
}

// Whether a > b, of no negative ones.
static inline bool is_larger(struct wide a, struct wide b)
{
    return isinf(a.m) || (!isinf(b.m) && (a.e > b.e || (a.e == b.e && a.m > b.m)));
}

static inline struct wide fold_of(struct wide *terms, uint count)
{
    float w[FAN];
    int e = WIDE_ZERO;
    for (uint i = 0; i < count; i++)
        e = max(e, terms[i].e);
    for (uint i = 0; i < count; i++) {
        terms[i].e = terms[i].e - e;
        w[i] = wide_float(terms[i]);
    }
    return wide_scaled(fold(w, count), e);
}

// Adds up what up to 64 groups send.
STRIDED(strided_switch_add)
{
    struct view view = VIEW;
    uint unit = unit_index();
    if (unit >= word(&view, ST_GROUPS) * word(&view, ST_OUTPUTS))
        return;
    struct merge merge = merge_of(&view, unit);
    struct wide p[FAN], q[FAN], most;
    for (uint i = 0; i < merge.count; i++) {
        struct wide s = input_of(&view, &merge, i).s;
        most = i == 0 || is_larger(s, most) ? s : most;
    }
    for (uint i = 0; i < merge.count; i++) {
        struct sent in = input_of(&view, &merge, i);
        struct wide f = wide_div(in.s, most);
        p[i] = wide_mul(in.p, f);
        q[i] = wide_mul(wide_mul(in.q, f), f);
    }
    struct sent all = {fold_of(p, merge.count), fold_of(q, merge.count), most};
    cells(&view)[merge.out] = sent_cell(&all);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_switch_coefficients)
// (c0, c1, 0, w), see ST_COEFFICIENTS.
static inline stat coefficients_cell(struct wide c0, struct wide c1)
{
    int e = max(c0.e, c1.e);
    if ((c0.m == 0 || abs(c0.e) <= WIDE_ROOM) && (c1.m == 0 || abs(c1.e) <= WIDE_ROOM))
        return (stat)(wide_float(c0), wide_float(c1), 0, 0);
    e = clamp(e, -2000, 2000);
    c0.e = c0.e - e;
    c1.e = c1.e - e;
    return (stat)(wide_float(c0), wide_float(c1), 0, (float)(e + WIDE_COEFFICIENTS));
}

// dx = S*(g - c0 - xhat*c1). With G and X the sums of g and of g*xhat, S = rstd, mean_k and n_k of kind k, and sums over
// the groups j that have part in the same statistics of kind k:
//   c1_k = beta_k/n_k * sum_j (S_j/S)^2 * X_j, c1 = sum_k c1_k
//   c0 = sum_k (alpha_k/n_k * sum_j S_j/S * G_j + c1_k * S*(mean - mean_k))
// Running statistics are constants. And the group's terms of the weights' gradients, the derivatives of a softmax:
//   dmean_weights[k]: G*alpha_k * S*(mean - mean_k), dvar_weights[k]: X*beta_k * S^2*(var - var_k)/2
STRIDED(strided_switch_coefficients)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), group = word(&view, ST_GROUP0) + unit, groups = word(&view, ST_GROUPS);
    if (unit >= groups)
        return;
    set_group(&view, group, &index);
    struct kinds kinds = kinds_of(&view, &index, group);
    struct mix mix = mix_of(&kinds, real(&view, ST_EPS));
    stat own = cells(&view)[word(&view, ST_SUMS) + group];
    struct wide sum_g = wide_first(own), sum_gx = wide_second(own), s = mix.s;
    struct wide all = wide_mul(wide_mul(mix.var, s), s), c0 = wide_of(0), c1 = c0;
    for (uint k = 0; k < ST_KINDS; k++) {
        struct sent sent = {sum_g, sum_gx, s};
        if (k > 0)
            sent = sent_of(cells(&view)[kind_at(&view, word(&view, ST_SUMS), group, k, &kinds)]);
        if (k < 2 || word(&view, ST_MIX) == MIX_TRAINING) {
            struct wide t = wide_div(sent.s, s), alpha = wide_div(kinds.alpha[k], kinds.count[k]);
            struct wide part = wide_mul(wide_mul(wide_mul(wide_div(kinds.beta[k], kinds.count[k]), t), sent.q), t);
            struct wide delta = wide_mul(s, wide_sub(mix.shift, mix.apart[k]));
            c0 = wide_add(c0, wide_add(wide_mul(alpha, wide_mul(sent.p, t)), wide_mul(part, delta)));
            c1 = wide_add(c1, part);
        }
        struct wide of_mean = wide_mul(s, wide_sub(wide_mul(kinds.alpha[k], mix.shift), mix.moved[k]));
        struct wide of_var = wide_sub(wide_mul(kinds.beta[k], all), wide_mul(wide_mul(mix.part[k], s), s));
        cells(&view)[word(&view, ST_OUT) + k * groups + group] =
            wide_cell(wide_mul(sum_g, of_mean), wide_mul(wide_of(0.5f), wide_mul(sum_gx, of_var)));
    }
    cells(&view)[word(&view, ST_COEFFICIENTS) + group] = coefficients_cell(c0, c1);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_switch_write)
static inline void store_kind(const struct view *view, uint slot, uint kind, float value)
{
    uint words = tensor(slot);
    if (present(view, slot))
        store1(view->at[slot], word(view, words), word(view, words + 1) + kind * word(view, words + 2), value);
}

// A work-item a kind.
STRIDED(strided_switch_write)
{
    struct view view = VIEW;
    uint kind = unit_index();
    if (kind >= ST_KINDS)
        return;
    float2 sums = both_sums(cells(&view)[word(&view, ST_IN) + kind]);
    store_kind(&view, ST_MEAN_WEIGHTS, kind, sums.x);
    store_kind(&view, ST_VAR_WEIGHTS, kind, sums.y);
}
#endif
