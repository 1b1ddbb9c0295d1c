"""faults_test.py FEDSELECT: what goes wrong with clients, and what the server does about it, against what the config says."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "tools")]
from make_idx import make_idx  # noqa: E402
from write_safetensors import write_safetensors  # noqa: E402

FEDSELECT = sys.argv[1]
CONFIG = """name = "faults"
seed = 5
rounds = 1
[data]
path = "data"
clients = 6
partition = "quantity"
beta = 0.7
min_samples = 4
[model]
name = "logistic"
[train]
passes = 1
batch = 8
lr = 0.1
[[method]]
name = "fedavg"
weighting = "uniform"
"""


class Faults(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name)
        make_idx(self.home / "data")
        (self.home / "config.toml").write_text(CONFIG)
        self.runs = 0

    def ask(self, *settings):
        self.runs += 1
        command = [FEDSELECT, "run", "config.toml", "--quiet", "--name", f"run{self.runs}"]
        for setting in settings:
            command += ["--set", setting]
        return subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=100)

    def result(self, *settings):
        """The arrays of a run."""
        done = self.ask(*settings)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = {}
        with h5py.File(self.home / "runs" / f"run{self.runs}" / "result.h5") as file:
            file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        return found

    def model(self, *settings):
        """The global model as one vector."""
        arrays = self.result(*settings)
        return np.concatenate([arrays[f"model/{name}"].ravel() for name in ("fc.weight", "fc.bias")]).astype(float)

    def test_dropped_clients_send_nothing(self):
        arrays = self.result("faults.dropout=0.5", "rounds=40")
        dropped = arrays["metrics/dropped"] == 1
        self.assertTrue((arrays["metrics/participated"] == 1).all())
        self.assertLess(abs(dropped.mean() - 0.5), 0.1)   # 240 draws
        self.assertGreater(len({row.tobytes() for row in dropped}), 10)
        for name in ("gradients", "bytes_up"):
            np.testing.assert_array_equal(arrays[f"metrics/{name}"] == 0, dropped)
        self.assertTrue((arrays["metrics/bytes_down"] > 0).all())
        self.assertTrue(np.isfinite(arrays["metrics/accuracy"]).all())

    def test_a_round_of_which_nothing_arrives_changes_nothing(self):
        start = self.model("faults.deadline=1e-9", "rounds=1")
        np.testing.assert_array_equal(self.model("faults.deadline=1e-9", "rounds=3"), start)

    def test_the_deadline_is_in_times_of_the_mean_client(self):
        arrays = self.result("faults.deadline=1.0", "rounds=3")
        samples = arrays["clients/train_samples"]
        late = samples > samples.mean()
        self.assertTrue(0 < late.sum() < 6)
        for row in arrays["metrics/dropped"]:
            np.testing.assert_array_equal(row == 1, late)
        spread = self.result("faults.deadline=1.0", "faults.speed_spread=6.0", "rounds=2")["metrics/dropped"]
        np.testing.assert_array_equal(spread[0], spread[1])   # speeds stay
        self.assertFalse((spread[0] == late).all())

    def test_absent_clients_are_in_no_cohort(self):
        (self.home / "away.csv").write_text("client,first,end\n2,1,3\n4,0,100\n")
        found = self.result("faults.unavailable=away.csv", "rounds=4")["metrics/participated"]
        expected = np.ones((4, 6))
        expected[1:3, 2] = expected[:, 4] = 0
        np.testing.assert_array_equal(found, expected)

    def test_wrong_files_of_absences_are_refused(self):
        for text, message in (("1,2,3\n", 'away.csv:1: is "1,2,3", must be the headline'),
                              ("client,first,end\n1,2\n", 'away.csv:2: is "1,2", must be three whole numbers'),
                              ("client,first,end\n1,0,5\n1,3,3\n", "away.csv:3:"),
                              ("client,first,end\n-1,0,5\n", "away.csv:2:")):
            (self.home / "away.csv").write_text(text)
            done = self.ask("faults.unavailable=away.csv")
            self.assertEqual(done.returncode, 2)
            self.assertIn(message, done.stderr)
        for text, message in (("", 'away.csv:1: is "", must be the headline client,first,end'),
                              ("client,first,end\n5,0,1\n6,0,5\n",
                               'away.csv:3: is "6,0,5", must be of one of the 6 clients, 0 to 5')):
            (self.home / "away.csv").write_text(text)
            done = self.ask("faults.unavailable=away.csv")
            self.assertEqual(done.returncode, 2)
            self.assertIn(message, done.stderr)
        with open(self.home / "large.csv", "w") as file:
            file.truncate(1 << 40)
        os.mkfifo(self.home / "pipe.csv")
        for name, message in (("data", "is a folder, not a file"), ("/dev/zero", "is a device, not a file"),
                              ("pipe.csv", "is a pipe, not a file"), ("large.csv", "has 1099511627776 bytes, more than"),
                              ("absent.csv", "cannot be read")):
            done = self.ask(f"faults.unavailable={name}")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"{name}: {message}", done.stderr)
            self.assertIn("name a file of lines", done.stderr)
        self.assertIn("speed_spread", self.ask("faults.speed_spread=1.0").stderr)

    def test_a_run_goes_on_with_the_same_files_only(self):
        tensors = {"fc.weight": np.full(self.shape(), 0.01, np.float32), "fc.bias": np.zeros(self.shape()[0], np.float32)}
        write_safetensors(self.home / "start.safetensors", tensors)
        away = self.home / "away.csv"
        away.write_text("client,first,end\n2,1,3\n1,0,1\n")
        done = self.ask("faults.unavailable=away.csv", "model.initial=start.safetensors", "rounds=2", "checkpoint.at_end=true")
        self.assertEqual(done.returncode, 0, done.stderr)

        def resume(rounds):
            command = [FEDSELECT, "run", "--resume", f"runs/run{self.runs}", "--quiet", "--set", f"rounds={rounds}",
                       "--allow-change", "rounds"]
            return subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=100)

        away.write_text("client,first,end\n2,1,4\n1,0,1\n")
        done = resume(3)
        self.assertEqual(done.returncode, 2)
        self.assertIn("faults.unavailable", done.stderr)
        away.write_text("client,first,end\n1,0,1\n2,1,3\n")   # the same absences
        self.assertEqual(resume(3).returncode, 0)
        tensors["fc.bias"][0] = 1
        write_safetensors(self.home / "start.safetensors", tensors)
        done = resume(4)
        self.assertEqual(done.returncode, 2)
        self.assertIn("model.initial", done.stderr)

    def test_attacks_and_clipping(self):
        draw = np.random.default_rng(1)
        start = {"fc.weight": draw.normal(0, 0.1, self.shape()).astype(np.float32),
                 "fc.bias": draw.normal(0, 0.1, self.shape()[0]).astype(np.float32)}
        write_safetensors(self.home / "start.safetensors", start)
        begin = np.concatenate([values.ravel() for values in start.values()]).astype(float)
        honest = self.model("model.initial=start.safetensors")
        everyone = ("model.initial=start.safetensors", "faults.byzantine=1.0")
        change = honest - begin
        near = lambda found, expected: np.testing.assert_allclose(found, expected, atol=2e-6)  # noqa: E731
        near(self.model(*everyone, "faults.attack=sign-flip"), begin - change)
        near(self.model(*everyone, "faults.attack=sign-flip", "faults.attack_scale=3.0"), begin - 3 * change)
        near(self.model(*everyone, "faults.attack=scaled", "faults.attack_scale=5.0"), begin + 5 * change)
        noise = self.model(*everyone, "faults.attack=noise", "faults.attack_scale=0.5") - honest
        self.assertLess(abs(noise.std() / (0.5 / np.sqrt(6)) - 1), 0.2)   # the mean of six clients' noise
        self.assertLess(abs(noise.mean()), 0.1)
        some = self.model("model.initial=start.safetensors", "faults.byzantine=0.5")
        self.assertFalse(np.allclose(some, honest) or np.allclose(some, begin - change))

        clipped = self.model("model.initial=start.safetensors", "server.clip_norm=1e-3") - begin
        self.assertLess(np.linalg.norm(clipped), 1.001e-3)
        np.testing.assert_array_equal(self.model("model.initial=start.safetensors", "server.clip_norm=1e6"), honest)
        alone = ("model.initial=start.safetensors", "data.partition=iid", "data.clients=1")
        self.skip_keys("beta", "min_samples")
        single = self.model(*alone) - begin
        short = self.model(*alone, "server.clip_norm=1e-3") - begin
        self.assertAlmostEqual(np.linalg.norm(short), 1e-3, delta=2e-6)
        self.assertGreater(single @ short / np.linalg.norm(single) / np.linalg.norm(short), 0.9999)

    def test_robust_merges(self):
        """Against the models of single clients: what a round comes to when all others are absent."""
        uploads = []
        for client in range(6):
            others = "".join(f"{other},0,1\n" for other in range(6) if other != client)
            (self.home / "away.csv").write_text("client,first,end\n" + others)
            uploads.append(self.model("faults.unavailable=away.csv"))
        ranked = np.sort(uploads, axis=0)
        near = lambda found, expected: np.testing.assert_allclose(found, expected, atol=1e-7)  # noqa: E731
        near(self.model(), ranked.mean(axis=0))
        near(self.model("server.merge=median"), (ranked[2] + ranked[3]) / 2)
        near(self.model("server.merge=trimmed-mean"), ranked.mean(axis=0))   # floor(0.1 * 6) = 0
        near(self.model("server.merge=trimmed-mean", "server.trim=0.2"), ranked[1:5].mean(axis=0))
        # One attacker of six can't move the median out of what the others sent.
        attack = ("faults.byzantine=0.2", "faults.attack=scaled", "faults.attack_scale=300.0")
        honest = [self.model("server.merge=median", *attack, f"seed={seed}") for seed in (5, 6, 7)]
        self.assertTrue(all(np.abs(model).max() < 2 for model in honest))
        self.assertGreater(max(np.abs(self.model(*attack, f"seed={seed}")).max() for seed in (5, 6, 7)), 2)
        self.assertIn("trim", self.ask("server.trim=0.2").stderr)

    def shape(self):
        return self.result()["model/fc.weight"].shape

    def skip_keys(self, *keys):
        """Removes keys of another partition."""
        config = self.home / "config.toml"
        config.write_text("".join(line for line in CONFIG.splitlines(True) if line.split(" =")[0] not in keys))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
