"""What ``docker/`` holds is well formed, and its scripts do what they say: with stand-ins for what is not here."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
BIN = Path(sys.executable).parent
RAYJOB = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "entrypoint", "entrypointNumCpus", "rayClusterSpec",
    "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "suspend", "ttlSecondsAfterFinished",
}  # fmt: skip
CLUSTER = {
    "authOptions",
    "autoscalerOptions",
    "enableInTreeAutoscaling",
    "rayVersion",
    "headGroupSpec",
    "workerGroupSpecs",
}
GROUP = {"groupName", "maxReplicas", "minReplicas", "rayStartParams", "replicas", "template"}
KUBERNETES = "1.31"


def tool(name: str, *words: str | Path) -> None:
    """Run a checker of the dev extra; skipped only where its wheel brought no binary for this platform."""
    found = shutil.which(name, path=f"{BIN}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed; the dev extra brings it for this platform or does not")
    done = subprocess.run([found, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def read(name: str) -> Any:
    return yaml.safe_load((DOCKER / name).read_text())


def test_dockerfile_lints() -> None:
    tool("hadolint", DOCKER / "Dockerfile")


def test_scripts_lint() -> None:
    tool("shellcheck", DOCKER / "entrypoint.sh", DOCKER / "render.sbatch")


def test_compose_files_follow_the_specification() -> None:
    tool(
        "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        DOCKER / "compose.yaml",
        DOCKER / "compose.gpu.yaml",
    )


def test_the_image_takes_what_the_project_declares() -> None:
    """The one-liner that lists what to install, run as the image runs it, and every file that it copies."""
    text = (DOCKER / "Dockerfile").read_text()
    [code] = re.findall(r"python -c '(import tomllib.*?)'", text, re.DOTALL)
    command = [sys.executable, "-c", code.replace("\\\n", "")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) < set(told)
    assert "ray[default]>=2.50" in told
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for name in line.split()}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)
    assert text.count("USER 1000:1000") == 2


def test_compose_publishes_nothing_beyond_this_machine() -> None:
    services = read("compose.yaml")["services"]
    assert [port for service in services.values() for port in service.get("ports", [])] == ["127.0.0.1:8265:8265"]
    assert "privileged" not in json.dumps(services)
    assert set(read("compose.gpu.yaml")["services"]) == set(services)


@pytest.mark.parametrize("name", ["cluster.yaml", "onprem.yaml"])
def test_ray_up_takes_the_file(name: str) -> None:
    util = importlib.import_module("ray.autoscaler._private.util")
    config = read(name)
    util.validate_config(util.prepare_config(config))
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in starts if "ray start" in line)
    assert "0.0.0.0" not in " ".join(starts)


def test_rayjob_holds_pods_that_kubernetes_takes() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    *plain, job = yaml.safe_load_all((DOCKER / "rayjob.yaml").read_text())
    for resource in plain:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert spec["shutdownAfterJobFinishes"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert spec.keys() <= RAYJOB
    assert cluster.keys() <= CLUSTER
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert group.keys() <= GROUP
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_the_job_of_the_rayjob_can_run_there(tmp_path: Path) -> None:
    from render.farm.ray.package import check_portable
    from render.spec import load

    config, _, job = yaml.safe_load_all((DOCKER / "rayjob.yaml").read_text())
    [(name, text)] = config["data"].items()
    (tmp_path / name).write_text(text)
    check_portable([load(tmp_path / name)])
    assert f"/jobs/{name}" in job["spec"]["entrypoint"]


@pytest.fixture
def stand_in(tmp_path: Path) -> Any:
    """``stand_in(name, script)``: a command of that name on the PATH of ``environment``."""
    (tmp_path / "bin").mkdir()

    def make(name: str, script: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/usr/bin/env bash\n{script}")
        path.chmod(0o755)

    return make


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "token").write_text("secret")
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path), "TMP": str(tmp_path)}


def entry(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(DOCKER / "entrypoint.sh"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("role", ["head", "worker", "submit"])
def test_no_role_starts_without_a_token(environment: dict[str, str], stand_in: Any, tmp_path: Path, role: str) -> None:
    stand_in("ray", "echo started")
    stand_in("python", "echo started")
    assert "cannot read" in entry(environment, role).stderr
    empty = tmp_path / "empty"
    empty.touch()
    assert "is empty" in entry(environment | {"RAY_AUTH_TOKEN_PATH": str(empty)}, role).stderr
    refused = entry(environment | {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "x"}, role)
    assert (refused.returncode, refused.stdout) == (64, "")
    for source in ({"RAY_AUTH_TOKEN": "secret"}, {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}):
        started = entry(environment | source, role)
        assert (started.returncode, started.stdout) == (0, "started\n")
        assert "secret" not in started.stdout + started.stderr


def test_roles_become_the_right_commands(environment: dict[str, str], stand_in: Any) -> None:
    stand_in("ray", 'echo "$RAY_AUTH_MODE $$ $@"')
    stand_in("python", 'echo "$@"')
    environment |= {"RAY_AUTH_TOKEN": "x", "RENDER_HEAD": "boss", "RENDER_RAY_OPTIONS": "--num-gpus=2 --port=7000"}
    head = entry(environment, "head").stdout.split()
    assert (head[0], head[2:5]) == ("token", ["start", "--head", "--port=6379"])
    assert {"--block", "--dashboard-host=127.0.0.1", "--num-cpus=0"} < set(head)
    assert head[-2:] == ["--num-gpus=2", "--port=7000"]  # the last one wins
    worker = entry(environment | {"RENDER_NODE_IP": "10.0.0.7", "RENDER_PORT": "7000"}, "worker").stdout.split()
    assert {"--address=boss:7000", "--node-ip-address=10.0.0.7", "--block"} < set(worker)
    submit = entry(environment, "submit", "my job.yaml", "--set", "a=b").stdout
    assert submit == "-P -m render submit --address http://boss:8265 --follow my job.yaml --set a=b\n"
    assert entry(environment, "echo", "other  words").stdout == "other  words\n"
    assert entry(environment).returncode == 64


def test_signals_reach_what_a_role_started(environment: dict[str, str], stand_in: Any) -> None:
    stand_in("ray", "trap 'echo drained; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    command = [str(DOCKER / "entrypoint.sh"), "head"]
    running = subprocess.Popen(command, env=environment | {"RAY_AUTH_TOKEN": "x"}, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGTERM)
    assert running.communicate(timeout=20)[0] == "drained\n"
    assert running.returncode == 7


def test_health_fails_where_nobody_answers(environment: dict[str, str]) -> None:
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    assert entry(environment, "health", "9").returncode != 0


@pytest.fixture
def slurm(environment: dict[str, str], stand_in: Any, tmp_path: Path) -> dict[str, str]:
    """Two nodes of which this is the first; the driver is a script that drains for a moment when it is told to."""
    stand_in("scontrol", 'if [[ $1 == show ]]; then printf "n1\\nn2\\n"; else echo "$@" >>"$TMP/requeued"; fi')
    stand_in("srun", 'while [[ $1 == --* ]]; do shift; done; exec "$@"')
    stand_in(
        "ray", 'echo "$@" >"$TMP/ray"; [[ -s $RAY_AUTH_TOKEN_PATH ]]; while [[ $1 != -- ]]; do shift; done; shift; "$@"'
    )
    driver = "trap 'sleep 0.2; exit 143' TERM; echo driving; for i in {1..200}; do sleep 0.05; done"
    stand_in(
        "python",
        f'if [[ $2 == -c ]]; then exec {sys.executable} "$@"; fi\n[[ -z ${{EXIT:-}} ]] || exit "$EXIT"\n{driver}',
    )
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_NUM_NODES": "2"}
    return environment | job | {"SLURM_SUBMIT_DIR": str(tmp_path)}


def sbatch(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    command = ["bash", str(DOCKER / "render.sbatch"), *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_slurm_drains_the_driver_and_requeues(slurm: dict[str, str], tmp_path: Path) -> None:
    job = sbatch(slurm, "my job.yaml", "b.yaml")
    assert job.stdout is not None
    assert job.stdout.readline() == "driving\n"
    job.send_signal(signal.SIGTERM)
    assert "draining" in job.communicate(timeout=20)[1]
    assert job.returncode == 143
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    started = (tmp_path / "ray").read_text()
    assert started.startswith("symmetric-run --address n1:6379 --min-nodes 2 -- bash -c ")
    assert started.endswith("my job.yaml b.yaml\n")
    assert list(tmp_path.glob(".render-*")) == []  # the token is gone


@pytest.mark.parametrize("code", [0, 9])
def test_slurm_ends_as_the_driver_does(slurm: dict[str, str], tmp_path: Path, code: int) -> None:
    job = sbatch(slurm | {"EXIT": str(code)}, "job.yaml")
    job.communicate(timeout=20)
    assert job.returncode == code
    assert not (tmp_path / "requeued").exists()


def test_slurm_wants_a_job(slurm: dict[str, str]) -> None:
    assert "name the job specs" in sbatch(slurm).communicate(timeout=20)[1]
