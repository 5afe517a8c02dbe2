"""A family is a row of `render.models` and a file of the engine; one is not there without the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from render.engine import families
from render.engine.families import family_of
from render.engine.families.base import Family
from render.engine.text import Text
from render.models import FAMILIES

NAMES = [name for name, row in FAMILIES.items() if row.pipeline is not None]
ASKED = {name for name in vars(Family) if not name.startswith("_")} | set(Family.__annotations__)


def test_a_file_for_every_row_and_a_row_for_every_file() -> None:
    files = {path.stem for path in Path(str(families.__file__)).parent.glob("*.py")} - {"__init__", "base"}
    assert files == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_family_of_its_row_and_says_all_that_is_asked(name: str) -> None:
    family = family_of(name)
    assert family.row is FAMILIES[name]
    assert [missing for missing in sorted(ASKED) if not hasattr(family, missing)] == []


def test_a_family_without_a_network_has_no_tensors() -> None:
    with pytest.raises(AssertionError, match="testcard"):
        family_of("testcard")


def test_sizes_of_sdxl_are_height_first() -> None:
    text = Text(torch.zeros(1, 77, 8), torch.zeros(1, 4))
    added = family_of("sdxl").condition([text] * 2, 96, 64, torch.float16).added
    assert added is not None
    assert added["time_ids"].tolist() == [[64, 96, 0, 0, 64, 96]] * 2
    assert (added["text_embeds"].shape, added["text_embeds"].dtype) == ((2, 4), torch.float16)


@pytest.mark.parametrize(
    ("name", "upcast", "dtype", "expected"),
    [
        ("sd", True, torch.float16, torch.float16),
        ("sdxl", True, torch.float16, torch.float32),
        ("sdxl", False, torch.float16, torch.float16),
        ("sdxl", True, torch.bfloat16, torch.bfloat16),
    ],
)
def test_a_vae_that_overflows_in_fp16_stays_in_float32(
    name: str, upcast: bool, dtype: torch.dtype, expected: torch.dtype
) -> None:
    assert family_of(name).vae_dtype({"force_upcast": upcast}, dtype) == expected


@pytest.mark.parametrize("name", ["sd", "sdxl"])
def test_blank_conditioning_has_the_inputs_that_a_configuration_asks_for(name: str) -> None:
    config = {
        "cross_attention_dim": 24,
        "encoder_hid_dim": 32,
        "time_cond_proj_dim": 16,
        "projection_class_embeddings_input_dim": 8 * 6 + 32,
        "addition_time_embed_dim": 8,
    }
    told = family_of(name).blank(config, 2, torch.float32).inputs()
    assert (told["encoder_hidden_states"].shape, told["timestep_cond"].shape) == ((2, 77, 32), (2, 16))
    plain = family_of(name).blank(config | {"encoder_hid_dim": None, "time_cond_proj_dim": None}, 2, torch.float32)
    assert plain.tokens_NLD.shape == (2, 77, 24)
    assert plain.guidance_NG is None
