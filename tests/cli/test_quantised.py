"""Quantised outputs and counts of non-finite inputs of the norma program, beside NumPy. Arguments as of program.py."""

import unittest

import numpy

import test_operators as base
from arrays import ArrayRoom

SHAPE = base.SHAPE


def float8_values():
    """What the 256 codes of float8_e4m3fn mean, by the definition (arXiv:2209.05433, table 1)."""
    values = []
    for code in range(256):
        sign, exponent, mantissa = -1 if code & 128 else 1, code >> 3 & 15, code & 7
        value = numpy.ldexp(mantissa / 8, -6) if exponent == 0 else numpy.ldexp(1 + mantissa / 8, exponent - 7)
        values.append(numpy.nan if code & 127 == 127 else sign * value)
    return numpy.array(values)


FLOAT8 = float8_values()
LIMIT = {"int8": 127, "float8_e4m3fn": 448}


class Quantised(ArrayRoom):
    prepare = base.Operators.prepare

    def right(self, case, tensors):
        op, numbers, _, axes, own = case
        wide = {n: t.astype(float) for n, t in tensors.items() if n != "x"}
        return base.formulas(op, numbers, axes, own, tensors["x"].astype(float), wide)["y"]

    def of_groups(self, case, values, function):
        """function of each group of values: in the shape of mean, and repeated over x."""
        op, numbers, _, axes, _ = case
        wide = base.over_groups(op, numbers, axes, function, values)
        axis, parts = base.cut_of(op, numbers) or (0, SHAPE[0])
        kept = wide.take(range(0, SHAPE[axis], SHAPE[axis] // parts), axis) if axis not in axes else wide
        return kept.reshape([n for d, n in enumerate(kept.shape) if d not in axes]), wide

    def check_codes(self, dtype, codes, quotients, about):
        """The nearest step, or where float32's error reaches their boundary its neighbour."""
        self.assertEqual((codes.dtype, codes.shape), (numpy.int8 if dtype == "int8" else numpy.uint8, quotients.shape))
        if dtype == "int8":
            clipped = numpy.clip(quotients, -128, 127)
            self.assertLess(abs(codes - clipped).max(initial=0), 0.5 + 1e-3, about)
            self.assertLessEqual((codes != numpy.rint(clipped)).sum(), codes.size // 100, about)
        else:
            clipped = numpy.clip(quotients, -448, 448)
            finite = FLOAT8[~numpy.isnan(FLOAT8)]
            least = abs(finite - clipped[..., None]).min(-1)
            self.assertTrue((abs(FLOAT8[codes] - clipped) <= least + 1e-5 * abs(clipped) + 1e-7).all(), about)

    def test_dynamic(self):
        for number, case in enumerate(base.CASES):
            dtype = ("int8", "float8_e4m3fn")[number % 2]
            words, tensors = self.prepare(case)
            y = self.right(case, tensors)
            scale, wide = self.of_groups(case, y, lambda v, a: abs(v).max(a, keepdims=True) / LIMIT[dtype])
            for device in base.DEVICES if number % 3 == 0 else base.DEVICES[:1]:
                self.good(*words, "-o", self.path("y_out.npy"), *self.outputs("y_scale", "nonfinite"), "--out-dtype",
                          dtype, "--device", device, "--verify")
                about = (case, device)
                self.assertEqual(self.load("y_scale").shape, scale.shape, about)
                self.close(self.load("y_scale"), scale, 1e-5, about)
                self.check_codes(dtype, self.load("y"), y / wide, about)
                self.assertEqual(self.load("nonfinite").dtype, numpy.int32)
                numpy.testing.assert_array_equal(self.load("nonfinite"), numpy.zeros(scale.shape), str(about))

    def test_given(self):
        random = numpy.random.default_rng(7)
        for number, case in enumerate(base.CASES):
            dtype = ("float8_e4m3fn", "int8")[number % 2]
            words, tensors = self.prepare(case)
            y = self.right(case, tensors)
            of_groups, wide = self.of_groups(case, y, lambda v, a: abs(v).max(a, keepdims=True) / 50)
            scales = [(random.uniform(0.01, 0.1, shape), None) for shape in ((), (1,), (1, SHAPE[1], 1, 1), SHAPE)]
            scales.append((of_groups, wide))
            given, repeated = scales[number % len(scales)]
            given = numpy.asarray(given, numpy.float32)
            for device in base.DEVICES[:1 + number % 2 * len(base.DEVICES)]:
                self.good(*words, "-o", self.path("y_out.npy"), "--y-scale", self.save("y_scale", given), "--out-dtype",
                          dtype, "--device", device, "--verify")
                self.check_codes(dtype, self.load("y"), y / (given if repeated is None else repeated), (case, device))

    def test_window(self):
        x = numpy.random.default_rng(8).normal(0, 2, SHAPE).astype(numpy.float32)
        padded = numpy.pad(x.astype(float)**2, ((0, 0), (1, 1), (0, 0), (0, 0)))
        y = x / (1 + 0.3 / 3 * sum(padded[:, i:i + SHAPE[1]] for i in range(3)))**0.75
        for device in base.DEVICES:
            for dtype in LIMIT:
                self.good("run", "local_response_norm", self.save("x", x), "--size", "3", "--alpha", "0.3", "-o",
                          self.path("y_out.npy"), "--y-scale", self.save("s", numpy.float32(0.02)), "--out-dtype",
                          dtype, "--device", device, "--verify")
                self.check_codes(dtype, self.load("y"), y / numpy.float32(0.02), (dtype, device))

    def test_behind_window(self):
        """Local response norm with what comes behind the norm, and a scale and a count of each place."""
        random = numpy.random.default_rng(9)
        x, z, addend = (random.normal(0, 2, SHAPE).astype(numpy.float32) for _ in range(3))
        x[1, 2, 3, 4], x[2, :2, 1, 1] = numpy.nan, numpy.inf
        scale = random.uniform(0.01, 0.1, SHAPE[:1] + SHAPE[2:]).astype(numpy.float32)
        padded = numpy.pad(x.astype(float)**2, ((0, 0), (2, 1), (0, 0), (0, 0)))
        good = numpy.isfinite(x).all(1, keepdims=True) & (x == x)
        with numpy.errstate(invalid="ignore"):
            v = x / (2 + 0.3 / 4 * sum(padded[:, i:i + SHAPE[1]] for i in range(4)))**0.75
            y = base.activate("silu", v * base.activate("sigmoid", z.astype(float)) + addend)
        words = ["run", "local_response_norm", self.save("x", x), "--size", "4", "--alpha", "0.3", "--k", "2", "--z",
                 self.save("z", z), "--z-activation", "sigmoid", "--addend", self.save("addend", addend),
                 "--activation", "silu", "-o", self.path("y_out.npy"), *self.outputs("nonfinite"), "--verify"]
        for device in base.DEVICES:
            self.good(*words, "--device", device)
            self.close(self.load("y")[good], y[good], 1e-5, device)
            numpy.testing.assert_array_equal(self.load("nonfinite"), (~numpy.isfinite(x)).sum(1), device)
            for dtype in LIMIT:
                self.good(*words, "--device", device, "--y-scale", self.save("s", scale), "--out-dtype", dtype)
                self.check_codes(dtype, self.load("y")[good], (y / scale[:, None])[good], (dtype, device))

    def test_steps(self):
        """One piece that is the whole batch."""
        random = numpy.random.default_rng(10)
        x = random.normal(2, 3, SHAPE).astype(numpy.float32)
        bad = x.copy()
        bad[0, 1, 0, 0], bad[2, 1, 3, 1] = numpy.nan, numpy.inf
        mean, deviation = x.mean((0, 2, 3), float, keepdims=True), x.std((0, 2, 3), float, keepdims=True)
        y = (x - mean) / numpy.sqrt(deviation**2 + 1e-5)
        for device in base.DEVICES:
            self.good("run", "batch_norm_stats", self.save("x", x), *self.outputs("stats"), "--device", device)
            apply = ["--stats", self.path("stats_out.npy"), "-o", self.path("y_out.npy"), "--device", device, "--verify"]
            for dtype, limit in LIMIT.items():
                self.good("run", "batch_norm_apply", self.path("x.npy"), *apply, *self.outputs("y_scale", "nonfinite"),
                          "--out-dtype", dtype)
                largest = abs(y).max((0, 2, 3))
                self.close(self.load("y_scale"), largest / limit, 1e-5, device)
                self.check_codes(dtype, self.load("y"), y / (largest / limit)[:, None, None], (dtype, device))
                self.assertEqual(self.load("nonfinite").tolist(), [0] * SHAPE[1])
            self.good("run", "batch_norm_apply", self.save("bad", bad), *apply, *self.outputs("nonfinite"), "--out-dtype",
                      "int8", "--y-scale", self.save("s", numpy.float32(0.02)))
            self.assertEqual(self.load("nonfinite").tolist(), [0, 2, 0, 0])
            self.check_codes("int8", self.load("y")[:, 2:], (y / numpy.float32(0.02))[:, 2:], device)

    def test_nonfinite(self):
        for number, case in enumerate(base.CASES):
            words, tensors = self.prepare(case)
            x = tensors["x"].copy()
            x[1, 2, 3, 4], x[0, 0, 0, 0], x[2, 3, 1, :3] = numpy.nan, numpy.inf, -numpy.inf
            self.save("x", x)
            counts, wide = self.of_groups(case, ~numpy.isfinite(x), lambda v, a: v.sum(a, keepdims=True))
            y = self.right(case, tensors)
            for device in base.DEVICES if number % 4 == 1 else base.DEVICES[:1]:
                self.good(*words, "-o", self.path("y_out.npy"), "--y-scale", self.save("y_scale", numpy.float32(0.03)),
                          "--out-dtype", "int8", *self.outputs("nonfinite"), "--device", device)
                numpy.testing.assert_array_equal(self.load("nonfinite"), counts, str((case, device)))
                if case[0] == "switchable_norm":
                    continue  # a group's statistics are those of others too
                codes, good = self.load("y"), numpy.broadcast_to(wide, SHAPE) == 0
                self.check_codes("int8", codes[good], (y / numpy.float32(0.03))[good], (case, device))

    def test_float64(self):
        words, tensors = self.prepare(base.CASES[0], numpy.float64)
        y = self.right(base.CASES[0], tensors)
        self.good(*words, "-o", self.path("y_out.npy"), *self.outputs("y_scale"), "--dtype", "float64", "--out-dtype",
                  "int8", "--device", "scalar", "--verify")
        self.assertEqual(self.load("y_scale").dtype, numpy.float64)
        self.close(self.load("y_scale"), abs(y).max((2, 3)) / 127, 1e-13, "float64")
        self.check_codes("int8", self.load("y"), y / (abs(y).max((2, 3), keepdims=True) / 127), "float64")

    def test_mistakes(self):
        x = self.save("x", numpy.ones(SHAPE, numpy.float32))
        row = self.save("row", numpy.ones(6, numpy.float32))
        one = self.save("one", numpy.float32(1))
        half = self.save("half", numpy.ones(1, numpy.float16))
        eight, scale_out = ["--out-dtype", "int8"], ["--y-scale-out", self.path("out_s.npy")]

        def run(op, *words):
            return ["run", op, x, "--device", "scalar", *words]

        for status, about, words in (
            (1, "y_scale", run("layer_norm", *eight, "-o", self.out)),
            (1, "y_scale", run("layer_norm", *eight, "--y-scale", row, "-o", self.out)),
            (1, "y_scale", run("layer_norm", *eight, "--y-scale", half, "-o", self.out)),
            (2, "--y-scale", run("layer_norm", "--y-scale", one, "-o", self.out)),
            (2, "--y-scale-out", run("layer_norm", *scale_out, "-o", self.out)),
            (2, "--y-scale-out", run("layer_norm", *eight, "--y-scale", one, *scale_out, "-o", self.out)),
            (2, "--out-dtype", run("layer_norm", "--out-dtype", "int32", "-o", self.out)),
            (2, "--out-dtype", run("layer_norm", "--backward", "--dy", x, *eight, "--dx-out", self.out)),
            (2, "--y-scale", run("layer_norm", "--backward", "--dy", x, "--y-scale", one, "--dx-out", self.out)),
            (2, "--nonfinite-out", run("layer_norm", "--backward", "--dy", x, "--nonfinite-out", self.out)),
            (2, "--dtype", run("layer_norm", "--dtype", "int8", "-o", self.out)),
            (2, "--y-scale-out", run("local_response_norm", *eight, *scale_out, "-o", self.out)),
            (2, "--z-first", run("local_response_norm", "--z", x, "--z-first", "-o", self.out)),
            (2, "--sum-out", run("local_response_norm", "--sum-out", self.path("out_h.npy"), "-o", self.out)),
            (2, "--y-scale-dynamic", ["bench", "layer_norm", "--shape", "2x8", "--y-scale-dynamic"]),
        ):
            self.refused(status, about, *words)

    def test_bench(self):
        for device in base.DEVICES:
            for more in (["--y-scale-dynamic"], [], ["--with", "weight,nonfinite"]):
                self.good("bench", "group_norm", "--shape", "2x4x8x8", "--num-groups", "2", "--out-dtype",
                          "float8_e4m3fn", "--seconds", "0.02", "--device", device, *more)


if __name__ == "__main__":
    unittest.main()
