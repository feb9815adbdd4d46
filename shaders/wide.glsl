// Floats with an exponent of their own, for what overflows or vanishes on its way to a result that does neither. They
// round as float does where it has room, so a value is the same bits whichever way it was found. Included by strided.glsl.

// m * 2^e with |m| in [1, 2), or m is 0, NaN or infinite.
struct wide {
    float m;
    int e;
};

const int WIDE_ZERO = -100000; // the exponent of 0: below all others

// m * 2^e of any m. Integers: a device may take a denormal for 0.
wide wide_scaled(const float m, const int e)
{
    uint bits = floatBitsToUint(m), size = bits & 0x7fffffffu;
    bool special = size == 0u || size >= 0x7f800000u;
    int shift = size < 0x00800000u ? 23 - findMSB(max(size, 1u)) : 0;
    int exponent = int(size >> 23u) - 127 + (shift > 0 ? 1 - shift : 0);
    uint significand = (bits & 0x80000000u) | 0x3f800000u | ((size << uint(shift)) & 0x7fffffu);
    return wide(uintBitsToFloat(special ? bits : significand), size == 0u ? WIDE_ZERO : special ? 0 : e + exponent);
}

wide wide_of(const float m)
{
    return wide_scaled(m, 0);
}

// 2^e of e in [-126, 127].
float power_of_two(const int e)
{
    return uintBitsToFloat(uint(e + 127) << 23u);
}

// To float, rounded once.
float wide_float(const wide a)
{
    int e = clamp(a.e, -252, 254), first = clamp(e, -126, 127);
    precise float v = (a.m * power_of_two(first)) * power_of_two(e - first);
    return v;
}

// To float, but to 0 nothing that is not: for its sign.
float wide_sign(const wide a)
{
    float least = a.m < 0.0 ? -1.1754943508222875e-38 : 1.1754943508222875e-38; // 2^-126
    return a.m != 0.0 && a.e < -126 ? least : wide_float(a);
}

wide wide_mul(const wide a, const wide b)
{
    precise float m = a.m * b.m;
    return wide_scaled(m, a.e + b.e);
}

wide wide_add(const wide a, const wide b)
{
    int e = max(a.e, b.e);
    precise float m = a.m * power_of_two(max(a.e - e, -126)) + b.m * power_of_two(max(b.e - e, -126));
    return wide_scaled(m, e);
}

wide wide_sub(const wide a, const wide b)
{
    return wide_add(a, wide(-b.m, b.e));
}

wide wide_div(const wide a, const wide b)
{
    precise float m = a.m / b.m;
    return wide_scaled(m, a.e - b.e);
}

// Two sums in a cell (S1, S2, e1, e2): 2^e times them, where e is 0 unless float has too little room around them.
wide wide_first(const vec4 cell)
{
    return wide_scaled(cell.x, int(cell.z));
}

wide wide_second(const vec4 cell)
{
    return wide_scaled(cell.y, int(cell.w));
}

vec2 both_sums(const vec4 cell)
{
    return vec2(wide_float(wide_first(cell)), wide_float(wide_second(cell)));
}

const int WIDE_ROOM = 60; // exponents up to this are left to float

vec4 wide_cell(const wide a, const wide b)
{
    bool first = abs(a.e) > WIDE_ROOM && a.m != 0.0, second = abs(b.e) > WIDE_ROOM && b.m != 0.0;
    return vec4(first ? a.m : wide_float(a), second ? b.m : wide_float(b), first ? float(a.e) : 0.0,
                second ? float(b.e) : 0.0);
}

const int WIDE_COEFFICIENTS = 4096; // coefficients (c0, c1, c2, w): w is this and the exponent of all three, or 0

// dt = s*a * ((g - c0) - xhat*c1) - sign(t)*c2. Where w is not 0, c2 is without s*a.
wide wide_dt(const wide g, const float xhat, const float t, const vec4 cell, const vec4 c)
{
    int e = c.w != 0.0 ? int(c.w) - WIDE_COEFFICIENTS : 0;
    wide loss = wide_mul(wide_of(xhat), wide_scaled(c.y, e));
    wide rest = wide_sub(wide_sub(g, wide_scaled(c.x, e)), loss), c2 = wide_scaled(c.z, e);
    wide s = wide_mul(wide_of(cell.z), wide_of(cell.w));
    c2 = wide_scaled((t > 0.0 ? 1.0 : t < 0.0 ? -1.0 : 0.0) * c2.m, c2.e); // where it is 0, so is its exponent
    wide grown = wide_mul(c2, s);
    if (c.w != 0.0)
        c2 = grown;
    return wide_sub(wide_mul(rest, s), c2);
}
