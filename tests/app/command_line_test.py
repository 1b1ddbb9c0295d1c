"""command_line_test.py FEDSELECT MPIRUN: the program as a user meets it, on a tiny data set.

FEDSELECT: the built program. MPIRUN: a script that takes a number of ranks and a command.
"""

import csv
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import unittest

FEDSELECT, MPIRUN = sys.argv[1:3]
SIDE, CLASSES = 8, 4
RUN_FILES = ["audit.jsonl", "config.toml", "log.txt", "manifest.json", "metrics.csv", "result.h5"]

CONFIG = """name = "tiny"
seed = 3
rounds = 3
[data]
path = "{data}"
clients = 4
classes_per_client = 2
[model]
name = "logistic"
[train]
passes = 2
batch = 8
"""
METHODS = """[[method]]
name = "fedselect"
growth_first = 0
growth_every = 1
[[method]]
name = "fedavg"
label = "mean"
"""


def write_idx(path, values, *lengths):
    header = struct.pack(f">BBBB{len(lengths)}I", 0, 0, 8, len(lengths), *lengths)
    path.write_bytes(header + bytes(values))


def write_data(folder, draw):
    """Images whose brightness tells their class."""
    for part, samples in (("train", 160), ("t10k", 80)):
        labels = [i % CLASSES for i in range(samples)]
        pixels = [label * 40 + draw.randrange(100) for label in labels for _ in range(SIDE * SIDE)]
        write_idx(folder / f"{part}-images-idx3-ubyte", pixels, samples, SIDE, SIDE)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels, samples)


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data_home = tempfile.TemporaryDirectory()
        cls.data = pathlib.Path(cls.data_home.name)
        write_data(cls.data, random.Random(1))

    @classmethod
    def tearDownClass(cls):
        cls.data_home.cleanup()

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name)
        self.config = self.write_config(CONFIG + METHODS)

    def write_config(self, text):
        path = self.home / "tiny.toml"
        path.write_text(text.format(data=self.data))
        return str(path)

    def call(self, *arguments, ranks=0, code=0, **environment):
        """Runs the program and checks its exit code; ranks = 0: without a launcher."""
        launcher = [MPIRUN, str(ranks)] if ranks else []
        done = subprocess.run(launcher + [FEDSELECT, *map(str, arguments)], cwd=self.home,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              env=os.environ | environment)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def metrics(self, folder):
        """The rows of metrics.csv but for their last column, the seconds."""
        with open(self.home / folder / "metrics.csv", newline="") as file:
            return [row[:-1] for row in csv.reader(file)]

    def test_version(self):
        text = self.call("--version").stdout
        for word in ("fedselect ", "git ", "built with", "HDF5", "fmt", "spdlog", "toml++", "zlib",
                     "MPI library", "device: cpu"):
            self.assertIn(word, text)

    def test_help(self):
        text = self.call("--help").stdout
        for word in ("run", "check", "methods", "data", "Examples:", "Exit codes:", "Environment:"):
            self.assertIn(word, text)
        self.assertIn("--set", self.call("run", "--help").stdout)
        self.assertIn("[federation]", self.call("check", "--help").stdout)
        self.assertIn("Usage", self.call(code=2).stdout)

    def test_wrong_command_lines(self):
        for arguments, message in (
                (["rnu"], "fedselect: unknown command rnu; did you mean run?"),
                (["zzzzzz"], "fedselect: unknown command zzzzzz (there are run, sweep"),
                (["run"], "CONFIG is required; see fedselect run --help"),
                (["run", self.config, "--nope"], "--nope; see fedselect run --help"),
                (["run", self.config, "--set"], "--set"),
                (["data"], "see fedselect data --help"),
                (["methods", "fedavgg"], "unknown method fedavgg; did you mean fedavg?")):
            with self.subTest(arguments):
                done = self.call(*arguments, code=2)
                self.assertIn(message, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_ranks_that_mpi_does_not_know_of(self):
        """As srun starts them without --mpi=pmix: one of them says so, and none runs anything."""
        step = {"SLURM_STEP_NUM_TASKS": "4"}
        done = self.call("run", self.config, code=2, SLURM_PROCID="0", **step)
        self.assertIn("was started 4 times (SLURM_STEP_NUM_TASKS), but its MPI library", done.stderr)
        self.assertIn("srun --mpi=pmix", done.stderr)
        done = self.call("run", self.config, SLURM_PROCID="3", **step)
        self.assertEqual(done.stdout + done.stderr, "")
        self.assertFalse((self.home / "runs").exists())
        # mpirun inside such a step knows better; what needs no other rank doesn't mind; nor does a step of one task.
        for ranks in (1, 2):
            self.call("check", self.config, ranks=ranks, **step)
        self.call("methods", SLURM_PROCID="0", **step)
        self.call("check", self.config, SLURM_STEP_NUM_TASKS="1")

    def test_methods(self):
        text = self.call("methods").stdout
        for name in ("fedselect-ltn", "fedselect", "fedavg", "fedper", "fedrep", "local"):
            self.assertIn(name, text)
        keys = self.call("methods", "fedselect").stdout
        self.assertIn("limit = 0.8", keys)
        self.assertIn('one of "tensor", "global"', keys)

    def test_data_info(self):
        for arguments in ([self.config], ["--path", self.data]):
            text = self.call("data", "info", *arguments).stdout
            self.assertIn("8 x 8", text)
            self.assertIn("160", text)
        self.assertIn("no data set of a known format", self.call("data", "info", "--path", self.home, code=2).stderr)

    def test_check(self):
        text = self.call("check", self.config).stdout
        for word in ("tiny", "3 rounds", "260 parameters", "4, 4 of them",
                     "fedselect, 2 passes", "mean (fedavg)"):
            self.assertIn(word, text)
        self.assertEqual(sorted(p.name for p in self.home.iterdir()), ["tiny.toml"])

    def test_check_refuses(self):
        for overrides, message in (
                (["train.lr=-1"], "--set train.lr=-1: train.lr: is -1, must be > 0"),
                (["learning_rate=1"], "learning_rate: unknown key"),
                (["data.path=/nowhere"], "/nowhere"),
                (["data.clients=3", "data.classes_per_client=3"], "classes_per_client"),
                (["data.clients=400"], "clients")):
            with self.subTest(overrides):
                arguments = [word for text in overrides for word in ("--set", text)]
                done = self.call("check", self.config, *arguments, code=2)
                self.assertIn(message, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_what_only_the_data_shows_is_said_with_its_line(self):
        for lines, message in (
                ("clients = 3\nclasses_per_client = 3\n", ":5:1: data.clients = 3 with data.classes_per_client = 3 gives"),
                ("clients = 4\nclasses_per_client = 9\n", ":6:1: data.classes_per_client = 9 is more than"),
                ("clients = 4\nclasses_per_client = 2\ntrain_per_class = 900\n", ":7:1: data.train_per_class = 900"),
                ("partition = \"dirichlet\"\nclients = 4\nmin_samples = 90\n", ":7:1: data.min_samples = 90"),
                ("clients = 999\n", ":5:1: data.clients = 999 is more than")):
            with self.subTest(lines):
                config = self.write_config("name = \"a\"\nrounds = 1\n[data]\npath = \"{data}\"\n" + lines + METHODS)
                self.assertIn(config + message, self.call("check", config, code=2).stderr)

    def test_masks_that_never_grow_are_told(self):
        done = self.call("check", self.config, "--set", "method.growth_first=3")
        self.assertIn("warning: no mask will grow: growth_first = 3 of rounds 0 to 2", done.stdout)

    def test_mistake_in_the_file(self):
        config = self.write_config(CONFIG + "learning_rate = 0.1\n" + METHODS)
        done = self.call("run", config, code=2)
        self.assertEqual(done.stderr, f"fedselect: {config}:13:1: train.learning_rate: unknown key;"
                                      " did you mean train.lr?\n")
        self.assertIn("can't be read", self.call("run", "none.toml", code=2).stderr)

    def test_run(self):
        done = self.call("run", self.config)
        self.assertIn("accuracy", done.stderr)
        self.assertIn("written to runs/tiny", done.stdout)
        for label in ("fedselect", "mean"):
            folder = self.home / "runs" / "tiny" / label
            self.assertEqual(sorted(path.name for path in folder.iterdir()), RUN_FILES)
            self.assertEqual(len(self.metrics(folder)), 4)
            self.assertIn(label, done.stdout)
            self.assertIn("done, accuracy", (folder / "log.txt").read_text())

    def test_written_config_repeats_the_run(self):
        self.call("run", self.config, "--quiet", "--set", "train.lr=0.125")
        self.call("run", "runs/tiny/fedselect/config.toml", "--out", "again", "--quiet")
        self.assertEqual(self.metrics("runs/tiny/fedselect"), self.metrics("again/tiny"))
        for folder in ("runs/tiny/fedselect", "again/tiny"):
            self.assertIn("lr = 0.125 ", (self.home / folder / "config.toml").read_text())

    def test_quiet(self):
        done = self.call("run", self.config, "--quiet")
        self.assertEqual(done.stderr, "")
        self.assertIn("accuracy", done.stdout)

    def test_same_numbers_on_any_ranks(self):
        for ranks in (1, 2, 3):
            self.call("run", self.config, "--name", f"np{ranks}", "--quiet", ranks=ranks)
            for label in ("fedselect", "mean"):
                self.assertEqual(self.metrics(f"runs/np1/{label}"),
                                 self.metrics(f"runs/np{ranks}/{label}"))

    def test_more_ranks_than_clients(self):
        done = self.call("run", self.config, "--set", "data.clients=2", ranks=3)
        self.assertEqual(done.stderr.count("warning: 3 ranks for 2 clients, 1 without work"), 1, done.stderr)

    def test_existing_run_is_refused_before_anything_starts(self):
        taken = self.home / "runs" / "tiny" / "mean"  # the second method's
        taken.mkdir(parents=True)
        (taken / "config.toml").write_text("mine")
        for ranks in (0, 2):
            done = self.call("run", self.config, ranks=ranks, code=2)
            self.assertEqual(done.stderr.count("runs/tiny/mean: holds a run already"), 1)
            self.assertEqual([path.name for path in taken.parent.iterdir()], ["mean"])
            self.assertEqual((taken / "config.toml").read_text(), "mine")

    def test_names_stay_in_the_folder(self):
        for name in ("../up", "/tmp/up", "a b", ".hidden", ""):
            done = self.call("run", self.config, "--set", f"name={name}", code=2)
            self.assertIn("names a folder", done.stderr)
        self.assertIn("names a folder",
                      self.call("run", self.config, "--name", "../up", code=2).stderr)

    def test_unwritable_folder(self):
        (self.home / "file").write_text("")
        done = self.call("run", self.config, "--out", "file", code=2)
        self.assertIn("--out", done.stderr)

    def test_ranks_that_fail_alike_speak_once(self):
        for arguments, message in ((["run", self.config, "--set", "rounds=0"], "rounds: is 0"),
                                   (["run", self.config, "--nope"], "--nope"),
                                   (["check", self.config, "--set", "data.path=/nowhere"],
                                    "/nowhere")):
            with self.subTest(arguments):
                done = self.call(*arguments, ranks=2, code=2)
                self.assertEqual(done.stderr.count(message), 1, done.stderr)
                self.assertNotIn("MPI_ABORT", done.stderr)

    def test_one_rank_that_fails_ends_all(self):
        """One client trains and diverges; the ranks without it wait for its rank in the sum."""
        begin = time.monotonic()
        done = self.call("run", self.config, "--set", "federation.participation=0.25",
                         "--set", "train.lr=1e30", "--set", "train.on_divergence=abort",
                         ranks=3, code=1)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertRegex(done.stderr, r"fedselect: rank \d: client \d")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
