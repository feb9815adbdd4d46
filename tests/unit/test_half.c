// float16, bfloat16 and the 8-bit types: every value, and every rounding boundary between two values.
#include "half.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct format {
    const char *name;
    int exponent_bits, mantissa_bits;
    float (*to_float)(uint16_t half);
    uint16_t (*from_float)(float value);
};

static const struct format formats[] = {{"float16", 5, 10, norma_half_to_float, norma_float_to_half},
                                        {"bfloat16", 8, 7, norma_bfloat_to_float, norma_float_to_bfloat}};

// The value by the definition of the format.
static double value_of(const struct format *f, uint16_t half)
{
    int exponent = half >> f->mantissa_bits & ((1 << f->exponent_bits) - 1), bias = (1 << (f->exponent_bits - 1)) - 1;
    int mantissa = half & ((1 << f->mantissa_bits) - 1), sign = half >> 15;
    double value;
    if (exponent == (1 << f->exponent_bits) - 1)
        value = mantissa ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(mantissa, 1 - bias - f->mantissa_bits);
    else
        value = ldexp(mantissa + (1 << f->mantissa_bits), exponent - bias - f->mantissa_bits);
    return sign ? -value : value;
}

static void every_value(void **state)
{
    const struct format *f = *state;
    for (uint32_t half = 0; half < 65536; half++) {
        double expected = value_of(f, (uint16_t)half);
        float got = f->to_float((uint16_t)half);
        if (isnan(expected)) {
            assert_true(isnan(got));
            assert_true(isnan(f->to_float(f->from_float(got))));
            continue;
        }
        if (norma_float_bits(got) != norma_float_bits((float)expected))
            fail_msg("%s 0x%04x is %a, not %a", f->name, half, (double)got, expected);
        assert_int_equal(f->from_float(got), half);
    }
}

static void expect(const struct format *f, float value, uint16_t half)
{
    for (uint16_t sign = 0; sign < 2; sign++) {
        uint16_t got = f->from_float(sign ? -value : value);
        if (got != (half | sign << 15))
            fail_msg("%s: %a becomes 0x%04x, not 0x%04x", f->name, (double)value, got, half);
    }
}

// Between two neighbours: below the middle down, above it up, on it to even.
static void every_boundary(void **state)
{
    const struct format *f = *state;
    uint16_t infinity = (uint16_t)(((1 << f->exponent_bits) - 1) << f->mantissa_bits);
    for (uint16_t half = 0; half < infinity; half++) {
        double low = value_of(f, half), high = value_of(f, (uint16_t)(half + 1));
        if (isinf(high)) // the next value if the exponent went on
            high = low + (low - value_of(f, (uint16_t)(half - 1)));
        float middle = (float)((low + high) / 2);
        expect(f, middle, half + (half & 1));
        expect(f, nextafterf(middle, 0), half);
        expect(f, nextafterf(middle, INFINITY), half + 1);
        expect(f, nextafterf((float)low, INFINITY), half);
    }
    expect(f, INFINITY, infinity);
    expect(f, 0x1.fffffep+127f, infinity);
    expect(f, 0x1p-149f, 0);
}

// Payloads that rounding alone would turn to infinity or zero.
static void every_nan(void **state)
{
    const struct format *f = *state;
    for (uint32_t mantissa = 1; mantissa < 0x800000; mantissa += mantissa < 0x10000 ? 1 : 127) {
        for (uint32_t sign = 0; sign < 2; sign++) {
            float nan = norma_bits_float(sign << 31 | 0x7f800000 | mantissa);
            assert_true(isnan(value_of(f, f->from_float(nan))));
        }
    }
    assert_true(isnan(value_of(f, f->from_float(norma_bits_float(0x7fffffff)))));
}

// float8_e4m3fn by its definition: no infinity, NaN where all bits of exponent and mantissa are set.
static double float8_value(uint8_t code)
{
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    const double value = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
    return (code & 0x7f) == 0x7f ? (double)NAN : code & 0x80 ? -value : value;
}

static void expect8(float value, uint8_t code)
{
    if (norma_float_to_float8(value) != code || norma_float_to_float8(-value) != (code | 0x80))
        fail_msg("%a becomes 0x%02x, not 0x%02x", (double)value, norma_float_to_float8(value), code);
}

static void float8_values(void **state)
{
    (void)state;
    for (int code = 0; code < 256; code++) {
        const double value = float8_value((uint8_t)code);
        const float got = norma_float8_to_float((uint8_t)code);
        assert_true(isnan(value) ? isnan(got) : norma_float_bits(got) == norma_float_bits((float)value));
        assert_int_equal(norma_float_to_float8(got) & (isnan(value) ? 0x7f : 0xff), isnan(value) ? 0x7f : code);
    }
    for (uint8_t code = 0; code < 0x7e; code++) {
        const float low = (float)float8_value(code), high = (float)float8_value(code + 1), middle = (low + high) / 2;
        expect8(middle, code + (code & 1));
        expect8(nextafterf(middle, 0), code);
        expect8(nextafterf(middle, INFINITY), code + 1);
        expect8(nextafterf(low, INFINITY), code);
        expect8(nextafterf(high, 0), code + 1);
    }
    expect8(nextafterf(448, INFINITY), 0x7e);
    expect8(463.9f, 0x7e);
    expect8(464, 0x7e);
    expect8(480, 0x7e);
    expect8(0x1.fffffep+127f, 0x7e);
    expect8(INFINITY, 0x7e);
    expect8(0x1p-149f, 0);
}

static void int8_values(void **state)
{
    (void)state;
    for (int value = -128; value <= 127; value++) {
        const float exact = (float)value, middle = exact + 0.5f;
        assert_int_equal(norma_float_to_int8(exact), value);
        if (value == 127)
            continue;
        assert_int_equal(norma_float_to_int8(middle), value % 2 == 0 ? value : value + 1);
        assert_int_equal(norma_float_to_int8(nextafterf(middle, -INFINITY)), value);
        assert_int_equal(norma_float_to_int8(nextafterf(middle, INFINITY)), value + 1);
    }
    static const float above[] = {127.25f, 127.5f, 128, 1e10f, 0x1.fffffep+127f, INFINITY};
    for (size_t i = 0; i < sizeof above / sizeof *above; i++) {
        assert_int_equal(norma_float_to_int8(above[i]), 127);
        assert_int_equal(norma_float_to_int8(-2 * above[i]), -128);
    }
    assert_int_equal(norma_float_to_int8(-128.5f), -128);
    assert_int_equal(norma_float_to_int8(0x1p-149f), 0);
}

static void eight_bit_nans(void **state)
{
    (void)state;
    for (uint32_t mantissa = 1; mantissa < 0x800000; mantissa += mantissa < 0x10000 ? 1 : 127) {
        for (uint32_t sign = 0; sign < 2; sign++) {
            const float nan = norma_bits_float(sign << 31 | 0x7f800000 | mantissa);
            assert_int_equal(norma_float_to_int8(nan), 0);
            assert_int_equal(norma_float_to_float8(nan), sign << 7 | 0x7f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest eight_bits[] = {cmocka_unit_test(float8_values), cmocka_unit_test(int8_values),
                                            cmocka_unit_test(eight_bit_nans)};
    int failed = cmocka_run_group_tests_name("8 bits", eight_bits, NULL, NULL);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        void *f = (void *)(uintptr_t)&formats[i];
        const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(every_value, f),
                                           cmocka_unit_test_prestate(every_boundary, f),
                                           cmocka_unit_test_prestate(every_nan, f)};
        failed += cmocka_run_group_tests_name(formats[i].name, tests, NULL, NULL);
    }
    return failed;
}
