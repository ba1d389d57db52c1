"""Flower nodes in this process: a ClientApp that answers in threads, behind tacit's Grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from flwr.app import Context, Error, Message, RecordDict, UserConfig
from flwr.common.constant import ErrorCode
from flwr.supercore.run import Run
from tacit.flower.grid import Reply, TacitGrid

Handle = Callable[[Message, Context], Message | None]
"""What a ClientApp does with a message; without a reply, the node is silent."""


@dataclass(eq=False)
class Nodes:
    """Nodes by their id, each with its node-config; `handle` is what a ClientApp does.

    One message is handled at a time: torch's seeds are those of the process.
    """

    handle: Handle
    configs: dict[int, UserConfig]
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4), repr=False)
    lock: Lock = field(default_factory=Lock, repr=False)
    handled: list[Message] = field(default_factory=list, repr=False)

    def nodes(self) -> Sequence[int]:
        return list(self.configs)

    def send(self, message: Message, reply: Reply) -> None:
        self.pool.submit(self._answer, message, reply)

    def _answer(self, message: Message, reply: Reply) -> None:
        node = message.metadata.dst_node_id
        if node not in self.configs:
            error = Error(ErrorCode.NODE_UNAVAILABLE, "it has left")
            reply(Message(error, reply_to=message))
            return
        context = Context(1, node, self.configs[node], RecordDict(), {})
        with self.lock:
            self.handled.append(message)
            try:
                found = self.handle(message, context)
            except Exception as error:  # noqa: BLE001 - as Flower's own engines do
                code = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
                found = Message(Error(code, f"{type(error)}:<'{error}'>"), reply_to=message)
        if found is not None:
            reply(found)


def simulating(count: int) -> dict[int, UserConfig]:
    """The node-configs of nodes that are simulated."""
    return {
        node: {"partition-id": node - 1, "num-partitions": count} for node in range(1, count + 1)
    }


@contextmanager
def grid_of(handle: Handle, configs: Mapping[int, UserConfig]) -> Iterator[tuple[TacitGrid, Nodes]]:
    """A Grid that reaches nodes with these node-configs."""
    nodes = Nodes(handle, dict(configs))
    try:
        yield TacitGrid(nodes, Run.create_empty(run_id=1)), nodes
    finally:
        nodes.pool.shutdown()
