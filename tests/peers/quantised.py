#!/usr/bin/env python3
"""Norma's quantised outputs and counts beside PyTorch's norms and quantisation, and ml_dtypes' float8_e4m3fn.

    quantised.py LIBRARY DEVICE...    LIBRARY is libnorma.so, a DEVICE is scalar, opencl, vulkan, ...

First batch norm that changes nothing (mean 0, variance 1), so that what is quantised is known to the last bit: each
of the types' numbers, the middles between them, what lies next to these and what lies far beyond. Then PyTorch's
norms in float64, with scales that are given and with one that is found for each statistics group. A code may be one
step off where y/scale lies within 2e-5 of itself of the boundary; how often is counted.
"""
import sys

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F

import norma_c
from tally import run_devices

TOLERANCE = 2e-5
TYPES = {"int8": (np.int8, 127), "float8_e4m3fn": (ml_dtypes.float8_e4m3fn, 448)}


def quantise(kind, quotients):
    """Codes of float32 numbers."""
    if kind == "int8":
        values = torch.from_numpy(np.nan_to_num(quotients, nan=0.0, posinf=1e30, neginf=-1e30))
        # quint8 and qint8 divide by the scale and round to even; what does not fit an int32 is cut before.
        return torch.quantize_per_tensor(values.clamp(-1000, 1000), 1.0, 0, torch.qint8).int_repr().numpy()
    cut = np.where(np.isnan(quotients), quotients, np.clip(quotients, -448, 448))  # ml_dtypes does not saturate
    return cut.astype(ml_dtypes.float8_e4m3fn)


def codes_like(kind, shape):
    return np.full(shape, 0x55, np.uint8).view(TYPES[kind][0])


def boundaries(kind):
    """Positive numbers of the type with their middles and the float32 neighbours of all of them."""
    if kind == "int8":
        exact = np.arange(0, 130, dtype=np.float32)
    else:
        exact = np.append(np.arange(0, 127, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32), 480)
        exact = exact.astype(np.float32)
    middles = (exact[1:] + exact[:-1]) / 2
    values = np.concatenate([exact, middles, [1e5, 3e38, np.inf, 1e-30]]).astype(np.float32)
    near = np.concatenate([values, np.nextafter(values, np.float32(0)), np.nextafter(values, np.float32(np.inf))])
    return np.concatenate([near, -near, [np.nan]]).astype(np.float32)


def check_exact(library, kind):
    x = boundaries(kind)[:, None]
    y, zero, one = codes_like(kind, x.shape), np.zeros(1, np.float32), np.ones(1, np.float32)
    for scale in (1, 2.0**-4, 2.0**5):
        with np.errstate(over="ignore"):
            scaled = x * np.float32(scale)
        library.run("batch_norm", {"x": scaled, "y": y, "running_mean": zero, "running_var": one,
                                   "y_scale": np.full(1, scale, np.float32)}, eps=0.0)
        want = quantise(kind, scaled / np.float32(scale))
        same = (y == want) | (np.isnan(y.astype(np.float32)) & np.isnan(want.astype(np.float32)))
        if not same.all():
            at = int(np.argmin(same[:, 0]))
            return f"{x[at, 0]!r} becomes {y[at, 0]!r}, expected {want[at, 0]!r}"
    return None


def check_codes(kind, got, y, scale):
    """(complaint, codes that are one step off) of codes beside y/scale, in float64."""
    q = y / scale
    low, high = (quantise(kind, (q * (1 + sign * TOLERANCE)).astype(np.float32)) for sign in (-1, 1))
    low, high, wide = (t.astype(np.float64) for t in (low, high, got))
    inside = (np.minimum(low, high) <= wide) & (wide <= np.maximum(low, high))
    if not inside.all():
        at = np.unravel_index(np.argmin(inside), inside.shape)
        return f"{q[at]!r} becomes {wide[at]!r}", 0
    return None, int((wide != quantise(kind, q.astype(np.float32)).astype(np.float64)).sum())


def cases():
    """(operator, settings, tensors, y, the axes of a group)"""
    torch.manual_seed(3)

    def normal(*shape):
        return torch.randn(shape, dtype=torch.float64).float().double()

    for shape in ((7, 768), (3, 5, 9001)):
        x, w, b = normal(*shape), normal(shape[-1]), normal(shape[-1])
        yield ("layer_norm", {}, {"x": x, "weight": w, "bias": b}, F.layer_norm(x, shape[-1:], w, b),
               (len(shape) - 1,))
        yield ("rms_norm", {"activation": norma_c.ACTIVATIONS["silu"]}, {"x": x, "weight": w},
               F.silu(x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w), (len(shape) - 1,))
    x, w, b = normal(3, 12, 14, 13), normal(12), normal(12)
    for memory in (torch.contiguous_format, torch.channels_last):
        x = x.to(memory_format=memory)
        yield ("instance_norm", {}, {"x": x, "weight": w, "bias": b}, F.instance_norm(x, weight=w, bias=b), (2, 3))
        yield ("batch_norm", {"training": 1}, {"x": x, "weight": w, "bias": b},
               F.batch_norm(x, None, None, w, b, training=True), (0, 2, 3))
        yield "normalize", {"axes": 2}, {"x": x}, F.normalize(x, 2, 1), (1,)
        z, addend = normal(3, 12, 14, 13), normal(3, 12, 14, 13)
        settings = norma_c.local_response_settings(4, 0.5, 0.75, 2.0)
        yield ("local_response_norm", {**settings, "activation": norma_c.ACTIVATIONS["gelu"]},
               {"x": x, "z": z, "addend": addend},
               F.gelu(F.local_response_norm(x, 4, 0.5, 0.75, 2.0) * F.silu(z) + addend), (1,))


def check_case(library, kind, op, settings, tensors, y, axes):
    """(complaint, share of codes that are one step off)"""
    arrays = {name: t.float().numpy() for name, t in tensors.items()}
    y, limit, off = y.numpy(), TYPES[kind][1], 0
    x = arrays["x"]
    codes = codes_like(kind, y.shape)
    if x.strides != codes.strides:  # y in x's layout
        codes = np.empty_like(x, dtype=np.uint8).view(TYPES[kind][0])
    statistics = tuple(n for d, n in enumerate(x.shape) if d not in axes)
    largest = np.abs(y).max(axes)
    dynamic, counts = np.full(statistics, np.nan, np.float32), np.full(statistics, -1, np.int32)
    given = (largest / limit * 0.7).astype(np.float32)  # some saturate
    for scale, more in ((given, {}), (dynamic, {"dynamic_scale": 1})):
        if more and op == "local_response_norm":  # no statistics groups
            continue
        library.run(op, {**arrays, "y": codes, "y_scale": scale, "nonfinite": counts}, **settings, **more)
        if more and not np.allclose(scale, largest / limit, rtol=1e-6, atol=0):
            return "another scale than the largest |y| gives", 0
        if counts.any():
            return "counts of what is not there", 0
        complaint, moved = check_codes(kind, codes, y, np.expand_dims(scale.astype(np.float64), axes))
        off += moved
        if complaint:
            return complaint, 0
    spoilt = x.copy()
    spoilt.reshape(-1)[::97] = [np.nan if i % 2 else np.inf for i in range(len(spoilt.reshape(-1)[::97]))]
    library.run(op, {**arrays, "x": spoilt, "y": codes, "y_scale": given, "nonfinite": counts}, **settings)
    if (counts != (~torch.isfinite(torch.from_numpy(spoilt))).sum(axes).numpy()).any():
        return "another count than PyTorch's isfinite has", 0
    return None, off / (2 * y.size)


def run(library, tally):
    for kind in TYPES:
        complaint = check_exact(library, kind)
        if complaint:
            tally.failed(kind, f"{kind} exact", complaint)
        else:
            tally.passed(kind, f"{kind} exact", 0)
        for op, settings, tensors, y, axes in cases():
            name = f"{op} {tuple(y.shape)} {kind}"
            complaint, off = check_case(library, kind, op, settings, tensors, y, axes)
            if complaint or off > 1e-3:
                tally.failed(op, name, complaint or f"{off:.3g} of the codes are one step off")
            else:
                tally.passed(op, name, off / 1e-3)


def main():
    if len(sys.argv) < 3:
        print("usage: quantised.py LIBRARY DEVICE...", file=sys.stderr)
        return 2
    return run_devices(sys.argv[2:], lambda device: norma_c.Library(sys.argv[1], device), run)


if __name__ == "__main__":
    sys.exit(main())
