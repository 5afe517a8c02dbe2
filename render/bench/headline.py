"""What a report says in a sentence: its result, and what was measured on what. Pure."""

from collections.abc import Mapping
from typing import Any

from render.bench.cells import times
from render.bench.schema import Report
from render.report import count

__all__ = ["conditions", "headline"]


def conditions(report: Report) -> str:
    """One paragraph: what was measured on what."""
    machine, model, options = report["machine"], report["model"], report["options"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    cores = count(machine["cores"], "core")
    random = " with random weights (speed does not depend on them)" if model["random_weights"] else ""
    return (
        f"{model['name']}{random}, {model['size']}, {count(options['steps'], 'step')} of {options['sampler']}, "
        f"guidance {options['guidance']:g}, on {machine['device']} {machine['name']}, {cores}. {versions}."
    )


def headline(report: Report) -> str:
    """The one sentence to remember; empty where the baseline or the film is missing."""
    films = [film for film in report["films"] if film["best_is_times_as_fast"]]
    ours = [film for film in films if film["case"]["renderer"] == "render"]
    theirs = [film for film in films if film["case"]["renderer"] == "diffusers"]
    if not ours or not theirs:
        return ""
    faster = ", ".join(f"{times(film['best_is_times_as_fast'])} {_baseline(film['case'])}" for film in theirs)
    return f"{ours[-1]['frames_per_s']:.2f} frames a second end to end. Times as fast as diffusers' pipeline: {faster}."


def _baseline(case: Mapping[str, Any]) -> str:
    compiled = " compiled" if case["backend"] == "compile" else ""
    return f"at batch {case['batch']} in {case['dtype']}{compiled}"
