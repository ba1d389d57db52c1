"""A Flower app's clients on this machine: worker processes that load the app once and stay."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from flwr.app import Context

from ..simulations.processes import begin, leave, obituary, one_thread, started
from ..wire.errors import AppError, WorkerLost
from .app import App
from .nodes import Answer, Ask, Errand, Nodes, Raised, answer
from .packing import Packed


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
        client_app = app.client_app()

        def here(errand: Errand, context: bytes) -> Answer:
            with one_thread():  # in this very thread: oneDNN asks no other
                return answer(client_app, errand.packed.frame, errand.packed.parts, context)

        with _working(nodes, [here]):
            yield
        return
    pipes = [Pipe() for _ in range(workers)]
    with started(_worker, [(app, far) for _, far in pipes], __name__) as processes:
        found = []
        for process, (near, far) in zip(processes, pipes, strict=True):
            far.close()  # so that the end of the process is the end of its pipe
            found.append(_Worker(process, near, nodes))
        for worker in found:
            worker.await_app()
        with _working(nodes, found):
            yield


@contextmanager
def _working(nodes: Nodes, asks: Sequence[Ask]) -> Iterator[None]:
    """A thread for each of `asks` does what there is to do."""
    threads = [threading.Thread(target=nodes.work, args=(ask,), daemon=True) for ask in asks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        nodes.stop(len(threads))  # nobody waits for a client that is still at work


class _Worker:
    """A worker process as its parent sees it: what it is asked, and which parts it holds."""

    def __init__(self, process: ForkServerProcess, connection: Connection, nodes: Nodes) -> None:
        self.process = process
        self.connection = connection
        self.nodes = nodes
        self.held: dict[int, bytes] = {}

    def await_app(self) -> None:
        """Until the process has loaded the ClientApp. Raises `AppError` if it cannot, `WorkerLost`."""
        with self._noticing():
            if error := self.connection.recv():
                raise error

    def __call__(self, errand: Errand, context: bytes) -> Answer:
        """See `Ask`. Raises `WorkerLost`."""
        packed = errand.packed
        old = [name for name in self.held if not self.nodes.wants(name)]
        new = {name: part for name, part in packed.parts.items() if name not in self.held}
        for name in old:
            del self.held[name]
        self.held |= new
        with self._noticing():
            self.connection.send((packed.frame, context, new, old))
            frame, names, context, traceback = self.connection.recv()
            parts = {name: self.connection.recv_bytes() for name in names}  # no copy in a pickle
        reply = Packed(frame=frame, parts=parts)
        return Answer(reply=reply, context=context, traceback=traceback)

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            self.process.join(timeout=10)
            raise WorkerLost(obituary(self.process)) from error


def _worker(app: App, connection: Connection) -> None:
    begin()
    held: dict[int, bytes] = {}
    try:
        client_app = app.client_app()
    except AppError as error:
        connection.send(error)
        leave()
    gc.freeze()  # what the app has imported is no garbage; Flower has it looked for again and again
    connection.send(None)
    while True:
        frame, context, new, old = connection.recv()
        for name in old:
            del held[name]
        held |= new
        found = answer(client_app, frame, held, context)
        reply = found.reply
        connection.send((reply.frame, [*reply.parts], found.context, found.traceback))
        for part in reply.parts.values():
            connection.send_bytes(part)
