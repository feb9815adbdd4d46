#!/usr/bin/env python3
"""tools/gpu-kit: the kit is made, moved, and run there in its quick mode with no path to libraries. Arguments: the build folder,
and the APIs whose drivers must be there."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD, APIS = os.path.abspath(sys.argv[1]), sys.argv[2:]
sys.argv[1:] = []
LEFT = re.compile(r"(libc|libm|libdl|libpthread|librt|libresolv|ld-linux.*)\.so")  # with the driver


def run(*words, **environment):
    env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "NORMA_CACHE_DIR")}
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**env, **environment}, cwd="/")


class Kit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.room = tempfile.TemporaryDirectory()
        made = os.path.join(cls.room.name, "made")
        done = run(os.path.join(ROOT, "tools", "gpu-kit"), made, BUILD)
        assert done.returncode == 0, done.stderr
        cls.kit = os.path.join(cls.room.name, "moved here")
        shutil.move(made, cls.kit)

    @classmethod
    def tearDownClass(cls):
        cls.room.cleanup()

    def kit_run(self, *words, **environment):
        return run(os.path.join(self.kit, "run"), *words, **environment)

    def test_holds_its_libraries(self):
        for program in glob.glob(os.path.join(self.kit, "bin", "*")):
            for line in run("ldd", program).stdout.splitlines():
                name = line.split()[0]
                if "=>" in line and not LEFT.match(name):
                    self.assertTrue(os.path.isfile(os.path.join(self.kit, "lib", name)), line)
        self.assertEqual({"libOpenCL.so.1", "libvulkan.so.1"}, set(os.listdir(os.path.join(self.kit, "loaders"))))

    def test_quick(self):
        results = os.path.join(self.room.name, "results")
        done = self.kit_run("--quick", "--cases", "4", "--filter", "layer_norm 8x128,1x768 forward warm", "--results", results,
                            NORMA_PYTHON=sys.executable)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        have = set(os.listdir(results))
        with open(os.path.join(results, "devices.json"), encoding="utf-8") as file:
            devices = {d["id"]: d["name"] for d in json.load(file)}
        with open(os.path.join(results, "summary.txt"), encoding="utf-8") as file:
            summary = file.read()
        self.assertEqual(done.stdout, summary)
        self.assertNotIn("FAILED", summary)
        for api in APIS:
            self.assertIn(f"check-{api}: done", summary)
            self.assertIn(f"check-strided-{api}: done", summary)
            self.assertIn(devices[api + ":0"], summary)
            with open(os.path.join(results, f"check-strided-{api}.log"), encoding="utf-8") as file:
                self.assertRegex(file.read(), r"check suite: [1-9]\d* passed, 0 failed")
            with open(os.path.join(results, f"bench-{api}0.jsonl"), encoding="utf-8") as file:
                rows = [json.loads(line) for line in file]
            self.assertEqual({(r["device"], r["device_name"], r["suite_shape"]) for r in rows},
                             {(api + ":0", devices[api + ":0"], shape) for shape in ("8x128", "1x768")})
            xml.etree.ElementTree.parse(os.path.join(results, f"bench-{api}0.svg"))
        with open(os.path.join(results, "bench.md"), encoding="utf-8") as file:
            self.assertEqual(file.read().count("| 8x128 |"), len(devices))
        with open(os.path.join(results, "compare.json"), encoding="utf-8") as file:
            (section,) = json.load(file)["sections"]
        for record in section["results"]:
            for device in devices:
                self.assertLessEqual(record["peers"]["norma-" + device]["error"], 1)
        self.assertLessEqual({"machine.log", "devices.log", "compare.md", "compare.log"}, have)
        # The cache is the kit's results', not the user's.
        self.assertTrue(os.listdir(os.path.join(results, "cache")))

    def test_refused(self):
        self.assertEqual(self.kit_run("--parts", "all").returncode, 2)
        self.assertEqual(self.kit_run("--fast").returncode, 2)
        self.assertEqual(run(os.path.join(ROOT, "tools", "gpu-kit"), self.kit, BUILD).returncode, 1)
        self.assertEqual(run(os.path.join(ROOT, "tools", "gpu-kit")).returncode, 2)

    def test_failure_is_told(self):
        results = os.path.join(self.room.name, "failed")
        done = self.kit_run("--quick", "--parts", "bench", "--filter", "nothing", "--results", results)
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED", done.stdout)


if __name__ == "__main__":
    unittest.main()
