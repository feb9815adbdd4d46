#!/usr/bin/env python3
"""norma bench and its suite: what they print, and of which cases. No figure is asserted. Arguments: see program.py."""

import json
import os
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from program import DEVICES, NORMA, PRELOAD, Room

ROWS = {"4096x768", "16384x768", "8192x1024", "2048x4096", "262144x64", "64x262144", "2x1048576", "1x768", "32x768",
        "1x4096", "1x8192", "8x4096", "40x128", "8x128"}
IMAGES = {"32x64x56x56", "8x320x64x64", "256x2048x7x7"}
MEASUREMENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "measurements")


class Bench(Room):
    def one(self, *words):
        return json.loads(self.good("bench", *words, "--seconds", "0.02", "--json"))

    def suite(self, *words):
        return [json.loads(line) for line in self.good("bench", "--suite", "--quick", "--json", *words).splitlines()]

    def looks_right(self, result, device):
        for key in ("op", "shape", "dtype", "direction", "layout", "cache", "device_name"):
            self.assertTrue(isinstance(result[key], str) and result[key], (key, result))
        self.assertTrue(result["device"].startswith(device), result)
        self.assertGreater(result["seconds"]["minimum"], 0)
        self.assertLessEqual(result["seconds"]["minimum"], result["seconds"]["median"])
        self.assertAlmostEqual(result["gbps"] * 1e9 * result["seconds"]["median"] / result["bytes"], 1)
        fastest = min(result["copies"], key=lambda copy: copy["median"])
        self.assertEqual((result["copy_gbps"], result["fraction"]), (fastest["gbps"], fastest["fraction"]))
        if device != "scalar":
            self.assertGreater(result["empty_kernel"]["times"], 0)

    def test_cold_backward_layout(self):
        for device in DEVICES:
            words = ("batch_norm", "--training", "--shape", "2x8x4x4", "--device", device)
            warm = self.one(*words)
            self.looks_right(warm, device)
            self.assertEqual((warm["cache"], warm["direction"], warm["layout"]), ("warm", "forward", "contiguous"))
            # x and y, weight and bias
            self.assertEqual(warm["bytes"], 4 * (2 * 256 + 2 * 8))
            cold = self.one(*words, "--cold", "--backward", "--channels-last", "--dtype", "bfloat16")
            self.looks_right(cold, device)
            self.assertEqual((cold["cache"], cold["direction"], cold["layout"]), ("cold", "backward", "channels_last"))
            self.assertEqual((cold["in_flight"], cold["dtype"]), (1, "bfloat16"))
            # x, dy and dx; weight, bias and their gradients
            self.assertEqual(cold["bytes"], 2 * (3 * 256 + 4 * 8))

    def test_suite(self):
        chart = self.path("fractions.svg")
        results = self.suite("--device", "scalar", "--plot", chart)
        for result in results:
            self.looks_right(result, "scalar")
        for direction in ("forward", "backward"):
            of = [r for r in results if r["direction"] == direction]
            for op in ("layer_norm", "rms_norm"):
                self.assertEqual({r["suite_shape"] for r in of if r["op"] == op}, ROWS)
            for layout in ("contiguous", "channels_last"):
                images = {r["suite_shape"] for r in of if r["op"] in ("batch_norm", "group_norm") and r["layout"] == layout}
                self.assertEqual(images, IMAGES)
            self.assertEqual(len(of), 2 * len(ROWS) + 2 * len(IMAGES))
        root = xml.etree.ElementTree.parse(chart).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        self.assertGreater(sum(1 for element in root.iter() if element.tag.endswith("path")), len(results))  # dots

    def test_suite_devices(self):
        for device in DEVICES:
            results = self.suite("--device", device, "--filter", "layer_norm,rms_norm 1x768 forward")
            self.assertEqual([r["op"] for r in results], ["layer_norm", "rms_norm"])
            for result in results:
                self.looks_right(result, device)
        results = self.good("bench", "--suite", "--filter", " rms_norm 8x128  float16,bfloat16 cold forward", "--device",
                            "scalar", "--seconds", "0.02", "--json").splitlines()
        self.assertEqual([(json.loads(r)["dtype"], json.loads(r)["cache"]) for r in results],
                         [("float16", "cold"), ("bfloat16", "cold")])
        table = self.good("bench", "--suite", "--quick", "--filter", "40x128 rms_norm", "--device", DEVICES[-1])
        self.assertEqual(len([line for line in table.splitlines() if line.startswith("rms_norm")]), 2)

    def test_page(self):
        page = subprocess.run([sys.executable, MEASUREMENTS, "--norma", NORMA, "--quick", "--device", "scalar",
                               "--filter", "layer_norm,batch_norm 1x768,32x64x56x56"],
                              capture_output=True, text=True, check=True,
                              env={**os.environ, **({"LD_PRELOAD": PRELOAD} if PRELOAD else {})}).stdout
        self.assertIn("## layer_norm, float32, forward, warm", page)
        self.assertEqual(page.count("| 1x768 | scalar |"), 2)
        self.assertEqual(page.count("x64x56x56, channels last | scalar |"), 2)

    def test_refused(self):
        for status, about, words in (
            (1, "filter", ["bench", "--suite", "--filter", "layer"]),
            (2, "layer_norm", ["bench", "layer_norm", "--suite"]),
            (2, "--shape", ["bench", "--suite", "--shape", "4x4"]),
            (2, "seconds", ["bench", "--suite", "--seconds", "0"]),
            (1, "--channels-last", ["bench", "layer_norm", "--shape", "4x4", "--channels-last"]),
            (1, "plot", ["bench", "--suite", "--quick", "--filter", "1x768 rms_norm", "--device", "scalar", "--plot",
                         self.path("missing/fractions.svg")]),
            (1, "device", ["bench", "--suite", "--quick", "--device", "nothing"]),
        ):
            self.refused(status, about, *words)


if __name__ == "__main__":
    unittest.main()
