"""Commands that run beside each other: each a process of its own, forked from one that has imports."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Tacit = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs `tacit` with these arguments, to its end."""

PATIENCE = 120.0
"""Seconds that a test waits for what must happen."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A command under way, whose output goes to two files."""

    process: int
    words: tuple[str, ...]
    files: tuple[Path, Path]
    reap: Callable[[int], int]

    def output(self) -> str:
        """What it wrote to stdout so far."""
        return self.files[0].read_text()

    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return self.files[1].read_text()

    def says(self, text: str) -> str:
        """The line of its output with `text`, which must come."""

        def look() -> str:
            over = is_over(self.process)  # before its last words are read
            found = next((line for line in self.output().splitlines() if text in line), "")
            assert found or not over, f"no {text!r} in {self.output()}{self.errors()}"
            return found

        return eventually(look, lambda: f"{text!r} in {self.output()}")

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        os.kill(self.process, number)

    def send_to_all(self, number: signal.Signals) -> None:
        """Sends a signal to it and to the processes that it started, as a terminal does."""
        os.killpg(self.process, number)

    def end(self) -> subprocess.CompletedProcess[str]:
        """Its end, which must come by itself, or have come."""
        ending = os.pidfd_open(self.process)
        over, *_ = select.select([ending], [], [], PATIENCE)
        os.close(ending)
        assert over, f"waited in vain for the end of {self.words}"
        code = self.reap(self.process)
        return subprocess.CompletedProcess(self.words, code, self.output(), self.errors())


@dataclass(kw_only=True)
class Shell:
    """Starts commands in `folder`, as forks of `forks`; what they say goes to files in `said`."""

    forks: subprocess.Popen[str]
    folder: Path
    said: Path
    _running: list[Started] = field(default_factory=list)

    def start(
        self,
        *arguments: object,
        largest_file: int = 0,
        terminal: Path | None = None,
        **environment: str,
    ) -> Started:
        """`tacit ARGUMENTS...`, under way.

        With `largest_file`, no file can grow beyond so many bytes; with `terminal`, that is where it
        speaks; other names are environment variables.
        """
        number, words = len(self._running), tuple(map(str, arguments))
        files = (self.said / f"{number}.out", self.said / f"{number}.err")
        for file in files:
            file.touch()
        order = {
            "cwd": str(self.folder),
            "arguments": words,
            "files": [str(terminal or file) for file in files],
            "largest_file": largest_file,
            "environment": environment,
        }
        started = Started(process=self._ask(order), words=words, files=files, reap=self._reap)
        self._running.append(started)
        return started

    def run(
        self, *arguments: object, largest_file: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """`tacit ARGUMENTS...`, to its end."""
        started = self.start(*arguments, largest_file=largest_file, terminal=None, **environment)
        return started.end()

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
