"""A model's name -> the folder with its files. Knows names and folders, and opens no file of a model.

A model is ``demo`` (shipped inside), ``testcard`` (no model at all), a folder in diffusers' layout, a folder of ONNX
graphs as ``render export`` and Optimum write them, or a hub id such as ``org/name`` or ``org/name@revision``.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from render.errors import ModelError
from render.models.complete import check_weights, whole
from render.models.config import family_of
from render.models.contents import Located, contents_of, listed, wanted
from render.models.demo import WEIGHTS
from render.models.hub import Tell, UnreachableError, cached_folder, fetch, repository_files
from render.models.trust import PICKLE_SUFFIXES

__all__ = ["TINY_FILES", "fetch_model", "find", "find_tiny", "locate", "on_hub", "pinned", "testcard_cost_s"]

INDEX = "model_index.json"
TINY = "vae_tiny"  # the demo model's
TINY_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
HUB_ID = re.compile(r"(?!.*\.\.)([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)  # no way up in it
COMMIT = re.compile("[0-9a-f]{40}")
TESTCARD = re.compile(r"testcard(?::(\d{1,6})ms)?")


def testcard_cost_s(model: str) -> float | None:
    """Seconds that each picture of a test card shall take (``testcard:50ms``), 0 for ``testcard``, None for models."""
    match = TESTCARD.fullmatch(model)
    return int(match[1] or 0) / 1000 if match else None


def on_hub(model: str) -> re.Match[str] | None:
    """The repository (1) and revision (2, or None) where ``model`` is of the hub: no folder here has that name."""
    if model.startswith((".", "/", "~")) or os.path.isdir(model):
        return None
    return HUB_ID.fullmatch(model)


def find(model: str, *, download: bool, trust: bool = False) -> Path:
    """The folder of a model, as ``locate`` finds it."""
    return locate(model, download=download, trust=trust).folder


def fetch_model(model: str, tell: Tell, tiny_vae: str | None = None, *, trust: bool = False) -> None:
    """Fetch a hub model, and its tiny VAE, where they are not here: then both are found without ``download``.

    ``tell`` hears how far the model is. Raises ModelError as ``locate`` and ``find_tiny`` do.
    """
    locate(model, download=True, trust=trust, tell=tell)
    if tiny_vae is not None:
        find_tiny(tiny_vae, download=True)


def locate(model: str, *, download: bool, trust: bool = False, tell: Tell | None = None) -> Located:
    """Where a model is; a hub model in the hub's cache, fetched before when ``download`` is set.

    Without ``download`` its configurations are fetched. With ``trust`` pickled weights are fetched where there are no
    others. Raises ModelError that says what was looked for and what to do.
    """
    if model == "demo":
        return Located(WEIGHTS, contents_of(WEIGHTS))
    if model.endswith((".safetensors", *PICKLE_SUFFIXES)):
        pickled = "" if model.endswith(".safetensors") else "pickled weights can run code when they are read, and "
        raise ModelError(
            f"{model!r}: {pickled}single-file models are not built yet; convert it to a folder with save_pretrained"
        )
    if os.path.isdir(os.path.expanduser(model)):
        return _in_folder(model, Path(os.path.expanduser(model)))
    if hub := on_hub(model):
        return _from_hub(model, hub, tell if download else None, download=download, trust=trust)
    raise ModelError(f"{model!r}: no such folder, and not a hub id; write demo, testcard, a folder, or org/name")


def _in_folder(model: str, folder: Path) -> Located:
    """A model on this machine. Raises ModelError for a folder of something else that people take for one."""
    contents = contents_of(folder)
    if INDEX not in contents[""]:
        if "snapshots" in contents[""]:
            raise ModelError(
                f"{model!r} is what the hub's cache keeps of a repository; write its name (org/name), or the folder of "
                "one snapshot in it"
            )
        if single := _single_file(contents[""]):
            raise ModelError(f"{model!r}: {single}; convert it with save_pretrained")
    return Located(folder, contents)


def _from_hub(model: str, hub: re.Match[str], tell: Tell | None, *, download: bool, trust: bool) -> Located:
    """What is whole in the cache is not asked for again, but to be fetched: a branch may have moved since."""
    here = _in_cache(model, hub, trust=trust)
    if here is not None and (not download or COMMIT.fullmatch(hub[2] or "")):
        return here
    try:
        files = repository_files(hub[1], hub[2])
    except UnreachableError:
        if here is None:
            raise
        return here
    if INDEX not in files:
        raise ModelError(f"{model!r}: {_other_layout(files)}")
    contents = listed(files)
    check_weights(model, contents, trust=trust)
    paths = [path for path in wanted(contents, trust=trust) if download or path.endswith(".json")]
    folder = fetch(hub[1], hub[2], {path: files[path] for path in paths}, tell)
    return Located(folder, contents_of(folder)) if download else Located(folder, contents, fetched=False)


def _in_cache(model: str, hub: re.Match[str], *, trust: bool) -> Located | None:
    """A hub model that was fetched, all of it; None for any other."""
    folder = cached_folder(hub[1], hub[2], INDEX)
    if folder is None:
        return None
    located = Located(folder, contents_of(folder))
    return located if whole(located, family_of(model, folder), trust=trust) else None


def _other_layout(files: Iterable[str]) -> str:
    single = _single_file(path for path in files if "/" not in path)
    return f"{single or f'no {INDEX} in it'}; choose a repository in diffusers' layout"


def _single_file(names: Iterable[str]) -> str | None:
    """That there are models of another layout among ``names``; None where there is none."""
    single = sorted(name for name in names if name.endswith((".safetensors", *PICKLE_SUFFIXES)))
    return f"it holds single-file models ({single[0]}), which are not built yet, and no {INDEX}" if single else None


def find_tiny(tiny_vae: str, *, download: bool) -> Path:
    """The folder of an ``AutoencoderTiny``: ``demo``, a folder, or a hub id. Raises ModelError as ``find`` does."""
    if tiny_vae == "demo":
        return WEIGHTS / TINY
    if os.path.isdir(os.path.expanduser(tiny_vae)):
        return Path(os.path.expanduser(tiny_vae))
    if hub := on_hub(tiny_vae):
        return _tiny_from_hub(hub, download=download)
    raise ModelError(f"tiny VAE {tiny_vae!r}: no such folder, and not a hub id; write demo, a folder, or org/name")


def _tiny_from_hub(hub: re.Match[str], *, download: bool) -> Path:
    cached = [cached_folder(hub[1], hub[2], name) for name in TINY_FILES]
    if all(cached) and not download:
        return Path(str(cached[0]))
    try:
        files = repository_files(hub[1], hub[2])
    except UnreachableError:
        if not all(cached):
            raise
        return Path(str(cached[0]))
    if missing := [name for name in TINY_FILES if name not in files]:
        raise ModelError(f"tiny VAE {hub[0]!r}: no {missing[0]} in it; choose a repository of an AutoencoderTiny")
    return fetch(hub[1], hub[2], {name: files[name] for name in (TINY_FILES if download else TINY_FILES[:1])})


def pinned(model: str, revision: str | None) -> str:
    """A hub id with its revision: what ``main`` was when the plan was made. Any other model as it is."""
    hub = on_hub(model)
    return f"{model}@{revision}" if revision and hub and not hub[2] else model
