"""The content of ``report.json`` -> one HTML page that needs nothing else: styles, drawings and pictures are inside.

Knows no plan and no record, only the plain data that ``report.summarize`` makes. Every text passes through
``html.escape``: prompts, names and causes come from outside. There is no script, and the page forbids itself to fetch
anything.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import groupby, pairwise
from typing import Any
from urllib.parse import quote

from render.gantt import gantt
from render.words import clock, count, frames_of, size, span

__all__ = ["to_html"]

Report = Mapping[str, Any]

MAX_LINES = 100  # of any list; report.json has them all

LABELS = {
    "load": "load the model",
    "prompt": "encode the prompts",
    "export": "export to ONNX",
    "compile": "compile",
    "denoise": "denoise",
    "decode": "decode",
    "copy": "copy from the device",
    "wait": "wait for the video encoder",
    "rest": "everything else",
    "encode": "encode the video",
}


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def to_html(report: Report, thumbnails: Sequence[tuple[int, bytes]]) -> str:
    """The page of a report. ``thumbnails`` are (frame index, JPEG bytes) in the order to show them, or none."""
    body = "".join(
        [
            _head(report),
            _section("Contact sheet", "", _sheet(report, thumbnails)) if thumbnails else "",
            _section("Where every second went", _SECONDS, _seconds(report)),
            _section("Timeline", _runs_told(report), _timeline(report)),
            _section("Retries, losses, notes", "", _trouble(report)),
            _section("Settings", "What every worker of this job used, and why.", _settings(report)),
            _section("Job spec", "Resolved: every default is written out.", f"<pre>{_e(report['spec_yaml'])}</pre>"),
            _section("Versions", "", _versions(report)),
        ]
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_e(report['name'])} · render report</title><style>{_CSS}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


_SECONDS = (
    "Seconds of the workers' time, per image and in all. The video is encoded in a thread of its own, beside rendering."
)


def _head(report: Report) -> str:
    frames, film = report["frames"], report["film"]
    state = "complete" if report["complete"] else "incomplete"
    film_name = film["name"]
    facts = [
        _Html(f'<a href="{quote(str(film_name))}">{_e(film_name)}</a>') if film_name else "no film",
        f"{count(report['chunks']['rendered'], 'segment')}, {size(report['bytes'])}",
        f"{report['settings']['size']['value']} at {film['fps']} frames a second",
        f"mode {report['spec']['mode']}, model {report['model']['name']}",
    ]
    if report["runs"]:
        facts.append(f"began {datetime.fromtimestamp(report['began'], UTC):%Y-%m-%d %H:%M} UTC")
    missing = frames["total"] - frames["rendered"]
    return (
        f'<header><p class="kicker">render report <span class="{state}">{state}</span></p><h1>{_e(report["name"])}</h1>'
        f'<p class="verdict">{_verdict(report)}</p>'
        + (
            f'<p class="bad">{count(missing, "frame")} still missing; the same command renders them.</p>'
            if missing
            else ""
        )
        + f'<p class="soft">{" · ".join(_e(fact) for fact in facts)}</p></header>'
    )


def _verdict(report: Report) -> str:
    rendered, total = report["frames"]["rendered"], report["frames"]["total"]
    retries, workers = len(report["failures"]), sum(worker["frames"] > 0 for worker in report["workers"])
    if not rendered:
        return f"None of <b>{count(total, 'frame')}</b> rendered; <b>{count(retries, 'failure')}</b>."
    frames = count(total, "frame") if rendered == total else f"{rendered:,} of {count(total, 'frame')}"
    again = f"with <b>{count(retries, 'retry', 'retries')}</b>" if retries else "without a retry"
    return (
        f"<b>{frames}</b> ({span(report['film']['duration_s'])} of film) "
        f"at <b>{_per_image(report['seconds_per_image']['rendering'])} an image</b>. "
        f"Took <b>{span(report['wall_s'])}</b> on <b>{count(workers, 'worker')}</b>, {again}."
    )


def _sheet(report: Report, thumbnails: Sequence[tuple[int, bytes]]) -> str:
    second = report["film"]["duration_s"] / report["frames"]["total"]
    width, height = str(report["settings"]["size"]["value"]).split("x")
    figures = []
    for index, jpeg in thumbnails:
        at = clock(index * second)
        figures.append(
            f'<figure><img alt="frame {index} at {at}" width="{_e(width)}" height="{_e(height)}" '
            f'src="data:image/jpeg;base64,{b64encode(jpeg).decode()}">'
            f"<figcaption><b>{index}</b> {at}</figcaption></figure>"
        )
    return f'<div class="sheet">{"".join(figures)}</div>'


def _seconds(report: Report) -> str:
    stages = {name: stage for name, stage in report["stages"].items() if stage["sum_s"] > 0}
    line = {name: stage for name, stage in stages.items() if stage["part"] != "beside"}
    beside = {name: stage for name, stage in stages.items() if stage["part"] == "beside"}
    total_s, sum_s = report["seconds_per_image"]["with_start"], sum(stage["sum_s"] for stage in line.values())
    if not sum_s:
        return '<p class="quiet">Nothing was rendered.</p>'
    digits = 3 if total_s < 0.01 else 1 if total_s < 10 else 0
    rows = [_stage_row(name, stage, digits, f"{stage['sum_s'] / sum_s:.1%}") for name, stage in line.items()]
    rows.append([_Html("<b>all of it</b>"), _Html(f"<b>{_ms(total_s, digits)}</b>"), "100.0%", span(sum_s)])
    rows += [_stage_row(name, stage, digits, "") for name, stage in beside.items()]
    return (
        _lane("rendering", line, sum_s)
        + (_lane("encoding", beside, sum_s) if beside else "")
        + _table(["stage", "ms an image", "share", "in all"], rows, numbers={1, 2, 3})
        + f'<p class="soft">{_e(_speed(report))}</p>'
    )


def _stage_row(name: str, stage: Mapping[str, Any], digits: int, share: str) -> list[str]:
    return [_label(name, stage["part"]), _ms(stage["mean_s"], digits), share, span(stage["sum_s"])]


_WHEN = {"start": "once a worker", "render": "", "beside": "beside rendering, not in the sum"}


def _lane(name: str, stages: Mapping[str, Any], whole_s: float) -> str:
    """A stacked bar: each stage as wide as its part of ``whole_s``."""
    parts = "".join(
        f'<i class="s-{_class(stage)}" style="width:{min(100.0, 100 * values["sum_s"] / whole_s):.3f}%" '
        f'title="{_e(LABELS.get(stage, stage))}: {_ms(values["mean_s"], 3)} ms an image"></i>'
        for stage, values in stages.items()
    )
    return f'<div class="lane" role="img" aria-label="{name}, by stage; the table has the numbers">{parts}</div>'


def _label(stage: str, part: str) -> _Html:
    name = _e(LABELS.get(stage, stage))
    return _Html(f'<i class="dot s-{_class(stage)}"></i>{name} <small>{_WHEN[part]}</small>')


def _class(stage: str) -> str:
    return stage if stage in LABELS else "rest"


def _speed(report: Report) -> str:
    workers = report["workers"]
    idle = sum(worker["idle_s"] for worker in workers)
    work = idle + sum(worker["busy_s"] + worker["failed_s"] for worker in workers)
    rate = report["frames"]["rendered"] / report["wall_s"] if report["wall_s"] else 0.0
    return (
        f"Without loading models, {_per_image(report['seconds_per_image']['rendering'])} an image on one worker; "
        f"the whole job made {_rate(rate)} frames a second of wall time. "
        f"Between their chunks workers were idle {idle / work if work else 0.0:.1%} of the time."
    )


def _runs_told(report: Report) -> str:
    runs = report["runs"]
    told = "One bar is one chunk, or several where they are too narrow to tell apart; hover to see which."
    if len(runs) < 2:
        return told
    gaps = [span(later["began_s"] - run["ended_s"]) for run, later in pairwise(runs)]
    return f"{told} The job ran {len(runs)} times; between the runs (dashed lines) lay {', '.join(gaps[:8])}."


def _timeline(report: Report) -> str:
    drawn, shown = gantt(report)
    return drawn + _workers(report, shown) if drawn else '<p class="quiet">Nothing was rendered.</p>'


def _workers(report: Report, shown: Sequence[str]) -> str:
    rows = [_worker_row(worker) for worker in report["workers"] if worker["name"] in shown]
    head = ["worker", "device", "chunks", "frames", "frames/s", "loading", "rendering", "idle"]
    return _table(head, rows, numbers={2, 3, 4, 5, 6, 7})


def _worker_row(worker: Mapping[str, Any]) -> list[str]:
    counts = [f"{worker['chunks']:,}", f"{worker['frames']:,}", _rate(worker["frames_per_s"])]
    times = [span(worker["start_s"]), span(worker["busy_s"]), f"{worker['idle_share']:.1%}"]
    return [worker["name"], worker["device"], *counts, *times]


def _trouble(report: Report) -> str:
    damaged = [frames_of(item["chunk"]) for item in report["damaged"]]
    parts = [
        _failures(report["failures"]),
        _lost(report["workers_lost"]),
        _list("Rendered again because the segment was damaged", damaged),
        _list("Frames", _notes(report["notes"])),
        _list("Warnings", report["warnings"]),
        _list("Remarks", report["remarks"]),
    ]
    return "".join(parts) or '<p class="quiet">None. Every chunk was rendered at the first attempt.</p>'


def _failures(failures: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for item in failures[:MAX_LINES]:
        now = "rendered" if item["mended"] else _MISSING
        rows.append([clock(item["time_s"]), frames_of(item["chunk"]), item["worker"], item["cause"], now])
    title = f"<h3>{count(len(failures), 'failed attempt')}{_cut(failures)}</h3>"
    return title + _table(["at", "chunk", "worker", "cause", "now"], rows) if rows else ""


_MISSING = _Html('<b class="bad">missing</b>')


def _lost(lost: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for item in lost[:MAX_LINES]:
        charge = "taken away by the cluster: no chunk is charged" if item["preempted"] else ""
        rows.append([clock(item["time_s"]), item["worker"], item["cause"], charge])
    title = f"<h3>{count(len(lost), 'worker')} lost{_cut(lost)}</h3>"
    return title + _table(["at", "worker", "cause", ""], rows) if rows else ""


def _notes(notes: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for all frames of which the same is to be said."""
    frames: dict[str, list[int]] = {}
    for note in notes:
        frames.setdefault(note["text"], []).append(note["frame"])
    return [f"{_ranges(found)}: {text}" for text, found in frames.items()]


def _ranges(frames: Iterable[int]) -> str:
    """``3, 7–9``: consecutive numbers drawn together; long lists are cut."""
    found = []
    for _, group in groupby(enumerate(sorted(set(frames))), key=lambda pair: pair[1] - pair[0]):
        run = [frame for _, frame in group]
        found.append(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}")
    return ", ".join(found[:MAX_LINES]) + (" …" if len(found) > MAX_LINES else "")


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{_e(line)}</li>" for line in lines[:MAX_LINES])
    return f"<h3>{_e(title)}{_cut(lines)}</h3><ul>{items}</ul>" if lines else ""


def _cut(lines: Sequence[object]) -> str:
    return f", the first {MAX_LINES} (report.json has all)" if len(lines) > MAX_LINES else ""


def _settings(report: Report) -> str:
    rows = [[name, setting["value"], setting["reason"] or ""] for name, setting in report["settings"].items()]
    return _table(["setting", "value", "reason"], rows)


def _versions(report: Report) -> str:
    model = report["model"]
    rows = [[package, ", ".join(versions)] for package, versions in report["versions"].items()]
    sums = [
        ["plan", _code(report["digest"])],
        ["model", _Html(f"{_e(model['family'])} {_code(model['fingerprint'])} {_e(model['revision'] or '')}")],
        *(["sampler table", _code(table)] for table in report["sampler_tables"]),
    ]
    return _table(["package", "version"], rows) + _table(["digest of the", "sha256"], sums)


def _code(text: str) -> _Html:
    return _Html(f"<code>{_e(text)}</code>")


def _section(title: str, lead: str, body: str) -> str:
    told = f'<p class="soft">{_e(lead)}</p>' if lead else ""
    return f"<section><h2>{_e(title)}</h2>{told}{body}</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Collection[int] = ()) -> str:
    """A table that scrolls by itself on a narrow screen; the columns in ``numbers`` are set to the right."""

    def cells(tag: str, row: Sequence[object]) -> str:
        kinds = ["n" if place in numbers else "long" if len(str(cell)) > 16 else "" for place, cell in enumerate(row)]
        return "".join(f'<{tag} class="{kind}">{_e(cell)}</{tag}>' for kind, cell in zip(kinds, row, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def _e(value: object) -> str:
    return value if isinstance(value, _Html) else escape(str(value))


def _per_image(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds:#.3g} s" if seconds < 100 else span(seconds)


def _ms(seconds: float, digits: int) -> str:
    return f"{seconds * 1000:,.{digits}f}"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"


_CSS = """
:root { color-scheme: light dark; --paper: #faf9f7; --card: #fff; --ink: #1f2023; --soft: #696b72; --line: #e5e3de;
  --bar: #5b84c4; --bad: #c5382c; --good: #2e7d4f; --load: #9aa0ab; --prompt: #ab8fce; --export: #8f7d6a;
  --compile: #7a86a8; --denoise: #5b84c4; --decode: #45a39a; --copy: #d8a545; --wait: #c884a8; --rest: #c9c6bf;
  --encode: #7fab5c; }
@media (prefers-color-scheme: dark) { :root { --paper: #151618; --card: #1d1f22; --ink: #e8e8ea; --soft: #9c9ea6;
  --line: #303237; --bad: #f0776b; --good: #6cc392; --rest: #5a5c62; --load: #7b818c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: clamp(1.7rem, 5vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em; margin: .2rem 0 .8rem;
  overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .6rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; }
section { margin-top: 3rem; }
a { color: inherit; text-underline-offset: .2em; }
.kicker { color: var(--soft); font-size: .85rem; }
.kicker span { border: 1px solid; border-radius: 1rem; padding: .05rem .6rem; margin-left: .4rem; }
.complete { color: var(--good); }
.incomplete, .bad { color: var(--bad); }
.verdict { font-size: 1.2rem; max-width: 44rem; }
.soft, .legend, .quiet, figcaption { color: var(--soft); font-size: .875rem; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30%, 8.5rem), 1fr)); gap: .9rem .7rem; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; border-radius: 5px; background: var(--line); }
figcaption { display: flex; justify-content: space-between; font-size: .78rem; margin-top: .2rem; }
figcaption b { color: var(--ink); font-weight: 600; }
.lane { display: flex; height: 2rem; border-radius: 5px; overflow: hidden; background: var(--line);
  margin: .7rem 0 .3rem; }
.lane + .lane { height: .6rem; margin-top: 0; background: none; }
.lane + .wide { margin-top: 1rem; }
.lane i { display: block; box-shadow: inset -1px 0 var(--paper); }
.dot { display: inline-block; width: .7rem; height: .7rem; border-radius: 3px; margin-right: .5rem; }
.s-load { background: var(--load); } .s-prompt { background: var(--prompt); } .s-export { background: var(--export); }
.s-compile { background: var(--compile); } .s-denoise { background: var(--denoise); }
.s-decode { background: var(--decode); } .s-copy { background: var(--copy); } .s-wait { background: var(--wait); }
.s-rest { background: var(--rest); } .s-encode { background: var(--encode); }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1.2rem .4rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; font-size: .8rem; white-space: nowrap; }
td { overflow-wrap: break-word; }
th:last-child, td:last-child { padding-right: 0; }
td.long { min-width: 9rem; }
small { color: var(--soft); margin-left: .3rem; }
.n { text-align: right; white-space: nowrap; }
.gantt { display: grid; grid-template-columns: minmax(1.5rem, max-content) 1fr; gap: .8rem; margin: .8rem 0 .2rem; }
.names { max-width: 8rem; font-size: .8rem; }
.names span { display: block; height: 26px; line-height: 26px; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
svg { display: block; overflow: visible; }
svg text { fill: var(--soft); font-size: 11px; }
rect { stroke: var(--paper); stroke-width: .75px; } rect:hover { opacity: .75; }
rect.chunk { fill: var(--bar); } rect.start { fill: var(--load); } rect.failed { fill: var(--bad); }
rect.taken { fill: var(--copy); }
.dot.chunk { background: var(--bar); } .dot.start { background: var(--load); } .dot.failed { background: var(--bad); }
.dot.taken { background: var(--copy); }
.tick { stroke: var(--line); } .cut { stroke: var(--soft); stroke-dasharray: 3 4; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
ul { margin: .2rem 0; padding-left: 1.2rem; font-size: .9rem; }
li, figcaption { overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 1rem; overflow: auto;
  max-height: 36rem; font: .82rem/1.5 ui-monospace, monospace; }
code { font: .82rem ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 34rem) { main { padding-top: 1.5rem; } section { margin-top: 2.2rem; }
  .verdict { font-size: 1.08rem; }
  th, td { padding-right: .6rem; } table { font-size: .82rem; } th { font-size: .74rem; }
  td.long { min-width: 6.3rem; } }
@media print { pre { max-height: none; } }
"""
