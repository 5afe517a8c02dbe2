"""Does the demo model draw what it is told? Prompts in, pictures out, attributes read back: a table.

`python -m benchmarks.demo_model.training.evaluate [--weights DIR]`. The reader is judged first on pictures whose scene
is known, and on the same pictures after the autoencoder, so that its own errors can be told from the model's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from numpy.typing import NDArray

from benchmarks.demo_model.training.autoencoder import psnr_db, reconstruct
from benchmarks.demo_model.world.captions import plain_caption
from benchmarks.demo_model.world.pictures import draw_picture
from benchmarks.demo_model.world.reader import Reader
from benchmarks.demo_model.world.scene import Scene, draw_scene
from render.models.demo import WEIGHTS

ATTRIBUTES: Final = ("time", "terrain", "colour", "place")
FLOORS: Final = {"time": 0.90, "terrain": 0.90, "colour": 0.80, "place": 0.80}

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """How much to draw, and how."""

    num_seen: int = 160  # prompts of combinations that training saw
    num_held_out: int = 80  # and of combinations that it never saw
    steps: int = 20
    guidance: float = 3.0
    batch: int = 16
    dtype: torch.dtype = torch.bfloat16
    seed: int = 2024


@dataclass(frozen=True)
class Score:
    """Shares of correctly read attributes over a set of pictures."""

    name: str
    num_pictures: int
    shares: dict[str, float]

    def row(self) -> str:
        """One line of the Markdown table."""
        cells = " | ".join(f"{100 * self.shares[name]:.1f} %" for name in ATTRIBUTES)
        return f"| {self.name} | {self.num_pictures} | {cells} |"


@dataclass(frozen=True)
class Report:
    """All scores and the autoencoder's fidelity."""

    scores: list[Score]
    reconstruction_db: float
    settings: Settings

    def table(self) -> str:
        """As Markdown."""
        head = "| pictures | number | time of day | terrain | body's colour | body's place |\n|---|---|---|---|---|---|"
        rows = "\n".join(score.row() for score in self.scores)
        how = f"{self.settings.steps} steps of DPM++ 2M, guidance {self.settings.guidance:g}, no negative prompt"
        return f"{head}\n{rows}\n\nDrawn with {how}. Autoencoder: {self.reconstruction_db:.1f} dB on unseen pictures.\n"

    def failures(self) -> list[str]:
        """The generated sets' attributes that miss their floor."""
        return [
            f"{score.name}: {name} {100 * score.shares[name]:.1f} % < {100 * floor:.0f} %"
            for score in self.scores
            for name, floor in FLOORS.items()
            if score.shares[name] < floor
        ]


def evaluate(weights: Path, settings: Settings) -> Report:
    """Score the reader on known pictures, then the model in `weights` on seen and held-out combinations."""
    rng = np.random.default_rng(settings.seed)
    seen = [draw_scene(rng) for _ in range(settings.num_seen)]
    held_out = [draw_scene(rng, held_out=True) for _ in range(settings.num_held_out)]
    reader, pipeline = Reader(), load_pipeline(weights, settings.dtype)
    known = np.stack([draw_picture(scene) for scene in seen])
    with torch.inference_mode():
        vae = pipeline.vae.float()
        rebuilt = np.concatenate([reconstruct(vae, known[i : i + 16]) for i in range(0, len(known), 16)])
        pipeline.vae.to(settings.dtype)
    scores = [
        score("picture maker (the reader's own errors)", reader, seen, known),
        score("the same through the autoencoder", reader, seen, rebuilt),
        score("generated", reader, seen, generate(pipeline, seen, settings)),
        score("generated, combinations held out of training", reader, held_out, generate(pipeline, held_out, settings)),
    ]
    return Report(scores, psnr_db(known, rebuilt), settings)


def load_pipeline(weights: Path, dtype: torch.dtype) -> Any:
    """The pipeline as users load it, with DPM++ 2M."""
    pipeline = StableDiffusionPipeline.from_pretrained(weights).to(dtype=dtype)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(pipeline: Any, scenes: Sequence[Scene], settings: Settings) -> Pictures:
    """One picture for each scene's plain caption, seeded by its index: (N, 128, 128, 3)."""
    return np.concatenate(list(_batches(pipeline, scenes, settings)))


def _batches(pipeline: Any, scenes: Sequence[Scene], settings: Settings) -> Iterator[Pictures]:
    for start in range(0, len(scenes), settings.batch):
        prompts = [plain_caption(scene) for scene in scenes[start : start + settings.batch]]
        seeds = [torch.Generator().manual_seed(settings.seed + start + k) for k in range(len(prompts))]
        images = pipeline(
            prompts,
            generator=seeds,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            output_type="np",
        ).images
        yield (images * 255).round().astype(np.uint8)


def score(name: str, reader: Reader, scenes: Sequence[Scene], pictures: Pictures) -> Score:
    """How often each attribute is read back as the scene has it."""
    right = dict.fromkeys(ATTRIBUTES, 0)
    for scene, picture in zip(scenes, pictures, strict=True):
        reading = reader.read(picture)
        for attribute in ATTRIBUTES:
            right[attribute] += getattr(reading, attribute) == getattr(scene, attribute)
    return Score(name, len(scenes), {attribute: count / len(scenes) for attribute, count in right.items()})


def main() -> None:
    """Print the table; exit status 1 where a floor is missed."""
    parser = argparse.ArgumentParser(description="Measure how well the demo model does as it is told.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--guidance", type=float, default=Settings.guidance)
    args = parser.parse_args()
    report = evaluate(args.weights, Settings(guidance=args.guidance))
    print(report.table())
    if report.failures():
        raise SystemExit("floors missed: " + "; ".join(report.failures()))


if __name__ == "__main__":
    main()
