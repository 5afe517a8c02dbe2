"""Which cases a benchmark measures, from its options alone. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from render.bench.case import Case
from render.bench.options import Options
from render.models import FAMILIES
from render.plan import Machine
from render.spec import Size

__all__ = ["APPROXIMATIONS", "Ablation", "Suite", "fast_dtype", "num_steps", "suite"]

APPROXIMATIONS: Mapping[str, Mapping[str, Any]] = {
    "balanced": {"quality": "balanced"},
    "draft": {"quality": "draft"},
    "guidance in 10–80 % of the steps": {"guidance_interval": [0.1, 0.8]},
    "deep UNet every 2nd step": {"reuse_steps": 2},
    "deep UNet every 3rd step": {"reuse_steps": 3},
    "deep UNet every 2nd frame": {"interpolate_frames": 2},
    "deep UNet every 4th frame": {"interpolate_frames": 4},
    "tiny VAE": {"tiny_vae": ""},
}
"""Name -> switches of a job's ``engine`` section; each is compared with the exact pictures of the same dtype."""

TINY_VAES = {"demo": "demo", "sd15": "madebyollin/taesd", "sdxl": "madebyollin/taesdxl"}
SAMPLERS = ("euler-a", "heun")


@dataclass(frozen=True)
class Ablation:
    """One cause of speed: what it adds to the case before, and the same change made alone (``apart`` against
    ``start``), where that is another measurement."""

    cause: str
    before: Case
    after: Case
    start: Case | None = None
    apart: Case | None = None


@dataclass(frozen=True)
class Suite:
    """Cases by table. ``speed`` are measured in turns with each other; so are ``accuracy``, named, the first of them
    (``float32``) being what 16 bits are compared with, the second what the approximations are."""

    speed: tuple[Case, ...]
    ablations: tuple[Ablation, ...]
    baselines: tuple[Case, ...]
    best: Case
    accuracy: Mapping[str, Case]
    variations: tuple[Case, ...]
    films: tuple[Case, ...]


def fast_dtype(machine: Machine, family: str) -> str:
    """The 16 bits that ``machine`` is fast in, as ``resolve`` chooses them; float32 where there are none."""
    if machine.device == "cuda":
        return "bf16" if machine.bf16 and not FAMILIES[family].half_vae else "fp16"
    return "bf16" if machine.bf16 else "fp32"


def suite(options: Options, machine: Machine, family: str, native: tuple[int, int]) -> Suite:
    """All cases. On a CPU the causes begin in float32; on a GPU, where nobody renders so, in 16 bits."""
    fast = fast_dtype(machine, family)
    usual = (fast,) if machine.device == "cuda" else tuple(dict.fromkeys(("fp32", fast)))
    dtypes = options.dtypes or usual
    small, large, best_dtype = options.batches[0], options.batches[-1], dtypes[-1]
    plain = Case(
        options.model,
        dtypes[0],
        small,
        size=options.size,
        steps=options.steps,
        sampler=options.sampler,
        guidance=options.guidance,
    )
    full = replace(plain, dtype=best_dtype, batch=large)
    ablations = _ablations(options, plain, full, machine)
    baselines = _baselines(options, plain, full) if options.baselines else ()
    grid = [
        _in(backend, replace(plain, dtype=dtype, batch=batch), options, machine)
        for backend in options.backends
        for dtype in (dtypes if backend == "eager" else dtypes[-1:])  # compiling takes minutes, and float32 is slow
        for batch in (options.batches if backend == "eager" and not options.quick else options.batches[-1:])
    ]
    steps = [case for step in ablations for case in (step.before, step.after, step.start, step.apart) if case]
    first, last = (_in(backend, full, options, machine) for backend in (options.backends[0], options.backends[-1]))
    best = replace(full, backend="compile") if "compile" in options.backends else last
    films = (*baselines, *dict.fromkeys((first, best)))
    return Suite(
        speed=tuple(dict.fromkeys((*baselines, *steps, *grid))),
        ablations=ablations,
        baselines=baselines,
        best=best,
        accuracy=_accuracy(full, fast),
        variations=() if options.quick else _variations(full, native),
        films=films,
    )


def num_steps(cases: Suite, options: Options) -> int:
    """Steps of the whole benchmark, for the time to go; cases that are refused take none of theirs."""
    dtypes = {case.dtype for case in (*cases.speed, *cases.accuracy.values())}
    speed = len(cases.speed) * (1 + options.rounds)
    films = len(cases.films) * (1 if options.quick else 2)
    return len(dtypes) + speed + 2 * len(cases.accuracy) + 2 * len(cases.variations) + films + 1  # the parts are one


def _in(backend: str, case: Case, options: Options, machine: Machine) -> Case:
    """A case through another backend, in a dtype of its own where none was asked for: ONNX graphs know no bf16."""
    unfit = backend == "onnx" and case.dtype == "bf16" and not options.dtypes
    fitting = "fp16" if machine.device == "cuda" else "fp32"
    return replace(case, backend=backend, dtype=fitting if unfit else case.dtype)


def _ablations(options: Options, plain: Case, full: Case, machine: Machine) -> tuple[Ablation, ...]:
    """diffusers frame by frame -> our loop -> batch -> 16 bits -> compiled; each also alone, on top of our loop."""
    batched, first = replace(plain, batch=full.batch), replace(plain, renderer="diffusers")
    steps = [Ablation("loop", first, plain)] if options.baselines else []
    if batched != plain:
        steps.append(Ablation("batch", plain, batched))
    if full != batched:
        alone = replace(plain, dtype=full.dtype)
        steps.append(
            Ablation(f"{full.dtype} for {plain.dtype}", batched, full, plain, None if options.quick else alone)
        )
    if "compile" in options.backends:
        alone = replace(plain, backend="compile")
        after = replace(full, backend="compile")
        steps.append(Ablation("compile", full, after, plain, None if options.quick else alone))
    if "onnx" in options.backends:
        graph, alone = _in("onnx", full, options, machine), _in("onnx", plain, options, machine)
        steps.append(Ablation("onnx", replace(graph, backend="eager"), graph, replace(alone, backend="eager"), alone))
    return tuple(steps)


def _baselines(options: Options, plain: Case, full: Case) -> tuple[Case, ...]:
    """(a) frame by frame, (b) batched, (b) in the same 16 bits as ours, (c) that compiled."""
    cases = [plain, replace(plain, batch=full.batch), full]
    if "compile" in options.backends:
        cases.append(replace(full, backend="compile"))
    return tuple(dict.fromkeys(replace(case, renderer="diffusers") for case in cases))


def _accuracy(full: Case, fast: str) -> dict[str, Case]:
    """``exact`` is eager: what it is compared with should differ in one thing only."""
    exact = replace(full, backend="eager", dtype=fast)
    cases = {"float32": replace(exact, dtype="fp32"), "exact": exact}
    for name, switches in APPROXIMATIONS.items():
        if "tiny_vae" in switches:
            switches = {"tiny_vae": TINY_VAES.get(full.model, "")}
        cases[name] = replace(exact, switches=switches)
    return cases


def _variations(full: Case, native: tuple[int, int]) -> tuple[Case, ...]:
    """The eager case at another size, number of steps and sampler, one thing changed at a time."""
    eager = replace(full, backend="eager")
    width, height = (int(side) for side in (full.size or f"{native[0]}x{native[1]}").split("x"))
    sizes = [(max(64, width // 2), max(64, height // 2)), (width * 3 // 2, height)]
    cases = [replace(eager, size=str(Size.parse(f"{w // 8 * 8}x{h // 8 * 8}"))) for w, h in sizes]
    cases += [replace(eager, steps=steps) for steps in (max(1, full.steps // 4), max(1, full.steps // 2))]
    cases += [replace(eager, sampler=sampler) for sampler in SAMPLERS if sampler != full.sampler]
    return (eager, *(case for case in dict.fromkeys(cases) if case != eager))
