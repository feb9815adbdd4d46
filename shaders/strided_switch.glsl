// switchable_norm: the mix of a group's own statistics (kind 0), its sample's (1) and its channel's (2). The cells at
// ST_MOMENTS are (m, r, M2, a): a mean and a sum of squares about it. Behind strided.glsl.
const uint MIX_TRAINING = 1u, MIX_RUNNING = 2u; // enum form_mix

INPUT(mean_weights, ST_MEAN_WEIGHTS)
INPUT(var_weights, ST_VAR_WEIGHTS)
layout(std430, set = 0, binding = ST_RUNNING_MEAN) buffer RunningMean { float running_mean_words[]; };
layout(std430, set = 0, binding = ST_RUNNING_VAR) buffer RunningVar { float running_var_words[]; };

struct kinds {
    uint sample_number, channel_number;
    float alpha[ST_KINDS], beta[ST_KINDS];
    vec4 cell[ST_KINDS];
    float var[ST_KINDS], count[ST_KINDS]; // var: at the cell's scale
};

struct mix_result {
    vec4 cell;                            // (m, r, s, a)
    float var, part[ST_KINDS];            // at the scale a; part: beta * var of the kind
    float apart[ST_KINDS], moved[ST_KINDS], shift; // the kind's mean less the group's own, times alpha, and their sum
};

// The inverse of a scale, exactly.
float inverse(const float a)
{
    return a == 1.0 ? 1.0 : a == TINY ? 7.922816251426434e+28 : 7.888609052210118e-31; // 2^96, 2^-100
}

// The softmax of three weights. Their differences from the largest are exact pairs.
void softmax(float w[ST_KINDS], out float result[ST_KINDS])
{
    float most = max(w[0], max(w[1], w[2]));
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        vec2 x = two_sum(w[k], -most);
        float power = decay(-x.x, x.x < -104.0 ? 0.0 : -x.y);
        result[k] = is_nan(x.x) ? x.x : power;
    }
    precise float sum = (result[0] + result[1]) + result[2];
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        precise float share = result[k] / sum;
        result[k] = share;
    }
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
        result.count[k] = count;
        if (k == 2u && running) {
            result.cell[k] = vec4(running_mean_words[bases[ST_RUNNING_MEAN]], 0.0, 0.0, 1.0);
            result.var[k] = running_var_words[bases[ST_RUNNING_VAR]];
        } else {
            result.cell[k] = workspace[kind_at(table[ST_MOMENTS], group, k, result)];
            precise float var = result.cell[k].z / count;
            result.var[k] = var;
        }
    }
    return result;
}

// At one scale; a factor s that is NaN says that it overflows. The means are mixed by their distances from the group's own: a
// mean far from 0 costs no digits.
mix_result mix_at(const kinds of, const float a, const float eps)
{
    mix_result result;
    precise float own_f = a * inverse(of.cell[0].w);
    precise float own_m = of.cell[0].x * own_f, own_r = of.cell[0].y * own_f;
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        precise float f = a * inverse(of.cell[k].w);
        precise float part = ((of.beta[k] * of.var[k]) * f) * f;
        // Halves, since means of 3e38 and -3e38 lie further apart than float32 reaches.
        precise float half_apart = ((of.cell[k].x * f) * 0.5 - own_m * 0.5) + ((of.cell[k].y * f) * 0.5 - own_r * 0.5);
        precise float moved = (2.0 * of.alpha[k]) * half_apart;
        precise float apart = 2.0 * half_apart;
        result.part[k] = part;
        result.moved[k] = moved;
        result.apart[k] = apart;
    }
    precise float shift = result.moved[1] + result.moved[2];
    precise float var = (result.part[0] + result.part[1]) + result.part[2];
    precise float shifted = var + (eps * a) * a;
    precise float low = own_r + shift;
    vec2 mean = two_sum(own_m, low);
    float s = reciprocal_of(root_of(shifted));
    result.shift = shift;
    result.var = var;
    result.cell = vec4(mean, finite(mean.x) && finite(shifted) ? s : uintBitsToFloat(0x7fc00000u), a);
    return result;
}

// At the largest of the scales, up to the kinds' own, at which nothing overflows.
mix_result mix_of(const kinds of, const float eps)
{
    float a = max(of.cell[0].w, max(of.cell[1].w, of.cell[2].w));
    mix_result result = mix_at(of, a, eps);
    for (uint i = 0u; i < 2u && is_nan(result.cell.z) && a != TINY; ++i) {
        a = a == HUGE ? 1.0 : TINY;
        result = mix_at(of, a, eps);
    }
    return result;
}
