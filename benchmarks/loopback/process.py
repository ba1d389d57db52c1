"""A function in a process of its own: a pipe to it, and what it uses (Linux)."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

LONG = 1800.0
"""Seconds after which nothing more is waited for."""


Said = TypeVar("Said")


class Process:
    """`work(pipe, *arguments)` in a fresh interpreter."""

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        fresh = multiprocessing.get_context("spawn")
        self._pipe, theirs = fresh.Pipe()
        self._process = fresh.Process(target=_run, args=(work, theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def tell(self, what: object = "go") -> None:
        """Sends `what`."""
        self._pipe.send(what)

    def hear(self, kind: type[Said]) -> Said:
        """The next that it says, which is a `kind`."""
        if not self._pipe.poll(LONG):
            raise TimeoutError("nothing was heard for too long")
        said = self._pipe.recv()
        assert isinstance(said, kind)
        return said

    def end(self) -> None:
        """Kills it, if it has not ended."""
        self._process.kill()
        self._process.join()

    def memory(self, field: str = "VmRSS") -> int:
        """A line of its /proc/PID/status, in bytes."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

    def seconds(self) -> float:
        """Of the processors, that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def processes(*started: Process) -> Iterator[None]:
    """Within it they run."""
    try:
        yield
    finally:
        for process in started:
            process.end()


def _run(work: Callable[..., None], pipe: Connection, *arguments: object) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    work(pipe, *arguments)
