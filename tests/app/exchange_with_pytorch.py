"""exchange_with_pytorch.py FEDSELECT: exported models mean in PyTorch what they mean here, and come back bit for bit.

Exit code 77 (skipped) where PyTorch or h5py is missing.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import h5py
    import numpy as np
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "tools"), str(ROOT / "tests" / "model"), str(ROOT / "analysis" / "examples")]
import load_in_pytorch  # noqa: E402
import pytorch_models  # noqa: E402
from make_idx import make_idx  # noqa: E402
from write_safetensors import write_safetensors  # noqa: E402

FEDSELECT = sys.argv[1]
CONFIG = """name = "NAME"
seed = 3
rounds = 1
[data]
path = "data"
clients = 4
classes_per_client = 2
[train]
passes = 1
batch = 8
[output]
client_models = true
[[method]]
name = "METHOD"
"""


def fedselect(home, *arguments, code=0):
    done = subprocess.run([FEDSELECT, *map(str, arguments)], cwd=home, capture_output=True, text=True, timeout=100)
    assert done.returncode == code, done.stdout + done.stderr
    return done


class Exchange(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name)
        make_idx(self.home / "data")
        torch.set_num_threads(1)

    def run_it(self, name, *overrides, method="fedper"):
        config = self.home / "config.toml"
        config.write_text(CONFIG.replace("NAME", name).replace("METHOD", method))
        sets = [word for text in overrides for word in ("--set", text)]
        fedselect(self.home, "run", config, "--quiet", *sets)
        return self.home / "runs" / name

    def export(self, run, *what, to="out.safetensors"):
        (self.home / to).unlink(missing_ok=True)
        fedselect(self.home, "export", run, *what, "--output", self.home / to)
        return load_in_pytorch.read_safetensors(self.home / to)

    def check_accuracies(self, run):
        """Each client's exported model, in PyTorch, on the client's test samples: the accuracy of the result file."""
        images = load_in_pytorch.test_images(self.home / "data")
        labels = torch.arange(len(images)) % 4
        with h5py.File(run / "result.h5") as result:
            ends, indices = result["partition/test_offsets"][:], result["partition/test_indices"][:]
            for client in range(4):
                own = torch.from_numpy(indices[ends[client] : ends[client + 1]])
                model = load_in_pytorch.build(self.export(run, "--client", client))
                with torch.no_grad():
                    hits = (model(images[own]).argmax(1) == labels[own]).sum().item()
                self.assertAlmostEqual(hits / len(own), result["metrics/accuracy"][-1, client], places=12)

    def test_models_mean_the_same(self):
        for name in ("logistic", "mlp", "cnn"):
            with self.subTest(name):
                run = self.run_it(name, f"model.name={name}", *(["model.hidden=8"] if name == "mlp" else []))
                self.check_accuracies(run)
                tensors = self.export(run, "--global")
                with h5py.File(run / "result.h5") as result:
                    self.assertEqual(list(tensors), list(result["layout/name"].asstr()[:]))
                    for key, values in tensors.items():
                        self.assertEqual(values.tobytes(), result[f"model/{key}"][:].tobytes(), key)

    def test_models_made_before_a_test(self):
        """Fine-tuned, mixed and second models are those that were tested."""
        for method in ("fedavg-ft", "ditto", "apfl"):
            with self.subTest(method):
                self.check_accuracies(self.run_it(method, "model.name=mlp", "model.hidden=8", method=method))

    def test_a_model_comes_back_bit_for_bit(self):
        """No learning: what the run ends with is what it began from."""
        first = self.run_it("first", "model.name=mlp", "model.hidden=8")
        out = self.export(first, "--global", to="global.safetensors")
        again = self.run_it("again", "model.name=mlp", "model.hidden=8", "train.lr=1e-30",
                            "model.initial=global.safetensors")
        back = self.export(again, "--global")
        self.assertEqual({k: v.tobytes() for k, v in out.items()}, {k: v.tobytes() for k, v in back.items()})
        self.assertIn("initial model from global.safetensors", (again / "log.txt").read_text())

    def test_masks(self):
        run = self.run_it("masks", "model.name=mlp", "model.hidden=8")
        for name, values in self.export(run, "--mask", 2).items():
            self.assertEqual(values.dtype, np.uint8)
            self.assertTrue((values == (1 if name.startswith("fc2") else 0)).all(), name)

    def test_norm_layers_load_strictly(self):
        """Statistics come along, and the counts that PyTorch wants; both are taken back."""
        run = self.run_it("norms", "model.name=resnet8")
        tensors = self.export(run, "--client", 1, to="client.safetensors")
        self.assertEqual(tensors["bn1.num_batches_tracked"].dtype, np.int64)
        self.assertEqual(tensors["bn1.num_batches_tracked"].shape, ())
        model = pytorch_models.ResNet((16, 32, 64), 1, "cifar", inputs=1, classes=4)
        model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in tensors.items()}, strict=True)
        self.assertGreater(abs(model.bn1.running_mean).max().item(), 0)
        again = self.run_it("taken", "model.name=resnet8", "model.initial=client.safetensors", "train.lr=1e-30")
        self.assertTrue((again / "result.h5").exists())

    def test_torchvisions_resnet18_fits(self):
        """A state with the names and shapes of torchvision's resnet18, as listed by its 0.29.2, becomes the initial model: all
        but the head, which has 1000 classes there and 4 here. What comes out has the same names."""
        listed = (ROOT / "tests" / "model" / "torchvision_resnet18.txt").read_text().splitlines()
        shapes = {line.split()[0]: tuple(map(int, line.split()[1].split(","))) if " " in line else () for line in listed}
        draw = np.random.default_rng(5)
        state = {name: np.array(7, np.int64) if name.endswith("num_batches_tracked")
                 else draw.uniform(0.01, 0.02, shape).astype(np.float32) for name, shape in shapes.items()}
        write_safetensors(self.home / "torchvision.safetensors", state)
        with h5py.File(self.home / "colour.h5", "w") as file:
            file.attrs["format"], file.attrs["version"] = "fedselect-data", 1
            for part in ("train", "test"):
                file[f"{part}/images"] = draw.integers(0, 256, (16, 17, 17, 3), dtype=np.uint8)
                file[f"{part}/labels"] = np.arange(16) % 4
        run = self.run_it("torchvision", "data.path=colour.h5", "model.name=resnet18", "model.stem=imagenet",
                          "model.initial=torchvision.safetensors", "train.lr=1e-30")
        self.assertIn("its head is for 1000 classes, not 4", (run / "log.txt").read_text())
        out = self.export(run, "--global")
        self.assertEqual(set(out), set(state))
        for name, values in out.items():
            if name.startswith("fc."):
                self.assertEqual(values.shape, (4, *shapes[name][1:]))
            elif name.endswith(("weight", "bias")):
                self.assertEqual(values.tobytes(), state[name].tobytes(), name)

    def test_the_example_prints_logits(self):
        run = self.run_it("example", "model.name=cnn")
        self.export(run, "--client", 0)
        script = ROOT / "analysis" / "examples" / "load_in_pytorch.py"
        for extra, lines in (([], 1), (["--data", self.home / "data", "--samples", "0", "5"], 2)):
            done = subprocess.run([sys.executable, script, self.home / "out.safetensors", *map(str, extra)],
                                  capture_output=True, text=True, timeout=100, check=True)
            self.assertEqual(done.stdout.count("class"), lines, done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
