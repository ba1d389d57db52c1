"""Who is connected, and the order that each has to carry out next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import grpc

from ..wire.identity import Identity

BUSY: Final = grpc.StatusCode.ALREADY_EXISTS
Order = TypeVar("Order")


class Unseated(Exception):
    """The seat was taken away; the message says why, and `code` what to tell the client."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(eq=False, slots=True)
class Seat(Generic[Order]):
    """One connection of a client. It holds the newest order only: what was overtaken is not sent."""

    identity: Identity
    process: bytes = b""
    since: float = field(default_factory=time.monotonic)
    _order: Order | None = None
    _end: Unseated | None = None
    _waiter: asyncio.Future[None] | None = None

    async def order(self) -> Order:
        """The next order. Raises `Unseated` once the seat is taken away."""
        while self._order is None:
            if self._end is not None:
                raise self._end
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        order, self._order = self._order, None
        return order

    def put(self, order: Order) -> None:
        """Makes `order` the next, unless the seat was taken away."""
        if self._end is None:
            self._order = order
            self._wake()

    def take_away(self, code: grpc.StatusCode, reason: str) -> None:
        """Ends the connection, for `reason`."""
        self._order, self._end = None, Unseated(code, reason)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Seats(Generic[Order]):
    """One seat for each connected client; to be used on the event loop alone.

    Guarantees:
      - A client has one seat at most. A process that comes again has it; another one is refused, for it
        would answer with other rows, or end the one that is at work.
      - Whoever takes a seat is told what it would have been told already.
    """

    def __init__(self) -> None:
        self.taken: dict[str, Seat[Order]] = {}
        self._arrivals = asyncio.Condition()

    async def take(
        self, identity: Identity, process: bytes, order_for: Callable[[str], Order | None]
    ) -> Seat[Order]:
        """A seat for a `process` of `identity`, with what `order_for` says waiting on it.

        Raises `Unseated` if another process has it.
        """
        async with self._arrivals:  # whoever hangs up while it waits here has taken no seat
            if (before := self.taken.get(identity.name)) is not None:
                if before.process != process:
                    raise Unseated(BUSY, "another process is connected as this client; stop one")
                before.take_away(BUSY, "this client connected again")
            seat = self.taken[identity.name] = Seat(identity, process)
            if (order := order_for(identity.name)) is not None:
                seat.put(order)
            self._arrivals.notify_all()
        return seat

    def leave(self, seat: Seat[Order]) -> None:
        """Gives `seat` up, unless another connection of its client has taken over."""
        if self.taken.get(seat.identity.name) is seat:
            del self.taken[seat.identity.name]

    def send(self, clients: Iterable[str], order: Order) -> None:
        """Gives `order` to those of `clients` who are here."""
        for client in clients:
            if (seat := self.taken.get(client)) is not None:
                seat.put(order)

    async def arrived(self, clients: frozenset[str], count: int) -> None:
        """Returns once `count` of `clients` are here."""
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: len(clients & self.taken.keys()) >= count)
