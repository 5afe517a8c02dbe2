"""Mutated job specs through the loader: no exception but our own, no hang. ``make fuzz`` takes 100,000 of them.

A case is a number: the same one makes the same bytes. Half of the mutants are made of bytes (what an editor, a disk or
an attacker does to a file), half of structure (what a program does that writes specs).
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from render.errors import SpecError
from render.spec import MODES, JobSpec, dump, load, validate
from render.spec.document import parse

__all__ = ["Figures", "run"]

JOBS = Path(__file__).parents[1] / "jobs"
LIMIT_S = 5.0  # of one case; the largest file that is read takes four of them on a slow core
TEXTS = [
    *(mode.template for mode in MODES.values()),
    *(path.read_text(encoding="utf-8") for path in sorted(JOBS.glob("*.yaml"))),
]
SHORT = ["\n".join(line.split(" #")[0] for line in text.splitlines() if not line.startswith("#")) for text in TEXTS]
DATA = [parse(text, name="base").data for text in TEXTS]

TOKENS = (
    *("{", "}", "[", "]", ",", ":", ": ", "? ", "- ", "\n", "\t", "  ", "|\n", ">-\n", "'", '"', "#", "%YAML 1.1\n"),
    *("---\n", "...\n", "&a ", "*a", "<<: *a\n", "!!python/object/apply:os.system ", "!!binary ", "!!int ", "!!float "),
    *("!!timestamp ", "!!set ", "! ", "!", "\0", "\x1b[31m", "\ufeff", "\u2028", "\ud7ff", "\U0001f600", '"\\ud800"'),
    *("9" * 400, "-1", "1e999", "-1e999", ".inf", ".nan", "0x10", "1_000", "1:30:00", "٣s", "²", "99999999999s", "0"),
    *("1/0", "24000/1001", "0x0", "4096x4096", "null", "~", "auto", "true", "x" * 5000, "../../etc/passwd", "~root"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**64, 10**300, -(10**300), 0.0, -0.0, 1e-308, 1e308, 0.1, [], {}, "", " "),
    *(
        float("nan"),
        float("inf"),
        "auto",
        "0",
        "4s",
        "-4s",
        "1:30",
        "1e9h",
        "٣s",
        "128x128",
        "1x1",
        "24000/1001",
        "1/0",
    ),
    *(
        "\0",
        "\x1b]0;x\x07",
        "\n",
        "\u202e",
        "a" * 4001,
        "é" * 4000,
        "../..",
        "/dev/null",
        "~nobody/x",
        "con",
        [[]],
        [None],
    ),
    *(
        {"at": 0},
        [0, 1],
        [1, 0],
        {"": ""},
        "onnx",
        "tensorrt",
        "h265",
        "prores",
        "gif",
        "lcm",
        "fp16",
        "low",
        "testcard:9ms",
    ),
)
DEPTH = 40


def case(number: int) -> bytes:
    """The mutant of that number."""
    dice = random.Random(number)
    return _bytes(dice) if dice.random() < 0.5 else _structure(dice)


def _bytes(dice: random.Random) -> bytes:
    text = dice.choice(SHORT).encode()
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at, to = sorted(dice.randrange(len(text) + 1) for _ in range(2))
        to = min(to, at + dice.choice((1, 4, 40, 400)))
        match dice.randrange(7):
            case 0:
                text = text[:at] + bytes([dice.randrange(256)]) + text[at + 1 :]
            case 1:
                text = text[:at] + text[to:]
            case 2:
                text = text[:to] + text[at:to] * dice.choice((1, 2, 30)) + text[to:]
            case 3:
                other = dice.choice(SHORT).encode()
                text = text[:at] + other[dice.randrange(len(other)) :]
            case 4:
                text = text[:at]
            case _:
                token = dice.choice(TOKENS).encode() * dice.choice((1, 1, 1, 2, 50))
                text = text[:at] + token + text[at:]
    return text


def _structure(dice: random.Random) -> bytes:
    data = deepcopy(dice.choice(DATA))
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        places = list(_places(data))
        if not places:
            break
        holder, key = dice.choice(places)
        match dice.randrange(8):
            case 0 if isinstance(holder, dict):
                holder[dice.choice(TOKENS)] = holder.pop(key)
            case 1 if isinstance(holder, dict):
                del holder[key]
            case 2:
                other, name = dice.choice(places)
                holder[key] = deepcopy(other[name])
            case 3:
                holder[key] = _nested(holder[key], dice.choice((1, 3, DEPTH)), dice)
            case 4:
                holder[key] = dice.choice(TOKENS) * dice.choice((1, 1, 3))
            case 5 if isinstance(holder[key], list):
                holder[key] = deepcopy(holder[key] * dice.choice((2, 20)))
            case _:
                holder[key] = deepcopy(dice.choice(VALUES))
    return json.dumps(data, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of every value."""
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], dict | list):
            yield from _places(data[key])


def _nested(value: Any, depth: int, dice: random.Random) -> Any:
    for _ in range(depth):
        value = [value] if dice.random() < 0.5 else {"a": value}
    return value


@dataclass
class Figures:
    """What came of the cases. ``failed`` holds number and reason of what must not be."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: tuple[float, int] = (0.0, -1)
    failed: list[tuple[int, str]] = field(default_factory=list)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count:,} {what}" for what, count in self.outcomes.most_common())
        took, number = self.slowest
        return (
            f"{self.outcomes.total():,} specs in {self.seconds:.0f} s: {outcomes}; "
            f"slowest: case {number}, {took * 1000:.0f} ms; failures: {len(self.failed)}"
        )


class _HangError(BaseException):
    """A case took too long. No Exception: nothing on the way may catch it."""


def run(cases: range, told: Callable[[str], None] | None = None) -> Figures:
    """Load every case from a file, as the command does; what loads is written out and read back."""
    figures, began = Figures(), time.perf_counter()
    before = signal.signal(signal.SIGALRM, _hang)
    try:
        with TemporaryDirectory(prefix="render-fuzz-") as folder:
            for number in cases:
                _try(number, Path(folder) / "job.yaml", figures)
                if told is not None and (number + 1) % 5000 == 0:
                    figures.seconds = time.perf_counter() - began
                    told(str(figures))
    finally:
        signal.signal(signal.SIGALRM, before)
    figures.seconds = time.perf_counter() - began
    return figures


def _hang(_signal: int, _frame: object) -> None:
    raise _HangError


def _try(number: int, path: Path, figures: Figures) -> None:
    path.write_bytes(case(number))
    began = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, 10 * LIMIT_S)  # wall time: ten on a crowded machine count as one
    try:
        outcome = _load(path)
    except _HangError:
        outcome = "hang"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        outcome = f"{type(error).__name__}: {error}"[:200]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    took = time.process_time() - began
    figures.slowest = max(figures.slowest, (took, number))
    if took > LIMIT_S:
        outcome = "hang"
    kind = outcome if outcome in ("loaded", "refused") else "failed"
    figures.outcomes[kind] += 1
    if kind == "failed":
        figures.failed.append((number, outcome))


def _load(path: Path) -> str:
    try:
        spec = load(path).spec
    except SpecError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.isprintable() and len(line) < 1000 for line in lines), "a message that no terminal should show"
        return "refused"
    assert spec.num_frames >= 1
    assert spec.run_dir
    again: JobSpec = validate(parse(dump(spec), name="again"))
    assert again == spec, "what is written out reads back as something else"
    return "loaded"


def main(count: int) -> int:
    """Run so many cases, print the figures; 1 where something failed."""
    figures = run(range(count), lambda text: print(text, flush=True))
    for number, reason in figures.failed[:20]:
        print(f"case {number}: {reason}\n  {case(number)[:300]!r}")
    print(figures)
    return 1 if figures.failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
