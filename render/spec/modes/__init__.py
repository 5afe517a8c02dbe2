"""What a job can be: a file for every mode, with its fields, rules and template.

Knows nothing of plans: what a mode makes of its fields is in `render/plan/modes`.
"""

from collections.abc import Mapping

from render.spec.modes.dream import DreamSpec
from render.spec.schema import JobSpec

__all__ = ["MODES"]

MODES: Mapping[str, type[JobSpec]] = {
    "dream": DreamSpec,
}
"""Mode, as the job file names it -> what its job specs are."""
