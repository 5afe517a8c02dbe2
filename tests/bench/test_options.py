"""Words of the command line: what is refused, and how."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from render.bench import options
from render.bench.options import Options
from render.errors import SpecError


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: options.size("500x512"), "--size 500x512: the width must be a multiple of 8"),
        (
            lambda: options.names("--backends", "eagre", options.BACKENDS),
            "eagre: unknown backend 'eagre'; did you mean 'eager'",
        ),
        (lambda: options.batches("1,0"), "--batches 1,0"),
        (lambda: options.batches("a"), "--batches a"),
        (lambda: options.share("-3"), "--threshold -3"),
        (lambda: Options(sampler="dpm"), "--sampler dpm: unknown"),
        (lambda: Options(steps=0), "--steps 0: must be from 1 to 1,000"),
        (lambda: Options(guidance=0.5), "--guidance 0.5"),
        (lambda: Options(guidance=float("nan")), "--guidance nan"),
    ],
)
def test_refused(read: Callable[[], object], message: str) -> None:
    with pytest.raises(SpecError) as refused:
        read()
    assert message in str(refused.value)


def test_read() -> None:
    assert options.batches("16,1, 8,8") == (1, 8, 16)
    assert options.names("--dtypes", "bf16,fp32,bf16", options.DTYPES) == ("bf16", "fp32")
    assert options.share("10%") == options.share("0.1") == 0.1
    assert options.size("512X512") == "512x512"
    assert options.size(None) is None
