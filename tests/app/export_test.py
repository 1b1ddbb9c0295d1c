"""export_test.py FEDSELECT MPIRUN: fedselect export and model.initial as a user meets them, whole files and damaged ones."""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tools"))
from make_idx import make_idx  # noqa: E402

FEDSELECT, MPIRUN = sys.argv[1:3]
CONFIG = """name = "tiny"
seed = 3
rounds = 2
[data]
path = "data"
clients = 4
classes_per_client = 2
[model]
name = "mlp"
hidden = 4
[train]
passes = 1
[output]
client_models = true
[[method]]
name = "fedper"
[[method]]
name = "fedavg"
"""
PER, AVG = "runs/tiny/fedper", "runs/tiny/fedavg"


def header_of(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.home = pathlib.Path(cls.folder.name)
        make_idx(cls.home / "data")
        (cls.home / "tiny.toml").write_text(CONFIG)
        cls.run_program("run", "tiny.toml", "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_program(cls, *arguments, ranks=0):
        launcher = [MPIRUN, str(ranks)] if ranks else []
        return subprocess.run(launcher + [FEDSELECT, *map(str, arguments)], cwd=cls.home, capture_output=True,
                              text=True, timeout=60)

    def call(self, *arguments, code=0, ranks=0):
        done = self.run_program(*arguments, ranks=ranks)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done

    def refused(self, *arguments, ranks=0):
        """One message, exit code 2, nothing on stdout."""
        done = self.call(*arguments, code=2, ranks=ranks)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("fedselect: "), 1, done.stderr)
        return done.stderr

    def export(self, name, *what):
        (self.home / name).unlink(missing_ok=True)
        self.call("export", *what, "--output", name)
        return self.home / name

    def test_what_is_written(self):
        names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
        for what, dtype in ((["--global"], "F32"), (["--client", 0], "F32"), (["--mask", 3], "U8")):
            header = header_of(self.export("a.safetensors", PER, *what))
            self.assertEqual(header.pop("__metadata__"), {"format": "pt"})
            self.assertEqual(list(header), names)
            self.assertEqual({entry["dtype"] for entry in header.values()}, {dtype})
            self.assertEqual(header["fc1.weight"]["shape"], [4, 64])

    def test_the_same_bytes_again(self):
        a, b = (self.export(n, PER, "--client", 1).read_bytes() for n in ("a.safetensors", "b.safetensors"))
        self.assertEqual(a, b)

    def test_what_is_refused(self):
        self.export("there.safetensors", PER, "--global")
        (self.home / "begun").mkdir(exist_ok=True)
        (self.home / "begun" / "config.toml").write_text("")
        new = ["--output", "new.safetensors"]
        for arguments, message in (
                ([PER, "--client", 4, *new], "there is no client 4: this run's are 0 to 3"),
                ([PER, "--mask", -1, *new], "there is no client -1"),
                ([PER, "--global", "--output", "there.safetensors"], "is there already"),
                ([PER, "--global", "--output", "none/new.safetensors"], "none: is no folder"),
                (["runs/tiny", "--global", *new], f"{AVG}, {PER}: name one of them"),
                (["nowhere", "--global", *new], "nowhere: holds no run"),
                (["begun", "--global", *new], "did not finish"),
                ([PER, *new], "--global,--client,--mask"),
                ([PER, "--global", "--client", 0, *new], "--global,--client,--mask"),
                ([PER, "--global"], "--output is required")):
            with self.subTest(arguments):
                self.assertIn(message, self.refused("export", *arguments))
        self.assertFalse((self.home / "new.safetensors").exists())

    def test_what_a_run_did_not_keep(self):
        self.call("run", "tiny.toml", "--quiet", "--name", "lean", "--set", "output.client_models=false",
                  "--set", "output.masks=false")
        for what, key in (("--client", "output.client_models"), ("--mask", "output.masks")):
            message = self.refused("export", "runs/lean/fedper", what, 0, "--output", "new.safetensors")
            self.assertIn(f"run it again with --set {key}=true", message)

    def test_help(self):
        text = self.call("export", "--help").stdout
        for word in ("--global", "--client", "--mask", "--output", "load_state_dict", "client_models"):
            self.assertIn(word, text)

    def test_clients_models_do_not_depend_on_ranks(self):
        self.call("run", "tiny.toml", "--quiet", "--name", "two", ranks=2)
        for what in (["--client", 2], ["--global"]):
            one = self.export("a.safetensors", PER, *what).read_bytes()
            self.assertEqual(one, self.export("b.safetensors", "runs/two/fedper", *what).read_bytes())

    def test_initial_model(self):
        self.export("start.safetensors", AVG, "--global")
        self.assertIn("initial model from start.safetensors",
                      self.call("check", "tiny.toml", "--set", "model.initial=start.safetensors").stdout)
        message = self.refused("check", "tiny.toml", "--set", "model.initial=start.safetensors", "--set", "model.hidden=5",
                               ranks=2)
        self.assertIn("fc1.weight is (4, 64), not (5, 64); fc1.bias is (4), not (5)", message)
        make_idx(self.home / "more", classes=7)
        done = self.call("check", "tiny.toml", "--set", "model.initial=start.safetensors", "--set", "data.path=more",
                         "--set", "data.clients=7")
        self.assertIn("head is for 4 classes, not 7", done.stdout)
        config = self.home / "wrong.toml"
        config.write_text(CONFIG.replace('name = "mlp"', 'initial = "nothing"\nname = "mlp"'))
        self.assertIn("wrong.toml:9:1: model.initial: nothing: is missing", self.refused("check", "wrong.toml"))

    def damaged(self, path, draw, count):
        """Copies of a file, cut or with one byte changed, all over it."""
        whole = path.read_bytes()
        for i in range(count):
            at = draw.randrange(len(whole))
            if i % 2:
                yield at, whole[:at]
            else:
                yield at, whole[:at] + bytes([whole[at] ^ (1 << draw.randrange(8))]) + whole[at + 1 :]

    def test_damaged_models(self):
        path = self.export("start.safetensors", AVG, "--global")
        bad = self.home / "bad.safetensors"
        for at, content in self.damaged(path, random.Random(1), 30):
            bad.write_bytes(content)
            done = self.run_program("check", "tiny.toml", "--set", "model.initial=bad.safetensors")
            self.assertIn(done.returncode, (0, 2), (at, done.stderr))
            if done.returncode == 2:
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertTrue(done.returncode == 2 or len(content) == path.stat().st_size, at)

    def test_damaged_results(self):
        (self.home / "bad").mkdir()
        path = self.home / PER / "result.h5"
        for at, content in self.damaged(path, random.Random(2), 40):
            (self.home / "bad" / "result.h5").write_bytes(content)
            for what in (["--client", 1], ["--global"]):
                (self.home / "new.safetensors").unlink(missing_ok=True)
                done = self.run_program("export", "bad", *what, "--output", "new.safetensors")
                self.assertIn(done.returncode, (0, 2), (at, done.stderr))
                if done.returncode == 2:
                    self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                    self.assertTrue(done.stderr.startswith("fedselect: bad/result.h5: "), done.stderr)
                self.assertTrue(done.returncode == 2 or len(content) == path.stat().st_size, at)
        (self.home / "new.safetensors").unlink(missing_ok=True)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
