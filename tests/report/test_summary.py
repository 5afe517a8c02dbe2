"""The report: sums that add up, a page that shows them, and neither trusts a text or a whole log."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from render import report as reports
from render.models import ModelInfo
from render.plan import Chunk, Plan, Settings
from render.report import to_html
from render.spec import Document, validate
from render.store import Note, Record
from render.store.events import parse_log

ZERO = 1_760_000_000.0  # when the first run began
LOAD_S, PROMPT_S = 1.8, 0.2
FRAME_S = {"denoise": 0.084, "decode": 0.011, "copy": 0.001, "wait": 0.002, "encode": 0.009}
REST_S = 0.002  # a frame's seconds that no stage was charged with
VERSIONS = {"render": "0.1.0", "torch": "2.9.0", "diffusers": "0.42.0", "av": "15.0.0"}
VOID = {"meta", "img", "line"}


def make_plan(frames: int = 288, chunk: int = 6, prompt: str = "a big red sun over violet mountains at dawn") -> Plan:
    keyframes = [{"at": 0, "prompt": prompt, "seed": 7}]
    if frames > 1:
        keyframes.append({"at": frames - 1, "prompt": "a huge white moon over blue sea at night", "seed": 11})
    spec = {
        "version": 1,
        "name": "day-and-night",
        "mode": "dream",
        "model": "demo",
        "frames": frames,
        "negative": "blurry",
    }
    reasons = {"size": "the model's native size", "dtype": "the CPU has fast bfloat16", "batch": "128x128 on cpu"}
    settings = Settings(128, 128, "cpu", "eager", "bf16", 8, 2, "sdpa", "normal", chunk, reasons=reasons)
    model = ModelInfo("sd", (128, 128), 4, 8, {"_class_name": "DDIMScheduler"}, fingerprint="c0ffee" + 58 * "0")
    return Plan(validate(Document("job.yaml", spec | {"keyframes": keyframes})), settings, model)


def make_record(plan: Plan, chunk: Chunk, worker: str, began: float, *, first: bool = False) -> Record:
    frames = len(chunk.frames)
    timings = {stage: seconds * frames for stage, seconds in FRAME_S.items()}
    render_s = sum(seconds for stage, seconds in timings.items() if stage != "encode") + REST_S * frames
    return Record(
        digest=plan.digest,
        chunk=chunk,
        pictures=tuple("0" * 64 for _ in chunk.frames),
        file=f"segments/{chunk.name}.mp4",
        bytes=1000 * frames,
        sha256="0" * 64,
        stills=None,
        stills_bytes={},
        worker=worker,
        device=f"cpu Epyc on node-{worker}",
        began=began,
        ended=began + render_s,
        timings_s=timings | ({"load": LOAD_S, "prompt": PROMPT_S} if first else {}),
        versions=VERSIONS,
        sampler_table="ab" * 32,
    )


def make_job(plan: Plan, names: Sequence[str] = ("w0", "w1")) -> tuple[list[Record], list[dict[str, Any]]]:
    """A job on workers that take turns. Chunk 5 fails once on w1 after half a second and takes another turn there."""
    records: list[Record] = []
    events: list[dict[str, Any]] = [{"time": ZERO, "event": "run-started", "digest": plan.digest, "missing": 1}]
    events += [{"time": ZERO + 0.1, "event": "worker-starting", "worker": name} for name in names]
    free = dict.fromkeys(names, ZERO + 0.5 + LOAD_S + PROMPT_S)
    for number, chunk in enumerate(plan.chunks):
        worker = min(free, key=lambda name: free[name])
        events.append({"time": free[worker], "event": "sent", "worker": worker, "chunk": chunk.name})
        if number == 5:
            free[worker] += 0.5
            cause = "a NaN in frame 31 & <more>"
            events.append(
                {"time": free[worker], "event": "failed", "worker": worker, "chunk": chunk.name, "cause": cause}
            )
        record = make_record(plan, chunk, worker, free[worker] + 0.01, first=number < len(names))
        records.append(record)
        free[worker] = record.ended
        events.append({"time": free[worker], "event": "done", "worker": worker, "chunk": chunk.name})
    events.append({"time": max(free.values()) + 0.4, "event": "run-finished", "frames": 1, "film": "video.mp4"})
    return records, sorted(events, key=lambda event: event["time"])


def summarize(plan: Plan, records: Sequence[Record], events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """With the events as a run directory reads them."""
    return reports.summarize(plan, records, parse_log("\n".join(map(json.dumps, events))))


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((128, 128)).point(lambda value: (value + shade) % 256).save(file, "JPEG")
    return file.getvalue()


class Page(HTMLParser):
    """Every tag closed, the text collected."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def test_sums_and_means_by_stage() -> None:
    plan = make_plan(frames=12, chunk=6)
    first = make_record(plan, plan.chunks[0], "w0", ZERO, first=True)
    second = make_record(plan, plan.chunks[1], "w0", first.ended + 1.0)
    report = summarize(plan, [second, first], [])
    stages = report["stages"]
    assert stages["denoise"] == {"part": "render", "sum_s": pytest.approx(12 * 0.084), "mean_s": pytest.approx(0.084)}
    assert stages["encode"] == {"part": "beside", "sum_s": pytest.approx(12 * 0.009), "mean_s": pytest.approx(0.009)}
    assert stages["load"] == {"part": "start", "sum_s": 1.8, "mean_s": pytest.approx(0.15)}
    assert stages["rest"]["sum_s"] == pytest.approx(12 * REST_S, abs=1e-5)
    assert report["seconds_per_image"]["rendering"] == pytest.approx(0.1, abs=1e-5)  # 84 + 11 + 1 + 2 + 2 ms
    assert report["seconds_per_image"]["with_start"] == pytest.approx(0.1 + 2.0 / 12, abs=1e-5)
    assert report["wall_s"] == pytest.approx(2.0 + 0.6 + 1.0 + 0.6, abs=1e-5)  # load, chunk, pause, chunk
    assert report["bytes"] == 12_000


def test_a_stage_of_another_version_is_charged() -> None:
    plan = make_plan(frames=6)
    record = make_record(plan, plan.chunks[0], "w0", ZERO)
    report = summarize(plan, [replace(record, timings_s={"upscale": 0.3}, ended=ZERO + 0.6)], [])
    assert report["stages"]["upscale"]["part"] == "render"
    assert report["stages"]["rest"]["sum_s"] == pytest.approx(0.3)
    assert report["seconds_per_image"]["rendering"] == pytest.approx(0.1)
    assert "upscale" in Page(to_html(report, [])).text


def test_workers_are_idle_between_chunks_but_not_between_runs_or_while_failing() -> None:
    plan = make_plan(frames=24, chunk=6)
    a, b, c, d = plan.chunks
    done = [
        make_record(plan, a, "w0", ZERO + 10),  # 0.6 s
        make_record(plan, b, "w0", ZERO + 11),  # 0.4 s after a
        make_record(plan, c, "w0", ZERO + 1000),
        make_record(plan, d, "w0", ZERO + 1002),  # 1.4 s after c, of which 1 s went into a failed attempt
    ]
    events = [
        {"time": ZERO + 8, "event": "run-started"},
        {"time": ZERO + 998, "event": "run-started"},
        {"time": ZERO + 1000.6, "event": "done", "worker": "w0", "chunk": c.name},
        {"time": ZERO + 999.9, "event": "sent", "worker": "w0", "chunk": d.name},
        {"time": ZERO + 1001.6, "event": "failed", "worker": "w0", "chunk": d.name, "cause": "?"},
        {"time": ZERO + 1003, "event": "run-finished", "frames": 24, "film": "video.mp4"},
    ]
    report = summarize(plan, done, events)
    (worker,) = report["workers"]
    assert (worker["chunks"], worker["frames"]) == (4, 24)
    assert worker["frames_per_s"] == pytest.approx(10, abs=1e-3)
    assert worker["failed_s"] == pytest.approx(1.0)
    assert worker["idle_s"] == pytest.approx(0.4 + 0.4, abs=1e-3)
    assert worker["idle_share"] == pytest.approx(0.8 / (2.4 + 1.0 + 0.8), abs=1e-3)
    assert report["wall_s"] == pytest.approx(3.6 + 5.0, abs=1e-3)
    assert [run["finished"] for run in report["runs"]] == [False, True]
    assert [run["frames"] for run in report["runs"]] == [12, 12]
    assert "ran 2 times" in Page(to_html(report, [])).text


def test_the_whole_job_and_its_page() -> None:
    plan = make_plan()
    records, events = make_job(plan)
    report = summarize(plan, records, events)
    assert report["complete"]
    assert report["frames"] == {"total": 288, "rendered": 288}
    assert report["chunks"] == {"total": 48, "rendered": 48}
    assert report["film"] == {"name": "video.mp4", "fps": "24", "duration_s": 12.0}
    assert report["timeline"][0]["began_s"] == pytest.approx(2.51)
    assert len(report["timeline"]) == 48
    (failure,) = report["failures"]
    assert failure["chunk"] == "000030-000036"
    assert failure["mended"]
    assert failure["time_s"] - failure["began_s"] == pytest.approx(0.5)
    html = to_html(report, [(index, jpeg(index)) for index in range(0, 288, 24)])
    page = Page(html)
    assert "288 frames (12.0 s of film) at 0.100 s an image. Took 18.0 s on 2 workers, with 1 retry." in page.text
    assert page.tags.count("img") == 12
    assert html.count('class="chunk"') == 48
    assert html.count('class="failed"') == 1


def test_the_page_asks_for_nothing_outside() -> None:
    plan = make_plan()
    html = to_html(summarize(plan, *make_job(plan)), [(0, jpeg(0))])
    assert not re.search(r"https?://|@import|url\(|<link|<script|srcset", html)
    assert set(re.findall(r'src="(.{22})', html)) == {"data:image/jpeg;base64"}
    assert "default-src 'none'" in html


def test_json_gives_the_report_back_equal() -> None:
    plan = make_plan()
    records, events = make_job(plan)
    report = summarize(plan, records, events)
    again = json.loads(json.dumps(report))
    assert again == report
    assert to_html(again, []) == to_html(report, [])


def test_every_text_is_escaped() -> None:
    evil = "</pre><script>alert('1')</script>\"<img src=x onerror=y>"
    plan = make_plan(frames=12, prompt=evil)
    records, events = make_job(plan, names=("<b>w0", '"w1'))
    records[0] = replace(
        records[0], device=evil, notes=(Note(3, evil, evil),), versions={evil: evil}, sampler_table=evil
    )
    who = {"time": ZERO + 5, "worker": evil, "chunk": evil}
    events += [
        who | {"event": "failed", "cause": evil},
        who | {"event": "worker-lost", "cause": evil, "preempted": True},
        who | {"event": "warning", "text": evil},
        who | {"event": "damaged"},
        who | {"event": "run-finished", "film": "javascript:" + evil},
    ]
    html = to_html(summarize(plan, records, events), [])
    page = Page(html)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.text.count("alert(") >= 8
    assert 'href="javascript:' not in html


def test_one_chunk_of_one_frame() -> None:
    plan = make_plan(frames=1, chunk=1)
    records, events = make_job(plan, names=("local-0",))
    html = to_html(summarize(plan, records, events), [(0, jpeg(0))])
    assert "1 frame (42 ms of film)" in Page(html).text
    assert html.count('class="chunk"') == 1


def test_narrow_chunks_are_drawn_together_and_none_is_forgotten() -> None:
    plan = make_plan(frames=3000, chunk=1)
    report = summarize(plan, *make_job(plan))
    assert len(report["timeline"]) == 3000
    html = to_html(report, [])
    drawn = re.findall(r'class="chunk"[^>]*><title>(?:([\d,]+) × chunk)?', html)
    assert len(drawn) < 1000
    assert sum(int(count.replace(",", "") or 1) for count in drawn) == 3000


def test_of_many_workers_those_with_failures_are_shown() -> None:
    plan = make_plan(frames=200, chunk=1)
    records, events = make_job(plan, names=[f"w{number}" for number in range(100)])
    events.append({"time": ZERO + 4, "event": "failed", "worker": "w99", "chunk": "000007-000008", "cause": "?"})
    html = to_html(summarize(plan, records, events), [])
    assert "48 of 100 workers, those with failures first" in html
    names = re.findall(r'<span title="(w\d+)">', html)
    assert (len(names), names[0], names[-1]) == (48, "w0", "w99")


@pytest.mark.parametrize("kept", [slice(0, 0), slice(1, None), slice(None, -1), slice(40, 60), slice(None, None, 3)])
def test_a_torn_log_changes_no_sum(kept: slice) -> None:
    plan = make_plan()
    records, events = make_job(plan)
    whole, torn = summarize(plan, records, events), summarize(plan, records, [{"odd": 1}, *events[kept]])
    for key in ("stages", "seconds_per_image", "frames", "chunks", "bytes", "versions", "complete"):
        assert torn[key] == whole[key]
    assert torn["wall_s"] == pytest.approx(whole["wall_s"], abs=1.0)
    assert len(torn["runs"]) == 1
    untold = [remark for remark in torn["remarks"] if "the log tells nothing of" in remark]
    assert bool(untold) == (len([event for event in events[kept] if event["event"] == "done"]) < len(records))
    assert Page(to_html(torn, [])).text


def test_a_run_whose_first_line_was_torn_is_a_run_of_its_own() -> None:
    plan = make_plan(frames=12, chunk=6)
    records = [make_record(plan, plan.chunks[0], "w0", ZERO + 3), make_record(plan, plan.chunks[1], "w0", ZERO + 5003)]
    events = [
        {"time": ZERO, "event": "run-started"},
        {"time": ZERO + 1, "event": "worker-starting", "worker": "w0"},
        {"time": ZERO + 5001, "event": "worker-starting", "worker": "w0"},
    ]
    report = summarize(plan, records, events)
    assert [run["frames"] for run in report["runs"]] == [6, 6]
    assert report["wall_s"] == pytest.approx(3.6 + 2.6, abs=1e-3)


def test_a_selection_of_stills_is_not_part_of_the_film() -> None:
    plan = make_plan(frames=12, chunk=6)
    records, events = make_job(plan)
    other = Chunk(0, 11, 5).name
    before = [
        {"time": ZERO - 500, "event": "run-started"},
        {"time": ZERO - 499, "event": "sent", "worker": "w0", "chunk": other},
        {"time": ZERO - 400, "event": "failed", "worker": "w0", "chunk": other, "cause": "?"},
    ]
    assert summarize(plan, records, [*before, *events]) == summarize(plan, records, events)


def test_nothing_rendered_is_a_report_too() -> None:
    plan = make_plan()
    events = [
        {"time": ZERO, "event": "run-started"},
        {"time": ZERO + 9, "event": "worker-lost", "worker": "w0", "cause": "?"},
    ]
    for logged in ([], events):
        report = summarize(plan, [], logged)
        assert not report["complete"]
        assert "None of 288 frames rendered" in Page(to_html(report, [])).text


def test_missing_chunks_are_named() -> None:
    plan = make_plan()
    records, events = make_job(plan)
    report = summarize(plan, [record for record in records if record.chunk.start != 30], events)
    assert (report["complete"], report["failures"][0]["mended"]) == (False, False)
    text = Page(to_html(report, [])).text
    assert "6 frames still missing" in text
    assert "282 of 288 frames" in text


def test_several_versions_and_devices_are_remarked() -> None:
    plan = make_plan(frames=12, chunk=6)
    records, events = make_job(plan)
    assert not summarize(plan, records, events)["remarks"]  # another host of the same kind is no other device
    other = replace(
        records[1], versions=VERSIONS | {"torch": "2.10.0"}, device="cuda H100 on node-w1", sampler_table="cd" * 32
    )
    report = summarize(plan, [records[0], other], events)
    assert report["versions"]["torch"] == ["2.10.0", "2.9.0"]
    about = [
        "versions of torch (2.10.0, 2.9.0)",
        "kinds of device (cpu Epyc, cuda H100)",
        "sampler tables (abababababab, cdcdcdcdcdcd)",
    ]
    assert len(report["remarks"]) == 3
    for expected, remark in zip(about, report["remarks"], strict=True):
        assert expected in remark
        assert remark in Page(to_html(report, [])).text


def test_an_approximated_film_says_so() -> None:
    plan = make_plan(frames=12, chunk=6)
    rough = replace(plan, settings=replace(plan.settings, guidance_from=0.1, guidance_until=0.8, interpolate_frames=4))
    report = summarize(rough, *make_job(rough))
    [remark] = report["remarks"]
    assert remark.startswith("approximated: guidance in 10–80 % of the steps, deep features of every 4. frame")
    assert report["settings"]["interpolate_frames"]["value"] == 4
    assert remark in Page(to_html(report, [])).text


def test_notes_losses_and_warnings() -> None:
    plan = make_plan()
    records, events = make_job(plan)
    notes = tuple(Note(frame, "fp32", "NaN or blank in bf16") for frame in (0, 2, 3, 4))
    records[0] = replace(records[0], notes=notes)
    at = {"time": ZERO + 6.0, "worker": "w0"}
    events += [at | {"event": "warning", "text": "the prompt is longer than the model reads"}] * 2
    events.append(at | {"event": "worker-lost", "cause": "its node went away", "preempted": True})
    events.append(at | {"event": "worker-retired"})
    report = summarize(plan, records, sorted(events, key=lambda event: event["time"]))
    where = {"chunk": "000000-000006", "worker": "w0"}
    assert report["notes"][1] == {"frame": 2, "kind": "fp32", "text": "NaN or blank in bf16"} | where
    assert report["warnings"] == ["the prompt is longer than the model reads"]
    assert [lost["preempted"] for lost in report["workers_lost"]] == [True, False]
    html = to_html(report, [])
    assert "0, 2–4: NaN or blank in bf16" in html
    assert html.count('class="taken"') == 1


def test_a_quiet_job_says_so() -> None:
    plan = make_plan(frames=12)
    report = summarize(plan, *make_job(plan))
    assert "None. Every chunk was rendered at the first attempt." in Page(to_html(report, [])).text
