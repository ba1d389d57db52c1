"""Letters to clients who dialled in: kept until they are answered, or until their time is over."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..wire import federation_pb2 as pb
from ..wire.parcels import Letter
from .ending import Ending


@dataclass(eq=False, kw_only=True)
class Sent:
    """A letter on its way to `client`, good until the clock says `until` (seconds, monotonic).

    Exactly one is called, once: `answered` with the bytes of the answer, in a thread of its own, where
    it may raise `CodecError` and then was not; or `expired`, on the event loop.
    """

    client: str
    letter: Letter
    until: float
    answered: Callable[[bytes], None]
    expired: Callable[[], None]
    _reading: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle | None = None


@dataclass(eq=False, kw_only=True)
class Mail(Ending[Letter | pb.Over]):
    """`send` and `present` are called from any thread; everything else happens on the event loop.

    Guarantees:
      - A client has one letter at a time, in the order in which they were sent.
      - A letter waits for a client who is away, and comes again to one who came again.
      - What answers no letter that is open changes nothing.
    """

    ever: set[str] = field(default_factory=set)
    """Those who were here at any time."""
    _waiting: dict[str, deque[Sent]] = field(default_factory=dict)

    def send(self, sent: Sent) -> None:
        """Has it carried to its client."""
        self.loop.call_soon_threadsafe(self._post, sent)

    def present(self) -> frozenset[str]:
        """Those who are here."""
        return frozenset(self.seats.taken.copy())

    def last_order(self) -> pb.Over:
        """See `Ending`."""
        return self.said()

    def order_for(self, client: str) -> Letter | pb.Over | None:
        """What `client`, who just came, has to do."""
        self.ever.add(client)
        if self.complete:
            return self.last_order()
        waiting = self._waiting.get(client)
        return waiting[0].letter if waiting else None

    def waits_for(self, client: str, name: str) -> bool:
        """Whether `client` has the letter of that name, and has not answered it yet."""
        waiting = self._waiting.get(client)
        if not waiting:
            return False
        return waiting[0].letter.name == name and not waiting[0]._reading

    async def take_in(self, client: str, answer: Letter) -> bool:
        """Whether `answer` was to the letter that `client` has. Raises `CodecError` if malformed."""
        if not self.waits_for(client, answer.name):
            return False
        sent = self._waiting[client][0]
        sent._reading = asyncio.ensure_future(self._read(sent, answer.data))
        await asyncio.shield(sent._reading)  # who is gone now may have answered all the same
        return True

    async def _read(self, sent: Sent, data: bytes) -> None:
        try:
            await asyncio.to_thread(sent.answered, data)
        except BaseException:
            sent._reading = None
            self._expire(sent)
            raise
        self._settle(sent)

    def _post(self, sent: Sent) -> None:
        waiting = self._waiting.setdefault(sent.client, deque())
        waiting.append(sent)
        self._time(sent)
        if len(waiting) == 1:
            self.seats.send([sent.client], sent.letter)

    def _expire(self, sent: Sent) -> None:
        """Gives `sent` up if its time is over, and nobody reads its answer."""
        if sent._reading or sent not in self._waiting.get(sent.client, ()):
            return
        if time.monotonic() < sent.until:
            self._time(sent)  # a timer may be early
            return
        self._settle(sent)
        sent.expired()

    def _time(self, sent: Sent) -> None:
        left = max(0.0, sent.until - time.monotonic())
        sent._timer = self.loop.call_later(left, self._expire, sent)

    def _settle(self, sent: Sent) -> None:
        waiting = self._waiting[sent.client]
        if sent._timer is not None:
            sent._timer.cancel()
        is_next = waiting[0] is sent
        waiting.remove(sent)
        if is_next and waiting:
            self.seats.send([sent.client], waiting[0].letter)
