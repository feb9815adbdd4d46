"""What the tests that hand arrays to the norma program share."""

import numpy

from program import Room


class ArrayRoom(Room):
    def save(self, name, array):
        numpy.save(self.path(name + ".npy"), array)
        return self.path(name + ".npy")

    def close(self, got, right, tolerance, about):
        numpy.testing.assert_allclose(got, right, rtol=tolerance, atol=tolerance, err_msg=str(about))

    def outputs(self, *names):
        words = []
        for name in names:
            words += ["--" + name.replace("_", "-") + "-out", self.path(name + "_out.npy")]
        return words

    def load(self, name):
        return numpy.load(self.path(name + "_out.npy"))
