"""The command line: exit codes, one message for a mistake, nothing heavy imported, JSON for machines."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from render import errors
from render.cli import main
from render.cli.commands import COMMANDS, EXAMPLES
from render.engine.testcard import read_index
from render.spec import load, validate
from render.spec.document import parse
from render.video.stills import read_still

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "ray", "diffusers", "transformers", "onnxruntime", "av", "imageio")

GOOD = """\
version: 1
name: card
mode: dream
model: testcard
size: 128x72
frames: 12
keyframes:
  - {at: 0, prompt: a}
  - {at: 4, prompt: b}
farm: {chunk: 4}
output: {preset: ultrafast}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test in a folder of its own, without a cluster, and SIGTERM as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def job(here: Path) -> str:
    (here / "job.yaml").write_text(GOOD)
    return "job.yaml"


class Answer:
    """Exit code and words of one command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Render = Callable[..., Answer]


@pytest.fixture
def render(capfd: pytest.CaptureFixture[str]) -> Render:
    """``render("check", "job.yaml")`` in this process."""

    def call(*arguments: str) -> Answer:
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return call


def process(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """The same as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "render", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

WRONG = {
    "unknown key": (GOOD + "stps: 20\n", "job.yaml:12: stps: unknown key; did you mean 'steps'?"),
    "bad type": (GOOD.replace("frames: 12", "frames: twelve"), "job.yaml:6: frames: 'twelve': write a whole number"),
    "keyframes out of order": (
        GOOD.replace("farm:", "  - {at: 2, prompt: c}\nfarm:"),
        "job.yaml:10: keyframes[2].at: 2 is frame 2, not after the one before (frame 4); keyframes go in order",
    ),
    "size": (GOOD.replace("128x72", "130x72"), "job.yaml:5: size: 130x72: the width must be a multiple of 8"),
    "missing file": (None, "job.yaml: no such file"),
    "syntax": (GOOD.replace("frames: 12", "frames: [12"), "job.yaml:7: not valid YAML: "),
    "bomb": (BOMB, "unfolds into more than 200,000 values (aliases repeat them); write it plainly"),
    "too many frames": (
        GOOD.replace("frames: 12", "frames: 1000001"),
        "job.yaml:6: frames: 1000001: write 1000000 or less",
    ),
    "unknown sampler": (
        GOOD + "sampler: dpm+2m\n",
        "job.yaml:12: sampler: unknown sampler 'dpm+2m'; did you mean 'dpm++2m'?; known: ddim, ",
    ),
    "bad codec": (
        GOOD.replace("{preset: ultrafast}", "{codec: x264}"),
        "job.yaml:11: output.codec: unknown codec 'x264'; write h264",
    ),
    "directory beneath a file": (
        GOOD.replace("{preset: ultrafast}", "{dir: job.yaml/out}"),
        "job.yaml:11: output.dir: ",
    ),
    "missing model": (
        GOOD.replace("model: testcard", "model: ./nowhere"),
        "job.yaml:4: model: './nowhere': no such folder, and not a hub id; write demo, testcard, a folder, or org/name",
    ),
    "model as people call it": (
        GOOD.replace("model: testcard", "model: sdxl"),
        "write demo, testcard, a folder, or org/name; on the hub it is stabilityai/stable-diffusion-xl-base-1.0",
    ),
    "name that leaves the folder": (
        GOOD.replace("name: card", "name: ../card"),
        "job.yaml:2: name: '../card': at most 100 letters, digits, '.', '_' and '-', the first a letter or digit",
    ),
}


@pytest.mark.parametrize(
    ("wrong", "command"),
    [
        *((wrong, "check") for wrong in WRONG),
        *((wrong, "run") for wrong in WRONG if wrong != "bomb"),  # it takes a second to burst
        *(("directory beneath a file", command) for command in ("plan", "preview")),
        *(("missing model", command) for command in ("plan", "preview")),
    ],
)
def test_wrong_specs(wrong: str, command: str, render: Render, here: Path) -> None:
    """One message that names field and line, exit code 2, and nothing written."""
    text, message = WRONG[wrong]
    if text is not None:
        (here / "job.yaml").write_text(text)
    answer = render(command, "job.yaml", *(["--local"] if command == "run" else []))
    assert answer.code == 2
    assert answer.err.startswith("render: job.yaml:")
    assert message in answer.err
    assert answer.err.count("\n") == 1, "one message"
    assert answer.out == ""
    assert sorted(path.name for path in here.iterdir()) == (["job.yaml"] if text is not None else [])


@pytest.mark.slow
def test_a_hub_model_that_is_not_here_offline(here: Path) -> None:
    (here / "job.yaml").write_text(GOOD.replace("model: testcard", "model: nobody/nothing"))
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(here / "empty")}
    done = process("check", "job.yaml", env=offline)
    assert done.returncode == 2
    assert done.stderr.startswith("render: job.yaml:4: model: 'nobody/nothing' is not in the local cache and cannot")
    assert "give the folder of a downloaded model" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_mistake_in_a_process_of_its_own(here: Path) -> None:
    (here / "job.yaml").write_text(WRONG["bad type"][0] or "")
    done = process("check", "job.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "render: job.yaml:6: frames: 'twelve': write a whole number\n"


LIGHT = [
    *("--help", *(f"{name} --help" for name in COMMANDS)),
    *("check job.yaml", "plan job.yaml", "schema", "new dream", "status out/card", "clean out/card"),
]


def test_help_imports_the_file_of_no_other_command() -> None:
    code = (
        "import sys; from render.cli import main\n"
        "for line in (['--help'], ['schema', '--help']):\n"
        "    try: main(line)\n"
        "    except SystemExit: pass\n"
        "    files = [name for name in sys.modules if name.startswith('render.cli.commands.')]\n"
        "    print(files, 'pydantic' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines() == ["[] False", "['render.cli.commands.schema'] True"]


def test_light_commands_import_nothing_heavy(job: str, render: Render) -> None:
    assert render("run", job, "--local").code == 0
    code = (
        "import sys; from render.cli import main\n"
        f"for line in {LIGHT}:\n"
        "    try: code = main(line.split())\n"
        "    except SystemExit as leave: code = leave.code\n"
        f"    print(line, code, [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines() == [f"{line} 0 []" for line in LIGHT]


@pytest.mark.parametrize("arguments", [["--help"], ["check", "job.yaml"]], ids=" ".join)
def test_light_commands_answer_in_under_a_second(arguments: list[str], job: str) -> None:
    """Of a processor's time: they wait for nobody, and a neighbour's work is not theirs. The better of two, since the
    first may compile modules."""
    seconds = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert process(*arguments).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if seconds[-1] < 1.0:
            break
    assert min(seconds) < 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: COMMAND; `render --help` shows what is possible"),
        (["rnder"], "invalid choice: 'rnder'"),
        (["run"], "the following arguments are required: JOB.yaml; `render run --help`"),
        (["check", "job.yaml", "--set", "steps"], "--set steps: write it as key=value"),
        (["check", "job.yaml", "--set", "steps=0"], "--set steps=0: steps: 0: write 1 or more"),
        (["run", "job.yaml", "--local", "--address", "auto"], "--local and --address exclude each other"),
        (["run", "job.yaml", "--local", "--frames", "5-2"], "--frames 5-2: column 1: 5-2 descends; write 2-5"),
        (["new", "animate"], "mode 'animate' is not built yet; this version has: dream"),
        (["preview", "job.yaml", "--to", "sheet.jpg"], "--to sheet.jpg: a preview is a PNG"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_wrong_command_lines(arguments: list[str], words: str, job: str, render: Render) -> None:
    answer = render(*arguments)
    assert (answer.code, answer.err.count("\n"), answer.out) == (2, 1, "")
    assert answer.err.startswith("render: ")
    assert words in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["status", "nowhere"], 3, "nowhere: no plan.json in it, so no job has been started here"),
        (["status", "job.yaml"], 5, "something on the way to it is a file"),
        (["clean", "nowhere"], 3, "nowhere: no plan.json in it, so this is no run directory; nothing was deleted"),
        (["clean", "."], 3, ".: no plan.json in it, so this is no run directory; nothing was deleted"),
        (["inspect", "nothing.mp4"], 8, "nothing.mp4: cannot be read as video"),
        (["inspect", "job.yaml"], 8, "job.yaml: cannot be read as video"),
        (
            ["preview", "job.yaml", "--to", "job.yaml/sheet.png"],
            2,
            "job.yaml is a file, so no folder can be made there",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exit_codes(arguments: list[str], code: int, words: str, job: str, render: Render, here: Path) -> None:
    answer = render(*arguments)
    assert (answer.code, answer.out) == (code, "")
    assert words in answer.err.splitlines()[-1]
    assert [path.name for path in here.iterdir()] == ["job.yaml"], "and nothing was written"


def test_every_error_has_an_exit_code_of_its_own_and_help_names_them() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes)
    listed = EXAMPLES.partition("exit codes:")[2]
    assert all(f"{code} " in listed for code in codes)


def test_check(job: str, render: Render) -> None:
    answer = render("check", job)
    assert answer.code == 0
    assert answer.out == "job.yaml: ok: dream 'card', 12 frames (0.5 s), 2 keyframes, model testcard\n"
    assert render("check", job, "--json").json["frames"] == 12


def test_check_says_all_and_ends_with_the_first_failure(job: str, render: Render, here: Path) -> None:
    (here / "wrong.yaml").write_text(GOOD + "stps: 1\n")
    answer = render("check", "wrong.yaml", job, "missing.yaml", "--set", "steps=3")
    assert answer.code == 2
    assert [line.split(": ")[1] for line in answer.err.splitlines()] == ["wrong.yaml:12", "missing.yaml"]
    assert answer.out.startswith("job.yaml: ok")


def test_plan(job: str, render: Render) -> None:
    answer = render("plan", job)
    assert answer.code == 0
    assert "12 frames at 24/s = 0.5 s" in answer.out
    assert "chunks   3 chunks of 4 frames, 0 done" in answer.out
    assert "time     about 1 s on one worker (a rough guess)" in answer.out
    plan = render("plan", job, "--json").json
    assert (plan["chunks"], plan["resolved"], plan["settings"]["width"]) == (3, False, 128)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_plan_guesses_for_the_device_that_is_asked_for(device: str, job: str, render: Render) -> None:
    wanted = ["--set", "model=demo", "--set", "size=128x128", "--set", f"engine.device={device}"]
    settings = render("plan", job, *wanted, "--json").json["settings"]
    assert (settings["device"], settings["reasons"]["device"]) == (device, "as given")


def test_run_status_inspect_and_clean(job: str, render: Render, here: Path) -> None:
    """The life of a job."""
    done = render("run", job, "--local")
    assert done.code == 0
    assert "card: 12 frames in " in done.out
    assert "out/card/video.mp4" in done.out
    assert "12/12 frames" in done.err

    again = render("run", job, "--local", "--json")
    assert (again.json["rendered"], again.json["film"]) == (0, "out/card/video.mp4")
    assert "complete already, nothing to render" in render("run", job, "--local").out

    status = render("status", "out/card", "--json").json
    assert (status["frames_done"], status["complete"], status["running"], status["failures"]) == (12, True, False, 0)
    assert "state    complete" in render("status", "out/card").out

    measured = render("plan", job)
    assert "(measured on the chunks done)" in measured.out
    assert "3 done" in measured.out
    assert "conflict out/card holds another plan (steps: 20 -> 9)" in render("plan", job, "--set", "steps=9").out
    refused = render("run", job, "--local", "--set", "steps=9")
    assert (refused.code, "holds another plan (steps: 20 -> 9)" in refused.err) == (3, True)

    inspected = render("inspect", "out/card/video.mp4")
    (here / "again.yaml").write_text(inspected.out)
    assert load(here / "again.yaml").spec == load(here / job).spec
    assert inspected.out.startswith("# out/card/video.mp4: 12 frames, 128x72, h264, plan ")
    facts = render("inspect", "out/card/video.mp4", "--json").json
    assert (facts["frames"], facts["digest"]) == (12, status["digest"])

    removed = render("clean", "out/card", "--json").json["removed"]
    assert removed == 6, "three segments and their records"
    assert render("run", job, "--local", "--json").json["rendered"] == 0, "the film stands: nothing to render"
    removed = render("clean", "out/card", "--film-too", "--json").json["removed"]
    assert removed == 7, "film, two reports, spec, plan, log, lock"
    assert render("status", "out/card").code == 3


def test_status_of_a_job_that_stopped_half_way(job: str, render: Render, here: Path) -> None:
    render("run", job, "--local")
    (here / "out/card/video.mp4").unlink()
    (here / "out/card/segments/000004-000008.json").unlink()
    answer = render("status", "out/card")
    assert "state    stopped; `render run` goes on" in answer.out
    assert "frames   8 of 12 (67%)" in answer.out
    assert "film     not yet" in answer.out


def test_status_of_a_job_without_a_film(job: str, render: Render) -> None:
    assert render("run", job, "--local", "--set", "output.video=null").code == 0
    answer = render("status", "out/card")
    assert "state    complete" in answer.out
    assert "film     none wanted" in answer.out


def test_one_failing_job_does_not_stop_the_other(job: str, render: Render, here: Path) -> None:
    (here / "wrong.yaml").write_text(GOOD + "stps: 1\n")
    answer = render("run", "wrong.yaml", job, "--local")
    assert answer.code == 2
    assert "wrong.yaml:12: stps: unknown key" in answer.err
    assert (here / "out/card/video.mp4").exists()


def test_frames(job: str, render: Render, here: Path) -> None:
    answer = render("run", job, "--local", "--frames", "3,7-9x2", "--json")
    assert (answer.code, answer.json["rendered"], answer.json["film"]) == (0, 3, None)
    stills = sorted((here / answer.json["stills"]).glob("*.png"))
    assert [read_index(read_still(still)) for still in stills] == [3, 7, 9]


def test_preview(job: str, render: Render, here: Path) -> None:
    answer = render("preview", job, "--to", "sheets/a.png", "--json")
    assert (answer.code, answer.json) == (0, {"preview": "sheets/a.png", "frames": 12})
    assert read_still(here / "sheets/a.png").shape[2] == 3


def test_a_second_driver_gets_its_own_exit_code(job: str, render: Render, here: Path) -> None:
    render("run", job, "--local")
    code = "import fcntl, time; f = open('out/card/lock', 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); "
    with subprocess.Popen([sys.executable, "-S", "-c", code + "time.sleep(60)"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert render("status", "out/card", "--json").json["running"]
        answer = render("run", job, "--local")
        other.kill()
    assert answer.code == 4
    assert "is rendering here; wait for it" in answer.err


def test_schema_and_jobs(render: Render) -> None:
    schema = render("schema").json
    jobs = sorted((ROOT / "jobs").glob("*.yaml"))
    assert jobs
    for path in jobs:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(jobs[0].read_text()) | {"stps": 3}, schema)


def test_new(render: Render) -> None:
    answer = render("new", "dream")
    assert validate(parse(answer.out, name="job.yaml")).mode == "dream"
    assert render("new", "dream", "--json").json["yaml"].strip() == answer.out.strip()


@pytest.mark.slow
def test_new_pipes_into_check(render: Render) -> None:
    done = process("check", "/dev/stdin", input=render("new", "dream").out)
    assert (done.returncode, done.stderr) == (0, "")
    assert "/dev/stdin: ok: dream 'my-dream', 192 frames" in done.stdout


@pytest.mark.slow
def test_a_closed_pipe_is_no_error(here: Path) -> None:
    """``render schema | head -1``: no complaint, whichever side is quicker."""
    with subprocess.Popen(
        [sys.executable, "-m", "render", "schema"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGTERM, 143, id="SIGTERM", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
    ],
)
def test_an_interrupted_run_says_so_and_goes_on(
    number: signal.Signals, code: int, job: str, render: Render, here: Path
) -> None:
    slow = ["--set", "model=testcard:50ms", "--set", "frames=96"]
    with subprocess.Popen(
        [sys.executable, "-m", "render", "run", job, "--local", *slow],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        deadline = time.monotonic() + 30
        while not list(here.glob("out/card/segments/*.json")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(number)
        _, err = running.communicate()
    assert running.returncode == code
    assert " of 96 frames; run the same command to go on" in err
    assert "Traceback" not in err
    assert "stopping after 1 chunk; Ctrl-C again stops at once and loses it" in err
    answer = render("run", job, "--local", "--json", "--set", "frames=96")
    assert answer.code == 0
    assert 0 < answer.json["rendered"] < 96


@pytest.fixture
def folder(here: Path, job: str) -> Path:
    """A directory of jobs: two good ones and one whose steps are a word."""
    jobs = here / "night"
    jobs.mkdir()
    good = (here / job).read_text()
    for name, text in (("a", good), ("b", good + "steps: many\n"), ("c", good)):
        (jobs / f"{name}.yaml").write_text(text.replace("name: card", f"name: {name}"))
    return jobs


def test_a_directory_of_jobs_and_one_that_is_wrong(folder: Path, job: str, render: Render) -> None:
    answer = render("run", "night", "--local")
    assert answer.code == 2
    assert answer.err.startswith("render: night/b.yaml:12: steps:")
    assert "a.yaml  done" in answer.out
    assert "b.yaml  failed" in answer.out
    assert answer.out.splitlines()[-1] == "3 jobs: 2 done, 1 failed"
    assert {path.name for path in (folder.parent / "out").iterdir()} == {"a", "c"}
    rows = [json.loads(line) for line in render("run", "night", "--local", "--json").out.splitlines()]
    assert [row.get("name", row.get("exit_code")) for row in rows] == ["a", 2, "c"]


def test_two_jobs_in_one_directory_are_refused(folder: Path, job: str, render: Render) -> None:
    answer = render("run", "night/a.yaml", "night/c.yaml", "--local", "--set", "output.dir=out/same")
    assert answer.code == 2
    assert "night/a.yaml renders into the same directory" in answer.err


def test_a_directory_without_jobs(here: Path, render: Render) -> None:
    (here / "empty").mkdir()
    assert render("check", "empty").err == "render: empty: no .yaml files in this directory\n"


def test_status_and_logs_of_a_job(job: str, render: Render) -> None:
    render("run", job, "--local")
    assert "complete" in render("status", "out/card", "--watch").out
    lines = render("logs", "out/card").out.splitlines()
    assert "run-started" in lines[0]
    assert "frames 0–3" in next(line for line in lines if "done" in line)
    assert "run-finished" in lines[-1]
    assert render("logs", "out/card", "--troubles").out == ""
    assert {
        json.loads(line)["worker"]
        for line in render("logs", "out/card", "--worker", "local-0", "--json").out.splitlines()
    } == {"local-0"}
    assert render("logs", "nowhere").code == 3
