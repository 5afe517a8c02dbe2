"""The landscapes that the demo model learned from: scenes in words and in pixels, drawn by numpy.

Knows no tensors and no model. Read `scene.py`, `captions.py` and `pictures.py`, which paints with `canvas.py`,
`palette.py`, `sky.py` and `land.py`; `reader.py` goes the way back, from a picture to what it shows.
"""
