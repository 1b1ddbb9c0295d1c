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

SIZES = (16, 64, 256, 1024, 4096)  # ranks; those that nobody simulated are the model's
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


def complement(rows):
    """Prints how well the model fits; returns its rounds at sizes that were not simulated."""
    print_header("platform", "simulated rounds", "largest error", *(f"of the largest if fitted to the smaller ones: {s}" for s in COHORTS))
    added = []
    for (platform,), ours in group(rows, "platform").items():
        most = max(row["ranks"] for row in ours)
        fitted = fit(ours)
        fewer = fit([row for row in ours if row["ranks"] < most])
        largest = group([row for row in ours if row["ranks"] == most], "scaling")
        found = [errors(fitted, ours), *(errors(fewer, largest.get((scaling,), [])) for scaling in COHORTS)]
        print_row(platform, len(ours), *(f"{100 * max(map(abs, e), default=float('nan')):.1f} %" for e in found))
        for alike in group(ours, "scaling", "network").values():
            known = {row["ranks"] for row in alike}
            added += [{**model(fitted, alike[-1], ranks), "by": "model"} for ranks in SIZES if ranks not in known]
    print()
    return added


def print_rounds(rows):
    shown = ("lend", "sum", "gather", "write")
    print_header("scaling", "network", "platform", "ranks", "by", "busiest rank", *shown, "round", "of it ideal")
    for row in sorted(rows, key=lambda row: (row["scaling"], list(RATES).index(row["network"]), row["platform"], row["ranks"])):
        seconds = [row["train"] + row["wait"], *(row[part] for part in shown), round_seconds(row)]
        print_row(row["scaling"], row["network"], row["platform"], f"{row['ranks']:,}", row["by"], *(f"{1e3 * s:.2f}" for s in seconds),
                  f"{100 * ideal_seconds(row) / round_seconds(row):.0f} %")


def draw(rows, path):
    """Speedup over one core in strong scaling, efficiency in weak scaling; simulated points filled, the model's hollow."""
    figure, axes = style.panel_grid(2, 2, panel_height=2.7, gap=1.9, right=1.5)
    for ax, scaling in zip(axes, ("strong", "weak")):
        ends = []
        for number, network in enumerate(RATES):
            for kind, dash in (("fat-tree", style.DASHES[0]), ("dragonfly", style.DASHES[2])):
                chosen = [row for row in rows if (row["scaling"], row["network"], row["platform"]) == (scaling, network, kind)]
                chosen.sort(key=lambda row: row["ranks"])
                ranks = [row["ranks"] for row in chosen]
                share = [ideal_seconds(row) / round_seconds(row) for row in chosen]
                values = [s * r for s, r in zip(share, ranks)] if scaling == "strong" else share
                look = style.Look(network, style.LINES[number], dash, style.MARKERS[number])
                ax.plot(ranks, values, color=look.color, linestyle=dash)
                for row, value in zip(chosen, values):
                    ax.plot(row["ranks"], value, look.marker, color=look.color, markerfacecolor="white" if row["by"] == "model" else look.color)
                if kind == "fat-tree":
                    ends.append((ranks[-1], values[-1], look))
        ax.set_xscale("log", base=2)
        ax.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
        ax.set_xlabel("ranks")
        if scaling == "strong":
            ax.plot(SIZES, SIZES, color=style.CONTEXT, linewidth=1)
            ax.set_yscale("log", base=2)
            ax.set_yticks(SIZES, [f"{size:,}" for size in SIZES])
            ax.set_title("Predicted speedup over one core, 2,048 clients")
        else:
            ax.set_ylim(0, 1)
            ax.set_title("Predicted efficiency, 10 clients a rank")
        style.label_line_ends(ax, ends)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main(predictions, path):
    rows = [{**complete(json.loads(line)), "by": "SimGrid"} for line in Path(predictions).read_text().splitlines()]
    rows += complement(rows)
    print_rounds(rows)
    draw(rows, path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
