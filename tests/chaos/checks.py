"""What must be true after the chaos, from the log and the film alone: nothing here knows how the farm works inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from render.engine.testcard import read_index
from render.video.reader import decode
from tests.chaos.faults import Injected

SLACK_S = 1.0  # between a fault and the log's own clock


@dataclass(frozen=True)
class Attempt:
    """One time that a chunk was sent to a worker."""

    chunk: str
    worker: str
    run: int
    sent: float
    done: bool
    lost: str  # why nothing came of it, as the log says; empty where something did


def attempts(events: Sequence[dict[str, Any]]) -> dict[str, list[Attempt]]:
    """The attempts at every chunk in order."""
    found: dict[str, list[Attempt]] = {}
    for run, log in enumerate(_runs(events)):
        open_: dict[tuple[str, str], float] = {}
        for event in [*log, {"event": "run-over"}]:
            worker, chunk = event.get("worker", ""), event.get("chunk", "")
            match event["event"]:
                case "sent":
                    open_[worker, chunk] = event["time"]
                    continue
                case "done":
                    ended, why = [(worker, chunk)] if (worker, chunk) in open_ else [], ""
                case "failed":
                    ended, why = [(worker, chunk)] if (worker, chunk) in open_ else [], event["cause"]
                case "worker-lost":
                    ended, why = [key for key in open_ if key[0] == worker], event["cause"]
                case "run-over":
                    ended, why = list(open_), "the driver was killed"
                case _:
                    continue
            for name, piece in ended:
                done = event["event"] == "done"
                found.setdefault(piece, []).append(Attempt(piece, name, run, open_.pop((name, piece)), done, why))
    return {chunk: sorted(tries, key=lambda attempt: attempt.sent) for chunk, tries in found.items()}


def _runs(events: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    """The events of each run of the driver."""
    starts = [place for place, event in enumerate(events) if event["event"] == "run-started"]
    for begin, end in zip(starts, [*starts[1:], len(events)], strict=True):
        yield events[begin:end]


def rendered_twice(tried: dict[str, list[Attempt]], injected: Sequence[Injected]) -> dict[str, list[str]]:
    """The chunks that were done more than once, with the reason of each time. AssertionError for one without."""
    found: dict[str, list[str]] = {}
    for chunk, tries in tried.items():
        done = [attempt for attempt in tries if attempt.done]
        for first, again in pairwise(done):
            harm = [
                fault.kind
                for fault in injected
                if chunk in fault.chunks and first.sent - SLACK_S <= fault.time <= again.sent + SLACK_S
            ]
            assert harm, (
                f"{chunk} was rendered by {first.worker} and again by {again.worker}, and nothing called for it"
            )
            found.setdefault(chunk, []).append(harm[-1])
    return found


def failed_attempts(tried: dict[str, list[Attempt]]) -> Counter[str]:
    """Attempts that came to nothing, by cause."""
    return Counter(attempt.lost.partition(";")[0] for tries in tried.values() for attempt in tries if not attempt.done)


def charged_for_dead_nodes(events: Sequence[dict[str, Any]], injected: Sequence[Injected]) -> list[str]:
    """Chunks that were blamed for the death of a node."""
    pids = {pid for fault in injected if fault.kind == "kill node" for pid in fault.workers}
    blamed = []
    for log in _runs(events):
        ready = {event["worker"]: event["pid"] for event in log if event["event"] == "worker-ready"}
        charged = [event for event in log if event["event"] == "failed" and ready.get(event["worker"]) in pids]
        blamed += [f"{event['chunk']}: {event['cause']}" for event in charged if "no result" not in event["cause"]]
    return blamed


def check_film(film: Path, calm: Path, frames: int) -> None:
    """Every frame once and in order, and each equal to the undisturbed film's."""
    indices = []
    for ours, theirs in zip(decode(film), decode(calm), strict=True):
        indices.append(read_index(ours))
        assert (ours == theirs).all(), f"frame {len(indices) - 1} differs"
    assert indices == list(range(frames))


def table(injected: Sequence[Injected], codes: Sequence[int], events: Sequence[dict[str, Any]], seconds: float) -> str:
    """What happened, for people."""
    tried = attempts(events)
    twice = rendered_twice(tried, injected)
    kinds = Counter(fault.kind for fault in injected)
    reasons = Counter(reason for all_of_them in twice.values() for reason in all_of_them)
    rows = [("faults", str(len(injected))), *((f"  {kind}", str(count)) for kind, count in sorted(kinds.items()))]
    rows += [("runs of the driver", str(len(codes))), ("  exit codes", " ".join(map(str, codes)))]
    rows += [("chunks", str(len(tried))), ("attempts", str(sum(map(len, tried.values()))))]
    rows += [(f"  lost: {cause}", str(count)) for cause, count in failed_attempts(tried).most_common()]
    rows += [("chunks rendered twice", str(len(twice)))]
    rows += [(f"  because of: {reason}", str(count)) for reason, count in reasons.most_common()]
    rows += [("chunks charged", str(sum(event["event"] == "failed" for event in events)))]
    rows += [("workers lost", str(sum(event["event"] == "worker-lost" for event in events)))]
    rows += [("seconds", f"{seconds:.0f}")]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
