"""Every operator in the norma program beside NumPy. Arguments as of program.py."""

import functools
import json
import math
import os
import unittest

import numpy

from arrays import ArrayRoom
from program import DEVICES, norma

BATCH = ("batch_norm", "batch_renorm", "ghost_batch_norm")
TRAINED = (*BATCH, "switchable_norm")
RUNNING = (*TRAINED, "instance_norm")
ADAPTIVE = ("ada_layer_norm", "ada_rms_norm", "ada_group_norm", "ada_instance_norm")
SHAPE = (3, 4, 5, 6)  # of x
TENSORS = ("weight", "bias", "scale", "shift", "residual", "gate", "input_bias", "z", "addend")

# An operator, its numbers, its further tensors, the axes of a group, and the dimensions that a parameter has.
CASES = [
    ("layer_norm", {"normalized_dims": 2}, "weight bias residual gate input_bias", (2, 3), (2, 3)),
    ("layer_norm", {"axes": "1,3"}, "weight bias residual", (1, 3), (1, 3)),
    ("rms_norm", {"weight_offset": 1.0}, "weight z", (3,), (3,)),
    ("rms_norm", {"axes": "0,-2"}, "weight gate", (0, 2), (0, 2)),
    ("batch_norm", {"training": True, "momentum": 0.25}, "weight bias addend", (0, 2, 3), (1,)),
    ("batch_norm", {"activation": "relu"}, "weight bias", (0, 2, 3), (1,)),
    ("batch_renorm", {"training": True, "r_max": 1.25, "d_max": 0.5, "momentum": 0.3}, "weight bias z", (0, 2, 3), (1,)),
    ("batch_renorm", {}, "weight bias", (0, 2, 3), (1,)),
    ("ghost_batch_norm", {"training": True, "virtual_batch": 1, "momentum": 0.3}, "weight bias gate", (2, 3), (1,)),
    ("ghost_batch_norm", {"training": True, "virtual_batch": 3}, "weight bias", (2, 3), (1,)),
    ("ghost_batch_norm", {}, "weight bias", (0, 2, 3), (1,)),
    ("group_norm", {"num_groups": 2, "activation": "silu"}, "weight bias residual", (2, 3), (1,)),
    ("instance_norm", {"running_var_biased": True}, "weight bias", (2, 3), (1,)),
    ("instance_norm", {"use_input_stats": 0, "activation": "gelu"}, "", (2, 3), (1,)),
    ("weight_standardization", {"eps": 1e-5}, "weight", (1, 2, 3), (0,)),
    ("weight_standardization", {"axes": "0,2,3"}, "weight", (0, 2, 3), (1,)),
    ("normalize", {"dim": -1}, "", (3,), (3,)),
    ("normalize", {"axes": "1,2", "p": 1, "eps_mode": "add", "eps": 0.5}, "input_bias", (1, 2), (1, 2)),
    ("normalize", {"eps_mode": "inside", "eps": 0.5, "activation": "leaky_relu", "activation_slope": 0.2}, "", (1,),
     (1,)),
    ("mean_variance_normalization", {"axes": "0,2,3"}, "", (0, 2, 3), (0, 2, 3)),
    ("mean_variance_normalization", {"axes": "1,3", "eps": 0.5}, "weight", (1, 3), (1, 3)),
    ("ada_layer_norm", {}, "scale shift gate", (3,), (0, 3)),
    ("ada_layer_norm", {"axes": "1,2"}, "scale shift", (1, 2), (0, 2)),
    ("ada_rms_norm", {"z_first": True, "z_activation": "sigmoid"}, "scale shift z", (3,), (0, 3)),
    ("ada_group_norm", {"num_groups": 4, "activation": "gelu_tanh"}, "scale shift", (2, 3), (0, 1)),
    ("ada_instance_norm", {"eps": 0.1}, "scale shift", (2, 3), (0, 1)),
    ("switchable_norm", {"training": True, "momentum": 0.3}, "mean_weights var_weights weight bias", (2, 3), (1,)),
    ("switchable_norm", {"activation": "silu"}, "mean_weights var_weights weight gate", (2, 3), (1,)),
]
EPS = {"rms_norm": 1e-6, "weight_standardization": 1e-10, "normalize": 1e-12, "mean_variance_normalization": 1e-9}
erf = numpy.vectorize(math.erf)


def activate(name, v, slope=0.01):
    return {"none": lambda: v, "relu": lambda: numpy.maximum(v, 0),
            "leaky_relu": lambda: numpy.where(v < 0, slope * v, v),
            "gelu": lambda: v * 0.5 * (1 + erf(v / math.sqrt(2))),
            "gelu_tanh": lambda: 0.5 * v * (1 + numpy.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
            "silu": lambda: v / (1 + numpy.exp(-v)), "sigmoid": lambda: 1 / (1 + numpy.exp(-v))}[name]()


def cut_of(op, numbers):
    """The axis of x of which groups have a part, and how many parts; None."""
    if op.endswith("group_norm"):
        return 1, numbers["num_groups"]
    return (0, SHAPE[0] // numbers["virtual_batch"]) if op == "ghost_batch_norm" and "training" in numbers else None


def over_groups(op, numbers, axes, function, t):
    """function of each group, kept in x's rank, repeated along the axis that is cut into parts."""
    cut = cut_of(op, numbers)
    if not cut:
        return function(t, axes)
    axis, parts = cut
    split = t.reshape(*t.shape[:axis], parts, -1, *t.shape[axis + 1:])
    result = function(split, (axis + 1, *(d + 1 for d in axes)))
    return numpy.repeat(result.squeeze(axis + 1), t.shape[axis] // parts, axis=axis)


def mix(t, tensors, given):
    """Of switchable norm: the mean and variance of each sample's channels, and the batch's; given: running ones."""
    def over(*axes):
        return [t.mean(axes, keepdims=True), t.var(axes, keepdims=True)]

    def shares(name):
        powers = numpy.exp(tensors[name] - tensors[name].max())
        return powers / powers.sum()

    running = [tensors["running_" + name].reshape(1, -1, 1, 1) for name in ("mean", "var")]
    kinds = [over(2, 3), over(1, 2, 3), running if given else over(0, 2, 3)]
    mean, var = (sum(share * kind[i] for share, kind in zip(shares(name), kinds))
                 for i, name in enumerate(("mean_weights", "var_weights")))
    return mean, var, over(0, 2, 3)


def formulas(op, numbers, axes, own, x, tensors):
    """y and the statistics, straight from the definitions. own: the dimensions of a parameter."""
    def wide(name, absent):
        v = tensors.get(name)
        if v is None:
            return absent
        return v if v.shape == x.shape else v.reshape([x.shape[d] if d in own else 1 for d in range(x.ndim)])

    eps = numbers.get("eps", 1e-6 if op in ADAPTIVE else EPS.get(op, 1e-5))
    h = wide("residual", 0) + wide("gate", 1) * (x + wide("input_bias", 0))
    act_z = activate(numbers.get("z_activation", "silu"), wide("z", 0))
    t = h * act_z if numbers.get("z_first") else h
    groups = functools.partial(over_groups, op, numbers, axes)
    mean = groups(lambda v, a: v.mean(a, keepdims=True), t)
    var = groups(lambda v, a: v.var(a, keepdims=True), t)
    result = {"batch_mean": mean, "batch_var": var}
    if (op in TRAINED and not numbers.get("training")) or not numbers.get("use_input_stats", 1):
        mean = tensors["running_mean"].reshape(1, -1, 1, 1) + 0 * mean
        var = tensors["running_var"].reshape(1, -1, 1, 1) + 0 * var
    if op == "switchable_norm":
        mean, var, batch = mix(t, tensors, not numbers.get("training"))
        result = {"batch_mean": batch[0], "batch_var": batch[1]}
    if op == "normalize":
        mean = 0 * mean
        norm = (abs(t)**numbers.get("p", 2)).sum(axes, keepdims=True)
        mode = numbers.get("eps_mode", "max")
        norm = numpy.sqrt(norm + eps * (mode == "inside")) if numbers.get("p", 2) == 2 else norm
        rstd = 1 / (norm + eps if mode == "add" else numpy.maximum(norm, eps) if mode == "max" else norm)
    elif op in ("rms_norm", "ada_rms_norm"):
        mean = 0 * mean
        rstd = 1 / numpy.sqrt((t**2).mean(axes, keepdims=True) + eps)
    elif op == "mean_variance_normalization":
        rstd = 1 / (numpy.sqrt(var) + eps)
    else:
        rstd = 1 / numpy.sqrt(var + eps)
    factor = 1 + wide("scale", 0) if op in ADAPTIVE else numbers.get("weight_offset", 0) + wide("weight", 1)
    xhat = (t - mean) * rstd
    if op == "batch_renorm" and numbers.get("training"):
        sd = numpy.sqrt(tensors["running_var"] + eps)
        apart = (mean.reshape(-1) - tensors["running_mean"]) / sd
        most, far = numbers["r_max"], numbers["d_max"]
        for name, value in (("r", (1 / rstd.reshape(-1) / sd).clip(1 / most, most)), ("d", apart.clip(-far, far))):
            result[name] = tensors.get(name, value)  # constants in backward
        xhat = xhat * result["r"].reshape(1, -1, 1, 1) + result["d"].reshape(1, -1, 1, 1)
    v = xhat * factor + wide("bias", 0) + wide("shift", 0)
    if "z" in tensors and not numbers.get("z_first"):
        v = v * act_z
    y = activate(numbers.get("activation", "none"), v + wide("addend", 0), numbers.get("activation_slope", 0.01))
    return {**result, "y": y, "sum": h + 0 * x, "mean": mean, "rstd": rstd}


def make_tensors(names, own, seed, dtype):
    random = numpy.random.default_rng(seed)
    tensors = {"x": random.normal(0.5, 1.5, SHAPE)}
    for name in names.split():
        whole = name in ("residual", "z", "addend")
        of_kinds = name in ("mean_weights", "var_weights")
        tensors[name] = random.normal(0.3, 1, SHAPE if whole else 3 if of_kinds else [SHAPE[d] for d in own])
    return {name: value.astype(dtype) for name, value in tensors.items()}


def one_of_devices(number):
    """In turn: every operator runs on every device in the check suite; here it is the program that is tested."""
    return DEVICES[number % len(DEVICES)]


def words_of(numbers):
    words = []
    for name, value in numbers.items():
        words += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    return words


class Operators(ArrayRoom):
    def prepare(self, case, dtype=numpy.float32, seed=1):
        """The command line of a case, its tensors saved."""
        op, numbers, names, _, own = case
        tensors = make_tensors(names, own, seed, dtype)
        if op in RUNNING:
            random = numpy.random.default_rng(seed + 1)
            tensors["running_mean"] = random.normal(0, 1, SHAPE[1]).astype(dtype)
            tensors["running_var"] = random.uniform(0.5, 2, SHAPE[1]).astype(dtype)
        words = ["run", op, self.save("x", tensors["x"]), *words_of(numbers)]
        for name in tensors:
            if name != "x":
                words += ["--" + name.replace("_", "-"), self.save(name, tensors[name])]
        return words, tensors

    def check_forward(self, case, device, dtype, tolerance, *more):
        op, numbers, _, axes, own = case
        words, tensors = self.prepare(case, dtype)
        names = ["sum", "mean", "rstd"] + ["r", "d"] * (op == "batch_renorm" and "training" in numbers)
        updates = "training" in numbers or (op == "instance_norm" and "use_input_stats" not in numbers)
        if updates:
            names += ["running_mean", "running_var"]
        self.good(*words, "-o", self.path("y_out.npy"), *self.outputs(*names), "--device", device, "--verify", *more)
        about = (op, numbers, device)
        right = formulas(op, numbers, axes, own, tensors["x"].astype(float),
                         {n: t.astype(float) for n, t in tensors.items() if n != "x"})
        for name in ("y", "sum"):
            got = self.load(name)
            self.assertEqual((got.shape, got.dtype), (SHAPE, tensors["x"].dtype), (about, name))
            self.close(got, right[name], tolerance, (about, name))
        kept = [d for d in range(4) if d not in axes]
        axis, parts = cut_of(op, numbers) or (0, SHAPE[0])
        shape = tuple(parts if d == axis else SHAPE[d] for d in kept)
        for name in names[1:]:
            if name.startswith("running_"):
                continue
            expected = right[name]
            if axis in kept and expected.ndim == 4:
                expected = expected.take(range(0, SHAPE[axis], SHAPE[axis] // parts), axis)
            self.assertEqual(self.load(name).shape, shape, (about, name))
            self.close(self.load(name), expected.reshape(shape), tolerance, (about, name))
        if updates:
            count = math.prod(SHAPE[d] for d in axes) * numbers.get("virtual_batch", 1)
            count *= SHAPE[0] if op == "switchable_norm" else 1
            unbiased = 1 if numbers.get("running_var_biased") else count / (count - 1)
            share = numbers.get("momentum", 0.1)
            for name, batch in (("mean", right["batch_mean"]), ("var", right["batch_var"] * unbiased)):
                before = tensors["running_" + name]
                # Virtual batches one after the other, samples by their mean.
                batches = batch[::SHAPE[0] // parts] if op == "ghost_batch_norm" else batch.mean((0,), keepdims=True)
                after = before.astype(float)
                for each in batches:
                    after = (1 - share) * after + share * each.mean((1, 2))
                self.close(self.load("running_" + name), after, tolerance, (about, name))
                # The input file is as it was.
                numpy.testing.assert_array_equal(numpy.load(self.path("running_%s.npy" % name)), before)

    def test_forward(self):
        for number, case in enumerate(CASES):
            self.check_forward(case, one_of_devices(number), numpy.float32, 3e-5)
            self.check_forward(case, "scalar", numpy.float64, 1e-12, "--dtype", "float64")

    def check_backward(self, case, device, dtype, tolerance, *more):
        op, numbers, names, axes, own = case
        words, tensors = self.prepare(case, dtype)
        if op == "batch_renorm" and "training" in numbers:
            self.good(*words, "-o", self.path("y_out.npy"), *self.outputs("r", "d"), "--device", device, *more)
            tensors.update((n, self.load(n)) for n in "rd")
        fixed = {n: t.astype(float) for n, t in tensors.items()}
        dy = numpy.random.default_rng(5).normal(0, 1, SHAPE).astype(dtype)
        dsum = numpy.random.default_rng(6).normal(0, 1, SHAPE).astype(dtype)
        wanted = ["x"] + names.split()
        skipped = [w for n in ("momentum", "running_var_biased", "r_max", "d_max") if n in numbers for w in words_of({n: numbers[n]})]
        words = [w for w in words if w not in skipped]
        words += [w for n in "rd" if n in tensors for w in ("--" + n, self.path(n + "_out.npy"))]
        self.good(*words, "--backward", "--dy", self.save("dy", dy), "--dsum", self.save("dsum", dsum), "--device",
                  device, *self.outputs(*("d" + n for n in wanted)), "--verify", *more)

        def loss(name, value):
            changed = {**fixed, name: value}
            right = formulas(op, numbers, axes, own, changed["x"], {n: t for n, t in changed.items() if n != "x"})
            return (right["y"] * dy + right["sum"] * dsum).sum()

        step = 1e-5
        for name in wanted:
            got, base = self.load("d" + name), fixed[name]
            self.assertEqual((got.shape, got.dtype), (base.shape, tensors[name].dtype), (op, name))
            for index in range(0, base.size, 1 if base.size < 30 else 23):
                moved = numpy.zeros(base.size)
                moved[index] = step
                moved = moved.reshape(base.shape)
                right = (loss(name, base + moved) - loss(name, base - moved)) / (2 * step)
                self.close(got.flat[index], right, tolerance, (op, numbers, device, "d" + name, index))

    def test_backward(self):
        for number, case in enumerate(CASES):
            self.check_backward(case, "scalar", numpy.float64, 2e-7, "--dtype", "float64")
            self.check_backward(case, one_of_devices(number), numpy.float32, 3e-4)

    def test_saved_statistics(self):
        words, _ = self.prepare(next(case for case in CASES if case[0] == "group_norm"))
        self.good(*words, "--device", "scalar", "-o", self.path("y_out.npy"), *self.outputs("mean", "rstd"))
        words += ["--device", "scalar", "--backward", "--dy", self.path("y_out.npy"), "--verify"]
        results = []
        for saved in ([], ["--mean", self.path("mean_out.npy"), "--rstd", self.path("rstd_out.npy")]):
            self.good(*words, *saved, *self.outputs("dx", "dweight", "dbias"))
            results.append([self.load(n) for n in ("dx", "dweight", "dbias")])
        for one, other in zip(*results):
            self.close(one, other, 1e-5, "saved")

    def test_half(self):
        for op, more in (("group_norm", ("--num-groups", "2")), ("normalize", ()), ("ada_instance_norm", ())):
            x = numpy.random.default_rng(3).normal(0, 1, SHAPE).astype(numpy.float16)
            for device in DEVICES:
                self.good("run", op, self.save("x", x), *more, "--device", device, "--verify", "-o",
                          self.path("y_out.npy"))
                self.assertEqual(self.load("y").dtype, numpy.float16)

    def test_packed(self):
        """Files with channels in blocks of four, ten of them, whatever the padding holds."""
        x = numpy.random.default_rng(7).standard_normal((2, 10, 5, 3)).astype(numpy.float32)
        padded = numpy.full((2, 12, 5, 3), numpy.nan, numpy.float32)
        padded[:, :10] = x
        self.save("x", numpy.moveaxis(padded.reshape(2, 3, 4, 5, 3), 2, -1))
        self.save("weight", numpy.linspace(0.5, 2, 10).astype(numpy.float32))
        right = x.reshape(2, 5, 2 * 15).astype(float)
        right = (right - right.mean(-1, keepdims=True)) / numpy.sqrt(right.var(-1, keepdims=True) + 1e-5)
        right = right.reshape(x.shape) * numpy.linspace(0.5, 2, 10).astype(numpy.float32).reshape(10, 1, 1)
        for device in DEVICES:
            words = ("run", "group_norm", self.path("x.npy"), "--num-groups", "5", "--weight", self.path("weight.npy"), "-o",
                     self.out, "--device", device, "--verify")
            done = norma(*words, "--channels", "10")
            self.assertEqual(done.returncode, 0, done.stderr)
            y = numpy.load(self.out)
            self.assertEqual(y.shape, (2, 3, 5, 3, 4))
            unpacked = numpy.moveaxis(y, -1, 2).reshape(2, 12, 5, 3)
            self.close(unpacked[:, :10], right, 2e-6, device)
            self.assertFalse(unpacked[:, 10:].any())  # of a new file
        for channels in ("8", "13", "-1"):
            done = norma(*words, "--channels", channels)
            self.assertEqual((done.returncode, "x: --channels" in done.stderr), (1, True), done.stderr)
        explained = norma("explain", "batch_norm", "--shape", "2x10x5x3", "--channel-block", "4", "--device", "scalar")
        self.assertEqual(explained.returncode, 0, explained.stderr)
        refused = norma("explain", "batch_norm", "--shape", "2x10x5x3", "--channel-block", "3", "--device", "scalar")
        self.assertIn("x: channel_block 3", refused.stderr)

    def test_fortran_order(self):
        """As numpy.save writes x.T: what is read may lie so, what is written lies in C order."""
        rng = numpy.random.default_rng(9)
        image, row = (2, 6, 4, 5), (4, 5)
        cases = [
            (["layer_norm", "--normalized-dims", "2"], {"": image, "weight": row, "bias": row, "residual": image}, False),
            (["layer_norm"], {"": (3, 7, 1), "bias": (1,)}, False),  # rows of one element, their order alone differs
            (["rms_norm", "--backward"], {"": (5, 8), "weight": (8,), "dy": (5, 8)}, False),
            (["batch_norm", "--training"], {"": image, "weight": (6,), "addend": image}, True),
            (["group_norm", "--num-groups", "2", "--backward"], {"": image, "weight": (1, 6, 1, 1), "dy": image}, True),
            (["ada_layer_norm"], {"": (3, 4, 5), "scale": (3, 5), "shift": (3, 5)}, False),
            (["group_norm", "--num-groups", "1", "--channels", "7"], {"": (2, 2, 5, 4), "weight": (7,)}, False),
        ]
        for words, shapes, wide in cases:
            arrays = {n: rng.normal(size=s).astype(numpy.float64 if wide else numpy.float32) for n, s in shapes.items()}
            out = ["--dx-out" if "--backward" in words else "-o", self.out]

            def run(order, device):
                files = {n: self.save(n or "x", numpy.array(a, order=order)) for n, a in arrays.items()}
                tensors = [w for n, f in files.items() if n for w in ("--" + n, f)]
                more = ["--device", device, *(["--verify"] if device == "scalar" and order == "F" else [])]
                self.good("run", words[0], files[""], *words[1:], *tensors, *more, *out)
                return numpy.load(self.out)

            right = run("C", "scalar")
            for device in DEVICES:
                got = run("F", device)
                self.assertTrue(got.flags.c_contiguous)
                self.assertEqual(got.shape, shapes[""])
                self.close(got, right, 1e-5, (words, device))

    def test_broadcast_shapes(self):
        """A parameter of x's rank, with ones where it repeats, is as good as its vector; its gradient has its shape."""
        words, tensors = self.prepare(("group_norm", {"num_groups": 2}, "weight bias", (2, 3), (1,)))
        words += ["--device", "scalar"]
        self.good(*words, "-o", self.path("y_out.npy"))
        vector = self.load("y")
        self.save("weight", tensors["weight"].reshape(1, 4, 1, 1))
        self.good(*words, "-o", self.path("y_out.npy"))
        numpy.testing.assert_array_equal(vector, self.load("y"))
        self.good(*words, "--backward", "--dy", self.path("x.npy"), *self.outputs("dweight"))
        self.assertEqual(self.load("dweight").shape, (1, 4, 1, 1))

    def test_steps(self):
        """Batch norm of two pieces beside that of the whole, both directions."""
        random = numpy.random.default_rng(7)
        x, dy = (random.normal(2, 3, SHAPE).astype(numpy.float32) for _ in range(2))
        affine = ["--weight", self.save("weight", random.normal(1, 0.5, 4).astype(numpy.float32)), "--bias",
                  self.save("bias", random.normal(0, 1, 4).astype(numpy.float32)), "--activation", "silu"]
        pieces = {"a": slice(0, 1), "b": slice(1, 3)}
        for name, piece in pieces.items():
            self.save("x" + name, x[piece])
            self.save("dy" + name, dy[piece])
        self.good("run", "batch_norm", self.save("x", x), "--training", *affine, "--device", "scalar", "-o",
                  self.path("y_out.npy"), "--verify")
        self.good("run", "batch_norm", self.path("x.npy"), "--training", *affine, "--device", "scalar", "--backward",
                  "--dy", self.save("dy", dy), *self.outputs("dx", "dweight", "dbias"))
        whole = {name: self.load(name) for name in ("y", "dx", "dweight", "dbias")}
        for device in DEVICES:
            more = ["--device", device, "--verify"]
            for kind in ("stats", "sums"):
                back = ["--backward"] if kind == "sums" else []
                for name in pieces:
                    own = ["--dy", self.path("dy%s.npy" % name), "--stats", self.path("stats_out.npy"), *affine,
                           "--dweight-out", self.path("dweight%s_out.npy" % name), "--dbias-out",
                           self.path("dbias%s_out.npy" % name)] if back else []
                    self.good("run", "batch_norm_stats", self.path("x%s.npy" % name), *back, *own,
                              "--%s-out" % kind, self.path(kind + name + "_out.npy"), *more)
                parts = numpy.stack([self.load(kind + name) for name in pieces])
                self.assertEqual(parts.shape, (2, 5 if kind == "stats" else 2, 4))
                self.good("run", "batch_norm_merge", self.save("parts", parts), *back, *self.outputs(kind), *more)
            self.assertEqual(self.load("stats")[0].tolist(), [3 * 5 * 6] * 4)
            given = ["--stats", self.path("stats_out.npy"), *affine]
            for name, piece in pieces.items():
                self.good("run", "batch_norm_apply", self.path("x%s.npy" % name), *given, "-o",
                          self.path("y_out.npy"), *more)
                self.close(self.load("y"), whole["y"][piece], 1e-5, (device, name))
                self.good("run", "batch_norm_apply", self.path("x%s.npy" % name), *given, "--backward", "--dy",
                          self.path("dy%s.npy" % name), "--sums", self.path("sums_out.npy"), *self.outputs("dx"), *more)
                self.close(self.load("dx"), whole["dx"][piece], 1e-5, (device, name))
            for name in ("dweight", "dbias"):
                self.close(self.load(name + "a") + self.load(name + "b"), whole[name], 1e-5, (device, name))

    def test_steps_mistakes(self):
        x, parts = self.save("x", numpy.ones(SHAPE, numpy.float32)), self.save("parts", numpy.ones((2, 4, 3), "f4"))
        stats = self.save("stats", numpy.ones((5, 3), numpy.float32))
        for status, about, words in (
            (2, "--stats-out", ["batch_norm_stats", x]),
            (2, "--output", ["batch_norm_stats", x, "-o", self.out]),
            (2, "--stats", ["batch_norm_stats", x, "--stats", stats, "--stats-out", self.out]),
            (2, "--stats", ["batch_norm_apply", x, "-o", self.out]),
            (1, "stats", ["batch_norm_apply", x, "--stats", stats, "-o", self.out]),
            (2, "--sums", ["batch_norm_apply", x, "--backward", "--stats", stats, "--dy", x, "--dx-out", self.out]),
            (2, "PARTS.npy", ["batch_norm_merge"]),
            (2, "--channels", ["batch_norm_merge", stats, "--channels", "3", "--stats-out", self.out]),
            (1, "parts", ["batch_norm_merge", parts, "--stats-out", self.out]),
            (1, "parts", ["batch_norm_merge", x, "--stats-out", self.out]),
            (2, "--weight", ["batch_norm_merge", parts, "--weight", x, "--stats-out", self.out]),
            (1, "weight", ["batch_norm_stats", x, "--weight", x, "--stats-out", self.out]),
        ):
            done = norma("run", *words)
            self.assertEqual(done.returncode, status, (words, done.stderr))
            self.assertIn(about, done.stderr, words)
            self.assertFalse(os.path.exists(self.out), words)
        lines = self.good("run", "batch_norm_merge", "--help")
        self.assertIn("PARTS.npy", lines)
        for other in ("--weight", "--channels", "x's rank"):
            self.assertNotIn(other, lines)

    def test_help(self):
        shapes = {"layer_norm": "[D]", "batch_norm": "[C]", "weight_standardization": "[O]", "ada_layer_norm": "[N, D]",
                  "ada_group_norm": "[N, C]"}
        nameless = (*ADAPTIVE, "normalize", "weight_standardization")
        whose = {"--weight W.npy": lambda op: op not in nameless, "--dweight-out": lambda op: op not in nameless,
                 "--gain G.npy": lambda op: op == "weight_standardization",
                 "--dgain-out": lambda op: op == "weight_standardization",
                 "--running-var-kind": lambda op: op in RUNNING, "--running-var-biased": lambda op: False,
                 "--scale S.npy": lambda op: op in ADAPTIVE, "--dshift-out": lambda op: op in ADAPTIVE,
                 "--num-groups": lambda op: op.endswith("group_norm"),
                 "--normalized-dims": lambda op: op.endswith(("layer_norm", "rms_norm")),
                 "--axes": lambda op: op in ("normalize", "mean_variance_normalization", "layer_norm", "rms_norm",
                                             "ada_layer_norm", "ada_rms_norm", "weight_standardization"),
                 "--p ": lambda op: op == "normalize", "--training": lambda op: op in TRAINED,
                 "--mean-weights": lambda op: op == "switchable_norm",
                 "--dvar-weights-out": lambda op: op == "switchable_norm",
                 "--virtual-batch": lambda op: op == "ghost_batch_norm",
                 "--r-max": lambda op: op == "batch_renorm", "--d-out": lambda op: op == "batch_renorm",
                 "--running-mean": lambda op: op in RUNNING,
                 "--use-input-stats": lambda op: op == "instance_norm", "--weight-offset": lambda op: op == "rms_norm",
                 "--z-first": lambda op: True, "--dx-out": lambda op: True, "--residual": lambda op: True}
        for op in sorted({case[0] for case in CASES}):
            lines = self.good("run", op, "--help").splitlines()
            for name, has in whose.items():
                found = any(line.strip().startswith(name) or line.strip().startswith("-o, " + name) for line in lines)
                self.assertEqual(found, has(op), (op, name))
            if op in shapes:
                name = "--scale" if op in ADAPTIVE else "--gain" if op == "weight_standardization" else "--weight"
                self.assertIn(shapes[op], [line for line in lines if line.strip().startswith(name)][0])
            self.assertNotIn("--dy", self.good("explain", op, "--help"))
            self.assertIn(op, self.good("run", "--help"))
            self.assertIn(op, self.good("--help"))

    def test_other_names(self):
        """--gain is weight_standardization's weight; --running-var-kind biased is --running-var-biased."""
        rng = numpy.random.default_rng(3)
        x, gain = (self.save(n, rng.normal(size=s).astype(numpy.float32)) for n, s in (("x", (4, 6)), ("gain", 4)))
        channel = self.save("channel", rng.uniform(1, 2, 6).astype(numpy.float32))

        def results(name, *words):
            self.good("run", *words, "--device", "scalar", "-o" if name == "y" else name, self.out)
            return numpy.load(self.out).tobytes()

        standardise = ["weight_standardization", x]
        self.assertEqual(results("y", *standardise, "--gain", gain), results("y", *standardise, "--weight", gain))
        self.assertNotEqual(results("y", *standardise, "--gain", gain), results("y", *standardise))
        standardise += ["--backward", "--dy", x]
        self.assertEqual(results("--dgain-out", *standardise, "--gain", gain),
                         results("--dweight-out", *standardise, "--weight", gain))
        train = ["batch_norm", x, "--training", "--running-mean", channel, "--running-var", channel, "-o", self.path("y")]
        kinds = [results("--running-var-out", *train, "--running-var-kind", kind) for kind in ("unbiased", "biased")]
        self.assertEqual(kinds, [results("--running-var-out", *train, *flag) for flag in ([], ["--running-var-biased"])])
        self.assertNotEqual(*kinds)

    def test_mistakes(self):
        x = self.save("x", numpy.ones(SHAPE, numpy.float32))
        row = self.save("row", numpy.ones(6, numpy.float32))
        channel = self.save("channel", numpy.ones(4, numpy.float32))
        wide = self.save("wide", numpy.ones(SHAPE))
        dx = ["--dx-out", self.path("out_dx.npy")]
        running = ["--running-mean", channel, "--running-var", channel]
        count, many = self.save("count", numpy.array(-1)), self.save("many", numpy.zeros(2, numpy.int64))

        def run(op, *words):
            return ["run", op, x, "--device", "scalar", *words]

        for status, about, words in (
            (1, "num_groups", run("group_norm", "--num-groups", "3", "-o", self.out)),
            (2, "num-groups", run("group_norm", "--num-groups", "many", "-o", self.out)),
            (2, "--gain", run("weight_standardization", "--gain", row, "--weight", row, "-o", self.out)),
            (2, "--gain", run("layer_norm", "--gain", row, "-o", self.out)),
            (2, "--running-var-kind", run("batch_norm", "--running-var-kind", "both", "-o", self.out)),
            (2, "--num-groups", run("layer_norm", "--num-groups", "2", "-o", self.out)),
            (2, "--scale", run("layer_norm", "--scale", row, "-o", self.out)),
            (2, "--weight", run("ada_layer_norm", "--weight", row, "-o", self.out)),
            (1, "scale", run("ada_layer_norm", "--scale", row, "-o", self.out)),
            (1, "weight", run("group_norm", "--weight", row, "-o", self.out)),
            (1, "axes", run("normalize", "--dim", "4", "-o", self.out)),
            (2, "axes", run("normalize", "--axes", "0,1,x", "-o", self.out)),
            (2, "--axes", run("normalize", "--dim", "1", "--axes", "1", "-o", self.out)),
            (2, "--dim", run("normalize", "--dim", "1,2", "-o", self.out)),
            (2, "--p", run("normalize", "--p", "3", "-o", self.out)),
            (2, "--eps-mode", run("normalize", "--eps-mode", "near", "-o", self.out)),
            (1, "eps_mode", run("normalize", "--eps-mode", "inside", "--p", "1", "-o", self.out)),
            (2, "--activation", run("layer_norm", "--activation", "tanh", "-o", self.out)),
            (2, "--use-input-stats", run("instance_norm", "--use-input-stats", "2", "-o", self.out)),
            (1, "virtual_batch", run("ghost_batch_norm", "--training", "-o", self.out)),
            (1, "virtual_batch", run("ghost_batch_norm", "--training", "--virtual-batch", "2", "-o", self.out)),
            (2, "--virtual-batch", run("batch_norm", "--training", "--virtual-batch", "1", "-o", self.out)),
            (1, "running_mean", run("batch_renorm", "--training", "-o", self.out)),
            (1, "r_max", run("batch_renorm", "--training", *running, "--r-max", "0.5", "-o", self.out)),
            (1, "d_max", run("batch_renorm", "--training", *running, "--d-max", "-1", "-o", self.out)),
            (1, "r", run("batch_renorm", "--training", "--backward", "--dy", x, *dx)),
            (1, "d", run("batch_renorm", "--training", "--backward", "--dy", x, "--r", channel, *dx)),
            (1, "r", run("batch_renorm", *running, "-o", self.out, "--r-out", self.path("out_r.npy"))),
            (2, "--r-out", run("batch_norm", "--training", "-o", self.out, "--r-out", self.path("out_r.npy"))),
            (1, "num_batches_tracked", run("batch_norm", "--training", *running, "--momentum", "none", "-o", self.out)),
            (1, "num_batches_tracked", run("batch_norm", "--training", *running, "--num-batches-tracked", count, "-o",
                                           self.out)),
            (1, "num_batches_tracked", run("batch_norm", "--training", *running, "--num-batches-tracked", many, "-o",
                                           self.out)),
            (1, "num_batches_tracked", run("batch_norm", "--training", *running, "--num-batches-tracked", channel, "-o",
                                           self.out)),
            (1, "num_batches_tracked", run("batch_norm", "--training", "-o", self.out, "--num-batches-tracked-out",
                                           self.path("out_n.npy"))),
            (1, "x", ["run", "layer_norm", many, "-o", self.out]),
            (1, "bias", run("batch_norm", *running, "--bias", many, "-o", self.out)),
            (2, "--momentum", run("batch_norm", "--training", *running, "--momentum", "nothing", "-o", self.out)),
            (1, "mean_weights", run("switchable_norm", "--training", "-o", self.out)),
            (1, "mean_weights", run("switchable_norm", "--training", "--mean-weights", channel, "--var-weights", channel,
                                    "-o", self.out)),
            (2, "--mean-weights", run("batch_norm", "--training", "--mean-weights", channel, "-o", self.out)),
            (1, "momentum", run("batch_norm", "--training", "--momentum", "2", "-o", self.out)),
            (1, "running_mean", run("batch_norm", "-o", self.out)),
            (1, "running_var", run("batch_norm", "--training", "--running-mean", channel, "-o", self.out)),
            (1, "running_mean", run("batch_norm", "--running-mean", channel, "--running-var", channel, "-o", self.out,
                                    "--running-mean-out", self.path("out_m.npy"))),
            (1, "running_mean", run("batch_norm", "--training", "-o", self.out, "--running-mean-out",
                                    self.path("out_m.npy"))),
            (1, "running_var", run("batch_norm", "--training", "--running-mean", channel, "--running-var", row, "-o",
                                   self.out)),
            (2, "--dy", run("layer_norm", "--dy", x, "-o", self.out)),
            (2, "--dx-out", run("layer_norm", *dx, "-o", self.out)),
            (2, "--dy", run("layer_norm", "--backward", *dx)),
            (2, "--output", run("layer_norm", "--backward", "--dy", x, "-o", self.out)),
            (2, "--dx-out", run("layer_norm", "--backward", "--dy", x)),
            (1, "dy", run("layer_norm", "--backward", "--dy", row, *dx)),
            (1, "dgate", run("layer_norm", "--backward", "--dy", x, "--dgate-out", self.path("out_g.npy"))),
            (1, "mean", run("layer_norm", "--backward", "--dy", x, "--mean", row, *dx)),
            (1, "dx", run("rms_norm", "--backward", "--dy", x, *dx, "--dresidual-out", dx[1], "--residual", x)),
            (1, "weight", ["run", "layer_norm", wide, "--dtype", "float64", "--weight", row, "-o", self.out]),
            (1, "x", run("layer_norm", "--dtype", "float64", "-o", self.out)),
            (1, "x", ["run", "group_norm", row, "-o", self.out]),
            (2, "with", ["bench", "group_norm", "--shape", "2x4x8", "--with", "scale"]),
            (2, "with", ["bench", "group_norm", "--shape", "2x4x8", "--with", "weights"]),
            (1, "num_groups", ["explain", "group_norm", "--shape", "2x4x8", "--num-groups", "3"]),
            (1, "x", ["bench", "batch_norm", "--shape", "8"]),
        ):
            self.refused(status, about, *words)
        for device in DEVICES:
            if device != "scalar":
                self.refused(1, "float64", "run", "group_norm", wide, "--dtype", "float64", "--device", device, "-o",
                             self.out)

    def test_explain_and_bench(self):
        for number, op in enumerate(sorted({case[0] for case in CASES})):
            plan = json.loads(self.good("explain", op, "--shape", "2x4x8x8", "--no-measure", "--json"))
            self.assertEqual((plan["op"], plan["shape"]), (op, "2x4x8x8"))
            result = json.loads(self.good("bench", op, "--shape", "2x4x8x8", "--device", one_of_devices(number),
                                          "--seconds", "0.02", "--json"))
            self.assertGreater(result["gbps"], 0)
        self.good("bench", "batch_norm", "--training", "--shape", "2x4x8x8", "--with", "running-mean,running-var,z",
                  "--device", "scalar", "--seconds", "0.02")
        self.good("bench", "group_norm", "--backward", "--shape", "2x4x8x8", "--dtype", "float64", "--device", "scalar",
                  "--seconds", "0.02")


if __name__ == "__main__":
    unittest.main()
