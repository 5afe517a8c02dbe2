"""A job spec -> its plan, on the machine that will render it: machine and model are looked at, ``auto`` resolved.

Knows no worker and no thread: who measures the device is an argument, and so is who hears what goes on.
"""

from collections.abc import Callable
from dataclasses import replace

from render import models
from render.models import ModelInfo
from render.plan import BatchTimings, Machine, Plan, resolve, this_cpu
from render.spec import JobSpec

__all__ = ["as_planned", "machine_and_model", "make_plan"]


Tell = Callable[[str], None]
"""Hears in a few words what goes on."""


def make_plan(
    spec: JobSpec, before: Plan | None, measure: Callable[[Plan], BatchTimings], tell: Tell, *, trust: bool
) -> Plan:
    """The plan of ``spec``, or that of a rerun where there is one of ``before``; ``measure`` finds the batch where it
    is open. Fetches a hub model. Raises ModelError, EngineError.
    """
    machine, model = machine_and_model(spec, tell, trust=trust)
    if model.layout == "onnx":
        from render.engine.backends.onnx_session import with_dtype

        model = with_dtype(model, models.find(spec.model, download=True))  # only ONNX Runtime can say
    if before is not None:
        return before.rerun(spec, model)
    plan = Plan(spec, resolve(spec, machine, model), model)
    if spec.engine.batch != "auto" or model.family == "testcard":
        return plan
    tell("measuring the best batch")
    return replace(plan, settings=resolve(spec, machine, model, measure(plan)))


def machine_and_model(spec: JobSpec, tell: Tell, *, trust: bool) -> tuple[Machine, ModelInfo]:
    """This machine's device and the model as found from here. Raises ModelError, EngineError."""
    if models.testcard_cost_s(spec.model) is not None:
        return this_cpu(), models.describe(spec.model)
    tell("importing torch")
    from render.engine.device import machine

    tell(f"looking for {spec.model}")
    models.fetch_model(spec.model, tell, spec.engine.tiny_vae, trust=trust)
    tell(f"reading {spec.model}")
    model = models.describe(spec.model, spec.engine.tiny_vae, trust=trust)
    return machine(spec.engine.device), model


def as_planned(plan: Plan) -> JobSpec:
    """The spec with the device and the model's revision that the plan found: ``auto`` and ``main`` may move."""
    engine = plan.spec.engine.model_copy(update={"device": plan.settings.device})
    model = models.pinned(plan.spec.model, plan.model.revision)
    return plan.spec.model_copy(update={"engine": engine, "model": model})
