// Quantised outputs: y = quantise(v / scale), to nearest even, saturating; a NaN becomes 0 (int8) or NaN (float8_e4m3fn).
// Behind OUTPUT(to, ST_TO).
const uint INT8 = 4u; // types

INPUT(y_scale, ST_Y_SCALE)

uint to_int8(const float q)
{
    precise float shifted = clamp(is_nan(q) ? 0.0 : q, -128.0, 127.0) + 12582912.0; // 1.5 * 2^23, whose ulp is 1
    return floatBitsToUint(shifted) & 0xffu;
}

// On the bits. Below 2^-6 the spacing is 2^-9, the ulp of 2^14: adding that rounds.
uint to_float8(const float q)
{
    uint bits = floatBitsToUint(q), size = bits & 0x7fffffffu;
    precise float shifted = uintBitsToFloat(min(size, 0x3c800000u)) + 16384.0;
    uint code = (size - 0x3c000000u + 0x7ffffu + (size >> 20u & 1u)) >> 20u;
    code = size < 0x3c800000u ? floatBitsToUint(shifted) - 0x46800000u : code;
    code = size > 0x43e00000u ? 0x7eu : code; // 448
    code = size > 0x7f800000u ? 0x7fu : code;
    return code | (bits >> 24u & 0x80u);
}

// The rest of a word may be others', who write it at the same time.
void store_code(const uint at, const uint code)
{
    uint shift = (at & 3u) << 3u;
    atomicAnd(to_words[at >> 2u], ~(0xffu << shift));
    atomicOr(to_words[at >> 2u], code << shift);
}

// y from v: quantised where y is.
void store_y(const float v)
{
    if (types[ST_TO] < INT8) {
        store_to(PLACE(ST_TO), v);
    } else {
        float scale = present(ST_Y_SCALE) ? load_y_scale() : workspace[coefficients_begin + PLACE(ST_WORKSPACE)].x;
        precise float q = v / scale;
        store_code(PLACE(ST_TO), types[ST_TO] == INT8 ? to_int8(q) : to_float8(q));
    }
}
