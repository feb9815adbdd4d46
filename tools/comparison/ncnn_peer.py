"""ncnn, on the CPU or on Vulkan: from host memory to host memory, as its users call it."""
import os
import tempfile
import time

import ncnn
import numpy as np

from comparison import cases
from comparison.worker import Unsupported


def layer(case):
    """The layer's name and its parameters."""
    if case.op == "group_norm":
        return "GroupNorm", {0: cases.GROUPS, 1: case.channels, 2: cases.EPS, 3: 1}
    return {"layer_norm": "LayerNorm", "rms_norm": "RMSNorm"}[case.op], {0: case.channels, 1: cases.EPS, 2: 1}


class Peer:
    REFUSALS = (Unsupported,)

    def __init__(self, name, options):
        self.vulkan = name.endswith("-vulkan")
        self.threads = options["threads"]
        if self.vulkan and not ncnn.get_gpu_count():
            raise RuntimeError("no Vulkan device")
        self.version = ncnn.__version__
        self.case = self.net = self.mats = self.results = None

    def make_net(self, case, inputs):
        net = ncnn.Net()
        o = net.opt
        o.num_threads, o.use_vulkan_compute = self.threads, self.vulkan
        # float32 as asked for; its default is half precision where the processor has it.
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage",
                       "use_bf16_packed"):
            if hasattr(o, option):
                setattr(o, option, False)
        name, parameters = layer(case)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "n.param"), "w", encoding="ascii") as file:
                words = " ".join(f"{key}={value!r}" for key, value in parameters.items())
                file.write(f"7767517\n2 2\nInput x 0 1 x\n{name} y 1 1 x y {words}\n")
            with open(os.path.join(folder, "n.bin"), "wb") as file:
                for t in case.inputs[1:]:
                    file.write(inputs[t].tobytes())
            if net.load_param(os.path.join(folder, "n.param")) or net.load_model(os.path.join(folder, "n.bin")):
                raise Unsupported(f"no layer {name}")
        return net

    def prepare(self, case, inputs):
        if case.backward:
            raise Unsupported("no gradients")
        if case.op == "batch_norm":
            raise Unsupported("batch norm in inference alone")
        if case.dtype != "float32" or case.layout != "contiguous":
            raise Unsupported("contiguous float32 alone")
        self.release()
        self.case = case
        self.net = self.make_net(case, inputs)
        # It has no batch: images go one by one.
        pieces = [inputs["x"]] if case.rows else list(inputs["x"])
        # Copied: it takes memory that is not its own for its own, and ends the process.
        self.mats = [ncnn.Mat(piece).clone() for piece in pieces]

    def run(self, runs):
        net, mats = self.net, self.mats
        start = time.perf_counter()
        for _ in range(runs):
            self.results = []
            for mat in mats:
                extractor = net.create_extractor()
                extractor.input("x", mat)
                code, result = extractor.extract("y")
                if code:
                    raise RuntimeError(f"ncnn's extract gave {code}")
                self.results.append(result)
        return time.perf_counter() - start

    def outputs(self):
        return {"y": np.stack([np.array(result) for result in self.results]).reshape(self.case.shape)}

    def release(self):
        self.net = self.mats = self.results = None
