"""One look for every figure: colours, lines, sizes, number formats, and the grid of panels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullLocator  # noqa: E402

from .reading import Run  # noqa: E402

WIDTH = 10.0  # inches; the page shows a figure about 1000 px wide, so 9 points read as about 12 px
DPI = 160
MARGIN = 0.15  # inches at the figure's edges
CHARACTER = 0.068  # inches, mean width of a character of 9 points
SAMPLE_WIDTH = 0.5  # inches that lead from a line's end to its label
LABEL_LENGTH = 26  # characters of a label inside a figure

# Okabe and Ito's colours, told apart with every common colour blindness. Black belongs to the reference run, yellow is
# too faint for a line on white; lines beyond six differ by dashes and markers.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
LINES = (VERMILLION, BLUE, GREEN, ORANGE, PURPLE, SKY)
AREAS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, VERMILLION, "#999999")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 2)))
MARKERS = "osD^vPX<>*hp"
LOG_RATIO = 4  # totals of a cost that differ by more than this factor get a logarithmic axis
CONTEXT = "#BBBBBB"  # what stands behind the data
SEQUENTIAL = "cividis"
DIVERGING = "PuOr_r"

plt.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#666666",
        "axes.linewidth": 0.8,
        "xtick.color": "#444444",
        "ytick.color": "#444444",
        "axes.grid": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.7,
        "axes.axisbelow": True,
        "axes.titlelocation": "left",
        "lines.linewidth": 1.7,
        "lines.markersize": 4.5,
        "figure.facecolor": "white",
    }
)


@dataclass(frozen=True)
class Look:
    """How one run is drawn in every figure. `label` is short enough for a figure and unique among the runs."""

    label: str
    color: str
    dash: object
    marker: str


def looks(runs: list[Run], reference: Run) -> dict[str, Look]:
    """The look of each run by its (unique) label; the reference is black."""
    result = {}
    others = 0
    for run, label in zip(runs, short_labels([run.label for run in runs])):
        if run is reference:
            result[run.label] = Look(label, BLACK, "-", "o")
        else:
            result[run.label] = Look(
                label,
                LINES[others % len(LINES)],
                DASHES[others // len(LINES) % len(DASHES)],
                MARKERS[(others + 1) % len(MARKERS)],
            )
            others += 1
    return result


def short_labels(labels: list[str]) -> list[str]:
    """Labels of LABEL_LENGTH characters at most that differ as `labels` do: cut where most of them stay apart, then numbered."""
    cuts = ([short(label, LABEL_LENGTH, head) for label in labels] for head in (LABEL_LENGTH // 2, LABEL_LENGTH - 1, 0))
    best = max(cuts, key=lambda shorts: len(set(shorts)))
    return [
        cut if best.count(cut) == 1 else f"{short(cut, LABEL_LENGTH - 4, LABEL_LENGTH // 2)} #{number}"
        for number, cut in enumerate(best, start=1)
    ]


def short(label: str, length: int, head: int) -> str:
    """`label`, or its first `head` characters, an ellipsis, and as many of its last as make `length` in all."""
    if len(label) <= length:
        return label
    tail = length - head - 1
    return f"{label[:head]}…{label[len(label) - tail:]}"


def text_width(labels: list[str]) -> float:
    """Inches that the longest of `labels` takes at 9 points, roughly."""
    return CHARACTER * max(map(len, labels))


def percent(value: float, digits: int = 1) -> str:
    """0.856 -> "85.6 %"."""
    return "–" if math.isnan(value) else f"{100 * value:.{digits}f} %"


def points(value: float) -> str:
    """0.0123 -> "+1.2 points"."""
    return f"{100 * value:+.1f} points".replace("-", "−")


def quantity(value: float) -> str:
    """Three digits with a unit of thousands: 1234567 -> "1.23 M"."""
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= factor:
            return f"{value / (1e3 if unit == ' k' else factor):.3g}{unit}"
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def megabytes(value: float) -> str:
    """MB (10^6 bytes) with about three digits: 0 -> "0", 0.0123 -> "0.0123", 12345.6 -> "12,346"."""
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"


def percent_axes(ax: Axes, names: str) -> None:
    """Makes the axes in `names` ("x", "y" or "xy") run over 0 to 100 %, a tick every 20."""
    for name in names:
        (ax.set_xlim if name == "x" else ax.set_ylim)(0, 100)
        axis = ax.xaxis if name == "x" else ax.yaxis
        axis.set_major_locator(MultipleLocator(20))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))


def quantity_axis(ax: Axes, ticks: int = 5) -> None:
    """Few ticks on the x axis, large numbers with a unit (20 M rather than 2e7)."""
    ax.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10], integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))


def cost_axis(ax: Axes, totals: list[float], ticks: int) -> str:
    """The x axis of a cost that runs up to `totals`: from 0, or logarithmic where the totals differ by more than LOG_RATIO.

    Call it before drawing. Returns what the axis label has to add.
    """
    if max(totals, default=0) <= LOG_RATIO * min(totals, default=0):
        ax.set_xlim(0, 1.02 * max(totals))
        ax.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
        note = ""
    else:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=3 * ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        note = " (logarithmic)"
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    return note


def canvas(height: float) -> Figure:
    """An empty figure of page width."""
    return plt.figure(figsize=(WIDTH, height))


def place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the lower left corner."""
    total_width, total_height = figure.get_size_inches()
    return figure.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))


def panel_grid(
    count: int,
    max_columns: int,
    aspect: float | None = None,
    panel_height: float = 0.0,
    left: float = 0.7,
    gap: float = 0.25,
    right: float = MARGIN,
    title: float = 0.42,
    below: float = 0.3,
    bottom: float = 0.25,
) -> tuple[Figure, list[Axes]]:
    """A page-wide grid of `count` equal panels, row by row, the rows as even as can be. All lengths in inches.

    Either `aspect` (height / width, panel at most 4 wide) or `panel_height` sets the size. `left`, `right`: margins of the grid;
    `gap`: between columns; `title`, `below`: above and below each panel; `bottom`: below the grid.
    Each panel knows whether it `is_first_column` and `is_last_row` (nothing below it), for labels that neighbours share.
    """
    rows = math.ceil(count / max_columns)
    columns = math.ceil(count / rows)
    width = (WIDTH - left - right - gap * (columns - 1)) / columns
    if aspect is not None:
        width = min(width, 4.0)
        panel_height = width * aspect
    pitch = panel_height + title + below
    figure = canvas(rows * pitch + bottom)
    axes = [
        place(
            figure,
            left + (index % columns) * (width + gap),
            bottom + below + (rows - 1 - index // columns) * pitch,
            width,
            panel_height,
        )
        for index in range(count)
    ]
    for index, ax in enumerate(axes):
        ax.is_first_column = index % columns == 0
        ax.is_last_row = index + columns >= count
    return figure, axes


def panel_title(ax: Axes, look: Look, below: str = "") -> None:
    """A panel's title in its run's colour, with a smaller grey line below it where there is one."""
    ax.set_title(look.label, color=look.color, pad=17 if below else 6)
    ax.annotate(
        below, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=8, color="#444444"
    )


def spread_labels(positions: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Places for labels as near as possible (least squares) to `positions`, `gap` apart at least, within [low, high].

    Labels keep the order of their positions. Blocks of labels that touch share the mean of their wishes.
    """
    order = np.argsort(positions, kind="stable")
    blocks: list[list[float]] = []  # [mean of wish minus offset, members]
    for rank, wish in enumerate(positions[order]):
        blocks.append([wish - rank * gap, 1])
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0]:
            mean, members = blocks.pop()
            blocks[-1] = [
                (blocks[-1][0] * blocks[-1][1] + mean * members) / (blocks[-1][1] + members),
                blocks[-1][1] + members,
            ]
    flat = np.concatenate([np.full(members, mean) for mean, members in blocks])
    flat = np.clip(flat, low, max(low, high - gap * (len(flat) - 1)))
    placed = np.empty(len(flat))
    placed[order] = flat + gap * np.arange(len(flat))
    return placed


def label_line_ends(ax: Axes, ends: list[tuple[float, float, Look]]) -> None:
    """Writes each line's label and a sample of the line right of the axes, at about the height of its end (data coordinates),
    joined to it by a thin line. Takes SAMPLE_WIDTH inches more than the text."""
    width, height = ax.get_position().size * ax.figure.get_size_inches()
    places = (ax.transData + ax.transAxes.inverted()).transform([(x, y) for x, y, _ in ends])
    spots = spread_labels(places[:, 1], gap=0.16 / height, low=0.0, high=1.0)
    begin, end, word = 1 + 0.14 / width, 1 + 0.44 / width, 1 + SAMPLE_WIDTH / width
    for (x, y), spot, (_, _, look) in zip(places, spots, ends):
        ax.plot(
            (x, begin), (y, spot), transform=ax.transAxes, color=look.color, linewidth=0.6, alpha=0.5, clip_on=False
        )
        ax.plot(
            (begin, (begin + end) / 2, end),
            (spot,) * 3,
            transform=ax.transAxes,
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markevery=(1, 2),
            markeredgecolor="white",
            markeredgewidth=0.5,
            clip_on=False,
        )
        ax.text(word, spot, look.label, transform=ax.transAxes, color=look.color, va="center", fontsize=8.5)


def sparse(count: int, limit: int = 12) -> np.ndarray:
    """At most about `limit` evenly spaced indices out of `count`, a round step apart."""
    step = next(
        (step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if count / step <= limit), max(1, count // limit)
    )
    return np.arange(0, count, step)
