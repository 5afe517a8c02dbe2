"""A report -> drawings as SVG text. The only file with matplotlib, which is an extra: ``pip install 'render[bench]'``.

Texts and lines take the colour of the page around them, so that a drawing fits a light page and a dark one.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from render.errors import SpecError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw", "require"]

Report = Mapping[str, Any]
Entries = Sequence[Mapping[str, Any]]
Drawing = Callable[["Axes", Entries], None]

INK = "#010203"  # becomes currentColor
STAGES = {"denoise": "#5b84c4", "decode": "#45a39a", "copy": "#d8a545", "wait": "#c884a8", "encode": "#7fab5c"}
OTHER = "#9aa0ab"
LINES = ("#5b84c4", "#45a39a", "#d8a545", "#c884a8", "#7fab5c", "#ab8fce", "#c5382c", "#9aa0ab")


def require() -> None:
    """Raises SpecError where matplotlib is missing: before an hour of measuring, not after."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise SpecError(
            f"the report's plots need matplotlib, which is not here ({error}); pip install 'render[bench]'"
        ) from None


def draw(report: Report) -> dict[str, str]:
    """Name -> SVG; a drawing without data is left out."""
    results, accuracy, films = report["results"], report["accuracy"], report["films"]
    compared = [entry for entry in accuracy if entry.get("psnr_db") is not None]
    drawings: list[tuple[str, Drawing, list[Any], float]] = [
        ("batch", _batch, results, 3.6),
        ("stages", _stages, results, _height(results)),
        ("error", _error, compared, 3.6),
        ("films", _films, films, _height(films)),
    ]
    return {name: _svg(drawing, entries, height) for name, drawing, entries, height in drawings if entries}


def _height(rows: Entries) -> float:
    return 0.9 + 0.32 * max(len(rows), 2)


def _batch(axes: Axes, results: Entries) -> None:
    """Seconds an image by batch, a line for every renderer, backend and dtype."""
    lines: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for entry in results:
        case = entry["case"]
        name = f"{case['renderer']} {case['backend']} {case['dtype']}"
        lines[name].append((case["batch"], entry["seconds_per_image"]))
    for colour, (name, points) in zip(LINES * 9, sorted(lines.items()), strict=False):
        dashes = "--" if name.startswith("diffusers") else "-"
        axes.plot(*zip(*sorted(points), strict=True), dashes, marker="o", markersize=4, label=name, color=colour)
    axes.set(xlabel="batch", ylabel="seconds an image", ylim=(0, None))
    batches = sorted({batch for points in lines.values() for batch, _ in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _stages(axes: Axes, results: Entries) -> None:
    """Stacked bars: milliseconds by stage; diffusers' one stage is grey, it does not tell them apart."""
    entries = list(reversed(results))
    names = [entry["name"] for entry in entries]
    for stage, colour in STAGES.items():
        ours = [entry["case"]["renderer"] == "render" for entry in entries]
        left = [_before(entry, stage) for entry in entries]
        width = [1000 * entry["stages_s"].get(stage, 0.0) for entry in entries]
        if any(width):
            axes.barh(names, width, left=left, label=stage, color=[colour if own else OTHER for own in ours])
    axes.set(xlabel="milliseconds an image")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    _colour_legend(axes)


def _before(entry: Mapping[str, Any], stage: str) -> float:
    order = list(STAGES)
    before = order[: order.index(stage)]
    return 1000 * float(sum(entry["stages_s"].get(name, 0.0) for name in before))


def _colour_legend(axes: Axes) -> None:
    """Legend boxes in the stages' own colours: matplotlib takes that of the first bar."""
    legend = axes.get_legend()
    if legend is not None:
        for box, text in zip(legend.get_patches(), legend.get_texts(), strict=True):
            box.set_facecolor(STAGES[text.get_text()])


def _error(axes: Axes, points: Entries) -> None:
    """PSNR against speed, a point for every switch."""
    for colour, entry in zip(LINES * 9, points, strict=False):
        at = (entry["times_as_fast"], entry["psnr_db"])
        axes.plot(*at, "o", color=colour)
        name = f"{entry['case']['dtype']} against float32" if entry["name"] == "exact" else entry["name"]
        axes.annotate(name, at, xytext=(7, 4), textcoords="offset points", fontsize=8, color=INK)
    axes.margins(x=0.35, y=0.35)
    axes.set(xlabel="times as fast as what it is compared with", ylabel="PSNR, dB")


def _films(axes: Axes, entries: Entries) -> None:
    """Frames a second, end to end."""
    films = list(reversed(entries))
    colours = [STAGES["denoise"] if film["case"]["renderer"] == "render" else OTHER for film in films]
    bars = axes.barh([film["name"] for film in films], [film["frames_per_s"] for film in films], color=colours)
    axes.bar_label(bars, fmt="%.2f", padding=4, fontsize=8, color=INK)
    axes.margins(x=0.1)
    axes.set(xlabel="frames a second, without the start")


def _svg(drawing: Drawing, entries: Entries, height: float) -> str:
    """One drawing."""
    require()
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = {"svg.fonttype": "none", "svg.hashsalt": "render", "font.family": "sans-serif", "font.size": 9}
    with rc_context(style):
        figure = Figure(figsize=(9.0, height), layout="constrained")
        axes = figure.subplots()
        drawing(axes, entries)
        _plain(axes)
        target = io.StringIO()
        FigureCanvasSVG(figure)
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    return _inline(target.getvalue())


def _plain(axes: Axes) -> None:
    """No box, faint lines, everything in the colour of the page's ink."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(alpha=0.15, color=INK)
    axes.set_axisbelow(True)
    axes.patch.set_alpha(0)
    legend = axes.get_legend()
    for text in legend.get_texts() if legend else ():
        text.set_color(INK)


def _inline(svg: str) -> str:
    """The <svg> element alone, as wide as its place, in the page's colour and font."""
    element = svg[svg.index("<svg") :].replace(INK, "currentColor")
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 width="100%"', element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    return re.sub(r"font:([^;\"]*?)'?sans-serif'?[^;\"]*", r"font:\1 system-ui, sans-serif", element)
