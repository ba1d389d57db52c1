"""Commands that run beside each other: each a process of its own, forked from one that has imports."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds that a test waits for what must happen."""


@dataclass(frozen=True)
class Started:
    """A command under way, whose output goes to two files."""

    process: int
    words: tuple[str, ...]
    files: tuple[Path, Path]
    reap: Callable[[int], int]

    def output(self) -> str:
        """What it wrote to stdout so far."""
        return self.files[0].read_text()

    def says(self, text: str) -> str:
        """The line of its output with `text`, which must come."""

        def look() -> str:
            over = is_over(self.process)  # before its last words are read
            found = next((line for line in self.output().splitlines() if text in line), "")
            assert found or not over, f"no {text!r} in {self.output()}{self.files[1].read_text()}"
            return found

        return eventually(look, lambda: f"{text!r} in {self.output()}")

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        os.kill(self.process, number)

    def end(self) -> subprocess.CompletedProcess[str]:
        """Its end, which must come by itself."""
        eventually(lambda: is_over(self.process), lambda: f"the end of {self.words}")
        out, err = (file.read_text() for file in self.files)
        return subprocess.CompletedProcess(self.words, self.reap(self.process), out, err)


@dataclass
class Shell:
    """Starts commands in `folder`, as forks of `forks`."""

    forks: subprocess.Popen[str]
    folder: Path
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _running: list[Started] = field(default_factory=list)

    def start(self, *arguments: object) -> Started:
        """`tacit ARGUMENTS...`, under way."""
        number, words = next(self._numbers), tuple(map(str, arguments))
        names = (f".{number}.out", f".{number}.err")
        files = (self.folder / names[0], self.folder / names[1])
        for file in files:
            file.touch()
        order = {
            "cwd": str(self.folder),
            "arguments": words,
            "files": [str(file) for file in files],
            "largest_file": 0,
            "wait": False,
        }
        started = Started(self._ask(order), words, files, self._reap)
        self._running.append(started)
        return started

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """`tacit ARGUMENTS...`, to its end."""
        return self.start(*arguments).end()

    def close(self) -> None:
        """Ends what still runs."""
        for started in self._running:
            if not is_over(started.process):
                started.send(signal.SIGKILL)

    def _reap(self, process: int) -> int:
        return self._ask({"reap": process})

    def _ask(self, order: object) -> int:
        assert self.forks.stdin is not None
        assert self.forks.stdout is not None
        self.forks.stdin.write(json.dumps(order) + "\n")
        self.forks.stdin.flush()
        return int(self.forks.stdout.readline())


def eventually(look: Callable[[], T], what: Callable[[], str]) -> T:
    """What `look` finds, once it finds something."""
    until = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < until, f"waited in vain for {what()}"
        time.sleep(0.05)
    return found


def is_over(process: int) -> bool:
    """Whether it has ended; its parent, the forking process, may not have noticed yet."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"
