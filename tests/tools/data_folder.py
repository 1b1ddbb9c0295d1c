"""A folder with a data set, and what the built program makes of it, for tests in Python."""

import os

import h5py
import numpy as np
from program import ask, finish, program, run

CLASSES = 3
RANDOM = np.random.default_rng(1)


def random_images(count, *shape):
    return RANDOM.integers(0, 256, (count, *shape), dtype=np.uint8)


def cycle(count):
    """Labels of `count` samples: the classes by turns."""
    return np.arange(count) % CLASSES


def expect(arrays, part, images, labels):
    """Asserts what Folder.convert() read of a part, "train" or "test"."""
    assert arrays[f"{part}/images"].dtype == np.uint8
    np.testing.assert_array_equal(arrays[f"{part}/images"], images)
    np.testing.assert_array_equal(arrays[f"{part}/labels"], labels)


class Folder:
    """A folder of a test, with what the program is asked there."""

    def __init__(self, path):
        self.path = path
        self.data = path / "data"
        self.data.mkdir()
        self.converted = 0

    def config(self, keys=""):
        if "partition" not in keys:
            keys += '\npartition = "iid"\nclients = 2'
        config = self.path / "config.toml"
        config.write_text(f'name = "a"\nrounds = 1\n[data]\npath = "{self.data}"\n{keys}\n[[method]]\nname = "fedavg"\n')
        return config

    def convert(self, keys="", ranks=1):
        """What the program reads, as a dictionary of arrays by their names in the plain layout."""
        self.converted += 1
        out = self.path / f"{self.converted}.h5"
        arguments = ("data", "convert", self.config(keys), out)
        run(*arguments, ranks=ranks) if ranks > 1 else ask(*arguments)
        arrays = {}
        with h5py.File(out) as file:
            file.visititems(lambda name, item: arrays.update({name: item[()]}) if hasattr(item, "shape") else None)
            arrays["attributes"] = dict(file.attrs)
        return arrays

    def expect_no_wait_for(self, name):
        """That a pipe in the place of this file of the data set is refused."""
        (self.data / name).unlink()
        os.mkfifo(self.data / name)
        text = self.refusal()
        assert f"{self.data / name} " in text and "is a pipe, not a file" in text

    def refusal(self, keys=""):
        done = finish([program(), "data", "convert", str(self.config(keys)), str(self.path / "none.h5")], False)
        assert done.returncode == 2, done.stderr
        assert not (self.path / "none.h5").exists()
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def info(self, path=None):
        return ask("data", "info", "--path", path or self.data)
