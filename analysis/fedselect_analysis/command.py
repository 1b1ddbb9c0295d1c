"""The command line of `analysis/report`."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from . import metrics, style
from .figures import Section, accuracy, beyond, conditions, masks
from .page import page_html
from .reading import ReportError, Run, read_runs
from .summary import headline, summary_table, terminal_table


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, or 2 with one message on bad input."""
    parser = argparse.ArgumentParser(
        prog="report", description="Writes report.html and figures/*.png from the result.h5 of one or several runs."
    )
    parser.add_argument("run", nargs="+", type=Path, help="a run folder, or a folder that contains runs")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: the folder report in the first RUN)"
    )
    options = parser.parse_args(arguments)
    try:
        runs = read_runs(options.run)
        print(terminal_table(runs))
        print(write_report(runs, options.out or options.run[0] / "report"))
    except ReportError as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    return 0


def write_report(runs: list[Run], folder: Path) -> Path:
    """Draws every figure into folder/figures, writes folder/report.html and returns its path."""
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{folder} can't be written to ({error.strerror}): name another folder with --out") from error
    sections = all_sections(runs)
    pngs = {}
    for section in sections:
        if section.figure is not None:
            pngs[section.name] = png_bytes(section.figure)
            (folder / "figures" / f"{section.name}.png").write_bytes(pngs[section.name])
    first = runs[0]
    page = folder / "report.html"
    page.write_text(
        page_html(
            f"Federated personalisation on {first.dataset}",
            f"{len(runs)} run{'s' if len(runs) > 1 else ''}, {first.clients} clients, {max(run.rounds for run in runs)} rounds, "
            f"{style.quantity(first.parameters)} parameters",
            headline(runs),
            summary_table(runs),
            sections,
            pngs,
            runs,
        ),
        encoding="utf-8",
    )
    return page


def all_sections(runs: list[Run]) -> list[Section]:
    """The page's sections in their order."""
    reference = metrics.reference_run(runs)
    looks = style.looks(runs, reference)
    overlaps = masks.overlaps(runs)
    return [
        accuracy.accuracy_over_rounds(runs, looks),
        accuracy.accuracy_bands(runs, looks),
        accuracy.against_reference(runs, looks, reference),
        accuracy.fairness(runs, looks),
        *beyond.cross_accuracy(runs, looks),
        *beyond.new_clients(runs, looks),
        masks.share_over_rounds(runs, looks),
        masks.changes_over_rounds(runs, looks),
        masks.iou_matrices(overlaps, looks),
        masks.iou_per_tensor(overlaps, looks),
        accuracy.accuracy_over_bytes(runs, looks),
        conditions.time_by_phase(runs, looks),
        conditions.partition(runs[0]),
    ]


def png_bytes(figure) -> bytes:
    """Renders and closes a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=style.DPI, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
