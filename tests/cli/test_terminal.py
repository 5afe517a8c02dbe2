"""Words for people: plain lines where there is no terminal, whole and unchanged."""

from __future__ import annotations

import pytest

from render.cli.terminal import ProgressBars, describe_progress
from render.farm.progress import Progress


def progress(done: int, **changes: float) -> Progress:
    values = {"frames_total": 96, "rendered": done, "elapsed_s": 12.0, "workers": 2, "retries": 0} | changes
    return Progress(frames_done=done, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (progress(0, workers=0, elapsed_s=0.0), "0/96 frames  waiting for a worker"),
        (progress(0, workers=0, opening=1, elapsed_s=0.0), "0/96 frames  loading the model"),
        (progress(48, retries=1), "48/96 frames  4.00 frames/s  12.0 s left  2 workers  1 retry"),
        (progress(96, workers=1, retries=2), "96/96 frames  8.00 frames/s  1 worker  2 retries"),
    ],
    ids=["waiting", "loading", "half way", "done"],
)
def test_progress(shown: Progress, text: str) -> None:
    assert describe_progress(shown) == text


def test_a_log_gets_a_line_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as bars:
        job = bars.job("job.yaml")
        for done in (1, 2, 3, 96):
            job.progress(progress(done))
    out, err = capfd.readouterr()
    assert (out, [line.split()[1] for line in err.splitlines()]) == ("", ["1/96", "96/96"])


@pytest.mark.parametrize("text", ["x" * 300, "[bold]not markup[/bold]", ":warning: no emoji", "C:\\[a]"])
def test_notices_are_told_as_they_are(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as bars:
        bars.job("job[1].yaml").notice(text)
    assert capfd.readouterr().err == f"job[1].yaml: {text}\n"
