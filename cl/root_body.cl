// Root and reciprocal to half a unit in the last place, whatever the driver's are, of one value or of a vector: included
// with REAL, AS_REAL, AS_BITS and NAMED(name), and by a test with an INVERSE(w) that is worse than 1 / w. OpenCL lets a
// division be 2.5 units off and sqrt 3, Vulkan a division 2.5 and sqrt what 1/inversesqrt makes of it. What is left of
// the argument is exact but for its last rounding, so that one step of Newton's leaves of an error of a few units 2^-20
// of one. A result that was right stays, but for 19 of 2^24 near a tie.

// a * b without rounding: *p + *e. |a|, |b| below 2^100.
static inline void NAMED(two_product)(REAL a, REAL b, REAL *p, REAL *e)
{
    REAL a_high = AS_REAL(AS_BITS(a) & 0xfffff000), a_low = a - a_high;
    REAL b_high = AS_REAL(AS_BITS(b) & 0xfffff000), b_low = b - b_high;
    *p = a * b;
    *e = (((a_high * b_high - *p) + a_high * b_low) + a_low * b_high) + a_low * b_low;
}

// Small squares are worked on times 2^64, so that no part of a product vanishes. The root of 0 or of infinity leaves NaN.
static inline REAL NAMED(root_of)(REAL v)
{
    REAL w = v < 0x1p-64f ? v * 0x1p+64f : v, y = sqrt(w), p, e;
    NAMED(two_product)(y, y, &p, &e);
    REAL better = y + (((w - p) - e) * 0.5f) / y;
    y = isfinite(better) ? better : y;
    return v < 0x1p-64f ? y * 0x1p-32f : y;
}

static inline REAL NAMED(reciprocal_of)(REAL v)
{
    REAL small = v < 0x1p-64f ? (REAL)(0x1p+64f) : (REAL)(1.0f), f = v > 0x1p+64f ? (REAL)(0x1p-64f) : small;
    REAL w = v * f, q = INVERSE(w), p, e;
    NAMED(two_product)(q, w, &p, &e);
    REAL better = q + ((1.0f - p) - e) * q;
    return (isfinite(better) ? better : q) * f;
}
