"""A Flower app's clients on this machine: worker processes that load the app once and stay."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fcntl import F_SETPIPE_SZ, fcntl
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import BinaryIO

from flwr.app import Context
from flwr.clientapp import ClientApp

from ..simulations.processes import begin, leave, obituary, one_thread, started
from ..wire.errors import AppError, WorkerLost
from .app import App
from .nodes import Answer, Errand, Nodes, Raised, Worker, answer
from .packing import Packed

ROOM = 1 << 20
"""Bytes in a pipe, as many as Linux lets anybody have."""


@contextmanager
def simulated(
    app: App,
    contexts: Mapping[int, Context],
    workers: int,
    raised: Callable[[Raised], None] = lambda raised: None,
) -> Iterator[Nodes]:
    """Nodes with `contexts` whose ClientApp runs in `workers` processes, or in this one if 0.

    `raised` is told of each ClientApp that raised. Raises `AppError` if the ClientApp cannot be
    loaded. A worker that is killed ends the run: `WorkerLost` comes in place of replies, and once
    more when this is left.
    """
    nodes = Nodes(contexts, raised)
    with _reached(app, nodes, workers):
        yield nodes
        if nodes.lost:
            raise nodes.lost


@contextmanager
def _reached(app: App, nodes: Nodes, workers: int) -> Iterator[None]:
    if not workers:
        with _working(nodes, [_Here(app.client_app())]):
            yield
        return
    pipes = [(Pipe(duplex=False), Pipe(duplex=False)) for _ in range(workers)]
    ends = [(app, orders[0], answers[1]) for orders, answers in pipes]
    with ExitStack() as stack, started(_worker, ends, __name__) as processes:
        found = []
        for process, (orders, answers) in zip(processes, pipes, strict=True):
            orders[0].close()
            answers[1].close()  # so that the end of the process is the end of its pipe
            found.append(_Process(process, _writer(orders[1]), _reader(answers[0])))
            stack.callback(found[-1].close)
        for worker in found:
            worker.await_app()
        with _working(nodes, found):
            yield


def _writer(end: Connection) -> BinaryIO:
    """`end` as a file to write pickles to; the pipe has room for a model from now on."""
    with suppress(OSError):  # nobody may have as much
        fcntl(end.fileno(), F_SETPIPE_SZ, ROOM)
    with end:
        return os.fdopen(os.dup(end.fileno()), "wb", ROOM)


def _reader(end: Connection) -> BinaryIO:
    with end:
        return os.fdopen(os.dup(end.fileno()), "rb")


def _write(thing: object, pipe: BinaryIO) -> None:
    pickle.dump(thing, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


@contextmanager
def _working(nodes: Nodes, workers: Sequence[Worker]) -> Iterator[None]:
    """A thread for each of `workers` has it do what there is to do."""
    threads = [threading.Thread(target=nodes.work, args=(one,), daemon=True) for one in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        nodes.stop(len(threads))  # nobody waits for a client that is still at work


@dataclass
class _Here:
    """This process as a worker."""

    client_app: ClientApp
    asked: tuple[Packed, bytes] | None = None

    def begin(self, errand: Errand, context: bytes) -> None:
        """See `Worker`."""
        self.asked = errand.packed, context

    def end(self) -> Answer:
        """See `Worker`."""
        if self.asked is None:
            raise RuntimeError("nothing was asked")
        packed, context = self.asked
        with one_thread():  # in this very thread: oneDNN asks no other
            return answer(self.client_app, packed, context)


class _Process:
    """A worker process as its parent sees it: what it is asked, and which parts it holds."""

    def __init__(self, process: ForkServerProcess, orders: BinaryIO, answers: BinaryIO) -> None:
        self.process, self.orders, self.answers = process, orders, answers
        self.held: dict[int, bytes] = {}

    def await_app(self) -> None:
        """Until the process has loaded the ClientApp. Raises `AppError` if it cannot, `WorkerLost`."""
        with self._noticing():
            if error := pickle.load(self.answers):  # noqa: S301 - we wrote it
                raise error

    def begin(self, errand: Errand, context: bytes) -> None:
        """See `Worker`. Raises `WorkerLost`."""
        packed = errand.packed
        parts = {id(part): part for part in packed.parts}
        new = {name: part for name, part in parts.items() if name not in self.held}
        self.held = parts  # as long as a part is here, its identity is nobody else's
        with self._noticing():
            _write((packed.frame, [*map(id, packed.parts)], new, context), self.orders)

    def end(self) -> Answer:
        """See `Worker`. Raises `WorkerLost`."""
        with self._noticing():
            answer: Answer = pickle.load(self.answers)  # noqa: S301 - we wrote it
        return answer

    def close(self) -> None:
        """To be called when the process is gone."""
        self.answers.close()
        with suppress(OSError):  # what it did not read
            self.orders.close()

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.process.join(timeout=10)
            raise WorkerLost(obituary(self.process)) from error


def _worker(app: App, orders: Connection, answers: Connection) -> None:
    begin()
    asked, said = _reader(orders), _writer(answers)
    held: dict[int, bytes] = {}
    try:
        client_app = app.client_app()
    except AppError as error:
        _write(error, said)
        leave()
    gc.freeze()  # what the app has imported is no garbage; Flower has it looked for again and again
    _write(None, said)
    while True:
        frame, names, new, context = pickle.load(asked)  # noqa: S301 - we wrote it
        held = {name: new[name] if name in new else held[name] for name in names}
        packed = Packed(frame=frame, parts=[held[name] for name in names])
        _write(answer(client_app, packed, context), said)
