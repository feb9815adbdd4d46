// v^-beta for local response norm, in float32 with the logarithm as a pair: exp magnifies its error by its size.
// Behind prelude.cl (two_sum, two_product) and activations.cl (exp_pair).

// log(v * 2^exponent) as a pair, v > 0 and finite.
static inline float2 log_pair(float v, int exponent)
{
    if (v < 0x1p-126f) {
        v = v * 0x1p24f;
        exponent -= 24;
    }
    uint bits = as_uint(v);
    // m of 0.71 to 1.41, so that the logarithm near 1 has no part that cancels.
    int upper = (bits & 0x7fffff) > 0x3504f3;
    float m = as_float((bits & 0x7fffff) | (127 - upper) << 23);
    exponent += (int)(bits >> 23) - 127 + upper;
    // log(m) = 2*atanh(s), s = (m - 1)/(m + 1) with its remainder.
    float f = m - 1.0f, d, d_low, product, rest;
    two_sum(m, 1.0f, &d, &d_low);
    float s = f / d;
    two_product(s, d, &product, &rest);
    float s_low = (((f - product) - rest) - s * d_low) / d;
    float z = s * s;
    float series = (((0.181818182f * z + 0.222222222f) * z + 0.285714286f) * z + 0.4f) * z + 0.666666667f;
    float low = 2.0f * s_low + (s * z) * series;
    // log(2) in two parts, the first of 9 bits: its product is exact.
    float n = (float)exponent, high, carry;
    two_sum(n * 0.693359375f, 2.0f * s, &high, &carry);
    low = (carry + low) - n * 2.12194440054691e-4f;
    float sum = high + low;
    return (float2)(sum, low - (sum - high));
}

// (v * 2^exponent)^-beta.
static inline float inverse_power(float v, int exponent, float beta)
{
    if (isnan(v) || v < 0)
        return NAN;
    if (v == 0 || isinf(v))
        return beta == 0 ? 1.0f : (v == 0) == (beta > 0) ? INFINITY : 0.0f;
    float2 log_v = log_pair(v, exponent);
    float product, rest;
    two_product(log_v.x, beta, &product, &rest);
    return exp_pair(-product, -(rest + log_v.y * beta));
}
