#!/usr/bin/env python3
"""ONNX's own test cases of the normalisation operators, with the outputs that the onnx package stores beside them.

    onnx_nodes.py LIBRARY DEVICE...    LIBRARY is libnorma.so, a DEVICE is scalar, opencl, vulkan, ...

A case counts for an operator if its graph is one node of that operator. The test data also has each of them as the
operator's function body spelled out (the names that end in _expanded or _expanded_verN): graphs of ReduceMean, Sqrt
and the like, of which Norma is no implementation. Beside them a few cases that onnx's reference evaluator gives the
outputs of.
"""
import collections
import os
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.reference import ReferenceEvaluator

import norma_c
from norma_c import empty_like
from tally import run_devices


def output_like(node, index, tensor):
    """An array for output number index of the node, None where it has none."""
    return empty_like(tensor) if len(node.output) > index and node.output[index] else None


# Each of these gives (Norma's operator, its tensors, its settings, the outputs in the node's order). `a` has the node's
# attributes, `i` its inputs.

def layer_normalization(node, a, i, version):
    x = i[0]
    first = a.get("axis", -1) % x.ndim
    statistics = np.zeros(x.shape[:first] + (1,) * (x.ndim - first), np.float32)
    outputs = [empty_like(x), output_like(node, 1, statistics), output_like(node, 2, statistics)]
    tensors = dict(x=x, weight=i[1], bias=i[2] if len(i) > 2 else None, y=outputs[0], mean=outputs[1], rstd=outputs[2])
    return "layer_norm", tensors, dict(normalized_dims=x.ndim - first, eps=a.get("epsilon", 1e-5)), outputs


def rms_normalization(node, a, i, version):
    y = empty_like(i[0])
    dims = i[0].ndim - a.get("axis", -1) % i[0].ndim
    return "rms_norm", dict(x=i[0], weight=i[1], y=y), dict(normalized_dims=dims, eps=a.get("epsilon", 1e-5)), [y]


def batch_normalization(node, a, i, version):
    x, weight, bias, mean, var = i
    training = a.get("training_mode", 0)
    if training:  # Norma updates them in place; the node has them as outputs
        mean, var = mean.copy(), var.copy()
    y = empty_like(x)
    # ONNX's momentum is the share of the old value, its running variance the biased one.
    settings = dict(training=training, eps=a.get("epsilon", 1e-5), momentum=1 - a.get("momentum", 0.9),
                    running_var_biased=1)
    tensors = dict(x=x, weight=weight, bias=bias, running_mean=mean, running_var=var, y=y)
    return "batch_norm", tensors, settings, [y, mean, var] if training else [y]


def group_normalization(node, a, i, version):
    x, weight, bias = i
    groups = a["num_groups"]
    if version < 21:  # a weight and a bias for each group; since 21 for each channel
        weight, bias = (np.repeat(v, x.shape[1] // groups) for v in (weight, bias))
    y = empty_like(x)
    settings = dict(num_groups=groups, eps=a.get("epsilon", 1e-5))
    return "group_norm", dict(x=x, weight=weight, bias=bias, y=y), settings, [y]


def instance_normalization(node, a, i, version):
    y = empty_like(i[0])
    return "instance_norm", dict(x=i[0], weight=i[1], bias=i[2], y=y), dict(eps=a.get("epsilon", 1e-5)), [y]


def lp_normalization(node, a, i, version):
    y = empty_like(i[0])
    axis = a.get("axis", -1) % i[0].ndim
    return "normalize", dict(x=i[0], y=y), dict(axes=1 << axis, norm_order=a.get("p", 2)), [y]


def mean_variance_normalization(node, a, i, version):
    y = empty_like(i[0])
    axes = sum(1 << axis % i[0].ndim for axis in a.get("axes", [0, 2, 3]))
    return "mean_variance_normalization", dict(x=i[0], y=y), dict(axes=axes), [y]


def local_response_normalization(node, a, i, version):
    y = empty_like(i[0])
    settings = norma_c.local_response_settings(a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0),
                                               window=1)
    return "local_response_norm", dict(x=i[0], y=y), settings, [y]


MAPPINGS = {"LayerNormalization": layer_normalization, "RMSNormalization": rms_normalization,
            "BatchNormalization": batch_normalization, "GroupNormalization": group_normalization,
            "InstanceNormalization": instance_normalization, "LpNormalization": lp_normalization,
            "MeanVarianceNormalization": mean_variance_normalization, "LRN": local_response_normalization}


def load_tensors(folder, prefix, count):
    tensors = []
    for index in range(count):
        with open(os.path.join(folder, f"{prefix}_{index}.pb"), "rb") as f:
            tensors.append(numpy_helper.to_array(onnx.TensorProto.FromString(f.read())).copy())
    return tensors


Made = collections.namedtuple("Made", "name rtol atol")


def small_deviations():
    """MeanVarianceNormalization of groups whose standard deviation is near the epsilon of its function body, 1e-9, which
    onnx's own node tests do not have; the reference evaluator runs the body."""
    random = np.random.RandomState(5)
    x = (random.standard_normal((4, 3, 5, 7)) * np.reshape([1e-4, 1e-9, 0], (3, 1, 1))).astype(np.float32)
    x[:, 2] = 2
    for axes in (0, 2, 3), (2, 3):
        node = onnx.helper.make_node("MeanVarianceNormalization", ["X"], ["Y"], axes=axes)
        types = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, x.shape) for name in "XY"]
        graph = onnx.helper.make_graph([node], "small", types[:1], types[1:])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
        y, = ReferenceEvaluator(model).run(None, {"X": x})
        assert not y[:, 2].any() and 0.3 < np.abs(y[:, 1]).mean() < 0.5  # mean|x| of a normal distribution, halved
        name = "small deviations over " + " ".join(map(str, axes))
        yield Made(name, 1e-5, 1e-6), node, 13, [x], [y]


def collect():
    """(case, node, version of the operator set, inputs, expected outputs), by operator and name."""
    found = list(small_deviations())
    for case in load_model_tests(kind="node"):
        model = onnx.load(os.path.join(case.model_dir, "model.onnx"))
        node = model.graph.node[0] if len(model.graph.node) == 1 else None
        if node is None or node.op_type not in MAPPINGS:
            continue
        version = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        for name in sorted(os.listdir(case.model_dir)):
            folder = os.path.join(case.model_dir, name)
            if os.path.isdir(folder):
                found.append((case, node, version, load_tensors(folder, "input", len(model.graph.input)),
                              load_tensors(folder, "output", len(model.graph.output))))
    return sorted(found, key=lambda entry: (list(MAPPINGS).index(entry[1].op_type), entry[0].name))


def compare(outputs, expected, names, case):
    """(complaint or None, largest error in units of the tolerance), by the rule of onnx's own runner."""
    worst, complaint = 0.0, None
    if len(outputs) != len(expected):
        return f"{len(outputs)} outputs, {len(expected)} expected", np.inf
    for name, got, want in zip(names, outputs, expected):
        if got.shape != want.shape or got.dtype != want.dtype:
            return f"{name}: {got.dtype} {got.shape}, expected {want.dtype} {want.shape}", np.inf
        allowed = case.atol + case.rtol * np.abs(want.astype(np.float64))
        error = np.abs(got.astype(np.float64) - want.astype(np.float64)) / allowed
        error[np.isnan(got) & np.isnan(want) | (got == want)] = 0
        error[np.isnan(error)] = np.inf
        at = float(error.max(initial=0))
        if at > 1 and complaint is None:
            where = np.unravel_index(error.argmax(), error.shape)
            complaint = f"{name}{[int(w) for w in where]} is {got[where]:.9g}, expected {want[where]:.9g}"
        worst = max(worst, at)
    return complaint, worst


def run_cases(cases, library, tally):
    for case, node, version, inputs, expected in cases:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        try:
            op, tensors, settings, outputs = MAPPINGS[node.op_type](node, attributes, inputs, version)
            library.run(op, tensors, **settings)
        except (RuntimeError, KeyError) as error:
            tally.failed(node.op_type, case.name, error.args[0])
            continue
        outputs = [o for o in outputs if o is not None]
        complaint, worst = compare(outputs, expected, [n for n in node.output if n], case)
        if complaint:
            tally.failed(node.op_type, case.name, complaint)
        else:
            tally.passed(node.op_type, case.name, worst)


def main():
    if len(sys.argv) < 3:
        print("usage: onnx_nodes.py LIBRARY DEVICE...", file=sys.stderr)
        return 2
    cases = collect()
    return run_devices(sys.argv[2:], lambda device: norma_c.Library(sys.argv[1], device),
                       lambda library, tally: run_cases(cases, library, tally))


if __name__ == "__main__":
    sys.exit(main())
