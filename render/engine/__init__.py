"""What turns frames of a plan into `uint8` pictures: the wing with torch. Knows no chunks and no workers.

Begin with base.py and engine.py; then a frame's way: inputs.py, frame_sampler.py (or interpolate.py), guidance.py,
batch_renderer.py, bad_frames.py. families/ say how a model is called, backends/ what computes it, sampler/ the steps.
"""
