// Quantised outputs: y = quantise(v / scale), to nearest even, saturating; a NaN becomes 0 (int8) or NaN (float8_e4m3fn).
#define INT8 4u
#define FLOAT8 5u

static inline uchar to_int8(float q)
{
    return isnan(q) ? (uchar)0 : as_uchar((char)(int)rint(clamp(q, -128.0f, 127.0f)));
}

// On the bits. Below 2^-6 the spacing is 2^-9, the ulp of 2^14: adding that rounds.
static inline uchar to_float8(float q)
{
    uint bits = as_uint(q), size = bits & 0x7fffffff, code;
    if (size > 0x7f800000)
        code = 0x7f;
    else if (size > 0x43e00000)
        code = 0x7e; // 448
    else if (size < 0x3c800000)
        code = as_uint(as_float(size) + 0x1p+14f) - 0x46800000;
    else
        code = (size - 0x3c000000 + 0x7ffff + (size >> 20 & 1)) >> 20;
    return (uchar)(code | (bits >> 24 & 0x80));
}
