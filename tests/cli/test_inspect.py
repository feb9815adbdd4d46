"""norma inspect against NumPy in float64. Arguments as those of program.py."""

import json
import os
import unittest
import xml.etree.ElementTree

import numpy

from program import DEVICES, Room, data, norma

SHAPE = (3, 4, 5, 6)
EPS = 1e-5


def moments(op, t):
    """mean, 1/sqrt(var + eps) or 1/(sd + eps), min, max, kurtosis, count of what is not finite: of one group."""
    v = t[numpy.isfinite(t)].astype(numpy.longdouble)
    scale = numpy.abs(v - v.mean()).max() or 1  # powers of large values overflow
    d = (v - v.mean()) / scale
    var = (d**2).mean()
    kurtosis = (d**4).mean() / var**2 if var else None
    sd = numpy.sqrt(var) * scale
    rstd = 1 / (sd + EPS if op == "mean_variance_normalization" else numpy.hypot(sd, numpy.sqrt(EPS)))
    right = [v.mean(), rstd, v.min(), v.max(), kurtosis]
    return [None if figure is None else float(figure) for figure in right] + [t.size - v.size]


def split(op, x):
    """x's groups, each with its index."""
    n, c = x.shape[0], x.shape[1]
    if op == "layer_norm":
        return [(i, x[i]) for i in numpy.ndindex(x.shape[:-1])]
    if op == "batch_norm":
        return [((i,), x[:, i]) for i in range(c)]
    if op == "instance_norm":
        return [(i, x[i]) for i in numpy.ndindex(n, c)]
    if op == "group_norm":
        return [((i, g), x[i, 2 * g : 2 * g + 2]) for i in range(n) for g in range(c // 2)]
    return [((h, w), x[:, :, h, w]) for h in range(x.shape[2]) for w in range(x.shape[3])]  # axes 0 and 1


CASES = {
    "layer_norm": [],
    "batch_norm": ["--training"],
    "instance_norm": [],
    "group_norm": ["--num-groups", "2"],
    "mean_variance_normalization": ["--axes", "0,1", "--eps", str(EPS)],
}


class Inspect(Room):
    def save(self, name, x):
        numpy.save(self.path(name), x)
        return self.path(name)

    def inspect(self, *words):
        return json.loads(self.good("inspect", *words, "--json"))

    def compare(self, op, file, x, *more):
        """Every figure of the groups and channels; returns what was printed."""
        found = self.inspect(op, file, *CASES[op], *(() if "--device" in more else ("--device", "scalar")), *more)
        groups = split(op, x)
        self.assertEqual((found["operator"], found["shape"]), (op, list(x.shape)))
        self.assertEqual((found["groups"], found["elements"]), (len(groups), groups[0][1].size))
        right = []
        for (index, values), got in zip(groups, found["group"], strict=True):
            self.assertEqual(got.pop("index"), list(index))
            right.append(moments(op, values))
            names = ["mean", "rstd", "min", "max", "kurtosis", "nonfinite"]
            for name, value in zip(names, right[-1]):
                about = (op, index, name, got[name], value)
                if value is None:
                    self.assertIsNone(got[name], about)
                else:
                    scale = max(abs(value), numpy.abs(right[-1][2:4]).max() if name == "mean" else 0)
                    self.assertLessEqual(abs(got[name] - value), 1e-9 * scale, about)
        for column, name in enumerate(("mean", "rstd", "min", "max", "kurtosis")):
            values = numpy.array([r[column] for r in right if r[column] is not None], numpy.longdouble)
            summary = [found["summary"][name][k] for k in ("min", "median", "max")]
            numpy.testing.assert_allclose(summary, [min(values), numpy.median(values), max(values)], rtol=1e-9,
                                          atol=1e-9 * numpy.abs(values).max())
        self.check_channels(found["channels"], x, x.ndim - 1 if op == "layer_norm" else 1)
        self.assertEqual(found["before"]["nonfinite"], (~numpy.isfinite(x)).sum())
        return found

    def check_channels(self, found, x, dimension):
        rows = numpy.moveaxis(x.astype(numpy.longdouble), dimension, 0).reshape(x.shape[dimension], -1)
        rows = numpy.where(numpy.isfinite(rows), rows, numpy.nan)
        most = numpy.nanmax(numpy.abs(rows), axis=1)
        rms = most * numpy.sqrt(numpy.nanmean((rows / most[:, None]) ** 2, axis=1))
        order = sorted(range(len(most)), key=lambda c: (-most[c], c))[:8]
        self.assertEqual((found["dimension"], found["count"]), (dimension, len(most)))
        numpy.testing.assert_allclose(found["median_max"], float(numpy.median(most)), rtol=1e-12)
        self.assertEqual([c["index"] for c in found["largest"]], order)
        for got, c in zip(found["largest"], order):
            numpy.testing.assert_allclose([got["max"], got["rms"], got["ratio"]],
                                          numpy.array([most[c], rms[c], most[c] / numpy.median(most)], float), rtol=1e-9)

    def test_figures(self):
        random = numpy.random.default_rng(3)
        x = random.normal(size=SHAPE) * 2 + 100
        x[1, 2] *= 50  # a channel that stands out
        for dtype in (numpy.float32, numpy.float16):
            t = x.astype(dtype)
            for op in CASES:
                for device in DEVICES:
                    found = self.compare(op, self.save("x.npy", t), t, "--device", device)
                    self.assertTrue(found["device"].startswith(device))
                    self.assertEqual(found["after"]["nonfinite"], 0)
                    self.assertLess(abs(found["after"]["min"] + found["after"]["max"]), 40)
        for op in CASES:
            self.compare(op, self.save("x.npy", x), x, "--dtype", "float64")
            rounded = x.astype(numpy.float32)
            self.compare(op, self.path("x.npy"), rounded)
        words = (random.normal(size=SHAPE).astype(numpy.float32).view(numpy.uint32) >> 16).astype(numpy.uint16)
        values = (words.astype(numpy.uint32) << 16).view(numpy.float32)
        self.compare("group_norm", self.save("b.npy", words), values, "--dtype", "bfloat16")

    def test_fortran_order(self):
        x = numpy.random.default_rng(6).normal(size=(3, 4, 5)).astype(numpy.float32)
        x[1, 2, 3] = 50
        for op, more in (("layer_norm", []), ("group_norm", ["--num-groups", "2"])):
            texts = [self.inspect(op, self.save("x.npy", numpy.array(x, order=order)), *more) for order in "CF"]
            self.assertEqual(*texts)

    def test_long_groups(self):
        """More elements than are held at a time, and more bytes than one block of the norm."""
        x = numpy.random.default_rng(4).normal(size=(7, 3, 41, 113)).astype(numpy.float32) + 1000
        for op in ("batch_norm", "instance_norm", "mean_variance_normalization"):
            self.compare(op, self.save("x.npy", x), x)
        wide = numpy.tile(numpy.random.default_rng(5).normal(size=(8, 1000)), (2200, 1)).astype(numpy.float32)
        wide[17000, 3] = 60
        found = self.inspect(self.save("x.npy", wide), "--plot", self.path("x.svg"))
        d = wide[17000].astype(numpy.float64) - wide[17000].mean(dtype=numpy.float64)
        self.assertAlmostEqual(found["after"]["max"], (d / numpy.sqrt((d**2).mean() + EPS)).max(), 4)

    def test_parameters(self):
        """y is the norm with its parameters, cut as x is."""
        x = numpy.random.default_rng(6).normal(size=(2, 4, 5, 6)).astype(numpy.float32)
        scale = numpy.zeros((2, 4), numpy.float32)
        shift = numpy.full((2, 4), 9, numpy.float32)
        scale[1, 3] = 10
        found = self.inspect("ada_instance_norm", self.save("x.npy", x), "--scale", self.save("s.npy", scale), "--shift",
                             self.save("t.npy", shift), "--eps", str(EPS))
        xhat = (x - x.mean((2, 3), keepdims=True)) / numpy.sqrt(x.var((2, 3), keepdims=True) + EPS)
        y = xhat * (1 + scale[:, :, None, None]) + 9
        self.assertAlmostEqual(found["after"]["max"], y.max(), 4)
        self.assertAlmostEqual(found["after"]["min"], y.min(), 4)
        mean, var = self.save("m.npy", numpy.arange(4, dtype="f4")), self.save("v.npy", numpy.full(4, 4, "f4"))
        found = self.inspect("batch_norm", self.path("x.npy"), "--running-mean", mean, "--running-var", var)
        y = (x - numpy.arange(4)[:, None, None]) / numpy.sqrt(4 + EPS)
        self.assertAlmostEqual(found["after"]["max"], y.max(), 4)
        self.inspect("batch_norm", self.path("x.npy"), "--running-mean", mean, "--running-var", var, "--training")
        numpy.testing.assert_array_equal(numpy.load(mean), numpy.arange(4))

    def test_other_scales(self):
        """rstd of the operators that have another than 1/sqrt(var + eps)."""
        x = numpy.random.default_rng(7).normal(size=(5, 8)) + 3
        file = self.save("x.npy", x)
        square, absolute = (x**2).sum(1), numpy.abs(x).sum(1)
        for words, right in (
            (["rms_norm", "--eps", "0.5"], 1 / numpy.sqrt(square / 8 + 0.5)),
            (["normalize", "--dim", "-1"], 1 / numpy.sqrt(square)),
            (["normalize", "--dim", "-1", "--eps", "100"], numpy.full(5, 0.01)),
            (["normalize", "--dim", "-1", "--eps", "0.5", "--eps-mode", "inside"], 1 / numpy.sqrt(square + 0.5)),
            (["normalize", "--dim", "-1", "--p", "1", "--eps", "0.5", "--eps-mode", "add"], 1 / (absolute + 0.5)),
        ):
            found = self.inspect(words[0], file, *words[1:], "--dtype", "float64")
            numpy.testing.assert_allclose([g["rstd"] for g in found["group"]], right, rtol=1e-12)

    def test_extremes(self):
        x = numpy.random.default_rng(8).normal(size=SHAPE).astype(numpy.float32)
        x[0, 1, 2, 3], x[0, 1, 2, 4] = numpy.nan, -numpy.inf
        x[2] = 5  # equal: no kurtosis
        file = self.save("x.npy", x)
        self.compare("group_norm", file, x)
        text = self.good("inspect", "group_norm", file, "--num-groups", "2")
        self.assertIn("2 elements of x in 1 groups are NaN or infinite, first in [0, 0]", text)
        for scale, dtype in ((3e38, "f4"), (1e-44, "f4"), (1.7e308, "f8")):
            t = (numpy.random.default_rng(9).uniform(-1, 1, size=SHAPE) * scale).astype(dtype)
            more = ("--dtype", "float64") if dtype == "f8" else ()
            found = self.compare("layer_norm", self.save("x.npy", t), t, *more)
            if dtype == "f4":
                self.assertEqual(found["after"]["nonfinite"], 0)
        found = self.inspect(self.save("x.npy", numpy.full((2, 3), numpy.nan, "f4")), "--plot", self.path("x.svg"))
        self.assertEqual([g["nonfinite"] for g in found["group"]], [3, 3])
        self.assertIsNone(found["group"][0]["mean"])
        self.assertIsNone(found["before"]["min"])

    def test_text(self):
        text = self.good("inspect", data("attention_x"), "--groups", "3", "--device", "scalar")
        lines = text.splitlines()
        self.assertIn("layer_norm: 54 groups of 384 elements", lines[0])
        self.assertEqual([line.split()[0] for line in lines[3:9]], ["[0]", "[1]", "[2]", "all:", "all:", "all:"])
        self.assertRegex(text, r"(?m)^ *99 +3\.87866 +0\.531912 +11\.6$")
        self.assertIn("y of layer_norm on scalar between -4.19", text)
        self.assertEqual(text, self.good("inspect", "layer_norm", data("attention_x"), "--groups", "3", "--device",
                                         "scalar"))
        everything = self.good("inspect", data("attention_x"), "--groups", "1000")
        self.assertIn("\n[53] ", everything)
        self.assertIn("norma inspect [OP] X.npy", self.good("inspect", "--help"))

    def test_plot(self):
        for device in DEVICES:
            self.good("inspect", data("attention_x"), "--plot", self.path("a.svg"), "--device", device)
            root = xml.etree.ElementTree.parse(self.path("a.svg")).getroot()
            self.assertTrue(root.tag.endswith("svg"))
        self.assertGreater(len(os.listdir(self.room.name)), 0)
        self.refused(1, "plot:", "inspect", data("attention_x"), "--plot", self.path("missing/a.svg"))
        for values in ([[1.0, 1.0]], [[1e30, -1e30]], [[3e38, -3e38]]):
            self.good("inspect", self.save("x.npy", numpy.array(values, "f4")), "--plot", self.path("a.svg"))
            xml.etree.ElementTree.parse(self.path("a.svg"))

    def test_refusals(self):
        file = self.save("x.npy", numpy.zeros((2, 6), "f4"))
        for status, about, *words in (
            (2, "X.npy", ["inspect"]),
            (2, "X.npy", ["inspect", "rms_norm"]),
            (2, "layer_nrm", ["inspect", "layer_nrm", file]),
            (2, "one word too many", ["inspect", "layer_norm", file, file]),
            (2, "num-groups", ["inspect", file, "--num-groups", "2"]),
            (2, "backward", ["inspect", file, "--backward"]),
            (1, "out-dtype", ["inspect", file, "--out-dtype", "int8"]),
            (1, "--groups", ["inspect", file, "--groups", "-1"]),
            (1, "switchable_norm", ["inspect", "switchable_norm", file]),
            (1, "local_response_norm", ["inspect", "local_response_norm", file]),
            (1, "num_groups", ["inspect", "group_norm", file, "--num-groups", "4"]),
            (1, "running_mean", ["inspect", "batch_norm", file]),
            (1, "x: cannot read", ["inspect", self.path("none.npy")]),
            (1, "no elements", ["inspect", self.save("e.npy", numpy.zeros((0, 4), "f4"))]),
        ):
            self.refused(status, about, *words[0])
        self.assertEqual(norma("inspect", file, "--device", "nonsense").returncode, 1)


if __name__ == "__main__":
    unittest.main()
