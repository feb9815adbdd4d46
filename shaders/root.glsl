// Root and reciprocal to half a unit in the last place, whatever the driver's are. Vulkan lets a division be 2.5 units off
// and sqrt what 1/inversesqrt makes of it, OpenCL a division 2.5 and sqrt 3. What is left of the argument is exact but
// for its last rounding, so that one step of Newton's leaves of an error of a few units 2^-20 of one. A result that was
// right stays, but for 19 of 2^24 near a tie. Behind finite().

// a * b without rounding, as a sum of two. |a|, |b| below 2^100.
vec2 two_product(const float a, const float b)
{
    float a_high = uintBitsToFloat(floatBitsToUint(a) & 0xfffff000u);
    float b_high = uintBitsToFloat(floatBitsToUint(b) & 0xfffff000u);
    precise float a_low = a - a_high, b_low = b - b_high;
    precise float p = a * b;
    precise float e = (((a_high * b_high - p) + a_high * b_low) + a_low * b_high) + a_low * b_low;
    return vec2(p, e);
}

// Small squares are worked on times 2^64, so that no part of a product vanishes. The root of 0 or of infinity leaves NaN.
float root_of(const float v)
{
    bool small = v < 5.421010862427522e-20; // 2^-64
    precise float w = v * (small ? 18446744073709551616.0 : 1.0);
    float y = sqrt(w);
    vec2 p = two_product(y, y);
    precise float better = y + (((w - p.x) - p.y) * 0.5) / y;
    y = finite(better) ? better : y;
    precise float back = y * (small ? 2.3283064365386963e-10 : 1.0); // 2^-32
    return back;
}

float reciprocal_of(const float v)
{
    float small = v < 5.421010862427522e-20 ? 18446744073709551616.0 : 1.0; // 2^-64, 2^64
    float f = v > 18446744073709551616.0 ? 5.421010862427522e-20 : small;
    precise float w = v * f;
    precise float q = 1.0 / w;
    vec2 p = two_product(q, w);
    precise float better = q + ((1.0 - p.x) - p.y) * q;
    precise float back = (finite(better) ? better : q) * f;
    return back;
}
