"""The configurations of a model folder, held against the tables of their fields."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from render.errors import ModelError
from render.models.config import read_json
from render.models.families import Family, Layout
from render.models.fields.base import COMMON, Config, Field, mistake, one_of, refused
from render.models.fields.scheduler import CLASSES, SCHEDULER
from render.models.fields.text import TEXT
from render.models.fields.unet import UNET
from render.models.fields.vae import VAE

__all__ = ["check_fields"]

CLIPS = ("CLIPTextModel", "CLIPTextModelWithProjection")

_NO_MASK = refused(
    "use_attention_mask", one_of(False, None), "graphs take no mask; give the model in diffusers' layout"
)


@dataclass(frozen=True)
class _Part:
    """A configuration by its path in the folder, its fields, and the classes that it may be of, with the cure."""

    path: str
    fields: tuple[Field, ...]
    classes: Iterable[str] = ()
    cure: str = ""
    strict: bool = True


def check_fields(folder: Path, family: Family, layout: Layout) -> None:
    """Raises ModelError for the first field of a configuration that is refused, unknown, or not of its values.

    It names file, field, value and cure. A configuration that is not there is not looked at.
    """
    index = read_json(folder / "model_index.json")
    for part in _parts(family, layout):
        path = folder / part.path
        if not path.exists():
            continue
        config = read_json(path)
        named = _named(index, path.parent.name) if layout == "diffusers" else None
        if named is not None and (why := _class_mistake(named, config, part)):
            raise ModelError(f"{folder / 'model_index.json'}: {path.parent.name} is a {why}")
        why = _class_mistake(config.get("_class_name"), {}, part)
        why = (
            f"_class_name is {why}"
            if why
            else mistake(config, (*COMMON, *part.fields), family.name, strict=part.strict)
        )
        if why:
            raise ModelError(f"{path}: {why}")


def _parts(family: Family, layout: Layout) -> Iterator[_Part]:
    """Of graphs the configurations say how they were made: names of other exporters' own are none of our matter."""
    open_ = layout == "diffusers"
    yield _Part(
        "scheduler/scheduler_config.json",
        SCHEDULER,
        CLASSES,
        f"it does not sample {family.title} here; put the scheduler_config.json of the model that it was made of there",
    )
    if family.denoiser == "unet":
        cure = "only UNet2DConditionModel is built; use another model"
        yield _Part("unet/config.json", UNET, ("UNet2DConditionModel",), cure, open_)
    yield _Part(
        "vae/config.json" if open_ else "vae_decoder/config.json",
        VAE,
        ("AutoencoderKL",),
        "only AutoencoderKL is built; put the model's own VAE there, a tiny one goes into engine.tiny_vae",
        open_,
    )
    for name in family.text_encoders:
        cure = "only CLIPs are read; use another model"
        yield _Part(f"{name}/config.json", TEXT if open_ else (*TEXT, _NO_MASK), CLIPS, cure, open_)


def _named(index: Config, part: str) -> object:
    """The class by which the index has a part loaded, where it is one of diffusers or transformers."""
    named = index.get(part)
    if isinstance(named, list) and len(named) == 2 and named[0] in ("diffusers", "transformers"):
        return named[1]
    return None


def _class_mistake(named: object, config: Config, part: _Part) -> str | None:
    """What is wrong with a part of that class; with the other kind than its configuration's, the index misleads."""
    if not part.classes or named is None:
        return None
    if named not in tuple(part.classes):
        return f"{str(named)[:60]!r}: {part.cure}"
    written = config.get("_class_name") or named
    if part.classes is CLASSES and CLASSES.get(str(written)) != CLASSES[str(named)]:
        return f"{str(named)!r}, and {part.path} is of {str(written)[:60]!r}: name the same in both"
    return None
