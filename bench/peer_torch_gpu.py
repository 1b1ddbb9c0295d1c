"""Clients side by side on a GPU beside what PyTorch makes of them there, in one run: images a second of masked training.

Usage: python3 bench/peer_torch_gpu.py DEVICE_BENCH_PROGRAM [SECONDS [MODEL]]

Each client has a network of its own (`cnn`) and 64 images, batch 32; half of the parameters are updated. PyTorch trains the clients
one after another, as the published scripts do (eager), one after another by a CUDA graph of the step, and side by side by
torch.func.vmap. All in full single precision: TF32 is off.
"""

import pathlib
import subprocess
import sys
import time

import torch
from torch.func import functional_call, grad, replace_all_batch_norm_modules_, vmap
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "model"))
import pytorch_models  # noqa: E402

SAMPLES, BATCH, LR = 64, 32, 0.01
GROUPS = (1, 8, 32, 128)


def fastest(seconds, work):
    """Seconds of the fastest call, the device waited for."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def masks_of(parameters):
    return {name: (torch.rand_like(value) < 0.5).float() for name, value in parameters.items()}


class OneClient:
    """A step of one client: forward, loss, backward, update by mask."""

    def __init__(self, name, images, labels):
        self.model = pytorch_models.make(name).cuda()
        self.masks = masks_of(dict(self.model.named_parameters()))
        self.images, self.labels = images, labels
        self.chosen = torch.arange(BATCH, device="cuda")

    def step(self):
        self.model.zero_grad(set_to_none=True)
        functional.cross_entropy(self.model(self.images[self.chosen]), self.labels[self.chosen]).backward()
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.sub_(LR * parameter.grad * self.masks[name])

    def one_pass(self):
        order = torch.randperm(SAMPLES, device="cuda")
        for begin in range(0, SAMPLES, BATCH):
            self.chosen.copy_(order[begin:begin + BATCH])
            self.step()

    def graphed_pass(self):
        """A pass that replays the step, recorded once."""
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()

        def one_pass():
            order = torch.randperm(SAMPLES, device="cuda")
            for begin in range(0, SAMPLES, BATCH):
                self.chosen.copy_(order[begin:begin + BATCH])
                graph.replay()

        return one_pass


def side_by_side(name, group, images, labels):
    """A pass of `group` clients by vmap, which knows no running statistics."""
    model = replace_all_batch_norm_modules_(pytorch_models.make(name)).cuda()
    state = {name: value.detach().expand(group, *value.shape).clone() for name, value in model.named_parameters()}
    masks = masks_of(state)

    def loss(parameters, x, y):
        return functional.cross_entropy(functional_call(model, parameters, (x,)), y)

    gradients = vmap(grad(loss))

    def one_pass():
        order = torch.rand(group, SAMPLES, device="cuda").argsort(1)
        for begin in range(0, SAMPLES, BATCH):
            chosen = order[:, begin:begin + BATCH]
            step = gradients(state, images[chosen], labels[chosen])
            for name, value in state.items():
                value.sub_(LR * step[name] * masks[name])

    return one_pass


def main(program, seconds, name):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    shape = (3, 32, 32) if name.startswith("resnet") else (1, 28, 28)
    images = torch.rand(SAMPLES, *shape, device="cuda")
    labels = torch.randint(0, 10, (SAMPLES,), device="cuda")
    client = OneClient(name, images, labels)
    eager = SAMPLES / fastest(seconds, client.one_pass)
    graph = SAMPLES / fastest(seconds, client.graphed_pass())
    print(f"{name}, {torch.cuda.get_device_name()}, PyTorch {torch.__version__}, images/s\n")
    print("| clients | fedselect | PyTorch, eager | CUDA graph | vmap | fedselect : eager | : best |\n" + "|---" * 7 + "|")
    for group in GROUPS:
        row = subprocess.run([program, "cuda", str(seconds), name, str(group)], check=True, capture_output=True,
                             text=True).stdout.splitlines()[-1]
        ours = float(row.split("|")[2])
        vmapped = SAMPLES * group / fastest(seconds, side_by_side(name, group, images, labels))
        best = max(eager, graph, vmapped)
        print(f"| {group} | {ours:,.0f} | {eager:,.0f} | {graph:,.0f} | {vmapped:,.0f} | {ours / eager:.1f} | {ours / best:.1f} |")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 2.0, sys.argv[3] if len(sys.argv) > 3 else "cnn")
