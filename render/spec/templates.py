"""The job specs that ``render new`` prints: short enough to read, complete enough to run."""

from __future__ import annotations

__all__ = ["TEMPLATES"]

DREAM = """\
# A latent walk: the film dreams its way from one prompt to the next. Render it with: render run job.yaml
version: 1
name: my-dream
mode: dream
model: demo                  # demo | testcard | a hub id (org/name) | a folder in diffusers' layout
fps: 24
duration: 8s                 # or frames: 192
sampler: dpm++2m             # render schema lists them all
steps: 20
guidance: 3.5                # 3 to 4 suits the demo model, 7 to 8 most others
negative: blurry
loop: true                   # walk back to the first keyframe, so that the film repeats without a seam
keyframes:                   # at: a frame number or a time; what a keyframe leaves out walks on to the next that has it
  - {at: 0,     prompt: a big red sun on the left over violet mountains at dawn, seed: 1}
  - {at: 2.5s,  prompt: a big golden sun in the middle over green hills at noon, seed: 1, ease: in-out}
  - {at: 5s,    prompt: a huge white moon on the right over blue sea at night,   seed: 21}
"""

TEMPLATES = {"dream": DREAM}
