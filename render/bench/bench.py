"""From options to files: measure, write ``report.json``, ``report.md`` and ``report.html`` into a folder."""

from collections.abc import Callable
from pathlib import Path

from render.bench.markdown import to_markdown
from render.bench.options import Options
from render.bench.page import to_html
from render.bench.results import to_json
from render.bench.schema import Report
from render.errors import StoreError

__all__ = ["bench", "write"]


def bench(options: Options, out: Path, on_step: Callable[[int, int, str], None], *, trust: bool = False) -> Report:
    """Measure and write; ``report.json`` is there after the first table and grows. Raises RenderError.

    With ``trust`` the model may hold what could run code when it is loaded.
    """
    _put(out, "report.json", "")  # a folder that cannot be written is noticed now
    from render.bench.runner import BenchRunner

    runner = BenchRunner(options, on_step, lambda report: _put(out, "report.json", to_json(report)), trust=trust)
    report = runner.run()
    write(report, out)
    return report


def write(report: Report, out: Path) -> None:
    """All three files. Raises StoreError."""
    _put(out, "report.json", to_json(report))
    _put(out, "report.md", to_markdown(report))
    _put(out, "report.html", to_html(report))


def _put(out: Path, name: str, text: str) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError.of(error, out / name) from error
