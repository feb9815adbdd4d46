"""oneDNN through its C interface (versions 2 and 3): layer norm, batch norm, and from version 3 RMS and group norm."""
import ctypes
import ctypes.util
import glob
import os
import sys
import time

import numpy as np

from comparison import cases
from comparison.worker import Unsupported

# Of dnnl_types.h.
CPU, IN_ORDER = 1, 1
TYPES = {"float16": 1, "bfloat16": 2, "float32": 3}
FORWARD_TRAINING, FORWARD_INFERENCE, BACKWARD = 64, 96, 128
SRC, DST, MEAN, VARIANCE, SCALE, SHIFT = 1, 17, 49, 50, 51, 52
DIFF_SRC, DIFF_DST, DIFF_SCALE, DIFF_SHIFT = 129, 145, 255, 256
RMS_FLAG = 32  # from version 3.6
DESCRIPTION = 8192  # bytes: more than any of version 2's structures


class Argument(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_int), ("memory", ctypes.c_void_p)]


class Version(ctypes.Structure):
    _fields_ = [("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int), ("hash", ctypes.c_char_p),
                ("cpu", ctypes.c_uint), ("gpu", ctypes.c_uint)]


def open_library():
    names = [ctypes.util.find_library("dnnl"), "libdnnl.so.3", "libdnnl.so.2",
             *glob.glob("/usr/lib/*/libdnnl.so.[23]"),
             *glob.glob(os.path.join(sys.prefix, "lib", "libdnnl.so.[23]"))]
    for name in (n for n in names if n):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    raise RuntimeError("libdnnl is not installed")


class Peer:
    REFUSALS = (Unsupported,)

    def __init__(self, _, __):
        self.lib = open_library()
        self.lib.dnnl_version.restype = ctypes.POINTER(Version)
        version = self.lib.dnnl_version().contents
        self.new = version.major >= 3
        if version.major not in (2, 3):
            raise RuntimeError(f"libdnnl has the unknown version {version.major}")
        self.version = f"{version.major}.{version.minor}.{version.patch}"
        self.scale, self.shift = (2, 4) if self.new else (8, 16)  # flags
        self.engine, self.stream = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("dnnl_engine_create", ctypes.byref(self.engine), CPU, ctypes.c_size_t(0))
        self.call("dnnl_stream_create", ctypes.byref(self.stream), self.engine, IN_ORDER)
        self.case = self.arrays = self.primitive = self.arguments = None
        self.kept = []

    def call(self, name, *words):
        if not hasattr(self.lib, name):
            raise Unsupported(f"oneDNN {self.version} has none")
        status = getattr(self.lib, name)(*words)
        if status:
            raise Unsupported(f"{name} gave {status}")

    def describe(self, array, dtype):
        """A description of memory: a structure in version 2, a handle in version 3."""
        rank = array.ndim
        dims = (ctypes.c_int64 * rank)(*array.shape)
        strides = (ctypes.c_int64 * rank)(*(s // array.itemsize for s in array.strides))
        if self.new:
            description = ctypes.c_void_p()
            self.call("dnnl_memory_desc_create_with_strides", ctypes.byref(description), rank, dims, TYPES[dtype],
                      strides)
        else:
            description = ctypes.create_string_buffer(DESCRIPTION)
            self.call("dnnl_memory_desc_init_by_strides", description, rank, dims, TYPES[dtype], strides)
        self.kept.append(description)
        return description

    def operation(self, case, kind, data, stat, hint):
        """A primitive's description. data and stat describe x (and all of its shape) and the statistics."""
        flags = self.scale | (self.shift if "bias" in case.inputs else 0) | (RMS_FLAG if case.op == "rms_norm" else 0)
        eps, result = ctypes.c_float(cases.EPS), ctypes.c_void_p()
        family = {"batch_norm": "batch", "group_norm": "group"}.get(case.op, "layer")
        direction = "backward" if kind == BACKWARD else "forward"
        if self.new:
            # diff_src, diff_dst, src, or src, dst; then statistics or groups.
            tensors = [data] * (3 if kind == BACKWARD else 2)
            extra = {"layer": [stat], "group": [ctypes.c_int64(cases.GROUPS)], "batch": []}[family]
            hints = [hint] if kind == BACKWARD else []
            self.call(f"dnnl_{family}_normalization_{direction}_primitive_desc_create", ctypes.byref(result),
                      self.engine, kind, *tensors, *extra, eps, ctypes.c_uint(flags), *hints, None)
            return result
        operation = ctypes.create_string_buffer(DESCRIPTION)
        tensors = [data] * (2 if kind == BACKWARD else 1) + ([stat] if family == "layer" else [])
        self.call(f"dnnl_{family}_normalization_{direction}_desc_init", operation, kind, *tensors, eps,
                  ctypes.c_uint(flags))
        self.call("dnnl_primitive_desc_create", ctypes.byref(result), operation, None, self.engine, hint)
        return result

    def memory(self, array, dtype):
        memory = ctypes.c_void_p()
        self.call("dnnl_memory_create", ctypes.byref(memory), self.describe(array, dtype), self.engine,
                  ctypes.c_void_p(array.ctypes.data))
        return memory

    def primitive_of(self, description, tensors):
        """A primitive with its arguments: argument -> (array, type)."""
        primitive = ctypes.c_void_p()
        self.call("dnnl_primitive_create", ctypes.byref(primitive), description)
        arguments = (Argument * len(tensors))(*((arg, self.memory(*t)) for arg, t in tensors.items()))
        return primitive, arguments

    def prepare(self, case, inputs):
        if not self.new and case.op in ("rms_norm", "group_norm"):
            raise Unsupported(f"oneDNN {self.version} has none")
        self.release()
        self.case = case
        a = self.arrays = dict(inputs)
        for t in case.outputs:
            a[t] = cases.place(case, np.ones(case.shape_of(t), cases.storage(case.dtype)))
        groups = {"batch_norm": case.shape[1:2], "group_norm": (case.shape[0], cases.GROUPS)}
        stat_shape = groups.get(case.op, case.shape[:-1])
        mean, variance = (np.ones(stat_shape, np.float32) for _ in range(2))
        # Parameters and their gradients are float32, whatever x is.
        wide = {t: cases.to_float(a[t]).astype(np.float32) for t in a if a[t].ndim == 1}
        self.arrays.update(wide)
        data, stat = self.describe(a["x"], case.dtype), self.describe(mean, "float32")
        kind = FORWARD_TRAINING if case.backward or case.op == "batch_norm" else FORWARD_INFERENCE
        forward = self.operation(case, kind, data, stat, None)
        y = np.empty_like(a["x"])
        tensors = {SRC: (a["x"], case.dtype), DST: (a.get("y", y), case.dtype), SCALE: (wide["weight"], "float32")}
        if "bias" in wide:
            tensors[SHIFT] = (wide["bias"], "float32")
        if kind == FORWARD_TRAINING:
            tensors.update({MEAN: (mean, "float32"), VARIANCE: (variance, "float32")})
        self.arrays.update({"mean": mean, "variance": variance, "forward": y})
        self.primitive, self.arguments = self.primitive_of(forward, tensors)
        if case.backward:
            self.run(1)
            backward = self.operation(case, BACKWARD, data, stat, forward)
            tensors.pop(DST)
            if self.new and case.op == "batch_norm":
                tensors.pop(SHIFT)
            tensors.update({DIFF_DST: (a["dy"], case.dtype), DIFF_SRC: (a["dx"], case.dtype),
                            DIFF_SCALE: (wide["dweight"], "float32")})
            if "dbias" in wide:
                tensors[DIFF_SHIFT] = (wide["dbias"], "float32")
            self.primitive, self.arguments = self.primitive_of(backward, tensors)

    def run(self, runs):
        execute, wait, status = self.lib.dnnl_primitive_execute, self.lib.dnnl_stream_wait, 0
        words = self.primitive, self.stream, len(self.arguments), self.arguments
        start = time.perf_counter()
        for _ in range(runs):
            status = status or execute(*words) or wait(self.stream)
        seconds = time.perf_counter() - start
        if status:
            raise RuntimeError(f"dnnl_primitive_execute gave {status}")
        return seconds

    def outputs(self):
        return {t: np.ascontiguousarray(cases.store(self.arrays[t], self.case.dtype) if self.arrays[t].ndim == 1
                                        else self.arrays[t]) for t in self.case.outputs}

    def release(self):
        """Handles of the last case are given back when the process ends: a few hundred bytes each."""
        self.arrays, self.kept = None, []
