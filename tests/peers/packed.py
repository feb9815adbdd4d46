#!/usr/bin/env python3
"""Packed channels beside PyTorch's float64: NumPy packs the inputs and unpacks what Norma leaves.

    packed.py LIBRARY DEVICE...    LIBRARY is libnorma.so, a DEVICE is scalar, opencl, vulkan, ...

Every tensor of x's shape is packed, each in blocks of its own size or none. The padding of the inputs is NaN, which must not
come through; that of the outputs has a value which must still be there. Batch and instance norm must have the bits of the
unpacked tensors. The tolerance is relative to the largest magnitude of what is compared: 4e-6.
"""
import sys

import numpy as np
import torch
from torch.nn import functional

import norma_c
from tally import run_devices

TOLERANCE = 4e-6
PADDING = np.float32(-12345.5)
SHAPES = ((2, 10, 5, 3), (3, 12, 7), (2, 20, 6, 4), (1, 3, 9), (2, 32, 4, 5))
# Blocks of x, y, addend, dy and dx; 1: not packed.
BLOCKS = ((4, 4, 4, 4, 4), (4, 8, 1, 16, 4), (1, 4, 8, 4, 1), (8, 1, 4, 1, 16))


class Operator:
    """Norma's settings, PyTorch's function of x, weight and bias, and whether the bits are those of unpacked tensors."""

    def __init__(self, op, settings, function, affine="channels", same_bits=False):
        self.op, self.settings, self.function, self.affine, self.same_bits = op, settings, function, affine, same_bits


def operators(shape):
    channels = shape[1]
    groups = [g for g in (1, 2, 3, 5, 8) if channels % g == 0]
    mean, var = torch.linspace(-1, 1, channels).double(), torch.linspace(0.5, 2, channels).double()
    given = {"running_mean": mean.float().numpy(), "running_var": var.float().numpy()}
    yield Operator("batch_norm", {"training": 1}, lambda x, w, b: functional.batch_norm(x, None, None, w, b, True),
                   same_bits=True), {}
    yield Operator("batch_norm", {"training": 0}, lambda x, w, b: functional.batch_norm(
        x, torch.from_numpy(given["running_mean"]).double(), torch.from_numpy(given["running_var"]).double(), w, b),
        same_bits=True), given
    yield Operator("instance_norm", {}, lambda x, w, b: functional.instance_norm(x, weight=w, bias=b), same_bits=True), {}
    for g in groups:
        yield Operator("group_norm", {"num_groups": g}, lambda x, w, b, g=g: functional.group_norm(x, g, w, b)), {}
    yield Operator("layer_norm", {"normalized_dims": len(shape) - 1},
                   lambda x, w, b: functional.layer_norm(x, shape[1:], w, b), affine="all"), {}
    yield Operator("normalize", {"axes": 2}, lambda x, w, b: functional.normalize(x, dim=1), affine="none"), {}
    yield Operator("local_response_norm", norma_c.local_response_settings(5, 0.1, 0.75, 1.0),
                   lambda x, w, b: functional.local_response_norm(x, 5, 0.1, 0.75, 1.0), affine="none"), {}


def compare(name, got, want, worst):
    want = want.detach().numpy()
    error = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)) / TOLERANCE
    if not error <= 1:
        raise ValueError(f"{name} is {error:.3g} of the tolerance off")
    return max(worst, error)


def unpack_all(outputs):
    unpacked = {}
    for name, packed in outputs.items():
        if not packed.padding_is(PADDING):
            raise ValueError(f"{name}: its padding was written")
        unpacked[name] = packed.unpacked()
    return unpacked


def run_both(library, operator, blocks, inputs, given, backward):
    """Norma's outputs for packed tensors, then for the same tensors unpacked."""
    sizes = dict(zip(("x", "y", "addend", "dy", "dx"), blocks))
    whole = {"dx": "x", "dweight": "weight", "dbias": "bias"} if backward else {"y": "x"}
    for unpacked in (False, True):
        tensors, outputs = dict(given), {}
        for name, array in inputs.items():
            packed = name in sizes and not unpacked
            tensors[name] = norma_c.Packed(array, sizes[name], np.float32(np.nan)) if packed else array
        for name, like in whole.items():
            if like not in inputs:
                continue
            if name in sizes and not unpacked:
                outputs[name] = norma_c.Packed(norma_c.empty_like(inputs[like]), sizes[name], PADDING)
            else:
                tensors[name] = norma_c.empty_like(inputs[like])
        library.run(operator.op, {**tensors, **outputs}, direction=int(backward), **operator.settings)
        result = {name: tensors[name] for name in whole if name in tensors and name not in outputs}
        yield {**result, **unpack_all(outputs)}


def run_case(library, operator, given, shape, blocks, backward):
    generator = torch.Generator().manual_seed(sum(shape) * 10 + blocks[0])

    def draw(*extents):
        return torch.randn(extents, generator=generator).double()
    affine = {"channels": (shape[1],), "all": shape[1:]}.get(operator.affine)
    x = draw(*shape) + 3
    leaves = {"x": x.requires_grad_()}
    if affine:
        leaves["weight"], leaves["bias"] = draw(*affine).requires_grad_(), draw(*affine).requires_grad_()
    addend, dy = draw(*shape), draw(*shape)
    y = operator.function(x, leaves.get("weight"), leaves.get("bias")) + addend
    inputs = {name: leaf.detach().float().numpy() for name, leaf in leaves.items()}
    inputs["addend"] = addend.float().numpy()
    want = {"y": y}
    if backward:
        inputs["dy"] = dy.float().numpy()
        gradients = torch.autograd.grad(y, list(leaves.values()), dy)
        want = {"d" + name: gradient for name, gradient in zip(leaves, gradients)}
    packed, unpacked = run_both(library, operator, blocks, inputs, given, backward)
    worst = 0.0
    for name, got in packed.items():
        worst = compare(name, got, want[name], worst)
        if operator.same_bits and got.tobytes() != np.ascontiguousarray(unpacked[name]).tobytes():
            raise ValueError(f"{name} has other bits than that of unpacked tensors")
    return worst


def run(library, tally):
    for shape in SHAPES:
        for blocks in BLOCKS:
            for operator, given in operators(shape):
                for backward in (False, True):
                    if backward and operator.op == "local_response_norm":
                        continue
                    name = f"{operator.op} {operator.settings} {shape} blocks {blocks} {'backward' if backward else ''}"
                    try:
                        tally.passed(operator.op, name, run_case(library, operator, given, shape, blocks, backward))
                    except (norma_c.NormaError, ValueError) as error:
                        tally.failed(operator.op, name, error)


def main():
    path, *devices = sys.argv[1:]
    sys.exit(run_devices(devices, lambda device: norma_c.Library(path, device), run))


if __name__ == "__main__":
    main()
