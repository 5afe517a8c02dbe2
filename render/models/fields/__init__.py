"""Every field of a model's configurations: honoured, refused, or without effect. A file for each kind of configuration.

Begin with base.py (what a field can be), then scheduler.py, unet.py, vae.py and text.py: the fields of diffusers 0.42
and transformers 5, one by one. `parts.py` reads the files of a folder by them, `index.py` holds one file
against another. Knows no torch and no weights.
"""

from render.models.fields.index import check_index, check_texts
from render.models.fields.parts import check_fields
from render.models.fields.scheduler import CLASSES as SCHEDULER_CLASSES

__all__ = ["SCHEDULER_CLASSES", "check_fields", "check_index", "check_texts"]
