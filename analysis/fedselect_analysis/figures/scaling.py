"""Figures of a scaling study."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .. import style
from ..style import percent
from . import Section

PANEL = 2.9  # inches, height of a panel


def describe_kind(study) -> str:
    """"strong scaling over ranks"."""
    return f"{study.kind} scaling over {study.over}" if study.over == "ranks" else f"work that grows with {study.over}"


def all_sections(study) -> list[Section]:
    sections = [efficiency(study), phases(study), rounds(study)]
    return sections + [traffic(study)] if study.ranks.max() > 1 else sections


def errors(estimates: np.ndarray) -> np.ndarray:
    """(2, K) distances of the interval's ends from the mean; 0 where there is none."""
    return np.nan_to_num(np.stack([estimates[:, 0] - estimates[:, 1], estimates[:, 2] - estimates[:, 0]]))


def value_axis(ax: Axes, study) -> None:
    """The x axis of what the study varies: a tick a point, logarithmic where they spread."""
    x = study.x
    if x.max() > 4 * x.min():
        ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(x))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.quantity(value)))
    ax.set_xlabel(study.over)


def draw_points(ax: Axes, study, estimates: np.ndarray) -> None:
    ax.errorbar(
        study.x,
        estimates[:, 0],
        yerr=errors(estimates),
        color=style.BLUE,
        marker="o",
        linestyle="none",
        capsize=3,
        linewidth=1.2,
        label="measured, 95 % interval",
    )


def fitted(study, x: np.ndarray) -> np.ndarray:
    """What the fit says of the left panel at each x: a speedup over ranks, else seconds."""
    f = study.fraction[0]
    if study.fit == "Gustafson":
        return f * study.ranks[0] + (1 - f) * x
    if study.fit == "Amdahl":
        first = study.ranks[0]
        return first * (f + (1 - f) / first) / (f + (1 - f) / x)
    work = np.interp(x, study.x, study.flops / study.flops[0])
    return study.seconds[0, 0] * (f + (1 - f) * work)


def efficiency(study) -> Section:
    """Speedup, or seconds, with the fit; and efficiency; against what would be ideal."""
    over_ranks = study.over == "ranks"
    figure, (left, right) = style.panel_grid(2, 2, panel_height=PANEL, gap=0.8, bottom=0.3)
    x = np.linspace(study.x.min(), study.x.max(), 200)
    ideal = x if over_ranks else study.seconds[0, 0] * np.interp(x, study.x, study.flops / study.flops[0])
    left.plot(x, ideal, color=style.CONTEXT, linestyle=(0, (5, 2)), label="ideal")
    if np.isfinite(study.fraction[0]):
        left.plot(x, fitted(study, x), color=style.VERMILLION, linewidth=1.3, label=f"fit: {study.fit}")
    draw_points(left, study, study.speedup if over_ranks else study.seconds)
    left.set_title(("scaled speedup" if study.kind == "weak" else "speedup") if over_ranks else "seconds a round")
    left.set_ylim(bottom=0)
    left.legend(loc="upper left")
    right.axhline(1, color=style.CONTEXT, linestyle=(0, (5, 2)))
    draw_points(right, study, study.efficiency)
    right.set_title("efficiency" if over_ranks else "rate of work over that of the first point")
    right.set_ylim(0, max(1.1, 1.05 * np.nanmax(study.efficiency)))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    for ax in (left, right):
        value_axis(ax, study)
    answer = f"At {study.over} = {style.quantity(study.x[-1])} {describe_estimate(study.efficiency[-1])} of the ideal"
    if np.isfinite(study.fraction[0]):
        what = "The part that doesn't grow with the work" if study.fit == "fixed part" else f"The serial fraction ({study.fit})"
        answer += f". {what} is {describe_estimate(study.fraction)}"
    return Section("efficiency", "Speedup and efficiency", "What does more hardware, or more work, bring?", answer + ".", figure)


def describe_estimate(values: np.ndarray) -> str:
    mean, low, high = values
    return percent(mean) + (f" ({percent(low)} to {percent(high)})" if np.isfinite(low) else "")


def bars(study) -> tuple[list[str], float]:
    """A label for each point, and the inches that they take."""
    labels = [style.quantity(value) for value in study.x]
    return labels, style.text_width(labels) + 0.55


def phases(study) -> Section:
    """Stacked bars: seconds of each phase of a round, mean over ranks; imbalance beside them."""
    labels, left = bars(study)
    height = 0.34 * len(labels) + 0.2
    figure = style.canvas(height + 1.05)
    ax = style.place(figure, left, 0.8, style.WIDTH - left - 1.9, height)
    begin = np.zeros(len(labels))
    for number, phase in enumerate(study.phases):
        seconds = study.phase_seconds[:, number]
        color = style.AREAS[number % len(style.AREAS)]
        ax.barh(range(len(labels)), seconds, left=begin, height=0.66, color=color, edgecolor="white", linewidth=0.4)
        begin += seconds
    for position, end in enumerate(begin):
        ax.annotate(
            f"{end:.3g} s, imbalance {study.imbalance[position, 0]:.2f}",
            (end, position),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#444444",
            annotation_clip=False,
        )
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylabel(study.over)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("seconds of a round, mean over ranks")
    figure.legend(
        handles=[Patch(color=style.AREAS[n % len(style.AREAS)], label=phase) for n, phase in enumerate(study.phases)],
        loc="lower center",
        ncol=8,
        handlelength=1.0,
        columnspacing=1.3,
    )
    shares = study.phase_seconds / study.phase_seconds.sum(axis=1, keepdims=True)
    train = shares[:, study.phases.index("train")]
    waiting = shares[:, study.phases.index("communicate")]
    answer = (
        f"Training takes {percent(train[0], 0)} of a round at the first point and {percent(train[-1], 0)} at the last, "
        f"communication and waiting {percent(waiting[-1], 0)}. The busiest rank has {study.imbalance[-1, 0]:.2f} times the mean's work there."
    )
    return Section("phases", "Phases", "Where does a round's time go?", answer, figure)


def rounds(study) -> Section:
    """Every round's seconds, warm-up apart."""
    labels, _ = bars(study)
    count, repeats, counted = study.round_seconds.shape
    warmup = study.warmup_seconds.shape[2]
    figure, axes = style.panel_grid(count, 4, panel_height=1.7, gap=0.45, bottom=0.5)
    for k, ax in enumerate(axes):
        for repeat in range(repeats):
            label = repeat == 0
            before = study.warmup_seconds[k, repeat]
            ax.plot(range(1, warmup + 1), before, "o", mfc="none", color=style.ORANGE, label="warm-up" if label else None)
            ax.plot(range(warmup + 1, warmup + counted + 1), study.round_seconds[k, repeat], "o", color=style.BLUE, alpha=0.5,
                    label="counted" if label else None)  # fmt: skip
        ax.axhline(study.seconds[k, 0], color=style.BLACK, linewidth=0.8, label="mean of the repeats' medians")
        ax.set_title(f"{study.over} = {labels[k]}")
        ax.set_ylim(bottom=0)
        ax.xaxis.set_major_locator(FixedLocator(1 + style.sparse(warmup + counted, 8)))
        if ax.is_first_column:
            ax.set_ylabel("seconds")
        if ax.is_last_row:
            ax.set_xlabel("round")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=3)
    spread = study.round_seconds.std(axis=(1, 2)) / study.round_seconds.mean(axis=(1, 2))
    answer = f"Rounds of a point differ by {percent(spread.max())} (standard deviation over mean) at most."
    return Section("rounds", "Rounds", f"How steady are the {repeats} repeats?", answer, figure)


def traffic(study) -> Section:
    """What each rank sends in a round for the sums, against the least that the means need."""
    labels, left = bars(study)
    height = 0.42 * len(labels) + 0.2
    figure = style.canvas(height + 1.05)
    ax = style.place(figure, left, 0.8, style.WIDTH - left - 1.2, height)
    for offset, values, color in ((-0.19, study.traffic, style.BLUE), (0.19, study.least_traffic, style.CONTEXT)):
        ax.barh(np.arange(len(labels)) + offset, values / 1e6, height=0.36, color=color)
        for position, value in enumerate(values):
            ax.annotate(
                f"{style.megabytes(value / 1e6)} MB",
                (value / 1e6, position + offset),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color="#444444",
                annotation_clip=False,
            )
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylabel(study.over)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("MB that a rank sends in a round, at least")
    figure.legend(
        handles=[Patch(color=style.BLUE, label="for the sums as they are"),
                 Patch(color=style.CONTEXT, label="for 4 bytes a shared value")],
        loc="lower center",
        ncol=2,
    )  # fmt: skip
    some = study.least_traffic > 0
    ratio = study.traffic[some] / study.least_traffic[some]
    times = " to ".join(dict.fromkeys(f"{value:.1f}" for value in (ratio.min(initial=np.inf), ratio.max(initial=0))))
    answer = (
        f"{times} times the least: exact sums take 8 bytes, their weights 4, and personal values are summed as zeros."
        if some.any()
        else "Nothing is shared."
    )
    return Section("traffic", "Communication", "How much is sent, against the least that the means need?", answer, figure)
