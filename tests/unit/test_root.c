// The kernels' root and reciprocal (cl/root_body.cl, compiled as C) with a sqrt and a division as bad as OpenCL and
// Vulkan allow: within 0.5 units in the last place and 2^-10 of one, against double; and what was right stays, bit by
// bit. Every mantissa, with an even and an odd exponent.
#include "half.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int root_error, inverse_error; // of the driver, in units in the last place

static float moved(float v, int units)
{
    return v > 0 && isfinite(v) ? norma_bits_float(norma_float_bits(v) + (uint32_t)units) : v;
}

static float bad_root(float v)
{
    return moved(sqrtf(v), root_error);
}

static float bad_inverse(float v)
{
    return moved(1 / v, inverse_error);
}

typedef float real;
#define REAL real
#define AS_REAL norma_bits_float
#define AS_BITS norma_float_bits
#define NAMED(name) name
#define INVERSE bad_inverse
#define sqrt bad_root
#include "../../cl/root_body.cl"
#undef sqrt

static double unit_of(double v)
{
    int exponent;
    frexp(v, &exponent);
    return ldexp(1, exponent - 24);
}

// Every step-th mantissa. Returns how many results differ from the right ones.
static int check(uint32_t step)
{
    const double most = 0.5 + 0x1p-10;
    int others = 0;
    for (uint32_t mantissa = 0; mantissa < 1u << 24; mantissa += step) {
        const float v = norma_bits_float((126u << 23) + mantissa); // 0.5 to 2
        const float root = root_of(v), inverse = reciprocal_of(v);
        const double true_root = sqrt((double)v), true_inverse = 1 / (double)v;
        if (fabs((double)root - true_root) > most * unit_of(true_root) ||
            fabs((double)inverse - true_inverse) > most * unit_of(true_inverse))
            fail_msg("%a, errors %d and %d: root %a, inverse %a", (double)v, root_error, inverse_error, (double)root,
                     (double)inverse);
        others += norma_float_bits(root) != norma_float_bits(sqrtf(v)) ||
                  norma_float_bits(inverse) != norma_float_bits(1 / v);
    }
    return others;
}

static void of_a_right_driver(void **state)
{
    (void)state;
    root_error = inverse_error = 0;
    assert_in_range(check(1), 0, 19); // of 2^24
}

static void of_a_bad_driver(void **state)
{
    (void)state;
    for (root_error = -4; root_error <= 4; root_error++) {
        inverse_error = root_error < -3 ? -3 : root_error > 3 ? 3 : root_error;
        check(root_error == 0 ? 1 << 20 : 7);
    }
    root_error = inverse_error = 0;
}

// The same over all exponents, and where there is nothing to correct.
static void of_any_size(void **state)
{
    (void)state;
    for (root_error = -3; root_error <= 3; root_error += 3) {
        inverse_error = root_error;
        for (int exponent = -149; exponent < 128; exponent++) {
            const float v = (float)ldexp(exponent < -126 ? 1 : 1.37, exponent);
            const double root = sqrt((double)v), inverse = 1 / (double)v;
            assert_true(fabs((double)root_of(v) - root) <= (0.5 + 0x1p-10) * unit_of(root));
            const double unit = fmax(unit_of(inverse), 0x1p-149); // a denormal is rounded twice
            if (inverse < (double)0x1.fffffep+127f)
                assert_true(fabs((double)reciprocal_of(v) - inverse) <= 0.51 * unit + 0x1p-150);
            else
                assert_true(isinf(reciprocal_of(v)));
        }
        assert_true(root_of(0) == 0 && isinf(root_of(INFINITY)) && isnan(root_of(NAN)));
        assert_true(isinf(reciprocal_of(0)) && reciprocal_of(INFINITY) == 0 && isnan(reciprocal_of(NAN)));
    }
    root_error = inverse_error = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_a_right_driver), cmocka_unit_test(of_a_bad_driver),
                                       cmocka_unit_test(of_any_size)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
