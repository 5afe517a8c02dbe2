"""What is known of this machine without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from render import __version__
from render.plan import guessed_machine, this_cpu
from render.plan.machine import versions

CPUINFO = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu sse {}\n\nprocessor\t: 1\nmodel name\t: Other\n"


def test_this_machine() -> None:
    machine = this_cpu()
    assert machine.device == "cpu"
    assert machine.name
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert machine.memory_bytes > 1 << 28


@pytest.mark.parametrize(("flags", "fast"), [("amx_bf16", True), ("avx512_bf16", True), ("avx512f", False)])
def test_fast_bfloat16_is_read_from_the_flags(flags: str, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_options: CPUINFO.format(flags))
    machine = this_cpu()
    assert (machine.bf16, machine.name) == (fast, "Some CPU")


def test_a_machine_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_args: object, **_options: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert this_cpu().bf16 is False
    assert this_cpu().name


def test_cores_are_those_this_process_may_use() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        wanted = 1
        code = "from render.plan import this_cpu; print(this_cpu().cores)"
    else:
        wanted = 1
        code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        code += "from render.plan import this_cpu; print(this_cpu().cores)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == wanted


def test_versions_name_what_decides_pixels() -> None:
    found = versions()
    assert found["render"] == __version__
    assert {"python", "av", "numpy"} <= set(found)


@pytest.mark.parametrize(
    ("device", "family", "shown", "expected"),
    [
        ("auto", "sd", True, "cuda"),
        ("auto", "sd", False, "cpu"),
        ("cuda", "sd", False, "cuda"),
        ("cpu", "sd", True, "cpu"),
        ("auto", "testcard", True, "cpu"),
    ],
)
def test_what_a_job_would_find_here(
    device: str, family: str, *, shown: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render.plan.machine.NVIDIA", tmp_path)
    if shown:
        (tmp_path / "0000:01:00.0").mkdir()
    assert guessed_machine(device, family).device == expected
