"""Plain data -> an HTML page, by a template of a wing's. The only file with Jinja2, which is loaded for the first page.

A page needs nothing else: styles and pictures are inside, there is no script, and it forbids itself to fetch anything.
Every value is escaped; a template that asks for a value that is not there fails.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from render.report import humanize

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["fill_template"]

SHARED = "render.report"  # whose templates the pages of all wings are built of


def fill_template(name: str, values: dict[str, object], wing: str = SHARED) -> str:
    """The page that the template ``name`` of ``wing`` makes of ``values``."""
    return _environment(wing).get_template(name).render(values)


@cache
def _environment(wing: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=ChoiceLoader([PackageLoader(package) for package in dict.fromkeys((wing, SHARED))]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(humanize, name) for name in humanize.__all__}
    return environment
