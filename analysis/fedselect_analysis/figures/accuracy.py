"""Accuracy: over rounds and sample gradients, against bytes, against FedAvg client by client, and over clients."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .. import metrics, style
from ..reading import Run
from ..style import Look, percent, points, quantity
from . import Section, Table

MAX_DOTS = 500  # clients drawn one by one in a figure; all of them count in the numbers
TARGETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
TARGETS_SHOWN = 4


def mark_every(count: int, number: int) -> tuple[int, int]:
    """Markers about every eighth of a line of `count` points, shifted from line to line so that they don't coincide."""
    step = max(1, count // 8)
    return number * step // 3 % step, step


def draw_mean(ax, run: Run, look: Look, x: np.ndarray, number: int) -> tuple[float, float, Look]:
    """Draws the run's mean accuracy over x (E) and returns the line's end."""
    ax.plot(
        x,
        100 * run.mean,
        color=look.color,
        linestyle=look.dash,
        marker=look.marker,
        markevery=mark_every(len(x), number),
        markeredgecolor="white",
        markeredgewidth=0.5,
    )
    return float(x[-1]), float(100 * run.mean[-1]), look


def stale_note(runs: list[Run]) -> str:
    """Says how accuracy is carried on where some round tested only a part of the clients."""
    if all((run.cohort == run.taking_part).all() for run in runs):
        return ""
    return " A client outside the cohort counts with its most recent accuracy."


def accuracy_over_rounds(runs: list[Run], looks: dict[str, Look]) -> Section:
    """Mean accuracy of all runs over rounds and over sample gradients."""
    gutter = style.text_width([look.label for look in looks.values()]) + style.SAMPLE_WIDTH
    height = max(3.6, 0.16 * len(runs) + 0.4)
    figure = style.canvas(height + 0.75)
    width = (style.WIDTH - 0.7 - 0.45 - style.MARGIN - gutter) / 2
    by_round = style.place(figure, 0.7, 0.5, width, height)
    by_gradient = style.place(figure, 0.7 + width + gutter + 0.3, 0.5, width, height)
    note = style.cost_axis(by_gradient, [run.total_gradients[-1] for run in runs], 4)
    ends = []
    for number, run in enumerate(runs):
        look = looks[run.label]
        ends.append(draw_mean(by_round, run, look, run.evaluated + 1, number))
        draw_mean(by_gradient, run, look, run.total_gradients[run.evaluated], number)
    for ax in (by_round, by_gradient):
        style.percent_axes(ax, "y")
    by_round.set_xlim(0, max(run.rounds for run in runs))
    by_round.set(xlabel="rounds completed", ylabel="mean accuracy over clients", title="per round")
    by_gradient.set(xlabel="sample gradients, all clients" + note, title="per unit of compute")
    style.quantity_axis(by_round)
    style.label_line_ends(by_round, ends)
    return Section(
        "accuracy_over_rounds",
        "Accuracy over rounds and over compute",
        "Which method is most accurate, and is it still where every method may compute equally much?",
        compute_answer(runs) + stale_note(runs),
        figure,
    )


def compute_answer(runs: list[Run]) -> str:
    """Leader by rounds, leader at the sample gradients that every run could pay for."""
    leader = metrics.best_first(runs)[0]
    if len(runs) == 1:
        return (
            f"{leader.label} ends at {percent(leader.mean[-1])} after {leader.rounds} rounds and "
            f"{quantity(leader.total_gradients[-1])} sample gradients."
        )
    budget = min(run.total_gradients[-1] for run in runs)
    at_budget = {run.label: metrics.accuracy_at_gradients(run, budget) for run in runs}
    thrifty = max(at_budget, key=lambda label: -1.0 if np.isnan(at_budget[label]) else at_budget[label])
    largest = max(runs, key=lambda run: run.total_gradients[-1])
    ratio = largest.total_gradients[-1] / max(budget, 1)
    second = metrics.best_first(runs)[1]
    answer = (
        f"At the end {leader.label} leads with {percent(leader.mean[-1])}, "
        f"{points(leader.mean[-1] - second.mean[-1])} against {second.label}. "
    )
    if ratio < 1.05:
        return answer + "All methods compute about equally many sample gradients, so both panels tell the same."
    answer += f"{largest.label} computes {ratio:.1f} times as many sample gradients as the cheapest method. "
    if thrifty == leader.label:
        return answer + (
            f"With {quantity(budget)} sample gradients each, {leader.label} still leads "
            f"({percent(at_budget[thrifty])})."
        )
    return answer + (
        f"With {quantity(budget)} sample gradients each, {thrifty} leads with {percent(at_budget[thrifty])}; "
        f"{leader.label} stands at {percent(at_budget[leader.label])} there."
    )


def accuracy_bands(runs: list[Run], looks: dict[str, Look]) -> Section:
    """One panel a run: mean, band of the middle 80 % of clients, worst client; the other means in grey."""
    figure, axes = style.panel_grid(len(runs), 4, panel_height=1.9, bottom=0.55)
    last = max(run.rounds for run in runs)
    for ax, run in zip(axes, runs):
        look = looks[run.label]
        for other in runs:
            ax.plot(other.evaluated + 1, 100 * other.mean, color=style.CONTEXT, linewidth=0.6, zorder=0)
        rounds = run.evaluated + 1
        ax.fill_between(rounds, 100 * run.low, 100 * run.high, color=look.color, alpha=0.22, linewidth=0)
        ax.plot(rounds, 100 * run.worst, color=look.color, linewidth=1.0, linestyle=":")
        ax.plot(rounds, 100 * run.mean, color=look.color, marker=look.marker if len(rounds) == 1 else None)
        style.panel_title(ax, look)
        ax.set_xlim(0, last)
        style.percent_axes(ax, "y")
        style.quantity_axis(ax, 4)
        ax.tick_params(labelleft=ax.is_first_column)
        if ax.is_last_row:
            ax.set_xlabel("rounds completed")
    grey = "#555555"
    entries = [
        Line2D([], [], color=grey, label="mean"),
        Patch(color=grey, alpha=0.22, label="10th to 90th percentile of clients"),
        Line2D([], [], color=grey, linewidth=1, linestyle=":", label="worst client"),
    ]
    if len(runs) > 1:
        entries.append(Line2D([], [], color=style.CONTEXT, linewidth=0.6, label="means of the other methods"))
    figure.legend(handles=entries, loc="lower center", ncol=4)
    steady = max(runs, key=lambda run: run.worst[-1])
    narrow = min(runs, key=lambda run: run.high[-1] - run.low[-1])
    return Section(
        "accuracy_bands",
        "How far clients lie apart",
        "Do all clients profit, or only the average?",
        f"The worst client fares best with {steady.label}: {percent(steady.worst[-1])} at the end. The middle 80 % of "
        f"clients lie closest together with {narrow.label}: {percent(narrow.low[-1])} to {percent(narrow.high[-1])}.",
        figure,
    )


def against_reference(runs: list[Run], looks: dict[str, Look], reference: Run) -> Section:
    """Final accuracy of each client against its accuracy with the reference run."""
    title = f"Each client against {reference.label}"
    question = f"Which clients win and which lose against {reference.label}?"
    others = [run for run in runs if run is not reference]
    if not others:
        return Section("against_reference", title, question, "There is only one run: nothing to compare it with.", None)
    figure, axes = style.panel_grid(len(others), 4, aspect=1.0, gap=0.4, right=0.25, title=0.6, below=0.32)
    dots = metrics.sample_clients(reference.clients, MAX_DOTS)
    rows, answers = [], []
    for ax, run in zip(axes, others):
        look = looks[run.label]
        wins, losses, ties = metrics.wins_losses_ties(run.final, reference.final)
        gain = run.final - reference.final
        known = gain[np.isfinite(gain)]
        ax.plot((0, 100), (0, 100), color="#888888", linewidth=0.8)
        ax.plot(
            100 * reference.final[dots],
            100 * run.final[dots],
            linestyle="none",
            marker="o",
            color=look.color,
            markersize=5 if len(dots) <= 60 else 3.5,
            alpha=0.8 if len(dots) <= 60 else 0.45,
            markeredgewidth=0,
            clip_on=False,
        )
        style.panel_title(ax, look, f"{wins} win, {losses} lose, {ties} equal")
        style.percent_axes(ax, "xy")
        ax.tick_params(labelleft=ax.is_first_column, labelbottom=ax.is_last_row)
        if ax.is_last_row:
            ax.set_xlabel(f"with {looks[reference.label].label}")
        if ax.is_first_column:
            ax.set_ylabel("with the panel's method")
        if len(known):
            rows.append(
                [
                    run.label,
                    str(wins),
                    str(losses),
                    str(ties),
                    points(known.mean()),
                    points(known.min()),
                    points(known.max()),
                ]
            )
            answers.append((wins, losses, run))
    if not answers:
        return Section("against_reference", title, question, "No client was tested in both runs.", None)
    wins, losses, winner = max(answers, key=lambda item: item[0] - item[1])
    answer = (
        f"Points above the diagonal are clients that do better than with {reference.label}. Most are helped by "
        f"{winner.label} ({wins} win, {losses} lose)."
    )
    if len(answers) > 1:
        wins, losses, loser = min(answers, key=lambda item: item[0] - item[1])
        answer += f" Fewest are helped by {loser.label} ({wins} win, {losses} lose)."
    if len(dots) < reference.clients:
        answer += f" Drawn are {len(dots)} clients picked at random; the counts are over all {reference.clients}."
    header = ["method", "win", "lose", "equal", "mean change", "smallest change", "largest change"]
    return Section(
        "against_reference",
        title,
        question,
        answer,
        figure,
        [Table(f"Clients against {reference.label}", header, rows)],
    )


def accuracy_over_bytes(runs: list[Run], looks: dict[str, Look]) -> Section:
    """Mean accuracy against megabytes sent, and costs to reach target accuracies."""
    gutter = style.text_width([look.label for look in looks.values()]) + style.SAMPLE_WIDTH
    height = max(3.6, 0.16 * len(runs) + 0.4)
    figure = style.canvas(height + 0.6)
    ax = style.place(figure, 0.7, 0.5, style.WIDTH - 0.7 - gutter, height)
    style.percent_axes(ax, "y")
    sending = [run for run in runs if run.total_bytes[-1] > 0]
    note = style.cost_axis(ax, [run.total_bytes[-1] / 1e6 for run in sending] or [1.0], 8)
    ends = [
        draw_mean(ax, run, looks[run.label], run.total_bytes[run.evaluated] / 1e6, number)
        for number, run in enumerate(sending)
    ]
    for run in runs:
        if run not in sending:
            look = looks[run.label]
            ax.axhline(100 * run.mean[-1], color=look.color, linestyle=look.dash, linewidth=0.9)
            ends.append((ax.get_xlim()[1], 100 * run.mean[-1], look))
    ax.set(xlabel="MB sent up and down by all clients" + note, ylabel="mean accuracy over clients")
    style.label_line_ends(ax, ends)
    table, answer = cost_table(runs)
    if len(sending) < len(runs):
        answer += " A level line without a beginning is the final accuracy of a method that sends nothing."
    return Section(
        "accuracy_over_bytes",
        "Accuracy against bytes sent",
        "How many bytes does an accuracy cost?",
        answer,
        figure,
        [table],
    )


def cost_table(runs: list[Run]) -> tuple[Table, str]:
    """Rounds, MB and gradients to the highest targets that some run reaches, and who reaches the top one with fewest bytes."""
    peak = max(run.mean.max() for run in runs)
    targets = [target for target in TARGETS if target <= peak][-TARGETS_SHOWN:] or [TARGETS[0]]
    header = ["method"] + [
        f"{100 * target:.0f} %: {unit}" for target in targets for unit in ("rounds", "MB", "gradients")
    ]
    rows = []
    for run in metrics.best_first(runs):
        row = [run.label]
        for target in targets:
            cost = metrics.cost_to_reach(run, target)
            row += [str(cost.rounds), style.megabytes(cost.megabytes), quantity(cost.gradients)] if cost else ["–"] * 3
        rows.append(row)
    table = Table(
        "Cost until mean accuracy first reaches a target",
        header,
        rows,
        "MB = 10⁶ bytes, up and down, summed over cohorts; – = not reached. Rounds are counted where accuracy was evaluated.",
    )
    costs = [(metrics.cost_to_reach(run, targets[-1]), run) for run in runs]
    reached = [(cost, run) for cost, run in costs if cost]
    if not reached:
        return table, f"No method reaches a mean accuracy of {100 * targets[0]:.0f} %."
    cheapest, winner = min(reached, key=lambda item: item[0].megabytes)
    answer = (
        f"{len(reached)} of {len(runs)} runs reach {100 * targets[-1]:.0f} %; {winner.label} does it with the fewest bytes: "
        f"{style.megabytes(cheapest.megabytes)} MB in {cheapest.rounds} rounds."
    )
    if len(reached) > 1:
        dearest, loser = max(reached, key=lambda item: item[0].megabytes)
        answer += f" {loser.label} needs the most: {style.megabytes(dearest.megabytes)} MB."
    return table, answer


def fairness(runs: list[Run], looks: dict[str, Look]) -> Section:
    """Distribution of final client accuracy: box, dots, mean; and its measures in a table."""
    ordered = metrics.best_first(runs)
    left = style.text_width([look.label for look in looks.values()]) + 0.3
    height = 0.34 * len(ordered) + 0.2
    figure = style.canvas(height + 0.95)
    ax = style.place(figure, left, 0.75, style.WIDTH - left - 0.3, height)
    jitter = np.random.default_rng(metrics.SAMPLE_SEED)
    dots = metrics.sample_clients(ordered[0].clients, MAX_DOTS)
    rows = []
    for position, run in enumerate(ordered):
        look = looks[run.label]
        known = 100 * run.final[np.isfinite(run.final)]
        drawn = 100 * run.final[dots]
        drawn = drawn[np.isfinite(drawn)]
        ax.plot(
            drawn,
            position + jitter.uniform(-0.24, 0.24, len(drawn)),
            linestyle="none",
            marker="o",
            markersize=4 if len(drawn) <= 60 else 2.5,
            color=look.color,
            alpha=0.45,
            markeredgewidth=0,
            clip_on=False,
        )
        ax.boxplot(
            [known],
            positions=[position],
            vert=False,
            widths=0.6,
            whis=(10, 90),
            showfliers=False,
            manage_ticks=False,
            boxprops={"color": "#333333"},
            whiskerprops={"color": "#333333"},
            capprops={"color": "#333333"},
            medianprops={"color": "#333333", "linewidth": 1.6},
        )
        ax.plot(known.mean(), position, marker="D", markersize=5.5, color=look.color, markeredgecolor="white", zorder=5)
        measures = metrics.spread(run.final)
        rows.append(
            [
                run.label,
                percent(measures.mean),
                f"{100 * measures.std:.1f}",
                percent(measures.worst),
                percent(measures.worst_decile),
                percent(measures.median),
                percent(measures.best),
                f"{measures.jain:.3f}",
                f"{measures.tested} of {run.clients}",
            ]
        )
    ax.set_yticks(range(len(ordered)), [looks[run.label].label for run in ordered])
    ax.set_ylim(len(ordered) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    style.percent_axes(ax, "x")
    ax.set_xlabel("final accuracy of a client")
    figure.legend(
        handles=[
            Line2D([], [], linestyle="none", marker="o", alpha=0.5, color="#555555", markersize=4, label="a client"),
            Line2D([], [], linestyle="none", marker="D", color="#555555", label="mean"),
            Patch(
                facecolor="white", edgecolor="#333333", label="quartiles and median; whiskers: 10th and 90th percentile"
            ),
        ],
        loc="lower center",
        ncol=3,
    )
    fair = max(runs, key=lambda run: metrics.spread(run.final).jain)
    unfair = min(runs, key=lambda run: metrics.spread(run.final).jain)
    answer = f"By Jain's index {fair.label} treats clients most alike ({metrics.spread(fair.final).jain:.3f})"
    if unfair is not fair:
        answer += f" and {unfair.label} least ({metrics.spread(unfair.final).jain:.3f})"
    decile = max(runs, key=lambda run: metrics.spread(run.final).worst_decile)
    answer += (
        f". The worst tenth of clients is best off with {decile.label}, on average at "
        f"{percent(metrics.spread(decile.final).worst_decile)}."
    )
    if len(dots) < ordered[0].clients:
        answer += f" Drawn are {len(dots)} clients picked at random; boxes and numbers are over all."
    header = ["method", "mean", "std (points)", "worst", "worst decile", "median", "best", "Jain", "clients tested"]
    table = Table(
        "Final accuracy over clients",
        header,
        rows,
        "Worst decile: mean of the lowest tenth of clients (rounded up). "
        "Jain's index (Σx)² / (N Σx²): 1 = all clients equal.",
    )
    return Section("fairness", "Fairness", "Is the gain shared by all clients?", answer, figure, [table])
