"""Tokenizers as people have them: what they say of a model's length, and what is done where they say nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.engine.test_engine import Open, by_engine


@pytest.mark.parametrize("length", [None, 512], ids=["unsaid", "too-long"])
def test_a_tokenizer_reads_no_more_than_its_text_encoder(
    length: int | None, tiny_sd: Path, tmp_path: Path, open_engine: Open
) -> None:
    """Without ``model_max_length`` transformers says 1e30, and diffusers pads every prompt to that."""
    model = tmp_path / "model"
    shutil.copytree(tiny_sd, model)
    path = model / "tokenizer/tokenizer_config.json"
    config = json.loads(path.read_text())
    assert config.pop("model_max_length") == 77
    path.write_text(json.dumps(config if length is None else {**config, "model_max_length": length}))
    long = f"keyframes[0].prompt={'x' * 100}"
    ours, theirs = open_engine(model, long), open_engine(tiny_sd, long)
    assert torch.equal(by_engine(ours, [0]), by_engine(theirs, [0]))
    assert ours.warnings == theirs.warnings != ()
