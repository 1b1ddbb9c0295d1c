"""Masks: personal share over rounds, overlap of final masks between clients and per tensor."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .. import metrics, style
from ..metrics import MaskOverlap
from ..reading import Run, read_masks
from ..style import Look, percent
from . import Section, Table

MAX_ROWS = 24  # tensors named one by one; beyond, layers are shown
MAX_LABELLED_CLIENTS = 12
ROW_HEIGHT = 0.17  # inches of one tensor in a figure


def row_label(name: str) -> str:
    """A tensor's name at the length that a figure's margin affords."""
    return style.short(name, 22, 11)


def margin(names: list[str]) -> float:
    """Inches that the names of tensors take left of the panels."""
    return 0.9 * style.text_width([row_label(name) for name in names]) + 0.3


def share_over_rounds(runs: list[Run], looks: dict[str, Look]) -> Section:
    """Personal share of each tensor or layer over rounds, one heat map a run whose masks split tensors."""
    title, question = "Personal share over rounds", "How much of each part of the model becomes personal, and when?"
    shown = [run for run in runs if run.has_partial_tensors]
    if not shown:
        return Section(
            "personal_share",
            title,
            question,
            "In no run does a mask split a tensor: every tensor is all shared or all "
            "personal in every round (the table on top gives the personal share).",
            None,
        )
    groups = [metrics.tensor_groups(run, MAX_ROWS) for run in shown]
    alike = all(names == groups[0][0] for names, _ in groups)
    left = max(margin(names) for names, _ in groups)
    most = max(len(names) for names, _ in groups)
    figure, axes = style.panel_grid(
        len(shown),
        3 if alike else 1,
        panel_height=max(1.2, ROW_HEIGHT * (most + 1)),
        left=left,
        gap=0.65,
        right=0.65,
        bottom=0.75,
    )
    image = None
    for ax, run, (names, members) in zip(axes, shown, groups):
        shares = grouped_share(run, members, len(names))
        edges = np.append(run.density_rounds, run.rounds) + 0.0
        image = ax.pcolormesh(
            edges, np.arange(len(names) + 2), shares.T, cmap=style.SEQUENTIAL, norm=Normalize(0, 100), edgecolors="none"
        )
        ax.axhline(1, color="white", linewidth=2.5)
        ax.invert_yaxis()
        ax.grid(False)
        style.panel_title(ax, looks[run.label])
        labels = ["all parameters"] + [row_label(name) for name in names]
        rows = (
            np.arange(len(labels))
            if len(labels) <= 2 * MAX_ROWS
            else np.append(0, 1 + style.sparse(len(names), MAX_ROWS))
        )
        ax.set_yticks(rows + 0.5, [labels[row] for row in rows] if ax.is_first_column else [], fontsize=7.5)
        ax.tick_params(left=False)
        for row in rows:
            ax.text(
                1.015,
                row + 0.5,
                f"{shares[-1, row]:.0f} %",
                transform=ax.get_yaxis_transform(),
                fontsize=7,
                va="center",
                color="#444444",
            )
        style.quantity_axis(ax, 4)
        if ax.is_last_row:
            ax.set_xlabel("round")
    width = min(4.0, style.WIDTH - left - 1)
    bar = style.place(figure, left, 0.4, width, 0.1)
    figure.colorbar(image, cax=bar, orientation="horizontal", format=lambda value, _: f"{value:.0f} %")
    bar.text(
        1.07,
        0.5,
        "personal share, mean over the cohort;\nnumbers: at the end",
        transform=bar.transAxes,
        va="center",
        fontsize=8,
    )
    bar.grid(False)
    return Section("personal_share", title, question, " ".join(share_answer(run) for run in shown), figure)


def grouped_share(run: Run, members: np.ndarray, count: int) -> np.ndarray:
    """(D, 1 + G) personal share in %: of all parameters, then of each group of tensors."""
    weights = (np.arange(count)[:, None] == members) * run.tensor_sizes  # (G, T)
    weights = np.vstack([run.tensor_sizes, weights]).astype(float)
    return 100 * run.density @ (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1)).T


def share_answer(run: Run) -> str:
    """One sentence: from where to where the run's personal share goes, and which tensor ends most personal."""
    begin = float(np.average(run.density[0], weights=run.tensor_sizes))
    top = int(run.density[-1].argmax())
    level = run.density[-1]
    if abs(run.personal_share - begin) < 0.0005:
        answer = f"{run.label} keeps {percent(run.personal_share)} of all parameters personal throughout"
    else:
        answer = f"{run.label} goes from {percent(begin)} personal after round {run.density_rounds[0]} to {percent(run.personal_share)}"
    if level.max() - level.min() < 0.0005:
        return answer + ", the same in every tensor."
    return answer + f"; the most personal tensor is {run.tensor_names[top]} with {percent(level[top])}."


def overlaps(runs: list[Run]) -> list[MaskOverlap]:
    """Compares final masks of every run that has masks which split tensors, of two clients at least."""
    result = []
    for run in runs:
        if run.has_masks and run.has_partial_tensors and run.taking_part > 1:
            clients = metrics.matrix_clients(run)
            names, groups = metrics.tensor_groups(run, MAX_ROWS)
            result.append(metrics.mask_overlap(run, read_masks(run, clients), clients, names, groups))
    return result


def class_order(counts: np.ndarray) -> np.ndarray:
    """Order of clients, given their (S, C) sample counts, in which those with the same classes stand together."""
    return np.lexsort(~(counts > 0).T[::-1])  # the last key, class 0, counts most


def changes_over_rounds(runs: list[Run], looks: dict[str, Look]) -> Section:
    """Share of the parameters whose mask bit changes in a round, one line a run whose clients search their masks."""
    title, question = "How stable is the choice?", "When do clients stop changing which parameters are personal?"
    shown = [run for run in runs if run.has_partial_tensors and np.nansum(run.mask_changes) > 0]
    if not shown:
        return Section("mask_changes", title, question, "In no run does a client search its mask.", None)
    gutter = style.text_width([looks[run.label].label for run in shown]) + style.SAMPLE_WIDTH
    height = max(2.6, 0.2 * len(shown) + 0.4)
    figure = style.canvas(height + 0.6)
    left = 0.9
    ax = style.place(figure, left, 0.5, style.WIDTH - left - gutter, height)
    ends = []
    for run in shown:
        look, rounds = looks[run.label], np.arange(run.rounds)
        ax.plot(rounds, 100 * run.mask_changes, color=look.color, linestyle=look.dash)
        ends.append((float(rounds[-1]), float(100 * run.mask_changes[-1]), look))
    style.percent_axes(ax, "y")
    ax.set_ylim(0, 110 * max(np.nanmax(run.mask_changes) for run in shown))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    style.quantity_axis(ax)
    ax.set(xlabel="round", ylabel="parameters that change\nsides, cohort's mean")
    style.label_line_ends(ax, ends)
    return Section("mask_changes", title, question, " ".join(map(changes_answer, shown)), figure)


def changes_answer(run: Run) -> str:
    """The last round with a change, and how much changed in it."""
    last = int(np.flatnonzero(np.nan_to_num(run.mask_changes) > 0)[-1])
    if last < run.rounds - 1:
        return f"{run.label}: no mask changes after round {last}."
    return f"{run.label}: in the last round {100 * run.mask_changes[last]:.2f} % of the parameters still change sides."


def iou_matrices(found: list[MaskOverlap], looks: dict[str, Look]) -> Section:
    """IoU minus chance for every pair of clients, one matrix a run, and the summary table."""
    title = "Do clients choose the same parameters?"
    question = "Do final masks overlap more than chance, and more between clients that share classes?"
    if not found:
        return Section(
            "mask_iou", title, question, "No run left final masks that split tensors (or it has a single client).", None
        )
    figure, axes = style.panel_grid(len(found), 4, aspect=1.0, left=0.75, right=1.2, title=0.62, below=0.42, bottom=0.1)
    excess = [overlap.matrix - overlap.chance for overlap in found]
    largest = max((np.nanmax(np.abs(metrics.pairs(matrix)), initial=0.0) for matrix in excess))
    norm = CenteredNorm(0, max(largest, 0.005))
    image = None
    for ax, overlap, matrix in zip(axes, found, excess):
        order = class_order(overlap.run.class_counts[overlap.clients])
        shown = matrix[np.ix_(order, order)].copy()
        np.fill_diagonal(shown, np.nan)
        colors = plt.get_cmap(style.DIVERGING).copy()
        colors.set_bad("#D0D0D0")
        image = ax.imshow(shown, cmap=colors, norm=norm, interpolation="nearest")
        ax.grid(False)
        mean = metrics.finite_mean(metrics.pairs(overlap.matrix))
        style.panel_title(ax, looks[overlap.run.label], f"mean IoU {mean:.3f}, chance {overlap.chance:.3f}")
        if len(order) <= MAX_LABELLED_CLIENTS:
            ax.set_xticks(range(len(order)), overlap.clients[order])
            ax.set_yticks(range(len(order)), overlap.clients[order] if ax.is_first_column else [])
        else:
            ax.set_xticks([])
            ax.set_yticks([])
        ax.tick_params(length=0)
        if ax.is_last_row:
            ax.set_xlabel("client" if len(order) <= MAX_LABELLED_CLIENTS else f"{len(order)} clients, by their classes")
        if ax.is_first_column:
            ax.set_ylabel("client", labelpad=2)
    panel = max((ax.get_position() for ax in axes), key=lambda box: (box.x1, box.y1))  # right end of the first row
    width, height = figure.get_size_inches()
    bar = style.place(figure, panel.x1 * width + 0.15, panel.y0 * height, 0.13, panel.height * height)
    figure.colorbar(image, cax=bar, label="IoU minus chance")
    bar.grid(False)
    return Section("mask_iou", title, question, iou_answer(found), figure, [iou_table(found)])


def iou_answer(found: list[MaskOverlap]) -> str:
    """Overlap against chance, and what a common class does, one or two sentences a run."""
    parts = []
    for overlap in found:
        mean = metrics.finite_mean(metrics.pairs(overlap.matrix))
        if math.isnan(mean):
            parts.append(f"{overlap.run.label}: all compared masks are empty.")
            continue
        relation = "above" if mean > overlap.chance else "below"
        sentence = f"{overlap.run.label}: mean IoU {mean:.3f}, {abs(mean - overlap.chance):.3f} {relation} chance ({overlap.chance:.3f})"
        if overlap.common_pairs and overlap.disjoint_pairs:
            sentence += (
                f"; {overlap.iou_common:.3f} between clients that share a class, {overlap.iou_disjoint:.3f} between those "
                "that share none."
            )
        else:
            sentence += "; all pairs share a class." if overlap.common_pairs else "; no pair shares a class."
        parts.append(sentence)
    if len(found[0].clients) < found[0].run.clients:
        parts.append(f"Compared are {len(found[0].clients)} of {found[0].run.clients} clients, picked at random.")
    return " ".join(parts)


def iou_table(found: list[MaskOverlap]) -> Table:
    """Density, IoU, chance and the split by common classes."""
    header = [
        "method",
        "personal share",
        "mean IoU",
        "chance",
        "f/(2−f)",
        "differing",
        "IoU, class in common",
        "pairs",
        "IoU, none in common",
        "pairs",
    ]
    number = lambda value: "–" if math.isnan(value) else f"{value:.3f}"  # noqa: E731
    rows = [
        [
            overlap.run.label,
            percent(overlap.density),
            number(metrics.finite_mean(metrics.pairs(overlap.matrix))),
            number(overlap.chance),
            number(overlap.chance_flat),
            percent(overlap.hamming),
            number(overlap.iou_common),
            str(overlap.common_pairs),
            number(overlap.iou_disjoint),
            str(overlap.disjoint_pairs),
        ]
        for overlap in found
    ]
    return Table(
        "Overlap of final masks",
        header,
        rows,
        "Chance: IoU of independent random masks with the same density in each tensor, Σ n f² / Σ n (2f − f²). It is f/(2−f) of "
        "the personal share f where all tensors are equally dense, and more where they are not. Differing: parameters in which two "
        "clients' masks differ (Hamming distance), mean over pairs.",
    )


def iou_per_tensor(found: list[MaskOverlap], looks: dict[str, Look]) -> Section:
    """Mean and spread of the IoU over pairs for each tensor or layer, and its chance level."""
    title, question = "Overlap tensor by tensor", "In which part of the model do clients agree on what is personal?"
    if not found:
        return Section("mask_iou_tensors", title, question, "No run left final masks that split tensors.", None)
    alike = all(overlap.group_names == found[0].group_names for overlap in found)
    left = max(margin(overlap.group_names) for overlap in found)
    most = max(len(overlap.group_names) for overlap in found)
    figure, axes = style.panel_grid(
        len(found), 4 if alike else 1, panel_height=max(1.2, ROW_HEIGHT * most), left=left, bottom=0.55
    )
    answers = []
    for ax, overlap in zip(axes, found):
        look = looks[overlap.run.label]
        rows = np.arange(len(overlap.group_names))
        held = np.isfinite(overlap.group_iou).any(axis=1)
        low, mean, high = (np.full(len(rows), np.nan) for _ in range(3))
        low[held], high[held] = np.nanpercentile(overlap.group_iou[held], (10, 90), axis=1)
        mean[held] = np.nanmean(overlap.group_iou[held], axis=1)
        ax.hlines(rows, low, high, color=look.color, linewidth=2.5, alpha=0.4)
        ax.plot(mean, rows, linestyle="none", marker="o", color=look.color, markersize=4)
        ax.plot(
            np.where(held, overlap.group_chance, np.nan),
            rows,
            linestyle="none",
            marker="|",
            color="black",
            markersize=8,
            markeredgewidth=1.3,
        )
        style.panel_title(ax, look)
        ax.set_xlim(-0.02, 1.02)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        shown = rows if len(rows) <= 2 * MAX_ROWS else style.sparse(len(rows), MAX_ROWS)
        ax.set_yticks(
            shown, [row_label(overlap.group_names[row]) for row in shown] if ax.is_first_column else [], fontsize=7.5
        )
        ax.tick_params(left=False)
        if ax.is_last_row:
            ax.set_xlabel("IoU of two clients' masks")
        excess = np.where(held & (overlap.group_density < 1), mean - overlap.group_chance, -np.inf)
        if np.isfinite(excess).any():
            top = int(excess.argmax())
            answers.append(
                f"{overlap.run.label}: agreement stands out most in {overlap.group_names[top]}, IoU {mean[top]:.3f} "
                f"against {overlap.group_chance[top]:.3f} by chance."
            )
    figure.legend(
        handles=[
            Line2D(
                [], [], linestyle="none", marker="o", color="#555555", markersize=4, label="mean over pairs of clients"
            ),
            Line2D([], [], color="#555555", linewidth=2.5, alpha=0.4, label="10th to 90th percentile of pairs"),
            Line2D(
                [], [], linestyle="none", marker="|", color="black", markersize=8, markeredgewidth=1.3, label="chance"
            ),
        ],
        loc="lower center",
        ncol=3,
    )
    return Section(
        "mask_iou_tensors", title, question, " ".join(answers) or "No tensor is split by two clients' masks.", figure
    )
