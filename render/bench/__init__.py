"""``render bench``: what a picture costs and what approximations lose, its report, and the comparison of two reports.

Knows the engine, and the farm for films in this process; no Ray, and no torch outside ``probes/``.
Read ``options``, ``case``, ``suite``; ``candidate``, ``timing``, ``harness``, ``runner``; ``schema``, ``tables``.
"""
