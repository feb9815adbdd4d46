// Activations and their derivatives from +, *, / alone: a driver's exp and tanh may be poor (lavapipe's tanh is off by
// 20,000 ulp near 0) and GLSL has no erf. Each is built on a probability p(v) and its complement: p is the logistic
// function (silu, sigmoid; gelu_tanh, since 0.5*(1 + tanh(u)) is the logistic function of 2u) or the normal
// distribution's Phi (gelu), whose tail below -x is exp(-x*x/2) times a slowly falling factor.
const uint ACTIVATION_RELU = 1u, ACTIVATION_LEAKY_RELU = 2u, ACTIVATION_GELU = 3u, ACTIVATION_GELU_TANH = 4u,
           ACTIVATION_SILU = 5u, ACTIVATION_SIGMOID = 6u;

const float LEAST = -3.40282347e+38; // -FLT_MAX

bool is_nan(const float v)
{
    return (floatBitsToUint(v) & 0x7fffffffu) > 0x7f800000u;
}

// exp(-(w + low)) for w >= 0 and |low| < 0.1; 0 below 2^-150.
float decay(const float w, const float low)
{
    precise float x = -min(w, 104.0);
    precise float n = floor((x - low) * 1.44269504 + 0.5);
    precise float r = ((x - n * 0.693145752) - n * 1.42860677e-06) - low; // log(2) in two parts, n times the first exact
    precise float p = 0.00836877991 + r * 0.00138144731;
    p = 0.0416683927 + r * p;
    p = 0.166665196 + r * p;
    p = 0.49999994 + r * p;
    precise float power = 1.0 + (r + (r * r) * p);
    // In two factors: 2^n may be denormal, where a single rounding is wanted.
    int first = int(n) >> 1, second = int(n) - first;
    precise float scaled = power * uintBitsToFloat(uint(first + 127) << 23);
    scaled = scaled * uintBitsToFloat(uint(second + 127) << 23);
    return scaled;
}

// Phi(-x) * exp(x*x/2) for 0 <= x <= 15, inverse = 1/(x + 3).
float normal_tail(const float x, const float inverse)
{
    precise float t = (x - 3.0) * inverse;
    precise float p = 0.000131330278 + t * 5.44892027e-05;
    p = -0.000244730356 + t * p;
    p = -0.00103257375 + t * p;
    p = 0.00102475425 + t * p;
    p = 0.00696931127 + t * p;
    p = -0.0104625132 + t * p;
    p = -0.0472626872 + t * p;
    p = 0.230017707 + t * p;
    p = -0.509332001 + t * p;
    p = 0.729083717 + t * p;
    precise float tail = p * inverse;
    return tail;
}

vec2 activate_linear(const uint kind, const float v, const float slope)
{
    float factor = kind == 0u || v > 0.0 ? 1.0 : kind == ACTIVATION_RELU ? 0.0 : slope;
    precise float value = v * factor;
    return vec2(factor == 0.0 ? 0.0 : value, factor);
}

vec2 activate_smooth(const uint kind, const float v)
{
    bool gelu = kind == ACTIVATION_GELU, gelu_tanh = kind == ACTIVATION_GELU_TANH;
    float x = abs(v);
    x = gelu || gelu_tanh ? min(x, 15.0) : x; // the tail below is 0
    precise float square = x * x;
    // gelu: x*x/2 as an exact product and the rest: exp is as exact as its argument.
    float high = uintBitsToFloat(floatBitsToUint(x) & 0xfffff000u);
    precise float half_square = (high * high) * 0.5;
    precise float rest = ((x - high) * (x + high)) * 0.5;
    precise float twice = x * (1.59576912 + 0.0713548163 * square); // 2u of gelu_tanh
    float e = decay(gelu ? half_square : gelu_tanh ? twice : x, gelu ? rest : 0.0);
    precise float inverse = 1.0 / (gelu ? x + 3.0 : 1.0 + e);
    precise float tail = e * (gelu ? normal_tail(x, inverse) : inverse);
    precise float body = gelu ? 1.0 - tail : inverse;
    float p = v < 0.0 ? tail : body;
    precise float density = tail * body;
    precise float widened = density * (1.59576912 + 0.214064449 * square);
    precise float normal = e * 0.39894228;
    density = gelu ? normal : gelu_tanh ? widened : density;
    precise float value = max(v, LEAST) * p; // far below 0 p is 0, and v may have become infinite
    precise float derivative = p + clamp(v, -200.0, 200.0) * density; // farther out density is 0, v may be infinite
    return kind == ACTIVATION_SIGMOID ? vec2(p, density) : vec2(value, derivative);
}

// (activation, derivative) of v.
vec2 activate(const uint kind, const float v, const float slope)
{
    vec2 result = kind <= ACTIVATION_LEAKY_RELU ? activate_linear(kind, v, slope) : activate_smooth(kind, v);
    return is_nan(v) ? vec2(v, kind == 0u ? 1.0 : v) : result;
}
