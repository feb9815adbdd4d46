#!/usr/bin/env python3
"""Batch norm over several devices (batch_norm_stats, _merge, _apply) beside PyTorch's batch_norm of the whole batch.

    steps.py LIBRARY DEVICE...    LIBRARY is libnorma.so, a DEVICE is scalar, opencl, vulkan, ...

A batch is cut along N into pieces, of equal sizes or not, some empty; the stats of all are merged and each piece is
normalised with them; backward likewise. Compared are y, the statistics, the running statistics (the same bits after
every piece) and the gradients, those of parameters added up over the pieces. What is expected is what PyTorch computes
from the whole batch in float64, gradients by its autograd. The tolerance is relative to the largest term of what a value
is made of, of a sum to the sum of the terms' magnitudes: 1e-6 in float32 (17 units of 2^-24), 1e-14 in float64.

On the scalar path, in float64, the gradients of every input are also compared with central differences of forward
through all three steps, as in gradients.py.
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F

import norma_c
from gradients import DIFFERENCE_TOLERANCE, TOLERANCE as GRADIENT_TOLERANCE, VANISHES, difference
from tally import run_devices

TOLERANCE = {"float32": 1e-6, "float64": 1e-14}
OWN_ERROR = 2.0**-49  # of PyTorch's float64
EPS, MOMENTUM = 1e-5, 0.3
WHOLE = ("x", "residual", "z", "addend")     # have a sample's part in each piece
BEFORE = ("residual", "gate", "input_bias")  # part of the statistics
ACTIVATIONS = {"none": lambda v: v, "relu": torch.relu, "silu": F.silu, "gelu": F.gelu, "sigmoid": torch.sigmoid}


class Steps:
    """The three steps over the pieces of a batch. tensors: by Norma's names, of the whole batch."""

    def __init__(self, library, tensors, sizes, **settings):
        self.library, self.tensors = library, tensors
        ends = np.cumsum([0, *sizes])
        self.pieces = [slice(a, b) for a, b in zip(ends, ends[1:])]
        self.settings = {"eps": EPS, **settings}
        self.channels, self.dtype = tensors["x"].shape[1], tensors["x"].dtype
        self.stats = self.sums = None

    def empty(self, *shape):
        return np.full(shape, np.nan, self.dtype)

    def piece(self, names, piece):
        return {name: self.tensors[name][piece] if name in WHOLE else self.tensors[name]
                for name in names if name in self.tensors}

    def forward(self, **outputs):
        """y; outputs: further ones of batch_norm_apply, each a list with an array for each piece."""
        early = ("x", *BEFORE, *(["z"] if self.settings.get("z_first") else []))
        parts = self.empty(len(self.pieces), 5, self.channels)
        for part, piece in zip(parts, self.pieces):
            self.library.run("batch_norm_stats", {**self.piece(early, piece), "stats": part}, **self.settings)
        self.stats = self.empty(5, self.channels)
        self.library.run("batch_norm_merge", {"parts": parts, "stats": self.stats}, eps=EPS)
        y = np.full_like(self.tensors["x"], np.nan)
        for i, piece in enumerate(self.pieces):
            more = {name: arrays[i] for name, arrays in outputs.items()}
            self.library.run("batch_norm_apply", {**self.piece(self.tensors, piece), "stats": self.stats,
                                                  "y": y[piece], **more}, momentum=MOMENTUM, **self.settings)
        return y

    def backward(self, dy, dsum=None):
        """Gradients of all tensors, by "d" + name."""
        incoming = {"dy": dy} if dsum is None else {"dy": dy, "dsum": dsum}
        parts = self.empty(len(self.pieces), 2, self.channels)
        gradients = {"d" + name: np.zeros_like(t) for name, t in self.tensors.items()}
        for part, piece in zip(parts, self.pieces):
            own = {name: self.empty(self.channels) for name in ("dweight", "dbias") if name in gradients}
            self.library.run("batch_norm_stats", {**self.piece(self.tensors, piece), "dy": dy[piece],
                                                  "stats": self.stats, "sums": part, **own}, direction=1,
                             **self.settings)
            for name, gradient in own.items():
                gradients[name] += gradient
        self.sums = self.empty(2, self.channels)
        self.library.run("batch_norm_merge", {"parts": parts, "sums": self.sums}, direction=1)
        names = [name for name in self.tensors if name not in ("weight", "bias")]
        for piece in self.pieces:
            own = {"d" + name: np.full_like(t, np.nan) for name, t in self.piece(names, piece).items()}
            self.library.run("batch_norm_apply", {**self.piece(self.tensors, piece), "stats": self.stats,
                                                  "sums": self.sums, **{n: t[piece] for n, t in incoming.items()},
                                                  **own}, direction=1, **self.settings)
            for name, gradient in own.items():
                if name[1:] in WHOLE:
                    gradients[name][piece] = gradient
                else:
                    gradients[name] += gradient
        return gradients


def make(shape, names, seed, dtype, offset=0.0):
    random = np.random.default_rng(seed)
    tensors = {}
    for name in ("x", *names):
        size = shape if name in WHOLE else shape[1:2]
        values = random.normal(size=size) * (1 if name in WHOLE else 0.5) + (name in ("weight", "gate"))
        if name == "x":
            values = values * (1 + np.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2))) + offset
        tensors[name] = values.astype(dtype)
    return tensors


def compare(got, want, allowed):
    """The largest error in units of what is allowed; inf where something is no number."""
    error = np.abs(got.astype(np.float64) - want)
    return float(np.where(np.isnan(error), np.inf, error).max(initial=0) / allowed)


def expected(tensors, dy, tolerance, activation, z_activation, z_first, running):
    """What PyTorch makes of the whole batch: values, and what they may be off by."""
    wide = {name: torch.tensor(t, dtype=torch.float64, requires_grad=True) for name, t in tensors.items()}
    per_channel = [-1, *[1] * (wide["x"].dim() - 2)]
    h = wide["x"] + wide["input_bias"].reshape(per_channel) if "input_bias" in wide else wide["x"]
    h = h * wide["gate"].reshape(per_channel) if "gate" in wide else h
    h = h + wide["residual"] if "residual" in wide else h
    factor = ACTIVATIONS[z_activation](wide["z"]) if "z" in wide else 1
    after = [torch.tensor(t, dtype=torch.float64) for t in running]
    t = h * factor if z_first else h
    v = F.batch_norm(t, *after, wide.get("weight"), wide.get("bias"), True, MOMENTUM, EPS)
    v = v if z_first else v * factor
    v = v + wide["addend"] if "addend" in wide else v
    v.retain_grad()
    y = ACTIVATIONS[activation](v)
    y.backward(torch.tensor(dy, dtype=torch.float64))
    dims = [d for d in range(y.dim()) if d != 1]
    with torch.no_grad():
        # PyTorch's variance loses digits to a large mean.
        exact = t.numpy().astype(np.longdouble)
        mean = torch.tensor(exact.mean(tuple(dims)).astype(np.float64))
        var = torch.tensor(exact.var(tuple(dims)).astype(np.float64))
        rstd = torch.rsqrt(var + EPS)
        xhat = (t - mean.reshape(per_channel)) * rstd.reshape(per_channel)
        dv = (v.grad * (1 if z_first else factor)).abs()
        weight = wide["weight"].abs().max() if "weight" in wide else 1.0
    values = {"y": y, "mean": mean, "rstd": rstd, "running_mean": after[0], "running_var": after[1]}
    values.update({"d" + name: tensor.grad for name, tensor in wide.items()})
    largest = (wide["x"].detach().abs().max() + 1) * rstd.max()
    dx = dv.max() * weight * rstd.max() * (1 + xhat.abs().max())
    count = y.numel() // y.shape[1]
    terms = {"y": xhat.abs().max() * weight + 1, "mean": mean.abs() + var.sqrt(), "dx": dx, "dinput_bias": count * dx,
             "dgate": count * dx * largest, "dweight": (dv * (xhat.abs() + 1)).sum(dims),
             "dbias": dv.sum(dims)}
    # PyTorch multiplies x by rstd before it takes the mean off, and adds the terms of a sum one after the other.
    own = {"y": largest * weight, "dx": dv.max() * weight * rstd.max() * largest**2,
           "dweight": count**0.5 * dv.max() * largest, "dbias": count**0.5 * dv.max()}
    allowed = {}
    for name, value in values.items():
        scale = max(float(value.detach().abs().max()), float(terms[name].max()) if name in terms else 0.0)
        allowed[name] = tolerance * scale + OWN_ERROR * max(scale, float(own.get(name, 0)))
    return {name: value.detach().numpy() for name, value in values.items()}, allowed


# Shape, sizes of the pieces, tensors beside x, settings, an offset of x.
CASES = [
    ((6, 4, 5, 3), (6,), ("weight", "bias"), {}, 0),
    ((6, 4, 5, 3), (3, 3), ("weight", "bias"), {"activation": "relu"}, 0),
    ((7, 3, 41, 13), (1, 4, 0, 2), ("weight", "bias"), {}, 100),
    ((9, 5), (2, 3, 4), (), {"activation": "silu"}, 0),
    ((8, 3, 700), (5, 3), ("weight",), {}, 1e4),
    ((70, 2, 9), (1,) * 70, ("weight", "bias", "addend"), {"activation": "relu"}, 0),
    ((150, 3, 2), (2,) * 75, ("bias", "z"), {"z_activation": "sigmoid"}, -3),
    ((5, 2, 4500), (2, 2, 1), ("weight", "bias", "z", "addend"), {"activation": "gelu"}, 0),
]
# float64 alone: float32 rounds h before its statistics.
WIDE_CASES = [
    ((6, 3, 7), (2, 4), ("weight", "bias", "residual", "gate", "input_bias"), {"activation": "silu"}, 0),
    ((6, 3, 7), (1, 5), ("weight", "residual", "z"), {"z_first": True, "z_activation": "silu"}, 0),
]


def settings_of(case):
    return {"activation": "none", "z_activation": "silu", "z_first": False, **case[3]}


def run_settings(settings):
    return {"activation": norma_c.ACTIVATIONS[settings["activation"]],
            "z_activation": norma_c.ACTIVATIONS[settings["z_activation"]], "z_first": int(settings["z_first"])}


def run_case(library, case, dtype):
    """(complaint, the largest error in units of the tolerance)"""
    shape, sizes, names, _, offset = case
    settings = settings_of(case)
    tensors = make(shape, names, len(shape) * shape[0], dtype, offset)
    random = np.random.default_rng(3)
    dy = random.normal(size=shape).astype(dtype)
    before = [random.normal(size=shape[1]).astype(dtype), random.uniform(0.5, 2, shape[1]).astype(dtype)]
    want, allowed = expected(tensors, dy, TOLERANCE[np.dtype(dtype).name], running=before, **settings)
    steps = Steps(library, tensors, sizes, **run_settings(settings))
    saved = {name: [np.full(shape[1], np.nan, dtype) for _ in sizes] for name in ("mean", "rstd")}
    running = {name: [t.copy() for _ in sizes] for name, t in zip(("running_mean", "running_var"), before)}
    got = {"y": steps.forward(**saved, **running)}
    for name, copies in {**saved, **running}.items():
        if any(not np.array_equal(copy, copies[0]) for copy in copies):
            return f"{name} differs from piece to piece", np.inf
        got[name] = copies[0]
    got.update(steps.backward(dy))
    worst, complaint = 0.0, None
    for name, values in got.items():
        error = compare(values, want[name], allowed[name])
        if not error <= 1 and not complaint:
            complaint = f"{name}: {error:.3g} of the tolerance"
        worst = max(worst, error)
    return complaint, worst


def run_differences(library, case):
    """The same of gradients and central differences, in float64."""
    shape, sizes, names, _, _ = case
    settings = run_settings(settings_of(case))
    tensors = make(shape, names, 11, np.float64)
    random = np.random.default_rng(5)
    dy, dsum = random.normal(size=shape), random.normal(size=shape)
    steps = Steps(library, tensors, sizes, **settings)

    def loss():
        total = [np.full_like(tensors["x"][piece], np.nan) for piece in steps.pieces]
        return np.vdot(steps.forward(sum=total), dy) + np.vdot(np.concatenate(total), dsum)

    slopes = {name: difference(loss, t) for name, t in tensors.items()}
    loss()
    worst, complaint = 0.0, None
    for name, gradient in steps.backward(dy, dsum).items():
        right, error = slopes[name[1:]]
        size = np.abs(right).max()
        if not (size > VANISHES and error <= DIFFERENCE_TOLERANCE * size):
            return f"{name}: the difference says nothing", np.inf
        ratio = compare(gradient, right, GRADIENT_TOLERANCE * size)
        if not ratio <= 1 and not complaint:
            complaint = f"{name}: {ratio:.3g} of the tolerance from central differences"
        worst = max(worst, ratio)
    return complaint, worst


# Activations without a kink.
DIFFERENCES = [
    ((4, 2, 3), (1, 3), ("weight", "bias"), {"activation": "silu"}, 0),
    ((5, 2, 2), (2, 0, 3), ("weight", "bias", "residual", "gate", "input_bias", "z", "addend"),
     {"activation": "gelu"}, 0),
    ((5, 2, 2), (3, 2), ("weight", "bias", "residual", "gate", "input_bias", "z", "addend"),
     {"z_first": True, "z_activation": "sigmoid"}, 0),
    ((6, 3), (1, 2, 3), (), {}, 0),
]


def attempt(tally, operator, name, function, *arguments):
    try:
        complaint, worst = function(*arguments)
    except (norma_c.NormaError, RuntimeError, KeyError) as error:
        complaint, worst = error.args[0], np.inf
    if complaint:
        tally.failed(operator, name, complaint)
    else:
        tally.passed(operator, name, worst)


def run_all(library, tally):
    scalar = tally.device.startswith("scalar")
    for dtype in (np.float32, np.float64) if scalar else (np.float32,):
        for case in [*CASES, *(WIDE_CASES if dtype == np.float64 else ())]:
            name = f"{np.dtype(dtype).name} {case[0]} {case[1] if len(case[1]) < 9 else len(case[1])} {case[2]}"
            attempt(tally, "pieces", name, run_case, library, case, dtype)
    for case in DIFFERENCES if scalar else ():
        attempt(tally, "differences", f"differences {case[0]} {case[1]} {case[2]}", run_differences, library, case)


def main():
    if len(sys.argv) < 3:
        print("usage: steps.py LIBRARY DEVICE...", file=sys.stderr)
        return 2
    return run_devices(sys.argv[2:], lambda device: norma_c.Library(sys.argv[1], device), run_all)


if __name__ == "__main__":
    sys.exit(main())
