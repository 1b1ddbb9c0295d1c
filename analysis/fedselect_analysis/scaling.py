"""The command line of `analysis/scaling`: figures and a table of a scaling study.

    analysis/scaling OUT/NAME [--out DIR]

Reads OUT/NAME/scaling.h5 (docs/study-formats.md#scalingh5), which `fedselect scaling` wrote, and nothing else; writes scaling.md
and figures/*.png (default: into OUT/NAME) and prints the table.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np

from . import style
from .figures import scaling
from .reading import ReportError, attribute_text

SCALING_FILE = "scaling.h5"
FORMAT = "fedselect-scaling"
VERSION = 1


@dataclass(frozen=True)
class Study:
    """A scaling study. K points, S repeats, R counted rounds, W rounds of warm-up, P phases.

    Estimates are (K, 3): mean over repeats, and the ends of its 95 % interval, which are NaN for a single repeat.
    """

    name: str
    over: str  # "ranks", "clients" or "parameters"
    kind: str  # "strong", "weak", or "size" over the other two
    fit: str  # "Amdahl", "Gustafson" or "fixed part"
    ranks: np.ndarray  # (K)
    clients: np.ndarray  # (K)
    parameters: np.ndarray  # (K)
    flops: np.ndarray  # (K) nominal, of a counted round, mean
    phases: list[str]  # (P)
    phase_seconds: np.ndarray  # (K, P) of a round, mean over ranks, rounds and repeats
    round_seconds: np.ndarray  # (K, S, R)
    warmup_seconds: np.ndarray  # (K, S, W)
    seconds: np.ndarray  # (K, 3) median round of a repeat
    speedup: np.ndarray  # (K, 3)
    efficiency: np.ndarray  # (K, 3)
    imbalance: np.ndarray  # (K, 3)
    traffic: np.ndarray  # (K) bytes that a rank sends at least in a round for what is summed
    least_traffic: np.ndarray  # (K) the same for what the means need
    fraction: np.ndarray  # (3) what the fit finds

    @property
    def x(self) -> np.ndarray:
        """(K) what the study varies."""
        return {"ranks": self.ranks, "clients": self.clients, "parameters": self.parameters}[self.over]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, or 2 with one message on bad input."""
    parser = argparse.ArgumentParser(prog="scaling", description="Writes scaling.md and figures/*.png of a scaling study.")
    parser.add_argument("study", type=Path, help=f"the study's folder, which holds {SCALING_FILE}")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: the study's folder)")
    options = parser.parse_args(arguments)
    try:
        study = read_study(options.study)
        page = write_results(study, options.out or options.study)
    except ReportError as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 2
    print("\n".join(table(study)))
    print(f"written to {page}")
    return 0


def read_study(folder: Path) -> Study:
    """Throws ReportError for a file that is missing, torn, foreign, of another version, or lacks a part."""
    path = folder / SCALING_FILE
    if not path.is_file():
        raise ReportError(f"{folder} holds no {SCALING_FILE}: name the folder that fedselect scaling wrote")
    try:
        with h5py.File(path, "r") as file:
            found = attribute_text(file, "format") if "format" in file.attrs else "missing"
            if found != FORMAT or int(file.attrs["version"]) != VERSION:
                raise ReportError(
                    f"{path} is no scaling study of version {VERSION} (its format is {found}): "
                    "use the analysis/ folder of the program that wrote it"
                )
            return read_open_file(file)
    except KeyError as error:
        raise ReportError(f"{path} lacks a part of its format ({error.args[0]}): see docs/study-formats.md") from error
    except OSError as error:
        raise ReportError(f"{path} can't be read as HDF5 ({error}): measure the study again") from error


def read_open_file(file: h5py.File) -> Study:
    summary = {name: file[f"summary/{name}"][:] for name in ("seconds", "speedup", "efficiency", "imbalance", "fraction")}
    return Study(
        **{name: attribute_text(file, name) for name in ("name", "over", "kind", "fit")},
        **{name: file[f"points/{name}"][:] for name in ("ranks", "clients", "parameters")},
        flops=file["rounds/flops"][:].mean(axis=(1, 2)),
        phases=list(file["rounds/phase"].asstr()[:]),
        phase_seconds=file["summary/phase_seconds"][:],
        round_seconds=file["rounds/seconds"][:],
        warmup_seconds=file["rounds/warmup_seconds"][:],
        traffic=file["summary/traffic_bytes"][:],
        least_traffic=file["summary/least_traffic_bytes"][:],
        **summary,
    )


def write_results(study: Study, folder: Path) -> Path:
    """Draws every figure into folder/figures, writes folder/scaling.md and returns its path."""
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{folder} can't be written to ({error.strerror}): name another folder with --out") from error
    lines = [f"# {study.name}: {scaling.describe_kind(study)}", "", *table(study), ""]
    for section in scaling.all_sections(study):
        lines += [f"## {section.title}", "", section.question, section.answer, ""]
        if section.figure is None:
            continue
        section.figure.savefig(folder / "figures" / f"{section.name}.png", dpi=style.DPI, metadata={"Software": None})
        plt.close(section.figure)
        lines += [f"![{section.title}](figures/{section.name}.png)", ""]
    page = folder / "scaling.md"
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


def table(study: Study) -> list[str]:
    """One row a point, as Markdown."""
    header = ["ranks", "clients", "parameters", "seconds a round", "speedup", "efficiency", "imbalance", "MB sent", "least MB"]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for k in range(len(study.ranks)):
        cells = [
            str(study.ranks[k]),
            str(study.clients[k]),
            f"{study.parameters[k]:,}",
            estimate(study.seconds[k], 4),
            estimate(study.speedup[k], 2),
            estimate(study.efficiency[k], 3),
            f"{study.imbalance[k][0]:.2f}",
            style.megabytes(study.traffic[k] / 1e6),
            style.megabytes(study.least_traffic[k] / 1e6),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def estimate(values: np.ndarray, digits: int) -> str:
    """"0.966 +- 0.124": mean and half of the 95 % interval, where there is one."""
    mean, low, high = values
    return f"{mean:.{digits}f}" + (f" +- {(high - low) / 2:.{digits}f}" if np.isfinite(low) else "")
