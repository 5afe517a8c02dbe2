"""A report: written and read back, as Markdown, as a page with its bars, compared with another."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from render.bench.bench import write
from render.bench.case import Case
from render.bench.compare import compare, describe
from render.bench.markdown import to_markdown
from render.bench.results import load, to_json
from render.bench.schema import Report
from render.errors import RegressionError, SpecError


def entry(case: Case, seconds: float, **more: Any) -> dict[str, Any]:
    return {
        "name": str(case),
        "case": asdict(case),
        "pictures": 4,
        "seconds_per_image": seconds,
        "rounds_s": [seconds, seconds * 1.1],
        "tflop_per_image": 0.05,
        "mfu": 0.4,
        "floor_s": seconds / 3,
        "of_floor": 1 / 3,
        "stages_s": {"denoise": seconds * 0.8, "decode": seconds * 0.2},
        "start_s": {"load": 1.0},
        "opening_bytes": 1,
        "rendering_bytes": 2,
        **more,
    }


THEIRS, OURS = Case("demo", "fp32", 1, renderer="diffusers"), Case("demo", "bf16", 16)
DRAFT = Case("demo", "bf16", 16, switches={"quality": "draft"})
ERRORS = {"psnr_db": 41.5, "worst_psnr_db": 38.0, "ssim": 0.99, "structure_distance": 0.1, "times_as_fast": 2.0}


@pytest.fixture
def report() -> Report:
    """What a small benchmark would write."""
    factor = {"median": 4.0, "least": 3.9, "most": 4.2}
    film = {"start_s": 1.0, "film_s": 8.0, "frames": 32, "frames_per_s": 4.0, "idle_share": 0.02, "stages_s": {}}
    return {
        "bench_version": 1,
        "made": "2026-01-01T00:00:00+00:00",
        "seconds": 60.0,
        "options": {"steps": 20, "sampler": "dpm++2m", "guidance": 7.5},
        "machine": {"device": "cpu", "name": "a <fast> CPU", "cores": 2, "versions": {"torch": "2"}},
        "model": {"name": "demo", "random_weights": False, "size": "128x128"},
        "peaks": {"fp32": {"flops_per_s": 1e11, "bytes_per_s": 1e10}},
        "results": [entry(THEIRS, 0.4), entry(OURS, 0.1)],
        "causes": [
            {
                "cause": "loop",
                "after": str(OURS),
                "seconds_per_image": 0.1,
                "times": factor,
                "so_far": factor,
                "alone": None,
            }
        ],
        "accuracy": [
            entry(OURS, 0.1) | {"name": "exact", "against": "float32"} | ERRORS,
            entry(DRAFT, 0.05) | {"name": "draft", "against": "exact", "tflop_per_image": None, "mfu": None} | ERRORS,
        ],
        "variations": [],
        "parts": {"seconds": {"unet": 0.1}},
        "films": [
            {"name": str(THEIRS), "case": asdict(THEIRS), "best_is_times_as_fast": factor, **film},
            {"name": str(OURS), "case": asdict(OURS), "best_is_times_as_fast": factor, **film},
        ],
        "failed": [{"name": "accuracy: tiny VAE", "reason": "there is none", "case": None}],
    }


def test_round_trip(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(to_json(report))
    assert load(path) == report


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bench_version": 99}', '{"bench_version": 1}', "[" * 100_000])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=r"old\.json: is"):
        load(path)


def test_a_report_with_another_value_is_refused_by_its_place(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "edited.json"
    path.write_text(to_json(report).replace('"pictures": ', '"pictures": "many", "pictured": ', 1))
    with pytest.raises(SpecError, match=r"edited\.json: is no report of `render bench`: \w+\.0\.pictures"):
        load(path)


def test_markdown_names_conditions_and_failures(report: Report) -> None:
    text = to_markdown(report)
    assert "128x128, 20 steps of dpm++2m, guidance 7.5, on cpu" in text
    assert "| accuracy: tiny VAE | not available: there is none |" in text
    assert "Times as fast as diffusers' pipeline: 4.00× (3.90–4.20) at batch 1 in fp32." in text


def test_page_holds_bars_and_fetches_nothing(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "a &lt;fast&gt; CPU" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    bars = re.findall(r'<i class="s-(\w+)" style="width:([\d.]+)%"', page)
    assert bars == [
        *[("rest", "80.000"), ("rest", "20.000"), ("denoise", "20.000"), ("decode", "5.000")],
        *[("rest", "100.000"), ("denoise", "100.000")],
    ], "images by stage, the slowest 100 %, then films"


def test_a_report_without_results_still_makes_a_page(report: Report, tmp_path: Path) -> None:
    empty = {name: [] for name in ("results", "causes", "accuracy", "variations", "films")}
    write(report | empty | {"parts": {}, "peaks": {}}, tmp_path)
    assert 'class="bars"' not in (tmp_path / "report.html").read_text()


def test_slower_than_the_threshold_is_a_regression(report: Report) -> None:
    new = copy.deepcopy(report)
    new["results"][1]["seconds_per_image"] = 0.12
    compare(report, new, 0.25).check()
    comparison = compare(report, new, 0.10)
    with pytest.raises(RegressionError, match=r"1 case more than 10% slower.*\+20\.0%") as error:
        comparison.check()
    assert error.value.exit_code == 10
    assert "slower" in describe(comparison)


def test_unmatched_cases_are_named(report: Report) -> None:
    new = copy.deepcopy(report)
    new["results"][0]["case"]["steps"] = 8
    comparison = compare(report, new, 0.1)
    assert comparison.only_old == comparison.only_new == (str(THEIRS),)
    assert "only in the old report" in describe(comparison)


def test_other_devices_are_refused(report: Report) -> None:
    new = copy.deepcopy(report)
    new["machine"]["name"] = "another CPU"
    with pytest.raises(SpecError, match="another device"):
        compare(report, new, 0.1)
    compare(report, new, 0.1, force=True).check()


def test_nothing_in_common_is_no_success(report: Report) -> None:
    with pytest.raises(SpecError, match="no case in common"):
        compare(report, report | {"results": [], "variations": [], "accuracy": []}, 0.1).check()


def test_json_has_no_infinities(report: Report) -> None:
    assert json.loads(to_json(report))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(report | {"seconds": float("inf")})
