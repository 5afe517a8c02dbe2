"""Whether a model's files are all there, and each of them whole, as far as names, configurations and headers say.

Quick: of weights only the headers are read. Knows no network: what the hub lists is handed in as names.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from render.errors import ModelError
from render.models.config import read_json
from render.models.contents import CONFIGS, Contents, Located, Weights, files_of, weights_of
from render.models.damage import open_weights, require_whole
from render.models.families import FAMILIES, Family
from render.models.trust import PICKLE_SUFFIXES

__all__ = ["check", "check_graphs", "check_weights", "whole"]

WORDS = ({"vocab.json", "merges.txt"}, {"tokenizer.json"}, {"spiece.model"})
"""The files that a tokenizer is made of: those of one of these sets."""
LAYER = (
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")),
    "layer_norm1",
    "layer_norm2",
    "mlp.fc1",
    "mlp.fc2",
)
KINDS = ("weight", "bias")
"""What a layer of a CLIP is made of."""
CODE = "pickled weights can run code when they are read, and there are no safetensors"


def check(model: str, located: Located, family: Family, *, trust: bool) -> None:
    """Raise ModelError for a model in diffusers' layout of which something is missing, or what is here is damaged."""
    folder, contents = located.folder, located.contents
    check_weights(model, contents, trust=trust)
    for gap in _gaps(folder, contents, family):
        raise ModelError(f"{model!r}: {gap}")
    for path in _read(folder, contents, family):
        if located.fetched or path.exists():
            require_whole(path)
    for part in family.text_encoders:
        if lacking := _missing_layer(folder / part, part, contents[part]):
            raise ModelError(
                f"{folder / part}: its weights lack {lacking}, which its config.json asks for; fetch the model again, "
                "or put the config.json there that belongs to the weights"
            )


def _missing_layer(folder: Path, part: str, names: frozenset[str]) -> str | None:
    """The first tensor that a CLIP of as many layers has and the headers do not name; its libraries know the rest."""
    weights, layers = weights_of(part, names), read_json(folder / "config.json").get("num_hidden_layers")
    paths = [folder / name for name in weights.files] if weights is not None and not weights.pickled else []
    if type(layers) is not int or not paths or not all(path.exists() for path in paths):
        return None
    tensors: set[str] = set()
    for path in paths:
        with open_weights(path) as file:
            tensors |= {name.removeprefix("text_model.") for name in file.keys()}  # noqa: SIM118 - no mapping
    places = (f"encoder.layers.{layer}.{name}.{kind}" for layer in range(layers) for name in LAYER for kind in KINDS)
    return next((name for name in places if name not in tensors), None)


def check_weights(model: str, contents: Contents, *, trust: bool) -> None:
    """Raise ModelError where a part with a configuration has no weights that may be read, by the names alone."""
    for part in sorted({part for family in FAMILIES.values() for part in family.weighted}):
        names = contents[part]
        weights = weights_of(part, names)
        if "config.json" not in names or (weights and (trust or not weights.pickled)):
            continue
        pickled = sorted(name for name in names if name.endswith(PICKLE_SUFFIXES))
        if pickled and not trust:
            raise ModelError(
                f"{model!r}: {part}/{pickled[0]}: {CODE}; convert it with save_pretrained, or say --trust if you trust "
                "its author"
            )
        raise ModelError(f"{model!r}: {_no_weights(part, names)}")


def _no_weights(part: str, names: frozenset[str]) -> str:
    """What a part holds instead of weights."""
    others = sorted(name for name in names if name.endswith((".safetensors", *PICKLE_SUFFIXES)))
    if "model.onnx" in names:
        return (
            f"{part} holds an ONNX graph, and those are not fetched from the hub; `hf download` it, and give the folder"
        )
    if others:
        return (
            f"no weights in {part} under a name that diffusers reads, but {', '.join(others[:3])}; rename them, or "
            "convert the model with save_pretrained"
        )
    return f"no weights in {part}; safetensors are looked for"


def _gaps(folder: Path, contents: Contents, family: Family) -> Iterator[str]:
    """What is missing of a model in diffusers' layout, by the names and the indices of shards."""
    for part in family.weighted:
        if "config.json" not in contents[part]:
            yield f"no config.json in {part}; a model folder is in diffusers' layout"
        elif (weights := weights_of(part, contents[part])) is None:
            yield f"no weights in {part}"
        else:
            yield from _missing_shards(folder, part, contents[part], weights)
    for part in family.tokenizers:
        if gap := _missing_words(part, contents[part]):
            yield gap
    if "scheduler_config.json" not in contents["scheduler"]:
        yield "no scheduler_config.json in scheduler; a model folder is in diffusers' layout"


def _missing_words(part: str, names: frozenset[str]) -> str | None:
    if any(words <= names for words in WORDS):
        return None
    return f"no {' and no '.join(sorted(WORDS[0] - names))} in {part}; fetch the model again"


def _missing_shards(folder: Path, part: str, names: frozenset[str], weights: Weights) -> Iterator[str]:
    """Shards that the index names and nobody has."""
    single = [name for name in weights.files if "-of-" not in name]
    if weights.pickled or "model.safetensors" in single:  # transformers reads one file first, diffusers an index
        return
    if weights.index not in names:
        if not single:
            yield f"no {weights.index} in {part}, which says what is in its shards; fetch the model again"
        return
    index = folder / part / weights.index
    table = read_json(index).get("weight_map") if index.exists() else None  # else not fetched yet
    shards = {str(name) for name in table.values()} if isinstance(table, dict) else set()
    if missing := sorted(shards - names):
        yield (
            f"{part}/{missing[0]} is missing, one of {len(shards)} shards that {weights.index} names; "
            "fetch the model again"
        )


def whole(located: Located, family: Family, *, trust: bool) -> bool:
    """Whether nothing is missing that was asked for, so that nothing needs to be fetched."""
    folder, contents = located.folder, located.contents
    parts = {part: weights_of(part, contents[part]) for part in family.weighted}
    pickled = any(weights is not None and weights.pickled for weights in parts.values())
    there = all(path.exists() for path in _read(folder, contents, family))
    return there and not (pickled and not trust) and next(_gaps(folder, contents, family), None) is None


def _read(folder: Path, contents: Contents, family: Family) -> Iterator[Path]:
    """The files that are read of a model in diffusers' layout."""
    for part in family.parts:
        weights = weights_of(part, contents[part]) if part in family.weighted else None
        names = files_of(part, contents[part])
        yield from (folder / part / name for name in (names if weights is None else {*names, *weights.files}))


def check_graphs(model: str, located: Located, family: Family) -> None:
    """Raise ModelError for a folder of ONNX graphs of which one is missing, or not what its name says."""
    for part in family.graph_parts:
        names = located.contents[part]
        if part not in (*family.tokenizers, "scheduler") and "model.onnx" not in names:
            raise ModelError(f"{model!r}: no model.onnx in {part}; fetch or export the model again")
        if part in family.tokenizers and (gap := _missing_words(part, names)):
            raise ModelError(f"{model!r}: {gap}")
        for name in sorted(names):
            if name.startswith("model.onnx") or any(fnmatchcase(name, pattern) for pattern in CONFIGS):
                require_whole(located.folder / part / name)
