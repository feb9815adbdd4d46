"""Norma on one device: on the caller's memory in one call, or as a plan on buffers of its own (the name ends in -plan)."""
import ctypes
import os
import sys
import time

import numpy as np

from comparison import cases

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tests",
                                "peers"))
import norma_c  # noqa: E402 # pylint: disable=wrong-import-position


class PlanParams(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("variant", ctypes.c_char_p), ("memory_budget", ctypes.c_uint64),
                ("timestamps", ctypes.c_int32)]


SWEEP_SHAPE = (8192, 8192)  # float32: 256 MiB read and as many written, more than the caches of any GPU known to us


class Plan:
    """A plan with its tensors in buffers."""

    def __init__(self, peer, problem, arrays):
        self.lib, self.check = peer.lib, peer.library.check
        self.problem, self.buffers, self.kept = problem, {}, []
        self.plan = ctypes.c_void_p()
        for name, array in arrays.items():
            tensor = getattr(problem, name).contents
            buffer = ctypes.c_void_p()
            self.check(self.lib.norma_buffer_create(peer.device, ctypes.c_uint64(array.nbytes), ctypes.byref(buffer)))
            # Outputs too: pages that were never written are not there yet.
            self.check(self.lib.norma_buffer_write(buffer, ctypes.c_uint64(0), ctypes.c_void_p(array.ctypes.data),
                                                   ctypes.c_uint64(array.nbytes)))
            tensor.data, tensor.buffer = None, buffer
            self.buffers[name] = (buffer, array)
        params = PlanParams(size=ctypes.sizeof(PlanParams))
        self.check(self.lib.norma_plan_create(peer.device, ctypes.byref(problem), ctypes.byref(params),
                                              ctypes.byref(self.plan)))
        self.event = ctypes.c_void_p()

    def run(self, runs, each):
        """each: waits for every run, as a call of a CPU framework does; else for the last, as is usual on GPUs."""
        run, problem, event = self.lib.norma_plan_run, ctypes.byref(self.problem), ctypes.byref(self.event)
        status = 0
        start = time.perf_counter()
        for i in range(runs):
            wanted = each or i + 1 == runs
            status = status or run(self.plan, problem, event if wanted else None)
            if wanted:
                status = status or self.lib.norma_event_wait(self.event)
                self.lib.norma_event_destroy(event)
        seconds = time.perf_counter() - start
        self.check(status)
        return seconds

    def read(self, name):
        buffer, array = self.buffers[name]
        self.check(self.lib.norma_buffer_read(buffer, ctypes.c_uint64(0), ctypes.c_void_p(array.ctypes.data),
                                              ctypes.c_uint64(array.nbytes)))

    def destroy(self):
        self.lib.norma_plan_destroy(ctypes.byref(self.plan))
        for buffer, _ in self.buffers.values():
            self.lib.norma_buffer_destroy(ctypes.byref(buffer))


class Peer:
    REFUSALS = ()  # Norma has all that is compared; an error is an error

    def __init__(self, name, options):
        device = name.split("-")[1]
        self.planned = name.endswith("-plan")
        self.gpu = options["gpu"]
        os.environ.setdefault("NORMA_THREADS", str(options["threads"]))
        self.library = norma_c.Library(options["library"], device)
        self.lib = self.library.lib
        for function in ("norma_buffer_create", "norma_plan_create", "norma_plan_run", "norma_event_wait",
                         "norma_buffer_write", "norma_buffer_read"):
            getattr(self.lib, function).restype = ctypes.c_int
        self.lib.norma_plan_run.argtypes = [ctypes.c_void_p] * 3
        self.lib.norma_event_wait.argtypes = [ctypes.c_void_p]
        self.device = ctypes.c_void_p()
        self.library.check(self.lib.norma_context_find_device(self.library.context, device.encode(),
                                                              ctypes.byref(self.device)))
        self.lib.norma_version.restype = ctypes.c_char_p
        self.version = self.lib.norma_version().decode()
        self.case = self.arrays = self.problem = self.plan = self.sweeper = None
        self.kept = []
        if self.gpu:
            self.sweep = self.sweep_gpu

    def make_problem(self, op, arrays, settings):
        problem = self.lib.norma_problem_defaults(norma_c.OPS[op]).problem
        for name, value in settings.items():
            setattr(problem, name, value)
        for name, array in arrays.items():
            tensor = norma_c.tensor_of(array)
            self.kept.append(tensor)
            setattr(problem, name, ctypes.pointer(tensor))
        return problem

    def prepare(self, case, inputs):
        self.release()
        self.case = case
        self.arrays = dict(inputs)
        for t in case.outputs:
            self.arrays[t] = cases.place(case, np.ones(case.shape_of(t), cases.storage(case.dtype)))
        settings = {"eps": cases.EPS}
        if case.op == "group_norm":
            settings["num_groups"] = cases.GROUPS
        if case.op == "batch_norm":
            settings["training"] = 1
        if case.backward:
            settings["direction"] = 1
        self.problem = self.make_problem(case.op, self.arrays, settings)
        if self.planned:
            self.plan = Plan(self, self.problem, self.arrays)

    def run(self, runs):
        if self.plan:
            return self.plan.run(runs, not self.gpu)
        run, context, problem = self.lib.norma_run, self.library.context, ctypes.byref(self.problem)
        status = 0
        start = time.perf_counter()
        for _ in range(runs):
            status = status or run(context, problem)
        seconds = time.perf_counter() - start
        self.library.check(status)
        return seconds

    def sweep_gpu(self):
        if not self.sweeper:
            arrays = {"x": np.ones(SWEEP_SHAPE, np.float32), "y": np.ones(SWEEP_SHAPE, np.float32)}
            self.sweeper = Plan(self, self.make_problem("rms_norm", arrays, {}), arrays)
        self.sweeper.run(1, True)

    def outputs(self):
        for t in self.case.outputs:
            if self.plan:
                self.plan.read(t)
        return {t: np.ascontiguousarray(self.arrays[t]) for t in self.case.outputs}

    def release(self):
        if self.plan:
            self.plan.destroy()
        self.plan = self.problem = self.arrays = None
        self.kept = self.kept[-2:] if self.sweeper else []
