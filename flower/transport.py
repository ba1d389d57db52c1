"""tacit's transport over Flower's Grid: a cohort's answers are fetched as they come, and folded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from ..server.admission import Admission
from ..server.exchange import fold_in, note_missing
from ..server.remote import Patience
from ..wire import federation_pb2 as pb
from ..wire.arrays import encoded_size
from ..wire.errors import CodecError
from ..wire.fold import Fold
from ..wire.foreign import lines, shown
from ..wire.messages import Arrays, Failure, Instruction, Refusal
from ..wire.transport import Receive
from .letters import AWAY, TYPES, Study, letters, read_reply, unpacked

SHORTEST: Final = 0.001
LONGEST: Final = 0.2
"""Seconds between two looks for answers: few while they come, more while none does."""
LEAST: Final = 60.0
"""Seconds for which Flower keeps a message, however short the deadline is."""


class Seats(Protocol):
    """Which clients are at which nodes."""

    def nodes(self, members: Sequence[str]) -> Mapping[str, int]:
        """The nodes at which to ask `members` now; who is away has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class OverGrid:
    """Asks clients by Flower messages. `study` goes along with every instruction.

    Guarantees, beside those of `Transport`:
      - A client is asked once at a node, and again only where it came back at another one or Flower
        lost the message; of its answers one counts.
      - What came after the round had closed is in no sum.
    """

    grid: Grid
    admission: Admission
    patience: Patience
    study: Study
    seats: Seats

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        """See `Transport`."""
        if not members:
            return Fold()
        expected = self.admission.expected(instruction)
        asking = Asking(
            grid=self.grid,
            kind=TYPES[instruction.purpose],
            round=instruction.round,
            ttl=max(LEAST, self.patience.deadline),
            letters=dict(zip(members, letters(self.study, instruction, members), strict=True)),
            receive=self.admission.open(instruction, members),
            most=encoded_size(expected) if expected else 0,
            waiting=set(members),
        )
        self._wait(asking, len(members))
        complete = self._is_complete(asking, len(members))
        accepted, seconds = len(asking.fold.receipts), self.patience.deadline
        note_missing(asking.fold, asking.waiting, accepted, seconds, complete=complete)
        return asking.fold

    def _is_complete(self, asking: Asking, members: int) -> bool:
        """Whether all have answered, or enough were let in."""
        enough = min(self.patience.enough or members, members)
        return not asking.waiting or len(asking.fold.receipts) >= enough

    def _wait(self, asking: Asking, members: int) -> None:
        """Returns when the round is complete, or its deadline has come."""
        until, nap = float("inf"), SHORTEST
        needed = max(1, members - self.patience.may_miss)
        while not self._is_complete(asking, members) and time.monotonic() < until:
            present = self.seats.nodes(sorted(asking.waiting))
            if until == float("inf") and members - len(asking.waiting) + len(present) >= needed:
                until = time.monotonic() + self.patience.deadline
            asking.ask(present)
            nap = SHORTEST if asking.look() else min(1.5 * nap, LONGEST)
            if not self._is_complete(asking, members):
                time.sleep(min(nap, max(0.0, until - time.monotonic())))


@dataclass(eq=False, kw_only=True)
class Asking:
    """One instruction: who was asked where, and what has come back of it."""

    grid: Grid
    kind: str
    round: int
    ttl: float
    letters: Mapping[str, RecordDict] = field(repr=False)
    receive: Receive = field(repr=False)
    most: int
    waiting: set[str]
    fold: Fold = field(default_factory=Fold, repr=False)
    asked: dict[str, int] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)

    def ask(self, present: Mapping[str, int]) -> None:
        """Sends the instruction to those who were not asked where they are."""
        new = {name: node for name, node in present.items() if self.asked.get(name) != node}
        messages = {
            name: Message(
                self.letters[name], node, self.kind, ttl=self.ttl, group_id=str(self.round)
            )
            for name, node in new.items()
        }
        pushed = set(self.grid.push_messages(list(messages.values()))) if messages else set()
        for name, message in messages.items():
            if (found := message.metadata.message_id) in pushed:
                self.sent[found], self.asked[name] = name, new[name]

    def look(self) -> int:
        """Folds what has come; how many have answered by it."""
        waiting = len(self.waiting)
        for reply in self.grid.pull_messages(list(self.sent)) if self.sent else []:
            client = self.sent.pop(reply.metadata.reply_to_message_id, None)
            if client in self.waiting:
                self._settle(client, reply)
        return waiting - len(self.waiting)

    def _settle(self, client: str, reply: Message) -> None:
        if reply.has_error() and reply.error.code in AWAY:
            self.asked.pop(client, None)
            return
        self.waiting.discard(client)
        if reply.has_error():
            self.fold.failures.append(_failure(client, reply))
            return
        try:
            answer, data = read_reply(reply.content)
        except CodecError as error:
            self.fold.refusals.append(Refusal(client=client, reason=shown(f"malformed: {error}")))
            return
        arrays = partial(self._arrays, answer.update.contribution, data)
        fold_in(self.fold, client=client, answer=answer, arrays=arrays, receive=self.receive)

    def _arrays(self, blob: pb.Blob, data: bytes) -> Arrays:
        if blob.size > self.most:
            raise CodecError(f"{blob.size} bytes, where a contribution has at most {self.most}")
        return unpacked(data, blob)


def _failure(client: str, reply: Message) -> Failure:
    """What Flower says of a client whose app raised, or could not be loaded."""
    names = {code: name for name, code in vars(ErrorCode).items() if isinstance(code, int)}
    reason = reply.error.reason or ""
    kind = names.get(reply.error.code, f"error {reply.error.code}")
    return Failure(client=client, error=shown(f"{kind}: {reason}", 400), traceback=lines(reason))


@dataclass(eq=False)
class Anywhere:
    """Simulated clients, each of whom any node can be: they are dealt out to the nodes in turn.

    The nodes are those that are there when their number has come to rest.
    """

    grid: Grid
    clients: Sequence[str] = field(repr=False)
    _nodes: list[int] = field(default_factory=list, repr=False)
    _dealt: dict[str, int] = field(default_factory=dict, repr=False)

    def nodes(self, members: Sequence[str]) -> Mapping[str, int]:
        """See `Seats`."""
        if not self._dealt:
            found = sorted(self.grid.get_node_ids())
            if not found or found != self._nodes:
                self._nodes = found
                return {}
            self._dealt = {
                name: found[position % len(found)] for position, name in enumerate(self.clients)
            }
        return {name: self._dealt[name] for name in members}
