"""The content of ``report.json`` -> one HTML page that needs nothing else: styles, drawings and pictures are inside.

Knows no plan and no record, only the plain data that ``report.summarize`` makes. Every text passes through
``html.escape``: prompts, names and causes come from outside. There is no script, and the page forbids itself to fetch
anything.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from render.plan import STAGES, stage_info
from render.report.failures import trouble
from render.report.gantt import gantt
from render.report.html import Html, escaped, page, section, table
from render.report.humanize import count, duration, filesize, timestamp

__all__ = ["to_html"]

Report = Mapping[str, Any]


def to_html(report: Report, thumbnails: Sequence[tuple[int, bytes]]) -> str:
    """The page of a report. ``thumbnails`` are (frame index, JPEG bytes) in the order to show them, or none."""
    body = "".join(
        [
            _head(report),
            section("Contact sheet", "", _sheet(report, thumbnails)) if thumbnails else "",
            section("Where every second went", _SECONDS, _seconds(report)),
            section("Timeline", _runs_told(report), _timeline(report)),
            section("Retries, losses, notes", "", trouble(report)),
            section("Settings", "What every worker of this job used, and why.", _settings(report)),
            section("Job spec", "Resolved: every default is written out.", _preformatted(report["spec_yaml"])),
            section("Versions", "", _versions(report)),
        ]
    )
    return page(f"{report['name']} · render report", body, _CSS)


_SECONDS = (
    "Seconds of the workers' time, per image and in all. The video is encoded in a thread of its own, beside rendering."
)


def _head(report: Report) -> str:
    frames, film = report["frames"], report["film"]
    state = "complete" if report["complete"] else "incomplete"
    film_name = film["name"]
    facts = [
        Html(f'<a href="{quote(str(film_name))}">{escaped(film_name)}</a>') if film_name else "no film",
        f"{count(report['chunks']['rendered'], 'segment')}, {filesize(report['bytes'])}",
        f"{report['settings']['size']['value']} at {film['fps']} frames a second",
        f"mode {report['spec']['mode']}, model {report['model']['name']}",
    ]
    if report["runs"]:
        facts.append(f"began {datetime.fromtimestamp(report['began'], UTC):%Y-%m-%d %H:%M} UTC")
    missing = frames["total"] - frames["rendered"]
    return (
        f'<header><p class="kicker">render report <span class="{state}">{state}</span></p>'
        f"<h1>{escaped(report['name'])}</h1>"
        f'<p class="verdict">{_verdict(report)}</p>'
        + (
            f'<p class="bad">{count(missing, "frame")} still missing; the same command renders them.</p>'
            if missing
            else ""
        )
        + f'<p class="soft">{" · ".join(escaped(fact) for fact in facts)}</p></header>'
    )


def _verdict(report: Report) -> str:
    rendered, total = report["frames"]["rendered"], report["frames"]["total"]
    retries, workers = len(report["failures"]), sum(worker["frames"] > 0 for worker in report["workers"])
    if not rendered:
        return f"None of <b>{count(total, 'frame')}</b> rendered; <b>{count(retries, 'failure')}</b>."
    frames = count(total, "frame") if rendered == total else f"{rendered:,} of {count(total, 'frame')}"
    again = f"with <b>{count(retries, 'retry', 'retries')}</b>" if retries else "without a retry"
    return (
        f"<b>{frames}</b> ({duration(report['film']['duration_s'])} of film) "
        f"at <b>{_per_image(report['seconds_per_image']['rendering'])} an image</b>. "
        f"Took <b>{duration(report['wall_s'])}</b> on <b>{count(workers, 'worker')}</b>, {again}."
    )


def _sheet(report: Report, thumbnails: Sequence[tuple[int, bytes]]) -> str:
    second = report["film"]["duration_s"] / report["frames"]["total"]
    width, height = str(report["settings"]["size"]["value"]).split("x")
    figures = []
    for index, jpeg in thumbnails:
        at = timestamp(index * second)
        figures.append(
            f'<figure><img alt="frame {index} at {at}" width="{escaped(width)}" height="{escaped(height)}" '
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
    rows.append([Html("<b>all of it</b>"), Html(f"<b>{_ms(total_s, digits)}</b>"), "100.0%", duration(sum_s)])
    rows += [_stage_row(name, stage, digits, "") for name, stage in beside.items()]
    return (
        _lane("rendering", line, sum_s)
        + (_lane("encoding", beside, sum_s) if beside else "")
        + table(["stage", "ms an image", "share", "in all"], rows, numbers={1, 2, 3})
        + f'<p class="soft">{escaped(_speed(report))}</p>'
    )


def _stage_row(name: str, stage: Mapping[str, Any], digits: int, share: str) -> list[str]:
    return [_label(name, stage["part"]), _ms(stage["mean_s"], digits), share, duration(stage["sum_s"])]


_WHEN = {"start": "once a worker", "render": "", "beside": "beside rendering, not in the sum"}


def _lane(name: str, stages: Mapping[str, Any], whole_s: float) -> str:
    """A stacked bar: each stage as wide as its part of ``whole_s``."""
    parts = "".join(
        f'<i class="s-{_class(stage)}" style="width:{min(100.0, 100 * values["sum_s"] / whole_s):.3f}%" '
        f'title="{escaped(stage_info(stage).label)}: {_ms(values["mean_s"], 3)} ms an image"></i>'
        for stage, values in stages.items()
    )
    return f'<div class="lane" role="img" aria-label="{name}, by stage; the table has the numbers">{parts}</div>'


def _label(stage: str, part: str) -> Html:
    name = escaped(stage_info(stage).label)
    return Html(f'<i class="dot s-{_class(stage)}"></i>{name} <small>{_WHEN[part]}</small>')


def _class(stage: str) -> str:
    return stage if stage in STAGES else "rest"


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
    gaps = [duration(later["began_s"] - run["ended_s"]) for run, later in pairwise(runs)]
    return f"{told} The job ran {len(runs)} times; between the runs (dashed lines) lay {', '.join(gaps[:8])}."


def _timeline(report: Report) -> str:
    drawn, shown = gantt(report)
    return drawn + _workers(report, shown) if drawn else '<p class="quiet">Nothing was rendered.</p>'


def _workers(report: Report, shown: Sequence[str]) -> str:
    rows = [_worker_row(worker) for worker in report["workers"] if worker["name"] in shown]
    head = ["worker", "device", "chunks", "frames", "frames/s", "loading", "rendering", "idle"]
    return table(head, rows, numbers={2, 3, 4, 5, 6, 7})


def _worker_row(worker: Mapping[str, Any]) -> list[str]:
    counts = [f"{worker['chunks']:,}", f"{worker['frames']:,}", _rate(worker["frames_per_s"])]
    times = [duration(worker["start_s"]), duration(worker["busy_s"]), f"{worker['idle_share']:.1%}"]
    return [worker["name"], worker["device"], *counts, *times]


def _settings(report: Report) -> str:
    rows = [[name, setting["value"], setting["reason"] or ""] for name, setting in report["settings"].items()]
    return table(["setting", "value", "reason"], rows)


def _versions(report: Report) -> str:
    model = report["model"]
    rows = [[package, ", ".join(versions)] for package, versions in report["versions"].items()]
    sums = [
        ["plan", _code(report["digest"])],
        ["model", Html(f"{escaped(model['family'])} {_code(model['fingerprint'])} {escaped(model['revision'] or '')}")],
        *(["sampler table", _code(table)] for table in report["sampler_tables"]),
    ]
    return table(["package", "version"], rows) + table(["digest of the", "sha256"], sums)


def _preformatted(lines: str) -> str:
    return f"<pre>{escaped(lines)}</pre>"


def _code(digest: str) -> Html:
    return Html(f"<code>{escaped(digest)}</code>")


def _per_image(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds:#.3g} s" if seconds < 100 else duration(seconds)


def _ms(seconds: float, digits: int) -> str:
    return f"{seconds * 1000:,.{digits}f}"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"


_CSS = """
:root { --bar: #5b84c4; --bad: #c5382c; --good: #2e7d4f; --load: #9aa0ab; --prompt: #ab8fce; --export: #8f7d6a;
  --compile: #7a86a8; --denoise: #5b84c4; --decode: #45a39a; --copy: #d8a545; --wait: #c884a8; --rest: #c9c6bf;
  --encode: #7fab5c; }
@media (prefers-color-scheme: dark) { :root { --bad: #f0776b; --good: #6cc392; --rest: #5a5c62; --load: #7b818c; } }
.kicker { color: var(--soft); font-size: .85rem; }
.kicker span { border: 1px solid; border-radius: 1rem; padding: .05rem .6rem; margin-left: .4rem; }
.complete { color: var(--good); }
.incomplete, .bad { color: var(--bad); }
.legend, .quiet, figcaption { color: var(--soft); font-size: .875rem; }
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
th { white-space: nowrap; vertical-align: top; }
small { color: var(--soft); margin-left: .3rem; }
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
@media print { pre { max-height: none; } }
"""
