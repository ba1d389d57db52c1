"""Worker processes of this machine: how they begin, how a lost one is noticed, how all of them end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from multiprocessing.context import ForkServerProcess
from typing import Any, NoReturn

import torch
from torch import multiprocessing

from ..wire.errors import WorkerLost


@contextmanager
def started(
    target: Callable[..., None], arguments: Sequence[tuple[Any, ...]], preload: str
) -> Iterator[Sequence[ForkServerProcess]]:
    """A process with `target` for each of `arguments`; they are gone when it is left.

    They are forked from one that has imported the module `preload`. `target` calls `begin` first.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload, "torch._dynamo"])  # what takes seconds, once for all
    processes = [context.Process(target=target, args=each, daemon=True) for each in arguments]
    try:
        with _interrupts_ignored():
            for process in processes:
                process.start()
        yield processes
    finally:
        for process in processes:  # all of them, before the next can say that one is gone
            if process.is_alive():
                process.kill()
        for process in processes:
            if process.pid is not None:
                process.join()


def begin() -> None:
    """To be called first in a worker: it leaves signals to its parent, and dies with it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the coordinator
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(1)  # as many threads as workers, and the same bits for any number of them


def leave() -> NoReturn:
    """Ends a worker process at once.

    Taking the interpreter down while gloo's threads wind up aborts the process about once in five
    times ("terminate called without an active exception", torch 2.13), and a worker has nothing
    left to save.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def alive(processes: Sequence[ForkServerProcess], advice: str = "") -> None:
    """Raises `WorkerLost` if one of `processes` has ended; `advice` says what to do if it was killed."""
    for process in processes:
        if process.exitcode is not None:
            raise WorkerLost(obituary(process, advice))


def obituary(process: ForkServerProcess, advice: str = "") -> str:
    """How a process that should be there ended."""
    code = process.exitcode or 0
    if code < 0:
        name = signal.Signals(-code).name
        return (
            f"Worker process {process.pid} was killed by {name}; if the machine ran out of memory, "
            f"use fewer workers.{advice}"
        )
    return (
        f"Worker process {process.pid} ended with code {code}; see above. A script that starts "
        'workers must do so under `if __name__ == "__main__":`; a notebook can use workers=0.'
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread, as in a worker: the number of threads changes the bits of a sum."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that are started within it ignore Ctrl-C from their first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
