"""Beyond a client's own training: its model on other clients' data, and clients that never took part."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from .. import metrics, style
from ..reading import Run, read_cross
from ..style import Look, percent, points
from . import Section, Table
from .masks import MAX_LABELLED_CLIENTS, class_order

MAX_CROSS_CLIENTS = 100  # clients in a panel of the cross matrix
MAX_LINES = 300  # new clients drawn one by one; all of them count in the numbers


def cross_accuracy(runs: list[Run], looks: dict[str, Look]) -> list[Section]:
    """Every client's model on every client's test samples, one matrix a run; nothing where no run measured it."""
    shown = [run for run in runs if run.has_cross]
    if not shown:
        return []
    taking_part = min(run.taking_part for run in shown)
    clients = metrics.sample_clients(taking_part, MAX_CROSS_CLIENTS)
    order = class_order(shown[0].class_counts[clients])
    figure, axes = style.panel_grid(len(shown), 4, aspect=1.0, left=0.75, right=1.2, title=0.62, below=0.42, bottom=0.1)
    norm = Normalize(0, 100)
    image, rows, losses = None, [], {}
    for ax, run in zip(axes, shown):
        matrix = read_cross(run, clients)
        own, others = metrics.finite_mean(np.diagonal(matrix)), metrics.off_diagonal_mean(matrix)
        losses[run.label] = own - others
        image = ax.imshow(100 * matrix[np.ix_(order, order)], cmap=style.SEQUENTIAL, norm=norm, interpolation="nearest")
        ax.grid(False)
        style.panel_title(ax, looks[run.label], f"own data {percent(own)}, others' {percent(others)}")
        labelled = len(clients) <= MAX_LABELLED_CLIENTS
        ax.set_xticks(range(len(clients)) if labelled else [], clients[order] if labelled else [])
        ax.set_yticks(
            range(len(clients)) if labelled and ax.is_first_column else [],
            clients[order] if labelled and ax.is_first_column else [],
        )
        ax.tick_params(length=0)
        if ax.is_last_row:
            ax.set_xlabel("test samples of client" if labelled else f"test samples of {len(clients)} clients, by class")
        if ax.is_first_column:
            ax.set_ylabel("model of client", labelpad=2)
        rows.append([run.label, percent(own), percent(others), points(own - others)])
    panel = max((ax.get_position() for ax in axes), key=lambda box: (box.x1, box.y1))  # right end of the first row
    width, height = figure.get_size_inches()
    bar = style.place(figure, panel.x1 * width + 0.15, panel.y0 * height, 0.13, panel.height * height)
    figure.colorbar(image, cax=bar, label="accuracy, %")
    bar.grid(False)
    most, least = max(losses, key=losses.get), min(losses, key=losses.get)
    answer = f"{most}'s models lose most away from home ({points(-losses[most])})"
    answer += f", {least}'s least ({points(-losses[least])})." if least != most else "."
    if len(clients) < taking_part:
        answer += f" Compared are {len(clients)} of {taking_part} clients, picked at random."
    return [
        Section(
            "cross_accuracy",
            "Models on other clients' data",
            "How well does a client's model do on the data of the others?",
            answer,
            figure,
            [
                Table(
                    "Accuracy on own and on other clients' test samples",
                    ["method", "own", "others'", "difference"],
                    rows,
                    "Means over clients, and over pairs of clients. Tested is the model that a client would deploy after the "
                    "last round. Clients that never took part are left out.",
                )
            ],
        )
    ]


def new_clients(runs: list[Run], looks: dict[str, Look]) -> list[Section]:
    """Clients that never took part, before and after training on their own; nothing where there are none."""
    shown = [run for run in runs if len(run.new_clients)]
    if not shown:
        return []
    left = style.text_width([look.label for look in looks.values()]) + 0.3
    height = 0.44 * len(shown) + 0.2
    figure = style.canvas(height + 0.95)
    ax = style.place(figure, left, 0.75, style.WIDTH - left - 0.3, height)
    rows = []
    for position, run in enumerate(shown):
        look = looks[run.label]
        drawn = metrics.sample_clients(len(run.new_clients), MAX_LINES)
        heights = position + 0.3 * np.linspace(-1, 1, len(drawn)) if len(drawn) > 1 else np.array([float(position)])
        before, after = 100 * run.new_before[drawn], 100 * run.new_after[drawn]
        ax.hlines(heights, before, after, color=look.color, linewidth=0.8, alpha=0.5)
        for values, face in ((before, "white"), (after, look.color)):
            ax.scatter(values, heights, s=16, facecolor=face, edgecolor=look.color, linewidth=0.9, zorder=3, clip_on=False)
        means = metrics.finite_mean(run.new_before), metrics.finite_mean(run.new_after)
        rows.append(
            [
                run.label,
                str(len(run.new_clients)),
                percent(means[0]),
                percent(means[1]),
                points(means[1] - means[0]),
                percent(run.mean[-1]),
            ]
        )
    ax.set_yticks(range(len(shown)), [looks[run.label].label for run in shown])
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    style.percent_axes(ax, "x")
    ax.set_xlabel("test accuracy of a new client")
    marks = {"linestyle": "none", "marker": "o", "markersize": 4, "markeredgecolor": "#555555"}
    figure.legend(
        handles=[
            Line2D([], [], markerfacecolor="white", label="the global model as it is", **marks),
            Line2D([], [], markerfacecolor="#555555", label="after passes on its own data", **marks),
        ],
        loc="lower center",
        ncol=2,
    )
    best = max(shown, key=lambda run: metrics.finite_mean(run.new_after))
    answer = (
        f"{best.label}'s global model serves them best after training: from {percent(metrics.finite_mean(best.new_before))} to "
        f"{percent(metrics.finite_mean(best.new_after))} on average."
    )
    return [
        Section(
            "new_clients",
            "Clients that never took part",
            "What is the global model worth to a client that joins at the end?",
            answer,
            figure,
            [
                Table(
                    "New clients",
                    ["method", "new clients", "before", "after", "difference", "clients that took part"],
                    rows,
                    "Mean test accuracy: of the final global model, and after evaluate.new_client_passes passes on all "
                    "parameters; the last column is the mean at the end of the clients that took part.",
                )
            ],
        )
    ]
