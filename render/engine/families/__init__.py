"""How each kind of model is called: its texts, its conditioning, its denoiser's arguments. A file a family.

Knows no plans, no backends and no files. Begin with base.py (what a family has to say), then sd.py; sdxl.py adds to it.
"""

from importlib import import_module

from render.engine.families.base import Family
from render.models import FAMILIES

__all__ = ["Family", "family_of"]


def family_of(name: str) -> Family:
    """The family of that name: ``FAMILY`` of the file named like its row in `render.models.FAMILIES`."""
    assert FAMILIES[name].pipeline is not None, f"{name} has no tensors"
    family: Family = import_module(f"{__name__}.{name}").FAMILY
    return family
