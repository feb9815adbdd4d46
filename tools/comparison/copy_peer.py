"""No framework: a memcpy of the case's bytes on all cores, half of them read and half written."""
import platform
import time

import numpy as np

from comparison import threads


class Peer:
    REFUSALS = ()

    def __init__(self, _, options):
        self.threads = options["threads"]
        self.version = platform.libc_ver()[1]
        self.copier = self.memory = None

    def prepare(self, case, _):
        self.release()
        bytes_ = -(-case.bytes // 2)
        self.memory = np.ones((2, bytes_), np.uint8)
        # A second thread costs more than it helps where little is copied.
        count = self.threads if bytes_ > 1 << 18 else 1
        self.copier = threads.Copier(self.memory[0].ctypes.data, self.memory[1].ctypes.data, bytes_, count)

    def run(self, runs):
        start = time.perf_counter()
        for _ in range(runs):
            self.copier.run()
        return time.perf_counter() - start

    def release(self):
        if self.copier:
            self.copier.stop()
        self.copier = self.memory = None

    def outputs(self):
        return {}  # it computes nothing
