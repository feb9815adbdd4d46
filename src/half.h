// float16, bfloat16 and float8_e4m3fn to and from float32, int8 from it: round to nearest even, NaN stays NaN,
// denormals kept, overflow to infinity, which the 8-bit types do not have: they saturate. Plain integer and float32
// arithmetic without branches, so that loops over them become vector code.
#ifndef NORMA_SRC_HALF_H
#define NORMA_SRC_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t norma_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float norma_bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float norma_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
    // As a float32 the bits are the value times 2^-112, denormals included: one exact product puts that right.
    uint32_t bits = norma_float_bits(norma_bits_float(magnitude) * 0x1p+112f);
    // Infinity and NaN have exponent 31, which the product made 143 - 127 = 16: all ones instead.
    uint32_t special = (uint32_t)0 - (uint32_t)(magnitude >= 0x0f800000u);
    return norma_bits_float(sign | bits | (special & 0x7f800000u));
}

static inline uint16_t norma_float_to_half(float value)
{
    uint32_t bits = norma_float_bits(value);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    // Normal results: rebias the exponent and round the 13 bits that go, ties to even. A carry runs into the exponent.
    uint32_t normal = (magnitude - 0x38000000u + 0xfff + (magnitude >> 13 & 1)) >> 13;
    // Below 2^-14 the spacing is 2^-24: adding 0.5, whose ulp that is, rounds; the low bits are then the result.
    // Masked so that the addition sees no NaN (which could raise an exception flag).
    uint32_t small = (uint32_t)0 - (uint32_t)(magnitude < 0x38800000u);
    uint32_t denormal = norma_float_bits(norma_bits_float(magnitude & small) + 0.5f) - 0x3f000000u;
    uint32_t large = (uint32_t)0 - (uint32_t)(magnitude >= 0x47800000u); // 65536 and above; 65520.. carry by themselves
    uint32_t nan = (uint32_t)0 - (uint32_t)(magnitude > 0x7f800000u);
    uint32_t result = (denormal & small) | (normal & ~small & ~large) | (0x7c00 & large);
    result |= nan & (0x200 | (magnitude >> 13 & 0x3ff));
    return (uint16_t)(sign | result);
}

static inline float norma_bfloat_to_float(uint16_t half)
{
    return norma_bits_float((uint32_t)half << 16);
}

static inline uint16_t norma_float_to_bfloat(float value)
{
    uint32_t bits = norma_float_bits(value);
    uint32_t nan = (uint32_t)0 - (uint32_t)((bits & 0x7fffffff) > 0x7f800000u);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    // Rounding could turn a NaN into infinity: cut it and set the quiet bit instead.
    uint32_t quiet = bits >> 16 | 0x40;
    return (uint16_t)((rounded & ~nan) | (quiet & nan));
}

static inline float norma_float8_to_float(uint8_t code)
{
    uint32_t sign = (uint32_t)(code & 0x80) << 24;
    uint32_t magnitude = (uint32_t)(code & 0x7f) << 20;
    // As float16 above, by 2^120: exponent 15 is an ordinary one, but for the NaN with all ones.
    uint32_t bits = norma_float_bits(norma_bits_float(magnitude) * 0x1p+120f);
    uint32_t nan = (uint32_t)0 - (uint32_t)((code & 0x7f) == 0x7f);
    return norma_bits_float(sign | bits | (nan & 0x7fc00000u));
}

static inline uint8_t norma_float_to_float8(float value)
{
    uint32_t bits = norma_float_bits(value);
    uint32_t sign = bits >> 24 & 0x80;
    uint32_t magnitude = bits & 0x7fffffff;
    uint32_t nan = (uint32_t)0 - (uint32_t)(magnitude > 0x7f800000u);
    uint32_t large = (uint32_t)0 - (uint32_t)(magnitude > 0x43e00000u); // 448
    uint32_t normal = (magnitude - 0x3c000000u + 0x7ffff + (magnitude >> 20 & 1)) >> 20;
    // Below 2^-6 the spacing is 2^-9: that of 2^14.
    uint32_t small = (uint32_t)0 - (uint32_t)(magnitude < 0x3c800000u);
    uint32_t denormal = norma_float_bits(norma_bits_float(magnitude & small) + 0x1p+14f) - 0x46800000u;
    uint32_t result = (denormal & small) | (normal & ~small & ~large) | (0x7e & large & ~nan) | (0x7f & nan);
    return (uint8_t)(sign | result);
}

// A NaN becomes 0.
static inline int8_t norma_float_to_int8(float value)
{
    float low = value > -128 ? value : -128; // a NaN too
    float clamped = low < 127 ? low : 127;
    // 1.5 * 2^23, whose ulp is 1: the low bits of the sum are the rounded value.
    uint32_t rounded = norma_float_bits(clamped + 0x1.8p+23f) & 0xff;
    uint32_t nan = (uint32_t)0 - (uint32_t)((norma_float_bits(value) & 0x7fffffff) > 0x7f800000u);
    rounded &= ~nan;
    return (int8_t)(rounded < 128 ? (int32_t)rounded : (int32_t)rounded - 256);
}

#endif
