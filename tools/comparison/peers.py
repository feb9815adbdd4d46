"""The processes of the peers, and turns that they take."""
import json
import os
import queue
import statistics
import subprocess
import sys
import threading

# Name -> module, besides Norma's. A name says on which device.
CPU = {"copy": "copy_peer", "onnxruntime": "onnxruntime_peer", "torch": "torch_peer", "onednn": "onednn_peer",
       "ncnn": "ncnn_peer", "ncnn-vulkan": "ncnn_peer"}
GPU = {"copy-cuda": "cuda_copy_peer", "torch-cuda": "torch_peer", "torch-cuda-compile": "torch_peer",
       "triton-cuda": "triton_peer", "ncnn-vulkan": "ncnn_peer"}
TURN = 0.01      # seconds that a peer's turn takes at least
MOST_RUNS = 200  # in a turn
SLOW = 20        # times as slow as the fastest: a few turns are enough
SLOW_TURNS = 3
TURNS = 200
PATIENCE = 900   # seconds to wait for an answer


class Peer:
    """A process. seconds: of all turns of the case at hand; rounds: their median in each round that it took part in."""

    def __init__(self, name, module, options):
        self.name, self.module, self.options = name, module, options
        self.refused, self.seconds, self.rounds, self.estimate = None, [], {}, 0.0
        self.start()

    def start(self):
        here = os.path.dirname(os.path.abspath(__file__))
        threads = str(self.options["threads"])
        # OpenMP's threads must not spin while it is another peer's turn.
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "KMP_BLOCKTIME": "1", "GOMP_SPINCOUNT": "100000",
                       "MKL_NUM_THREADS": threads}
        words = json.dumps({key: value for key, value in self.options.items() if key != "log"})
        self.process = subprocess.Popen([sys.executable, os.path.join(here, "worker.py"), self.module, self.name, words],
                                        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.options["log"], text=True)
        self.answers = queue.Queue()
        threading.Thread(target=self.listen, args=(self.process, self.answers), daemon=True).start()
        hello = self.answer()
        self.version, self.absent = hello.get("version"), hello.get("absent") or hello.get("failed")

    @staticmethod
    def listen(process, answers):
        for line in process.stdout:
            answers.put(json.loads(line))
        answers.put({"failed": f"its process ended with status {process.wait()}", "ended": True})

    def answer(self):
        try:
            answer = self.answers.get(timeout=PATIENCE)
            if "ended" in answer:
                self.answers.put(answer)  # to whatever is asked of it next
            return answer
        except queue.Empty:
            self.process.kill()
            return {"failed": f"no answer for {PATIENCE} seconds"}

    def tell(self, what, **words):
        try:
            self.process.stdin.write(json.dumps({"do": what, **words}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # why is what listen says
        return self.answer()

    def prepare(self, case, folder, quick):
        """False where the peer failed, and not only has no such case. One whose process ended at another case begins anew."""
        if self.process.poll() is not None:
            self.start()
        answer = self.tell("prepare", case=case.__dict__, folder=folder, quick=quick)
        self.refused = answer.get("refused") or answer.get("failed")
        self.seconds, self.rounds, self.estimate = [], {}, answer.get("seconds", 0.0)
        return "failed" not in answer

    def turn(self, number, turns, cold):
        """The peer's part of round `number`."""
        runs = 1 if cold else max(1, min(MOST_RUNS, int(TURN / max(self.estimate, 1e-9))))
        answer = self.tell("time", runs=runs, turns=turns, cold=cold)
        if "failed" in answer:
            self.refused = answer["failed"]
            return
        self.seconds += answer["seconds"]
        self.rounds[number] = statistics.median(answer["seconds"])

    @property
    def median(self):
        return statistics.median(self.seconds)

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
