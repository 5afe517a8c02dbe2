"""What fields are made of: the strict base of all sections, and types that several of them share."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from render.spec.location import is_url, url_mistake
from render.spec.other_tools import no_such_name

__all__ = ["Auto", "Ease", "Folder", "Guidance", "Prompt", "PromptWalk", "Section", "Seed", "Share", "listed"]

MAX_PROMPT_CHARS = 4_000

Auto = Literal["auto"]
Ease = Literal["linear", "in", "out", "in-out", "hold"]
PromptWalk = Literal["lerp", "slerp"]


def listed(kind: str, names: Iterable[str]) -> AfterValidator:
    """Accept the names of a table; an unknown name is answered with ours for it, or the nearest and all of them."""
    known = sorted(names)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(no_such_name(kind, value, known))
        return value

    return AfterValidator(check)


class Section(BaseModel):
    """Keys of a job file: strict, frozen, no unknown ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @model_serializer(mode="wrap")
    def _without_nothing(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out None where it is the default anyway. ``video: null`` says something and stays."""
        fields = type(self).model_fields
        return {
            key: value for key, value in plain(self).items() if value is not None or fields[key].default is not None
        }


def _possible(path: str) -> str:
    if not path.isprintable():
        raise ValueError(f"{path!r} holds a character that no folder's name should have")
    if is_url(path) and (mistake := url_mistake(path)):
        raise ValueError(mistake)
    return path


Prompt = Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARS)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
Guidance = Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Folder = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"\S"), AfterValidator(_possible)]
