"""What the tests of the norma program share. Arguments: the program, the folder of data."""

import os
import struct
import subprocess
import sys
import tempfile
import unittest

NORMA, DATA = sys.argv.pop(1), sys.argv.pop(1)
DEVICES = os.environ.get("NORMA_TEST_DEVICES", "scalar opencl vulkan").split()

# The leak checker stops the threads of a driver that is at its end, and dies of it in one process of some hundreds. Leaks
# are looked for in the other tests.
if "ASAN_OPTIONS" in os.environ:
    os.environ["ASAN_OPTIONS"] += ":detect_leaks=0"
    DEVICES = ["scalar"]  # the backends themselves run under the sanitizers in the check suite


PRELOAD = os.environ.get("NORMA_TEST_PRELOAD")  # for the program alone, not for this interpreter


def norma(*words, **environment):
    if PRELOAD:
        environment["LD_PRELOAD"] = PRELOAD
    return subprocess.run([NORMA, *words], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **environment})


def operators():
    """What norma --help lists."""
    lines = norma("--help").stdout.split("OP, and what it normalises:\n")[1].split("\n\n")[0].splitlines()
    return {line.split()[0] for line in lines}


def data(name):
    return os.path.join(DATA, name + ".npy")


def header(descr, shape, order=False):
    text = str({"descr": descr, "fortran_order": order, "shape": tuple(shape)})
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def read_floats(path):
    with open(path, "rb") as file:
        content = file.read()
    start = 10 + struct.unpack("<H", content[8:10])[0]
    return struct.unpack("<%df" % ((len(content) - start) // 4), content[start:])


class Room(unittest.TestCase):
    """A folder of its own for each test."""

    def setUp(self):
        self.room = tempfile.TemporaryDirectory()
        self.out = self.path("out.npy")

    def tearDown(self):
        self.room.cleanup()

    def path(self, name):
        return os.path.join(self.room.name, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def good(self, *words):
        done = norma(*words)
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return done.stdout

    def refused(self, status, about, *words):
        """One line on stderr that names the argument; no output file."""
        done = norma(*words)
        self.assertEqual(done.returncode, status, (words, done.stdout, done.stderr))
        self.assertEqual(done.stderr.count("\n"), 1, (words, done.stderr))
        self.assertIn(about, done.stderr)
        self.assertFalse(os.path.exists(self.out), words)
        self.assertEqual([n for n in os.listdir(self.room.name) if n.startswith("out")], [])
