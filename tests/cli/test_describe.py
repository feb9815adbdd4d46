"""norma describe: the JSON and the kernels beside it. Arguments as of program.py."""

import json
import os
import random
import struct
import unittest

import opencl_plan
from program import DEVICES, Room, header, operators

DEVICES = [device for device in DEVICES if device != "scalar"]

# One of each family: rows, columns and planes, mixes, windows, steps; both directions; types.
PROBLEMS = {
    "rows": ["layer_norm", "--shape", "40x768"],
    "split rows": ["rms_norm", "--shape", "1x50000", "--dtype", "float16"],
    "columns": ["batch_norm", "--training", "--shape", "8x16x5x5", "--with", "weight,bias,running_mean,running_var"],
    "gradients": ["group_norm", "--num-groups", "4", "--backward", "--shape", "3x8x10"],
    "a mix": ["switchable_norm", "--training", "--shape", "3x4x5"],
    "a window": ["local_response_norm", "--shape", "2x7x3"],
    "a step": ["batch_norm_merge", "--shape", "3x5x6"],
    "8 bits": ["ada_rms_norm", "--shape", "4x33", "--out-dtype", "int8", "--y-scale-dynamic"],
    "bfloat16": ["normalize", "--dim", "0", "--shape", "9x3", "--dtype", "bfloat16"],
}
KEYS = {"norma_description", "norma", "op", "direction", "device", "variant", "alignment", "workspace", "tensors", "fills",
        "dispatches"}
DISPATCH = {"kernel", "file", "entry", "constants", "bindings", "groups", "local", "barrier", "tile"}


class Describe(Room):
    def describe(self, *words):
        self.good("describe", *words)
        with open(words[words.index("-o") + 1]) as file:
            return json.load(file)

    def test_saved(self):
        """With a saved rstd x is not reduced again where there is no mean; else the mean is found, or corrected."""
        for device in DEVICES:
            for op, given, stats, corrected in (("rms_norm", "dx", True, False), ("rms_norm", "dx,rstd", False, False),
                                                ("normalize", "dx,rstd", False, False),
                                                ("layer_norm", "dx,rstd", True, False),
                                                ("layer_norm", "dx,mean", True, False),
                                                ("layer_norm", "dx,mean,rstd", False, True)):
                plan = self.describe(op, "--shape", "5x40", "--backward", "--with", given, "--device", device, "-o",
                                     self.path("%s-%s-%s.json" % (op, given, device)))
                kernels = [d["kernel"] for d in plan["dispatches"]]
                about = (device, op, given, kernels)
                self.assertEqual(any(k.endswith("_stats") for k in kernels), stats, about)
                self.assertEqual(sum(k.endswith("_sums") for k in kernels), 1 + corrected, about)

    def check_kernel(self, dispatch, backend):
        with open(self.path(dispatch["file"]), "rb") as file:
            code = file.read()
        if backend == "vulkan":
            self.assertEqual(code[:4], b"\x03\x02\x23\x07")
            self.assertEqual(dispatch["entry"], "main")
            self.assertNotIn("options", dispatch)
            ids = [c["id"] for c in dispatch["constants"]]
            self.assertEqual(len(ids), len(set(ids)))
        else:
            self.assertTrue("NORMA_ONLY_%s)" % dispatch["entry"] in code.decode(), dispatch["entry"])
            self.assertEqual(dispatch["entry"], dispatch["kernel"])
            for constant in dispatch["constants"]:
                self.assertIn("-D%s=%d" % (constant["name"], constant["value"]), dispatch["options"])

    def check_bindings(self, plan, dispatch):
        sizes = {t["name"]: (t["bytes"] + 3) // 4 * 4 for t in plan["tensors"]}
        sizes["workspace"] = plan["workspace"]
        outputs = {t["name"] for t in plan["tensors"] if t["written"]} | {"workspace"}
        self.assertEqual([b["slot"] for b in dispatch["bindings"]], list(range(len(dispatch["bindings"]))))
        for bound in dispatch["bindings"]:
            self.assertGreater(bound["size"], 0)
            self.assertLessEqual(bound["offset"] + bound["size"], sizes[bound["tensor"]])
            self.assertEqual(bound["offset"] % plan["alignment"], 0)
            self.assertIn(bound["tensor"], outputs if bound["written"] else sizes)
        return {b["tensor"] for b in dispatch["bindings"] if b["written"]}

    def test_families(self):
        for device in DEVICES:
            for name, words in PROBLEMS.items():
                with self.subTest(device=device, problem=name):
                    plan = self.describe(*words, "--device", device, "-o", self.path("plan.json"))
                    self.assertEqual(set(plan), KEYS)
                    self.assertEqual((plan["norma_description"], plan["op"], plan["device"]["backend"]),
                                     (1, words[0], device))
                    self.assertEqual(plan["direction"], "backward" if "--backward" in words else "forward")
                    self.assertEqual(plan["fills"], [])
                    written = set()
                    for dispatch in plan["dispatches"]:
                        self.assertEqual(set(dispatch) - {"options", "args", "table"}, DISPATCH)
                        self.assertEqual(len({"args", "table"} & set(dispatch)), 1)
                        self.check_kernel(dispatch, device)
                        written |= self.check_bindings(plan, dispatch)
                    self.assertEqual(written - {"workspace"}, {t["name"] for t in plan["tensors"] if t["written"]})

    def test_every_operator(self):
        for op in sorted(operators()):
            shape = "3x5x4" if op == "batch_norm_merge" else "4x4x4"
            for direction in [[]] if op == "local_response_norm" else [[], ["--backward"]]:
                if op == "batch_norm_merge" and direction:
                    shape = "3x2x4"
                more = ["--num-groups", "2"] if "group" in op else []
                plan = self.describe(op, *more, *direction, "--shape", shape, "--device", DEVICES[0], "-o",
                                     self.path("plan.json"))
                self.assertTrue(plan["dispatches"], op)

    def test_run_from_files(self):
        for op, shape, *options in (["layer_norm", (5, 700)], ["batch_norm", (4, 6, 5, 3), "--training"],
                                    ["group_norm", (2, 8, 9), "--num-groups", "4", "--activation", "silu"]):
            source = random.Random(1)
            extent = shape[-1] if op == "layer_norm" else shape[1]
            count = 1
            for n in shape:
                count *= n
            inputs = {name: struct.pack("<%df" % n, *[source.gauss(1, 2) for _ in range(n)])
                      for name, n in (("x", count), ("weight", extent), ("bias", extent))}
            files = {name: self.write(name + ".npy", header("<f4", shape if name == "x" else (extent,)) + content)
                     for name, content in inputs.items()}
            self.good("run", op, files["x"], "--weight", files["weight"], "--bias", files["bias"], *options, "--device",
                      "opencl", "-o", self.out)
            path = self.path("plan.json")
            self.describe(op, "--shape", "x".join(map(str, shape)), *options, "--device", "opencl", "-o", path)
            with open(self.out, "rb") as file:
                self.assertEqual(opencl_plan.run(path, inputs)["y"], file.read()[-4 * count:], op)

    def test_counted(self):
        words = ["--shape", "5x700", "--counted", "-o", self.path("plan.json"), "--device"]
        for device in DEVICES:
            plan = self.describe("rms_norm", *words, device)
            self.assertEqual("count_offset" in plan, device == "opencl")
            indirect = [d for d in plan["dispatches"] if "groups_offset" in d]
            self.assertEqual(len(indirect), 0 if device == "opencl" else len(plan["dispatches"]) - 1)
            for dispatch in plan["dispatches"]:
                self.check_kernel(dispatch, device)
            if device == "vulkan":
                first = plan["dispatches"][0]
                self.assertEqual((first["kernel"], first["bindings"][0]["tensor"]), ("row_count", "row_count"))
                self.assertTrue(all(d["groups_offset"] + 12 <= plan["workspace"] for d in indirect))
                self.assertTrue(indirect[0]["barrier"])
            self.refused(1, "problem: rows are", "describe", "group_norm", "--num-groups", "2", "--shape", "3x4x5",
                         *words[2:], device)

    def test_counted_run_from_files(self):
        source = random.Random(2)
        x, weight, bias = [struct.pack("<%df" % n, *[source.gauss(1, 2) for _ in range(n)]) for n in (3500, 700, 700)]
        self.good("run", "layer_norm", self.write("x.npy", header("<f4", (5, 700)) + x), "--weight",
                  self.write("w.npy", header("<f4", (700,)) + weight), "--bias",
                  self.write("b.npy", header("<f4", (700,)) + bias), "--device", "opencl", "-o", self.out)
        with open(self.out, "rb") as file:
            wanted = file.read()[-14000:]
        path = self.path("plan.json")
        self.describe("layer_norm", "--shape", "5x700", "--counted", "--device", "opencl", "-o", path)
        for count in (2, 0, 9):
            inputs = {"x": x, "weight": weight, "bias": bias, "row_count": struct.pack("<I", count)}
            got = opencl_plan.run(path, inputs)["y"]
            end = 2800 * min(count, 5)
            self.assertEqual(got, wanted[:end] + b"\xa5" * (14000 - end), count)

    def test_folder(self):
        folder = self.path("plans")
        words = ["describe", "layer_norm", "--shape", "4x8", "--device", DEVICES[0], "-o", folder]
        self.good(*words)
        self.good(*words, "--backward")
        before = sorted(os.listdir(folder))
        self.assertTrue({"layer_norm.json", "layer_norm-backward.json"} < set(before))
        self.good(*words)
        self.assertEqual(sorted(os.listdir(folder)), before)  # the same kernels, and no temporary file

    def test_empty(self):
        plan = self.describe("layer_norm", "--backward", "--shape", "0x5", "--device", DEVICES[0], "-o",
                             self.path("plan.json"))
        self.assertEqual(plan["dispatches"], [])
        self.assertIn({"tensor": "dweight", "value": [0, 0, 0, 0]}, plan["fills"])

    def test_refused(self):
        words = ["describe", "layer_norm", "--shape", "4x8"]
        self.refused(1, "variant", *words, "--device", DEVICES[0], "--variant", "no such", "-o", self.path("a.json"))
        self.refused(1, "float64", *words, "--device", DEVICES[0], "--dtype", "float64", "-o", self.path("a.json"))
        self.refused(1, "num_groups", "describe", "group_norm", "--shape", "2x5x3", "--num-groups", "2", "-o", self.out)
        occupied = self.write("occupied", b"")
        self.refused(1, "output", *words, "--device", DEVICES[0], "-o", occupied)
        self.refused(1, "output", *words, "--device", DEVICES[0], "-o", self.path("missing/plan.json"))


if __name__ == "__main__":
    unittest.main()
