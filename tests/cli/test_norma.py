"""The norma program from a shell: real data, bad files, exit statuses. Arguments as of program.py."""

import json
import os
import struct
import unittest
import xml.etree.ElementTree

from program import DEVICES, Room, data, header, norma, operators, read_floats


class Program(Room):
    def embedding(self):
        return ["run", "layer_norm", data("embedding_x"), "--weight", data("embedding_weight"),
                "--bias", data("embedding_bias"), "--eps", "1e-12"]

    def test_describe_refused(self):
        words = ["describe", "layer_norm", "--shape", "4x8"]
        self.refused(2, "-o", *words)
        self.refused(2, "--shape", "describe", "layer_norm", "-o", self.out)
        self.refused(1, "device", *words, "--device", "scalar", "-o", self.out)

    def test_minilm(self):
        attention = ["run", "layer_norm", data("attention_x"), "--residual", data("attention_residual"),
                     "--weight", data("attention_weight"), "--bias", data("attention_bias"), "--eps", "1e-12"]
        for device in DEVICES:
            for words, expected in ((self.embedding(), "embedding_y"), (attention, "attention_y")):
                self.good(*words, "--device", device, "-o", self.out, "--verify")
                got, right = read_floats(self.out), read_floats(data(expected))
                self.assertEqual(len(got), len(right))
                self.assertLess(max(abs(a - b) for a, b in zip(got, right)), 2e-5)
                os.remove(self.out)

    def test_extra_outputs(self):
        extra = [self.path(n) for n in ("m.npy", "r.npy", "s.npy")]
        self.good(*self.embedding(), "--residual", data("embedding_x"), "-o", self.out, "--mean-out", extra[0],
                  "--rstd-out", extra[1], "--sum-out", extra[2], "--device", "scalar")
        x, total = read_floats(data("embedding_x")), read_floats(extra[2])
        self.assertEqual([2 * v for v in x], list(total))
        self.assertEqual(len(read_floats(extra[0])), len(read_floats(extra[1])))

    def test_types(self):
        one = self.write("half.npy", header("<f2", (1, 4)) + struct.pack("<4e", -1, 3, -1, 3))
        self.good("run", "rms_norm", one, "-o", self.out, "--device", "scalar")
        with open(self.out, "rb") as file:
            self.assertIn(b"<f2", file.read())
        one = self.write("brain.npy", header("<u2", (1, 4)) + struct.pack("<4H", 0xbf80, 0x4040, 0xbf80, 0x4040))
        self.good("run", "layer_norm", one, "--dtype", "bfloat16", "--eps", "0", "-o", self.out, "--device", "scalar")
        with open(self.out, "rb") as file:
            self.assertEqual(struct.unpack("<4H", file.read()[-8:]), (0xbf80, 0x3f80, 0xbf80, 0x3f80))

    def test_float64(self):
        values = [0.1 * i * i - 3 for i in range(12)]
        wide = self.write("wide.npy", header("<f8", (2, 6)) + struct.pack("<12d", *values))
        narrow = self.write("narrow.npy", header("<f4", (2, 6)) + struct.pack("<12f", *values))
        results = []
        for name in (wide, narrow):
            self.good("run", "layer_norm", name, "-o", self.out, "--device", "scalar", "--verify")
            results.append(read_floats(self.out))
        self.assertEqual(results[0], results[1])

    def test_bad_files(self):
        body = struct.pack("<8f", *range(8))
        files = {
            "empty": b"",
            "text": b"hello, this is no array",
            "magic": b"\x93NUMPX" + header("<f4", (2, 4))[6:] + body,
            "version": b"\x93NUMPY\x09\x00" + header("<f4", (2, 4))[8:] + body,
            "cut_header": header("<f4", (2, 4))[:40],
            "cut_data": header("<f4", (2, 4)) + body[:-1],
            "more_than_there_is": header("<f4", (2000, 4000)) + body,
            "overflow": header("<f4", (2**40, 2**40)) + body,
            "negative": header("<f4", (-2, 4)) + body,
            "huge": header("<f4", (2**63, 1)) + body,
            "rank": header("<f4", (1,) * 40) + body,
            "integers": header("<i4", (2, 4)) + body,
            "big_endian": header(">f4", (2, 4)) + body,
            "objects": header("|O", (2, 4)) + body,
            "no_shape": b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}" + body,
            "long_header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{" + body,
        }
        for name, content in files.items():
            file = self.write(name + ".npy", content)
            self.refused(1, name + ".npy", "run", "layer_norm", file, "-o", self.out, "--device", "scalar")
        self.refused(1, "missing.npy", "run", "layer_norm", self.path("missing.npy"), "-o", self.out)

    def test_bad_arguments(self):
        x = self.write("x.npy", header("<f4", (2, 4)) + struct.pack("<8f", *range(8)))
        run = ["run", "layer_norm", x, "-o", self.out, "--device", "scalar"]
        self.refused(1, "weight", *run, "--weight", data("embedding_weight"))
        self.refused(1, "eps", *run, "--eps", "-1")
        self.refused(1, "normalized", *run, "--normalized-dims", "3")
        self.refused(1, "device", "run", "layer_norm", x, "-o", self.out, "--device", "nonsense")
        self.refused(2, "eps", *run, "--eps", "small")
        self.refused(2, "frobnicate", *run, "--frobnicate")
        self.refused(2, "no_norm", "run", "no_norm", x, "-o", self.out)
        self.refused(2, "fly", "fly")
        self.refused(2, "o", "run", "layer_norm", x)
        self.assertEqual(norma().returncode, 2)
        self.refused(1, "nowhere", "run", "layer_norm", x, "-o", self.path("nowhere/out.npy"), "--device", "scalar")

    def test_explain(self):
        text = self.good("explain", "layer_norm", "--shape", "64x768")
        for device in DEVICES:
            self.assertIn(device, text)
        plan = json.loads(self.good("explain", "layer_norm", "--shape", "64x768", "--no-measure", "--json"))
        memory = {d["device"].split(":")[0]: d["memory"] for d in plan["devices"]}
        for device in DEVICES:  # those of the suite all read the caller's memory
            self.assertEqual(memory[device], "direct" if device == "scalar" else "import")

    def test_explain_refused(self):
        words = ("explain", "layer_norm", "--shape", "4096x768", "--backward", "--memory-budget", "4M", "--no-measure")
        for device in ["auto"] + DEVICES:
            text = self.good(*words, "--device", device)
            able = device in ("auto", "scalar")
            self.assertIn("scalar is chosen" if able else "none is chosen", text)
            for d in json.loads(self.good(*words, "--device", device, "--json"))["devices"]:
                self.assertEqual(d["chosen"], d["device"] == "scalar")
                self.assertEqual(d["predicted"] is None, d["device"] != "scalar")

    def test_json(self):
        devices = json.loads(self.good("devices", "--json"))
        self.assertTrue(len(json.dumps(devices)) > 2)
        for device in DEVICES:
            self.assertIn(device, json.dumps(devices))
        result = json.loads(self.good("bench", "layer_norm", "--shape", "256x256", "--device", "scalar",
                                      "--seconds", "0.2", "--json"))
        for key in ("op", "shape", "dtype", "device", "seconds", "gbps", "copy_gbps", "fraction"):
            self.assertIn(key, result)
        self.assertLessEqual(result["seconds"]["minimum"], result["seconds"]["median"])

    def test_plot(self):
        chart = self.path("rates.svg")
        bench = ("bench", "layer_norm", "--shape", "64x64", "--device", "scalar", "--seconds", "0.1", "--plot")
        self.good(*bench, chart)
        root = xml.etree.ElementTree.parse(chart).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual(os.stat(chart).st_mode & 0o777, 0o666 & ~mask)
        done = norma(*bench, self.path("missing/rates.svg"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("plot:", done.stderr)

    def test_check(self):
        for device in DEVICES[:2]:  # the cases are those of the check suite, which runs more of them on every driver
            (done,) = json.loads(self.good("check", "--device", device, "--json"))["devices"]
            self.assertEqual(set(done["operators"]), operators())
            self.assertEqual((done["failures"], done["first_failure"]), (0, ""))
            self.assertEqual(sum(op["cases"] for op in done["operators"].values()), done["cases"])
            self.assertEqual(max(op["worst"] for op in done["operators"].values()), done["worst"])
            self.assertLessEqual(done["worst"], 1)
        text = self.good("check", "--device", "scalar", "--seed", "5", "--repeat", "2")
        self.assertIn("seed 5, 2 rounds", text)

    def test_environment(self):
        done = norma("run", "layer_norm", data("embedding_x"), "-o", self.out, NORMA_DEVICE="nonsense")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nonsense", done.stderr)
        self.assertFalse(os.path.exists(self.out))


if __name__ == "__main__":
    unittest.main()
