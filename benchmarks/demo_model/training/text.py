"""The text encoder's first lesson: read a caption and say what the scene is.

Stable Diffusion starts from a text encoder that can read; ours learns it here in a minute. Without this lesson the UNet
saw no more in its prompts than sun or moon after 60,000 pictures. The heads are thrown away.

Legend: B batch, L tokens, D text width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from benchmarks.demo_model.world.scene import COLOURS, GROUNDS, PLACES, SIZES, TERRAINS, TIMES, Scene

QUESTIONS: Final = {
    "time": TIMES,
    "terrain": TERRAINS,
    "ground": GROUNDS,
    "colour": COLOURS,
    "place": PLACES,
    "size": SIZES,
}


class Heads(nn.Module):
    """One linear classifier for each attribute, over the mean of all tokens and over the last one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(answers)) for name, answers in QUESTIONS.items()})

    def forward(self, text_BLD: Tensor, scenes: Sequence[Scene]) -> Tensor:
        """Mean cross entropy of all answers. What a caption leaves unsaid can only be guessed: that loss remains."""
        views = torch.cat([text_BLD.mean(1), text_BLD[:, -1]]).float()
        losses = []
        for name, answers in QUESTIONS.items():
            truth = torch.tensor([answers.index(getattr(scene, name)) for scene in scenes], device=views.device)
            losses.append(nn.functional.cross_entropy(self.heads[name](views), truth.repeat(2)))
        return torch.stack(losses).mean()
