"""The HTML page: one file without references, readable in light and dark, printable."""

from __future__ import annotations

import base64
from html import escape

from .figures import Section, Table
from .reading import Run

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --back: #ffffff; --soft: #666666; --line: #d8d8d8; --card: #f5f5f3; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --back: #17181a; --soft: #a5a5a5; --line: #3a3c40; --card: #222428; }
  img { filter: brightness(0.92); }
}
body { color: var(--text); background: var(--back); font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
       max-width: 1040px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2.6rem 0 .3rem; }
.soft, caption, .note { color: var(--soft); } .note { font-size: .85rem; margin: .3rem 0 0; }
.headline { background: var(--card); border-radius: 8px; padding: .8rem 1.2rem; } .headline ul { margin: 0; padding-left: 1.1rem; }
figure { margin: .8rem 0; } figcaption { margin-top: .4rem; }
figure img { display: block; width: 100%; background: #ffffff; border-radius: 6px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .86rem; margin: 1rem 0 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { text-align: right; padding: .2rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
details { margin: .4rem 0; } pre { overflow-x: auto; background: var(--card); padding: .8rem; border-radius: 6px; font-size: .8rem; }
@media print {
  :root { --text: #000; --back: #fff; --soft: #444; --line: #ccc; --card: #f4f4f4; }
  body { font-size: 9.5pt; max-width: none; padding: 0; } figure, table, .headline { break-inside: avoid; } h2 { break-after: avoid; }
  img { filter: none; } .scroll { overflow: visible; } th, td { padding: .1rem .35rem; } table { font-size: 7.5pt; } td:first-child { white-space: normal; min-width: 8em; } details { display: none; }
}
"""


def table_html(table: Table) -> str:
    """One table in a frame that scrolls sideways where the page is narrower."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>{note}\n"
    )


def section_html(number: int, section: Section, png: bytes | None) -> str:
    """A section: title, figure with its question and answer, tables."""
    caption = (
        f"<figcaption><b>Figure {number}. {escape(section.question)}</b> {escape(section.answer)}</figcaption>"
        if png
        else f"<p><b>{escape(section.question)}</b> {escape(section.answer)}</p>"
    )
    image = ""
    if png:
        data = base64.b64encode(png).decode("ascii")
        image = f'<img alt="{escape(section.title)}: {escape(section.answer)}" src="data:image/png;base64,{data}">'
    tables = "".join(map(table_html, section.tables))
    body = f"<figure>{image}{caption}</figure>" if png else caption
    return f'<section id="{section.name}"><h2>{escape(section.title)}</h2>\n{body}\n{tables}</section>\n'


def page_html(
    title: str,
    subtitle: str,
    headline: list[str],
    summary: Table,
    sections: list[Section],
    pngs: dict[str, bytes],
    runs: list[Run],
) -> str:
    """The whole page. `pngs` maps a section's name to its figure, where it has one."""
    parts, number = [], 0
    for section in sections:
        png = pngs.get(section.name)
        number += png is not None
        parts.append(section_html(number, section, png))
    points = "".join(f"<li>{escape(sentence)}</li>" for sentence in headline)
    sources = "".join(
        f"<details><summary>{escape(run.label)} (seed {run.seed})</summary><pre>{escape(run.config)}</pre>"
        f"<pre>{escape(run.provenance)}</pre></details>\n"
        for run in runs
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style></head>\n<body>\n'
        f'<h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}</p>\n<div class="headline"><ul>{points}</ul></div>\n'
        f"{table_html(summary)}\n{''.join(parts)}"
        f"<section><h2>Where the numbers come from</h2>\n<p>Each run's resolved configuration and manifest, as its result.h5 holds "
        f"them.</p>\n{sources}</section>\n</body></html>\n"
    )
