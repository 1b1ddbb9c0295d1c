"""The command line of `analysis/study`: one experiment over several values of a key and several seeds, then one table.

    analysis/study CONFIG [--vary KEY=V1,V2,...] [--seeds 1,2,3] [--ranks N] [--out DIR] [--program FEDSELECT]

Runs what isn't there yet, one combination after another, so an interrupted study goes on where it stopped; then writes
DIR/study.md, DIR/study.csv and DIR/study.png: for every method the mean accuracy over clients, mean and standard deviation
over seeds, by the method's own test and after local training.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from . import style
from .reading import ReportError, Run, read_runs

DONE = "done"  # a combination whose runs are all there


@dataclass
class Cell:
    """One method at one value of the varied key: one number a seed, in [0, 1] where it is an accuracy."""

    own: list[float] = field(default_factory=list)  # mean over clients, the method's own test
    after: list[float] = field(default_factory=list)  # after local training of the last round
    worst: list[float] = field(default_factory=list)  # worst client, own test
    gradients: list[float] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)

    def add(self, run: Run) -> None:
        self.own.append(float(np.nanmean(run.final)))
        self.after.append(float(np.nanmean(run.final_after)))
        self.worst.append(float(np.nanmin(run.final)))
        self.gradients.append(float(run.total_gradients[-1]))
        self.bytes.append(float(run.total_bytes[-1]))


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, 2 with one message on bad input, or that of the failed run."""
    options = parse(arguments)
    try:
        values = ("", [""]) if options.vary is None else split_vary(options.vary)
        seeds = split_seeds(options.seeds)
        program = find_program(options.program)
        combinations = [(value, seed) for value in values[1] for seed in seeds]
        for number, (value, seed) in enumerate(combinations, start=1):
            run_combination(program, options, values[0], value, seed, f"{number} of {len(combinations)}")
        cells = {v: collect([folder_of(options.out, values[0], v, s) / DONE for s in seeds]) for v in values[1]}
        write_results(options.out, values[0], cells, len(seeds))
    except ReportError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"study: this run failed, see above: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return error.returncode
    print((options.out / "study.md").read_text(), end="")
    print(f"written to {options.out}")
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="study", description="Runs an experiment over values of a key and seeds; writes tables and a figure."
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--vary", metavar="KEY=V1,V2,...", help="the key whose values are compared, as data.beta=0.1,1")
    parser.add_argument("--seeds", default="1,2,3", metavar="S1,S2,...")
    parser.add_argument("--ranks", type=int, default=os.cpu_count(), help="MPI ranks of each run (default: the cores)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--program", type=Path, help="fedselect (default: on PATH, else build/release/src/app/fedselect)")
    return parser.parse_args(arguments)


def split_vary(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    parts = [value for value in values.split(",") if value]
    if not key or not equals or not parts:
        raise ReportError(f"--vary {text}: must be KEY=VALUE,VALUE,... such as data.beta=0.1,1,10")
    return key, parts


def split_seeds(text: str) -> list[int]:
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise ReportError(f"--seeds {text}: must be whole numbers with commas between, such as 1,2,3") from None


def find_program(named: Path | None) -> Path:
    found = named or shutil.which("fedselect") or Path(__file__).parents[2] / "build/release/src/app/fedselect"
    if not Path(found).is_file():
        raise ReportError(f"there is no program {found}: build it (cmake --preset release) or name it with --program")
    return Path(found).resolve()


def folder_of(out: Path, key: str, value: str, seed: int) -> Path:
    varied = f"{key.split('.')[-1]}-{value}-" if key else ""
    return out / f"{varied}seed-{seed}"


def run_combination(program: Path, options: argparse.Namespace, key: str, value: str, seed: int, place: str) -> None:
    folder = folder_of(options.out, key, value, seed)
    if (folder / DONE).is_dir():
        return
    if folder.exists():
        shutil.rmtree(folder)  # what a killed study left
    start = time.monotonic()
    print(f"study: {folder.name} ({place})", file=sys.stderr, flush=True)
    overrides = ["--set", f"seed={seed}"] + (["--set", f"{key}={value}"] if key else [])
    command = [program, "run", options.config, *overrides, "--out", folder, "--name", "runs", "--quiet"]
    if options.ranks > 1:
        command = ["mpirun", "-n", str(options.ranks), *command]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, env=environment())
    (folder / "runs").rename(folder / DONE)
    print(f"study: {folder.name} took {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def environment() -> dict[str, str]:
    """Open MPI asks root twice whether it may run."""
    if os.geteuid() != 0:
        return dict(os.environ)
    return {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def collect(folders: list[Path]) -> dict[str, Cell]:
    """The cells of one value, by label in the order of the config."""
    cells: dict[str, Cell] = {}
    for folder in folders:
        for run in read_runs([folder]):
            cells.setdefault(run.label, Cell()).add(run)
    return cells


def spread(values: list[float]) -> str:
    """Mean and standard deviation (n - 1) in percent."""
    mean = 100 * statistics.fmean(values)
    return f"{mean:.1f}" + (f" +- {100 * statistics.stdev(values):.1f}" if len(values) > 1 else "")


def write_results(out: Path, key: str, cells: dict[str, dict[str, Cell]], seeds: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    labels = list(dict.fromkeys(label for column in cells.values() for label in column))
    labels.sort(key=lambda label: -statistics.fmean(statistics.fmean(c[label].own) for c in cells.values()))
    (out / "study.md").write_text(markdown(key, cells, labels, seeds))
    with open(out / "study.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([key or "value", "method", "seed_number", "accuracy", "accuracy_after_local", "worst_client", "gradients", "bytes"])
        for value, column in cells.items():
            for label in labels:
                cell = column[label]
                writer.writerows([value, label, i, *row] for i, row in enumerate(zip(cell.own, cell.after, cell.worst, cell.gradients, cell.bytes)))
    figure = draw(key, cells, labels)
    figure.savefig(out / "study.png", dpi=style.DPI, metadata={"Software": None})
    plt.close(figure)


def markdown(key: str, cells: dict[str, dict[str, Cell]], labels: list[str], seeds: int) -> str:
    name = key.split(".")[-1]
    titles = [f"{name} = {value}" if key else "accuracy" for value in cells]
    lines = [
        f"Mean test accuracy over clients in %, mean and standard deviation over {seeds} seeds: the method's own test / after local training.",
        "",
        "| method | " + " | ".join(titles) + " | gradients | MB sent |",
        "|---" * (len(titles) + 3) + "|",
    ]
    for label in labels:
        column = [f"{spread(c[label].own)} / {spread(c[label].after)}" for c in cells.values()]
        some = next(iter(cells.values()))[label]
        lines.append(
            f"| {label} | " + " | ".join(column)
            + f" | {style.quantity(statistics.fmean(some.gradients))} | {statistics.fmean(some.bytes) / 1e6:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def draw(key: str, cells: dict[str, dict[str, Cell]], labels: list[str]):
    """Accuracy by method, a mark a value of the key, with the range over seeds."""
    figure, ax = plt.subplots(figsize=(9, 1.2 + 0.34 * len(labels)), layout="constrained")
    shapes = "osD^vP*X"
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(cells)))
    for i, (value, column) in enumerate(cells.items()):
        offset = 0.5 * (i - (len(cells) - 1) / 2) / max(len(cells), 1)
        for y, label in enumerate(labels):
            values = 100 * np.array(column[label].own)
            ax.plot([values.min(), values.max()], [y + offset] * 2, color=shades[i], linewidth=2, alpha=0.6)
            ax.plot(values.mean(), y + offset, shapes[i % len(shapes)], color=shades[i], markersize=6,
                    label=f"{key.split('.')[-1]} = {value}" if y == 0 and key else None)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.set_xlabel("mean test accuracy over clients, % (line: range over seeds)")
    ax.grid(axis="x", alpha=0.3)
    if key:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=min(len(cells), 6), fontsize=8)
    return figure
