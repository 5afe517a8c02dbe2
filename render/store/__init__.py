"""The run directory of a job: everything it wrote, whole or not at all, on a disk or in an object store.

It knows neither pictures nor workers: it moves bytes, plans and done records.
Read ``rundir.py`` and ``layout.py``, then ``record.py``, ``events.py``, ``base.py``, ``disk.py``, ``object_store.py``.
"""

from render.store.events import PROBLEMS, Event, LogEntry, cleaned
from render.store.filesystems import unusable
from render.store.folders import foreign_file, obstacle, temporary_folder
from render.store.record import Note, Record, Segment
from render.store.rundir import RunDir

__all__ = [
    "PROBLEMS",
    "Event",
    "LogEntry",
    "Note",
    "Record",
    "RunDir",
    "Segment",
    "cleaned",
    "foreign_file",
    "obstacle",
    "temporary_folder",
    "unusable",
]
