// Floats with an exponent of their own, for what overflows or vanishes on its way to a result that does neither. They
// round as float does where it has room, so a value is the same bits whichever way it was found. Behind the prelude.

// m * 2^e with |m| in [1, 2), or m is 0, NaN or infinite.
struct wide {
    float m;
    int e;
};

#define WIDE_ZERO (-100000) // the exponent of 0: below all others

// m * 2^e of any m. Integers: a device may take a denormal for 0.
static inline struct wide wide_scaled(float m, int e)
{
    uint bits = as_uint(m), size = bits & 0x7fffffffu;
    if (size == 0 || size >= 0x7f800000u)
        return (struct wide){m, size == 0 ? WIDE_ZERO : 0};
    uint shift = size < 0x00800000u ? clz(size) - 8 : 0;
    int exponent = (int)(size >> 23) - 127 + (shift > 0 ? 1 - (int)shift : 0);
    return (struct wide){as_float((bits & 0x80000000u) | 0x3f800000u | ((size << shift) & 0x7fffffu)), e + exponent};
}

static inline struct wide wide_of(float m)
{
    return wide_scaled(m, 0);
}

// 2^e of e in [-126, 127].
static inline float power_of_two(int e)
{
    return as_float((uint)(e + 127) << 23);
}

// To float, rounded once.
static inline float wide_float(struct wide a)
{
    int e = clamp(a.e, -252, 254), first = clamp(e, -126, 127);
    return (a.m * power_of_two(first)) * power_of_two(e - first);
}

// To float, but to 0 nothing that is not: for its sign.
static inline float wide_sign(struct wide a)
{
    return a.m != 0 && a.e < -126 ? copysign(0x1p-126f, a.m) : wide_float(a);
}

static inline struct wide wide_mul(struct wide a, struct wide b)
{
    return wide_scaled(a.m * b.m, a.e + b.e);
}

static inline struct wide wide_add(struct wide a, struct wide b)
{
    int e = max(a.e, b.e);
    return wide_scaled(a.m * power_of_two(max(a.e - e, -126)) + b.m * power_of_two(max(b.e - e, -126)), e);
}

static inline struct wide wide_sub(struct wide a, struct wide b)
{
    b.m = -b.m;
    return wide_add(a, b);
}

static inline struct wide wide_div(struct wide a, struct wide b)
{
    return wide_scaled(a.m / b.m, a.e - b.e);
}

// Whether a product a*b lost what it should have had: it is not finite, or so small that it, or what it is multiplied
// by next, may have lost digits.
static inline bool is_lost(float product, float a, float b)
{
    return !isfinite(product) || (fabs(product) < 0x1p-100f && a != 0 && b != 0);
}

// Two sums in a cell (S1, S2, e1, e2): 2^e times them, where e is 0 unless float has too little room around them.
static inline struct wide wide_first(float4 cell)
{
    return wide_scaled(cell.x, (int)cell.z);
}

static inline struct wide wide_second(float4 cell)
{
    return wide_scaled(cell.y, (int)cell.w);
}

static inline float2 both_sums(float4 cell)
{
    return (float2)(wide_float(wide_first(cell)), wide_float(wide_second(cell)));
}

#define WIDE_ROOM 60 // exponents up to this are left to float

static inline float4 wide_cell(struct wide a, struct wide b)
{
    bool first = abs(a.e) > WIDE_ROOM && a.m != 0, second = abs(b.e) > WIDE_ROOM && b.m != 0;
    return (float4)(first ? a.m : wide_float(a), second ? b.m : wide_float(b), first ? (float)a.e : 0.0f,
                    second ? (float)b.e : 0.0f);
}

#define WIDE_COEFFICIENTS 4096 // coefficients (c0, c1, c2, w): w is this and the exponent of all three, or 0

// dt = s*a * ((g - c0) - xhat*c1) - sign(t)*c2. Where w is not 0, c2 is without s*a.
static inline struct wide wide_dt(struct wide g, float xhat, float t, float4 cell, float4 c)
{
    int e = c.w != 0 ? (int)c.w - WIDE_COEFFICIENTS : 0;
    struct wide loss = wide_mul(wide_of(xhat), wide_scaled(c.y, e));
    struct wide rest = wide_sub(wide_sub(g, wide_scaled(c.x, e)), loss), c2 = wide_scaled(c.z, e);
    struct wide s = wide_mul(wide_of(cell.z), wide_of(cell.w));
    c2 = wide_scaled(sign(t) * c2.m, c2.e); // where it is 0, so is its exponent
    return wide_sub(wide_mul(rest, s), c.w != 0 ? wide_mul(c2, s) : c2);
}
