"""Files that are no job spec and are given as one: settings of other tools, films, models, our own records.

Each is named, with what to do instead, and of settings what carries over. Reads nothing but the text it is given.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from render.spec.sampler_names import sampler_name

__all__ = ["data_kind", "file_kind", "text_kind"]

START = "`render new dream > job.yaml` prints a job spec to start from"
LOST = "motion, strength and cadence have no counterpart in this version"

_PAIR = r"[A-Z][^\n:,]{1,30}: [^\n,]{1,80}"  # of the line below a picture of A1111
_MAGIC = (
    (
        rb"\0\0..ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ",
        "a film; `render inspect FILE` prints the job spec that it was made from",
    ),
    (rb"GIF8[79]a|RIFF.{4}WEBP", "a picture, not a job spec; of a film, `render inspect FILE` prints its job"),
    (rb"\x89PNG|\xff\xd8\xff", "a picture, not a job spec"),
    (rb"PK\x03\x04|\x80\x02|.{5}\0\0\0\{\"", "a model's weights; a job spec names the model's folder, as model:"),
    (rb"\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ|\x28\xb5\x2f\xfd", "a compressed file; unpack it first"),
)
"""How files begin that are no text -> what they are."""


def file_kind(raw: bytes) -> str | None:
    """What a file of bytes is, when it is no text; None where that cannot be told."""
    return next((kind for start, kind in _MAGIC if re.match(start, raw, re.DOTALL)), None)


def text_kind(text: str) -> str | None:
    """Whose text it is, when it is A1111's below a picture; it is no YAML, so that it has to be known before."""
    match = re.search(
        rf"^(?:{_PAIR}, ){{0,8}}Steps: \d{{1,5}}, (?:{_PAIR}, ){{0,8}}Sampler: [^\n]{{1,2000}}", text, re.MULTILINE
    )
    if not match:
        return None
    found = dict(re.findall(r"([A-Z][A-Za-z ]{1,30}): ([^,]{1,80})", match[0]))
    found["Schedule"] = found.get("Schedule type", "")
    return f"the parameters of a picture by AUTOMATIC1111, not a job spec; {START}; {_carried(found, _A1111)}"


def data_kind(data: Any) -> str | None:
    """Whose settings parsed data are; None where they may be meant for render."""
    if not isinstance(data, Mapping) or {"mode", "keyframes"} <= data.keys():
        return None
    return next((said(data) for known, said in _KINDS if known(data)), None)


def _any(*keys: str, least: int = 1) -> Callable[[Mapping[str, Any]], bool]:
    return lambda data: sum(key in data for key in keys) >= least


def _comfyui(data: Mapping[str, Any]) -> bool:
    data = _inner(data)
    nodes = [node for node in data.values() if isinstance(node, Mapping)]
    return {"nodes", "links"} <= data.keys() or any("class_type" in node for node in nodes)


def _deforum_says(data: Mapping[str, Any]) -> str:
    prompts = data.get("animation_prompts") or data.get("prompts")
    many = f"{len(prompts)} " if isinstance(prompts, Mapping) and len(prompts) > 1 else ""
    count = f"{many}prompts as keyframes, "
    return f"settings of Deforum, not a job spec; {START}; {_carried(data, _DEFORUM, count)}; {LOST}"


def _a1111_says(data: Mapping[str, Any]) -> str:
    return f"a request or settings of AUTOMATIC1111, not a job spec; {START}; {_carried(data, _A1111_JSON)}"


def _inner(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A workflow, also where it is the prompt of a request to ComfyUI's API."""
    prompt = data.get("prompt")
    return prompt if isinstance(prompt, Mapping) else data


def _invokeai_says(data: Mapping[str, Any]) -> str:
    return f"the settings of a picture by InvokeAI, not a job spec; {START}; {_carried(data, _INVOKEAI)}"


def _fooocus_says(data: Mapping[str, Any]) -> str:
    return f"the settings of a picture by Fooocus, not a job spec; {START}; {_carried(data, _FOOOCUS)}"


def _comfyui_says(data: Mapping[str, Any]) -> str:
    data = _inner(data)
    nodes = [node.get("inputs") for node in data.values() if isinstance(node, Mapping) and "class_type" in node]
    inputs: dict[str, Any] = {}
    for node in nodes[:1000]:
        inputs |= node if isinstance(node, Mapping) else {}
    return f"a workflow of ComfyUI, not a job spec; {START}; {_carried(inputs, _COMFYUI, 'prompts as keyframes, ')}"


def _a1111_request(data: Mapping[str, Any]) -> bool:
    """A request with a prompt at the top, where no job spec has one."""
    ours = {"version", "mode", "keyframes"} & data.keys()
    return not ours and isinstance(data.get("prompt"), str) and bool(data.keys() & _REQUEST)


def _ui_config(data: Mapping[str, Any]) -> bool:
    return any(isinstance(key, str) and re.match(r"(txt2img|img2img)/", key) for key in data)


def _is(what: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _data: what


_KINDS: tuple[tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], str]], ...] = (
    (_any("animation_prompts", "strength_schedule", "animation_mode", "max_frames", least=2), _deforum_says),
    (_comfyui, _comfyui_says),
    (_any("cfg_scale", "sampler_name", "sampler_index", "denoising_strength", "n_iter", least=2), _a1111_says),
    (_ui_config, _is(f"settings of AUTOMATIC1111, not a job spec; {START}")),
    (_any("positive_prompt", "positive_style_prompt", "generation_mode", "app_version", least=2), _invokeai_says),
    (_any("metadata_scheme", "base_model_hash", "full_prompt", "styles", "performance", least=2), _fooocus_says),
    (_a1111_request, _a1111_says),
    (
        _any("sd_model_checkpoint", "outdir_samples", "samples_save"),
        _is(f"settings of AUTOMATIC1111, not a job spec; {START}"),
    ),
    (_any("managedFields"), _is(f"a document of Parseq, not a job spec; {START}")),
    (_any("_class_name"), _is("the configuration of a model; a job spec names the model's folder, as model:")),
    (_any("report_version"), _is("the report of a run; the job spec is job.yaml beside it")),
    (_any("bench_version"), _is("the report of `render bench`, not a job spec")),
    (_any("plan_version"), _is("the plan of a run directory; the job spec is job.yaml beside it")),
    (_any("apiVersion"), _is("a Kubernetes file, not a job spec")),
    (_any("services"), _is("a compose file, not a job spec")),
    (_any("cluster_name"), _is("a cluster file of Ray, for `ray up`, not a job spec")),
)
"""How the settings of others are known, and what is said of them."""

_DEFORUM = {
    "seed": "seed",
    "steps": "steps",
    "scale": "guidance",
    "sampler": "sampler",
    "fps": "fps",
    "max_frames": "frames",
}
_A1111 = {"Seed": "seed", "Steps": "steps", "CFG scale": "guidance", "Sampler": "sampler", "Size": "size"}
_A1111_JSON = {"seed": "seed", "steps": "steps", "cfg_scale": "guidance", "sampler_name": "sampler"}
_REQUEST = {
    "steps",
    "width",
    "height",
    "cfg_scale",
    "sampler_name",
    "negative_prompt",
    "batch_size",
    "num_inference_steps",
}
_INVOKEAI = {"seed": "seed", "steps": "steps", "cfg_scale": "guidance", "scheduler": "sampler"}
_FOOOCUS = {"seed": "seed", "steps": "steps", "guidance_scale": "guidance", "sampler": "sampler"}
_COMFYUI = {"seed": "seed", "noise_seed": "seed", "steps": "steps", "cfg": "guidance", "sampler_name": "sampler"}
"""Their names -> ours, of what means the same."""


def _carried(found: Mapping[str, Any], names: Mapping[str, str], before: str = "") -> str:
    """Our lines for what means the same there and here."""
    lines = [*_lines(found, names)]
    if not lines and not before:
        return "prompts, seeds, steps, guidance and sampler carry over"
    return f"what carries over: {before}{', '.join(lines)}".rstrip(", ")


def _lines(found: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    for theirs, ours in names.items():
        value = str(found.get(theirs, "")).strip()
        if ours == "sampler":
            schedule = found.get("Schedule") or (theirs != "scheduler" and found.get("scheduler")) or ""
            value = sampler_name(f"{value} {schedule}" if isinstance(schedule, str) else value) or ""
        if re.fullmatch(r"[a-z0-9+.-]{1,40}" if ours == "sampler" else r"\d{1,20}(\.\d{1,9})?|\d{1,5}x\d{1,5}", value):
            yield f"{ours}: {value}"
    width, height = str(found.get("W", found.get("width", ""))), str(found.get("H", found.get("height", "")))
    if re.fullmatch(r"\d{1,5}", width) and re.fullmatch(r"\d{1,5}", height):
        yield f"size: {width}x{height}"
