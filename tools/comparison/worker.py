"""One peer in a process of its own, told by lines of JSON on its standard input what to do next; answers likewise.

Two frameworks in one process would share OpenMP runtimes and memory allocators. While another peer works, this one waits.
"""
import importlib
import json
import os
import sys
import time
import traceback

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from comparison import cases, threads  # noqa: E402 # pylint: disable=wrong-import-position


class Unsupported(Exception):
    """The peer has no such operator, type, layout or direction."""


def load(folder, case):
    """The inputs, each in the case's layout, in pages of their own."""
    return {t: cases.place(case, np.load(os.path.join(folder, t + ".npy"))) for t in case.inputs}


class Worker:
    def __init__(self, module, name, options):
        self.peer = importlib.import_module("comparison." + module).Peer(name, options)
        self.sweep = None
        self.case = None

    def prepare(self, case, folder, quick):
        self.case = cases.Case.parse(case)
        try:
            self.peer.prepare(self.case, load(folder, self.case))
            start = time.perf_counter()
            self.peer.run(1)
        except self.peer.REFUSALS as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            return {"refused": first[:160]}
        if quick:
            return {"seconds": time.perf_counter() - start}
        seconds = []
        while len(seconds) < 5 and (len(seconds) < 2 or time.perf_counter() - start < 1):
            seconds.append(self.peer.run(1))
        return {"seconds": min(seconds)}

    def check(self, folder):
        for tensor, array in self.peer.outputs().items():
            np.save(os.path.join(folder, tensor + ".npy"), array)
        return {}

    def time(self, runs, turns, cold):
        """Each of the turns is `runs` runs; the first is not counted, since others have used the caches meanwhile."""
        if not cold:
            self.peer.run(runs)
            return {"seconds": [self.peer.run(runs) / runs for _ in range(turns)]}
        sweep = getattr(self.peer, "sweep", None)
        if not sweep:
            self.sweep = self.sweep or threads.Sweep()
            sweep = self.sweep.run
        seconds = []
        for _ in range(turns):
            sweep()
            seconds.append(self.peer.run(1))
        return {"seconds": seconds}

    def release(self):
        self.peer.release()
        return {}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the frameworks print must not look like an answer
    module, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        worker = Worker(module, name, options)
        answer({"version": worker.peer.version})
    except Exception as error:  # pylint: disable=broad-except # not installed, or no device: the coordinator says so
        answer({"absent": (str(error).strip() or type(error).__name__).splitlines()[0][:160]})
        return
    for line in sys.stdin:
        words = json.loads(line)
        try:
            answer(getattr(worker, words.pop("do"))(**words))
        except Exception as error:  # pylint: disable=broad-except
            traceback.print_exc()
            answer({"failed": f"{type(error).__name__}: {error}"[:300]})


if __name__ == "__main__":
    main()
