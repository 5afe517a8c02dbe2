"""What people see: `render run` in a real terminal of 80 and 120 columns, watched as it is drawn, and its Ctrl-C."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.conftest import CARD

ROOT = Path(__file__).parents[2]
SILENT_S = 2.0  # a person begins to wonder
PATIENCE_S = 60.0  # of a machine that does other things
NAMES = ("TTY_COMPATIBLE", "TTY_INTERACTIVE", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "RAY_ADDRESS")
PIECE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)|\x1b")
CUT = re.compile(r"\x1b(\[[?\d;]*)?$")  # the beginning of a sequence whose rest comes later
BAR = "[━╸╺]+"


class Screen:
    """A terminal that knows what Rich writes: text, a line's beginning, the next line, some lines up, a line erased."""

    def __init__(self, columns: int) -> None:
        self.rows, self.row, self.column, self.columns = [""], 0, 0, columns
        self.longest = 0

    def feed(self, text: str) -> None:
        for numbers, letter, control, words in PIECE.findall(text):
            if control == "\r":
                self.column = 0
            elif control == "\n":
                self.row += 1
                self.rows += [""] * (self.row == len(self.rows))
            elif words:
                line = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = line[: self.column] + words + line[self.column + len(words) :]
                self.column += len(words)
                self.longest = max(self.longest, cell_len(self.rows[self.row].rstrip()))
            elif letter == "A":
                self.row = max(0, self.row - int(numbers or 1))
            elif letter == "K":
                assert numbers == "2", "whole lines are erased"
                self.rows[self.row] = ""
            else:
                assert letter == "m" or numbers == "?25", f"{numbers}{letter} is unknown here"

    def shows(self, words: str) -> bool:
        return any(re.search(words, row) for row in self.rows)


class Terminal:
    """A command in a terminal of its own, which keys reach as they do from a keyboard."""

    def __init__(self, columns: int, folder: Path, *words: str) -> None:
        self.screen = Screen(columns)
        self._decoder, self._pending = codecs.getincrementaldecoder("utf-8")(), ""
        self.silent_s = 0.0  # the longest time in which nothing was drawn, from the first drawing on
        self._drawn: float | None = None
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in NAMES}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "render", *words],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def watch(self, done: Callable[[Screen], bool] = lambda _screen: False) -> bool:
        """Look on until something is there, True, or the command has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self._draw(os.read(self._master, 1 << 16))
                except OSError:  # nobody has the other end any more
                    return False
            if done(self.screen):
                return True
        raise AssertionError("\n".join(self.screen.rows))

    def end(self) -> int:
        """The exit code."""
        self.watch()
        return self._process.wait(PATIENCE_S)

    def _draw(self, data: bytes) -> None:
        now = time.monotonic()
        self.silent_s, self._drawn = max(self.silent_s, now - (self._drawn or now)), now
        text = self._pending + self._decoder.decode(data)
        cut = CUT.search(text)
        self._pending = cut[0] if cut else ""
        self.screen.feed(text.removesuffix(self._pending))


def watched(columns: int, folder: Path, *names: str) -> Terminal:
    """Jobs of 240 frames; a chunk takes a second."""
    slow = {"testcard": "testcard:40ms", "frames: 12": "frames: 240", "chunk: 4": "chunk: 16"}
    for name in names:
        card = CARD.replace("name: card", f"name: {name}")
        for old, new in slow.items():
            card = card.replace(old, new)
        (folder / f"{name}.yaml").write_text(card)
    return Terminal(columns, folder, "run", *(f"{name}.yaml" for name in names), "--local")


def shows(words: str) -> Callable[[Screen], bool]:
    return lambda screen: screen.shows(words)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
def test_a_job_that_is_interrupted_once(columns: int, tmp_path: Path) -> None:
    with watched(columns, tmp_path, "evening") as terminal:
        assert terminal.watch(shows(rf"evening\.yaml +{BAR} +0/240 frames  [a-z]"))
        assert terminal.watch(shows(rf"evening\.yaml +{BAR} +\d+/240 frames +[\d.]+ frames/s +\d+ s left +1 worker"))
        terminal.press(b"\x03")
        assert terminal.watch(shows(rf"evening\.yaml +{BAR} +\d+/240 frames +stopping after 1 chunk"))
        assert terminal.end() == 130
    told, last, end = terminal.screen.rows
    assert told == "evening.yaml: stopping after 1 chunk; Ctrl-C again stops at once and loses it"
    assert re.fullmatch(r"render: stopped at \d+ of 240 frames; run the same command to go on", last)
    assert end == "", "no bar stays"
    assert terminal.silent_s < SILENT_S
    assert terminal.screen.longest <= columns


@pytest.mark.slow
def test_two_jobs_that_are_interrupted_twice(tmp_path: Path) -> None:
    with watched(80, tmp_path, "evening", "morning") as terminal:
        busy, idle = rf"\.yaml +{BAR} +[1-9]\d+/240 frames", rf"\.yaml +{BAR} +0/240 frames +waiting for a worker"
        assert terminal.watch(lambda screen: screen.shows(busy) and screen.shows(idle)), "a bar each"
        terminal.press(b"\x03")
        assert terminal.watch(shows("; Ctrl-C again stops at once and loses it$"))
        terminal.press(b"\x03")
        assert terminal.end() == 130
    assert terminal.screen.shows("^render: interrupted; what was being rendered is lost, what is done stays done$")
    stopped = [row for row in terminal.screen.rows if "stopped at" in row]
    assert sorted(row.partition(":")[0] for row in stopped) == ["evening.yaml", "morning.yaml"]
    assert not terminal.screen.shows(BAR), "no bar stays"
    assert terminal.silent_s < SILENT_S
    assert terminal.screen.longest <= 80
