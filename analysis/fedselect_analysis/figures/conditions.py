"""Conditions of a run: who holds which classes, and where the time went."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .. import metrics, style
from ..reading import Run
from ..style import Look, percent
from . import Section, Table

MAX_COLUMNS = 100  # clients in the partition's heat map
MAX_WRITTEN = 20  # clients and classes up to which counts are written into the cells


def duration(seconds: float) -> str:
    """Wall time in the unit that suits it."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.1f} s"


def time_by_phase(runs: list[Run], looks: dict[str, Look]) -> Section:
    """Stacked bars: seconds of each phase, mean over ranks; imbalance of training written beside them."""
    left = style.text_width([look.label for look in looks.values()]) + 0.3
    height = 0.34 * len(runs) + 0.2
    figure = style.canvas(height + 1.0)
    ax = style.place(figure, left, 0.75, style.WIDTH - left - 2.0, height)
    phases = list(dict.fromkeys(phase for run in runs for phase in run.phases))
    rows = []
    for position, run in enumerate(runs):
        mean = dict(zip(run.phases, run.phase_seconds.mean(axis=0)))
        begin = 0.0
        for number, phase in enumerate(phases):
            ax.barh(
                position,
                mean.get(phase, 0.0),
                left=begin,
                height=0.66,
                color=style.AREAS[number % len(style.AREAS)],
                edgecolor="white",
                linewidth=0.4,
            )
            begin += mean.get(phase, 0.0)
        ax.annotate(
            f"{duration(begin)}, imbalance {run.train_imbalance:.2f}",
            (begin, position),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#444444",
            annotation_clip=False,
        )
        total = max(begin, 1e-12)
        rows.append(
            [run.label, duration(begin), str(len(run.phase_seconds))]
            + [percent(mean.get(phase, 0.0) / total) for phase in phases]
            + [f"{run.train_imbalance:.2f}"]
        )
    ax.set_yticks(range(len(runs)), [looks[run.label].label for run in runs])
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.grid(axis="y", visible=False)
    style.quantity_axis(ax, 6)
    ax.set_xlabel("seconds, mean over ranks")
    figure.legend(
        handles=[
            Patch(color=style.AREAS[number % len(style.AREAS)], label=phase) for number, phase in enumerate(phases)
        ],
        loc="lower center",
        ncol=8,
        handlelength=1.0,
        columnspacing=1.3,
    )
    train = {
        run.label: run.phase_seconds[:, run.phases.index("train")].sum() / max(run.phase_seconds.sum(), 1e-12)
        for run in runs
    }
    slow = max(runs, key=lambda run: run.seconds)
    uneven = max(runs, key=lambda run: run.train_imbalance)
    answer = (
        f"Training takes {percent(min(train.values()), 0)} to {percent(max(train.values()), 0)} of the time. "
        if len(runs) > 1
        else f"Training takes {percent(train[slow.label], 0)} of the time. "
    )
    answer += (
        f"{slow.label} is slowest with {duration(slow.seconds)}. The largest imbalance is {uneven.train_imbalance:.2f} "
        f"({uneven.label}): round by round, its slowest rank trains that many times as long as the mean rank."
    )
    header = ["method", "time, mean rank", "ranks", *phases, "imbalance"]
    return Section(
        "time_by_phase",
        "Where the time goes",
        "What does each method spend its wall time on?",
        answer,
        figure,
        [
            Table(
                "Time by phase",
                header,
                rows,
                "Shares are means over ranks. Imbalance: training time of the slowest rank over "
                "the mean of ranks, each summed over rounds; 1 = balanced.",
            )
        ],
    )


def partition(run: Run) -> Section:
    """Training samples of each class at each client (the same in every run of a report)."""
    chosen = metrics.sample_clients(run.clients, MAX_COLUMNS)
    counts = run.class_counts[chosen].T  # (C, S)
    classes, clients = counts.shape
    cell = min(0.8, (style.WIDTH - 1.9) / clients)
    row = float(np.clip(2.6 / classes, 0.09, 0.3))
    figure = style.canvas(row * classes + 0.75)
    ax = style.place(figure, 0.7, 0.5, cell * clients, row * classes)
    image = ax.pcolormesh(
        np.arange(clients + 1) - 0.5,
        np.arange(classes + 1) - 0.5,
        counts,
        cmap=style.SEQUENTIAL,
        norm=Normalize(0, max(int(counts.max()), 1)),
    )
    ax.grid(False)
    ax.invert_yaxis()
    places = style.sparse(clients, 20)
    ax.set_xticks(places, chosen[places])
    ax.set_yticks(style.sparse(classes, 12))
    ax.set(xlabel="client", ylabel="class")
    if clients <= MAX_WRITTEN and classes <= MAX_WRITTEN:
        half = counts.max() / 2
        for (label, client), value in np.ndenumerate(counts):
            if value:
                ax.text(
                    client,
                    label,
                    str(value),
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color="black" if value > half else "white",
                )
    bar = style.place(figure, 0.7 + cell * clients + 0.15, 0.5, 0.13, row * classes)
    figure.colorbar(image, cax=bar, label="training samples", ticks=MaxNLocator(5, integer=True))
    bar.grid(False)
    held = (run.class_counts > 0).sum(axis=1)
    samples = run.class_counts.sum(axis=1)
    return Section(
        "partition",
        "Who holds which classes",
        "How different are the clients' data?",
        f"{run.clients} clients hold {spanned(held)} of {run.class_counts.shape[1]} classes and {spanned(samples)} training "
        f"samples each." + (f" Drawn are {clients} clients picked at random." if clients < run.clients else ""),
        figure,
    )


def spanned(values: np.ndarray) -> str:
    """ "2" where all are equal, else "1 to 7 (median 3)"."""
    if values.min() == values.max():
        return f"{values.min():,}"
    return f"{values.min():,} to {values.max():,} (median {np.median(values):,.0f})"
