"""A copy of the case's bytes on a CUDA device, half of them read and half written."""
import time

import torch

from comparison import torch_peer


class Peer(torch_peer.Peer):
    def prepare(self, case, _):
        self.release()
        self.tensors = [torch.ones(-(-case.bytes // 2), dtype=torch.uint8, device=self.device) for _ in range(2)]

    def run(self, runs):
        target, source = self.tensors
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(runs):
            target.copy_(source)
        torch.cuda.synchronize()
        return time.perf_counter() - start

    def outputs(self):
        return {}
