"""The command line of `analysis/sweep`: tables and figures of one sweep.

    analysis/sweep RUNS/NAME [--out DIR]

Reads sweep.h5 (docs/study-formats.md) and writes, into the folder `report` beside it unless --out names another: sweep.md with
the best candidate of each method, its 95 % confidence interval over seeds and the importance of each key; response.png, the
score over each key; parallel.png, all candidates at once; plane.png where two keys with numbers make a grid.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np

from . import style
from .reading import ReportError

MAX_BINS = 8  # of a key with more values than these, for its importance and its mean line
COLUMNS = 3  # panels in a row


@dataclass
class Candidate:
    """A method at a point; values are texts, empty where the method has no such key."""

    method: str
    values: list[str]
    scores: dict[int, float]  # by seed, of those that are done
    whole: bool  # every seed ran all rounds
    bytes: float  # mean over seeds

    @property
    def score(self) -> float:
        return float(np.mean(list(self.scores.values())))

    @property
    def half_width(self) -> float:
        """Half the 95 % confidence interval of the mean over seeds; NaN of a single seed."""
        n = len(self.scores)
        if n < 2:
            return math.nan
        return student_t(n - 1) * float(np.std(list(self.scores.values()), ddof=1)) / math.sqrt(n)


def student_t(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t by whole degrees of freedom: bisection of its distribution, which is a finite
    sum in the angle atan(t / sqrt(freedom)) (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""

    def within(angle: float) -> float:
        total, term = 0.0, math.cos(angle) ** (freedom % 2)
        for k in range(freedom % 2, freedom - 1, 2):
            total += term
            term *= (k + 1) / (k + 2) * math.cos(angle) ** 2
        total *= math.sin(angle)
        return 2 / math.pi * (angle + total) if freedom % 2 else total

    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if within(middle) < 0.95 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


@dataclass
class Sweep:
    name: str
    metric: str
    keys: list[str]
    candidates: list[Candidate]  # those with a seed that is done

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(candidate.method for candidate in self.candidates))

    def of(self, method: str) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.method == method]

    def keys_of(self, method: str) -> list[int]:
        """Numbers of the keys that take more than one value in the method's candidates."""
        mine = self.of(method)
        return [k for k in range(len(self.keys)) if len({c.values[k] for c in mine if c.values[k]}) > 1]

    def best(self, method: str) -> Candidate | None:
        whole = [candidate for candidate in self.of(method) if candidate.whole]
        return max(whole, key=lambda candidate: candidate.score, default=None)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, or 2 with one message on bad input."""
    parser = argparse.ArgumentParser(prog="sweep", description="Writes tables and figures of one sweep.")
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="the sweep's folder, OUT/NAME")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: the folder report in SWEEP)")
    options = parser.parse_args(arguments)
    try:
        sweep = read_sweep(options.sweep)
        out = options.out or options.sweep / "report"
        write_report(sweep, out)
    except ReportError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    print((out / "sweep.md").read_text(encoding="utf-8"), end="")
    print(f"written to {out}")
    return 0


def read_sweep(folder: Path) -> Sweep:
    """The sweep in a folder. Raises ReportError if there is none, or nothing in it is done."""
    path = folder / "sweep.h5"
    if not path.is_file():
        raise ReportError(f"{path} is not there: name the folder of a sweep that has ended (fedselect sweep --continue ends one)")
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != "fedselect-sweep" or file.attrs.get("version") != 1:
                raise ReportError(f"{path} is not a sweep of version 1")
            trials = {name: file[f"trials/{name}"][:] for name in file["trials"]}
            keys = [text.decode() for text in file["parameters/keys"][:]]
            values = [[text.decode() for text in file[f"parameters/{k}"][:]] for k in range(len(keys))]
            name, metric = file.attrs["name"], file.attrs["metric"]
    except (OSError, KeyError) as error:
        raise ReportError(f"{path} can't be read as a sweep ({error})") from error
    candidates: dict[int, Candidate] = {}
    for i, number in enumerate(trials["candidate"]):
        score = float(trials[metric][i])
        done = trials["status"][i] == b"done" and math.isfinite(score)
        candidate = candidates.setdefault(
            int(number), Candidate(trials["method"][i].decode(), [column[i] for column in values], {}, True, 0.0)
        )
        candidate.whole &= done and bool(trials["rounds"][i] >= trials["whole_rounds"][i])
        if done:
            candidate.scores[int(trials["seed"][i])] = score
            candidate.bytes += (float(trials["bytes"][i]) - candidate.bytes) / len(candidate.scores)
    finished = [candidate for candidate in candidates.values() if candidate.scores]
    if not finished:
        raise ReportError(f"{path}: no trial is done")
    return Sweep(name, metric, keys, finished)


def write_report(sweep: Sweep, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{out} can't be written to ({error.strerror}): name another folder with --out") from error
    (out / "sweep.md").write_text(markdown(sweep), encoding="utf-8")
    for name, figure in (("response", response(sweep)), ("parallel", parallel(sweep)), ("plane", plane(sweep))):
        if figure is None:
            continue
        figure.savefig(out / f"{name}.png", dpi=style.DPI, metadata={"Software": None})
        plt.close(figure)


def numbers(texts: list[str]) -> np.ndarray | None:
    """The texts as numbers; None if one is not a number."""
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return None


def groups(texts: list[str]) -> np.ndarray:
    """The number of each value's group, ascending: a group a value, or MAX_BINS groups of equal size of many numbers."""
    values = numbers(texts)
    if values is None:
        return np.unique(texts, return_inverse=True)[1]
    distinct, group = np.unique(values, return_inverse=True)
    if len(distinct) <= MAX_BINS:
        return group
    bins = max(3, min(MAX_BINS, len(values) // 4))
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") * bins // len(values)


def importance(sweep: Sweep, method: str) -> dict[str, float]:
    """The share of the variance of a method's scores, one a trial and without the mean of its seed, that each key explains by itself: epsilon squared of a one-way analysis
    of variance (Kelley, PNAS 21 (1935)), in [0, 1]; NaN where every trial has a value of its own."""
    of_seed: dict[int, list[float]] = {}
    for candidate in sweep.of(method):
        for seed, score in candidate.scores.items():
            of_seed.setdefault(seed, []).append(score)
    shares = {}
    for k in sweep.keys_of(method):
        mine = [candidate for candidate in sweep.of(method) if candidate.values[k]]
        scores = np.array([score - np.mean(of_seed[seed]) for candidate in mine for seed, score in candidate.scores.items()])
        group = np.repeat(groups([candidate.values[k] for candidate in mine]), [len(candidate.scores) for candidate in mine])
        total = ((scores - scores.mean()) ** 2).sum()
        within = sum(((scores[group == g] - scores[group == g].mean()) ** 2).sum() for g in np.unique(group))
        free, spare = len(np.unique(group)) - 1, len(scores) - len(np.unique(group))
        explained = (total - within - free * within / spare) / total if spare > 0 and total > 0 else math.nan
        shares[sweep.keys[k]] = explained if math.isnan(explained) else max(0.0, explained)
    return shares


def markdown(sweep: Sweep) -> str:
    title = sweep.metric.replace("_", " ")
    lines = [f"# Sweep {sweep.name}", "", f"| method | best {title} | 95 % interval | seeds | candidates | MB sent | at |", "|---" * 7 + "|"]
    for method in sweep.methods:
        best = sweep.best(method)
        if best is None:
            lines.append(f"| {method} | no candidate is complete | | | {len(sweep.of(method))} | | |")
            continue
        at = ", ".join(f"{key} = {value}" for key, value in zip(sweep.keys, best.values) if value)
        interval = "–" if math.isnan(best.half_width) else f"± {100 * best.half_width:.1f}"
        lines.append(
            f"| {method} | {style.percent(best.score)} | {interval} | {len(best.scores)} | {len(sweep.of(method))} "
            f"| {style.megabytes(best.bytes / 1e6)} | {at or '–'} |"
        )
    lines += ["", "Importance: the share of the scores' variance, seeds apart, that a key explains by itself.", "",
              "| method | " + " | ".join(sweep.keys) + " |", "|---" * (len(sweep.keys) + 1) + "|"]
    for method in sweep.methods:
        shares = importance(sweep, method)
        lines.append(f"| {method} | " + " | ".join(style.percent(shares.get(key, math.nan), 0) for key in sweep.keys) + " |")
    if not all(candidate.whole for candidate in sweep.candidates):
        lines += ["", "Candidates that did not run all rounds count with the score of their last rung."]
    return "\n".join(lines) + "\n"


def places(sweep: Sweep, k: int) -> tuple[dict[str, float], bool]:
    """Where each value of a key stands on its axis, and whether the axis is one of numbers."""
    texts = list(dict.fromkeys(c.values[k] for c in sweep.candidates if c.values[k]))
    values = numbers(texts)
    if values is not None:
        return dict(zip(texts, values)), True
    return {text: float(i) for i, text in enumerate(texts)}, False


def is_logarithmic(values: list[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > 20


def color_of(number: int) -> str:
    return style.LINES[number % len(style.LINES)]


def response(sweep: Sweep):
    """A panel a key: each candidate's score, and a line through the means of equal or neighbouring values."""
    varied = [k for k in range(len(sweep.keys)) if any(k in sweep.keys_of(method) for method in sweep.methods)]
    if not varied:
        return None
    columns = min(COLUMNS, len(varied))
    rows = math.ceil(len(varied) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(style.WIDTH, 3.1 * rows + 0.4), layout="constrained", sharey=True, squeeze=False)
    for ax in axes.flat[len(varied):]:
        ax.set_visible(False)
    for ax, k in zip(axes.flat, varied):
        at, is_number = places(sweep, k)
        for number, method in enumerate(sweep.methods):
            if k not in sweep.keys_of(method):
                continue
            mine = [candidate for candidate in sweep.of(method) if candidate.values[k]]
            x = np.array([at[candidate.values[k]] for candidate in mine])
            y = 100 * np.array([candidate.score for candidate in mine])
            ax.plot(x, y, style.MARKERS[number % len(style.MARKERS)], color=color_of(number), alpha=0.35, markeredgewidth=0)
            group = groups([candidate.values[k] for candidate in mine])
            order = [group == g for g in np.unique(group)]
            ax.plot([x[g].mean() for g in order], [y[g].mean() for g in order], color=color_of(number), label=method)
        if is_number and is_logarithmic(list(at.values())):
            ax.set_xscale("log")
        if not is_number:
            ax.set_xticks(list(at.values()), list(at))
        ax.set_xlabel(sweep.keys[k])
    for row in axes:
        row[0].set_ylabel(f"{sweep.metric.replace('_', ' ')}, %")
    handles = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels())}
    axes[0, 0].legend(handles.values(), handles.keys(), loc="lower left", bbox_to_anchor=(0, 1), ncol=6)
    return figure


def parallel(sweep: Sweep):
    """A panel a method: every candidate is a line through its values, as dark as its score is low; the best is red."""
    methods = [method for method in sweep.methods if len(sweep.keys_of(method)) > 1]
    if not methods:
        return None
    figure, axes = plt.subplots(len(methods), 1, figsize=(style.WIDTH, 2.5 * len(methods)), layout="constrained", squeeze=False)
    for ax, method in zip(axes.flat, methods):
        keys = sweep.keys_of(method)
        mine = sorted(sweep.of(method), key=lambda candidate: candidate.score)
        scores = np.array([candidate.score for candidate in mine])
        spread = max(float(np.ptp(scores)), 1e-12)
        columns = [scaled(sweep, k, mine) for k in keys] + [(scores - scores.min()) / spread]
        lines = np.array(columns).T
        best = sweep.best(method)
        for line, candidate, score in zip(lines, mine, scores):
            shade = plt.get_cmap(style.SEQUENTIAL)((score - scores.min()) / spread * 0.9)
            looks = {"color": style.VERMILLION, "linewidth": 2.4, "zorder": 3} if candidate is best else {"color": shade, "linewidth": 0.9, "alpha": 0.7}
            has_part = np.isfinite(line)
            ax.plot(np.flatnonzero(has_part), line[has_part], **looks)
        for x, k in enumerate(keys):
            mark_axis(ax, x, *places(sweep, k), [candidate.values[k] for candidate in mine if candidate.values[k]])
        for y in (0, 1):
            ax.text(len(keys) + 0.02, y, style.percent(scores.min() + y * spread), va="center", fontsize=7.5)
        ax.set_xticks(range(len(columns)), [sweep.keys[k] for k in keys] + [sweep.metric.replace("_", " ")])
        ax.set_yticks([])
        ax.set_ylim(-0.08, 1.08)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.set_title(f"{method}, {len(mine)} candidates" + ("" if best is None else "; the best is red"))
    return figure


def scaled(sweep: Sweep, k: int, mine: list[Candidate]) -> np.ndarray:
    """The candidates' values of a key from 0 to 1; NaN where it has no part."""
    at, _ = places(sweep, k)
    used = [at[candidate.values[k]] for candidate in mine if candidate.values[k]]
    scale = np.log10 if is_logarithmic(used) else np.asarray
    low, high = scale(min(used)), scale(max(used))
    return np.array([(scale(at[c.values[k]]) - low) / (high - low) if c.values[k] else math.nan for c in mine], dtype=float)


def mark_axis(ax, x: int, at: dict[str, float], is_number: bool, used: list[str]) -> None:
    """A vertical axis at x with its ends, or all its words, written beside it."""
    ax.axvline(x, color="#888888", linewidth=0.8, zorder=0)
    present = sorted(set(used), key=lambda text: at[text])
    ends = [present[0], present[-1]] if is_number else present
    low, high = at[present[0]], at[present[-1]]
    for text in ends:
        word = f"{at[text]:.3g}" if is_number else text
        ax.text(x + 0.02, (at[text] - low) / (high - low), word, va="center", fontsize=7.5)


def plane(sweep: Sweep):
    """A panel a method whose first two keys with numbers make a full grid: the mean score at each crossing."""
    found = []
    for method in sweep.methods:
        keys = [k for k in sweep.keys_of(method) if places(sweep, k)[1]][:2]
        mine = [c for c in sweep.of(method) if all(c.values[k] for k in keys)]
        if len(keys) < 2:
            continue
        x, y = (np.array([float(c.values[k]) for c in mine]) for k in keys)
        across, up = np.unique(x), np.unique(y)
        cells = np.full((len(up), len(across)), math.nan)
        for i, b in enumerate(up):
            for j, a in enumerate(across):
                scores = [c.score for c, u, v in zip(mine, x, y) if u == a and v == b]
                cells[i, j] = 100 * np.mean(scores) if scores else math.nan
        if np.isfinite(cells).all() and cells.size <= 400:
            found.append((method, keys, across, up, cells))
    if not found:
        return None
    low, high = min(f[4].min() for f in found), max(f[4].max() for f in found)
    figure, axes = plt.subplots(1, len(found), figsize=(style.WIDTH, 3.6), layout="constrained", squeeze=False)
    for ax, (method, keys, across, up, cells) in zip(axes.flat, found):
        image = ax.imshow(cells, origin="lower", aspect="auto", cmap=style.SEQUENTIAL, vmin=low, vmax=high)
        for (i, j), value in np.ndenumerate(cells):
            dark = (value - low) < 0.6 * (high - low)
            ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
        ax.set_xticks(range(len(across)), [f"{a:g}" for a in across])
        ax.set_yticks(range(len(up)), [f"{b:g}" for b in up])
        ax.grid(False)
        ax.set_xlabel(sweep.keys[keys[0]])
        ax.set_ylabel(sweep.keys[keys[1]])
        ax.set_title(method)
    figure.colorbar(image, ax=axes, label=f"{sweep.metric.replace('_', ' ')}, %")
    return figure
