"""``render bench`` from the command line, on a tiny model and as little as possible."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from render.bench.suite import APPROXIMATIONS
from render.cli import main

SMALL = ["--quick", "--steps", "2", "--batches", "1,2", "--frames", "2", "--rounds", "1", "--size", "64x64"]


@pytest.mark.slow
def test_bench_measures_writes_and_compares(
    tiny_sd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render.bench.runner.ACCURACY_FRAMES", 9)
    for module in ("parts", "peak"):
        monkeypatch.setattr(f"render.bench.probes.{module}.ROUND_S", 0.01)
    assert main(["bench", "--model", str(tiny_sd), *SMALL, "--dtypes", "fp32", "--out", str(tmp_path)]) == 0
    assert "dB PSNR" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.md", "report.html"}
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry["case"]["renderer"] for entry in report["results"]].count("diffusers") == 2
    assert all(entry["mfu"] > 0 for entry in report["results"])
    assert {entry["name"] for entry in report["accuracy"]} >= {"float32", "exact"}
    missing = {item["name"].removeprefix("accuracy: ") for item in report["failed"]}
    assert {entry["name"] for entry in report["accuracy"]} | missing == {"float32", "exact", *APPROXIMATIONS}
    assert [film["frames"] for film in report["films"]] == [2, 2, 2]
    again = ["bench", "--report", str(tmp_path / "report.json"), "--compare"]
    assert main([*again, str(tmp_path / "report.json")]) == 0
    faster = json.loads((tmp_path / "report.json").read_text())
    faster["results"][0]["seconds_per_image"] /= 2
    (tmp_path / "old.json").write_text(json.dumps(faster))
    assert main([*again, str(tmp_path / "old.json"), "--threshold", "50%"]) == 10


@pytest.mark.parametrize("arguments", [["--batches", "x"], ["--threshold", "x"], ["--compare", "no"], ["--steps", "x"]])
def test_mistakes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert "render: " in capsys.readouterr().err


def test_an_interrupted_benchmark_does_not_promise_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("render.bench.bench.bench", interrupted)
    assert main(["bench", "--out", str(tmp_path)]) == 130
    assert "report.json holds the tables that were finished, the same command begins anew" in capsys.readouterr().err
