"""A report -> one HTML page. Every text is escaped; drawings are SVG of our own making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from render.bench.tables import Table, conditions, headline, tables
from render.report.html import escaped, page, section, table

__all__ = ["to_html"]

FIGURE_CHARS = 20  # a column with a longer text is one of texts


def to_html(report: Mapping[str, Any], drawings: Mapping[str, str]) -> str:
    """The page. ``drawings`` are SVG elements by the name that tables know them under."""
    model, told = escaped(report["model"]["name"]), headline(report)
    body = (
        f'<header><p class="soft">render bench</p><h1>{model}</h1>'
        + (f'<p class="verdict">{escaped(told)}</p>' if told else "")
        + f'<p class="soft">{escaped(conditions(report))}</p></header>'
        + "".join(_section(one, drawings.get(one.plot, "")) for one in tables(report))
        + f'<p class="soft end">Measured {escaped(report["made"])} in {report.get("seconds", 0.0):.0f} s.</p>'
    )
    return page(f"{report['model']['name']} · render bench", body, _CSS)


def _section(one: Table, drawing: str) -> str:
    figure = f"<figure>{drawing}</figure>" if drawing else ""
    return section(one.title, one.lead, figure + table(one.head, one.rows, _figures(one)))


def _figures(one: Table) -> set[int]:
    """Columns of figures, which are set to the right; the first column is a name."""
    longest = [max((len(row[place]) for row in one.rows), default=0) for place in range(len(one.head))]
    return {place for place, chars in enumerate(longest) if place and chars <= FIGURE_CHARS}


_CSS = """
.end { margin-top: 3rem; }
figure { margin: 1rem 0; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 34rem; height: auto; color: var(--ink); }
"""
