"""The type of a picture, wherever one is drawn, encoded or compared."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pixels"]


Pixels = NDArray[np.uint8]
"""A picture as (height, width, 3) RGB bytes."""
