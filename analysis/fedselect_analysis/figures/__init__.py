"""Figures of the report, each with the question it answers and an answer computed from the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """Text cells; the first column is left-aligned, the others right. `note` says what a reader must know."""

    title: str
    header: list[str]
    rows: list[list[str]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One part of the page. `name` names the PNG; `figure` is None where the runs hold nothing to draw (`answer` says why)."""

    name: str
    title: str
    question: str
    answer: str
    figure: Figure | None
    tables: list[Table] = field(default_factory=list)
