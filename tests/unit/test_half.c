// float16 and bfloat16: every value, and every rounding boundary between two values.
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

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        void *f = (void *)(uintptr_t)&formats[i];
        const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(every_value, f),
                                           cmocka_unit_test_prestate(every_boundary, f),
                                           cmocka_unit_test_prestate(every_nan, f)};
        failed += cmocka_run_group_tests_name(formats[i].name, tests, NULL, NULL);
    }
    return failed;
}
