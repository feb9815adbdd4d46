// Activations and their derivatives in plain float32: +, *, / and rint. OpenCL's exp, erf and tanh may be off by 3, 16
// and 5 ulp, and by different amounts on every driver. tanh and erf themselves are not needed: 0.5*(1 + tanh(w)) is
// sigmoid(2w), and gelu is v * Phi(v) with Phi from the scaled tail of the normal distribution, which keeps its digits
// where 1 + erf would cancel.
#pragma OPENCL FP_CONTRACT OFF

// norma_activation.
#define ACTIVATION_NONE 0
#define ACTIVATION_RELU 1
#define ACTIVATION_LEAKY_RELU 2
#define ACTIVATION_GELU 3
#define ACTIVATION_GELU_TANH 4
#define ACTIVATION_SILU 5
#define ACTIVATION_SIGMOID 6

// 2*sqrt(2/pi), and that times 0.044715: gelu_tanh is v * sigmoid(v * (A + B*v^2)).
#define GELU_TANH_A 1.59576912160573f
#define GELU_TANH_B 0.0713548162726003f

static inline float power_of_two(int exponent)
{
    return as_float((127 + exponent) << 23);
}

// e^(x + tail), where tail is what rounding took from x. Infinite above 88.7, 0 below -104, NaN stays.
static inline float exp_pair(float x, float tail)
{
    if (x > 89.0f)
        return INFINITY;
    if (!(x > -105.0f))
        return x < 0 ? 0.0f : x;
    // x = n*ln(2) + r. The first part of ln(2) has 9 bits: its product with n is exact.
    float n = rint((x + tail) * 1.44269504088896f);
    float r = ((x - n * 0.693359375f) + n * 2.12194440054691e-4f) + tail;
    // (e^r - 1 - r)/r^2, interpolated in Chebyshev points: 0.2 ulp of e^r for |r| < 0.3535.
    float p = 0.00139276835f * r + 0.00836437941f;
    p = p * r + 0.041666545f;
    p = p * r + 0.166665703f;
    p = p * r + 0.5f;
    p = 1.0f + (r + (r * r) * p);
    // Two factors: 2^n alone may lie outside of float32, and only the last product may round (a denormal result).
    int half_n = (int)n >> 1;
    return (p * power_of_two(half_n)) * power_of_two((int)n - half_n);
}

// (sigmoid(v), 1 - sigmoid(v)), each with its digits.
static inline float2 sigmoid_pair(float v)
{
    float e = exp_pair(-fabs(v), 0.0f), large = 1.0f / (1.0f + e), small = e * large;
    return v < 0 ? (float2)(small, large) : (float2)(large, small);
}

// The normal distribution: (Phi(v), its density at v).
static inline float2 normal_pair(float v)
{
    float a = fabs(v) > 16.0f ? 16.0f : fabs(v); // both are 0 or 1 from 14.2 on
    // a^2 in two parts, the first exact: rounding it would cost digits of the exponential.
    float head = as_float(as_uint(a) & 0xfffff000);
    float e = exp_pair(-0.5f * (head * head), -0.5f * ((a - head) * (a + head)));
    // (a + 4) * e^(a^2/2) * (1 - Phi(a)) as a polynomial of t, interpolated in Chebyshev points: 0.5 ulp.
    float w = 1.0f / (a + 4.0f), t = (a - 4.0f) * w;
    float p = -0.000122983154f * t + 0.000194801862f;
    p = p * t + 0.0015693137f;
    p = p * t - 0.00352357398f;
    p = p * t - 0.00752721308f;
    p = p * t + 0.0604064688f;
    p = p * t - 0.186523005f;
    p = p * t + 0.387136668f;
    p = p * t - 0.607896626f;
    p = p * t + 0.755285144f;
    float tail = e * (p * w);
    return (float2)(v < 0 ? tail : 1.0f - tail, e * 0.398942280401433f);
}

static inline float2 gelu_tanh_pair(float v)
{
    return sigmoid_pair(v * (GELU_TANH_A + GELU_TANH_B * (v * v)));
}

static inline float activation(uint kind, float slope, float v)
{
    switch (kind) {
    case ACTIVATION_RELU:
        return v < 0 ? 0.0f : v;
    case ACTIVATION_LEAKY_RELU:
        return v < 0 ? slope * v : v;
    case ACTIVATION_GELU:
        return v * normal_pair(v).x;
    case ACTIVATION_GELU_TANH:
        return v * gelu_tanh_pair(v).x;
    case ACTIVATION_SILU:
        return v * sigmoid_pair(v).x;
    case ACTIVATION_SIGMOID:
        return sigmoid_pair(v).x;
    default:
        return v;
    }
}

// The derivative of v*c(v) is c + v*c'. Far out c' is 0, where v*c' is 0 though v (or a factor of c') be infinite.
static inline float product_rule(float v, float c, float density, float factor)
{
    return density == 0 ? c : c + (v * density) * factor;
}

static inline float activation_derivative(uint kind, float slope, float v)
{
    float2 c;
    switch (kind) {
    case ACTIVATION_RELU:
        return v > 0 ? 1.0f : v <= 0 ? 0.0f : v; // a NaN stays
    case ACTIVATION_LEAKY_RELU:
        return v > 0 ? 1.0f : v <= 0 ? slope : v;
    case ACTIVATION_GELU:
        c = normal_pair(v);
        return product_rule(v, c.x, c.y, 1.0f);
    case ACTIVATION_GELU_TANH:
        c = gelu_tanh_pair(v);
        return product_rule(v, c.x, c.x * c.y, GELU_TANH_A + 3.0f * GELU_TANH_B * (v * v));
    case ACTIVATION_SILU:
        c = sigmoid_pair(v);
        return product_rule(v, c.x, c.x * c.y, 1.0f);
    case ACTIVATION_SIGMOID:
        c = sigmoid_pair(v);
        return c.x * c.y;
    default:
        return 1.0f;
    }
}
