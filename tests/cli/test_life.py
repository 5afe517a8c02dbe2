"""What the commands say of one job before it is rendered, in the middle, after, cleaned, and without its film."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render.cli import main
from render.spec import load
from render.video.animation import write_animation
from tests.conftest import CARD

Render = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.yaml").write_text(CARD)
    return tmp_path


@pytest.fixture
def render(capfd: pytest.CaptureFixture[str]) -> Render:
    """``render("plan", …)``: its object where ``--json`` is among the words, else what it printed."""

    def call(*arguments: str) -> Any:
        capfd.readouterr()
        assert main(arguments) == 0, capfd.readouterr().err
        out = capfd.readouterr().out
        return json.loads(out) if "--json" in arguments else out

    return call


def said(render: Render, *job: str, out: str = "out/card") -> tuple[Any, ...]:
    """``plan`` and ``status`` as machines read them: digest, chunks, what is left."""
    plan, status = render("plan", *job, "--json"), render("status", out, "--json")
    assert plan["differences"] == []
    assert plan["digest"] == status["digest"]
    assert (plan["chunks_done"], plan["complete"], plan["cleaned"]) == tuple(
        status[key] for key in ("chunks_done", "complete", "cleaned")
    )
    return status["chunks_done"], status["frames_done"], status["complete"], status["cleaned"], bool(status["film"])


def test_a_model_in_diffusers_layout(tiny_sd: Path, here: Path, render: Render) -> None:
    """A plan is the run's own, though nobody sums the weights up again to show it."""
    shutil.copytree(tiny_sd, here / "model")
    job = ("card.yaml", "--set", "model=./model", "--set", "size=64x64", "--set", "frames=4", "--set", "steps=1")
    job = (*job, "--set", "farm.chunk=2", "--set", "engine.batch=2")
    assert render("plan", *job, "--json")["digest"] is None
    assert render("run", *job, "--local", "--json")["rendered"] == 4
    assert said(render, *job) == (2, 4, True, False, True)
    assert "chunks   2 chunks of 2 frames, 2 done" in render("plan", *job)
    render("clean", "out/card")
    assert said(render, *job) == (2, 4, True, True, True)

    shutil.copytree(tiny_sd, here / "moved")
    elsewhere = [word.replace("./model", "./moved") for word in job]
    assert render("run", *elsewhere, "--local", "--json")["rendered"] == 0, "the same files under another name"
    assert said(render, *elsewhere)[:3] == (2, 4, True)

    scheduler = here / "moved/scheduler/scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("0.012", "0.013"))
    plan = render("plan", *elsewhere, "--json")
    assert (plan["differences"], plan["complete"]) == (["model.scheduler.beta_end: 0.012 -> 0.013"], True)


def test_a_card_through_its_life(here: Path, render: Render) -> None:
    out, job = here / "out/card", ("card.yaml",)
    assert (plan := render("plan", *job, "--json"))["chunks_done"] == 0
    assert (plan["complete"], plan["cleaned"]) == (False, False)
    render("run", *job, "--local")
    assert said(render, *job) == (3, 12, True, False, True)
    assert "state    complete, nothing is left to render\n" in render("plan", *job)

    film = (out / "video.mp4").read_bytes()
    (out / "video.mp4").write_bytes(film[:-1])
    assert said(render, *job) == (3, 12, False, False, False), "a film that is cut short is none"
    (out / "video.mp4").unlink()
    assert said(render, *job) == (3, 12, False, False, False)
    assert "every chunk is done, and the film is not there; `render run` joins it" in render("status", "out/card")
    assert render("run", *job, "--local", "--json")["rendered"] == 12 - 12
    assert said(render, *job) == (3, 12, True, False, True)

    (out / "segments/000004-000008.mp4").unlink()
    assert said(render, *job) == (2, 8, False, False, True), "in the middle"
    assert render("run", *job, "--local", "--json")["rendered"] == 4
    render("clean", "out/card")
    assert said(render, *job) == (3, 12, True, True, True)
    assert "state    complete, nothing is left to render; cleaned\n" in render("plan", *job)
    status = render("status", "out/card")
    assert "state    complete; its segments were cleaned away\n" in status
    assert "frames   12 of 12 (100%)\n" in status
    assert "film     out/card/video.mp4" in status
    edited = render("plan", *job, "--set", "steps=9", "--json")
    assert (edited["chunks_done"], edited["complete"]) == (0, False), "the film is that of another plan"
    assert edited["differences"] == ["steps: 20 -> 9"]

    (out / "video.mp4").unlink()
    assert said(render, *job) == (0, 0, False, True, False)
    assert "cleaned, and the film or stills are not there; `render run` renders them again" in render(
        "status", "out/card"
    )
    assert render("run", *job, "--local", "--json")["rendered"] == 12
    assert (out / "video.mp4").read_bytes() == film
    assert said(render, *job) == (3, 12, True, False, True)


@pytest.mark.parametrize("video", ["null", "mp4"])
def test_stills_outlive_clean(video: str, here: Path, render: Render) -> None:
    """Stills that were asked for are what a job was made for, as its film is."""
    job = ("card.yaml", "--set", "output.frames=png", "--set", f"output.video={video}")
    render("run", *job, "--local")
    render("clean", "out/card")
    film = video != "null"
    assert said(render, *job) == (3, 12, True, True, film)
    assert render("run", *job, "--local", "--json")["rendered"] == 0
    (here / "out/card/frames/000007.png").unlink()
    assert said(render, *job) == (0, 0, False, True, film)
    assert render("run", *job, "--local", "--json")["rendered"] == 12


def test_segments_alone_do_not_outlive_clean(render: Render) -> None:
    job = ("card.yaml", "--set", "output.video=null")
    render("run", *job, "--local")
    assert said(render, *job) == (3, 12, True, False, False)
    render("clean", "out/card")
    assert said(render, *job) == (0, 0, False, True, False)


def test_a_job_that_was_cleaned_before_its_end(here: Path, render: Render) -> None:
    """Film and report of nothing stand, whatever lies there under the film's name."""
    render("run", "card.yaml", "--local")
    log = here / "out/card/events.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(True) if "run-finished" not in line))
    render("clean", "out/card")
    assert said(render, "card.yaml") == (0, 0, False, True, True)


@pytest.mark.parametrize("video", ["gif", "webp", "mp4", "mov"])
def test_every_film_carries_its_job(video: str, here: Path, render: Render) -> None:
    job = ("card.yaml", "--set", f"output.video={video}")
    render("run", *job, "--local")
    facts = render("inspect", f"out/card/video.{video}", "--json")
    assert (facts["frames"], facts["size"], facts["fps"]) == (12, "128x72", "24")
    assert facts["digest"] == render("status", "out/card", "--json")["digest"]
    (here / "again.yaml").write_text(render("inspect", f"out/card/video.{video}"))
    spec = load(here / "again.yaml").spec
    assert spec == load(here / "card.yaml", [f"output.video={video}"]).spec


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_film_tells_no_more_than_a_spec(
    kind: str, here: Path, render: Render, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it carries comes from anywhere: it is read like any job spec, and nothing else is printed."""
    pictures = [np.full((8, 8, 3), shade, np.uint8) for shade in (0, 99)]
    for text in ("steps: 0\n\x1b[2J", CARD + "exec: rm\n", "a" * (2 << 20), "[" * 9999):
        write_animation(
            here / f"a.{kind}", pictures, Fraction(2), facts={"render-spec": text, "render-digest": "\x1b[2J"}
        )
        assert main(["inspect", f"a.{kind}"]) == 8
        out, err = capfd.readouterr()
        assert (out, err.count("\n"), "\x1b" in err) == ("", 1, False)
        assert "was made by another version of render, or tampered with: its job spec" in err
    write_animation(here / f"a.{kind}", pictures, Fraction(2), facts={"render-spec": CARD, "render-digest": "\x1b[2J"})
    assert render("inspect", f"a.{kind}", "--json")["digest"] is None
    write_animation(here / f"a.{kind}", pictures, Fraction(2))
    assert main(["inspect", f"a.{kind}"]) == 8
    assert "carries no job spec" in capfd.readouterr().err
