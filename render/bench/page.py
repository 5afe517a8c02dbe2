"""A report -> one HTML page that needs nothing else: styles and drawings are inside, there is no script.

Every text passes through ``html.escape``; drawings are SVG of our own making.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from render.bench.tables import Table, conditions, headline, tables

__all__ = ["to_html"]


def to_html(report: Mapping[str, Any], drawings: Mapping[str, str]) -> str:
    """The page. ``drawings`` are SVG elements by the name that tables know them under."""
    body = "".join(_section(table, drawings.get(table.plot, "")) for table in tables(report))
    model = escape(report["model"]["name"])
    told = headline(report)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{model} · render bench</title><style>{_CSS}</style></head>\n<body><main>"
        f'<header><p class="soft">render bench</p><h1>{model}</h1>'
        + (f'<p class="verdict">{escape(told)}</p>' if told else "")
        + f'<p class="soft">{escape(conditions(report))}</p></header>{body}'
        f'<p class="soft end">Measured {escape(report["made"])} in {report.get("seconds", 0.0):.0f} s.</p>'
        "</main></body></html>\n"
    )


def _section(table: Table, drawing: str) -> str:
    lead = f'<p class="soft">{escape(table.lead)}</p>' if table.lead else ""
    figure = f"<figure>{drawing}</figure>" if drawing else ""
    head = "".join(f"<th{_kind(place, table)}>{escape(cell)}</th>" for place, cell in enumerate(table.head))
    rows = "".join(
        "<tr>" + "".join(f"<td{_kind(place, table)}>{escape(cell)}</td>" for place, cell in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    grid = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<section><h2>{escape(table.title)}</h2>{lead}{figure}{grid}</section>"


def _kind(place: int, table: Table) -> str:
    """Columns of figures are set to the right; the first column is a name, and long texts are texts."""
    longest = max((len(row[place]) for row in table.rows), default=0)
    return ' class="n"' if place and longest <= 20 else ""


_CSS = """
:root { color-scheme: light dark; --paper: #faf9f7; --card: #fff; --ink: #1f2023; --soft: #696b72; --line: #e5e3de; }
@media (prefers-color-scheme: dark) { :root { --paper: #151618; --card: #1d1f22; --ink: #e8e8ea; --soft: #9c9ea6;
  --line: #303237; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: clamp(1.7rem, 5vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em; margin: .2rem 0 .8rem;
  overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .6rem; }
p { margin: .4rem 0; }
section { margin-top: 3rem; }
.verdict { font-size: 1.2rem; max-width: 46rem; }
.soft { color: var(--soft); font-size: .875rem; max-width: 54rem; }
.end { margin-top: 3rem; }
figure { margin: 1rem 0; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 34rem; height: auto; color: var(--ink); }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1.2rem .4rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; font-size: .8rem; vertical-align: bottom; }
th:last-child, td:last-child { padding-right: 0; }
td.n { white-space: nowrap; }
.n { text-align: right; }
@media (max-width: 34rem) { main { padding-top: 1.5rem; } section { margin-top: 2.2rem; }
  th, td { padding-right: .6rem; }
  table { font-size: .82rem; } }
"""
