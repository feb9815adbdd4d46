"""Statistics that are saved, kept running or added to, in the norma program beside NumPy. Arguments as of program.py."""

import functools
import itertools
import unittest

import numpy

from arrays import ArrayRoom
from program import DEVICES

SHAPE = (3, 4, 5, 6)


class Statistics(ArrayRoom):
    def test_saved_rstd(self):
        """A saved rstd is taken as it is, on every device, whatever it is: here half of what forward gives."""
        random = numpy.random.default_rng(4)
        x, dy = (random.normal(0.5, 1, (6, 700)).astype(numpy.float32) for _ in range(2))
        mean, sd = x.mean(1, keepdims=True, dtype=float), x.std(1, keepdims=True, dtype=float)
        square, absolute = (x.astype(float)**2).sum(1, keepdims=True), abs(x.astype(float)).sum(1, keepdims=True)
        means = functools.partial(numpy.mean, axis=1, keepdims=True)
        for op, more, centre, right, through in (
            ("layer_norm", [], mean, 1 / numpy.sqrt(sd**2 + 1e-5), lambda r, h: means(dy) + h * means(dy * h)),
            ("rms_norm", [], 0, 1 / numpy.sqrt(square / 700 + 1e-6), lambda r, h: h * means(dy * h)),
            ("normalize", ["--dim", "1"], 0, 1 / numpy.sqrt(square), lambda r, h: 700 * h * means(dy * h)),
            ("normalize", ["--dim", "1", "--eps", "99"], 0, 0 * sd + 1 / 49.5, lambda r, h: 0),
            ("normalize", ["--dim", "1", "--p", "1"], 0, 1 / absolute,
             lambda r, h: 700 * numpy.sign(x) * means(dy * h)),
            ("normalize", ["--dim", "1", "--eps", "30", "--eps-mode", "add"], 0, 1 / (numpy.sqrt(square) + 30),
             lambda r, h: 700 * h * means(dy * h) / (1 - 30 * r)),
            ("mean_variance_normalization", ["--axes", "1", "--eps", "0.5"], mean, 1 / (sd + 0.5),
             lambda r, h: means(dy) + h * means(dy * h) / (1 - 0.5 * r)),
        ):
            rstd = (right / 2).astype(numpy.float32)
            wide = rstd.astype(float)
            xhat = (x - centre) * wide
            words = ["run", op, self.save("x", x), *more, "--backward", "--dy", self.save("dy", dy), "--rstd",
                     self.save("rstd", rstd)]
            of_mean = [["--mean", self.save("mean", mean.astype(numpy.float32))]] if numpy.ndim(centre) else []
            for device, given in itertools.product(DEVICES, ([], *of_mean)):
                self.good(*words, *given, "--device", device, *self.outputs("dx"))
                self.close(self.load("dx") / wide, dy - through(wide, xhat), 2e-5, (op, more, device, given))

    def test_deviation(self):
        """mean_variance_normalization adds eps to the standard deviation, as ONNX does: where that is eps, or 0. The
        gradient is by a complex step; of equal elements NumPy's formula has 0/0, which is taken to be 0."""
        def onnx(t):
            d = t - t.mean(1, keepdims=True)
            return d / (numpy.sqrt((d**2).mean(1, keepdims=True)) + 1e-9)

        random = numpy.random.default_rng(2)
        x = random.normal(0, 1, (5, 300)) * [[1e-4], [1e-4], [1e-9], [1e-12], [0]]
        x = (x + [[0], [3], [0], [0], [7]]).astype(numpy.float32)
        dy = random.normal(0.5, 1, x.shape).astype(numpy.float32)
        wide, right = x.astype(float), numpy.empty(x.shape)
        for i in range(x.shape[1]):
            right[:, i] = (onnx(wide + 1e-40j * (numpy.arange(x.shape[1]) == i)).imag * dy).sum(1) / 1e-40
        right[4] = (dy[4] - dy[4].mean(dtype=float)) / 1e-9
        words = ["run", "mean_variance_normalization", self.save("x", x), "--axes", "1"]
        for device in DEVICES:
            self.good(*words, "--device", device, "-o", self.path("y_out.npy"), *self.outputs("mean", "rstd"))
            self.close(self.load("y"), onnx(wide), 2e-6, device)
            numpy.testing.assert_array_equal(self.load("y")[4], 0)
            numpy.testing.assert_allclose(self.load("rstd"), 1 / (wide.std(1) + 1e-9), 1e-6)
            saved = ["--mean", self.path("mean_out.npy"), "--rstd", self.path("rstd_out.npy")]
            for more in ([], saved, saved[:2], saved[2:]):
                self.good(*words, "--device", device, "--backward", "--dy", self.save("dy", dy), *more,
                          *self.outputs("dx"))
                size = numpy.abs(right).max(1, keepdims=True)
                self.close(self.load("dx") / size, right / size, 2e-6, (device, more))

    def test_cumulative(self):
        """--momentum none: running statistics are the mean of all batches; the count grows with any momentum."""
        x = numpy.random.default_rng(8).normal(3, 2, SHAPE)
        words = ["--running-mean", self.save("mean", numpy.full(4, 0.5, numpy.float32)), "--running-var",
                 self.save("var", numpy.full(4, 2, numpy.float32)), "--num-batches-tracked", self.path("count.npy"),
                 *self.outputs("running_mean", "running_var", "num_batches_tracked"), "-o", self.path("y_out.npy")]
        for op, more, batches in (("batch_norm", ["--training"], x[None]), ("instance_norm", [], x),
                                  ("ghost_batch_norm", ["--training", "--virtual-batch", "1"], x)):
            seen = 1 if op == "instance_norm" else len(batches)
            runs = (0, "none"), (2**32 - 1, "none"), (2, "0.25")
            for device, (count, momentum) in itertools.product(DEVICES, runs):
                self.save("count", numpy.array(count))
                self.good("run", op, self.save("x", x.astype(numpy.float32)), *more, "--momentum", momentum, *words,
                          "--device", device, "--verify")
                mean, var = numpy.full(4, 0.5), numpy.full(4, 2.0)
                batch = [(each.reshape(-1, 4, 30).mean((0, 2)), each.reshape(-1, 4, 30).var((0, 2), ddof=1))
                         for each in batches]
                if op == "instance_norm":
                    batch = [tuple(numpy.mean(part, 0) for part in zip(*batch))]
                for number, (a, b) in enumerate(batch):
                    share = 0.25 if momentum != "none" else 1 / (count + number + 1)
                    mean, var = (1 - share) * mean + share * a, (1 - share) * var + share * b
                self.close(self.load("running_mean"), mean, 1e-6, (op, device, count))
                self.close(self.load("running_var"), var, 1e-6, (op, device, count))
                got = self.load("num_batches_tracked")
                self.assertEqual((got.dtype, got.shape, int(got)), (numpy.int64, (), count + seen))

    def test_renorm_inspected(self):
        """Its running statistics, which the norm updates, are copied: the files stay as they are."""
        x = self.save("x", numpy.random.default_rng(1).normal(0, 1, SHAPE).astype(numpy.float32))
        mean, var = (self.save(n, numpy.full(4, 2, numpy.float32)) for n in ("mean", "var"))
        self.good("inspect", "batch_renorm", x, "--training", "--running-mean", mean, "--running-var", var, "--device",
                  "scalar")
        for path in mean, var:
            numpy.testing.assert_array_equal(numpy.load(path), 2)


if __name__ == "__main__":
    unittest.main()
