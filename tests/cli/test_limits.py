"""What is refused, and by which argument's name. Arguments as those of program.py."""

import unittest

import numpy

from program import DEVICES, Room, norma


class Limits(Room):
    def test_most_dimensions(self):
        """A weight with every other dimension of x keeps eight of them from folding into fewer."""
        x = numpy.random.default_rng(9).normal(0, 1, (2,) * 8).astype(numpy.float32)
        x_file, weight = self.path("x.npy"), self.path("weight.npy")
        numpy.save(x_file, x)
        numpy.save(weight, x[:, :1, :, :1, :, :1, :, :1])
        for device in DEVICES:
            words = ["run", "layer_norm", x_file, "--weight", weight, "--bias", x_file, "--device", device, "--verify",
                     "--normalized-dims"]
            self.good(*words, "4", "-o", self.out)
            back = [*words, "4", "--backward", "--dy", x_file]
            self.good(*back, "--dx-out", self.out, "--dweight-out", self.path("dweight.npy"))
            refused = [("x: more than 8 dimensions", [*words, "8", "-o", self.out])]
            if device == "scalar":
                self.good(*back, "--dbias-out", self.out)
                numpy.testing.assert_array_equal(numpy.load(self.out), x)
            else:
                refused.append(("dbias: 8 dimensions", [*back, "--dbias-out", self.out]))
            for about, them in refused:
                done = norma(*them)
                self.assertEqual(done.returncode, 1, (device, done))
                self.assertIn(about, done.stderr)


if __name__ == "__main__":
    unittest.main()
