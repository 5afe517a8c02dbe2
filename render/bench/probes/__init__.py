"""What is measured beside pictures, with torch: the device at its best, FLOPs, parts alone, diffusers' own pipeline.

Knows a plan and the folder of its model; no case, no table and no report.
Read ``peak`` and ``flops`` (what is possible), ``parts``, ``baseline`` (what others do), ``architectures``.
"""
