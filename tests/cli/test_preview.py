"""A contact sheet: of the job's own frames, without measuring first, whatever the job keeps of its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from render.cli.commands.preview import preview, sketch
from render.engine.testcard import read_index
from render.farm.local import LocalFarm
from render.spec import JobFile
from render.video.stills import read_still

Make = Callable[..., JobFile]


@pytest.mark.parametrize("stills", ["png", "jpg"])
def test_whatever_stills_a_job_keeps(stills: str, job_of: Make, watcher: Any, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    assert preview(job_of(f"output.frames={stills}"), LocalFarm, watcher, target) == 12
    assert read_index(read_still(target)[4:76, 4:132]) == 0


@pytest.mark.parametrize(("device", "batch"), [("cpu", 8), ("cuda", 16)])
def test_nothing_is_left_to_measure(device: str, batch: int, job_of: Make) -> None:
    job = job_of("model=demo", "size=128x128", "frames=96", f"engine.device={device}")
    assert job.spec.engine.batch == "auto"
    shown = sketch(job, "elsewhere").spec
    assert (shown.engine.batch, shown.steps, shown.run_dir) == (batch, 8, Path("elsewhere"))
    assert shown.keyframes == job.spec.keyframes


def test_a_batch_that_is_given_stays(job_of: Make) -> None:
    assert sketch(job_of("engine.batch=3"), "elsewhere").spec.engine.batch == 3
