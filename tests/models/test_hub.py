"""The hub as it is on bad days: what it lacks, forbids or does not answer is told with the cure, before any weights."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from render.cli import main
from render.errors import ModelError
from render.models import describe, fetch_model, find
from render.models import hub as hub_module
from tests.hub.server import Fault, Hub, serving, used
from tests.models.folders import safetensors, sd_folder

MODEL = "someone/fine-tune"
JOB = (
    "version: 1\nmode: dream\nmodel: {}\nframes: 2\nsteps: 1\nengine: {{batch: 2}}\n"
    'keyframes:\n  - {{at: 0, prompt: "hills"}}\n'
)
GATED = {"code": "GatedRepo", "message": "Access to model someone/fine-tune is restricted."}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The repository's files, to be changed."""
    return sd_folder(tmp_path / "source")


@pytest.fixture
def hub(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one repository, and an empty cache."""
    with serving({MODEL: source}) as hub:
        used(hub, tmp_path, monkeypatch)
        yield hub


def refusal(model: str = MODEL, *, download: bool = False) -> str:
    """What is said instead of describing a model."""
    with pytest.raises(ModelError) as error:
        describe(model, download=download, fingerprint=False)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 6
    return str(error.value)


def weights(names: set[str]) -> list[str]:
    return sorted(name for name in names if name.endswith((".safetensors", ".bin")))


def test_check_fetches_configurations_and_no_weights(hub: Hub, source: Path) -> None:
    (source / "vae_decoder").mkdir()
    (source / "vae_decoder/config.json").write_text("{}")
    assert describe(MODEL, fingerprint=False).native_size == (512, 512)
    assert "unet/config.json" in hub.fetched(MODEL)
    assert not weights(hub.fetched(MODEL))
    describe(MODEL, download=True)
    assert not [name for name in hub.fetched(MODEL) if name.startswith("vae_decoder")]


def test_what_is_here_whole_is_asked_of_nobody(hub: Hub) -> None:
    fetched = describe(MODEL, download=True)
    hub.asked.clear()
    assert describe(MODEL) == fetched
    assert describe(f"{MODEL}@{fetched.revision}", download=True) == fetched
    assert hub.asked == []


def to_fp16(source: Path) -> None:
    for path in source.rglob("*.safetensors"):
        path.rename(path.with_name(f"{path.stem}.fp16.safetensors"))


def test_a_variant_is_fetched_where_there_is_nothing_else(hub: Hub, source: Path) -> None:
    beside = source / "unet/diffusion_pytorch_model.fp16.safetensors"
    beside.write_bytes(b"not looked at")
    find(MODEL, download=True)
    assert not [name for name in hub.fetched(MODEL) if "fp16" in name]
    beside.unlink()
    shutil.rmtree(hub_cache())
    to_fp16(source)
    describe(MODEL, fingerprint=False)
    info = describe(MODEL, download=True)
    assert len(info.fingerprint) == 64
    assert len([name for name in hub.fetched(MODEL) if name.endswith(".fp16.safetensors")]) == 3


def hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def to_bin(source: Path) -> None:
    for path in source.rglob("*.safetensors"):
        path.rename(path.with_name("pytorch_model.bin" if path.stem == "model" else f"{path.stem}.bin"))


@pytest.mark.parametrize("command", ["check", "plan", "run", "preview"])
def test_pickled_weights_are_refused_before_they_are_fetched(
    command: str, hub: Hub, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_bin(source)
    job = tmp_path / "job.yaml"
    job.write_text(JOB.format(MODEL))
    assert main([command, str(job), "--set", f"output.dir={tmp_path / 'out'}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        f"render: {job}:3: model: '{MODEL}': text_encoder/pytorch_model.bin: pickled weights can run"
    )
    assert "say --trust if you trust its author" in told
    assert not hub.fetched(MODEL)
    assert main(["check", "--trust", str(job), "--set", f"output.dir={tmp_path / 'out'}"]) == 0
    assert not weights(hub.fetched(MODEL))
    describe(MODEL, download=True, trust=True)
    assert weights(hub.fetched(MODEL)) == [
        "text_encoder/pytorch_model.bin",
        "unet/diffusion_pytorch_model.bin",
        "vae/diffusion_pytorch_model.bin",
    ]


def test_a_shard_that_the_repository_lacks_is_named(hub: Hub, source: Path) -> None:
    (source / "unet/diffusion_pytorch_model.safetensors").unlink()
    names = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    safetensors(source / "unet" / names[0], weight=[2, 2])
    index = {"weight_map": dict(zip("ab", names, strict=True))}
    (source / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert f"unet/{names[1]} is missing, one of 2 shards" in refusal()
    assert not weights(hub.fetched(MODEL))


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("model_index.json", f"'{MODEL}': no model_index.json in it; choose a repository in diffusers' layout"),
        ("vae/config.json", f"'{MODEL}': no config.json in vae"),
        ("tokenizer/merges.txt", f"'{MODEL}': no merges.txt in tokenizer"),
        ("unet/diffusion_pytorch_model.safetensors", f"'{MODEL}': no weights in unet"),
    ],
)
def test_what_the_repository_lacks_is_named(gone: str, words: str, hub: Hub, source: Path) -> None:
    (source / gone).unlink()
    assert words in refusal()
    assert not weights(hub.fetched(MODEL))


def test_a_tiny_vae_of_the_hub(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, name = tmp_path / "tiny", "someone/taesd"
    tiny.mkdir()
    config = {"_class_name": "AutoencoderTiny", "latent_channels": 4, "decoder_block_out_channels": [64] * 4}
    (tiny / "config.json").write_text(json.dumps(config))
    safetensors(tiny / "diffusion_pytorch_model.safetensors", weight=[2])
    with serving({name: tiny}) as hub:
        used(hub, tmp_path, monkeypatch)
        describe(str(source), name, fingerprint=False)
        assert not weights(hub.fetched(name))
        describe(str(source), name, download=True)
        assert weights(hub.fetched(name)) == ["diffusion_pytorch_model.safetensors"]
    assert describe(str(source), name) == describe(str(source), name, download=True), "the hub is gone, it is here"
    (tiny / "diffusion_pytorch_model.safetensors").rename(tiny / "taesd_decoder.pth")
    with serving({name: tiny}) as hub:
        used(hub, tmp_path / "other", monkeypatch)
        with pytest.raises(ModelError, match=r"tiny VAE 'someone/taesd': no diffusion_pytorch_model\.saf"):
            describe(str(source), name, fingerprint=False)


def test_single_files_and_graphs_are_named_as_such(hub: Hub, source: Path) -> None:
    (source / "unet/diffusion_pytorch_model.safetensors").rename(source / "unet/model.onnx")
    assert "unet holds an ONNX graph, and those are not fetched from the hub; `hf download` it" in refusal()
    (source / "model_index.json").unlink()
    (source / "dreamy_v8.safetensors").write_bytes(b"x")
    assert "it holds single-file models (dreamy_v8.safetensors), which are not built yet" in refusal()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault(401, **GATED),
            "its authors want to be asked first: open {}/{}, accept their terms, then `hf auth login`",
        ),
        (Fault(403, **GATED, with_token=True), "accept their terms, then `hf auth login` with a token of that account"),
        (Fault(401, "RepoNotFound", "Repository not found"), "the hub knows no such model or revision, or it needs a"),
        (
            Fault(401, "", "Invalid credentials in Authorization header"),
            "the hub refuses your token (401); see `hf auth",
        ),
        (Fault(403, "", "Forbidden"), "the hub refuses your token (403); see `hf auth whoami`"),
        (Fault(503), "{} answers with status 503; try again later"),
        (Fault(429), "{} answers with status 429; try again later"),
        (Fault(404), "{} answers with status 404, as no hub does; look at HF_ENDPOINT"),
    ],
    ids=["gated", "gated-token", "private", "bad-token", "forbidden", "down", "busy", "no-hub"],
)
def test_what_the_hub_refuses_is_told_with_the_cure(fault: Fault, words: str, hub: Hub) -> None:
    hub.faults[MODEL] = fault
    assert words.format(hub.endpoint, MODEL) in refusal()
    assert not weights(hub.fetched(MODEL))


def test_names_and_revisions_that_are_not_there(hub: Hub) -> None:
    assert "the hub knows no such model or revision" in refusal("nobody/nothing")
    assert "the hub knows no such model or revision" in refusal(f"{MODEL}@v9")
    assert "is no name that the hub allows; write org/name" in refusal("org/na--me")


@pytest.fixture(params=["offline", "no-network", "silent"])
def silence(request: pytest.FixtureRequest, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """``silence()``: from now on the hub is not reached; what is said of it."""
    from huggingface_hub import constants

    def silence() -> str:
        if request.param == "offline":
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
            return "HF_HUB_OFFLINE is set; unset it, or give the folder of a downloaded model"
        if request.param == "silent":
            hub.faults[MODEL] = Fault(slow_s=0.6)
            monkeypatch.setattr(hub_module, "ASK_S", 0.2)
            return f"{hub.endpoint} did not answer in time; run the same command again"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        return f"{endpoint} cannot be reached"

    return silence


@pytest.mark.parametrize("download", [False, True])
def test_without_the_hub_what_is_not_here_is_refused(silence: Callable[[], str], download: bool) -> None:
    words = silence()
    told = refusal(download=download)
    assert told.startswith(f"'{MODEL}' is not in the local cache and cannot be fetched: ")
    assert words in told


def test_without_the_hub_what_is_here_is_rendered(silence: Callable[[], str]) -> None:
    fetched = describe(MODEL, download=True)
    silence()
    assert describe(MODEL) == describe(MODEL, download=True) == fetched


def test_without_the_hub_configurations_alone_are_not_enough(silence: Callable[[], str]) -> None:
    describe(MODEL, fingerprint=False)
    words = silence()
    assert words in refusal()
    assert words in refusal(download=True)


def test_a_slow_hub_is_waited_for(hub: Hub) -> None:
    hub.faults[MODEL] = Fault(slow_s=0.05)
    assert describe(MODEL, download=True).family == "sd"


def test_whoever_waits_hears_how_much_has_come(hub: Hub, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "TELL_EVERY_S", 0.02)
    hub.faults[MODEL] = Fault(slow_s=0.1)
    safetensors(source / "unet/diffusion_pytorch_model.safetensors", weight=[1000, 1000])
    told: list[str] = []
    fetch_model(MODEL, told.append)
    assert told[0] == f"fetching {MODEL}: 0.0 of 2.0 MB"
    assert told[-1] == f"fetching {MODEL}: 2.0 of 2.0 MB"
    told.clear()
    fetch_model(MODEL, told.append)
    fetch_model("demo", told.append)
    assert told == [], "all of it is here"


@pytest.fixture
def _kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client writes down every 16 bytes that have come, instead of ten million."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 16)


@pytest.mark.slow
@pytest.mark.usefixtures("_kept_at_once")
def test_a_connection_that_breaks_off_is_taken_up_again(hub: Hub, source: Path) -> None:
    hub.faults[MODEL] = Fault(broken_at=40, times=2)
    folder = find(MODEL, download=True)
    for name in weights(hub.fetched(MODEL)):
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    assert set(hub.resumed) == {32}


@pytest.mark.slow
@pytest.mark.usefixtures("_kept_at_once")
def test_a_connection_that_stays_broken_is_told_and_the_next_run_goes_on(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults[MODEL] = Fault(broken_at=200)  # of the UNet's 728: other files are smaller
    (tmp_path / "job.yaml").write_text(JOB.format(MODEL))
    run = ["run", "--local", str(tmp_path / "job.yaml"), "--set", f"output.dir={tmp_path / 'out'}"]
    assert main(run) == 6
    words = f"the connection to {hub.endpoint} broke off; run the same command again, files that came whole are kept\n"
    assert capsys.readouterr().err.endswith(words)
    del hub.faults[MODEL]
    hub.asked.clear()
    assert describe(MODEL, download=True).family == "sd"
    assert hub.fetched(MODEL) == {"unet/diffusion_pytorch_model.safetensors"}


def test_a_cache_that_cannot_be_written_is_told(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file/hub"))
    told = refusal()
    assert f"cannot be written into the hub's cache ({tmp_path}/file/hub)" in told
    assert "let HF_HOME name a folder" in told


def test_a_file_of_the_cache_that_was_cut_short_is_named(hub: Hub) -> None:
    folder = find(MODEL, download=True)
    blob = (folder / "vae/diffusion_pytorch_model.safetensors").resolve()
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1])
    assert "vae/diffusion_pytorch_model.safetensors: is no safetensors file" in refusal()
    blob.unlink()  # as the cure says, half of it: the link stays
    assert describe(MODEL, fingerprint=False).family == "sd"
    assert describe(MODEL, download=True).family == "sd"
    assert blob.read_bytes() == whole
