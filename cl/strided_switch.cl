// switchable_norm: the mix of a group's own statistics (kind 0), its sample's (1) and its channel's (2), and the way back.
// Included by strided.cl. The cells of ST_MOMENTS are (m, r, M2, a): a mean and a sum of squares about it.

struct kinds {
    uint sample, channel;
    float alpha[ST_KINDS], beta[ST_KINDS];
    stat cell[ST_KINDS];
    float var[ST_KINDS], count[ST_KINDS]; // var: at the cell's scale
};

struct mix {
    stat cell; // (m, r, s, a)
    float var, part[ST_KINDS];                     // at the scale a; part: beta * var of the kind
    float apart[ST_KINDS], moved[ST_KINDS], shift; // the kind's mean less the group's own, times alpha, and their sum
};

// The softmax of three weights. Their differences from the largest are exact pairs.
static inline void softmax(const struct view *view, uint slot, float out[ST_KINDS])
{
    uint at = word(view, tensor(slot) + 1), step = word(view, tensor(slot) + 2), type = word(view, tensor(slot));
    float w[ST_KINDS], x, tail;
    for (uint k = 0; k < ST_KINDS; k++)
        w[k] = load1(view->at[slot], type, at + k * step);
    float most = fmax(w[0], fmax(w[1], w[2]));
    for (uint k = 0; k < ST_KINDS; k++) {
        two_sum(w[k], -most, &x, &tail);
        out[k] = exp_pair(x, tail);
    }
    float sum = (out[0] + out[1]) + out[2];
    for (uint k = 0; k < ST_KINDS; k++)
        out[k] = out[k] / sum;
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
        kinds.count[k] = k == 0 ? n : n * (k == 1 ? channels : samples);
        if (k == 2 && word(view, ST_MIX) == MIX_RUNNING) {
            kinds.var[k] = load_at(view, ST_RUNNING_VAR, word(view, ST_GROUP_RANK), index);
            float mean = load_at(view, ST_RUNNING_MEAN, word(view, ST_GROUP_RANK), index);
            kinds.cell[k] = (stat)(mean, 0, 0, 1.0f);
            continue;
        }
        kinds.cell[k] = cells(view)[kind_at(view, word(view, ST_MOMENTS), group, k, &kinds)];
        kinds.var[k] = kinds.cell[k].z / kinds.count[k];
    }
    return kinds;
}

// At one scale. The means are mixed by their distances from the group's own: a mean far from 0 costs no digits.
static inline struct mix mix_at(const struct kinds *kinds, float a, float eps)
{
    struct mix mix;
    stat own = kinds->cell[0];
    float own_f = a * inverse(own.w);
    for (uint k = 0; k < ST_KINDS; k++) {
        stat cell = kinds->cell[k];
        float f = a * inverse(cell.w);
        mix.part[k] = ((kinds->beta[k] * kinds->var[k]) * f) * f;
        // Halves, since means of 3e38 and -3e38 lie further apart than float32 reaches.
        float half_apart = ((cell.x * f) * 0.5f - (own.x * own_f) * 0.5f) + ((cell.y * f) * 0.5f - (own.y * own_f) * 0.5f);
        mix.moved[k] = (2.0f * kinds->alpha[k]) * half_apart;
        mix.apart[k] = 2.0f * half_apart;
    }
    mix.shift = mix.moved[1] + mix.moved[2];
    mix.var = (mix.part[0] + mix.part[1]) + mix.part[2];
    float m, r, shifted = mix.var + (eps * a) * a;
    two_sum(own.x * own_f, own.y * own_f + mix.shift, &m, &r);
    mix.cell = (stat)(m, r, isfinite(m) && isfinite(shifted) ? reciprocal_of(root_of(shifted)) : NAN, a);
    return mix;
}

// At the largest of the scales, up to the kinds' own, at which nothing overflows.
static inline struct mix mix_of(const struct kinds *kinds, float eps)
{
    float a = fmax(kinds->cell[0].w, fmax(kinds->cell[1].w, kinds->cell[2].w));
    struct mix mix = mix_at(kinds, a, eps);
    while (isnan(mix.cell.z) && a != SHRINK) {
        a = a == GROW ? 1.0f : SHRINK;
        mix = mix_at(kinds, a, eps);
    }
    return mix;
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
    stat cell = mix_of(&kinds, real(&view, ST_EPS)).cell;
    cells(&view)[word(&view, ST_CELLS) + group] = cell;
    if (present(&view, ST_MEAN))
        store_at(&view, ST_MEAN, rank, &index, cell.x * inverse(cell.w));
    if (present(&view, ST_RSTD))
        store_at(&view, ST_RSTD, rank, &index, cell.z * cell.w);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_switch_add)
// Adds up to 64 (P, Q, S) of a sample's or a channel's groups: P a sum of S * (sum of g), Q one of S^2 * (sum of g*xhat),
// in units of S and S^2, S = rstd: the largest among the terms, so that no square overflows, and none that counts is lost.
STRIDED(strided_switch_add)
{
    struct view view = VIEW;
    uint unit = unit_index();
    if (unit >= word(&view, ST_GROUPS) * word(&view, ST_OUTPUTS))
        return;
    struct merge merge = merge_of(&view, unit);
    float p[FAN], q[FAN], S[FAN], most = 0;
    for (uint i = 0; i < merge.count; i++) {
        __global const stat *in = merge.in + i * merge.step;
        S[i] = in->z;
        if (word(&view, ST_LEVEL) == 1) { // a group's own sums
            stat cell = cells(&view)[word(&view, ST_CELLS) + (uint)(in - cells(&view)) - word(&view, ST_SUMS)];
            S[i] = cell.z * cell.w;
        }
        if (i == 0 || S[i] > most)
            most = S[i];
    }
    for (uint i = 0; i < merge.count; i++) {
        stat in = merge.in[i * merge.step];
        float f = S[i] / most;
        float2 sums = word(&view, ST_LEVEL) == 1 ? both_sums(in) : in.xy;
        p[i] = sums.x * f;
        q[i] = (sums.y * f) * f;
    }
    cells(&view)[merge.out] = (stat)(fold(p, merge.count), fold(q, merge.count), most, 0);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_switch_coefficients)
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
    float2 own = both_sums(cells(&view)[word(&view, ST_SUMS) + group]);
    float c0 = 0, c1 = 0, s = mix.cell.z, S = s * mix.cell.w, all = (mix.var * s) * s;
    for (uint k = 0; k < ST_KINDS; k++) {
        stat sums = cells(&view)[kind_at(&view, word(&view, ST_SUMS), group, k, &kinds)];
        sums.xy = k == 0 ? own : sums.xy;
        float t = k == 0 ? 1.0f : sums.z / S, beta = kinds.beta[k], part = ((beta / kinds.count[k] * t) * sums.y) * t;
        part = beta == 0 ? sums.y * 0.0f : part; // t may be infinite
        if (k < 2 || word(&view, ST_MIX) == MIX_TRAINING) {
            c0 = c0 + ((kinds.alpha[k] / kinds.count[k]) * (sums.x * t) + part * (s * (mix.shift - mix.apart[k])));
            c1 = c1 + part;
        }
        float of_mean = s * (kinds.alpha[k] * mix.shift - mix.moved[k]), of_var = beta * all - (mix.part[k] * s) * s;
        cells(&view)[word(&view, ST_OUT) + k * groups + group] = (stat)(own.x * of_mean, 0.5f * (own.y * of_var), 0, 0);
    }
    cells(&view)[word(&view, ST_COEFFICIENTS) + group] = (stat)(c0, c1, 0, 0);
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
