"""A process that says what it has done, by numbers, until it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SIZE = 8
BEGAN = -1
"""What a process says when it has begun."""

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
    module: str, folder: Path, kills: int, seed: int, rows: str | None = None
) -> subprocess.CompletedProcess[str]:
    """`python -m module FOLDER KILLS SEED [ROWS]`: a process of one thread, which may fork."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    found = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", module, str(folder), str(kills), str(seed), *filter(None, [rows])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **found},
        timeout=60 + 3 * kills,
    )
