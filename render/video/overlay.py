"""Words on a picture: the index on a test card, the number of a frame that is missing."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from render.video.pixels import Pixels

__all__ = ["write_text"]


def write_text(card: Pixels, text: str) -> None:
    """Write a line into the upper half of a picture (height, width, 3), as large as it fits."""
    height, width = card.shape[:2]
    picture = Image.fromarray(card)
    font = ImageFont.load_default(size=max(min(height // 6, 3 * width // (2 * len(text))), 10))
    ImageDraw.Draw(picture).text(
        (width // 2, height // 4), text, font=font, anchor="mm", fill="white", stroke_width=2, stroke_fill="black"
    )
    card[:] = np.asarray(picture)
