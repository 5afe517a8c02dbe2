"""What the HTML pages of a report and of a benchmark share: escaped text, sections, tables, the shell and its looks.

A page needs nothing else: styles and pictures are inside, there is no script, and it forbids itself to fetch anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

__all__ = ["Html", "escaped", "page", "section", "table"]


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> str:
    """``value`` as HTML shows it: whatever comes from outside is escaped."""
    return value if isinstance(value, Html) else escape(str(value))


def page(title: str, body: str, css: str) -> str:
    """A whole page; ``css`` is what it adds to the common looks."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{_CSS}{css}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, lead: str, body: str) -> str:
    """A heading, a sentence, and what it is about."""
    told = f'<p class="soft">{escaped(lead)}</p>' if lead else ""
    return f"<section><h2>{escaped(title)}</h2>{told}{body}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Collection[int] = ()) -> str:
    """A table that scrolls by itself on a narrow screen; the columns in ``numbers`` are set to the right."""

    def cells(tag: str, row: Sequence[object]) -> str:
        kinds = ["n" if place in numbers else "long" if len(str(cell)) > 16 else "" for place, cell in enumerate(row)]
        return "".join(f'<{tag} class="{kind}">{escaped(cell)}</{tag}>' for kind, cell in zip(kinds, row, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


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
h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; }
a { color: inherit; text-underline-offset: .2em; }
section { margin-top: 3rem; }
.verdict { font-size: 1.2rem; max-width: 46rem; }
.soft { color: var(--soft); font-size: .875rem; max-width: 54rem; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1.2rem .4rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; font-size: .8rem; vertical-align: bottom; }
td { overflow-wrap: break-word; }
th:last-child, td:last-child { padding-right: 0; }
td.long { min-width: 9rem; }
td.n { white-space: nowrap; }
.n { text-align: right; }
@media (max-width: 34rem) { main { padding-top: 1.5rem; } section { margin-top: 2.2rem; }
  .verdict { font-size: 1.08rem; }
  th, td { padding-right: .6rem; } table { font-size: .82rem; } th { font-size: .74rem; }
  td.long { min-width: 6.3rem; } }
"""
