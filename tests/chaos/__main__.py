"""``python -m tests.chaos``: a job on a cluster where things go wrong; ends with a table, or with what is not true."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos import checks
from tests.chaos.faults import Injector
from tests.chaos.stage import Job, Stage

KILLED = -9


def main() -> None:
    """Play the job, inject the faults, check what is left."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=24)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the order and the victims")
    parser.add_argument("--gap", type=float, nargs=2, default=(2.0, 7.0), help="seconds between two faults")
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--chunk-s", type=float, default=1.5, help="seconds that a chunk takes")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which it counts as a hang")
    parser.add_argument("--folder", type=Path, help="keep everything here")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit("stopped"))  # the cluster is ended then too
    with TemporaryDirectory(prefix="render-chaos-") as folder:
        disturb(options, options.folder or Path(folder))


def disturb(options: argparse.Namespace, folder: Path) -> None:
    """Run the driver until the film stands and all faults have happened. AssertionError where something is not true."""
    began = time.monotonic()
    injector = Injector(random.Random(options.seed), options.faults, tuple(options.gap))
    stage = Stage(folder, Job(chunks=options.chunks, chunk_s=options.chunk_s))
    try:
        play(stage, injector, began + options.limit)
        seconds = time.monotonic() - began
        events = stage.events()
        print(checks.table(injector.done, stage.codes, events, seconds), flush=True)
        assert not injector.waiting
        assert set(stage.codes) <= {0, KILLED}, f"exit codes {stage.codes}; see {folder}/driver.log"
        assert stage.codes[-1] == 0
        assert stage.codes.count(KILLED) == sum(fault.kind == "kill driver" for fault in injector.done)
        assert not checks.charged_for_dead_nodes(events, injector.done)
        stage.wait_until(lambda: not stage.still_frozen(), 30, f"{stage.still_frozen()} are frozen still")
        checks.check_film(stage.rundir.fetch("video.mp4"), stage.render_undisturbed(), stage.job.frames)
        print(f"the film's {stage.job.frames} frames equal those of an undisturbed run", flush=True)
    finally:
        stage.close()


def play(stage: Stage, injector: Injector, until: float) -> None:
    """Start the driver again and again until all is done. AssertionError when the time is over."""
    stage.start_driver()
    while True:
        assert time.monotonic() < until, f"a hang: {stage.num_committed()} chunks committed, {stage.codes}"
        injector.turn(stage)
        if stage.driver_ended():
            if stage.codes[-1] == 0 and not injector.waiting:
                return
            if stage.codes[-1] == 0:
                injector.between_runs(stage)
            stage.start_driver()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
