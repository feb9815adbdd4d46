"""Norma's C interface through ctypes, for tests that compare it with Python's frameworks.

The enumerations and the members of norma_problem are read from the headers, so they cannot drift apart.
"""
import ctypes
import os
import re

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_RANK = 8
DTYPES = {"float32": 1, "float16": 2, "bfloat16": 3, "float64": 4, "int8": 5, "float8_e4m3fn": 6, "int32": 7, "int64": 8}


def header(name):
    with open(os.path.join(ROOT, "include", "norma", name), encoding="utf-8") as f:
        return re.sub(r"//[^\n]*", "", f.read())


def enumerators(text, name, prefixes):
    """The enumeration's values by their names in lower case, less the first of the prefixes that a name has."""
    body = re.search(r"typedef enum " + name + r"\s*\{([^}]*)\}", text).group(1)
    values, at = {}, 0
    for part in (p.strip() for p in body.split(",") if p.strip()):
        word, _, value = (w.strip() for w in part.partition("="))
        at = int(value) if value else at
        prefix = next(p for p in prefixes if word.startswith(p))
        values[word[len(prefix):].lower()] = at
        at += 1
    return values


PROBLEM_H = header("problem.h")
OPS = enumerators(PROBLEM_H, "norma_op", ["NORMA_"])
ACTIVATIONS = enumerators(PROBLEM_H, "norma_activation", ["NORMA_ACTIVATION_", "NORMA_"])
EPS_MODES = enumerators(PROBLEM_H, "norma_eps_mode", ["NORMA_EPS_"])
STATUSES = enumerators(header("status.h"), "norma_status", ["NORMA_ERROR_", "NORMA_"])


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("rank", ctypes.c_int32), ("shape", ctypes.c_int64 * MAX_RANK),
                ("strides", ctypes.c_int64 * MAX_RANK), ("data", ctypes.c_void_p), ("buffer", ctypes.c_void_p),
                ("offset", ctypes.c_uint64), ("block_stride", ctypes.c_int64), ("channel_block", ctypes.c_int32)]


def problem_fields():
    body = re.search(r"typedef struct norma_problem \{(.*?)\} norma_problem;", PROBLEM_H, re.S).group(1)
    types = {"size_t": ctypes.c_size_t, "int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32,
             "double": ctypes.c_double, "const norma_tensor *": ctypes.POINTER(Tensor)}
    fields = []
    for line in (p.strip() for p in body.split(";") if p.strip()):
        kind, name = re.match(r"(const norma_tensor \*|\w+)\s*(\w+)$", line).groups()
        fields.append((name, types.get(kind, ctypes.c_int)))  # the others are enumerations
    return fields


class Problem(ctypes.Structure):
    _fields_ = problem_fields()


MEMBERS = {name for name, _ in Problem._fields_}


class ReturnedProblem(ctypes.Structure):
    """With room for a library whose norma_problem is larger than the headers say."""
    _fields_ = [("problem", Problem), ("room", ctypes.c_char * 4096)]


class ContextParams(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("device", ctypes.c_char_p), ("cache_dir", ctypes.c_char_p),
                ("memory_budget", ctypes.c_uint64), ("threads", ctypes.c_int32), ("invariant", ctypes.c_int32),
                ("log", ctypes.c_void_p), ("log_user", ctypes.c_void_p),
                ("vulkan", ctypes.c_void_p), ("opencl", ctypes.c_void_p), ("allocator", ctypes.c_void_p)]


class NormaError(RuntimeError):
    """A call of Norma's that failed; status is a name of STATUSES."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = next((name for name, value in STATUSES.items() if value == status), str(status))


class Packed:
    """A copy of an array [N, C, ...] with its channels in blocks: memory is [N, blocks, ..., block]."""

    def __init__(self, array, block, padding):
        self.shape, self.block = array.shape, block
        channels, blocks = array.shape[1], -(-array.shape[1] // block)
        whole = np.full((array.shape[0], blocks * block, *array.shape[2:]), padding, array.dtype)
        whole[:, :channels] = array
        split = whole.reshape(array.shape[0], blocks, block, *array.shape[2:])
        self.memory = np.ascontiguousarray(np.moveaxis(split, 2, -1))

    def _channels(self):
        flat = np.moveaxis(self.memory, -1, 2)
        return flat.reshape(self.shape[0], -1, *self.shape[2:])

    def unpacked(self):
        return np.ascontiguousarray(self._channels()[:, :self.shape[1]])

    def padding_is(self, value):
        return bool((self._channels()[:, self.shape[1]:] == value).all())

    def tensor(self):
        strides = [s // self.memory.itemsize for s in self.memory.strides]
        t = Tensor(dtype=DTYPES[self.memory.dtype.name], rank=len(self.shape), data=self.memory.ctypes.data,
                   block_stride=strides[1], channel_block=self.block)
        t.shape[:len(self.shape)] = self.shape
        t.strides[:len(self.shape)] = [strides[0], strides[-1], *strides[2:-1]]
        return t


def tensor_of(array):
    if isinstance(array, Packed):
        return array.tensor()
    t = Tensor()
    kind = "bfloat16" if array.dtype.name in ("bfloat16", "uint16") else array.dtype.name
    t.dtype = DTYPES[kind]
    t.rank = array.ndim
    for d in range(array.ndim):
        t.shape[d] = array.shape[d]
        # NumPy gives any stride, even a negative one, to a dimension of one element or none.
        t.strides[d] = array.strides[d] // array.itemsize if array.shape[d] > 1 else 1
    t.data = array.ctypes.data
    return t


def local_response_settings(size, alpha, beta, k, window=0):
    """local_response_norm's arguments as members of norma_problem; window: 0 as in PyTorch, 1 as in ONNX."""
    return {"local_size": size, "alpha": alpha, "beta": beta, "k": k, "window": window}


class Library:
    """One context on one device."""

    def __init__(self, path, device):
        self.lib = ctypes.CDLL(path)
        self.lib.norma_last_error.restype = ctypes.c_char_p
        self.lib.norma_problem_defaults.restype = ReturnedProblem
        self.lib.norma_problem_defaults.argtypes = [ctypes.c_int]
        self.lib.norma_run.argtypes = [ctypes.c_void_p, ctypes.POINTER(Problem)]
        params = ContextParams(size=ctypes.sizeof(ContextParams), device=device.encode())
        self.context = ctypes.c_void_p()
        self.check(self.lib.norma_context_create(ctypes.byref(params), ctypes.byref(self.context)))

    def check(self, status):
        if status != 0:
            raise NormaError(status, self.lib.norma_last_error().decode())

    def close(self):
        self.lib.norma_context_destroy(ctypes.byref(self.context))

    def run(self, op, tensors, **settings):
        """tensors: name -> NumPy array (a view of any strides; bfloat16 as ml_dtypes or uint16 with that name)."""
        if op not in OPS:
            raise KeyError(f"Norma has no operator {op}")
        problem = self.lib.norma_problem_defaults(OPS[op]).problem
        if problem.size != ctypes.sizeof(Problem):
            raise RuntimeError(f"norma_problem has {problem.size} bytes in the library, {ctypes.sizeof(Problem)} in "
                               "its headers: they are of different versions")
        for name in (*settings, *tensors):
            if name not in MEMBERS or name == "size":
                raise KeyError(f"norma_problem has no {name} to set")
        for name, value in settings.items():
            setattr(problem, name, value)
        kept = []
        for name, array in tensors.items():
            if array is not None:
                kept.append(tensor_of(array))
                setattr(problem, name, ctypes.pointer(kept[-1]))
        self.check(self.lib.norma_run(self.context, ctypes.byref(problem)))


def empty_like(array):
    """Filled with a value that no result is, so that an element that is not written is seen."""
    result = np.empty_like(array)
    result[...] = np.nan if array.dtype.kind == "f" else 0x7fc1
    return result
