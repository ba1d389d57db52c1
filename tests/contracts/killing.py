"""A process that says what it has done, by numbers, until it is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

SIZE = 8
BEGAN = -1
"""What a process says when it has begun."""
PRELOAD = ["tacit.simulations.engine", "tacit.client", "sklearn.datasets", "torch._dynamo"]
"""What takes seconds to import."""

Say = Callable[[int], None]


def killed(work: Callable[[Say], object], after: float, *, settled: bool) -> list[int]:
    """What a new process said of its `work`, which has no end, beside that it began.

    It is killed `after` seconds from its start or, if `settled`, from the first thing that it said.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        work(lambda number: _say(writer, number))
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        said = pipe.read(SIZE) if settled else b""
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said += pipe.read()
    whole = range(0, len(said) - SIZE + 1, SIZE)
    numbers = [int.from_bytes(said[i : i + SIZE], "little", signed=True) for i in whole]
    return [number for number in numbers if number != BEGAN]


def _say(writer: int, number: int) -> None:
    os.write(writer, number.to_bytes(SIZE, "little", signed=True))


def run_killer(
    kill: Callable[[Path, int, int, str | None], int],
    folder: Path,
    kills: int,
    seed: int,
    rows: str | None = None,
) -> int:
    """What `kill` returns: it has a process to itself, of one thread, which may fork."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with context.Pool(1) as pool:
        return pool.apply_async(kill, (folder, kills, seed, rows)).get(timeout=60 + 3 * kills)
