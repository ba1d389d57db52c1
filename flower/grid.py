"""Flower's Grid over tacit's own carriers: replies wake the ServerApp, which never sleeps to poll."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Condition
from typing import Protocol
from uuid import uuid4

from flwr.app import Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.serverapp.grid import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

Reply = Callable[[Message], None]


class Carrier(Protocol):
    """Brings messages to nodes, and their replies back: worker processes, or clients that dialled in."""

    def nodes(self) -> Sequence[int]:
        """The ids of those who can be asked now."""
        ...

    def send(self, message: Message, reply: Reply) -> None:
        """Starts to carry `message` to its node; `reply` is called once, from any thread.

        A node that fails is a reply with an `Error`, as Flower has it. Raises a `TacitError` when there
        is nothing left to carry with.
        """
        ...


@dataclass(eq=False)
class TacitGrid(Grid):
    """The Grid that a ServerApp is given. `carrier` does the work; `run` is what Flower calls the run.

    Guarantees:
      - Every message that was pushed has one reply, which is pulled once.
      - Replies come in the order of their messages, whoever was first: a sum over them has one value.
    """

    carrier: Carrier
    _run: Run
    _replies: dict[str, Message | None] = field(default_factory=dict, repr=False)
    _changed: Condition = field(default_factory=Condition, repr=False)

    def __post_init__(self) -> None:
        # Flower's Message reads here whose it is; Flower's own engines set the same.
        TaskIdentity.run_id, TaskIdentity.node_id = self._run.run_id, SUPERLINK_NODE_ID
        TaskIdentity.task_id = 1

    def set_run(self, run: Run) -> None:
        """See Flower's Grid."""
        self._run = run

    @property
    def run(self) -> Run:
        """See Flower's Grid."""
        return Run(**vars(self._run))

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """See Flower's Grid."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """See Flower's Grid."""
        return list(self.carrier.nodes())

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """See Flower's Grid."""
        pushed = []
        for message in messages:
            if message.metadata.reply_to_message_id or not message.metadata.ttl > 0:
                raise ValueError(f"Invalid message: {message.metadata}.")
            name = message.metadata.__dict__["_message_id"] = str(uuid4())
            with self._changed:
                self._replies[name] = None
            self.carrier.send(message, self._arrived)
            pushed.append(name)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """See Flower's Grid."""
        with self._changed:
            return self._pulled(list(message_ids))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """See Flower's Grid; what has not come after `timeout` seconds is left out, and may be pulled."""
        until = None if timeout is None else time.monotonic() + timeout
        pushed = list(self.push_messages(messages))
        with self._changed:
            while any(self._replies[name] is None for name in pushed):
                left = None if until is None else until - time.monotonic()
                if not self._changed.wait(left) and left is not None:
                    break
            return self._pulled(pushed)

    def _pulled(self, names: Sequence[str]) -> list[Message]:
        ready = [name for name in names if self._replies.get(name) is not None]
        return [reply for name in ready if (reply := self._replies.pop(name)) is not None]

    def _arrived(self, reply: Message) -> None:
        reply.metadata.__dict__["_message_id"] = str(uuid4())
        with self._changed:
            self._replies[reply.metadata.reply_to_message_id] = reply
            self._changed.notify_all()
