#!/usr/bin/env python3
"""Values and gradients of Norma's operators beside PyTorch's, on the sample inputs of PyTorch's own tests (OpInfo).

    torch_values.py LIBRARY DEVICE...    LIBRARY is libnorma.so, a DEVICE is scalar, opencl, vulkan, ...

Each sample is run in float32 (float64 too on the scalar path), contiguous and with gaps between the elements as
OpInfo's noncontiguous() makes them: forward, backward with the statistics recomputed, backward with those of forward.
OpInfo's samples are small: some larger shapes of our own go with them, which reach past one chunk of a reduction. A
sample whose eps Norma refuses (below 0) is left out once it is refused; one whose momentum it refuses is compared
without the running statistics, which are all that the momentum is for.

What is expected is what PyTorch computes from the same numbers in float64. The tolerance is relative to the largest
term of the sums that a value is made of (`Reference.errors`), since a gradient may be nothing but the rounding errors
of terms that cancel: 1e-6 in float32 (17 units of 2^-24), 1e-14 in float64.
"""
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch.testing._internal.common_methods_invocations import op_db

import norma_c
from norma_c import empty_like
from tally import run_devices

TOLERANCE = {"float32": 1e-6, "float64": 1e-14}
OWN_ERROR = 2.0**-49  # of PyTorch's float64


class LeftOut(Exception):
    """A sample that says nothing about Norma."""


def rms_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """PyTorch 1.13 has none."""
    dims = tuple(range(-len(normalized_shape), 0))
    y = input * torch.rsqrt((input * input).mean(dims, keepdim=True) + eps)
    return y if weight is None else y * weight


def mixed_statistics(x, arguments, running):
    """Mean and variance of each [N, C]: Luo et al., arXiv:1806.10779, equations 3 to 5."""
    def over(dims):
        if not dims:
            return x, torch.zeros_like(x)
        return x.mean(dims, keepdim=True), x.var(dims, unbiased=False, keepdim=True)

    space = tuple(range(2, x.dim()))
    batch = [t.to(x.dtype).reshape(1, -1, *(1 for _ in space)) for t in running] if running else over((0, *space))
    kinds = [over(space), over((1, *space)), batch]
    shares = [torch.softmax(arguments[name].to(x.dtype), 0) for name in MIX]
    return [sum(share[k] * kinds[k][i] for k in range(3)) for i, share in enumerate(shares)]


def switchable_norm(input, running_mean, running_var, mean_weights, var_weights, weight, bias, training, momentum, eps):
    """PyTorch has none."""
    given = None if training else (running_mean, running_var)
    mean, var = mixed_statistics(input, {"mean_weights": mean_weights, "var_weights": var_weights}, given)
    if training and running_mean is not None:  # updates them
        F.batch_norm(input.detach(), running_mean, running_var, training=True, momentum=momentum)
    y = (input - mean) * torch.rsqrt(var + eps)
    channels = (1, -1) + (1,) * (input.dim() - 2)
    y = y if weight is None else y * weight.reshape(channels)
    return y if bias is None else y + bias.reshape(channels)


# OpInfo's operators, and some that it does not have: the function, the names of its arguments after the input, their defaults.
SIGNATURES = {
    "nn.functional.layer_norm": (F.layer_norm, "normalized_shape weight bias eps", {"eps": 1e-5}),
    "native_layer_norm": (torch.native_layer_norm, "normalized_shape weight bias eps", {}),
    "rms_norm": (rms_norm, "normalized_shape weight bias eps", {"eps": 1e-5}),
    "nn.functional.group_norm": (F.group_norm, "num_groups weight bias eps", {"eps": 1e-5}),
    "nn.functional.instance_norm": (
        F.instance_norm, "running_mean running_var weight bias use_input_stats momentum eps",
        {"use_input_stats": True, "momentum": 0.1, "eps": 1e-5}),
    "nn.functional.batch_norm": (
        F.batch_norm, "running_mean running_var weight bias training momentum eps",
        {"training": False, "momentum": 0.1, "eps": 1e-5}),
    "native_batch_norm": (
        torch.native_batch_norm, "weight bias running_mean running_var training momentum eps", {}),
    "nn.functional.normalize": (F.normalize, "p dim eps", {"p": 2.0, "dim": 1, "eps": 1e-12}),
    "nn.functional.local_response_norm": (
        F.local_response_norm, "size alpha beta k", {"alpha": 1e-4, "beta": 0.75, "k": 1.0}),
    "switchable_norm": (
        switchable_norm, "running_mean running_var mean_weights var_weights weight bias training momentum eps",
        {"running_mean": None, "running_var": None, "weight": None, "bias": None, "momentum": 0.1, "eps": 1e-5}),
}
PARAMETERS = ("weight", "bias")
RUNNING = ("running_mean", "running_var")
MIX = ("mean_weights", "var_weights")
BAD_MOMENTUM = "running statistics with a momentum outside 0..1"


class Case:
    """A call of an operator of PyTorch's, and the problem of Norma's that is the same."""

    def __init__(self, operator, name, input, args, kwargs):
        self.operator, self.name, self.input = operator, name, input
        self.function, names, defaults = SIGNATURES[operator]
        self.arguments = {**defaults, **dict(zip(names.split(), args)), **kwargs}
        if operator == "rms_norm":
            self.arguments.pop("bias", None)
        self.op, self.settings, self.dims = self.problem()
        self.refused = self.out_of_range()

    def problem(self):
        """Norma's operator, its settings, and the dimensions of a statistics group (group norm:
        of x as [N, groups, elements])."""
        a, rank = self.arguments, self.input.dim()
        kind = self.operator.split(".")[-1].replace("native_", "")
        space = list(range(2, rank))
        if kind in ("layer_norm", "rms_norm"):
            count = len(a["normalized_shape"])
            return kind, {"normalized_dims": count, "eps": a["eps"]}, list(range(rank - count, rank))
        if kind == "group_norm":
            return kind, {"num_groups": a["num_groups"], "eps": a["eps"]}, [2]
        if kind == "normalize":
            if a["p"] not in (1, 2):
                raise LeftOut(f"normalize of order {a['p']:g}")
            dim = a["dim"] % max(rank, 1)
            return kind, {"axes": 1 << dim, "norm_order": int(a["p"]), "eps": a["eps"]}, [dim]
        if kind == "local_response_norm":
            return kind, norma_c.local_response_settings(a["size"], a["alpha"], a["beta"], a["k"]), []
        flag = "use_input_stats" if kind == "instance_norm" else "training"
        settings = {flag: int(a[flag]), "eps": a["eps"]}
        if self.updates_running():
            settings["momentum"] = a["momentum"]
        return kind, settings, [0] * (kind == "batch_norm") + space

    def uses_input(self):
        return bool(self.arguments.get("training", self.arguments.get("use_input_stats", True)))

    def updates_running(self):
        return self.uses_input() and self.arguments.get("running_mean") is not None

    def out_of_range(self):
        """Why Norma must refuse the problem with NORMA_ERROR_INVALID_ARGUMENT (problem.h), None if it must not."""
        if self.settings.get("eps", 0) < 0:
            return "eps below 0"
        if not 0 <= self.settings.get("momentum", 0) <= 1:
            return BAD_MOMENTUM
        if self.op in ("batch_norm", "instance_norm", "group_norm") and self.input.dim() < 2:
            return "no channels"
        return None

    def leave_running(self):
        """The same without running statistics."""
        self.arguments.update((name, None) for name in RUNNING)
        self.settings.pop("momentum")
        self.refused = None

    def tensors(self):
        """The tensors of the call, by Norma's names."""
        named = {"x": self.input}
        named.update((n, self.arguments[n]) for n in PARAMETERS + MIX + RUNNING if self.arguments.get(n) is not None)
        return named


def largest(t):
    return float(t.detach().abs().max()) if t is not None and t.numel() else 0.0


def call(case, **arguments):
    """The function's outputs as a tuple."""
    try:
        result = case.function(**{**case.arguments, **arguments})
    except (RuntimeError, ValueError, IndexError) as error:
        raise LeftOut("PyTorch raises " + type(error).__name__) from error
    return result if isinstance(result, tuple) else (result,)


class Reference:
    """What PyTorch computes in float64: values, and how large an error in each is none."""

    def __init__(self, case, dy, tolerance):
        wide = {name: t.detach().double().clone() for name, t in case.tensors().items()}
        before = {name: wide[name].clone() for name in RUNNING if name in wide}
        leaves = [name for name in ("x",) + PARAMETERS + MIX if name in wide]
        for name in leaves:
            wide[name].requires_grad_(True)
        result = call(case, **{"input" if name == "x" else name: t for name, t in wide.items()})
        gradients = torch.autograd.grad(result[0], [wide[name] for name in leaves], dy.double())
        with torch.no_grad():
            mean, rstd = self.statistics(case, wide["x"], before)
            # The native functions of PyTorch give their statistics too.
            for mine, theirs in zip((mean, rstd), result[1:]):
                if theirs.numel() and not torch.allclose(mine.reshape(theirs.shape), theirs, rtol=1e-12, atol=1e-12):
                    raise RuntimeError("the statistics expected here are not PyTorch's")
        values = {"y": result[0], "mean": mean, "rstd": rstd}
        values.update(("d" + name, gradient) for name, gradient in zip(leaves, gradients))
        if case.updates_running():
            values.update((name, wide[name]) for name in RUNNING)
        self.values = {name: t.detach().numpy() for name, t in values.items() if t is not None}
        self.allowed = self.errors(case, wide, before, dy, rstd, tolerance)

    @staticmethod
    def statistics(case, x, running):
        """Mean and rstd as Norma's problem.h has them; None where the operator has none."""
        if case.op == "local_response_norm":
            return None, None
        dims, eps = case.dims, case.settings["eps"]
        if case.op == "switchable_norm":
            mean, var = mixed_statistics(x, case.arguments, None if case.uses_input() else list(running.values()))
            return mean.reshape(mean.shape[:2]), torch.rsqrt(var + eps).reshape(mean.shape[:2])
        if not case.uses_input():
            return running["running_mean"], torch.rsqrt(running["running_var"] + eps)
        if case.op == "group_norm":
            groups = case.settings["num_groups"]
            x = x.reshape(x.shape[0], groups, x[0].numel() // groups if len(x) else 1)
        if case.op == "normalize":
            return None, 1 / x.norm(case.arguments["p"], dims).clamp_min(eps)
        if case.op == "rms_norm":
            return None, torch.rsqrt((x * x).mean(dims) + eps)
        return x.mean(dims), torch.rsqrt(x.var(dims, unbiased=False) + eps)

    def errors(self, case, wide, before, dy, rstd, tolerance):
        weight = largest(wide["weight"]) if "weight" in wide else 1.0
        bias = largest(wide.get("bias"))
        absent = {name: None for name in PARAMETERS if name in case.arguments}
        plain = {name: t.clone() for name, t in before.items()}
        with torch.no_grad():
            xhat = largest(call(case, input=wide["x"], **absent, **plain)[0])
        rstd = 1.0 if rstd is None else largest(rstd)
        dy, x = largest(dy), largest(wide["x"])
        terms = {"y": xhat * weight + bias, "dx": dy * weight * rstd, "dweight": dy * xhat, "dbias": dy, "mean": x}
        terms.update(("d" + name, dy * weight * xhat) for name in MIX)
        terms.update((name, largest(t)) for name, t in before.items())
        # PyTorch multiplies x by rstd before it takes the mean off, and adds the terms of a sum one after the other.
        x *= rstd
        root = (case.input.numel() / max(1, wide["weight"].numel())) ** 0.5 if "weight" in wide else 1.0
        own = {"y": x * weight, "dx": dy * weight * rstd * x * x, "dweight": root * dy * max(x, xhat),
               "dbias": root * dy}
        own.update(("d" + name, case.input.numel() ** 0.5 * dy * weight * max(x, xhat)) for name in MIX)
        allowed = {}
        for name, value in self.values.items():
            scale = max(np.abs(value[np.isfinite(value)]).max(initial=0), terms.get(name, 0))
            allowed[name] = tolerance * scale + OWN_ERROR * max(scale, own.get(name, 0))
        return allowed


class Comparison:
    """Norma's outputs of one case beside the reference; `worst` is in units of what is allowed."""

    def __init__(self, reference):
        self.reference = reference
        self.worst, self.complaint = 0.0, None

    def check(self, run, outputs):
        for name, got in outputs.items():
            want = self.reference.values[name].reshape(got.shape)
            error = np.abs(np.where(got == want, 0, got.astype(np.float64) - want))
            error = np.where(np.isnan(got) & np.isnan(want), 0, np.where(np.isnan(error), np.inf, error))
            worst = float(error.max(initial=0))
            if worst:
                worst = worst / self.reference.allowed[name] if self.reference.allowed[name] else np.inf
            if not worst <= 1 and not self.complaint:
                at = np.unravel_index(error.argmax(), error.shape)
                self.complaint = (f"{run}: {name}{[int(i) for i in at]} is {got[at]:.9g}, expected {want[at]:.9g} "
                                  f"({worst:.3g} of the tolerance)")
            self.worst = max(self.worst, worst)


def outputs_for(reference, names, x):
    """Arrays for those of the names that the operator has, the ones of x's shape in x's layout."""
    values = reference.values
    return {name: empty_like(x if values[name].shape == x.shape else np.empty(values[name].shape, x.dtype))
            for name in names if name in values}


def run_refused(library, case):
    """Fails unless Norma refuses the case."""
    arrays = {name: t.numpy() for name, t in case.tensors().items()}
    try:
        library.run(case.op, {**arrays, "y": empty_like(arrays["x"])}, **case.settings)
    except norma_c.NormaError as error:
        if error.status == "invalid_argument":
            return
        raise
    raise RuntimeError("not refused: " + case.refused)


def run_case(library, case, dy, tolerance):
    """(complaint, largest error in units of what is allowed)"""
    reference = Reference(case, dy, tolerance)
    comparison = Comparison(reference)
    arrays = {name: t.numpy() for name, t in case.tensors().items()}
    before = {name: arrays[name].copy() for name in RUNNING if name in arrays}
    y = outputs_for(reference, ["y"], arrays["x"])
    statistics = outputs_for(reference, ["mean", "rstd"] if case.uses_input() else [], arrays["x"])
    try:
        library.run(case.op, {**arrays, **y, **statistics}, **case.settings)
        comparison.check("forward", {**y, **statistics})
        if case.updates_running():
            comparison.check("forward", {name: arrays[name] for name in before})
    finally:
        for name, values in before.items():  # Norma updates them in place
            arrays[name][...] = values
    if case.op == "local_response_norm":  # forward only
        return comparison.complaint, comparison.worst
    backward = {**arrays, "dy": dy.numpy()}
    for saved, run in ({}, "backward"), (statistics, "backward of saved statistics"):
        gradients = outputs_for(reference, ["dx", "dweight", "dbias", "dmean_weights", "dvar_weights"], arrays["x"])
        library.run(case.op, {**backward, **saved, **gradients}, direction=1, **case.settings)
        comparison.check(run, gradients)
    return comparison.complaint, comparison.worst


def samples():
    """(operator, name, input, other arguments) of OpInfo's samples."""
    by_name = {(o.name, o.variant_test_name): o for o in op_db}
    for operator in SIGNATURES:
        if operator == "switchable_norm":
            continue
        source = "nn.functional.layer_norm" if operator == "rms_norm" else operator
        opinfo = by_name[source, ""]
        for dtype in (torch.float32, torch.float64):
            torch.manual_seed(0)
            for index, sample in enumerate(opinfo.sample_inputs("cpu", dtype, requires_grad=False)):
                for layout, s in (("", sample), (" noncontiguous", sample.noncontiguous())):
                    yield operator, f"{operator} sample {index}{layout}", s.input, s.args, s.kwargs


def larger():
    """The same of shapes that take more than one chunk of the reductions, one type after the other."""
    def normal(*shape):
        return torch.randn(shape, dtype=torch.float64)

    def parameters(*shape):
        return {"weight": normal(*shape), "bias": normal(*shape)}

    def running(channels):
        return {"running_mean": normal(channels), "running_var": normal(channels).square()}

    torch.manual_seed(1)
    calls = []
    for operator in ("nn.functional.layer_norm", "rms_norm"):
        calls += [(operator, normal(7, 768), [(768,)], parameters(768)),
                  (operator, normal(3, 5, 9001), [(5, 9001)], {"weight": normal(5, 9001)}),
                  (operator, normal(33, 17) + 100, [(17,)], {})]
    for groups in (1, 4, 32):
        calls += [("nn.functional.group_norm", normal(3, 32, 14, 13), [groups], parameters(32)),
                  ("nn.functional.group_norm", normal(2, 32, 28, 28).to(memory_format=torch.channels_last), [groups],
                   parameters(32))]
    for training in (True, False):
        for memory in (torch.contiguous_format, torch.channels_last):
            calls.append(("nn.functional.batch_norm", normal(5, 24, 31, 33).to(memory_format=memory), [],
                          {**parameters(24), **running(24), "training": training}))
            calls.append(("nn.functional.instance_norm", normal(3, 10, 65, 67).to(memory_format=memory), [],
                          {**parameters(10), **running(10), "use_input_stats": training}))
        calls.append(("nn.functional.batch_norm", normal(600, 70), [],
                      {**parameters(70), **running(70), "training": training}))
    for order in (1, 2):
        calls += [("nn.functional.normalize", normal(6, 513, 40), [order, dim], {}) for dim in (0, 1, -1)]
    calls += [("nn.functional.local_response_norm", normal(3, 21, 9, 11), [size], {}) for size in (5, 4, 50)]
    # Samples and channels that differ; more of both than are merged at a time.
    for shape in ((4, 6, 9, 11), (3, 5, 65, 67), (70, 130, 3), (9, 40)):
        for training in (True, False):
            x = normal(*shape) * normal(1, shape[1], *(1 for _ in shape[2:])).exp()
            x += normal(shape[0], *(1 for _ in shape[1:]))
            layout = torch.channels_last if training and len(shape) == 4 else torch.contiguous_format
            calls.append(("switchable_norm", x.to(memory_format=layout), [],
                          {**parameters(shape[1]), **running(shape[1]), "training": training,
                           "mean_weights": normal(3), "var_weights": normal(3)}))
    for dtype in (torch.float32, torch.float64):
        for index, (operator, x, args, kwargs) in enumerate(calls):
            narrow = {k: v.to(dtype) if torch.is_tensor(v) else v for k, v in kwargs.items()}
            yield operator, f"{operator} {tuple(x.shape)} (larger {index})", x.to(dtype), args, narrow


def run_entry(library, tally, operator, name, input, args, kwargs):
    dtype = str(input.dtype).split(".")[-1]
    label = operator.split(".")[-1]
    try:
        if input.dim() > norma_c.MAX_RANK:
            raise LeftOut("more dimensions than Norma has")
        case = Case(operator, name, input, args, kwargs)
        if case.refused:
            run_refused(library, case)
            tally.leave_out(case.refused)
            if case.refused != BAD_MOMENTUM:
                return
            case.leave_running()
        dy = torch.empty_like(input).normal_(generator=torch.Generator().manual_seed(2))
        complaint, worst = run_case(library, case, dy, TOLERANCE[dtype])
    except LeftOut as reason:
        tally.leave_out(str(reason))
        return
    except (norma_c.NormaError, RuntimeError, KeyError) as error:
        complaint = error.args[0]
    if complaint:
        tally.failed(label, f"{name} {dtype}", complaint)
    else:
        tally.passed(label, f"{name} {dtype}", worst)


def main():
    if len(sys.argv) < 3:
        print("usage: torch_values.py LIBRARY DEVICE...", file=sys.stderr)
        return 2
    warnings.filterwarnings("ignore")
    entries = [*samples(), *larger()]

    def run(library, tally):
        for entry in entries:
            if entry[2].dtype == torch.float64 and not tally.device.startswith("scalar"):
                continue  # the scalar path alone has float64
            run_entry(library, tally, *entry)
    return run_devices(sys.argv[2:], lambda device: norma_c.Library(sys.argv[1], device), run)


if __name__ == "__main__":
    sys.exit(main())
