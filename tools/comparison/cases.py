"""What is compared: the operators and shapes, their inputs, and what is right to within which bound.

The reference is float64 arithmetic from the formulas; the bounds are those that Norma promises (u is 2**-24):
  forward   8u * ((|xhat| + 1) * |weight| + |bias|)
  dx       16u * rstd * (|g| + mean|g| + |xhat| * mean|g * xhat|), g = dy * weight
  dweight  16u * sum|dy * xhat|, and dbias 16u * sum|dy|
and half an ulp of a 16-bit type on top of each.
"""
import dataclasses
import zlib

import numpy as np

ROWS = ["4096x768", "16384x768", "8192x1024", "2048x4096", "262144x64", "64x262144", "2x1048576", "1x768", "32x768",
        "1x4096", "1x8192", "8x4096", "40x128", "8x128"]
IMAGES = [("batch_norm", "32x64x56x56"), ("group_norm", "8x320x64x64"), ("batch_norm", "256x2048x7x7")]
DTYPES = ["float32", "float16", "bfloat16"]
EPS = 1e-5
GROUPS = 32
QUICK_ELEMENTS = 65536
U = 2.0 ** -24


@dataclasses.dataclass(frozen=True)
class Case:
    op: str
    shape: tuple
    dtype: str
    direction: str
    layout: str = "contiguous"

    @property
    def name(self):
        words = [self.op, "x".join(map(str, self.shape)), *(["channels_last"] * (self.layout != "contiguous")),
                 self.dtype, self.direction]
        return " ".join(words)

    @property
    def backward(self):
        return self.direction == "backward"

    @property
    def rows(self):
        """Whether the last dimension is normalised."""
        return self.op in ("layer_norm", "rms_norm")

    @property
    def channels(self):
        """Elements of weight."""
        return self.shape[-1] if self.rows else self.shape[1]

    @property
    def inputs(self):
        return ["x", "weight"] + ([] if self.op == "rms_norm" else ["bias"]) + (["dy"] if self.backward else [])

    @property
    def outputs(self):
        if not self.backward:
            return ["y"]
        return ["dx", "dweight"] + ([] if self.op == "rms_norm" else ["dbias"])

    def shape_of(self, tensor):
        return self.shape if tensor in ("x", "y", "dx", "dy") else (self.channels,)

    @property
    def bytes(self):
        """Each input and each output once; backward needs no bias, but has one in Norma's problem."""
        count = sum(int(np.prod(self.shape_of(t))) for t in self.inputs + self.outputs)
        return count * (4 if self.dtype == "float32" else 2)

    @staticmethod
    def parse(fields):
        return Case(**{**fields, "shape": tuple(fields["shape"])})


def cut(shape):
    """With fewer rows, samples or images."""
    rest = int(np.prod(shape[1:]))
    return (max(1, min(shape[0], QUICK_ELEMENTS // rest)), *shape[1:])


def all_cases(words="", quick=False):
    """Those whose names have all the words; a,b is a or b. The names are those of the whole shapes."""
    found = []
    for dtype in DTYPES[:1] if quick else DTYPES:
        for direction in ("forward", "backward"):
            wanted = [(op, shape, "contiguous") for op in ("layer_norm", "rms_norm") for shape in ROWS]
            wanted += [(op, shape, layout) for op, shape in IMAGES for layout in ("contiguous", "channels_last")]
            for op, shape, layout in wanted:
                case = Case(op, tuple(map(int, shape.split("x"))), dtype, direction, layout)
                if not all(any(w in case.name.split() for w in word.split(",")) for word in words.split()):
                    continue
                if quick:
                    case = dataclasses.replace(case, shape=cut(case.shape))
                found.append(case)
    return found


def to_float(array):
    """float64; 16-bit words are bfloat16."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return array.astype(np.float64)


def store(values, dtype):
    """Rounded to nearest even."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def storage(dtype):
    return np.dtype(np.uint16 if dtype == "bfloat16" else dtype)


def place(case, array):
    """A tensor of x's shape in the case's layout: the same values, dense in memory."""
    if case.layout == "contiguous" or array.ndim != len(case.shape):
        return np.ascontiguousarray(array)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def make_inputs(case):
    seed = zlib.crc32(case.name.encode())
    result = {}
    for i, tensor in enumerate(case.inputs):
        values = np.random.default_rng([seed, i]).standard_normal(case.shape_of(tensor), np.float32)
        result[tensor] = store(values + (1 if tensor in ("weight", "x") else 0), case.dtype)
    return result


def half_ulp(values, dtype):
    """Of a 16-bit type at these values."""
    if dtype == "float32":
        return 0
    digits, least = (11, -24) if dtype == "float16" else (8, -133)
    exponent = np.frexp(values)[1] - digits
    return 0.5 * np.exp2(np.maximum(exponent, least).astype(np.float64))


def reference(case, inputs):
    """output -> (value, bound), as float64 of the output's shape."""
    x = to_float(inputs["x"])
    shape = x.shape
    # As [..., groups' elements]: axes of a statistics group, and how a parameter lies against x.
    if case.op == "group_norm":
        x = x.reshape(shape[0], GROUPS, -1)
        axes, along = (2,), (1, -1, *[1] * (len(shape) - 2))
    elif case.op == "batch_norm":
        axes, along = (0, *range(2, len(shape))), (1, -1, *[1] * (len(shape) - 2))
    else:
        axes, along = (len(shape) - 1,), (-1,)
    mean = 0 if case.op == "rms_norm" else x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt(np.square(x - mean).mean(axes, keepdims=True) + EPS)
    grouped = x.shape
    xhat = ((x - mean) * rstd).reshape(shape)
    weight = to_float(inputs["weight"]).reshape(along)
    channel = len(shape) - 1 if case.rows else 1
    others = tuple(d for d in range(len(shape)) if d != channel)
    if not case.backward:
        bias = to_float(inputs["bias"]).reshape(along) if "bias" in inputs else np.zeros(())
        y = xhat * weight + bias
        results = {"y": (y, 8 * U * ((np.abs(xhat) + 1) * np.abs(weight) + np.abs(bias)))}
    else:
        dy = to_float(inputs["dy"])
        g, h = (dy * weight).reshape(grouped), xhat.reshape(grouped)
        mean_g = 0 if case.op == "rms_norm" else g.mean(axes, keepdims=True)
        dx = rstd * (g - mean_g - h * (g * h).mean(axes, keepdims=True))
        size = rstd * (np.abs(g) + np.abs(g).mean(axes, keepdims=True)
                       + np.abs(h) * np.abs(g * h).mean(axes, keepdims=True))
        results = {"dx": (dx.reshape(shape), 16 * U * size.reshape(shape)),
                   "dweight": ((dy * xhat).sum(others), 16 * U * np.abs(dy * xhat).sum(others)),
                   "dbias": (dy.sum(others), 16 * U * np.abs(dy).sum(others))}
    return {t: (v, b + half_ulp(v, case.dtype)) for t, (v, b) in results.items() if t in case.outputs}


def worst(case, expected, results):
    """The largest error of all outputs, in units of its bound. What is not finite is infinitely wrong."""
    ratios = [0.0]
    for tensor, (value, bound) in expected.items():
        error = np.abs(to_float(results[tensor]).reshape(value.shape) - value)
        # A bound of 0 is that of a sum of zeros, which must be exact.
        ratio = np.divide(error, bound, out=np.where(error > 0, np.inf, 0.0), where=bound > 0)
        ratios.append(float(np.nan_to_num(ratio, nan=np.inf, posinf=np.inf).max()))
    return max(ratios)
