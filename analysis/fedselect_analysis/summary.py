"""What stands on top of the page and in the terminal: headline sentences and the table of runs."""

from __future__ import annotations

import math

from . import metrics, style
from .figures import Table
from .figures.conditions import duration
from .reading import Run
from .style import percent, points


def headline(runs: list[Run]) -> list[str]:
    """Sentences on the best personalised method against the reference (FedAvg where it was run), all computed."""
    reference = metrics.reference_run(runs)
    best = metrics.best_personalised(runs)
    if best is None or best is reference:
        best = max(runs, key=lambda run: run.mean[-1])
        sentences = [
            f"{best.label} ends with a mean client accuracy of {percent(best.mean[-1])}; its worst client has "
            f"{percent(best.worst[-1])}."
        ]
    else:
        wins, losses, ties = metrics.wins_losses_ties(best.final, reference.final)
        sentences = [
            f"Best personalised method: {best.label} with a mean client accuracy of {percent(best.mean[-1])}, "
            f"{points(best.mean[-1] - reference.mean[-1])} against {reference.label} ({percent(reference.mean[-1])}).",
            f"Its worst client has {percent(best.worst[-1])} ({reference.label}: {percent(reference.worst[-1])}); clients: {wins} win, "
            f"{losses} lose, {ties} equal.",
            f"It {cost_ratio(best, reference)}.",
        ]
    local = next((run for run in runs if run.method == "local"), None)
    if local is not None and local is not best:
        sentences.append(
            f"Training alone ({local.label}) gives {percent(local.mean[-1])}: federation brings "
            f"{points(best.mean[-1] - local.mean[-1])}."
        )
    if len({run.tested_on for run in runs}) > 1:
        groups = {
            kind: [run.label for run in runs if run.tested_on == kind]
            for kind in sorted({run.tested_on for run in runs})
        }
        sentences.append(
            "Not all accuracies are of the same kind: "
            + "; ".join(f"tested {kind}: {', '.join(labels)}" for kind, labels in groups.items())
            + ". The columns before and after local training compare like with like."
        )
    return sentences


def cost_ratio(run: Run, reference: Run) -> str:
    """Bytes and sample gradients of `run` in terms of the reference's."""
    parts = []
    for what, own, base in (
        ("sends", run.total_bytes[-1], reference.total_bytes[-1]),
        ("computes", run.total_gradients[-1], reference.total_gradients[-1]),
    ):
        unit = "bytes" if what == "sends" else "sample gradients"
        parts.append(f"{what} {own / base:.2f} times as many {unit}" if base > 0 else f"{what} {own:,} {unit}")
    return " and ".join(parts) + f" as {reference.label}" if reference.total_gradients[-1] > 0 else " and ".join(parts)


def summary_table(runs: list[Run]) -> Table:
    """The page's table of runs, best mean accuracy first."""
    header = [
        "method",
        "accuracy, mean",
        "worst",
        "tested on",
        "before local training",
        "after local training",
        "MB up + down",
        "sample gradients",
        "FLOPs",
        "personal share",
        "time",
        "rounds",
    ]
    any_new = any(len(run.new_clients) for run in runs)
    if any_new:
        header.append("new clients, after training")
    rows = []
    for run in metrics.best_first(runs):
        rows.append(
            [
                run.label,
                percent(run.mean[-1]),
                percent(run.worst[-1]),
                run.tested_on,
                percent(metrics.finite_mean(run.final_before)),
                percent(metrics.finite_mean(run.final_after)),
                style.megabytes(run.total_bytes[-1] / 1e6),
                style.quantity(run.total_gradients[-1]),
                "–" if math.isnan(run.flops) else style.quantity(run.flops),
                percent(run.personal_share),
                duration(run.seconds),
                str(run.rounds),
            ]
            + ([percent(metrics.finite_mean(run.new_after))] if any_new else [])
        )
    note = "Accuracies at the end, over clients; MB, gradients and nominal FLOPs of training in total, over all clients; personal share of the last cohort's masks."
    diverged = [f"{run.label} {run.diverged}" for run in runs if run.diverged]
    if diverged:
        note += f" Client rounds left out because training diverged: {', '.join(diverged)}."
    return Table("Runs", header, rows, note)


def terminal_table(runs: list[Run]) -> str:
    """Aligned text: label, mean and worst accuracy in %, MB, personal share in %, seconds; in the order given."""
    header = ["method", "mean %", "worst %", "MB up+down", "personal %", "seconds"]
    rows = [
        [
            run.label,
            f"{100 * run.mean[-1]:.2f}",
            f"{100 * run.worst[-1]:.2f}",
            f"{run.total_bytes[-1] / 1e6:.3f}",
            "–" if math.isnan(run.personal_share) else f"{100 * run.personal_share:.2f}",
            f"{run.seconds:.1f}",
        ]
        for run in runs
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in [header, *rows]
    ]
    return "\n".join(lines)
