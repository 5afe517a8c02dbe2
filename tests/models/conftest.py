"""What tests of models share: a model whose configurations say what a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models.folders import safetensors, sd_folder

Change = Callable[..., str]


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """``change("unet/config.json", num_class_embeds=4)``: a model with that, by its folder's name."""

    def change(path: str, pipeline: str = "StableDiffusionPipeline", **values: object) -> str:
        folder = sd_folder(tmp_path / "model", pipeline)
        file = folder / path
        if not file.parent.exists():
            file.parent.mkdir()
            safetensors(file.parent / "model.safetensors", weight=[2])
        before = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(before | values))
        if file.parent.name == "scheduler" and "_class_name" in values:  # in both, as diffusers writes it
            index = json.loads((folder / "model_index.json").read_text())
            index["scheduler"] = ["diffusers", values["_class_name"]]
            (folder / "model_index.json").write_text(json.dumps(index))
        return str(folder)

    return change
