"""A report -> Markdown, for pull requests and for the results of record."""

from collections.abc import Sequence

from render.bench.headline import conditions, headline
from render.bench.schema import Report
from render.bench.tables import Table, tables

__all__ = ["to_markdown"]


def to_markdown(report: Report) -> str:
    """Headline, conditions, then every table."""
    parts = [f"# render bench: {report['model']['name']}", headline(report), conditions(report)]
    parts += [_section(table) for table in tables(report)]
    parts.append(f"Measured {report['made']} in {report.get('seconds', 0.0):.0f} s.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(table: Table) -> str:
    lines = [_row(table.head), _row(["---", *["---:"] * (len(table.head) - 1)]), *(_row(row) for row in table.rows)]
    return "\n\n".join(part for part in (f"## {table.title}", table.lead, "\n".join(lines)) if part)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
