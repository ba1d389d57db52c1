"""Flower's Grid over tacit's own carriers: replies wake the ServerApp, which never sleeps to poll."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import count
from threading import Condition
from typing import Protocol
from uuid import uuid4

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp.grid import Grid
from flwr.supercore.constant import SYSTEM_MESSAGE_TYPE
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from .progress import Batch, Watch, batch_of

Reply = Callable[[Message | Exception], None]


class Carrier(Protocol):
    """Brings messages to nodes, and their replies back: worker processes, or clients that dialled in."""

    def nodes(self) -> Sequence[int]:
        """The ids of those who can be asked now."""
        ...

    def send(self, message: Message, reply: Reply) -> None:
        """Starts to carry `message` to its node; `reply` is called once, from any thread.

        A node that fails, or is not there, is a reply with an `Error`, as Flower has it. An
        exception in place of a reply ends the run: there is nothing left to carry with. Then `send`
        raises it.
        """
        ...


@dataclass(eq=False, kw_only=True)
class _Pushed:
    """A message that has no reply yet, or one that was not pulled."""

    message: Message
    batch: Batch
    expires: float
    reply: Message | None = None
    awaited: bool = False


@dataclass(eq=False)
class TacitGrid(Grid):
    """The Grid that a ServerApp is given. `carrier` does the work; `run` is what Flower calls the run.

    Guarantees:
      - Every message that was pushed has one reply, which is pulled once; if there is none when the
        message's time to live is over, that is an `Error`.
      - Replies come in the order of their messages, whoever was first: a sum over them has one value.
      - Once the carrier is lost, or `watch` has raised, whoever waits for a reply has that raised.
    """

    carrier: Carrier
    _run: Run
    watch: Watch = field(default=lambda batch: None, repr=False)
    _pushed: dict[str, _Pushed] = field(default_factory=dict, repr=False)
    lost: Exception | None = field(default=None, repr=False)
    _changed: Condition = field(default_factory=Condition, repr=False)
    _prefix: str = field(default_factory=lambda: str(uuid4()), repr=False)
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

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
        self._forget_expired()
        names = []
        batch: Batch | None = None
        for message in messages:
            if message.metadata.reply_to_message_id or not message.metadata.ttl > 0:
                raise ValueError(f"Invalid message: {message.metadata}.")
            batch = batch or batch_of(message)
            names.append(self._push(message, batch))
        if batch:
            with self._changed:
                batch.whole = True
                self._show(batch)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """See Flower's Grid. The reply to a message that is not there is an `Error`, as on Flower."""
        with self._changed:
            return self._pulled(list(message_ids))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """See Flower's Grid; what has not come after `timeout` seconds is left out, and may be pulled."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        names = list(self.push_messages(messages))
        with self._changed:
            for name in reversed(names):  # the last first: when it is there, most are
                if pushed := self._pushed.get(name):
                    self._await(pushed, until)
            return self._pulled(names)

    def _forget_expired(self) -> None:
        """Of those that nobody pulled, and nobody can pull any more, nothing stays."""
        now = time.monotonic()
        with self._changed:
            for name in [name for name, one in self._pushed.items() if one.expires <= now]:
                del self._pushed[name]

    def _push(self, message: Message, batch: Batch) -> str:
        name = message.metadata.__dict__["_message_id"] = self._name()
        sent = copy(message)  # the app may push its own once more, under another name
        sent.__dict__["_metadata"] = copy(message.metadata)
        left = message.metadata.created_at + message.metadata.ttl - time.time()
        with self._changed:
            expires = time.monotonic() + left
            self._pushed[name] = _Pushed(message=sent, batch=batch, expires=expires)
            batch.pushed(sent)
        self.carrier.send(sent, self._arrived)
        return name

    def _name(self) -> str:
        """For a message: nothing else has it, here or elsewhere."""
        return f"{self._prefix}-{next(self._numbers)}"

    def _await(self, pushed: _Pushed, until: float) -> None:
        """Until `pushed` has its reply, or there will be none in time."""
        until, pushed.awaited = min(until, pushed.expires), True
        while not pushed.reply and not self.lost and (left := until - time.monotonic()) > 0:
            self._changed.wait(min(left, threading.TIMEOUT_MAX))

    def _pulled(self, names: Sequence[str]) -> list[Message]:
        if self.lost:
            raise self.lost
        return [reply for name in names if (reply := self._pull(name))]

    def _pull(self, name: str) -> Message | None:
        pushed = self._pushed.get(name)
        if pushed is None:
            return _unavailable(_unknown(name))
        if pushed.reply or pushed.expires <= time.monotonic():
            del self._pushed[name]
            return pushed.reply or _unavailable(pushed.message)
        return None

    def _arrived(self, reply: Message | Exception) -> None:
        with self._changed:
            if isinstance(reply, Exception):
                self.lost = reply
            elif pushed := self._pushed.get(reply.metadata.reply_to_message_id):
                if time.monotonic() < pushed.expires:
                    reply.metadata.__dict__["_message_id"] = self._name()
                    pushed.reply = reply
                pushed.batch.answered(reply)
                self._show(pushed.batch)
                if not (pushed.awaited or self.lost):
                    return
            self._changed.notify_all()

    def _show(self, batch: Batch) -> None:
        try:
            self.watch(batch)
        except Exception as error:  # noqa: BLE001 - the carrier's thread must not end by it
            self.lost = error


def _unknown(name: str) -> Message:
    message = Message(RecordDict(), SUPERLINK_NODE_ID, SYSTEM_MESSAGE_TYPE)
    message.metadata.__dict__["_message_id"] = name
    return message


def _unavailable(message: Message) -> Message:
    """What Flower says in place of a reply that came too late, or was pulled before."""
    reason = "The message is not there, or its time to live is over."
    reply = Message(Error(ErrorCode.MESSAGE_UNAVAILABLE, reason), reply_to=message)
    reply.metadata.__dict__["_message_id"] = str(uuid4())
    return reply
