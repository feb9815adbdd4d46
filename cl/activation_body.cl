// Arithmetic is +, *, / and rint: OpenCL's exp, erf and tanh may be off by 3, 16 and 5 ulp, and by different amounts on
// every driver. tanh and erf themselves are not needed: 0.5*(1 + tanh(w)) is sigmoid(2w), and gelu is v * Phi(v) with Phi
// from the scaled tail of the normal distribution, which keeps its digits where 1 + erf would cancel.
// Assumes REAL (float, float4), OF(name) for what is defined, TO_INT, AS_INT and AS_REAL. No branch depends on a value.

// Two values of each element.
struct OF(pair) {
    REAL x, y;
};

// e^(x + tail), where tail is what rounding took from x. Infinite above 89, 0 below -105, NaN stays.
static inline REAL OF(exp_pair)(REAL given, REAL tail)
{
    REAL x = select((REAL)(0), given, given > -105.0f && given <= 89.0f);
    // x = n*ln(2) + r. The first part of ln(2) has 9 bits: its product with n is exact.
    REAL n = rint((x + tail) * 1.44269504088896f);
    REAL r = ((x - n * 0.693359375f) + n * 2.12194440054691e-4f) + tail;
    // (e^r - 1 - r)/r^2, interpolated in Chebyshev points: 0.2 ulp of e^r for |r| < 0.3535.
    REAL p = 0.00139276835f * r + 0.00836437941f;
    p = p * r + 0.041666545f;
    p = p * r + 0.166665703f;
    p = p * r + 0.5f;
    p = 1.0f + (r + (r * r) * p);
    // Two factors: 2^n alone may lie outside of float32, and only the last product may round (a denormal result).
    p = (p * AS_REAL((127 + (TO_INT(n) >> 1)) << 23)) * AS_REAL((127 + (TO_INT(n) - (TO_INT(n) >> 1))) << 23);
    p = select(p, (REAL)(INFINITY), given > 89.0f);
    p = select(p, (REAL)(0), given <= -105.0f);
    return select(p, given, isnan(given));
}

// (sigmoid(v), 1 - sigmoid(v)), each with its digits.
static inline struct OF(pair) OF(sigmoid_pair)(REAL v)
{
    REAL e = OF(exp_pair)(-fabs(v), 0), large = 1.0f / (1.0f + e), small = e * large;
    return (struct OF(pair)){select(large, small, v < 0), select(small, large, v < 0)};
}

// The normal distribution: (Phi(v), its density at v).
static inline struct OF(pair) OF(normal_pair)(REAL v)
{
    REAL a = select(fabs(v), (REAL)(16), fabs(v) > 16.0f); // both are 0 or 1 from 14.2 on
    // a^2 in two parts, the first exact: rounding it would cost digits of the exponential.
    REAL head = AS_REAL(AS_INT(a) & (int)0xfffff000);
    REAL e = OF(exp_pair)(-0.5f * (head * head), -0.5f * ((a - head) * (a + head)));
    // (a + 4) * e^(a^2/2) * (1 - Phi(a)) as a polynomial of t, interpolated in Chebyshev points: 0.5 ulp.
    REAL w = 1.0f / (a + 4.0f), t = (a - 4.0f) * w;
    REAL p = -0.000122983154f * t + 0.000194801862f;
    p = p * t + 0.0015693137f;
    p = p * t - 0.00352357398f;
    p = p * t - 0.00752721308f;
    p = p * t + 0.0604064688f;
    p = p * t - 0.186523005f;
    p = p * t + 0.387136668f;
    p = p * t - 0.607896626f;
    p = p * t + 0.755285144f;
    REAL tail = e * (p * w);
    return (struct OF(pair)){select(1.0f - tail, tail, v < 0), e * 0.398942280401433f};
}

static inline struct OF(pair) OF(gelu_tanh_pair)(REAL v)
{
    return OF(sigmoid_pair)(v * (GELU_TANH_A + GELU_TANH_B * (v * v)));
}

// v times a share that is 0 far below 0, where v may have become infinite. fmax drops a NaN, which the share has too.
static inline REAL OF(times_share)(REAL v, REAL share)
{
    return fmax(v, (REAL)(-FLT_MAX)) * share;
}

static inline REAL OF(activation)(uint kind, float slope, REAL v)
{
    switch (kind) {
    case ACTIVATION_RELU:
        return select(v, (REAL)(0), v < 0);
    case ACTIVATION_LEAKY_RELU:
        return select(v, slope * v, v < 0);
    case ACTIVATION_GELU:
        return OF(times_share)(v, OF(normal_pair)(v).x);
    case ACTIVATION_GELU_TANH:
        return OF(times_share)(v, OF(gelu_tanh_pair)(v).x);
    case ACTIVATION_SILU:
        return OF(times_share)(v, OF(sigmoid_pair)(v).x);
    case ACTIVATION_SIGMOID:
        return OF(sigmoid_pair)(v).x;
    default:
        return v;
    }
}

// The derivative of v*c(v) is c + v*c'. Far out c' is 0, where v*c' is 0 though v (or a factor of c') be infinite.
static inline REAL OF(product_rule)(REAL v, REAL c, REAL density, REAL factor)
{
    return select(c + (v * density) * factor, c, density == 0);
}

static inline REAL OF(activation_derivative)(uint kind, float slope, REAL v)
{
    struct OF(pair) c;
    switch (kind) {
    case ACTIVATION_RELU: // a NaN stays
        return select(select(v, (REAL)(0), v <= 0), (REAL)(1), v > 0);
    case ACTIVATION_LEAKY_RELU:
        return select(select(v, (REAL)(slope), v <= 0), (REAL)(1), v > 0);
    case ACTIVATION_GELU:
        c = OF(normal_pair)(v);
        return OF(product_rule)(v, c.x, c.y, 1);
    case ACTIVATION_GELU_TANH:
        c = OF(gelu_tanh_pair)(v);
        return OF(product_rule)(v, c.x, c.x * c.y, GELU_TANH_A + 3.0f * GELU_TANH_B * (v * v));
    case ACTIVATION_SILU:
        c = OF(sigmoid_pair)(v);
        return OF(product_rule)(v, c.x, c.x * c.y, 1);
    case ACTIVATION_SIGMOID:
        c = OF(sigmoid_pair)(v);
        return c.x * c.y;
    default:
        return 1;
    }
}
