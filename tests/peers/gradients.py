#!/usr/bin/env python3
"""Gradients of Norma's operators beside differences of their forward, in float64 on the scalar path.

    gradients.py LIBRARY    LIBRARY is libnorma.so; needs NumPy alone

The loss is sum(dy*y) + sum(dsum*sum). Each element of each input is moved by h, 2h and 4h to both sides; the three
central differences give two of fourth order and from them one of sixth (Richardson). A gradient passes where
max|gradient - difference| is at most 1e-6 of max|difference|. The two of fourth order must agree to 1e-7 of it, or the
case fails as one that says nothing; so does one whose gradient vanishes. Numbers are drawn again until no kink
of an activation, of |t| or of max(norm, eps) lies near.

Batch renorm's r and d are constants: the differences hold those of forward. Backward runs for all gradients at once, with its statistics recomputed and with those of forward, and for each gradient
alone. Every operator is gone through with every activation, without z, with z behind the statistics and before them
with every z_activation; the layouts, the shapes of parameters and the tensors that are there take turns. What an
operator's cases leave out of that is a failure (`Coverage`), and so is an operator or a gradient unknown here. The
steps of batch norm over several devices are gone through in steps.py.
"""
import ctypes
import sys
import zlib

import numpy as np

import norma_c
from norma_c import ACTIVATIONS, EPS_MODES, MEMBERS, OPS
from tally import run_devices

TOLERANCE = 1e-6
DIFFERENCE_TOLERANCE = 1e-7
VANISHES = 1e-3  # a gradient below that has nothing to be relative to; dy is about 1
STEP = 2.0**-13
MARGIN = 0.015  # from kinks: 4 steps times what an element changes behind it
LARGEST_RSTD = 4
ATTEMPTS = 1000

NAMES = [name for name in ACTIVATIONS if name != "count"]  # of activations
KINKED = ("relu", "leaky_relu")                            # at 0
Z_PLACES = ("none", "behind", "first")
LAYOUTS = ("contiguous", "channels_last", "transposed", "mixed")
FORMS = ("natural", "ranked", "crossed", "whole")
BETWEEN = "between"  # eps: some groups' norms lie below it

WHOLE = ("x", "residual", "z", "addend")
PREFIX = ("gate", "input_bias")
KINDS = ("mean_weights", "var_weights")  # of switchable_norm, which has them always
GRADIENTS = {"d" + name for name in (*WHOLE, *PREFIX, "weight", "bias", "scale", "shift", *KINDS)}
BATCH = ("batch_norm", "batch_renorm", "ghost_batch_norm")
NO_BACKWARD = ("local_response_norm",)
STEPS = ("batch_norm_stats", "batch_norm_merge", "batch_norm_apply")  # one after the other: steps.py


class Variant:
    """An operator's shape and settings. cases: which of case_numbers() it takes, None all."""

    def __init__(self, shape, cases=None, running=False, **settings):
        self.shape, self.cases, self.running, self.settings = shape, cases, running, settings

    def __str__(self):
        settings = {**({"running": 1} if self.running else {}), **self.settings}
        return " ".join([str(self.shape).replace(" ", ""), *(f"{name}={value}" for name, value in settings.items())])


# Numbers of cases with an activation that has no kink, for shapes where no draw would keep clear of one: gelu with z
# behind, silu with z first.
SMOOTH = (10, 17)


def normalize_variants():
    groups = [((3, 4, 5), 0b010), ((2, 3, 2, 2), 0b1101), ((3, 4, 4), 0b100)]
    for order in (1, 2):
        for mode, number in EPS_MODES.items():
            if mode == "mode_count" or (mode == "inside" and order == 1):
                continue
            # max(norm, eps): eps below every norm, above every norm, between them.
            for (shape, axes), eps in zip(groups, (1e-12, 50.0, BETWEEN) if mode == "max" else (0.5,)):
                yield Variant(shape, norm_order=order, eps_mode=number, eps=eps, axes=axes)
    yield Variant((2, 300), SMOOTH, axes=0b10)


def row_variants(**settings):
    return [Variant((3, 4, 5), **settings), Variant((2, 3, 2, 3), normalized_dims=2, eps=0.3, **settings)]


# Small, but for a shape or two that reach past a stretch of the scalar path (256) and a block of its sums (64).
VARIANTS = {
    "layer_norm": [*row_variants(), Variant((4, 6), normalized_dims=2), Variant((2, 300), SMOOTH)],
    "rms_norm": [*row_variants(), Variant((3, 4, 5), weight_offset=1.0), Variant((2, 3, 2, 3), weight_offset=-0.25,
                                                                                normalized_dims=3)],
    "batch_norm": [Variant((3, 4, 2, 2), training=1), Variant((3, 4, 5), training=1, running=True, eps=0.3),
                   Variant((9, 5), training=1), Variant((3, 4, 2, 2), running=True), Variant((9, 5), running=True),
                   Variant((5, 70), SMOOTH, training=1, eps=0.3), Variant((3, 70, 2), SMOOTH, running=True)],
    "batch_renorm": [Variant((3, 4, 2, 2), training=1, running=True, momentum=0.0),
                     Variant((9, 5), training=1, running=True, momentum=0.0, r_max=1.2, d_max=0.3, eps=0.3),
                     Variant((5, 2, 3), training=1, running=True, momentum=0.0, r_max=1.5),
                     Variant((3, 4, 5), running=True)],
    "ghost_batch_norm": [Variant((4, 3, 2, 2), training=1, virtual_batch=2),
                         Variant((6, 2, 3), training=1, running=True, virtual_batch=3, eps=0.3),
                         Variant((3, 4, 5), training=1, virtual_batch=1), Variant((9, 5), running=True)],
    "group_norm": [Variant((2, 6, 2, 2), num_groups=3), Variant((3, 4, 4), num_groups=1),
                   Variant((2, 4, 7), num_groups=4, eps=0.3), Variant((4, 12), num_groups=2),
                   Variant((1, 4, 150), SMOOTH, num_groups=2)],
    "instance_norm": [Variant((2, 3, 2, 4)), Variant((2, 3, 7), running=True, eps=0.3),
                      Variant((2, 3, 2, 4), running=True, use_input_stats=0),
                      Variant((2, 3, 7), running=True, use_input_stats=0)],
    "weight_standardization": [Variant((4, 3, 2, 2)), Variant((5, 9), eps=0.3)],
    "normalize": [*normalize_variants()],
    "mean_variance_normalization": [Variant((2, 4, 2, 3), axes=0b1101), Variant((3, 5, 4), axes=0b010, eps=0.3)],
    "ada_layer_norm": row_variants(),
    "ada_rms_norm": row_variants(),
    "ada_group_norm": [Variant((2, 6, 2, 2), num_groups=3), Variant((3, 4, 5), num_groups=2, eps=0.3)],
    "ada_instance_norm": [Variant((2, 3, 2, 4)), Variant((3, 2, 7), eps=0.3)],
    "switchable_norm": [Variant((2, 3, 2, 3), training=1), Variant((3, 4, 4), training=1, running=True, eps=0.3),
                        Variant((2, 3, 2, 3), running=True), Variant((9, 5), training=1, eps=0.3),
                        Variant((9, 5), running=True, eps=0.3), Variant((2, 2, 70), SMOOTH, training=1, eps=0.3)],
}


def case_numbers(variant):
    return variant.cases or range(len(NAMES) * len(Z_PLACES))


def vector_names(op):
    """The operator's parameters behind the statistics."""
    if op == "normalize":
        return ()
    return ("scale", "shift") if op.startswith("ada_") else ("weight", "bias")


def element_axes(op, rank, settings):
    """The dimensions of x that a statistics group runs over, besides a part of the one that is cut."""
    if "axes" in settings:
        return [d for d in range(rank) if settings["axes"] >> d & 1]
    if op in BATCH and not (op == "ghost_batch_norm" and settings.get("training")):
        return [0, *range(2, rank)]
    if op.endswith(("group_norm", "instance_norm")) or op in ("ghost_batch_norm", "switchable_norm"):
        return list(range(2, rank))
    if op == "weight_standardization":
        return list(range(1, rank))
    return list(range(rank - settings.get("normalized_dims", 1), rank))


def cut_axis(op, shape, settings):
    """(the dimension of x of which each group has a part, how many parts); (None, 0)."""
    if op.endswith("group_norm"):
        return 1, settings["num_groups"]
    if op == "ghost_batch_norm" and settings.get("training"):
        return 0, shape[0] // settings["virtual_batch"]
    return None, 0


def natural_axes(op, rank, settings):
    """The dimensions of x that a parameter in its natural shape has."""
    if op.startswith("ada_"):
        return [0, rank - 1 if op in ("ada_layer_norm", "ada_rms_norm") else 1]
    if op in (*BATCH, "group_norm", "instance_norm", "switchable_norm"):
        return [1]
    return [0] if op == "weight_standardization" else element_axes(op, rank, settings)


def parameter_shape(form, shape, natural):
    """natural: the dimensions alone; ranked: ones beside them; crossed: ones in their place; whole: x's shape."""
    if form == "natural":
        return tuple(shape[d] for d in natural)
    if form == "whole":
        return shape
    return tuple(n if (d in natural) == (form == "ranked") else 1 for d, n in enumerate(shape))


def lay_out(values, layout, name):
    """A copy of the values whose dimensions lie in memory in the layout's order; mixed: in an order that differs from
    tensor to tensor, with gaps."""
    rank, gap = values.ndim, 1 + (layout == "mixed")
    order = list(range(rank))
    if layout == "transposed":
        order.reverse()
    elif layout == "channels_last" and rank > 1:
        order.append(order.pop(1 if rank > 2 else 0))
    elif layout == "mixed" and rank:
        turn = sum(map(ord, name)) % rank
        order = order[turn:] + order[:turn]
    extents = [values.shape[d] for d in order]
    memory = np.full([*extents[:-1], extents[-1] * gap], np.nan)
    view = memory[..., ::gap].transpose(np.argsort(order))
    view[...] = values
    return view


class Prepared:
    """A problem that is put together once and run many times: Library.run takes longer for that than the library."""

    def __init__(self, library, op, tensors, settings):
        library.run(op, tensors, **settings)  # checks the names, and that the library is of this version
        self.library = library
        self.problem = library.lib.norma_problem_defaults(OPS[op]).problem
        for name, value in settings.items():
            setattr(self.problem, name, value)
        self.kept = [tensors]
        for name, array in tensors.items():
            self.kept.append(norma_c.tensor_of(array))
            setattr(self.problem, name, ctypes.pointer(self.kept[-1]))
        self.reference = ctypes.byref(self.problem)

    def run(self):
        self.library.check(self.library.lib.norma_run(self.library.context, self.reference))


def difference(loss, array):
    """(the gradient by differences of sixth order, how far the two of fourth order lie apart at most)"""
    gradient, error = np.empty(array.shape), 0.0
    for index in np.ndindex(*array.shape):
        value, slopes = array[index], []
        for step in (STEP, 2 * STEP, 4 * STEP):
            array[index] = value + step
            above = loss()
            array[index] = value - step
            slopes.append((above - loss()) / (2 * step))
        array[index] = value
        fourth, coarse = ((4 * fine - rough) / 3 for fine, rough in zip(slopes, slopes[1:]))
        gradient[index] = (16 * fourth - coarse) / 15
        error = max(error, abs(coarse - fourth))
    return gradient, error


class Case:
    """One problem; which activations, tensors, layout and shapes it has follows from its number."""

    def __init__(self, op, variant, shift, number):
        self.op, self.variant, self.shape, self.number = op, variant, variant.shape, number
        turn, at = divmod(number, len(Z_PLACES))
        self.z_place = Z_PLACES[at]
        self.activation = NAMES[turn % len(NAMES)]
        # Another shift for each place of z and each variant: other pairs meet.
        self.z_activation = NAMES[(turn + shift + at) % len(NAMES)]
        self.layout = LAYOUTS[(number + shift) % len(LAYOUTS)]
        self.name = f"{op} {variant} {self.layout} {self.activation}"
        if self.z_place != "none":
            self.name += f" z {self.z_place} {self.z_activation}"
        self.random = np.random.RandomState(zlib.crc32(self.name.encode()))
        self.settings = dict(variant.settings, activation=ACTIVATIONS[self.activation], activation_slope=0.2,
                             z_activation=ACTIVATIONS[self.z_activation], z_first=int(self.z_place == "first"))
        self.given = variant.running and not (variant.settings.get("training") or
                                              (op == "instance_norm" and variant.settings.get("use_input_stats", 1)))
        self.names = self.choose_names()
        self.forms = self.choose_forms(shift)
        # What is constant over a group is taken off with its mean, and rstd undoes a factor: of y alone such
        # gradients are 0.
        same = not self.given and any(self.is_constant(name) for name in PREFIX if name in self.names)
        self.has_sum = same or self.random.random_sample() < (0.5 if self.number else 0)
        self.renorms = op == "batch_renorm" and not self.given
        self.tensors, self.incoming, self.constants = {}, {}, {}

    def choose_names(self):
        """The inputs that have gradients: of a variant's cases one has x alone, one all, the others some."""
        share = {0: 0.0, 3: 1.0}.get(self.number, 0.6)
        optional = ("residual", *PREFIX, *vector_names(self.op), "addend")
        names = ["x", *(name for name in optional if self.random.random_sample() < share)]
        if self.z_place != "none":
            names.append("z")
        if self.op == "switchable_norm":
            names += KINDS
        return names

    def choose_forms(self, shift):
        """All of one form, or each of another."""
        first, step = self.number // 2 + shift, self.number % 2
        parameters = [name for name in self.names if name not in WHOLE + KINDS]
        return {name: FORMS[(first + step * i) % len(FORMS)] for i, name in enumerate(parameters)}

    def is_constant(self, name):
        """Over each statistics group."""
        rank, settings = len(self.shape), self.variant.settings
        natural, within = natural_axes(self.op, rank, settings), element_axes(self.op, rank, settings)
        axis, parts = cut_axis(self.op, self.shape, settings)
        if axis is not None and parts < self.shape[axis]:
            within.append(axis)
        own = {"natural": natural, "ranked": natural, "whole": range(rank),
               "crossed": [d for d in range(rank) if d not in natural]}[self.forms[name]]
        return not set(own) & set(within)

    def new(self, name, values):
        return lay_out(values, self.layout, name)

    def empty(self, name, shape=None):
        """Filled with NaN, so that an element that is not written is seen."""
        return self.new(name, np.full(self.shape if shape is None else shape, np.nan))

    def draw_one(self, name):
        shape = self.shape
        if name in self.forms:
            shape = parameter_shape(self.forms[name], shape, natural_axes(self.op, len(shape), self.variant.settings))
        values = self.random.standard_normal(3 if name in KINDS else shape)
        sign = np.where(values < 0, -1.0, 1.0)
        if name in ("gate", "weight"):
            return self.random.uniform(0.5, 1.5, shape) * sign
        if name == "z":  # away from its activation's kink
            return values + 0.1 * sign
        return values + 0.5 if name == "x" else values * 0.5 if name == "scale" else values

    def draw(self):
        self.tensors = {name: self.new(name, self.draw_one(name)) for name in self.names}
        if self.variant.running:
            channels = self.shape[1]
            self.tensors.update(running_mean=self.random.standard_normal(channels),
                                running_var=self.random.uniform(0.5, 2, channels))
        self.incoming = {name: self.new(name, self.random.standard_normal(self.shape))
                         for name in ("dy", "dsum")[:1 + self.has_sum]}

    def statistics(self):
        """mean and rstd in x's rank with ones, or without the dimensions of a group."""
        axes = element_axes(self.op, len(self.shape), self.variant.settings)
        shape = [1 if d in axes else n for d, n in enumerate(self.shape)]
        axis, parts = cut_axis(self.op, self.shape, self.variant.settings)
        if axis is not None:
            shape[axis] = parts
        if self.number % 2:
            shape = [n for d, n in enumerate(shape) if d not in axes]
        return {name: np.full(shape, np.nan) for name in ("mean", "rstd")}

    def probe(self, library, leave_out=(), **settings):
        """(the activation's argument, rstd)"""
        y, statistics = self.empty("y"), self.statistics()
        tensors = {name: array for name, array in self.tensors.items() if name not in leave_out}
        library.run(self.op, {**tensors, **statistics, "y": y}, **{**self.settings, "activation": 0, **settings})
        return y, statistics["rstd"]

    def is_smooth(self, library):
        """No kink within reach of the steps, and no group with so small a variance that differences are rough."""
        if self.op == "normalize" and not self.keeps_clear_of_eps(library):
            return False
        v, rstd = self.probe(library)
        if rstd.max() > LARGEST_RSTD:
            return False
        # An exact 0 is relu's of z, which no step changes. Where eps makes all small, steps change it less.
        size = np.abs(v[v != 0])
        return self.activation not in KINKED or size.min() > MARGIN * min(1, np.median(size))

    def keeps_clear_of_eps(self, library):
        """The same of |t| and max(norm, eps); sets an eps that shall lie between the groups' norms."""
        behind = ("addend",) if self.z_place == "first" else ("addend", "z")
        xhat, rstd = self.probe(library, behind, eps=0.0, eps_mode=EPS_MODES["max"])
        norms = np.sort(1 / rstd, axis=None)
        axes = element_axes(self.op, len(self.shape), self.variant.settings)
        t = xhat / (np.expand_dims(rstd, tuple(axes)) if rstd.ndim < xhat.ndim else rstd)
        if self.variant.settings.get("eps") == BETWEEN:
            middle = len(norms) // 2
            self.settings["eps"] = (norms[middle - 1] + norms[middle]) / 2
        clear = np.abs(norms - self.settings.get("eps", 0)).min() > 2 * MARGIN
        return clear and (self.variant.settings.get("norm_order") != 1 or np.abs(t[t != 0]).min() > MARGIN)

    def settle(self, library):
        for _ in range(ATTEMPTS):
            self.draw()
            if self.variant.settings.get("eps") == BETWEEN:
                self.settings["eps"] = 0.0
            if self.is_smooth(library):
                return
        raise RuntimeError("no draw keeps clear of the kinks")

    def differences(self, library):
        """name -> (gradient, error) of each input, and the statistics of forward."""
        outputs, statistics = {"y": self.empty("y")}, self.statistics()
        pairs = [(self.incoming["dy"], outputs["y"])]
        if self.has_sum:
            outputs["sum"] = self.empty("sum")
            pairs.append((self.incoming["dsum"], outputs["sum"]))
        self.constants = {name: np.full(self.shape[1], np.nan) for name in "rd"} if self.renorms else {}
        library.run(self.op, {**self.tensors, **outputs, **statistics, **self.constants}, **self.settings)
        forward = self.held_constant(library, outputs) if self.renorms else \
            Prepared(library, self.op, {**self.tensors, **outputs}, self.settings)

        def loss():
            forward.run()
            return sum(np.vdot(*pair) for pair in pairs)
        return {name: difference(loss, self.tensors[name]) for name in self.names}, statistics

    def held_constant(self, library, outputs):
        """Batch renorm with the r and d that forward had: batch norm with r and d within weight and bias."""
        per_channel = (1, -1) + (1,) * (len(self.shape) - 2)
        r, d = (self.constants[name].reshape(per_channel) for name in "rd")
        merged = {"weight": np.empty(self.shape), "bias": np.empty(self.shape)}
        natural = natural_axes(self.op, len(self.shape), self.settings)

        def wide(name, absent):
            v = self.tensors.get(name)
            if v is None:
                return absent
            return v.reshape([n if d in natural else 1 for d, n in enumerate(self.shape)]) \
                if v.ndim < len(self.shape) else v
        settings = {name: value for name, value in self.settings.items() if name not in ("r_max", "d_max")}
        tensors = {name: t for name, t in self.tensors.items() if not name.startswith("running_")}
        forward = Prepared(library, "batch_norm", {**tensors, **merged, **outputs}, settings)
        run = forward.run

        def merge_and_run():
            merged["weight"][...] = r * wide("weight", 1.0)
            merged["bias"][...] = d * wide("weight", 1.0) + wide("bias", 0.0)
            run()
        forward.run = merge_and_run
        return forward

    def backward(self, library, names, statistics):
        gradients = {"d" + name: self.empty("d" + name, self.tensors[name].shape) for name in names}
        library.run(self.op, {**self.tensors, **self.constants, **self.incoming, **statistics, **gradients},
                    direction=1, **self.settings)
        return gradients

    def backward_runs(self, saved):
        """(what to call it, inputs whose gradients are asked for, statistics that are given)"""
        yield "backward", self.names, {}
        yield "backward of saved statistics", self.names, saved
        for name in saved:
            yield f"backward of the saved {name}", self.names, {name: saved[name]}
        for name in self.names:
            yield f"backward for d{name} alone", [name], {}

    def compare(self, library, totals):
        """A complaint or None."""
        self.settle(library)
        differences, saved = self.differences(library)
        complaint = None
        for name, (expected, error) in differences.items():
            scale = np.abs(expected).max()
            if not scale > VANISHES:
                return f"d{name} vanishes (at most {scale:.3g}): the case says nothing of it"
            if not error <= DIFFERENCE_TOLERANCE * scale:
                return f"d{name}: the difference itself is only good to {error / scale:.3g}"
            totals.differences(error / scale)
        for run, names, statistics in self.backward_runs(saved):
            for gradient, got in self.backward(library, names, statistics).items():
                expected, _ = differences[gradient[1:]]
                error = np.abs(got - expected)
                error[np.isnan(error)] = np.inf
                ratio = float(error.max() / np.abs(expected).max())
                totals.gradient(ratio, f"{gradient} of {self.name}")
                if not ratio <= TOLERANCE and not complaint:
                    at = np.unravel_index(error.argmax(), error.shape)
                    complaint = (f"{run}: {gradient}{[int(i) for i in at]} is {got[at]:.9g}, by differences "
                                 f"{expected[at]:.9g} (max|gradient - difference| / max|difference| {ratio:.3g})")
        return complaint


class Totals:
    """tensors: gradients by differences, compared: gradients of Norma's beside them."""

    def __init__(self):
        self.tensors = self.compared = 0
        self.rough, self.worst, self.case_worst, self.worst_name = 0.0, 0.0, 0.0, ""

    def differences(self, error):
        self.tensors += 1
        self.rough = max(self.rough, error)

    def gradient(self, ratio, name):
        self.compared += 1
        self.case_worst = max(self.case_worst, ratio)
        if ratio > self.worst:
            self.worst, self.worst_name = ratio, name

    def take_case_worst(self):
        worst, self.case_worst = self.case_worst, 0.0
        return worst

    def summary(self):
        return (f"{self.tensors} gradient tensors, {self.compared} comparisons: largest max|gradient - difference| / "
                f"max|difference| {self.worst:.3g} ({self.worst_name}); the two differences of fourth order lie "
                f"{self.rough:.3g} apart at most")


class Coverage:
    """What an operator's cases had, and what they must have had."""

    def __init__(self, op):
        self.op, self.seen = op, set()

    def add(self, case):
        self.seen.update({("activation", case.activation), ("z", case.z_place, case.z_activation)})
        for name in case.names:
            self.seen.update({("d" + name, case.layout), ("d" + name, case.forms.get(name, "whole")),
                              ("d" + name, "dsum" if case.has_sum else "no dsum")})

    def missing(self):
        wanted = {("activation", name) for name in NAMES}
        wanted |= {("z", place, name) for place in Z_PLACES[1:] for name in NAMES}
        for name in (*WHOLE, *PREFIX, *vector_names(self.op)):
            wanted |= {("d" + name, what) for what in (*LAYOUTS, "dsum", "no dsum")}
            wanted |= {("d" + name, form) for form in FORMS if name not in WHOLE}
        for name in KINDS if self.op == "switchable_norm" else ():
            wanted |= {("d" + name, what) for what in (*LAYOUTS, "dsum", "no dsum")}
        return sorted(" ".join(what) for what in wanted - self.seen)


def run_operator(library, tally, totals, op):
    coverage = Coverage(op)
    for shift, variant in enumerate(VARIANTS[op]):
        for number in case_numbers(variant):
            case = Case(op, variant, shift, number)
            coverage.add(case)
            try:
                complaint = case.compare(library, totals)
            except (RuntimeError, KeyError) as error:
                complaint = error.args[0]
            worst = totals.take_case_worst()
            if complaint:
                tally.failed(op, case.name, complaint)
            else:
                tally.passed(op, case.name, worst / TOLERANCE)
    missing = coverage.missing()
    if missing:
        tally.failed(op, op, "no case has " + ", ".join(missing))


def run_refused(library, tally, op):
    """An operator without a backward must say so; once it has one it belongs to VARIANTS."""
    x = np.ones((2, 3, 4))
    try:
        library.run(op, {"x": x, "dy": x, "dx": norma_c.empty_like(x)}, direction=1)
    except norma_c.NormaError as error:
        if error.status == "unsupported":
            tally.leave_out(f"{op}: no backward")
            return
        tally.failed(op, op, error.args[0])
        return
    tally.failed(op, op, "has a backward, which gradients.py has no cases for")


def run_all(library, tally):
    totals = Totals()
    unknown = {name for name in MEMBERS if name.startswith("d") and name[1:] in MEMBERS} - GRADIENTS - {"dy", "dsum"}
    for name in sorted(unknown):
        tally.failed("gradients", name, "a gradient that gradients.py does not know")
    for op in OPS:
        if op in ("op_invalid", "op_count", *STEPS):
            continue
        if op in NO_BACKWARD:
            run_refused(library, tally, op)
        elif op in VARIANTS:
            run_operator(library, tally, totals, op)
        else:
            tally.failed(op, op, "an operator that gradients.py does not know")
    print(f"{tally.device}: {totals.summary()}")


def main():
    if len(sys.argv) != 2:
        print("usage: gradients.py LIBRARY", file=sys.stderr)
        return 2
    return run_devices(["scalar"], lambda device: norma_c.Library(sys.argv[1], device), run_all)


if __name__ == "__main__":
    sys.exit(main())
