"""All cores at work: what empties the caches, and the plain copy that the peers are held against."""
import ctypes
import os
import threading

import numpy as np


def cores():
    return len(os.sched_getaffinity(0))


class Copier:
    """memmove by one thread a core, which wait for each other at both ends."""

    def __init__(self, target, source, bytes_, count):
        step = -(-bytes_ // count // 4096) * 4096
        self.parts = [(target + at, source + at, min(step, bytes_ - at)) for at in range(0, bytes_, step)]
        self.begin = threading.Barrier(len(self.parts))
        self.end = threading.Barrier(len(self.parts))
        self.stopped = False
        for part in self.parts[1:]:
            threading.Thread(target=self.serve, args=part, daemon=True).start()

    def serve(self, *part):
        while True:
            self.begin.wait()
            if self.stopped:
                return
            ctypes.memmove(*part)
            self.end.wait()

    def run(self):
        self.begin.wait()
        ctypes.memmove(*self.parts[0])
        self.end.wait()

    def stop(self):
        self.stopped = True
        self.begin.wait()


class Sweep:
    """Twice the last cache, read and written: what was in any cache before is not there afterwards."""

    def __init__(self):
        try:
            cache = os.sysconf("SC_LEVEL3_CACHE_SIZE")
        except (ValueError, OSError):
            cache = 0
        bytes_ = 2 * max(cache, 16 << 20)
        self.memory = np.ones((2, bytes_), np.uint8)
        self.copier = Copier(self.memory[0].ctypes.data, self.memory[1].ctypes.data, bytes_, cores())

    def run(self):
        self.copier.run()
