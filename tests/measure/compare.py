#!/usr/bin/env python3
"""tools/compare in its quick mode: every device of Norma's takes part and is right, a wrong result is noticed, and the files are
whole. No figure is asserted. Arguments: the program, the library, the devices that must be there."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import numpy as np  # noqa: E402
from comparison import cases, peers, report  # noqa: E402

NORMA, LIBRARY, DEVICES = sys.argv[1], sys.argv[2], sys.argv[3:]
sys.argv[1:] = []


def compare(folder, *words):
    return subprocess.run([sys.executable, os.path.join(ROOT, "tools", "compare"), "--norma", NORMA, "--library", LIBRARY,
                           "--quick", "--on", "cpu", "--output", folder, *words], capture_output=True, text=True, check=False)


class Compare(unittest.TestCase):
    def test_quick(self):
        with tempfile.TemporaryDirectory() as folder:
            done = compare(folder, "--filter", "layer_norm,rms_norm,batch_norm 8x128,32x64x56x56", "--peers",
                           "copy,norma,torch,onednn,onnxruntime")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with open(os.path.join(folder, "compare.json"), encoding="utf-8") as file:
                results = json.load(file)
            with open(os.path.join(folder, "compare.md"), encoding="utf-8") as file:
                page = file.read()
            if os.path.exists(os.path.join(folder, "compare.svg")):
                xml.etree.ElementTree.parse(os.path.join(folder, "compare.svg"))
        (section,) = results["sections"]
        self.assertEqual({(r["case"]["op"], r["case"]["direction"], r["case"]["layout"]) for r in section["results"]},
                         {(op, direction, "contiguous") for op in ("layer_norm", "rms_norm", "batch_norm")
                          for direction in ("forward", "backward")} |
                         {("batch_norm", direction, "channels_last") for direction in ("forward", "backward")})
        for record in section["results"]:
            self.assertIn("copy", record["peers"])
            for device in DEVICES:
                names = [name for name in record["peers"] if name.startswith("norma-" + device)]
                self.assertEqual(len(names), 1 if device == "scalar" else 2, record)
                for name in names:
                    peer = record["peers"][name]
                    self.assertLessEqual(peer["error"], 1)
                    self.assertTrue(0 < peer["minimum"] <= peer["median"], peer)
                    self.assertIn(f" {name} |", page)
        self.assertEqual(page.count("\n## "), 6 + ("## Not measured" in page))

    def test_wrong_results(self):
        for direction in ("forward", "backward"):
            for dtype in cases.DTYPES:
                case = cases.Case("group_norm", (2, 64, 3, 5), dtype, direction)
                expected = cases.reference(case, cases.make_inputs(case))
                right = {t: cases.store(value, dtype) for t, (value, _) in expected.items()}
                self.assertLessEqual(cases.worst(case, expected, right), 1)
                for t, array in right.items():
                    off = cases.to_float(array)
                    off.flat[-1] += 4 * expected[t][1].flat[-1]
                    self.assertGreater(cases.worst(case, expected, {**right, t: off}), 1)
                    off.flat[-1] = np.nan
                    self.assertEqual(cases.worst(case, expected, {**right, t: off}), np.inf)

    def test_formulas(self):
        """The gradients are those of the forward formula: central differences, in float64."""
        for op, shape in (("layer_norm", (3, 8)), ("rms_norm", (3, 8)), ("batch_norm", (4, 3, 2)), ("group_norm", (2, 64, 2))):
            backward = cases.Case(op, shape, "float32", "backward")
            inputs = {t: a.astype(np.float64) for t, a in cases.make_inputs(backward).items()}
            found = cases.reference(backward, inputs)
            forward = cases.Case(op, shape, "float32", "forward")
            for t in backward.outputs:
                for at in (0, inputs[t[1:]].size - 1):
                    values = []
                    for step in (1e-6, -1e-6):
                        moved = {**inputs, t[1:]: inputs[t[1:]].copy()}
                        moved[t[1:]].flat[at] += step
                        values.append((cases.reference(forward, moved)["y"][0] * inputs["dy"]).sum())
                    self.assertAlmostEqual((values[0] - values[1]) / 2e-6, found[t][0].flat[at], delta=1e-6)

    def test_norma_must_be_right(self):
        section = {"on": "cpu", "versions": {"norma-scalar": "1", "torch": "2"}, "results": [
            {"name": "a", "peers": {"norma-scalar": {"median": 1, "error": 1.5}, "torch": {"median": 1, "error": 90}}},
            {"name": "b", "peers": {"norma-scalar": {"refused": "why"}}}]}
        self.assertEqual(report.wrong({"sections": [section]}),
                         ["a: norma-scalar: 1.5 times the error that is allowed", "b: norma-scalar: why"])
        self.assertEqual(len(report.wrong({"sections": [{"on": "cpu", "versions": {}, "results": []}]})), 1)

    def test_peer_that_ends(self):
        """Its process is missed at once, and begun again for the next case."""
        with open(os.devnull, "w", encoding="utf-8") as log, tempfile.TemporaryDirectory() as folder:
            options = {"threads": 1, "gpu": False, "library": LIBRARY, "log": log}
            peer = peers.Peer("copy", "copy_peer", options)
            peer.process.kill()
            for _ in range(2):
                self.assertIn("ended", peer.tell("release")["failed"])
            case = cases.Case("layer_norm", (4, 8), "float32", "forward")
            for name, array in cases.make_inputs(case).items():
                np.save(os.path.join(folder, name + ".npy"), array)
            self.assertTrue(peer.prepare(case, folder, True))
            peer.turn(0, 3, True)
            self.assertEqual((len(peer.seconds), min(peer.seconds) > 0, peer.refused), (3, True, None))
            peer.close()
            missing = peers.Peer("none", "no_such_peer", options)
            self.assertIn("no_such_peer", missing.absent)
            missing.close()

    def test_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            done = compare(folder, "--filter", "nothing")
            self.assertEqual(done.returncode, 1)
            self.assertIn("--filter", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
