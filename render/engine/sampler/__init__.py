"""A scheduler of diffusers as numbers, and the denoise loop on them. Knows no models, no guidance, no frames.

Begin with table.py (how a scheduler is written out), then denoise.py (the loop); schedulers.py makes them of names.
"""
