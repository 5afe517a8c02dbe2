"""What goes to a cluster: specs that mean the same there, a command that survives the shell, names that can be read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from render.errors import SpecError
from render.farm.ray.package import check_portable, entrypoint, pack, relative_folders, submission_id
from render.spec import JobFile, load


@pytest.mark.parametrize("folder", ["/mnt/films/card", "~/films", "s3://bucket/card", "gs://bucket/card"])
def test_run_directories_that_mean_the_same_everywhere(job_of: Callable[..., JobFile], folder: str) -> None:
    check_portable([job_of(f"output.dir={folder}")])


def test_a_relative_run_directory_is_refused_with_its_line(tmp_path: Path, job_of: Callable[..., JobFile]) -> None:
    job_of()
    path = tmp_path / "card.yaml"
    path.write_text(path.read_text().replace("output: {", "output: {dir: out/card, "))
    with pytest.raises(SpecError, match=r"card\.yaml:11: output\.dir: out/card: .*absolute path.*s3://"):
        check_portable([load(path)])


def test_a_run_directory_that_is_left_out_is_relative(tmp_path: Path, job_of: Callable[..., JobFile]) -> None:
    with pytest.raises(SpecError, match=r"output\.dir: on a cluster"):
        check_portable([job_of(), load(tmp_path / "card.yaml")])


@pytest.mark.parametrize("key", ["model", "engine.tiny_vae"])
def test_a_relative_model_folder_is_refused(
    tmp_path: Path, job_of: Callable[..., JobFile], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for folder in ("models/mine", "./elsewhere"):
        with pytest.raises(SpecError, match=rf"{re.escape(key)}: {folder}: a folder of this machine"):
            check_portable([job_of(f"{key}={folder}")])
    check_portable([job_of(f"{key}={tmp_path / 'models' / 'mine'}"), job_of(f"{key}=someone/elses")])


def test_only_what_is_found_from_here_alone_is_a_relative_folder(
    tmp_path: Path, job_of: Callable[..., JobFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("models/mine", "demo", "testcard"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    anywhere = ("demo", "testcard", "testcard:5ms", "someone/elses", "~/models", str(tmp_path / "models" / "mine"))
    assert relative_folders("models/mine", *anywhere, None, "./elsewhere") == ("models/mine", "./elsewhere")
    check_portable([job_of("model=demo", "engine.tiny_vae=demo"), job_of("model=testcard")])


def test_the_command_survives_the_shell() -> None:
    overrides = ['negative=it\'s $HOME; `rm` "x"', "keyframes[0].prompt=a\nb"]
    command = entrypoint(["jobs/my film.yaml"], overrides, "0-9,20-30x2")
    word, *words = shlex.split(command)
    assert word == "exec"
    assert words[:5] == ["python", "-P", "-m", "render", "run"]
    assert words[5:8] == ["jobs/my film.yaml", "--address", "auto"]
    assert words[8:] == [*(f"--set={each}" for each in overrides), "--frames=0-9,20-30x2"]


def test_ids_are_readable_and_differ() -> None:
    ids = {submission_id(["day.and_night"]) for _ in range(20)}
    assert len(ids) > 1
    assert all(re.fullmatch(r"render-day-and-night-\d{8}-\d{6}-[0-9a-f]{4}", each) for each in ids)
    assert submission_id(["a" * 100, "b", "c"]).startswith(f"render-{'a' * 40}-and-2-more-")
    assert submission_id(["x" + "." * 60]).startswith("render-x-2")


def test_only_the_specs_are_packed_and_none_hides_another(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "job.yaml" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(f"name: {path.parent.name}")
        (path.parent / "secret").write_text("stays here")
    files = pack(paths, tmp_path / "package")
    assert files == ["jobs/job.yaml", "jobs/2/job.yaml"]
    assert [(tmp_path / "package" / file).read_text() for file in files] == ["name: a", "name: b"]
    assert {each.name for each in (tmp_path / "package").rglob("*") if each.is_file()} == {"job.yaml"}
