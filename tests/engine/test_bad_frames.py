"""The way to float32 and back, whatever happens on it."""

from __future__ import annotations

import pytest
import torch

from render.engine.bad_frames import in_float32
from render.errors import EngineError


class Model:
    """Computes in a dtype, and has no memory for those in ``too_large``."""

    def __init__(self, *too_large: torch.dtype) -> None:
        self.dtype = torch.bfloat16
        self.too_large = too_large
        self.casts: list[torch.dtype] = []

    def cast(self, dtype: torch.dtype) -> None:
        self.casts.append(dtype)
        if dtype in self.too_large:
            raise torch.OutOfMemoryError("too much")
        self.dtype = dtype


THERE_AND_BACK = [torch.float32, torch.bfloat16]


def test_there_and_back() -> None:
    model = Model()
    with in_float32(model):  # type: ignore[arg-type]
        assert model.dtype == torch.float32
    assert model.casts == THERE_AND_BACK


@pytest.mark.parametrize(
    ("error", "raised"),
    [(ZeroDivisionError(), ZeroDivisionError), (MemoryError(), EngineError), (RuntimeError("broken"), RuntimeError)],
    ids=["mistake", "memory", "torch"],
)
def test_back_when_the_block_fails(error: Exception, raised: type[Exception]) -> None:
    model = Model()
    with pytest.raises(raised), in_float32(model):  # type: ignore[arg-type]
        raise error
    assert model.casts == THERE_AND_BACK


def test_back_when_there_is_no_room_for_float32() -> None:
    model = Model(torch.float32)
    with pytest.raises(EngineError, match="tried in fp32"), in_float32(model):  # type: ignore[arg-type]
        pytest.fail("the block must not run")
    assert model.casts == THERE_AND_BACK


def test_no_way_back_is_said() -> None:
    model = Model(torch.bfloat16)
    with pytest.raises(EngineError, match="brought back from fp32 to bf16"), in_float32(model):  # type: ignore[arg-type]
        pass
