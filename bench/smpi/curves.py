"""Curves of predicted scaling, on to 4,096 ranks by a model: tables and the figure of docs/scaling.md.

Usage: /usr/bin/python3 bench/smpi/curves.py PREDICTIONS FIGURE.png       PREDICTIONS: what predict.py wrote

The model, p ranks, c clients in the cohort, n bytes to be added up:
    training and the wait for the slowest    the busiest rank: what is even, and 5 % for what lending leaves; or the longest client
    lend       a log2 p + b p                small messages along trees, and two numbers of every rank on all
    sum        a log2 p + b n (1 - 1 / p) + c        halving and doubling, Rabenseifner's algorithm
    gather     a log2 p + b p + c c          the root receives from every rank
    merge, write                             as predict.py was told
Its coefficients are fitted to the simulated rounds of a platform, all networks and both scalings together, by least relative squares.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "analysis"))
from fedselect_analysis import style  # noqa: E402
from predict import COHORTS, PARTS, RATES, RECORD_SECONDS, SPREAD, client_seconds, complete, print_header, print_row  # noqa: E402

FARTHEST = 4096
TERMS = {
    "lend": lambda r: [np.log2(r["ranks"]), r["ranks"]],
    "sum": lambda r: [np.log2(r["ranks"]), r["bytes"] * (1 - 1 / r["ranks"]), 1],
    "gather": lambda r: [np.log2(r["ranks"]), r["ranks"], r["clients"]],
}


def ideal_seconds(row):
    """Of a round in which the average rank does nothing but compute."""
    return client_seconds(row["network"]) * row["clients"] / row["ranks"]


def round_seconds(row):
    return sum(row[part] for part in PARTS)


def fit(rows):
    """Coefficients of every part."""
    found = {}
    for part, terms in TERMS.items():
        weights = np.array([1 / row[part] for row in rows])
        matrix = np.array([terms(row) for row in rows]) * weights[:, None]
        found[part] = np.linalg.lstsq(matrix, np.ones(len(rows)), rcond=None)[0]
    return found


def model(coefficients, like, ranks):
    """A row as predict.py writes it, by the model: that of `like` on so many ranks."""
    clients = COHORTS[like["scaling"]](ranks)
    row = {**like, "ranks": ranks, "clients": clients, "lend": 0, "gather": 0}
    for part, terms in TERMS.items():
        row[part] = float(np.dot(coefficients[part], terms(row)))
    longest = (1 + SPREAD) * client_seconds(like["network"])
    row["train"], row["wait"] = ideal_seconds(row), 0
    row["wait"] = max(1.05 * row["train"], longest) - row["train"]
    row["write"] = like["write"] + RECORD_SECONDS * (clients - like["clients"])
    return row


def group(rows, *keys):
    """Rows by their values of `keys`."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def errors(coefficients, rows):
    """Of the model's rounds over the simulated ones."""
    return [round_seconds(model(coefficients, row, row["ranks"])) / round_seconds(row) - 1 for row in rows]


def extrapolate(rows):
    """Prints how well the model fits, and its rounds on FARTHEST ranks; returns these."""
    most = max(row["ranks"] for row in rows)
    print_header("platform", "largest error", f"at {most} ranks if fitted to fewer")
    far = []
    for (platform,), ours in group(rows, "platform").items():
        fitted = fit(ours)
        fewer = fit([row for row in ours if row["ranks"] < most])
        print_row(platform, *(f"{100 * max(map(abs, found)):.1f} %" for found in (
            errors(fitted, ours), errors(fewer, [row for row in ours if row["ranks"] == most]))))
        far += [model(fitted, row, FARTHEST) for row in ours if row["ranks"] == most]
    print()
    return far


def print_rounds(rows):
    shown = ("lend", "sum", "gather", "write")
    print_header("scaling", "network", "platform", "ranks", "busiest rank", *shown, "round", "of it ideal")
    for row in sorted(rows, key=lambda row: (row["scaling"], list(RATES).index(row["network"]), row["platform"], row["ranks"])):
        seconds = [row["train"] + row["wait"], *(row[part] for part in shown), round_seconds(row)]
        print_row(row["scaling"], row["network"], row["platform"], f"{row['ranks']:,}", *(f"{1e3 * s:.2f}" for s in seconds),
                  f"{100 * ideal_seconds(row) / round_seconds(row):.0f} %")


def draw(simulated, far, path):
    """Speedup over one core in strong scaling, efficiency in weak scaling; simulated points filled, the model's hollow."""
    figure, axes = style.panel_grid(2, 2, panel_height=2.7, gap=0.9, right=1.7)
    for ax, scaling in zip(axes, ("strong", "weak")):
        ends = []
        for number, network in enumerate(RATES):
            for kind, dash in (("fat-tree", style.DASHES[0]), ("dragonfly", style.DASHES[2])):
                chosen = [row for row in simulated + far if (row["scaling"], row["network"], row["platform"]) == (scaling, network, kind)]
                chosen.sort(key=lambda row: row["ranks"])
                ranks = [row["ranks"] for row in chosen]
                share = [ideal_seconds(row) / round_seconds(row) for row in chosen]
                values = [s * r for s, r in zip(share, ranks)] if scaling == "strong" else share
                look = style.Look(network, style.LINES[number], dash, style.MARKERS[number])
                ax.plot(ranks, values, color=look.color, linestyle=dash)
                ax.plot(ranks[:-1], values[:-1], look.marker, color=look.color)
                ax.plot(ranks[-1:], values[-1:], look.marker, color=look.color, markerfacecolor="white")
                if kind == "fat-tree":
                    ends.append((ranks[-1], values[-1], look))
        ax.set_xscale("log", base=2)
        ticks = sorted({row["ranks"] for row in simulated + far})
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.set_xlabel("ranks")
        if scaling == "strong":
            ax.plot(ticks, ticks, color=style.CONTEXT, linewidth=1)
            ax.set_yscale("log", base=2)
            ax.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
            ax.set_title("Predicted speedup over one core, 2,048 clients")
        else:
            ax.set_ylim(0, 1)
            ax.set_title("Predicted efficiency, 10 clients a rank")
        style.label_line_ends(ax, ends)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main(predictions, path):
    simulated = [complete(json.loads(line)) for line in Path(predictions).read_text().splitlines()]
    far = extrapolate(simulated)
    print_rounds(simulated + far)
    draw(simulated, far, path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
