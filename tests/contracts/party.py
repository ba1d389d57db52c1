"""One party of a deployment as whoever disturbs it sees it: a process that is started again and again."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from contracts.parties import COMPLETE, CONTEXT, FAILED, INTERRUPTED, live

BEFORE_IT_LIVES = (1, -signal.SIGINT)
"""How a process ends that is interrupted while it starts."""


@dataclass(eq=False, kw_only=True)
class Party:
    """`work` is done with `given` by a process; its clock is off by `skew`, it stays `away` between two.

    What was done to the process that runs says how it may end.
    """

    name: str
    work: Callable[..., None]
    given: tuple[Any, ...]
    skew: float = 0.0
    away: float = 0.0
    killed: bool = False
    interrupted: bool = False
    troubled: bool = False
    process: BaseProcess | None = None

    def start(self) -> None:
        self.killed = self.interrupted = self.troubled = False
        self.process = CONTEXT.Process(
            target=live, args=(self.work, self.name, self.skew, *self.given)
        )
        self.process.start()

    @property
    def code(self) -> int | None:
        """With what the process ended, if it has."""
        return self.process.exitcode if self.process else None

    @property
    def is_complete(self) -> bool:
        return self.code == COMPLETE

    async def ended(self) -> None:
        while self.code is None:
            await asyncio.sleep(0.01)

    def signal(self, number: signal.Signals) -> bool:
        """Whether there was a process to tell."""
        return self._reach(lambda pid: os.kill(pid, number))

    def kill(self) -> None:
        self.killed = self.signal(signal.SIGKILL)

    def limit(self, size: int) -> None:
        """From now on no file of the process grows beyond `size`: writing fails, as on a full disk."""
        most = (size, resource.RLIM_INFINITY)
        self.troubled = self._reach(lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, most))

    def _reach(self, do: Callable[[int], object]) -> bool:
        if self.process is None or self.process.pid is None or self.code is not None:
            return False
        with suppress(ProcessLookupError):
            do(self.process.pid)
            return True
        return False

    def check_end(self) -> None:
        """It ended as it may: complete, or for what was done to it."""
        fine = (
            self.is_complete
            or (self.killed and self.code == -signal.SIGKILL)
            or (self.interrupted and self.code in (INTERRUPTED, *BEFORE_IT_LIVES))
            or (self.troubled and self.code == FAILED and self.name == "coordinator")
        )
        assert fine, f"{self.name} ended with {self.code}"
