#!/usr/bin/env python3
"""Batch norm's relatives beside PyTorch's float64: values, gradients and running statistics over batch after batch.

    batch_values.py LIBRARY DEVICE...    LIBRARY is libnorma.so, a DEVICE is scalar, opencl, vulkan, ...

Batch norm is nn.BatchNorm, with a momentum and with None; ghost batch norm is the same module over the virtual batches one
after the other; batch renorm is its formula with r and d detached. The tolerance is relative to the largest magnitude of
what is compared: 2e-6 in float32, 1e-12 in float64.
"""
import sys

import numpy as np
import torch

import norma_c
from tally import run_devices

TOLERANCE = {"float32": 2e-6, "float64": 1e-12}
BATCHES = 3
SHAPES = ((6, 4, 5, 3), (12, 7), (8, 3, 900))
LIMITS = ((3.0, 5.0), (1.1, 0.2), (1.0, 0.0))  # r_max, d_max


class Peer:
    """The module in float64. momentum None: a cumulative mean."""

    def __init__(self, channels, momentum, weight, bias):
        self.norm = torch.nn.BatchNorm1d(channels, momentum=momentum).double()
        with torch.no_grad():
            self.norm.weight.copy_(weight)
            self.norm.bias.copy_(bias)

    def flat(self, x):
        return x.reshape(x.shape[0], x.shape[1], -1)

    def batch_norm(self, x):
        return self.norm(self.flat(x)).reshape(x.shape), {}

    def ghost_batch_norm(self, x, virtual_batch):
        return torch.cat([self.batch_norm(part)[0] for part in x.split(virtual_batch)]), {}

    def batch_renorm(self, x, r_max, d_max):
        flat, norm = self.flat(x), self.norm
        mean, var = flat.mean((0, 2)), flat.var((0, 2), unbiased=False)
        sd, running = (var + norm.eps).sqrt(), (norm.running_var + norm.eps).sqrt()
        r = (sd / running).clamp(1 / r_max, r_max).detach()
        d = ((mean - norm.running_mean) / running).clamp(-d_max, d_max).detach()
        self.batch_norm(x.detach())  # the running statistics
        wide = [t.reshape(1, -1, 1) for t in (mean, sd, r, d, norm.weight, norm.bias)]
        y = ((flat - wide[0]) / wide[1] * wide[2] + wide[3]) * wide[4] + wide[5]
        return y.reshape(x.shape), {"r": r, "d": d}


def compare(pairs, tolerance):
    """A complaint or None, and the largest error in units of the tolerance."""
    worst, complaint = 0.0, None
    for name, got, want in pairs:
        want = want.detach().numpy().reshape(got.shape)
        error = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)) / tolerance
        if not error <= 1 and not complaint:
            complaint = f"{name} is {error:.3g} of the tolerance off"
        worst = max(worst, error) if error == error else np.inf
    return complaint, worst


def run_case(library, op, shape, dtype, momentum, settings):
    generator = torch.Generator().manual_seed(len(shape) * 1000 + shape[0])

    def draw(*extents):
        return torch.randn(extents, generator=generator, dtype=torch.float64).to(getattr(torch, dtype)).double()
    weight, bias = draw(shape[1]), draw(shape[1])
    peer = Peer(shape[1], momentum, weight, bias)
    tensors = {"weight": weight.numpy().astype(dtype), "bias": bias.numpy().astype(dtype),
               "running_mean": np.zeros(shape[1], dtype), "running_var": np.ones(shape[1], dtype),
               "num_batches_tracked": np.zeros((), np.int64)}
    numbers = {**settings, "training": 1, "momentum": momentum or 0.0, "cumulative": int(momentum is None)}
    pairs = []
    for _ in range(BATCHES):
        # The module goes on from Norma's running statistics: r and d follow from them.
        with torch.no_grad():
            peer.norm.running_mean.copy_(torch.from_numpy(tensors["running_mean"]))
            peer.norm.running_var.copy_(torch.from_numpy(tensors["running_var"]))
        x, dy = (2 * draw(*shape) + 1).to(getattr(torch, dtype)).double().requires_grad_(), draw(*shape)
        want, saved = getattr(peer, op)(x, **settings)
        gradients = torch.autograd.grad(want, [x, peer.norm.weight, peer.norm.bias], dy)
        x32, dy32 = x.detach().numpy().astype(dtype), dy.numpy().astype(dtype)
        y, outputs = np.full_like(x32, np.nan), {name: np.full(shape[1], np.nan, dtype) for name in saved}
        library.run(op, {"x": x32, **tensors, **outputs, "y": y}, **numbers)
        pairs += [("y", y, want), *((name, outputs[name], saved[name]) for name in saved)]
        pairs += [(name, tensors[name].copy(), getattr(peer.norm, name).clone())
                  for name in ("running_mean", "running_var")]
        if int(tensors["num_batches_tracked"]) != int(peer.norm.num_batches_tracked):
            return f"num_batches_tracked is {tensors['num_batches_tracked']}", np.inf
        got = {"dx": np.full_like(x32, np.nan), "dweight": np.full_like(tensors["weight"], np.nan),
               "dbias": np.full_like(tensors["bias"], np.nan)}
        given = {name: t for name, t in tensors.items() if name in ("weight", "bias")}
        library.run(op, {"x": x32, **given, **outputs, "dy": dy32, **got}, direction=1, **{**settings, "training": 1})
        pairs += [(name, got[name], gradient) for name, gradient in zip(got, gradients)]
    return compare(pairs, TOLERANCE[dtype])


def run_all(library, tally):
    cases = [("batch_norm", {})]
    cases += [("ghost_batch_norm", {"virtual_batch": size}) for size in (2, 1)]
    cases += [("batch_renorm", {"r_max": r, "d_max": d}) for r, d in LIMITS]
    for op, settings in cases:
        for shape in SHAPES:
            # Not of two elements, whose gradient vanishes but for eps: half of the samples, or all.
            own = {k: shape[0] // v if k == "virtual_batch" else v for k, v in settings.items()}
            for momentum in (0.1, 1.0, None):
                for dtype in TOLERANCE:
                    if dtype == "float64" and not tally.device.startswith("scalar"):
                        continue
                    name = f"{op} {own} {shape} momentum {momentum} {dtype}"
                    try:
                        complaint, worst = run_case(library, op, shape, dtype, momentum, own)
                    except (norma_c.NormaError, KeyError) as error:
                        complaint, worst = error.args[0], np.inf
                    if complaint:
                        tally.failed(op, name, complaint)
                    else:
                        tally.passed(op, name, worst)


def main():
    if len(sys.argv) < 3:
        print("usage: batch_values.py LIBRARY DEVICE...", file=sys.stderr)
        return 2
    return run_devices(sys.argv[2:], lambda device: norma_c.Library(sys.argv[1], device), run_all)


if __name__ == "__main__":
    sys.exit(main())
