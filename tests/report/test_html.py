"""Templates: strict, escaping, on one page, packaged, and loaded by nobody who makes no page."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from render.plan import STAGES
from render.report import fill_template

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted(path for path in ROOT.glob("render/**/templates/*") if path.is_file())


def test_a_value_that_is_missing_fails() -> None:
    with pytest.raises(UndefinedError, match="'report' is undefined"):
        fill_template("report.html", {})


def test_every_wing_builds_on_the_shared_shell() -> None:
    values = {"model": "<b>", "headline": "", "conditions": "&", "sections": [], "legend": {}, "end": ""}
    page = fill_template("bench.html", values, "render.bench")
    assert "<h1>&lt;b&gt;</h1>" in page
    assert "default-src 'none'" in page


def test_every_stage_has_a_colour() -> None:
    style = (ROOT / "render/report/templates/page.css").read_text()
    rules = dict(re.findall(r"\.s-(\w+) \{ background: var\(--(\w+)\)", style))
    assert rules == {stage: stage for stage in STAGES}
    colours = dict(re.findall(r"--(\w+): (#\w+)", style.partition("@media print")[0]))
    assert len({colours[stage] for stage in STAGES}) == len(STAGES)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_template_is_packaged(template: Path) -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    wing, name = template.parents[1], template.relative_to(template.parents[1])
    patterns = data[".".join(wing.relative_to(ROOT).parts)]
    assert any(fnmatch(str(name), pattern) for pattern in patterns)


@pytest.mark.parametrize(
    "module", ["render.report", "render.cli.commands.status", "render.farm.job", "render.bench.page"]
)
def test_templates_are_loaded_for_a_page_only(module: str) -> None:
    program = f"import sys, {module}; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
