"""PyTorch, on the CPU or on CUDA: eager, or compiled (the name ends in -compile). It allocates its output in each call."""
import time

import torch
from torch.nn import functional

from comparison import cases
from comparison.worker import Unsupported

TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SWEEP_BYTES = 512 << 20  # more than the caches of any GPU known to us


def composed_rms_norm(x, shape, weight, eps):
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.float()).to(x.dtype)


RMS_NORM = getattr(functional, "rms_norm", composed_rms_norm)


def forward(case, t):
    if case.op == "layer_norm":
        return functional.layer_norm(t["x"], case.shape[-1:], t["weight"], t["bias"], cases.EPS)
    if case.op == "rms_norm":
        return RMS_NORM(t["x"], case.shape[-1:], t["weight"], eps=cases.EPS)
    if case.op == "group_norm":
        return functional.group_norm(t["x"], cases.GROUPS, t["weight"], t["bias"], cases.EPS)
    return functional.batch_norm(t["x"], None, None, t["weight"], t["bias"], True, 0.0, cases.EPS)


def to_torch(array, dtype, device):
    if dtype == "bfloat16":
        return torch.from_numpy(array.view("int16")).to(device).view(torch.bfloat16)
    return torch.from_numpy(array).to(device)


def to_numpy(tensor):
    tensor = tensor.detach().contiguous().cpu()
    return tensor.view(torch.int16).numpy().view("uint16") if tensor.dtype == torch.bfloat16 else tensor.numpy()


class Peer:
    REFUSALS = (Unsupported, RuntimeError)  # '"..." not implemented for Half'

    def __init__(self, name, options):
        self.cuda = "cuda" in name
        self.compiled = name.endswith("-compile")
        torch.set_num_threads(options["threads"])
        if self.cuda and not torch.cuda.is_available():
            raise RuntimeError("no CUDA device")
        if self.compiled and not hasattr(torch, "compile"):
            raise RuntimeError(f"PyTorch {torch.__version__} has no torch.compile")
        self.device = torch.device("cuda" if self.cuda else "cpu")
        self.version = torch.__version__ + (f" on {torch.cuda.get_device_name()}" if self.cuda else "")
        self.case = self.tensors = self.call = self.graph = self.result = None
        self.swept = torch.ones(SWEEP_BYTES, dtype=torch.uint8, device=self.device) if self.cuda else None
        if self.cuda:
            self.sweep = self.sweep_gpu

    def prepare(self, case, inputs):
        self.release()
        self.case = case
        t = self.tensors = {name: to_torch(array, case.dtype, self.device) for name, array in inputs.items()}
        work = torch.compile(forward, dynamic=False) if self.compiled else forward
        if not case.backward:
            def call():
                with torch.inference_mode():
                    return (work(case, t),)
        else:
            wanted = [t[name[1:]].requires_grad_() for name in case.outputs]
            y = work(case, t)  # once: what a training step keeps from forward

            def call():
                return torch.autograd.grad(y, wanted, t["dy"], retain_graph=True)
        self.call = call

    def run(self, runs):
        call, result = self.call, None
        if self.cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(runs):
            result = call()
        if self.cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        self.result = result
        return seconds

    def sweep_gpu(self):
        self.swept.zero_()

    def outputs(self):
        self.run(1)
        return {name: to_numpy(tensor) for name, tensor in zip(self.case.outputs, self.result)}

    def release(self):
        self.tensors = self.call = self.result = None
