"""Files of other tools, given as job files, are named; job specs are not taken for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from render.errors import SpecError
from render.spec import load
from render.spec.document import MAX_BYTES
from render.spec.foreign import data_kind, file_kind, text_kind

DEFORUM: dict[str, Any] = {
    "W": 512,
    "H": 704,
    "seed": 5,
    "sampler": "euler_ancestral",
    "steps": 25,
    "scale": 7,
    "fps": 15,
    "animation_mode": "2D",
    "max_frames": 120,
    "strength_schedule": "0: (0.65)",
    "zoom": "0:(1.0+0.1*sin(t))",
    "prompts": {"0": "a castle, oil", "30": "a ship"},
}
COMFYUI = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 857,
            "steps": 20,
            "cfg": 8,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "denoise": 1,
        },
    },
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
}
INFOTEXT = """\
a castle, (oil:1.2)
Negative prompt: blurry, text
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 123, Size: 512x768, Model: v1-5
"""
START = "`render new dream > job.yaml` prints a job spec to start from"


def refusal(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


SETTINGS = {
    "deforum": (
        DEFORUM,
        f"settings of Deforum, not a job spec; {START}; what carries over: 2 prompts as keyframes, seed: 5, steps: 25, "
        "guidance: 7, sampler: euler-a, fps: 15, frames: 120, size: 512x704; motion, strength and cadence have no "
        "counterpart in this version",
    ),
    "deforum of the notebook": (
        {"max_frames": 120, "strength_schedule": "0:(1)", "animation_prompts": {"0": "a"}, "seed": -1},
        f"settings of Deforum, not a job spec; {START}; what carries over: prompts as keyframes, frames: 120; ",
    ),
    "comfyui, for its API": (
        COMFYUI,
        f"a workflow of ComfyUI, not a job spec; {START}; what carries over: prompts as keyframes, seed: 857, "
        "steps: 20, guidance: 8, sampler: dpm++2m-karras, size: 512x768",
    ),
    "comfyui": (
        {"last_node_id": 9, "nodes": [{"id": 7, "type": "CLIPTextEncode"}], "links": []},
        f"a workflow of ComfyUI, not a job spec; {START}; what carries over: prompts as keyframes",
    ),
    "a1111 request": (
        {"prompt": "a", "steps": 20, "cfg_scale": 7, "sampler_name": "Euler a", "width": 512, "height": 512},
        f"a request or settings of AUTOMATIC1111, not a job spec; {START}; what carries over: steps: 20, guidance: 7, "
        "sampler: euler-a, size: 512x512",
    ),
    "comfyui, a request": (
        {"prompt": COMFYUI, "client_id": "x"},
        f"a workflow of ComfyUI, not a job spec; {START}; what carries over: prompts as keyframes, seed: 857, ",
    ),
    "a1111, a short request": (
        {"prompt": "a", "steps": 20},
        f"a request or settings of AUTOMATIC1111, not a job spec; {START}; what carries over: steps: 20",
    ),
    "a1111 ui config": (
        {"txt2img/Prompt/visible": True, "txt2img/Sampling steps/value": 20},
        "settings of AUTOMATIC1111, not a job spec",
    ),
    "invokeai": (
        {
            "generation_mode": "txt2img",
            "positive_prompt": "a",
            "seed": 5,
            "steps": 30,
            "cfg_scale": 7.5,
            "scheduler": "dpmpp_2m_k",
            "width": 512,
            "height": 512,
            "app_version": "4.2.0",
        },
        f"the settings of a picture by InvokeAI, not a job spec; {START}; what carries over: seed: 5, steps: 30, "
        "guidance: 7.5, sampler: dpm++2m-karras, size: 512x512",
    ),
    "fooocus": (
        {
            "prompt": "a",
            "full_prompt": ["a"],
            "styles": "[]",
            "performance": "Speed",
            "steps": 30,
            "guidance_scale": 4.0,
            "sampler": "dpmpp_2m_sde_gpu",
            "scheduler": "karras",
            "seed": "17",
        },
        f"the settings of a picture by Fooocus, not a job spec; {START}; what carries over: seed: 17, steps: 30, "
        "guidance: 4.0, sampler: dpm++2m-sde-karras",
    ),
    "report": ({"report_version": 3, "film": {}}, "the report of a run; the job spec is job.yaml beside it"),
    "report of bench": ({"bench_version": 1}, "the report of `render bench`, not a job spec"),
    "a1111 config": ({"samples_save": True}, "settings of AUTOMATIC1111, not a job spec"),
    "parseq": ({"managedFields": ["seed"]}, "a document of Parseq, not a job spec"),
    "model index": ({"_class_name": "StableDiffusionPipeline"}, "the configuration of a model; a job spec names"),
    "plan": ({"plan_version": 3}, "the plan of a run directory; the job spec is job.yaml beside it"),
    "kubernetes": ({"apiVersion": "v1"}, "a Kubernetes file, not a job spec"),
    "compose": ({"services": {}}, "a compose file, not a job spec"),
    "ray": ({"cluster_name": "x"}, "a cluster file of Ray, for `ray up`, not a job spec"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_others(name: str, tmp_path: Path) -> None:
    data, message = SETTINGS[name]
    for indent in (None, 4, "\t"):
        assert refusal(tmp_path / "settings.txt", json.dumps(data, indent=indent)).startswith(message)


@pytest.mark.parametrize("text", [INFOTEXT, INFOTEXT.splitlines()[2], INFOTEXT.replace("\n", "\r\n")])
def test_parameters_of_a_picture(text: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "picture.txt", text).endswith(
        "what carries over: seed: 123, steps: 20, guidance: 7.5, sampler: dpm++2m-karras, size: 512x768"
    )


@pytest.mark.parametrize("front", ["Steps: 20, Seed: 123,", "Seed: 123, Steps: 20,"])
def test_parameters_in_another_order(front: str, tmp_path: Path) -> None:
    text = INFOTEXT.replace(", Seed: 123", "").replace("Steps: 20,", front)
    carried = "seed: 123, steps: 20, guidance: 7.5, sampler: dpm++2m-karras, size: 512x768"
    assert refusal(tmp_path / "picture.txt", text).endswith(carried)


def test_what_carries_over_is_no_text_of_others(tmp_path: Path) -> None:
    """Values are numbers, sizes and our own samplers, whatever the file holds."""
    evil = DEFORUM | {
        "seed": "1; rm -rf /",
        "steps": {"a": 1},
        "scale": "\x1b[31m7",
        "W": "512\n",
        "sampler": "\x1b]0;x",
    }
    said = refusal(tmp_path / "x.json", json.dumps(DEFORUM | evil))
    assert said.isprintable()
    assert "what carries over: 2 prompts as keyframes, fps: 15, frames: 120; motion" in said


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\0\0\0\x20ftypisom" + b"\0" * (MAX_BYTES + 1), "a film; `render inspect FILE` prints the job spec"),
        (b"\x1aE\xdf\xa3" + b"\0" * 99, "a film"),
        (b"\x89PNG\r\n\x1a\n", "a picture, not a job spec"),
        (b"\xff\xd8\xff\xe0", "a picture"),
        (b"GIF89a", "a picture, not a job spec; of a film, `render inspect FILE` prints its job"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a picture, not a job spec; of a film, `render inspect FILE` prints its job"),
        ((300).to_bytes(8, "little") + b'{"__metadata__":{}}', "a model's weights"),
        (b"PK\x03\x04", "a model's weights"),
        (b"\x1f\x8b\x08", "a compressed file; unpack it first"),
    ],
)
def test_what_is_no_text(raw: bytes, words: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "job.yaml", raw).startswith(words)


@pytest.mark.parametrize(
    "text",
    ['name: {"a": 1}', "Steps: 20", "# Steps: 20, Sampler: Euler a", "xxxxftyp: 1", "BZh: 1", "RIFF: 1", "PK: 1", ""],
)
def test_texts_that_are_left_alone(text: str) -> None:
    assert file_kind(text.encode()) is None
    assert text_kind(text) is None


def test_a_job_spec_with_their_keys_is_still_one() -> None:
    assert data_kind({"mode": "dream", "keyframes": [], "cfg_scale": 7, "sampler_name": "x", "services": 1}) is None
    assert data_kind({"version": 1, "seed": 1, "max_frames": 3}) is None
    assert data_kind({"version": 1, "mode": "dream", "prompt": "a", "steps": 20}) is None
    assert data_kind([1]) is None
