"""Single pictures: read, encode, and lay out on a contact sheet. The only file with imageio.

Frames are uint8 RGB arrays of shape (H, W, 3). Every failure is a `VideoError` that names the file.
"""

import math
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from PIL import Image

from render.errors import VideoError
from render.video.pixels import Pixels

__all__ = ["STILL_SUFFIXES", "contact_sheet", "encode_still", "read_still"]


STILL_SUFFIXES = (".png", ".jpg", ".webp")

READ_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # of the others some start programs of their own
MAX_READ_BYTES = 256 << 20
MAX_READ_PIXELS = 64_000_000  # 8000x8000: 192 MB once decoded; a few kilobytes of file can claim gigabytes

_GAP_PIXELS = 4
_GAP_GREY = 24


def encode_still(pixels: Pixels, suffix: str, quality: int = 95) -> bytes:
    """One picture as the bytes of a `.png`, `.jpg` or `.webp` file; the same picture gives the same bytes.

    PNG is lossless and knows no quality (1 to 100); WebP is lossless at 100.
    """
    options = _still_options(suffix, quality)
    return bytes(iio.imwrite("<bytes>", pixels, extension=suffix, plugin="pillow", **options))


def read_still(source: Path | bytes) -> Pixels:
    """A picture as uint8 RGB, whatever its form: turned upright as its camera noted, grey and palettes widened, alpha
    dropped. Every picture that is read is read here, and comes from outside.

    Raises VideoError for what is no picture, is cut short, has more than 8 bits a channel or more than one frame, and,
    before anything is decoded, for what is too large.
    """
    name = str(source) if isinstance(source, Path) else f"a picture of {len(source)} bytes"
    _check_size(source, name)
    try:
        depth = iio.improps(source, plugin="pillow", index=0).dtype.itemsize
        if depth > 1:
            raise VideoError(f"{name}: has {8 * depth} bits a channel; save it with 8")
        pixels: Pixels = iio.imread(source, plugin="pillow", index=0, mode="RGB", rotate=True)
    except (OSError, ValueError, SyntaxError) as error:  # Pillow raises all three for damaged files
        raise VideoError(f"{name}: cannot be read as a picture: {error}") from error
    return pixels


def _check_size(source: Path | bytes, name: str) -> None:
    """What a file says of itself, looked at without decoding it."""
    try:
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size > MAX_READ_BYTES:
            raise VideoError(f"{name}: has {size:,} bytes; pictures of at most {MAX_READ_BYTES >> 20} MiB are read")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=READ_FORMATS) as picture:
                width, height = picture.size
                animated = getattr(picture, "is_animated", False) and picture.format != "MPO"  # a photo and its preview
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise VideoError(f"{name}: {error}") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise VideoError(f"{name}: cannot be read as a picture: {error}") from error
    if width * height > MAX_READ_PIXELS:
        raise VideoError(f"{name}: is {width}x{height}; pictures of at most {MAX_READ_PIXELS:,} pixels are read")
    if animated:
        raise VideoError(f"{name}: is an animation; give one picture")


def _still_options(suffix: str, quality: int) -> dict[str, Any]:
    if not 1 <= quality <= 100:
        raise VideoError(f"quality {quality} is out of range; it goes from 1 to 100 (best)")
    match suffix:
        case ".png":  # level 1 takes half the time of level 6 and a tenth more space
            return {"compress_level": 1}
        case ".jpg":  # subsampling 0: colour at full resolution
            return {"quality": quality, "subsampling": 0}
        case ".webp":
            return {"quality": quality, "lossless": quality == 100}
    raise VideoError(f"there is no still picture {suffix!r}; choose one of {', '.join(STILL_SUFFIXES)}")


def contact_sheet(frames: Sequence[Pixels], columns: int) -> Pixels:
    """All frames on one picture, row by row, with dark gaps between them. Frames must agree in size."""
    if not frames or columns < 1:
        raise VideoError("a contact sheet needs at least one frame and one column")
    if len({frame.shape for frame in frames}) > 1:
        raise VideoError("the frames of a contact sheet must have one size")
    columns = min(columns, len(frames))
    height, width, channels = frames[0].shape
    rows, step_y, step_x = math.ceil(len(frames) / columns), height + _GAP_PIXELS, width + _GAP_PIXELS
    sheet = np.full((rows * step_y + _GAP_PIXELS, columns * step_x + _GAP_PIXELS, channels), _GAP_GREY, np.uint8)
    for index, frame in enumerate(frames):
        y, x = _GAP_PIXELS + index // columns * step_y, _GAP_PIXELS + index % columns * step_x
        sheet[y : y + height, x : x + width] = frame
    return sheet
