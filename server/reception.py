"""How clients come in, whichever service they call: a few calls at once, and one seat each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, NoReturn

import grpc

from ..wire import federation_pb2 as pb
from ..wire.foreign import shown
from ..wire.identity import Identity
from .door import Context, Door, refuse
from .journal import Journal
from .seats import Order, Seat, Seats, Unseated

LOOK: Final = 2.0
"""Seconds between two looks at who may stay: so long a stream outlives a revocation."""
MOST_CALLS: Final = 8
"""Calls that one client may have open at once."""


@dataclass(eq=False)
class Reception(Generic[Order]):
    """Lets clients in through `door` and seats them, and notes both in `journal`."""

    door: Door
    journal: Journal
    seats: Seats[Order]
    _calls: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def turn(self, client: str, context: Context) -> AsyncIterator[None]:
        """One of the few calls that a client may make at once."""
        if self._calls[client] >= MOST_CALLS:
            reason = f"more than {MOST_CALLS} calls at once"
            await self.refuse(context, client, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        self._calls[client] += 1
        try:
            yield
        finally:
            self._calls[client] -= 1
            if not self._calls[client]:
                del self._calls[client]

    @asynccontextmanager
    async def seated(
        self,
        identity: Identity,
        request: pb.Attendance,
        order_for: Callable[[str], Order | None],
        context: Context,
    ) -> AsyncIterator[Seat[Order]]:
        """A seat, with what `order_for` says waiting on it; the call is aborted if there is none."""
        try:
            seat = await self.seats.take(identity, request.process, order_for)
        except Unseated as error:
            await self.refuse(context, identity.name, error.code, str(error))
        try:
            self._count()
            version = shown(request.version, 80)
            self.journal.note("joined", identity.name, version=version, peer=context.peer())
            yield seat
        finally:
            self.seats.leave(seat)
            self._count()
            self.journal.note("left", identity.name)

    async def order(self, seat: Seat[Order], context: Context) -> Order:
        """The next order for `seat`; the call is aborted once it is taken away."""
        try:
            return await seat.order()
        except Unseated as error:
            await self.refuse(context, seat.identity.name, error.code, str(error))

    async def watch(self) -> NoReturn:
        """Takes the seats of those who may not stay: a handshake happens once, a stream may last."""
        while True:
            for seat in list(self.seats.taken.values()):
                if found := self.door.objection(seat.identity):
                    seat.take_away(*found)
                await asyncio.sleep(0)  # thousands are looked at in between others' calls
            await asyncio.sleep(LOOK)

    async def refuse(
        self, context: Context, client: str, code: grpc.StatusCode, reason: str
    ) -> NoReturn:
        """Ends the call, says why, and notes it."""
        await refuse(context, self.journal, client, code, reason)

    def _count(self) -> None:
        self.journal.metrics.connected.set(len(self.seats.taken))
