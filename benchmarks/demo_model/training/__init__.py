"""How the demo model's weights were made: autoencoder, text encoder, UNet, tiny decoder.

Knows nothing of jobs and farms; nothing of `render` imports it. Read `train.py` and `stages.py`, then `projection.py`,
`autoencoder.py`, `text.py`, `diffusion.py` and `tiny_decoder.py`, which share `loop.py`; `evaluate.py` judges them.
"""
