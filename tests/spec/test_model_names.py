"""Models as people call them: answered with the hub's name, where they are not found."""

from __future__ import annotations

import pytest

from render.models.sources import HUB_ID
from render.spec.model_names import _HUB, model_called

SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        *(("sd15", SD15), ("SD 1.5", SD15), ("v1-5-pruned-emaonly.safetensors", SD15), ("stable-diffusion-v1-5", SD15)),
        *(("runwayml/stable-diffusion-v1-5", SD15), ("sdxl", SDXL), ("SDXL 1.0", SDXL), ("sd_xl_base_1.0.ckpt", SDXL)),
        ("https://huggingface.co/stabilityai/sdxl-turbo", "stabilityai/sdxl-turbo"),
        ("hf.co/stabilityai/sdxl-turbo/tree/main", "stabilityai/sdxl-turbo"),
        ("sdxl-turbo", "stabilityai/sdxl-turbo"),
    ],
)
def test_the_hubs_name(name: str, hub: str) -> None:
    assert model_called(name) == hub


@pytest.mark.parametrize("name", ["demo2", "", "/models/x", "https://example.com/a/b", "someone/fine-tune", "ü" * 4096])
def test_what_nobody_knows(name: str) -> None:
    assert model_called(name) is None


def test_the_names_are_those_of_a_hub() -> None:
    assert all(HUB_ID.fullmatch(hub) for hub in _HUB)
