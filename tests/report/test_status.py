"""What a log tells of a run that goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from render.report import Forecast, line_of, problems
from render.report.status import RunStatus, run_status
from render.store import LogEntry
from render.store.events import parse_log

FRAMES = {f"{start:06}-{start + 4:06}": 4 for start in range(0, 40, 4)}
A, B, C, D, E = list(FRAMES)[:5]


def event(time: float, kind: str, **details: Any) -> dict[str, Any]:
    return {"time": time, "event": kind, **details}


def entries(events: Sequence[dict[str, Any]]) -> list[LogEntry]:
    """The events as a run directory reads them."""
    return parse_log("\n".join(map(json.dumps, events)))


def status(events: Sequence[dict[str, Any]], chunks_done: Sequence[str] = (A, C), now: float = 7.0) -> RunStatus:
    return run_status(entries(events), FRAMES, FRAMES.keys() - set(chunks_done), now)


RUN = [
    event(0, "run-started", missing=10, chunks=10),
    event(1, "worker-ready", worker="w0", host="box", pid=1),
    event(1, "worker-ready", worker="w1", host="hut", pid=2),
    event(2, "sent", worker="w0", chunk=A),
    event(2, "sent", worker="w1", chunk=B),
    event(2, "sent", worker="w0", chunk=C),
    event(4, "done", worker="w0", chunk=A),
    event(5, "failed", worker="w1", chunk=B, cause="out of luck"),
    event(5, "worker-lost", worker="w1", cause="killed"),
    event(6, "done", worker="w0", chunk=C),
    event(6, "sent", worker="w0", chunk=D),
]


def test_workers_speed_and_losses() -> None:
    now = status(RUN)
    [busy] = now.workers
    assert (busy.worker, busy.host, busy.chunk, busy.since) == ("w0", "box", D, 6)
    assert now.forecast.frames_per_s == 2.0, "four frames in two seconds, twice"
    assert now.forecast.seconds == 15.0, "one second of this chunk, two of each of the seven others"
    assert (now.retries, now.lost, now.waiting, now.began, now.draining) == (1, 1, 7, 0, False)


def test_only_the_last_run_counts() -> None:
    now = status([*RUN, event(100, "run-started"), event(101, "worker-ready", worker="w0", host="box", pid=3)])
    assert (now.began, now.retries, now.lost, now.forecast) == (100, 0, 0, Forecast(None))
    assert [(busy.worker, busy.chunk) for busy in now.workers] == [("w0", None)]


def test_a_torn_log_is_read_as_far_as_it_goes() -> None:
    torn = [entry for place, entry in enumerate(RUN) if place not in (0, 1, 3)]
    now = status([{"event": "sent"}, *torn])
    assert {busy.worker for busy in now.workers} == {"w0"}
    assert status([]).workers == []


def test_an_event_of_a_later_version_changes_nothing() -> None:
    strange = [event(time, "thawed", worker="w0", chunk=D) for time in (0.5, 3, 7)]
    assert status(sorted([*RUN, *strange], key=lambda entry: float(entry["time"]))) == status(RUN)


def test_the_time_to_go_counts_down_while_a_chunk_is_awaited() -> None:
    assert [status(RUN, now=now).forecast.seconds for now in (6, 7, 8)] == [16, 15, 14]
    assert status(RUN, now=9).forecast.seconds == 15, "a chunk that is overdue"
    assert status(RUN, now=0).forecast.seconds == 16, "a clock that is behind"


def test_while_draining_only_what_is_executed_is_awaited() -> None:
    now = status([*RUN, event(6.5, "sent", worker="w0", chunk=E), event(6.5, "draining", executing=1)])
    assert (now.draining, now.forecast.seconds, now.waiting) == (True, 1.0, 6)


def test_lines_for_people() -> None:
    log = entries([*RUN, event(7, "note", frame=3, text="was NaN"), event(8, "thawed", worker="w0", degrees=3)])
    assert [entry.event for entry in problems(log)] == ["failed", "worker-lost", "note"]
    assert line_of(log[7]).split("  ", 1)[1] == "failed          w1   frames 4–7: out of luck"
    assert line_of(log[1]).endswith("worker-ready    w0   host box, pid 1")
    assert line_of(log[-2]).split("  ", 1)[1] == "note                 frame 3: was NaN"
    assert line_of(log[-1]).endswith("thawed          w0   degrees 3"), "a word of a later version"
    [torn] = entries([event(9, "failed", worker="w0", chunk=A, cause="a\x1b[2Jb\nc")])
    assert line_of(torn).endswith(r"frames 0–3: a\x1b[2Jb\nc"), "one line, and nothing that a terminal would obey"
