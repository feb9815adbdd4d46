// v^-beta for local response norm, in float32 with the logarithm as a pair: exp magnifies its error by its size.
// Behind strided.glsl (two_sum, two_product) and activations.glsl (decay).

// log(v * 2^exponent) as a pair, v > 0 and finite.
vec2 log_pair(const float v, int exponent)
{
    bool tiny = floatBitsToUint(v) < 0x800000u;
    precise float enlarged = v * 16777216.0;
    uint bits = floatBitsToUint(tiny ? enlarged : v);
    exponent -= tiny ? 24 : 0;
    // m of 0.71 to 1.41, so that the logarithm near 1 has no part that cancels.
    uint upper = (bits & 0x7fffffu) > 0x3504f3u ? 1u : 0u;
    float m = uintBitsToFloat((bits & 0x7fffffu) | (127u - upper) << 23u);
    exponent += int(bits >> 23u) - 127 + int(upper);
    // log(m) = 2*atanh(s), s = (m - 1)/(m + 1) with its remainder.
    precise float f = m - 1.0;
    vec2 d = two_sum(m, 1.0);
    precise float s = f / d.x;
    vec2 back = two_product(s, d.x);
    precise float s_low = (((f - back.x) - back.y) - s * d.y) / d.x;
    precise float z = s * s;
    precise float series = (((0.181818182 * z + 0.222222222) * z + 0.285714286) * z + 0.4) * z + 0.666666667;
    precise float low = 2.0 * s_low + (s * z) * series;
    // log(2) in two parts, the first of 9 bits: its product is exact.
    precise float n = float(exponent);
    precise float n_log2 = n * 0.693359375, twice = 2.0 * s;
    vec2 high = two_sum(n_log2, twice);
    low = (high.y + low) - n * 2.12194440054691e-4;
    precise float sum = high.x + low;
    precise float rest = low - (sum - high.x);
    return vec2(sum, rest);
}

// (v * 2^exponent)^-beta.
float inverse_power(const float v, const int exponent, const float beta)
{
    vec2 log_v = log_pair(v, exponent);
    vec2 t = two_product(log_v.x, beta);
    precise float low = t.y + log_v.y * beta;
    float power = decay(abs(t.x), t.x < 0.0 ? -low : low); // below 1; its inverse otherwise
    precise float inverted = 1.0 / power;
    float result = t.x < 0.0 ? inverted : power;
    float infinity = uintBitsToFloat(0x7f800000u);
    float edge = beta == 0.0 ? 1.0 : (v == 0.0) == (beta > 0.0) ? infinity : 0.0;
    result = v == 0.0 || v == infinity ? edge : result;
    return is_nan(v) || v < 0.0 ? uintBitsToFloat(0x7fc00000u) : result;
}
