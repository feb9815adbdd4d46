"""A Triton kernel as one writes it by hand: a program a row, the whole row in registers, two passes over them. Forward."""
import time

import torch
import triton
import triton.language as tl

from comparison import cases, torch_peer
from comparison.worker import Unsupported

MOST = 65536  # elements of a row that one program holds


@triton.jit
def norm(x, y, weight, bias, columns, eps, RMS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    values = tl.load(x + row * columns + at, mask=inside, other=0).to(tl.float32)
    if not RMS:
        mean = tl.sum(values, axis=0) / columns
        values = tl.where(inside, values - mean, 0)
    rstd = 1 / tl.sqrt(tl.sum(values * values, axis=0) / columns + eps)
    result = values * rstd * tl.load(weight + at, mask=inside, other=0).to(tl.float32)
    if not RMS:
        result += tl.load(bias + at, mask=inside, other=0).to(tl.float32)
    tl.store(y + row * columns + at, result.to(y.dtype.element_ty), mask=inside)


class Peer(torch_peer.Peer):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.version = triton.__version__

    def prepare(self, case, inputs):
        if case.backward or not case.rows or case.shape[-1] > MOST:
            raise Unsupported(f"forward of rows of up to {MOST} alone")
        self.release()
        self.case = case
        t = self.tensors = {name: torch_peer.to_torch(array, case.dtype, self.device) for name, array in inputs.items()}
        y = torch.empty_like(t["x"])
        block = triton.next_power_of_2(case.shape[-1])
        warps = min(max(block // 256, 1), 16)

        def call():
            norm[(case.shape[0],)](t["x"], y, t["weight"], t.get("bias", t["weight"]), case.shape[-1], cases.EPS,
                                   RMS=case.op == "rms_norm", BLOCK=block, num_warps=warps)
            return (y,)
        self.call = call
