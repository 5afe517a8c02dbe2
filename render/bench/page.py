"""A report -> one HTML page, by the template ``bench.html``: the tables, and bars above some of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from render.bench.cells import milliseconds
from render.bench.headline import conditions, headline
from render.bench.schema import FilmEntry, Report, Result
from render.bench.tables import Table, tables
from render.plan import stage_info
from render.report import fill_template

__all__ = ["to_html"]

FIGURE_CHARS = 20  # a column with a longer text is one of texts


def to_html(report: Report) -> str:
    """The page."""
    bars = {"results": _result_bars(report["results"]), "films": _film_bars(report["films"])}
    values = {
        "model": report["model"]["name"],
        "headline": headline(report),
        "conditions": conditions(report),
        "sections": [(one, _figures(one), bars.get(one.bars, [])) for one in tables(report)],
        "legend": _legend(report["results"]),
        "end": f"Measured {report['made']} in {report.get('seconds', 0.0):.0f} s.",
    }
    return fill_template("bench.html", values, "render.bench")


def _figures(table: Table) -> set[int]:
    """Columns of figures, which are set to the right; the first column is a name."""
    longest = [max((len(row[column]) for row in table.rows), default=0) for column in range(len(table.head))]
    return {column for column, chars in enumerate(longest) if column and chars <= FIGURE_CHARS}


@dataclass(frozen=True)
class Bar:
    """A case as a stacked bar; ``pieces`` are (stage's colour, percent of the width, words)."""

    label: str
    pieces: Sequence[tuple[str, float, str]]


def _result_bars(results: Sequence[Result]) -> list[Bar]:
    """Each as long as an image takes, by stage; diffusers' one stage is grey: its pipeline has no stopwatch."""
    longest_s = max((result["seconds_per_image"] for result in results), default=1.0)
    bars = []
    for result in results:
        ours = result["case"]["renderer"] == "render"
        pieces = [
            (stage if ours else "rest", 100 * seconds / longest_s, f"{stage}: {milliseconds(seconds)} ms an image")
            for stage, seconds in result["stages_s"].items()
        ]
        bars.append(Bar(result["name"], pieces))
    return bars


def _film_bars(films: Sequence[FilmEntry]) -> list[Bar]:
    """Each as long as its frames a second, without the start."""
    most = max((film["frames_per_s"] for film in films), default=1.0)
    bars = []
    for film in films:
        colour = "denoise" if film["case"]["renderer"] == "render" else "rest"
        words = f"{film['frames_per_s']:.2f} frames a second"
        bars.append(Bar(film["name"], [(colour, 100 * film["frames_per_s"] / most, words)]))
    return bars


def _legend(results: Sequence[Result]) -> dict[str, str]:
    """The colours of stages that some result has, and their words."""
    ours = [stage for result in results if result["case"]["renderer"] == "render" for stage in result["stages_s"]]
    return {stage: stage_info(stage).label for stage in ours} | {"rest": "diffusers, all of it"}
