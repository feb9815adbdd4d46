"""ONNX Runtime on the CPU, inputs and outputs bound: it neither copies nor allocates what a caller has."""
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from comparison import cases
from comparison.worker import Unsupported

TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
# The operator, its version, its attributes. The fused kernel of RMS norm has a name of ONNX Runtime's own.
NODES = {
    "layer_norm": [("LayerNormalization", 17, {"axis": -1, "epsilon": cases.EPS})],
    "rms_norm": [("SimplifiedLayerNormalization", 17, {"axis": -1, "epsilon": cases.EPS, "stash_type": 1}),
                 ("RMSNormalization", 23, {"axis": -1, "epsilon": cases.EPS})],
    "group_norm": [("GroupNormalization", 21, {"num_groups": cases.GROUPS, "epsilon": cases.EPS})],
}


class Peer:
    REFUSALS = (Unsupported,)

    def __init__(self, _, options):
        self.version = onnxruntime.__version__
        self.threads = options["threads"]
        self.case = self.session = self.binding = self.arrays = None
        onnxruntime.set_default_logger_severity(4)

    def open(self, case, node):
        op, version, attributes = node
        kind = TYPES[case.dtype]
        graph = helper.make_graph([helper.make_node(op, case.inputs, ["y"], **attributes)], "norm",
                                  [helper.make_tensor_value_info(t, kind, case.shape_of(t)) for t in case.inputs],
                                  [helper.make_tensor_value_info("y", kind, case.shape)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def prepare(self, case, inputs):
        if case.backward:
            raise Unsupported("no gradients")
        if case.op == "batch_norm":
            raise Unsupported("batch norm in inference alone")
        if case.layout != "contiguous":
            raise Unsupported("contiguous alone")
        self.release()
        error = None
        for node in NODES[case.op]:
            try:
                self.session = self.open(case, node)
                break
            except Exception as reason:  # pylint: disable=broad-except # its own types of errors have no common base
                error = reason
        if not self.session:
            raise Unsupported(str(error))
        self.case = case
        self.arrays = {**inputs, "y": np.ones(case.shape, cases.storage(case.dtype))}
        self.binding = self.session.io_binding()
        kind = TYPES[case.dtype] if case.dtype == "bfloat16" else np.dtype(case.dtype)
        for t, array in self.arrays.items():
            bind = self.binding.bind_output if t == "y" else self.binding.bind_input
            bind(t, "cpu", 0, kind, array.shape, array.ctypes.data)

    def run(self, runs):
        run, binding = self.session.run_with_iobinding, self.binding
        start = time.perf_counter()
        for _ in range(runs):
            run(binding)
        return time.perf_counter() - start

    def outputs(self):
        return {"y": self.arrays["y"]}

    def release(self):
        self.session = self.binding = self.arrays = None
