// switchable_norm: the mix of a group's own statistics (kind 0), its sample's (1) and its channel's (2). The cells at
// ST_MOMENTS are (m, r, M2, a): a mean and a sum of squares about it. The kinds may lie further apart than float32 reaches,
// and so may the weights of a softmax: all in wide floats. Behind strided.glsl.
const uint MIX_TRAINING = 1u, MIX_RUNNING = 2u; // enum form_mix

INPUT(mean_weights, ST_MEAN_WEIGHTS)
INPUT(var_weights, ST_VAR_WEIGHTS)
layout(std430, set = 0, binding = ST_RUNNING_MEAN) buffer RunningMean { float running_mean_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_VAR) buffer RunningVar { float running_var_words[]; };

struct kinds {
    uint sample_number, channel_number;
    wide alpha[ST_KINDS], beta[ST_KINDS];
    wide m[ST_KINDS], r[ST_KINDS], var[ST_KINDS], count[ST_KINDS]; // m + r: the mean
};

struct mix_result {
    wide m, r, var, s;                             // s = 1 / sqrt(var + eps); NaN where the mean or var is not finite
    wide part[ST_KINDS];                           // beta * var of the kind
    wide apart[ST_KINDS], moved[ST_KINDS], shift;  // the kind's mean less the group's own, times alpha, and their sum
};

// e^(x + tail), x <= 0. Where float has too little room: 2^n times the power of the rest, n*ln(2) taken from x in two parts,
// the first of which has 9 bits, so that the rest is exact but for the other one's rounding. n is chosen so that it is not
// above 0, as decay() wants it.
wide wide_exp(const float x, const float tail)
{
    bool far = x < -87.0 && x > -4000.0;
    precise float n = floor(x * 1.44269504) + 1.0;
    precise float first = x - n * 0.693359375, second = n * 2.12194440054691e-04 + tail;
    vec2 rest = two_sum(first, second);
    float power = far ? decay(-rest.x, -rest.y) : decay(-x, x < -104.0 ? 0.0 : -tail);
    return wide_scaled(is_nan(x) ? x : power, far ? int(n) : 0);
}

// The softmax of three weights. Their differences from the largest are exact pairs.
void softmax(const float w[ST_KINDS], out wide result[ST_KINDS])
{
    float most = max(w[0], max(w[1], w[2]));
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        vec2 x = two_sum(w[k], -most);
        result[k] = wide_exp(x.x, x.y);
    }
    wide sum = wide_add(wide_add(result[0], result[1]), result[2]);
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k)
        result[k] = wide_div(result[k], sum);
}

// The list of cells at `base`: groups, samples, channels.
uint kind_at(const uint base, const uint group, const uint kind, const kinds of)
{
    uint samples = table[ST_SAMPLES], groups = samples * table[ST_CHANNELS];
    return base + (kind == 0u ? group : kind == 1u ? groups + of.sample_number : groups + samples + of.channel_number);
}

// After take_table() and take_group().
kinds kinds_of(const uint group)
{
    kinds result;
    float mean_w[ST_KINDS], var_w[ST_KINDS];
    float n = float(table[ST_N]), samples = float(table[ST_SAMPLES]), channels = float(table[ST_CHANNELS]);
    bool running = table[ST_MIX] == MIX_RUNNING;
    result.sample_number = group / table[ST_SAMPLE_STEP] % table[ST_SAMPLES];
    result.channel_number = group / table[ST_CHANNEL_STEP] % table[ST_CHANNELS];
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        places[ST_MEAN_WEIGHTS] = table_word_of(ST_MEAN_WEIGHTS, 1u) + k * table_word_of(ST_MEAN_WEIGHTS, 2u);
        places[ST_VAR_WEIGHTS] = table_word_of(ST_VAR_WEIGHTS, 1u) + k * table_word_of(ST_VAR_WEIGHTS, 2u);
        mean_w[k] = load_mean_weights();
        var_w[k] = load_var_weights();
    }
    softmax(mean_w, result.alpha);
    softmax(var_w, result.beta);
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        precise float count = k == 0u ? n : n * (k == 1u ? channels : samples);
        result.count[k] = wide_of(count);
        if (k == 2u && running) {
            result.m[k] = wide_of(running_mean_words[bases[ST_RUNNING_MEAN]]);
            result.r[k] = wide_of(0.0);
            result.var[k] = wide_of(running_var_words[bases[ST_RUNNING_VAR]]);
        } else {
            vec4 cell = workspace[kind_at(table[ST_MOMENTS], group, k, result)];
            int scale = wide_of(cell.w).e;
            result.m[k] = wide_scaled(cell.x, -scale);
            result.r[k] = wide_scaled(cell.y, -scale);
            result.var[k] = wide_div(wide_scaled(cell.z, -2 * scale), result.count[k]);
        }
    }
    return result;
}

// a + b without rounding, as a sum of two.
void wide_two_sum(const wide a, const wide b, out wide s, out wide e)
{
    int most = max(a.e, b.e);
    bool far = min(a.e, b.e) < most - 60, swapped = a.e < b.e;
    vec2 near = two_sum(a.m * power_of_two(max(a.e - most, -126)), b.m * power_of_two(max(b.e - most, -126)));
    s = wide_scaled(near.x, most);
    e = wide_scaled(near.y, most);
    if (far) {
        s = wide(swapped ? b.m : a.m, swapped ? b.e : a.e);
        e = wide(swapped ? a.m : b.m, swapped ? a.e : b.e);
    }
}

// 1 / sqrt(v): an even exponent is halved.
wide wide_reciprocal_root(const wide v)
{
    int odd = v.e & 1;
    return wide_scaled(reciprocal_of(root_of(v.m * (odd != 0 ? 2.0 : 1.0))), (odd - v.e) / 2);
}

// The means are mixed by their distances from the group's own: a mean far from 0 costs no digits.
mix_result mix_of(const kinds of, const float eps)
{
    mix_result result;
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        result.part[k] = wide_mul(of.beta[k], of.var[k]);
        result.apart[k] = wide_add(wide_sub(of.m[k], of.m[0]), wide_sub(of.r[k], of.r[0]));
        result.moved[k] = wide_mul(of.alpha[k], result.apart[k]);
    }
    result.shift = wide_add(result.moved[1], result.moved[2]);
    result.var = wide_add(wide_add(result.part[0], result.part[1]), result.part[2]);
    wide shifted = wide_add(result.var, wide_of(eps));
    wide_two_sum(of.m[0], wide_add(of.r[0], result.shift), result.m, result.r);
    wide s = wide_reciprocal_root(shifted);
    bool is_finite = finite(result.m.m) && finite(shifted.m);
    result.s = wide(is_finite ? s.m : uintBitsToFloat(0x7fc00000u), is_finite ? s.e : 0);
    return result;
}

// (m, r, s, a) at the scale 1, or at one at which an element, m and s have room: elements are as large as the mean and
// 2^16 deviations of the group's own. Where they are 2^240 times as large as the mixed deviation s stays the largest float.
vec4 mix_cell(const kinds of, const mix_result mixed)
{
    int most = max(max(of.m[0].e, mixed.m.e), of.var[0].e / 2 + 17), s = mixed.s.e;
    int a = min(s > 60 ? min(s, 126) : 0, 120 - max(min(most, 128), -s));
    float factor = wide_float(wide(mixed.s.m, s - a));
    factor = factor > -LEAST && !infinite(mixed.s.m) ? -LEAST : factor;
    return vec4(wide_float(wide(mixed.m.m, mixed.m.e + a)), wide_float(wide(mixed.r.m, mixed.r.e + a)), factor,
                power_of_two(a));
}
